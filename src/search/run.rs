//! One seed, run on a thread of its own. Must never let one run see what another left behind:
//! std's map keys, thread-local generators and hyper's date cache live and die with the thread.

use std::any::Any;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::plan::{self, FaultPlan, Overrides, Plan};
use crate::scenario::Scenario;
use crate::seed::Seed;
use crate::systems::System;
use crate::trace::{Digest, Trace};
use crate::verdict::{Judge, Outcome, Tally};
use crate::world::{self, Cast, HostSpec, Reason};

/// Deep poll stacks (HTTP in WebSocket in TLS-free TCP, unoptimised) need more than std's 2 MiB.
const STACK_BYTES: usize = 8 << 20;

/// How to run seeds of one scenario.
#[derive(Clone)]
pub struct Runner {
    pub system: Arc<dyn System>,
    pub scenario: Arc<Scenario>,
    pub overrides: Overrides,
    /// Bound on the real time of one run.
    pub wall_max: Duration,
}

/// One finished run.
#[derive(Clone, Debug)]
pub struct Run {
    pub plan: Arc<Plan>,
    pub outcome: Outcome,
    pub tally: Tally,
    pub digest: Digest,
    pub steps: u64,
    pub choices: u64,
    /// Virtual time at the end.
    pub sim: Duration,
    /// Real time; the only field that differs when the seed is run again.
    pub wall: Duration,
    /// Empty of events and choices unless the run was recorded.
    pub trace: Trace,
    /// Faults of the plan that the engine cannot do.
    pub left_out: Vec<FaultPlan>,
}

/// The harness itself panicked: our bug, never the system's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the harness panicked at seed {seed}: {message}")]
pub struct HarnessError {
    pub seed: Seed,
    pub message: String,
}

impl Runner {
    /// Runs `seed` to its end. The trace keeps its events only if `record`.
    pub fn run(&self, seed: Seed, record: bool) -> Result<Run, HarnessError> {
        let error = |message| HarnessError { seed, message };
        thread::scope(|scope| {
            let thread =
                thread::Builder::new().name(format!("seed {seed}")).stack_size(STACK_BYTES);
            let run = thread.spawn_scoped(scope, || self.run_here(seed, record));
            let run = run.map_err(|refused| error(format!("no thread for it: {refused}")))?;
            run.join().map_err(|payload| error(message_of(payload.as_ref())))
        })
    }

    fn run_here(&self, seed: Seed, record: bool) -> Run {
        let plan = Arc::new(plan::draw(&self.scenario, seed, &self.overrides));
        let mut judge = Judge::new(&self.scenario, &plan, self.system.invariants(&plan));
        let cast = Runner::cast_of(&self.system, &plan);
        let begun = Instant::now();
        let ended = world::run(&plan, cast, &mut judge, record, self.wall_max);
        let wall = begun.elapsed();
        if ended.reason == Reason::StepBudget {
            judge.livelock(&ended.end);
        }
        let (judged, tally) = judge.finish(&ended.end, cut(&ended.reason, self.wall_max));
        Run {
            outcome: outcome(&ended.reason, judged),
            tally,
            digest: ended.trace.digest,
            steps: ended.trace.steps,
            choices: ended.trace.choices_made,
            sim: ended.trace.end.0,
            wall,
            trace: ended.trace,
            left_out: ended.left_out,
            plan,
        }
    }

    /// Everybody whom `plan` puts on stage.
    pub fn cast_of(system: &Arc<dyn System>, plan: &Arc<Plan>) -> Cast {
        let user = |user: &plan::UserPlan| {
            let (system, plan, user) = (Arc::clone(system), Arc::clone(plan), user.clone());
            let name = user.name.clone();
            HostSpec { name, start: Arc::new(move |env| system.user(env, &user, &plan)) }
        };
        Cast { hosts: system.hosts(plan), users: plan.users.iter().map(user).collect() }
    }
}

/// Why a run was cut before its end, if it was.
fn cut(reason: &Reason, wall_max: Duration) -> Option<String> {
    match reason {
        Reason::Rested | Reason::Stopped | Reason::QuiesceOver => None,
        Reason::StepBudget => Some("cut by its step budget".to_owned()),
        Reason::WallBudget => Some(format!("cut after {wall_max:?} of real time")),
        Reason::Escaped(who) => Some(format!("a task escaped the world: {who}")),
    }
}

/// A run with a task outside the world proves nothing, whatever the judge saw of it.
fn outcome(reason: &Reason, judged: Outcome) -> Outcome {
    match reason {
        Reason::Escaped(who) => Outcome::Diverged(format!("a task escaped the world: {who}")),
        _ => judged,
    }
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".to_owned())
}
