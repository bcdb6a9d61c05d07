//! The shape of a source file: how it opens, how long it may be, what it may import and leave out.
//! Must never judge what rustfmt or clippy judges.

use super::Finding;
use super::source::{Path, Source};

pub const FILE_LINES_MAX: usize = 600;
pub const FUNCTION_LINES_MAX: usize = 70;
pub const COLUMNS_MAX: usize = 100;

/// Stages in the order in which they may import each other: only what stands before.
pub const STAGES: &[&str] = &[
    "env", "sync", "backend", "seed", "scenario", "plan", "trace", "verdict", "world", "systems",
    "search", "report", "cli",
];

/// What the backend may import of this crate.
const SEEN_BY_BACKEND: &[&str] = &["env", "sync", "events"];
/// Who may import the backend: the stage that makes it a system, and the command that serves it.
const SEE_BACKEND: &[&str] = &["systems", "cli"];

/// Never left in a file: the item as tokens, and what to do instead.
const LEFTOVERS: &[(&[&str], &str)] = &[
    (&["#", "[", "ignore"], "mend the test or remove it: a test that is not run claims nothing"),
    (&["todo", "!"], "write it"),
    (&["unimplemented", "!"], "write it, or refuse it with an error"),
    (&["dbg", "!"], "a `tracing` event"),
];

pub fn check(source: &Source) -> Vec<Finding> {
    [opening, length, functions, leftovers, allowances, stage].map(|rule| rule(source)).concat()
}

fn opening(source: &Source) -> Vec<Finding> {
    let header: Vec<&str> =
        source.text.lines().take_while(|line| line.starts_with("//!")).collect();
    let problem = if header.is_empty() {
        "opens without `//!`: say what the file is"
    } else if !header.join(" ").to_lowercase().contains("never") {
        "its `//!` does not say what the file must never do"
    } else {
        return Vec::new();
    };
    vec![Finding::new(source, 1, problem)]
}

fn length(source: &Source) -> Vec<Finding> {
    let count = source.text.lines().count();
    let long = (count >= FILE_LINES_MAX).then(|| {
        let message = format!("{count} lines, {FILE_LINES_MAX} or more: split the file by nouns");
        Finding::new(source, count, message)
    });
    let wide = columns(source);
    long.into_iter().chain(wide).collect()
}

/// Lines wider than the house allows.
pub fn columns(source: &Source) -> Vec<Finding> {
    let widths = source.text.lines().map(|line| line.chars().count()).enumerate();
    let wide = widths.filter(|(_, width)| *width > COLUMNS_MAX);
    wide.map(|(at, width)| {
        Finding::new(source, at + 1, format!("{width} columns, more than {COLUMNS_MAX}: break it"))
    })
    .collect()
}

fn functions(source: &Source) -> Vec<Finding> {
    let functions = source.functions().into_iter();
    let long = functions.filter(|function| function.lines >= FUNCTION_LINES_MAX);
    long.map(|function| {
        let (name, lines) = (function.name, function.lines);
        let message = format!("`{name}` has {lines} lines, {FUNCTION_LINES_MAX} or more: split it");
        Finding::new(source, function.line, message)
    })
    .collect()
}

fn leftovers(source: &Source) -> Vec<Finding> {
    let at = |item: &[&str]| -> Vec<usize> {
        (0..source.tokens.len()).filter(|&at| source.reads(at, item)).collect()
    };
    let found = LEFTOVERS.iter().flat_map(|(item, instead)| {
        at(item).into_iter().map(move |at| {
            let message = format!("`{}` is banned: {instead}", item.concat());
            Finding::new(source, source.tokens[at].line, message)
        })
    });
    let examples = source.text.lines().enumerate().filter(|(_, line)| {
        let line = line.trim_start();
        (line.starts_with("///") || line.starts_with("//!")) && line.contains("```ignore")
    });
    let examples = examples.map(|(at, _)| {
        Finding::new(source, at + 1, "an ignored example rots: make it run, or make it text")
    });
    found.chain(examples).collect()
}

/// `allow` and `expect` must argue: `reason = "…"`.
fn allowances(source: &Source) -> Vec<Finding> {
    let opens = |at: usize| {
        let inside = at + 1 + usize::from(source.reads(at, &["#", "!"]));
        let opens = |lint: &str| source.reads(inside, &["[", lint, "("]);
        source.reads(at, &["#"]) && (opens("allow") || opens("expect"))
    };
    let starts = (0..source.tokens.len()).filter(|&at| opens(at));
    let unargued = starts.filter(|&at| {
        let rest = &source.tokens[at..];
        let attribute = rest.iter().take_while(|token| token.text != "]");
        !attribute.into_iter().any(|token| token.text == "reason")
    });
    unargued
        .map(|at| {
            let message = "a lint is silenced without `reason = \"…\"`: argue, or mend the code";
            Finding::new(source, source.tokens[at].line, message)
        })
        .collect()
}

/// The stage a file belongs to; `None` outside the library and for its map.
fn stage_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let stage = inside.split('/').next()?.trim_end_matches(".rs");
    (!["lib", "main"].contains(&stage)).then_some(stage)
}

fn stage(source: &Source) -> Vec<Finding> {
    let Some(here) = stage_of(&source.path) else { return Vec::new() };
    let Some(rank) = STAGES.iter().position(|stage| *stage == here) else {
        return vec![Finding::new(source, 1, format!("`{here}` is no stage of the house"))];
    };
    let paths = source.paths();
    let imports = paths.iter().filter_map(|path| Some((path.line, target(source, path)?)));
    let wrong = imports.filter(|(_, target)| !may_import(here, rank, target));
    wrong
        .map(|(line, target)| {
            let message = format!(
                "`{here}` imports `{target}`: a stage imports only what stands before it \
                 (backend only env and sync; only systems and cli know the backend)"
            );
            Finding::new(source, line, message)
        })
        .collect()
}

fn may_import(here: &str, rank: usize, target: &str) -> bool {
    match (here, target) {
        (here, target) if here == target => true,
        ("backend", target) => SEEN_BY_BACKEND.contains(&target),
        (here, "backend") => SEE_BACKEND.contains(&here),
        (_, target) => STAGES.iter().position(|stage| *stage == target).is_none_or(|at| at < rank),
    }
}

/// The item of the crate's root that `path` leads through: `crate::env::Net` and, in `plan.rs`,
/// `super::env::Net` lead through `env`.
fn target(source: &Source, path: &Path) -> Option<String> {
    let mut module: Vec<&str> = source.path.strip_prefix("src/")?.split('/').collect();
    let file = module.pop()?.trim_end_matches(".rs");
    if file != "mod" {
        module.push(file);
    }
    let mut segments = path.segments.iter().map(String::as_str).peekable();
    match *segments.peek()? {
        "crate" => {
            segments.next();
            module.clear();
        }
        "super" => {
            while segments.next_if_eq(&"super").is_some() {
                module.pop();
            }
        }
        _ => return None,
    }
    if module.is_empty() { segments.next().map(str::to_owned) } else { None }
}
