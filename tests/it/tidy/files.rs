//! Rules on what is not Rust: dependencies, scenarios, snapshots, and tests that nobody compiles.
//! Must never read anything but the texts it is given.

use super::Finding;
use super::source::Source;

/// Every dependency says why it is there, beside it or on the line above.
pub fn dependencies(manifest: &Source) -> Vec<Finding> {
    let (mut findings, mut inside, mut above) = (Vec::new(), false, "");
    for (at, line) in manifest.text.lines().enumerate() {
        if line.starts_with('[') {
            inside = line.contains("dependencies");
        }
        let is_dependency = inside && line.starts_with(|c: char| c.is_alphanumeric());
        if is_dependency && !line.contains(" # ") && !above.starts_with('#') {
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            let message = format!("`{name}` is there without a reason: add `# why`");
            findings.push(Finding::new(manifest, at + 1, message));
        }
        above = line;
    }
    findings
}

/// A scenario opens with a comment that says what it proves.
pub fn scenario(file: &Source) -> Vec<Finding> {
    let first = file.text.lines().next().unwrap_or_default();
    let says = first.strip_prefix('#').is_some_and(|rest| !rest.trim().is_empty());
    let silent = (!says)
        .then(|| Finding::new(file, 1, "opens without a comment: say what the scenario proves"));
    silent.into_iter().collect()
}

/// A snapshot names its test, and the test names it.
pub fn snapshot(file: &Source, tests: &[Source]) -> Vec<Finding> {
    let stem = file.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".snap");
    let name = stem.rsplit("__").next().unwrap_or_default();
    let origin = file.text.lines().find_map(|line| line.strip_prefix("source: "));
    let test = tests.iter().find(|test| origin.is_some_and(|origin| origin.trim() == test.path));
    let problem = match (origin, test) {
        (None, _) => "has no `source:` line: no test made it".to_owned(),
        (Some(origin), None) => format!("its test file {origin} is gone: remove it"),
        (_, Some(test)) if !mentions(test, name) => {
            format!("no test in {} makes `{name}`: remove it", test.path)
        }
        _ => return Vec::new(),
    };
    vec![Finding::new(file, 1, problem)]
}

/// Whether a test of this name, or a snapshot named so, is in `test`. insta drops `test_` and adds
/// `-2`, `-3` to the later snapshots of one function.
fn mentions(test: &Source, name: &str) -> bool {
    let counted = name.rsplit_once('-').filter(|(_, n)| n.bytes().all(|b| b.is_ascii_digit()));
    let plain = counted.map_or(name, |(plain, _)| plain);
    [name, plain].iter().any(|name| {
        test.text.contains(&format!("\"{name}\""))
            || test.text.contains(&format!("fn {name}("))
            || test.text.contains(&format!("fn test_{name}("))
    })
}

/// A file beside `main.rs` of the integration tests that it does not declare is never run.
pub fn orphan(file: &Source, main: &Source) -> Vec<Finding> {
    let Some(name) = file.path.strip_prefix("tests/it/").and_then(|at| at.strip_suffix(".rs"))
    else {
        return Vec::new();
    };
    let declared = |at: usize| main.reads(at, &["mod", name, ";"]);
    let lost = !name.contains('/') && name != "main" && !(0..main.tokens.len()).any(declared);
    let message = "is not a module of tests/it/main.rs: its tests never run";
    lost.then(|| Finding::new(file, 1, message)).into_iter().collect()
}
