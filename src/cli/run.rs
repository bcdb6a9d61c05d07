//! `seedbed run`: campaigns of one scenario after the other, told while they run.
//! Must never let the number of threads, the format or a terminal change a verdict.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use super::library::{self, File};
use super::{Context, Exit, Known, Stop, fresh, print, signals};
use crate::plan::{Engine, Overrides, Strategy};
use crate::report::{
    GitHub, Human, JUnit, Json, Progress, ReportEvent, ScenarioReport, SeedReport, Sink, Summary,
};
use crate::scenario::Scenario;
use crate::search::{Campaign, HarnessError, Ran, Run, Runner, Token};
use crate::seed::Seed;
use crate::trace::Trace;
use crate::verdict::{Outcome, Tally};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Scenarios by name (in ./scenarios) or by path; all of them by default
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// How many seeds; each scenario's own number by default
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// The first seed: decimal, 0x hex, or a 40-digit git hash
    #[arg(long, value_name = "SEED", default_value = "0")]
    from: Seed,
    /// Worker threads; one a processor by default
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    #[command(flatten)]
    overrides: OverrideArgs,
    /// How the report is written to stdout
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Stop after so many failed seeds of a scenario
    #[arg(long, value_name = "N")]
    max_fail: Option<NonZeroUsize>,
    /// Seeds of each scenario that run again in a fresh process, to compare digests
    #[arg(long, value_name = "N", default_value_t = 3)]
    recheck: u64,
    /// Exit codes for `git bisect run`: 0 held, 1 violated, 125 anything else
    #[arg(long)]
    bisect: bool,
}

/// What is fixed instead of left to the seed. All but the wall bound enters the token.
#[derive(Clone, Debug, clap::Args)]
pub struct OverrideArgs {
    /// native or turmoil
    #[arg(long)]
    engine: Option<Engine>,
    /// fifo, random or pct1 to pct9
    #[arg(long)]
    strategy: Option<Strategy>,
    /// A hazard to switch on, such as H01; may be repeated
    #[arg(long, value_name = "HAZARD", value_delimiter = ',')]
    plant: Vec<String>,
    #[command(flatten)]
    pub bounds: Bounds,
}

#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Bounds {
    /// Seconds of real time after which one run is cut and counts as inconclusive
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub wall_max: u64,
}

impl Bounds {
    pub fn wall_max(self) -> Duration {
        Duration::from_secs(self.wall_max)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Human,
    Json,
    Junit,
    Github,
}

pub fn run(args: &Args, context: &Context) -> Result<Exit, Stop> {
    let files = match args.scenarios.as_slice() {
        [] => library::all()?,
        some => some.iter().map(|name| library::find(name)).collect::<Result<_, _>>()?,
    };
    let load = |file: File| Ok((library::load(&file, context)?, file.reference));
    let scenarios = files.into_iter().map(load).collect::<Result<Vec<_>, Stop>>()?;
    let used: Vec<&Known> = scenarios.iter().map(|(scenario, _)| context.of(scenario)).collect();
    let overrides = overrides(&args.overrides, &used)?;
    if scenarios.is_empty() || args.seeds == Some(0) {
        let message = "error: nothing selected: no scenario, or no seed";
        return Err(Stop { exit: Exit::NothingSelected, message: message.to_owned() });
    }
    let stop = signals::stop_flag()
        .map_err(|error| Stop::usage(format!("error: failed to watch for Ctrl-C: {error}")))?;
    let mut session = Session::new(args, context, stop);
    for (scenario, reference) in scenarios {
        let wall_max = args.overrides.bounds.wall_max();
        let known = context.of(&scenario);
        let (system, overrides) = (Arc::clone(&known.system), of_system(&overrides, known));
        session.scenario(&Runner { system, scenario, overrides, wall_max }, reference)?;
        if session.summary.interrupted {
            break;
        }
    }
    session.finish()
}

/// Checks the plants against what this binary can plant in what runs.
fn overrides(args: &OverrideArgs, used: &[&Known]) -> Result<Overrides, Stop> {
    check_plants(&args.plant, used)?;
    let plants: BTreeSet<String> = args.plant.iter().cloned().collect();
    let plants = plants.into_iter().collect();
    Ok(Overrides { engine: args.engine, strategy: args.strategy, plants })
}

/// The same without the plants of other systems.
fn of_system(overrides: &Overrides, known: &Known) -> Overrides {
    let own = |plant: &&String| known.vocabulary.plants.iter().any(|own| own.name == **plant);
    let plants = overrides.plants.iter().filter(own).cloned().collect();
    Overrides { plants, ..overrides.clone() }
}

/// Refuses a plant that none of the systems in use has, or that was not compiled in.
pub fn check_plants(plants: &[String], used: &[&Known]) -> Result<(), Stop> {
    let known = used.iter().flat_map(|known| &known.vocabulary.plants);
    let known: Vec<&str> = known.map(|plant| plant.name).collect();
    match plants.iter().find(|plant| !known.contains(&plant.as_str())) {
        None => Ok(()),
        Some(plant) if known.is_empty() => Err(Stop::usage(format!(
            "error: this binary holds no planted hazards, so `{plant}` cannot be switched on; \
             build one that does: cargo build --release --features planted"
        ))),
        Some(plant) => Err(Stop::usage(library::unknown("hazard to plant", plant, &known))),
    }
}

/// Everything that runs in one invocation.
struct Session<'a> {
    args: &'a Args,
    sink: Box<dyn Sink>,
    progress: Progress,
    stop: Arc<AtomicBool>,
    summary: Summary,
    begun: Instant,
}

