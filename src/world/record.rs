//! The recorder: numbers steps, events and choices, keeps causes, and feeds the digest.
//! Must never decide anything.

use std::sync::Arc;

use super::exec::HostId;
use crate::env::Moment;
use crate::trace::{Choice, Event, EventIndex, Hasher, Trace, Value};

/// The task that runs now, as events see it.
#[derive(Clone, Copy, Default)]
struct Current {
    /// `None`: the world itself.
    host: Option<HostId>,
    task: &'static str,
    cause: Option<EventIndex>,
}

pub struct Recorder {
    now: Moment,
    step: u64,
    hasher: Hasher,
    current: Current,
    /// Events that the observer has not seen yet.
    fresh: Vec<Event>,
    next_event: EventIndex,
    /// Kept only when `record`.
    trace: Trace,
    record: bool,
    choices: u64,
    /// Set while a crashed host's tasks are dropped: the dead tell nothing.
    muted: bool,
    closed: bool,
    /// The world's own name, then those of its hosts.
    world_name: Arc<str>,
    host_names: Vec<Arc<str>>,
}

impl Recorder {
    pub fn new(record: bool, host_names: Vec<Arc<str>>) -> Recorder {
        Recorder {
            now: Moment::default(),
            step: 0,
            hasher: Hasher::default(),
            current: Current::default(),
            fresh: Vec::new(),
            next_event: 0,
            trace: Trace::default(),
            record,
            choices: 0,
            muted: false,
            closed: false,
            world_name: "world".into(),
            host_names,
        }
    }

    pub fn now(&self) -> Moment {
        self.now
    }

    pub fn advance(&mut self, to: Moment) {
        assert!(to >= self.now, "time runs backwards");
        self.now = to;
    }

    pub fn steps(&self) -> u64 {
        self.step
    }

    /// A task begins to run.
    pub fn enter(&mut self, host: HostId, task: &'static str, cause: Option<EventIndex>) {
        self.step += u64::from(!self.closed);
        self.current = Current { host: Some(host), task, cause };
    }

    /// It stopped running; what it knows by now.
    pub fn leave(&mut self) -> Option<EventIndex> {
        std::mem::take(&mut self.current).cause
    }

    pub fn cause(&self) -> Option<EventIndex> {
        self.current.cause
    }

    /// Whoever runs now learns what happened up to `cause`.
    pub fn learn(&mut self, cause: Option<EventIndex>) {
        self.current.cause = self.current.cause.max(cause);
    }

    pub fn mute(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// Nothing more is recorded.
    pub fn close(&mut self) {
        self.closed = true;
    }

    pub fn event(&mut self, name: &'static str, fields: Vec<(&'static str, Value)>) {
        if self.muted || self.closed {
            return;
        }
        let host = self.current.host.map_or(&self.world_name, |host| &self.host_names[host]);
        let event = Event {
            index: self.next_event,
            step: self.step,
            at: self.now,
            host: Arc::clone(host),
            task: self.current.task,
            name,
            fields,
            cause: self.current.cause,
        };
        self.next_event += 1;
        self.current.cause = Some(event.index);
        self.hasher.event(&event);
        self.fresh.push(event);
    }

    pub fn choice(&mut self, stream: &'static str, among: u64, chosen: u64) {
        if self.closed {
            return;
        }
        self.choices += 1;
        self.hasher.choice(among, chosen);
        if self.record {
            self.trace.choices.push(Choice { stream, among, chosen });
        }
    }

    pub fn has_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// Moves the events that nobody has seen into `into`, which must be empty.
    pub fn take_fresh(&mut self, into: &mut Vec<Event>) {
        debug_assert!(into.is_empty(), "events are seen once");
        std::mem::swap(&mut self.fresh, into);
    }

    /// Keeps what the observer has seen, or lets it go.
    pub fn keep(&mut self, seen: &mut Vec<Event>) {
        if self.record {
            self.trace.events.append(seen);
        } else {
            seen.clear();
        }
    }

    /// The whole history; the recorder is done.
    pub fn finish(&mut self) -> Trace {
        self.trace.digest = self.hasher.digest();
        self.trace.steps = self.step;
        self.trace.choices_made = self.choices;
        self.trace.end = self.now;
        std::mem::take(&mut self.trace)
    }
}
