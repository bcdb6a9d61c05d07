//! The house keeps its rules: every source of the repository is held against them, and each rule
//! is shown to fire. Must never skip a file, nor be quieted by a list of exceptions to one.

mod fence;
mod files;
mod shape;
mod source;

use std::fmt;
use std::path::Path;

use source::Source;

/// A broken rule: where, what, and what to do instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    path: String,
    line: usize,
    message: String,
}

impl Finding {
    fn new(source: &Source, line: usize, message: impl Into<String>) -> Finding {
        Finding { path: source.path.clone(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Files under `folder` whose name ends in `.extension`, sorted; none without the folder.
fn sources(folder: &str, extension: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut found, mut folders) = (Vec::new(), vec![root.join(folder)]);
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("a folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(read(path.strip_prefix(root).expect("it is below the root")));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn read(path: &Path) -> Source {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Source::new(&path.to_string_lossy(), &text)
}

fn rust_sources() -> Vec<Source> {
    ["src", "tests", "benches"].iter().flat_map(|folder| sources(folder, "rs")).collect()
}

fn assert_tidy(findings: &[Finding]) {
    let list: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert!(list.is_empty(), "{} house rules broken:\n{}\n", list.len(), list.join("\n"));
}

#[test]
fn every_source_keeps_within_the_fence() {
    let sources = rust_sources();
    assert!(sources.len() > 50, "the walk found the repository");
    assert_tidy(&sources.iter().flat_map(fence::check).collect::<Vec<_>>());
}

#[test]
fn every_source_has_the_shape_of_the_house() {
    assert_tidy(&rust_sources().iter().flat_map(shape::check).collect::<Vec<_>>());
}

#[test]
fn every_dependency_has_a_reason() {
    let manifest = read(Path::new("Cargo.toml"));
    assert_tidy(&[files::dependencies(&manifest), shape::columns(&manifest)].concat());
}

#[test]
fn every_scenario_says_what_it_proves() {
    let scenarios = sources("scenarios", "toml");
    let silent = scenarios.iter().flat_map(files::scenario);
    assert_tidy(&silent.chain(scenarios.iter().flat_map(shape::columns)).collect::<Vec<_>>());
}

#[test]
fn every_snapshot_has_its_test() {
    let (tests, snapshots) = (rust_sources(), sources("snapshots", "snap"));
    let orphans = snapshots.iter().flat_map(|file| files::snapshot(file, &tests));
    assert_tidy(&orphans.collect::<Vec<_>>());
}

#[test]
fn every_test_file_is_compiled() {
    let main = read(Path::new("tests/it/main.rs"));
    let tests = sources("tests/it", "rs");
    assert_tidy(&tests.iter().flat_map(|file| files::orphan(file, &main)).collect::<Vec<_>>());
}

/// The findings of `rule` on a file of this text, as printed.
fn said(rule: fn(&Source) -> Vec<Finding>, path: &str, text: &str) -> Vec<String> {
    rule(&Source::new(path, text)).iter().map(Finding::to_string).collect()
}

#[track_caller]
fn fires(rule: fn(&Source) -> Vec<Finding>, path: &str, text: &str, expected: &str) {
    let said = said(rule, path, text);
    assert!(said.iter().any(|line| line.contains(expected)), "`{text}` in {path}: {said:?}");
}

#[track_caller]
fn silent(rule: fn(&Source) -> Vec<Finding>, path: &str, text: &str) {
    assert_eq!(said(rule, path, text), [""; 0], "`{text}` in {path}");
}

const IN_BACKEND: &str = "src/backend/x.rs";

#[test]
fn each_row_of_the_fence_fires_where_it_bans_and_is_silent_where_it_allows() {
    for ban in fence::FENCE {
        for item in ban.items {
            let item = item.replace('*', "X");
            let line = if item.ends_with('!') { format!("{item}()") } else { format!("{item}::x") };
            fires(fence::check, IN_BACKEND, &line, ban.instead);
            fires(fence::check, "src/world/postgres/x.rs", &line, ban.instead);
            fires(fence::check, "src/systems/backend/x.rs", &line, ban.instead);
            for place in ban.allowed {
                let said = said(fence::check, &format!("{place}x.rs"), &line);
                assert!(said.iter().all(|line| !line.contains(ban.instead)), "{said:?}");
            }
        }
    }
}

#[test]
fn a_breach_names_the_place_the_item_and_the_way_out() {
    let text = "//! x\nuse std::{io, sync::{Arc, Mutex}};\n";
    let expected = "src/backend/x.rs:2: `Mutex` is banned here: use `sync/`: \
                    each of its operations is a scheduling point";
    assert_eq!(said(fence::check, IN_BACKEND, text), [expected]);
}

#[test]
fn the_fence_sees_through_imports_and_renames() {
    fires(
        fence::check,
        IN_BACKEND,
        "use tokio as t;\nuse std::sync as s; s::Mutex::new(1)",
        "Mutex",
    );
    fires(fence::check, IN_BACKEND, "use tokio::{io, time::{self, sleep}};", "`tokio::time`");
    fires(
        fence::check,
        IN_BACKEND,
        "pub use std::collections::{BTreeMap, HashMap as M};",
        "HashMap",
    );
    fires(fence::check, IN_BACKEND, "fn f() { let now = std::time::Instant::now(); }", "Instant");
}

#[test]
fn what_comments_and_strings_say_is_free() {
    let text = r##"
        //! SystemTime
        /* HashMap /* nested */ HashMap */
        const A: &str = "SystemTime \" SystemTime";
        const B: &str = r#"SystemTime " SystemTime"#;
        fn f<'a>(c: char, b: &'a [u8]) -> bool { c == '"' || c == '\'' || b == b"HashMap" }
    "##;
    silent(fence::check, IN_BACKEND, text);
    fires(fence::check, IN_BACKEND, &format!("{text} SystemTime"), "src/backend/x.rs:7:");
}

#[test]
fn an_unbiased_select_and_a_digested_float_are_caught() {
    fires(fence::check, "src/cli/x.rs", "tokio::select! { a = b => c }", "without `biased`");
    silent(fence::check, "src/cli/x.rs", "tokio::select! { biased; a = b => c }");
    fires(fence::check, "src/trace/x.rs", "let x: f64 = 1.0;", "parts in a million");
    silent(fence::check, "src/report/x.rs", "let x: f64 = 1.0;");
}

const HEADER: &str = "//! What it is. Must never do more.\n";

#[test]
fn a_file_that_opens_without_saying_why_is_caught() {
    fires(shape::check, IN_BACKEND, "fn f() {}", "src/backend/x.rs:1: opens without `//!`");
    fires(shape::check, IN_BACKEND, "//! What it is.\n", "what the file must never do");
    silent(shape::check, IN_BACKEND, HEADER);
}

#[test]
fn length_is_caught_at_the_bound() {
    let file = |lines: usize| format!("{HEADER}{}", "\n".repeat(lines - 1));
    silent(shape::check, IN_BACKEND, &file(shape::FILE_LINES_MAX - 1));
    fires(shape::check, IN_BACKEND, &file(shape::FILE_LINES_MAX), "600 lines");
    let line = |columns: usize| format!("{HEADER}// {}", "é".repeat(columns - 3));
    silent(shape::check, IN_BACKEND, &line(shape::COLUMNS_MAX));
    fires(shape::check, IN_BACKEND, &line(shape::COLUMNS_MAX + 1), "101 columns");
    let function = |lines: usize| {
        let body = "\n".repeat(lines - 1);
        format!(
            "{HEADER}trait T {{ fn g(a: [u8; 4]); }}\nfn long(f: fn() -> u8) {{ {{}} {body}}}\n"
        )
    };
    silent(shape::check, IN_BACKEND, &function(shape::FUNCTION_LINES_MAX - 1));
    fires(shape::check, IN_BACKEND, &function(shape::FUNCTION_LINES_MAX), "x.rs:3: `long` has 70");
}

#[test]
fn leftovers_are_caught() {
    fires(shape::check, "tests/x.rs", "#[ignore = \"slow\"]", "`#[ignore` is banned");
    fires(shape::check, "tests/x.rs", "fn f() { todo!() }", "`todo!` is banned");
    fires(shape::check, "tests/x.rs", "fn f() { unimplemented!() }", "`unimplemented!` is banned");
    fires(shape::check, "tests/x.rs", "fn f() { dbg!(1) }", "`dbg!` is banned");
    fires(shape::check, "src/lib.rs", "/// ```ignore", "an ignored example rots");
    fires(shape::check, IN_BACKEND, "#![allow(dead_code)]", "silenced without `reason");
    fires(shape::check, IN_BACKEND, "#[expect(dead_code)]", "silenced without `reason");
    silent(shape::check, IN_BACKEND, &format!("{HEADER}#[allow(dead_code, reason = \"x\")]"));
}

#[test]
fn a_stage_that_imports_what_stands_after_it_is_caught() {
    fires(shape::check, "src/trace/x.rs", "use crate::world::run;", "`trace` imports `world`");
    fires(shape::check, "src/trace/mod.rs", "use super::world::run;", "`trace` imports `world`");
    fires(shape::check, "src/plan.rs", "use crate::{env::Net, world};", "`plan` imports `world`");
    fires(shape::check, IN_BACKEND, "use crate::seed::Seed;", "`backend` imports `seed`");
    fires(shape::check, "src/world/x.rs", "use crate::backend::X;", "`world` imports `backend`");
    fires(shape::check, "src/search/x.rs", "crate::backend::X", "`search` imports `backend`");
    fires(shape::check, "src/misc/x.rs", "", "`misc` is no stage of the house");
    for (path, text) in [
        ("src/world/net/x.rs", "use super::super::clock::X; use crate::trace::Event;"),
        ("src/systems/backend/x.rs", "use crate::backend::X;"),
        ("src/backend/x.rs", "use crate::sync::Gate; crate::events! {}"),
        ("src/plan.rs", "mod tests { use super::*; }"),
        ("src/lib.rs", "use crate::cli::X;"),
    ] {
        silent(shape::check, path, &format!("{HEADER}{text}"));
    }
}

#[test]
fn a_dependency_without_a_reason_is_caught() {
    let text = "[package]\nname = \"x\"\n\n[dependencies]\nserde = \"1\"\n";
    fires(files::dependencies, "Cargo.toml", text, "Cargo.toml:5: `serde` is there without");
    let text = "[dependencies]\nserde = \"1\" # wire\n# wire\nbytes = \"1\"\n[profile]\na = 1\n";
    silent(files::dependencies, "Cargo.toml", text);
}

#[test]
fn a_silent_scenario_is_caught() {
    fires(files::scenario, "scenarios/x.toml", "schema = 1\n", "say what the scenario proves");
    fires(files::scenario, "scenarios/x.toml", "#\nschema = 1\n", "say what the scenario proves");
    silent(files::scenario, "scenarios/x.toml", "# Proves: it is served.\nschema = 1\n");
}

#[test]
fn a_snapshot_without_its_test_is_caught() {
    let tests = [Source::new("tests/it/x.rs", "fn list_shows_all() {} \"named\"")];
    let said = |name: &str, text: &str| {
        let file = Source::new(&format!("snapshots/it__x__{name}.snap"), text);
        files::snapshot(&file, &tests).iter().map(Finding::to_string).collect::<Vec<_>>().concat()
    };
    let header = "---\nsource: tests/it/x.rs\n---\n";
    assert!(said("gone", header).contains("no test in tests/it/x.rs makes `gone`"));
    assert!(said("named", "---\nsource: tests/it/y.rs\n---\n").contains("tests/it/y.rs is gone"));
    assert!(said("named", "text").contains("no `source:` line"));
    for kept in ["named", "list_shows_all", "list_shows_all-2"] {
        assert_eq!(said(kept, header), "");
    }
}

#[test]
fn a_test_file_that_nobody_compiles_is_caught() {
    let main = Source::new("tests/it/main.rs", "mod tidy;\nmod kept;");
    let lost = Source::new("tests/it/lost.rs", "");
    let said = files::orphan(&lost, &main);
    assert_eq!(said[0].to_string().split(':').next(), Some("tests/it/lost.rs"));
    assert_eq!(files::orphan(&Source::new("tests/it/kept.rs", ""), &main), []);
    assert_eq!(files::orphan(&Source::new("tests/it/tidy/shape.rs", ""), &main), []);
}
