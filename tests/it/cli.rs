//! The command line as a user meets it: exit codes, records, sentences for what is wrong.
//! Must never look inside: only arguments, exit codes and output.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::kit;

/// What a command did.
pub struct Did {
    pub code: i32,
    pub out: String,
    pub err: String,
}

pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seedbed"));
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    command
}

pub fn did(command: &mut Command) -> Did {
    let output = command.output().expect("the binary starts");
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    let code = output.status.code().expect("no signal ended it");
    Did { code, out: text(output.stdout), err: text(output.stderr) }
}

pub fn seedbed(args: &[&str]) -> Did {
    did(&mut command(args))
}

/// A folder of this test's own, empty.
pub fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn snapshot(name: &str, text: &str) {
    kit::snapshots(|| {
        let mut settings = insta::Settings::clone_current();
        settings.add_filter(r"\[ +?\d+\.\d\ds", "[ (wall)");
        settings.bind(|| insta::assert_snapshot!(name, text));
    });
}

#[test]
fn each_bad_input_has_its_exit_code_and_names_what_is_wrong() {
    let cases: &[(&[&str], i32, &str)] = &[
        (&["run", "colt_start"], 2, "near: cold_start"),
        (&["run", "no/such/file.toml"], 2, "failed to read `no/such/file.toml`"),
        (&["run", "cold_start", "--from", "0xzz"], 2, "`0xzz` is not a seed"),
        (&["run", "cold_start", "--engine", "warp"], 2, "expected native or turmoil"),
        (&["run", "cold_start", "--strategy", "pct0"], 2, "expected fifo, random or pct1 to pct9"),
        (&["run", "cold_start", "--plant", "H99"], 2, "there is no hazard to plant `H99`"),
        (&["run", "cold_start", "--plant", "L01"], 2, "there is no hazard to plant `L01`"),
        (&["run", "cold_start", "-j", "0"], 2, "invalid value '0'"),
        (&["run", "cold_start", "--seeds", "0"], 4, "nothing selected"),
        (&["run", "cold_start", "--seeds", "0", "--bisect"], 125, "nothing selected"),
        (&["run", "--nonsense", "--bisect"], 125, "--nonsense"),
        (&["replay", "cold_start"], 2, "has no `@`"),
        (&["replay", "colt_start@1"], 2, "near: cold_start"),
        (&["replay", "cold_start@1", "--steps", "9..3"], 2, "holds no step"),
        (&["replay", "cold_start@1/H99"], 2, "there is no hazard to plant `H99`"),
        (&["check", "Cargo.toml"], 2, "Cargo.toml:1"),
        (&["frobnicate"], 2, "frobnicate"),
        (&[], 2, "Usage"),
    ];
    for (args, code, says) in cases {
        let did = seedbed(args);
        assert_eq!(did.code, *code, "{args:?}: {}", did.err);
        assert!(did.err.contains(says), "{args:?}: {}", did.err);
        assert!(did.out.is_empty(), "{args:?}: {}", did.out);
        assert!(!did.err.contains("panicked"), "{args:?}: {}", did.err);
    }
}

#[test]
fn a_folder_without_a_scenario_selects_nothing() {
    let folder = folder("no-scenario");
    fs::create_dir(folder.join("scenarios")).unwrap();
    let did = did(command(&["run"]).current_dir(folder));
    assert_eq!((did.code, did.out.as_str()), (4, ""), "{}", did.err);
}

#[test]
fn away_from_its_repository_the_binary_has_the_shipped_scenarios() {
    let folder = folder("away");
    let did = did(command(&["list"]).current_dir(folder));
    assert_eq!(did.code, 0, "{}", did.err);
    for name in ["cold_start", "concurrent_users", "golden_path"] {
        assert!(did.out.contains(name), "{}", did.out);
    }
}

#[test]
fn a_scenario_is_a_name_or_a_path() {
    let digest = |scenario| {
        let did = seedbed(&["run", scenario, "--seeds", "1", "--format", "json"]);
        assert_eq!(did.code, 0, "{}", did.err);
        records(&did.out)[0]["digest"].clone()
    };
    assert_eq!(digest("golden_path"), digest("scenarios/golden_path.toml"));
}

fn records(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).expect("a record a line")).collect()
}

