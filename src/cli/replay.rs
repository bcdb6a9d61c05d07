//! `seedbed replay SCENARIO@SEED`: the events of one run, and whether a fresh process sees the
//! same. Must never say "reproduced" of what was not compared.

use std::fmt::Write as _;
use std::str::FromStr;

use super::run::Bounds;
use super::{Context, Exit, Stop, fresh, print, rerun};
use crate::report::{Human, ReportEvent, SeedReport, Sink as _, Verdict, event_line};
use crate::search::{Divergence, HarnessError, Run, Token, USUAL_CAUSES, lines};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What `run` printed, `cold_start@0x2f3a`, with or without overrides and digest
    #[arg(value_name = "SCENARIO@SEED")]
    token: Token,
    /// Only the events of these steps, both included: 100..200, 100.. or ..200
    #[arg(long, value_name = "FIRST..LAST", conflicts_with = "from")]
    steps: Option<Steps>,
    /// Only the events from this step on
    #[arg(long, value_name = "STEP")]
    from: Option<u64>,
    #[command(flatten)]
    bounds: Bounds,
}

/// Steps, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    first: u64,
    last: u64,
}

impl FromStr for Steps {
    type Err = String;

    fn from_str(text: &str) -> Result<Steps, String> {
        let error = || format!("`{text}` is no range of steps: expected 100..200, 100.. or ..200");
        let (first, last) = text.split_once("..").ok_or_else(error)?;
        let step = |text: &str, absent| match text {
            "" => Ok(absent),
            digits => digits.parse::<u64>().map_err(|_| error()),
        };
        let steps = Steps { first: step(first, 0)?, last: step(last, u64::MAX)? };
        if steps.first > steps.last {
            return Err(format!("`{text}` holds no step: its first is after its last"));
        }
        Ok(steps)
    }
}

pub fn run(args: &Args, context: &Context) -> Result<Exit, Stop> {
    let token = &args.token;
    let runner = rerun::runner(token, args.bounds, context)?;
    let internal =
        |error: HarnessError| Stop { exit: Exit::Internal, message: format!("error: {error}") };
    let run = runner.run(token.seed, true).map_err(internal)?;
    print(&events(args, &run))?;
    print(&story(context, &runner.scenario, token, &run))?;
    let fresh = fresh::rerun(token, args.bounds.wall_max, true)
        .map_err(|why| Stop::usage(format!("error: failed to run a fresh process: {why}")))?;
    if fresh.digest != run.digest.to_string() {
        print(&diverged(&run, &fresh))?;
        return Ok(Exit::Diverged);
    }
    if let Some(promised) = token.digest.as_ref().filter(|_| !token.agrees_with(run.digest)) {
        print(&other_history(promised, &run))?;
        return Ok(Exit::Diverged);
    }
    let verdict = Verdict::from(&run.outcome);
    print(&format!("Reproduced {token}: {verdict}, {} steps, digest {}\n", run.steps, run.digest))?;
    Ok(Exit::of(verdict))
}

fn events(args: &Args, run: &Run) -> String {
    let all = Steps { first: args.from.unwrap_or(0), last: u64::MAX };
    let steps = args.steps.unwrap_or(all);
    let mut out = format!("{}\n", run.plan);
    let _ = writeln!(out, "{:>7} {:>7} {:>10}  {:<12} event", "event", "step", "time", "host");
    let shown = |step: u64| (steps.first..=steps.last).contains(&step);
    for event in run.trace.events.iter().filter(|event| shown(event.step)) {
        let _ = writeln!(out, "{}", event_line(event));
    }
    out
}

/// The failing-run form of `run`, without its line about replaying.
fn story(
    context: &Context,
    scenario: &crate::scenario::Scenario,
    token: &Token,
    run: &Run,
) -> String {
    let seed = SeedReport { scenario, token, run: Ok(run), story: Some(&run.trace) };
    let mut out = String::new();
    Human::new(context.paint).event(&ReportEvent::SeedFinished(&seed), &mut out);
    format!("\n{out}")
}

fn diverged(run: &Run, fresh: &fresh::Fresh) -> String {
    let here: Vec<String> = lines(&run.trace).collect();
    let mut out = String::new();
    match Divergence::first(&here, &fresh.lines) {
        None => out.push_str("Diverged: two processes tell the same events with other digests\n"),
        Some(first) => {
            let step = first.step().map_or("the end".to_owned(), |step| format!("step {step}"));
            let _ = writeln!(out, "Diverged at {step}\n{first}");
        }
    }
    let _ = writeln!(out, "  digest {} here, {} in a fresh process", run.digest, fresh.digest);
    out.push_str("  usual causes\n");
    for cause in USUAL_CAUSES {
        let _ = writeln!(out, "  - {cause}");
    }
    out
}

fn other_history(promised: &str, run: &Run) -> String {
    format!(
        "Diverged from the digest of the token: expected {promised}, got {}\n  two processes of \
         this binary agree, so the code, the scenario or the binary is not the one that made the \
         token\n",
        run.digest,
    )
}

#[cfg(test)]
mod tests {
    use super::Steps;

    #[test]
    fn a_range_of_steps_has_two_ends_that_may_be_left_out() {
        assert_eq!("10..20".parse(), Ok(Steps { first: 10, last: 20 }));
        assert_eq!("10..".parse(), Ok(Steps { first: 10, last: u64::MAX }));
        assert_eq!("..20".parse(), Ok(Steps { first: 0, last: 20 }));
        for wrong in ["20..10", "10", "a..b", "-1..2", "1...2"] {
            assert!(wrong.parse::<Steps>().is_err(), "{wrong}");
        }
    }
}
