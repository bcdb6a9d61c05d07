//! The recorder: numbers steps, events and choices, keeps causes, and feeds the digest.
//! Must never decide anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Duration;

use super::exec::{HostId, Step};
use super::strategy::TaskId;
use crate::env::Moment;
use crate::trace::{Choice, Event, EventIndex, Hasher, Trace, Value};

/// Who waits to be woken.
#[derive(Clone, Debug)]
pub enum Sleeper {
    /// A task that was polled with its own waker: its id says as much.
    Task(TaskId),
    Other(Waker),
}

/// What every poll wants to know: virtual time, the cause of whoever runs, and who that is. Only
/// the recorder writes it, on the same thread: the atomics order nothing.
#[derive(Debug, Default)]
pub struct Glance {
    now_ns: AtomicU64,
    /// The event's index plus one; 0 is none.
    cause: AtomicU64,
    task: AtomicU64,
    /// Where the data of its waker lie, which nothing else does while it runs; 0: nobody runs.
    waker: AtomicUsize,
}

impl Glance {
    pub fn now(&self) -> Moment {
        Moment(Duration::from_nanos(self.now_ns.load(Ordering::Relaxed)))
    }

    pub fn cause(&self) -> Option<EventIndex> {
        let cause = self.cause.load(Ordering::Relaxed).checked_sub(1)?;
        Some(EventIndex::try_from(cause).expect("it was an index plus one"))
    }

    /// Who waits with this waker.
    pub fn sleeper(&self, waker: &Waker) -> Sleeper {
        let data = waker.data().addr();
        if data != 0 && data == self.waker.load(Ordering::Relaxed) {
            Sleeper::Task(self.task.load(Ordering::Relaxed))
        } else {
            Sleeper::Other(waker.clone())
        }
    }

    fn set_cause(&self, cause: Option<EventIndex>) {
        self.cause.store(cause.map_or(0, |index| u64::from(index) + 1), Ordering::Relaxed);
    }
}

/// The task that runs now, as events see it.
#[derive(Clone, Copy, Default)]
struct Current {
    /// `None`: the world itself.
    host: Option<HostId>,
    task: &'static str,
}

pub struct Recorder {
    glance: Arc<Glance>,
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
            glance: Arc::default(),
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

    pub fn glance(&self) -> Arc<Glance> {
        Arc::clone(&self.glance)
    }

    pub fn now(&self) -> Moment {
        self.glance.now()
    }

    pub fn advance(&mut self, to: Moment) {
        assert!(to >= self.now(), "time runs backwards");
        let nanos = u64::try_from(to.0.as_nanos()).expect("virtual time is below 500 years");
        self.glance.now_ns.store(nanos, Ordering::Relaxed);
    }

    /// What the loop wants to know after a step.
    pub fn ran(&self) -> Step {
        Step::Ran { steps: self.step, fresh: !self.fresh.is_empty() }
    }

    pub fn steps(&self) -> u64 {
        self.step
    }

    /// A task begins to run.
    pub fn enter(&mut self, host: HostId, task: &'static str, cause: Option<EventIndex>) {
        self.step += u64::from(!self.closed);
        self.current = Current { host: Some(host), task };
        self.glance.set_cause(cause);
    }

    /// It is polled with this waker.
    pub fn polls(&self, task: TaskId, waker: &Waker) {
        self.glance.task.store(task, Ordering::Relaxed);
        self.glance.waker.store(waker.data().addr(), Ordering::Relaxed);
    }

    /// It stopped running; what it knows by now.
    pub fn leave(&mut self) -> Option<EventIndex> {
        self.current = Current::default();
        self.glance.waker.store(0, Ordering::Relaxed);
        let cause = self.cause();
        self.glance.set_cause(None);
        cause
    }

    pub fn cause(&self) -> Option<EventIndex> {
        self.glance.cause()
    }

    /// Whoever runs now learns what happened up to `cause`.
    pub fn learn(&mut self, cause: Option<EventIndex>) {
        self.glance.set_cause(self.cause().max(cause));
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
            at: self.now(),
            host: Arc::clone(host),
            task: self.current.task,
            name,
            fields,
            cause: self.cause(),
        };
        self.next_event += 1;
        self.glance.set_cause(Some(event.index));
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
        self.trace.end = self.now();
        std::mem::take(&mut self.trace)
    }
}
