//! A stop-watch for benchmarks: where the time of a run goes. Off unless [`metered`] runs it, and
//! then it reads a real clock that no host sees. Must never change what a run does.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use super::exec::HostId;

/// What the world works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The run queue, timers and everything not named below.
    Scheduler,
    /// Sockets, segments, arrivals.
    Network,
    /// Whoever reads the trace.
    Observer,
    /// The tasks of a host, by its position: the system's hosts first, then the users.
    Host(HostId),
}

/// Time by part.
pub type Shares = std::collections::BTreeMap<Part, Duration>;

struct Meter {
    shares: Shares,
    part: Part,
    since: Instant,
}

impl Meter {
    fn turn_to(&mut self, part: Part) -> Part {
        let now = Instant::now();
        *self.shares.entry(self.part).or_default() += now - self.since;
        self.since = now;
        std::mem::replace(&mut self.part, part)
    }
}

thread_local! {
    /// Whether there is one: asked at every turn, so it must cost next to nothing.
    static METERED: Cell<bool> = const { Cell::new(false) };
    static METER: RefCell<Option<Meter>> = const { RefCell::new(None) };
}

/// Runs `work` and tells where its time went.
pub fn metered<T>(work: impl FnOnce() -> T) -> (T, Shares) {
    let meter = Meter { shares: Shares::new(), part: Part::Scheduler, since: Instant::now() };
    METER.set(Some(meter));
    METERED.set(true);
    let result = work();
    METERED.set(false);
    let mut meter = METER.take().expect("set above");
    meter.turn_to(Part::Scheduler);
    (result, meter.shares)
}

/// Charges what `work` takes to `part`.
pub fn charge<T>(part: Part, work: impl FnOnce() -> T) -> T {
    if !METERED.get() {
        return work();
    }
    let before = METER.with_borrow_mut(|meter| meter.as_mut().map(|meter| meter.turn_to(part)));
    let result = work();
    if let Some(before) = before {
        METER.with_borrow_mut(|meter| meter.as_mut().map(|meter| meter.turn_to(before)));
    }
    result
}
