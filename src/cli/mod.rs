//! The command line: what was typed, what it resolves to, what runs, and the exit code.
//! Must never let an environment variable change a trace.

mod catalogue;
mod exit;
mod fresh;
mod library;
mod log;
mod pg;
mod replay;
mod rerun;
mod run;
mod serve;
mod signals;

pub use exit::Exit;

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use clap::{Parser, Subcommand, ValueEnum};

use crate::report::Paint;
use crate::scenario::{Scenario, Vocabulary};
use crate::systems::System;

/// Rehearses a real-time backend inside a deterministic world: one seed decides the schedule, the
/// network, the clock, the faults and the users.
#[derive(Debug, Parser)]
#[command(name = "seedbed", version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Colours in the report
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    color: Color,
}

const EXIT_CODES: &str = "\
Exit codes: 0 held; 1 violated, or a campaign was vacuous; 2 usage, scenario or environment error; \
3 diverged (not deterministic); 4 nothing selected; 5 inconclusive; 70 internal error; \
130 interrupted.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenarios over many seeds and judge each run
    Run(run::Args),
    /// Run one seed again and tell its events
    Replay(replay::Args),
    /// Check scenario files without running them
    Check(catalogue::CheckArgs),
    /// List the scenarios that `run` would run
    List,
    /// List the events that scenarios can name
    Events,
    /// Say what a scenario expects, in sentences
    Explain(catalogue::ExplainArgs),
    /// Serve the backend for real
    Serve(serve::Args),
    /// Serve the world's PostgreSQL alone, for psql, drivers and test programs
    Pg(pg::Args),
    /// One seed in a fresh process, for comparison
    #[command(hide = true)]
    Rerun(rerun::Args),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

/// A system, and the words it adds to scenario files.
struct Known {
    system: Arc<dyn System>,
    vocabulary: Vocabulary,
}

/// What every command works with.
struct Context {
    /// At least one; the first is meant where a scenario names none.
    systems: Vec<Known>,
    paint: Paint,
}

impl Context {
    fn names(&self) -> Vec<&'static str> {
        self.systems.iter().map(|known| known.system.name()).collect()
    }

    /// What `scenario`, which was loaded with this context, runs on.
    fn of(&self, scenario: &Scenario) -> &Known {
        let named = |known: &&Known| scenario.system.as_deref() == Some(known.system.name());
        self.systems.iter().find(named).unwrap_or(&self.systems[0])
    }
}

/// A sentence for stderr and the exit code that goes with it.
#[derive(Debug)]
struct Stop {
    exit: Exit,
    message: String,
}

impl Stop {
    fn usage(message: impl Into<String>) -> Stop {
        Stop { exit: Exit::Usage, message: message.into() }
    }
}

/// Runs the command line `args` (the program's name first) against `systems`. A scenario that
/// names none is for the first of them.
pub fn main(args: Vec<OsString>, systems: Vec<Arc<dyn System>>) -> u8 {
    assert!(!systems.is_empty(), "there is something to run");
    let bisect = args.iter().any(|arg| arg == "--bisect");
    let code = |exit: Exit| if bisect { exit.under_bisect() } else { exit.code() };
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(asked) if !asked.use_stderr() => {
            let _ = asked.print();
            return Exit::Held.code();
        }
        Err(wrong) => {
            let _ = wrong.print();
            return code(Exit::Usage);
        }
    };
    let styled = match cli.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    };
    let known = |system: Arc<dyn System>| Known { vocabulary: system.vocabulary(), system };
    let systems = systems.into_iter().map(known).collect();
    let context = Context { systems, paint: Paint { styled } };
    match catch_unwind(AssertUnwindSafe(|| dispatch(cli.command, &context))) {
        Ok(Ok(exit)) => code(exit),
        Err(_panicked) => code(Exit::Internal),
        Ok(Err(stop)) => {
            let message = stop.message.trim_end();
            let _ = writeln!(io::stderr(), "{message}");
            code(stop.exit)
        }
    }
}

fn dispatch(command: Command, context: &Context) -> Result<Exit, Stop> {
    match command {
        Command::Run(args) => run::run(&args, context),
        Command::Replay(args) => replay::run(&args, context),
        Command::Check(args) => catalogue::check(&args, context),
        Command::List => catalogue::list(context),
        Command::Events => catalogue::events(context),
        Command::Explain(args) => catalogue::explain(&args, context),
        Command::Serve(args) => serve::run(&args),
        Command::Pg(args) => pg::run(&args),
        Command::Rerun(args) => rerun::run(&args, context),
    }
}

/// Prints the report. A reader that has gone (`| head`) ends the process quietly: what it wanted
/// it has.
fn print(text: &str) -> Result<(), Stop> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(141),
        Err(error) => Err(Stop::usage(format!("error: failed to write the report: {error}"))),
    }
}
