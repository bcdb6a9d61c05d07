//! Every command of the README is run, and its scenario is checked and run. Campaigns run fewer
//! seeds here than they do for a user; nothing else is changed. Must never skip a command that it
//! does not know: it fails.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const README: &str = include_str!("../../README.md");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The contents of the README's code blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    let after = README.split(fence.as_str()).skip(1);
    after.map(|rest| rest.split("```").next().expect("a block ends")).collect()
}

fn commands() -> Vec<&'static str> {
    let lines = blocks("console").into_iter().flat_map(str::lines);
    lines.map(|line| line.strip_prefix("$ ").expect("a command line starts with `$ `")).collect()
}

/// What `cargo run … -- ` hands to seedbed, when that is what the command does.
fn arguments(command: &str) -> Option<Vec<&str>> {
    let run = command.strip_prefix("cargo run ")?;
    let (cargo, arguments) = run.split_once("-- ")?;
    assert!(["--release ", "--features planted "].contains(&cargo), "unknown flags: {command}");
    Some(arguments.split(' ').collect())
}

fn seedbed(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seedbed"));
    command.current_dir(ROOT).args(arguments).stdin(Stdio::null());
    command
}

fn runs(arguments: &[&str], expected: i32) {
    let output = seedbed(arguments).output().expect("the binary of this crate runs");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(expected), "{arguments:?}\n{out}\n{err}");
}

/// `serve` says where it listens, and stops when it is asked to.
fn serves() {
    let mut child = seedbed(&["serve", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary of this crate runs");
    let stdout = BufReader::new(child.stdout.take().expect("piped"));
    let said: Vec<String> = stdout
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.contains("127.0.0.1:"))
        .collect();
    let stopped = Command::new("kill").arg(child.id().to_string()).status();
    assert!(stopped.expect("kill").success(), "it is still there: {said:?}");
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(0), "after {said:?}");
}

/// A program of the repository, or a target of cargo.
fn exists(command: &str) {
    match command {
        "cargo bench" => assert!(Path::new(ROOT).join("benches/worlds/main.rs").exists()),
        script => {
            use std::os::unix::fs::PermissionsExt as _;
            let script = std::fs::metadata(Path::new(ROOT).join(script));
            let mode = script.unwrap_or_else(|_| panic!("no `{command}`")).permissions().mode();
            assert_eq!(mode & 0o111, 0o111, "{command} is executable");
        }
    }
}

#[test]
fn every_command_of_the_readme_does_what_it_says() {
    let all = commands();
    assert!(all.len() >= 10, "the README has commands: {all:?}");
    for command in all {
        match arguments(command) {
            None => exists(command),
            Some(words) if words == ["serve"] => serves(),
            Some(words) if words == ["run"] => runs(&["run", "--seeds", "5"], 0),
            Some(words) if words.contains(&"--plant") => runs(&words, 1),
            Some(words) => runs(&words, 0),
        }
    }
}

#[test]
fn the_scenario_of_the_readme_holds() {
    let [source] = blocks("toml")[..] else { panic!("the README has one scenario") };
    let folder = std::env::temp_dir().join(format!("seedbed-readme-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let path = folder.join("survives.toml");
    std::fs::write(&path, source).expect("written");
    let path_text = path.to_str().expect("a plain path");
    runs(&["check", path_text], 0);
    runs(&["run", path_text, "--seeds", "20"], 0);
    std::fs::remove_dir_all(&folder).expect("removed");
}
