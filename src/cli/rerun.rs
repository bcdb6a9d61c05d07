//! `seedbed rerun TOKEN`, hidden: one seed, told line by line for another process to compare.
//! Must never judge.

use std::fmt::Write as _;
use std::sync::Arc;

use super::run::{Bounds, check_plants};
use super::{Context, Exit, Stop, library, print};
use crate::search::{Runner, Token, lines};

#[derive(Debug, clap::Args)]
pub struct Args {
    token: Token,
    #[command(flatten)]
    bounds: Bounds,
    /// Every event and choice, before the digest
    #[arg(long)]
    lines: bool,
}

pub fn run(args: &Args, context: &Context) -> Result<Exit, Stop> {
    let runner = runner(&args.token, args.bounds, context)?;
    let run = runner
        .run(args.token.seed, args.lines)
        .map_err(|error| Stop { exit: Exit::Internal, message: error.to_string() })?;
    let mut out = String::new();
    for line in lines(&run.trace) {
        let _ = writeln!(out, "{line}");
    }
    let _ = writeln!(out, "digest {}", run.digest);
    print(&out)?;
    Ok(Exit::Held)
}

/// What runs `token`: its scenario loaded, its plants checked.
pub fn runner(token: &Token, bounds: Bounds, context: &Context) -> Result<Runner, Stop> {
    let file = library::find(&token.scenario)?;
    let scenario = library::load(&file, context)?;
    let known = context.of(&scenario);
    check_plants(&token.overrides.plants, &[known])?;
    Ok(Runner {
        system: Arc::clone(&known.system),
        scenario,
        overrides: token.overrides.clone(),
        wall_max: bounds.wall_max(),
    })
}
