//! Virtual time: timers in the order of their deadlines. Must never read a real clock.

use std::collections::BTreeMap;
use std::time::Duration;

use super::record::Sleeper;
use crate::env::Moment;

/// The wall clock of every host at the start of the world, but for its skew: 2026-01-01 UTC.
pub const EPOCH_UNIX_MS: u64 = 1_767_225_600_000;

/// Everything happens on whole milliseconds: coarse instants coincide, and what coincides may go
/// in either order. It is also the resolution of tokio's timers.
pub const TICK: Duration = Duration::from_millis(1);

/// The first tick at or after `moment`.
pub fn ceil(moment: Moment) -> Moment {
    let beyond = moment.0.subsec_nanos() % TICK.subsec_nanos();
    if beyond == 0 {
        moment
    } else {
        moment + TICK.checked_sub(Duration::from_nanos(beyond.into())).unwrap()
    }
}

/// A timer's deadline and number: timers of one instant fire in the order they were set.
pub type TimerKey = (Moment, u64);

#[derive(Default)]
pub struct Timers {
    due: BTreeMap<TimerKey, Sleeper>,
    next: u64,
}

impl Timers {
    pub fn set(&mut self, deadline: Moment, sleeper: Sleeper) -> TimerKey {
        self.next += 1;
        let key = (deadline, self.next);
        self.due.insert(key, sleeper);
        key
    }

    /// Somebody else waits for the timer.
    pub fn update(&mut self, key: TimerKey, sleeper: Sleeper) {
        if let Some(known) = self.due.get_mut(&key) {
            *known = sleeper;
        }
    }

    pub fn clear(&mut self, key: TimerKey) {
        self.due.remove(&key);
    }

    pub fn next_deadline(&self) -> Option<Moment> {
        self.due.first_key_value().map(|(key, _)| key.0)
    }

    /// Takes one timer that is due.
    pub fn pop_due(&mut self, now: Moment) -> Option<Sleeper> {
        let first = self.due.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}
