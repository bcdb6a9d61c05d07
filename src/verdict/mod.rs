//! What a history means: expectations and invariants, fed event by event, on line.
//! Must never know which system made the events, nor change anything.

mod automata;
mod explain;
mod judge;
mod matches;
mod monitor;
mod order;
mod pattern;
mod response;
mod tally;

pub use explain::explain;
pub use judge::Judge;
pub use tally::{ExpectTally, Finding, Lack, Tally};

use std::fmt::Debug;
use std::ops::Range;

use crate::env::Moment;
use crate::trace::{Event, EventIndex};

/// The meaning of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Held,
    Violated(Violation),
    /// A step or wall-clock budget cut the run.
    Inconclusive(String),
    /// Nondeterminism: a leak out of the world, or our bug. The text says where.
    Diverged(String),
}

/// An expectation or invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The expectation's id, or the invariant's (`I13`).
    pub id: String,
    /// One sentence with the names of the run: who, what, when.
    pub message: String,
    pub step: u64,
    pub at: Moment,
    /// Where the expectation stands in the scenario's source; `None` for an invariant.
    pub span: Option<Range<usize>>,
    /// The events that show it, the deciding one last.
    pub events: Vec<EventIndex>,
}

/// How a run ended, for checks that are made at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    pub at: Moment,
    pub step: u64,
    /// Tasks still alive when the world had come to rest: host, task name, how many.
    pub left: Vec<(String, &'static str, usize)>,
}

/// Why an invariant does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub message: String,
    /// Earlier events that belong to the story; the deciding event is added by the caller.
    pub events: Vec<EventIndex>,
}

impl Broken {
    pub fn new(message: impl Into<String>) -> Broken {
        Broken { message: message.into(), events: Vec::new() }
    }

    #[must_use]
    pub fn with(mut self, events: impl IntoIterator<Item = EventIndex>) -> Broken {
        self.events.extend(events);
        self
    }
}

/// A built-in check of a system, in force in every run of every scenario.
pub trait Invariant: Send + Debug {
    /// `I13`
    fn id(&self) -> &'static str;

    /// The names of the events that it is shown: no other would change what it knows.
    fn reads(&self) -> &'static [&'static str];

    fn event(&mut self, event: &Event) -> Result<(), Broken>;

    /// Now and then, before an event of that moment: what should have come by `now` and did not
    /// is broken here.
    fn overdue(&mut self, _now: Moment) -> Result<(), Broken> {
        Ok(())
    }

    /// At the end of the liveness phase; what is owed and did not come is broken here.
    fn end(&mut self, _end: &End) -> Result<(), Broken> {
        Ok(())
    }

    /// Whether something is still due: keeps the world running, up to quiesce.
    fn owed(&self) -> bool {
        false
    }
}
