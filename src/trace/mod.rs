//! The recorded history: a total order of events with step, virtual time, host, task and cause,
//! and its digest. Must never interpret an event.

mod digest;
mod value;

pub use digest::{Digest, Hasher};
pub use value::Value;

use std::sync::Arc;

use crate::env::Moment;

/// Position of an event in its trace, from 0.
pub type EventIndex = u32;

/// One thing that happened. No two are simultaneous: the index is the order.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub index: EventIndex,
    /// The scheduler's step in which it happened.
    pub step: u64,
    pub at: Moment,
    /// `gateway`, `db`, `ana/1`; `world` for the world itself.
    pub host: Arc<str>,
    /// The task's name; empty for the world itself.
    pub task: &'static str,
    /// `gateway.accepted`
    pub name: &'static str,
    pub fields: Vec<(&'static str, Value)>,
    /// The latest event that this one causally follows: by the same task, a message, a wake-up.
    pub cause: Option<EventIndex>,
}

impl Event {
    /// The field `name`, when the event has it.
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The field `name` as text; `None` when absent or no text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.field(name).and_then(Value::as_str)
    }

    /// The field `name` as a number; `None` when absent or no number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.field(name).and_then(Value::as_i64)
    }
}

/// One decision of the world: which of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// `schedule`, `latency`, `segment`, `fault`.
    pub stream: &'static str,
    pub among: u64,
    pub chosen: u64,
}

/// A whole history.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    pub events: Vec<Event>,
    pub choices: Vec<Choice>,
    /// Choices made, kept in `choices` or not.
    pub choices_made: u64,
    pub digest: Digest,
    /// Scheduler steps taken.
    pub steps: u64,
    /// Virtual time at the end.
    pub end: Moment,
}

/// Who reads a trace while it is made. The world asks it after every event.
pub trait Observer: Send {
    /// Takes the next event; `false` asks the world to stop here.
    fn event(&mut self, event: &Event) -> bool;

    /// Whether something is still due: the world goes on until nothing is, or quiesce is over.
    fn owed(&self) -> bool;
}
