//! The commands that run nothing: `check`, `list`, `events`, `explain`.
//! Must never print what a scenario or a catalogue does not say itself.

use std::fmt::Write as _;

use super::library::{self, File};
use super::{Context, Exit, Stop, print};
use crate::env::EventSpec;
use crate::verdict;

#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Scenario files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// A scenario by name or by path
    scenario: String,
}

/// Tells of every file, not only up to the first that is wrong.
pub fn check(args: &CheckArgs, context: &Context) -> Result<Exit, Stop> {
    let mut wrong = Vec::new();
    for path in &args.files {
        match library::open(path).and_then(|file| library::load(&file, context)) {
            Ok(scenario) => {
                let (expects, users) = (scenario.expects.len(), scenario.user_names().len());
                print(&format!("{path}: fine; {expects} expectations, {users} users\n"))?;
            }
            Err(stop) => wrong.push(stop.message.trim_end().to_owned()),
        }
    }
    if wrong.is_empty() { Ok(Exit::Held) } else { Err(Stop::usage(wrong.join("\n\n"))) }
}

/// A file that does not parse is listed too, and makes the exit code 2.
pub fn list(context: &Context) -> Result<Exit, Stop> {
    let files = library::all()?;
    if files.is_empty() {
        let message = "error: nothing selected: there is no scenario in ./scenarios".to_owned();
        return Err(Stop { exit: Exit::NothingSelected, message });
    }
    let width = files.iter().map(|file| file.reference.len()).max().unwrap_or(0);
    let mut wrong = Vec::new();
    for file in &files {
        let about = match library::load(file, context) {
            Ok(scenario) => format!("{:>6} seeds  {}", scenario.run.seeds, scenario.title),
            Err(stop) => {
                wrong.push(stop.message);
                String::from("does not parse")
            }
        };
        print(&format!("{:<width$}  {about}\n", file.reference))?;
    }
    if wrong.is_empty() { Ok(Exit::Held) } else { Err(Stop::usage(wrong.join("\n"))) }
}

pub fn events(context: &Context) -> Result<Exit, Stop> {
    let mut out = String::new();
    let mut told: Vec<&EventSpec> = Vec::new();
    for (at, known) in context.systems.iter().enumerate() {
        if at > 0 {
            let name = known.system.name();
            let _ = writeln!(out, "\nof {name} alone ([system] name = \"{name}\"):");
        }
        for event in &known.vocabulary.events {
            if told.contains(&event) {
                continue;
            }
            told.push(event);
            let fields = event.fields.iter().map(|field| field.trim_start_matches("r#"));
            let fields: Vec<&str> = fields.collect();
            let _ = writeln!(out, "{}({})\n    {}", event.name, fields.join(", "), event.about);
        }
    }
    print(&out)?;
    Ok(Exit::Held)
}

pub fn explain(args: &ExplainArgs, context: &Context) -> Result<Exit, Stop> {
    let file: File = library::find(&args.scenario)?;
    let scenario = library::load(&file, context)?;
    let mut out = format!("{}: {}\n", scenario.name, scenario.title);
    let _ = writeln!(out, "{}\n", scenario.about);
    out.push_str(&verdict::explain(&scenario));
    out.push_str("\nand the invariants of the system, in every run:\n");
    for invariant in &context.of(&scenario).vocabulary.invariants {
        let waived = scenario.waivers.iter().find(|waiver| waiver.invariant == invariant.name);
        let note = waived.map_or(String::new(), |waiver| format!("  (waived: {})", waiver.why));
        let _ = writeln!(out, "{:<4} {}{note}", invariant.name, invariant.about);
    }
    print(&out)?;
    Ok(Exit::Held)
}