/// The second system is found by the name that a scenario gives; a slip is pointed at.
#[test]
fn a_scenario_names_its_system() {
    let path = folder("systems").join("names.toml");
    let check = |system: &str| {
        let step = "{ deposit = { to = 'a', cents = 1 } }";
        let text = format!("{system}\n[[user]]\nname = 'u'\nsteps = [{step}]\n");
        fs::write(&path, text).unwrap();
        seedbed(&["check", path.to_str().unwrap()])
    };
    assert_eq!(check("[system]\nname = 'ledger'").code, 0);
    let first = check("");
    assert_eq!(first.code, 2);
    assert!(first.err.contains("`deposit`"), "the backend has no such step: {}", first.err);
    let slip = check("[system]\nname = 'leger'");
    assert_eq!(slip.code, 2);
    for says in ["unknown system: `leger`", "did you mean `ledger`?", "backend, ledger"] {
        assert!(slip.err.contains(says), "{says}: {}", slip.err);
    }
    assert_eq!(check("[system]\nname = 5").code, 2, "a name is a text");
}

#[test]
fn json_is_one_record_a_seed_and_a_summary() {
    let did =
        seedbed(&["run", "golden_path", "--seeds", "3", "--from", "0x10", "--format", "json"]);
    assert_eq!(did.code, 0, "{}", did.err);
    let records = records(&did.out);
    assert_eq!(records.len(), 4);
    let keys: Vec<&str> = records[0].as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "scenario", "seed", "engine", "strategy", "verdict", "digest", "steps", "choices",
        "sim_us", "wall_us", "waits",
    ];
    assert_eq!(keys, expected);
    let seeds: Vec<&str> =
        records[..3].iter().map(|record| record["seed"].as_str().unwrap()).collect();
    assert_eq!(seeds, ["0x10", "0x11", "0x12"]);
    assert_eq!(records[0]["verdict"], "held");
    assert_eq!(records[0]["digest"].as_str().unwrap().len(), 32);
    assert_eq!(records[3]["summary"]["held"], 3);
}

#[test]
fn a_run_cut_by_its_wall_clock_exits_5() {
    let did = seedbed(&["run", "golden_path", "--seeds", "1", "--wall-max", "0"]);
    assert_eq!(did.code, 5, "{}{}", did.out, did.err);
}

#[test]
fn a_held_run_is_at_most_two_lines_and_a_summary() {
    let did = seedbed(&["run", "golden_path", "--seeds", "2"]);
    assert_eq!(did.code, 0, "{}{}", did.out, did.err);
    assert_eq!(did.out.lines().count(), 3, "{}", did.out);
}

/// Where H01 shows first, and what it told.
fn failing() -> Did {
    let args = ["run", "cold_start", "--seeds", "200", "--plant", "H01", "--max-fail", "1"];
    seedbed(&args)
}

#[test]
fn a_failing_run_exits_1_and_tells_the_story() {
    let did = failing();
    assert_eq!(did.code, 1, "{}{}", did.out, did.err);
    for part in [
        "        FAIL [ ",
        "/H01#",
        "error[I1]: ",
        "  cause, ",
        "gateway.accepted",
        "  replay   seedbed replay cold_start@",
        "     Summary [ ",
    ] {
        assert!(did.out.contains(part), "{part} is missing from\n{}", did.out);
    }
}

#[test]
fn what_a_failing_run_printed_replays_to_the_same_violation() {
    let told = failing().out;
    let hint = told.lines().find_map(|line| line.split_once("seedbed replay ")).unwrap().1;
    let args: Vec<&str> = ["replay"].into_iter().chain(hint.split(' ')).collect();
    let did = seedbed(&args);
    assert_eq!(did.code, 1, "{}{}", did.out, did.err);
    let last = did.out.lines().last().unwrap();
    assert!(last.starts_with("Reproduced cold_start@"), "{last}");
    assert!(last.contains("/H01"), "{last}");
}

#[test]
fn a_token_with_another_digest_diverges() {
    let did = seedbed(&["replay", "golden_path@1#00000000", "--steps", "0..1"]);
    assert_eq!(did.code, 3, "{}{}", did.out, did.err);
    assert!(did.out.contains("expected 00000000"), "{}", did.out);
}

