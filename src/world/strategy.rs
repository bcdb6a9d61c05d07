//! Which runnable task goes next. A strategy sees task ids and draws from the schedule stream;
//! it must never see time, hosts or events.

use std::collections::BTreeMap;

use crate::plan;
use crate::seed::Stream;

/// A task, by the order of its birth in this world.
pub type TaskId = u64;

/// Picks the next task. Deterministic in its own state and the stream it is given.
pub trait Strategy: Send {
    /// An index into `runnable`, which is never empty and is in the order of becoming runnable.
    fn pick(&mut self, runnable: &[TaskId], stream: &mut Stream) -> usize;

    /// A task was born.
    fn born(&mut self, _task: TaskId, _stream: &mut Stream) {}

    /// A task has ended.
    fn ended(&mut self, _task: TaskId) {}

    /// The liveness phase begins: from now on every runnable task must run at last.
    fn be_fair(&mut self) {}
}

/// The strategy a plan names.
pub fn of(plan: plan::Strategy, stream: &mut Stream) -> Box<dyn Strategy> {
    match plan {
        plan::Strategy::Fifo => Box::new(Fifo),
        plan::Strategy::Random => Box::new(Random),
        plan::Strategy::Pct { depth } => Box::new(Pct::new(depth, stream)),
    }
}

/// First come, first served: what a plain executor does.
pub struct Fifo;

impl Strategy for Fifo {
    fn pick(&mut self, _runnable: &[TaskId], _stream: &mut Stream) -> usize {
        0
    }
}

/// A random walk: every runnable task is as likely as every other.
pub struct Random;

impl Strategy for Random {
    fn pick(&mut self, runnable: &[TaskId], stream: &mut Stream) -> usize {
        stream.index(runnable.len())
    }
}

/// Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte: "A Randomized
/// Scheduler with Probabilistic Guarantees of Finding Bugs", ASPLOS 2010): the runnable task of
/// the highest priority goes; at `depth - 1` drawn steps the one that would go falls to the bottom.
pub struct Pct {
    priorities: BTreeMap<TaskId, u64>,
    /// Steps at which the picked task falls, latest first.
    changes: Vec<u64>,
    steps: u64,
    bottom: u64,
    fair: bool,
}

/// Priorities of newborn tasks lie above this, fallen ones below.
const FALLEN: u64 = 1 << 32;

impl Pct {
    pub fn new(depth: u32, stream: &mut Stream) -> Pct {
        // The length of the run is not known: its magnitude is drawn, 64 to 16,384 steps.
        let length = 64_u64 << stream.below(9);
        let mut changes: Vec<u64> = (1..depth).map(|_| stream.below(length)).collect();
        changes.sort_unstable_by(|a, b| b.cmp(a));
        Pct { priorities: BTreeMap::new(), changes, steps: 0, bottom: FALLEN, fair: false }
    }

    fn highest(&self, runnable: &[TaskId]) -> usize {
        let priority = |index: &usize| self.priorities.get(&runnable[*index]).copied();
        (0..runnable.len()).rev().max_by_key(priority).expect("something is runnable")
    }
}

impl Strategy for Pct {
    fn pick(&mut self, runnable: &[TaskId], stream: &mut Stream) -> usize {
        if self.fair {
            return stream.index(runnable.len());
        }
        self.steps += 1;
        while self.changes.last().is_some_and(|at| *at < self.steps) {
            self.changes.pop();
            let fallen = runnable[self.highest(runnable)];
            self.bottom -= 1;
            self.priorities.insert(fallen, self.bottom);
        }
        self.highest(runnable)
    }

    fn born(&mut self, task: TaskId, stream: &mut Stream) {
        self.priorities.insert(task, FALLEN + stream.below(1 << 32));
    }

    fn ended(&mut self, task: TaskId) {
        self.priorities.remove(&task);
    }

    fn be_fair(&mut self) {
        self.fair = true;
    }
}