impl Session<'_> {
    fn new<'a>(args: &'a Args, context: &Context, stop: Arc<AtomicBool>) -> Session<'a> {
        let sink: Box<dyn Sink> = match args.format {
            Format::Human => Box::new(Human::new(context.paint)),
            Format::Json => Box::new(Json),
            Format::Junit => Box::new(JUnit::default()),
            Format::Github => Box::new(GitHub::default()),
        };
        let progress = Progress::new(io::stderr().is_terminal());
        Session { args, sink, progress, stop, summary: Summary::default(), begun: Instant::now() }
    }

    fn tell(&mut self, event: &ReportEvent<'_>) -> Result<(), Stop> {
        let mut out = String::new();
        self.sink.event(event, &mut out);
        self.progress.event(event);
        if out.is_empty() { Ok(()) } else { self.progress.suspend(|| print(&out)) }
    }

    fn scenario(&mut self, runner: &Runner, reference: String) -> Result<(), Stop> {
        let scenario = Arc::clone(&runner.scenario);
        let (first, count) = (self.args.from, self.args.seeds.unwrap_or(scenario.run.seeds));
        let processors = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let jobs = self.args.jobs.unwrap_or_else(processors);
        self.tell(&ReportEvent::ScenarioStarted { scenario: &scenario, first, seeds: count })?;
        let (begun, stop) = (Instant::now(), Arc::clone(&self.stop));
        let mut told = Telling::new(self, runner, reference);
        let campaign = Campaign { first, count, jobs };
        let ran = campaign.run(runner, &stop, &mut |seed, run| told.receive(seed, run));
        let Telling { mut report, tally, stopped, .. } = told;
        if let Some(stop) = stopped {
            return Err(stop);
        }
        report.wall = begun.elapsed();
        report.findings = tally.campaign(&scenario, report.left_out.is_empty());
        self.tell(&ReportEvent::ScenarioFinished { scenario: &scenario, report: &report })?;
        self.summary.interrupted = ran == Ran::Interrupted;
        self.summary.scenarios.push(report);
        Ok(())
    }

    fn finish(mut self) -> Result<Exit, Stop> {
        self.summary.wall = self.begun.elapsed();
        let summary = std::mem::take(&mut self.summary);
        self.tell(&ReportEvent::Finished(&summary))?;
        Ok(Exit::of_summary(&summary))
    }
}

/// Receives the runs of one scenario, in seed order.
struct Telling<'a, 'b> {
    session: &'a mut Session<'b>,
    runner: &'a Runner,
    reference: String,
    scenario: Arc<Scenario>,
    report: ScenarioReport,
    tally: Tally,
    /// Failures whose story has been told.
    stories: BTreeSet<String>,
    stopped: Option<Stop>,
}

impl Telling<'_, '_> {
    fn new<'a, 'b>(
        session: &'a mut Session<'b>,
        runner: &'a Runner,
        reference: String,
    ) -> Telling<'a, 'b> {
        let scenario = Arc::clone(&runner.scenario);
        let report = ScenarioReport::new(&scenario.name);
        let (tally, stories) = (Tally::default(), BTreeSet::new());
        Telling { session, runner, reference, scenario, report, tally, stories, stopped: None }
    }

    fn receive(&mut self, seed: Seed, mut run: Result<Run, HarnessError>) -> ControlFlow<()> {
        let token = Token::new(self.reference.clone(), seed, &self.runner.overrides);
        if let Ok(run) = &mut run {
            if self.is_rechecked(seed) {
                self.recheck(&token, run);
            }
            self.tally.merge(&run.tally);
        }
        let story = self.story(&mut run);
        let token = match &run {
            Ok(run) if run.outcome != Outcome::Held => token.with_digest(run.digest),
            _ => token,
        };
        let (scenario, story) = (Arc::clone(&self.scenario), story.as_ref());
        let seed = SeedReport { scenario: &scenario, token: &token, run: run.as_ref(), story };
        self.report.add(&seed);
        match self.session.tell(&ReportEvent::SeedFinished(&seed)) {
            Ok(()) => self.enough(),
            Err(stop) => {
                self.stopped = Some(stop);
                ControlFlow::Break(())
            }
        }
    }

    fn recheck(&self, token: &Token, run: &mut Run) {
        let Err(why) = fresh::recheck(self.runner, token, run) else { return };
        // Ctrl-C ends a child too, and that is nobody's fault.
        if !self.session.stop.load(Ordering::Relaxed) {
            let warn = || eprintln!("warning: {token} was not run in a fresh process: {why}");
            self.session.progress.suspend(warn);
        }
    }

    /// The recorded history of the first failure of its kind: the seed, run again.
    fn story(&mut self, run: &mut Result<Run, HarnessError>) -> Option<Trace> {
        let Ok(run) = run else { return None };
        let Outcome::Violated(violation) = &run.outcome else { return None };
        if !self.session.sink.wants_stories() || !self.stories.insert(violation.id.clone()) {
            return None;
        }
        let again = self.runner.run(run.plan.seed, true).ok()?;
        if again.digest == run.digest {
            return Some(again.trace);
        }
        let digests = format!("trace {} first, {} when run again", run.digest, again.digest);
        run.outcome = Outcome::Diverged(digests);
        None
    }

    fn enough(&self) -> ControlFlow<()> {
        let failed = self.report.counts.failed();
        match self.session.args.max_fail {
            Some(max) if failed >= max.get() as u64 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }

    /// A share of the seeds, spread evenly; none once Ctrl-C asked to hurry.
    fn is_rechecked(&self, seed: Seed) -> bool {
        let count = self.session.args.seeds.unwrap_or(self.scenario.run.seeds);
        let position = seed.0.wrapping_sub(self.session.args.from.0);
        let share = self.session.args.recheck.min(count);
        let hurry = self.session.stop.load(Ordering::Relaxed);
        share > 0 && !hurry && position.is_multiple_of(count.div_ceil(share))
    }
}