#[test]
fn a_replay_shows_only_the_steps_asked_for() {
    let did = seedbed(&["replay", "golden_path@1", "--steps", "10..40"]);
    assert_eq!(did.code, 0, "{}{}", did.out, did.err);
    let steps = did.out.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        words.next()?.parse::<u64>().ok()?;
        words.next()?.parse::<u64>().ok()
    });
    let steps: Vec<u64> = steps.collect();
    assert!(!steps.is_empty() && steps.iter().all(|step| (10..=40).contains(step)), "{steps:?}");
}

#[test]
fn ctrl_c_prints_the_summary_so_far() {
    let mut child = command(&["run", "golden_path", "--seeds", "10000000", "-j", "1"])
        .args(["--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut first = [0];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut first).expect("a first record");
    let kill = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let last: Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
    assert_eq!(last["summary"]["interrupted"], true);
    assert!(last["summary"]["seeds"].as_u64().unwrap() > 0);
}

#[test]
fn junit_counts_its_cases_and_github_points_at_the_file() {
    let args = ["run", "cold_start", "--seeds", "200", "--plant", "H01", "--max-fail", "1"];
    let junit = seedbed(&[&args[..], &["--format", "junit"]].concat());
    assert_eq!(junit.code, 1, "{}", junit.err);
    assert_eq!(junit.out.matches("<testcase").count(), 2, "{}", junit.out);
    assert_eq!(junit.out.matches("<failure").count(), 1, "{}", junit.out);
    let github = seedbed(&[&args[..], &["--format", "github"]].concat());
    assert_eq!(github.code, 1, "{}", github.err);
    let error = "::error file=scenarios/cold_start.toml,line=";
    assert!(github.out.contains(error), "{}", github.out);
}

#[test]
fn the_catalogue_of_events_is_generated_from_the_code() {
    let did = seedbed(&["events"]);
    assert_eq!((did.code, did.err.as_str()), (0, ""));
    snapshot("events", &did.out);
}

#[test]
fn the_shipped_scenarios_are_listed_and_pass_their_check() {
    let did = seedbed(&["list"]);
    assert_eq!((did.code, did.err.as_str()), (0, ""));
    snapshot("list", &did.out);
    for line in did.out.lines() {
        let name = line.split_whitespace().next().unwrap();
        let did = seedbed(&["check", &format!("scenarios/{name}.toml")]);
        assert_eq!(did.code, 0, "{}", did.err);
    }
}

#[test]
fn a_scenario_explains_itself_in_sentences() {
    let did = seedbed(&["explain", "cold_start"]);
    assert_eq!((did.code, did.err.as_str()), (0, ""));
    assert!(did.out.contains("\nno-1011: `refused` never comes.\n"), "{}", did.out);
    assert!(did.out.contains("\nI14  1011 only after"), "{}", did.out);
}

#[test]
fn a_wrong_scenario_is_shown_with_line_column_and_the_nearest_name() {
    let file = folder("wrong").join("wrong.toml");
    let text = "# Proves: nothing.\nschema = 1\ntitle = \"wrong\"\n\n[[usr]]\nname = \"u\"\n";
    fs::write(&file, text).unwrap();
    let did = did(command(&["check", "wrong.toml"]).current_dir(file.parent().unwrap()));
    assert_eq!(did.code, 2, "{}", did.out);
    snapshot("check_wrong_scenario", &did.err);
}

#[test]
fn an_expectation_without_a_case_fails_the_campaign_but_not_a_part_of_it() {
    let folder = folder("vacuous");
    let text = r#"# Proves: nothing, for no host is ever paused.
schema = 1
title = "vacuous"

[run]
seeds = 2

[[user]]
name = "u"
steps = [{ connect = { at = "0ms" } }]

[events]
paused = { on = "host.paused" }
ready = { on = "gateway.ready" }

[[expect]]
id = "ready-again"
response = { when = "paused", then = "ready", within = "1s" }
"#;
    fs::write(folder.join("vacuous.toml"), text).unwrap();
    let run = |seeds| did(command(&["run", "vacuous.toml", "--seeds", seeds]).current_dir(&folder));
    let whole = run("2");
    assert_eq!(whole.code, 1, "{}{}", whole.out, whole.err);
    assert!(whole.out.contains("     VACUOUS ["), "{}", whole.out);
    assert!(whole.out.contains("vacuous.toml:18:1"), "{}", whole.out);
    let part = run("1");
    assert_eq!(part.code, 0, "{}{}", part.out, part.err);
    assert!(part.out.contains("too few seeds to judge: ready-again"), "{}", part.out);
}
