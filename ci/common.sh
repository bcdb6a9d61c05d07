# What the scripts of this folder share. Sourced, never run.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Announces and times one step: step NAME COMMAND... Fails as the command does.
step() {
    local name=$1 began=$SECONDS
    shift
    printf '\n==> %s: %s\n' "$name" "$*"
    "$@" || return
    printf '==> %s took %d s\n' "$name" $((SECONDS - began))
}

# Ends the script with exit code 2 unless a value is a number: number USAGE VALUE
number() {
    if ! [[ $2 =~ ^[0-9]+$ ]]; then
        echo "'$2' is no number; usage: $1" >&2
        exit 2
    fi
}

# The worse of two exit codes of seedbed. What is no verdict (2, 4, 130, a signal) comes first:
# the campaign did not take place; then internal, diverged, violated, inconclusive, held.
worst() {
    local code known
    for code in "$@"; do
        case $code in
            0 | 1 | 3 | 5 | 70) ;;
            *) echo "$code" && return ;;
        esac
    done
    for known in 70 3 1 5 0; do
        for code in "$@"; do
            if [ "$code" = "$known" ]; then
                echo "$known" && return
            fi
        done
    done
}

SEEDBED=target/release/seedbed
RECORDS=target/campaigns

# Runs one campaign of every scenario: campaign NAME OPTIONS...
# Leaves its records, one JSON object a line, in $RECORDS/NAME.jsonl, prints the summary and every
# seed that did not hold, and returns the exit code of seedbed.
campaign() {
    local name=$1 records=$RECORDS/$1.jsonl code=0
    shift
    mkdir -p "$RECORDS"
    printf '\n==> %s: seedbed run %s\n' "$name" "$*"
    "$SEEDBED" run --format json "$@" >"$records" || code=$?
    grep -F '"verdict"' "$records" | grep -vF '"verdict":"held"' || true
    tail -n 1 "$records"
    printf '==> %s: exit code %d, records in %s\n' "$name" "$code" "$records"
    return "$code"
}
