//! Scenario names and paths to scenario files: `./scenarios`, or the shipped ones where there is
//! no such folder. Must never guess: an unknown name is an error with the near ones.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::{Context, Stop};
use crate::scenario::{self, Diagnostic, Scenario};

const FOLDERS: [&str; 2] = ["scenarios", "scenarios/regressions"];

/// For a binary that is run away from its repository.
const SHIPPED: &[(&str, &str)] = &[
    ("scenarios/changed_minds.toml", include_str!("../../scenarios/changed_minds.toml")),
    ("scenarios/cold_start.toml", include_str!("../../scenarios/cold_start.toml")),
    ("scenarios/concurrent_users.toml", include_str!("../../scenarios/concurrent_users.toml")),
    ("scenarios/deploy.toml", include_str!("../../scenarios/deploy.toml")),
    ("scenarios/golden_path.toml", include_str!("../../scenarios/golden_path.toml")),
    ("scenarios/lost_commit.toml", include_str!("../../scenarios/lost_commit.toml")),
    ("scenarios/lost_update.toml", include_str!("../../scenarios/lost_update.toml")),
    ("scenarios/slow_answers.toml", include_str!("../../scenarios/slow_answers.toml")),
    ("scenarios/slow_readers.toml", include_str!("../../scenarios/slow_readers.toml")),
    ("scenarios/transfers.toml", include_str!("../../scenarios/transfers.toml")),
];

/// A scenario file, not yet parsed.
#[derive(Clone, Debug)]
pub struct File {
    /// What finds it again: its name, or the path that was given.
    pub reference: String,
    pub path: String,
    pub text: String,
}

/// The scenario's name: the file name without `.toml`.
pub fn name_of(path: &str) -> String {
    let stem = Path::new(path).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    stem.unwrap_or_default()
}

/// Every scenario that has a name, sorted by it.
pub fn all() -> Result<Vec<File>, Stop> {
    let mut files = if Path::new(FOLDERS[0]).is_dir() {
        let mut files = Vec::new();
        for folder in FOLDERS {
            files.extend(in_folder(Path::new(folder))?);
        }
        files
    } else {
        let shipped = |(path, text): &(&str, &str)| named(path, (*text).to_owned());
        SHIPPED.iter().map(shipped).collect()
    };
    files.sort_by(|left, right| left.reference.cmp(&right.reference));
    Ok(files)
}

fn named(path: &str, text: String) -> File {
    File { reference: name_of(path), path: path.to_owned(), text }
}

fn in_folder(folder: &Path) -> Result<Vec<File>, Stop> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let failed =
        |error| Stop::usage(format!("error: failed to read {}: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let path = path.to_string_lossy().into_owned();
            files.push(named(&path, read(&path)?));
        }
    }
    Ok(files)
}

/// Reads the file at `path` as a scenario that is addressed by its path.
pub fn open(path: &str) -> Result<File, Stop> {
    Ok(File { reference: path.to_owned(), path: path.to_owned(), text: read(path)? })
}

fn read(path: &str) -> Result<String, Stop> {
    fs::read_to_string(path)
        .map_err(|error| Stop::usage(format!("error: failed to read `{path}`: {error}")))
}

/// What `reference` means: a path when it looks like one, else a name.
pub fn find(reference: &str) -> Result<File, Stop> {
    if reference.contains('/') || Path::new(reference).extension().is_some() {
        return open(reference);
    }
    let files = all()?;
    if let Some(file) = files.iter().find(|file| file.reference == reference) {
        return Ok(file.clone());
    }
    let names: Vec<&str> = files.iter().map(|file| file.reference.as_str()).collect();
    Err(Stop::usage(unknown("scenario", reference, &names)))
}

/// One sentence: what there is no such thing of, and what is near.
pub fn unknown(what: &str, name: &str, names: &[&str]) -> String {
    let mut message = format!("error: there is no {what} `{name}`");
    let near = near(name, names);
    if !near.is_empty() {
        let _ = write!(message, "; near: {}", near.join(", "));
    } else if names.is_empty() {
        let _ = write!(message, "; there is none at all");
    } else {
        let _ = write!(message, "; there is: {}", names.join(", "));
    }
    message
}

/// Names that may have been meant, the nearest first, at most three.
fn near<'a>(name: &str, names: &[&'a str]) -> Vec<&'a str> {
    let mut scored: Vec<(f64, &str)> = names
        .iter()
        .map(|other| (strsim::jaro_winkler(name, other), *other))
        .filter(|(score, _)| *score > 0.75)
        .collect();
    scored.sort_by(|(left, _), (right, _)| right.total_cmp(left));
    scored.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Parses `file`. What is wrong with it is the message.
pub fn load(file: &File, context: &Context) -> Result<Arc<Scenario>, Stop> {
    let wrong = |found: &[Diagnostic]| {
        Stop::usage(scenario::render(found, &file.path, &file.text, context.paint.styled))
    };
    let chosen =
        scenario::choose(&file.text, &context.names()).map_err(|found| wrong(&[*found]))?;
    let vocabulary = &context.systems[chosen].vocabulary;
    let (scenario, found) =
        scenario::parse(&name_of(&file.path), &file.path, &file.text, vocabulary);
    scenario.map(Arc::new).ok_or_else(|| wrong(&found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_of_the_repository_is_shipped() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
        let mut named: Vec<String> =
            in_folder(Path::new(folder)).unwrap().into_iter().map(|file| file.reference).collect();
        named.sort();
        let shipped: Vec<String> = SHIPPED.iter().map(|(path, _)| name_of(path)).collect();
        assert_eq!(shipped, named);
    }

    #[test]
    fn the_nearest_names_are_told_and_all_of_them_when_none_is_near() {
        let names = ["cold_start", "golden_path"];
        let near = unknown("scenario", "colt_start", &names);
        assert_eq!(near, "error: there is no scenario `colt_start`; near: cold_start");
        let far = unknown("scenario", "zzz", &names);
        assert_eq!(far, "error: there is no scenario `zzz`; there is: cold_start, golden_path");
    }
}
