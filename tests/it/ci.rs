//! The scripts that pipelines call: an exit code that gets lost there lets anything through.
//! Must never build, nor need the network.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn bash(script: &str) -> Output {
    let mut bash = Command::new("bash");
    bash.args(["-c", script]).current_dir(env!("CARGO_MANIFEST_DIR"));
    bash.output().expect("bash is there")
}

/// What `script` prints after it has read `ci/common.sh`.
fn said(script: &str) -> String {
    let output = bash(&format!(". ci/common.sh; {script}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the scripts print text").trim().to_owned()
}

#[test]
fn each_script_is_executable_and_parses() {
    for script in ["ci/check", "ci/determinism", "ci/gate", "ci/nightly", "ci/pgbench", ".ci/run"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
        let mode = file.metadata().expect("the script is there").permissions().mode();
        assert_ne!(mode & 0o100, 0, "{script} is not executable");
        assert!(bash(&format!("bash -n {script}")).status.success(), "{script} does not parse");
    }
}

#[test]
fn what_is_no_number_is_told_before_anything_is_built() {
    for script in ["ci/determinism", "ci/pgbench"] {
        let output = bash(&format!("{script} many"));
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{script}: {told}");
        assert!(told.contains("'many' is no number; usage: ci/"), "{script}: {told}");
    }
}

#[test]
fn the_worst_exit_code_of_several_wins() {
    // No verdict at all, then 70 internal, 3 diverged, 1 violated, 5 inconclusive, 0 held.
    for (codes, worst) in [
        ("0 0", "0"),
        ("0 5", "5"),
        ("5 1 0", "1"),
        ("1 3", "3"),
        ("3 70 1", "70"),
        ("70 2", "2"),
        ("1 130", "130"),
        ("0 101", "101"),
    ] {
        assert_eq!(said(&format!("worst {codes}")), worst, "of {codes}");
    }
}

#[test]
fn a_step_fails_as_its_command_does() {
    assert_eq!(said("code=0; step x bash -c 'exit 3' >/dev/null || code=$?; echo $code"), "3");
    assert!(!bash(". ci/common.sh; step x false; true").status.success());
}

#[test]
fn a_campaign_ends_with_the_runners_code_and_shows_what_did_not_hold() {
    let folder = std::env::temp_dir().join(format!("seedbed-ci-{}", std::process::id()));
    let runner = r#"echo '{"seed":"0x1","verdict":"held"}'
        echo '{"seed":"0x2","verdict":"violated"}'
        echo '{"summary":"'"$*"'"}'; exit 1"#;
    let script = format!(
        ". ci/common.sh; SEEDBED=fake; RECORDS='{}'; fake() {{ ({runner}); }}
         code=0; campaign x --from 7 || code=$?; echo \"code=$code\"; wc -l <\"$RECORDS/x.jsonl\"",
        folder.display()
    );
    let output = bash(&script);
    let text = String::from_utf8_lossy(&output.stdout);
    std::fs::remove_dir_all(&folder).expect("the campaign made its folder");
    assert!(text.contains("code=1\n3\n"), "{text}");
    assert!(text.contains("0x2") && !text.contains("0x1"), "{text}");
    assert!(text.contains("run --format json --from 7"), "{text}");
}
