//! What every expectation is made into for one key, and the small ones: `count`, `sequence`,
//! `never`, `eventually`. Must never see an event of another key.

use std::time::Duration;

use super::Broken;
use super::pattern::field;
use crate::env::Moment;
use crate::scenario::{Scope, show};
use crate::trace::{Event, EventIndex};

/// What a deadline depends on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    /// When the network is whole again, in a run with faults.
    pub heal: Option<Moment>,
}

impl Clock {
    /// `within` from `t`: from the healing on, if that comes later.
    pub fn deadline(self, t: Moment, within: Duration) -> Moment {
        self.heal.map_or(t, |heal| heal.max(t)) + within
    }
}

/// One expectation for one key, fed the events of the key.
pub(super) trait Automaton: Send {
    /// Takes an event that matches the patterns `roles`, by their number in the expectation.
    fn step(&mut self, event: &Event, roles: &[usize]) -> Result<(), Broken>;

    /// From now on the key is judged.
    fn begin(&mut self, _at: Moment) {}

    /// By when something must come, inclusive.
    fn due(&self, _clock: Clock) -> Option<Moment> {
        None
    }

    /// What to say once `due` has passed.
    fn late(&self) -> Broken {
        Broken::new("a deadline has passed")
    }

    /// Whether something must still come.
    fn owed(&self) -> bool {
        false
    }

    /// The trace is over.
    fn end(&self) -> Result<(), Broken> {
        Ok(())
    }

    /// Whether the expectation had a case here.
    fn active(&self) -> bool;

    /// The same in the same state, for a key that comes up late.
    fn copy(&self) -> Box<dyn Automaton>;
}

/// `never`, `once`, `3 times`
pub(super) fn times(count: u64) -> String {
    match count {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}

/// `count`: role 0.
#[derive(Clone, Debug)]
pub(super) struct Count {
    pub of: String,
    pub at_least: u64,
    pub at_most: Option<u64>,
    pub seen: Vec<EventIndex>,
}

impl Automaton for Count {
    fn step(&mut self, event: &Event, roles: &[usize]) -> Result<(), Broken> {
        if !roles.contains(&0) {
            return Ok(());
        }
        let count = self.seen.len() as u64 + 1;
        match self.at_most {
            Some(most) if count > most => {
                let message =
                    format!("`{}` came {}, expected at most {most}", self.of, times(count));
                return Err(
                    Broken::new(message).with(self.seen.iter().rev().take(3).rev().copied())
                );
            }
            _ => self.seen.push(event.index),
        }
        Ok(())
    }

    fn owed(&self) -> bool {
        (self.seen.len() as u64) < self.at_least
    }

    fn end(&self) -> Result<(), Broken> {
        if !self.owed() {
            return Ok(());
        }
        let (of, came, least) = (&self.of, times(self.seen.len() as u64), self.at_least);
        let message = format!("`{of}` came {came}, expected at least {least}");
        Err(Broken::new(message).with(self.seen.iter().copied()))
    }

    fn active(&self) -> bool {
        !self.seen.is_empty()
    }

    fn copy(&self) -> Box<dyn Automaton> {
        Box::new(self.clone())
    }
}

/// `sequence`: role 0.
#[derive(Clone, Debug)]
pub(super) struct Sequence {
    pub of: String,
    pub field: String,
    pub from: Option<i64>,
    pub last: Option<(i64, EventIndex)>,
    pub steps: u64,
}

impl Automaton for Sequence {
    fn step(&mut self, event: &Event, roles: &[usize]) -> Result<(), Broken> {
        if !roles.contains(&0) {
            return Ok(());
        }
        let (of, name) = (&self.of, &self.field);
        let Some(number) = field(event, name).and_then(|value| value.as_i64()) else {
            return Err(Broken::new(format!("`{of}` came without a number in `{name}`")));
        };
        let expected = match self.last {
            Some((last, _)) => last.checked_add(1),
            None => self.from,
        };
        let before = self.last.map(|(_, index)| index);
        self.steps += u64::from(self.last.is_some() || self.from.is_some());
        self.last = Some((number, event.index));
        match expected {
            Some(expected) if expected != number => {
                let message = format!("`{of}` came with {name} {number}, expected {expected}");
                Err(Broken::new(message).with(before))
            }
            _ => Ok(()),
        }
    }

    fn active(&self) -> bool {
        self.steps > 0
    }

    fn copy(&self) -> Box<dyn Automaton> {
        Box::new(self.clone())
    }
}

/// `never`: role 0 is forbidden; roles 1 and 2 are the ends of the scope.
#[derive(Clone, Debug)]
pub(super) struct Never {
    pub what: String,
    pub scope: Scope,
    pub open: bool,
    /// Which event opened it last, if one did.
    pub since: Option<EventIndex>,
    pub opened: bool,
}

impl Never {
    pub fn new(what: &str, scope: &Scope) -> Never {
        let open = matches!(scope, Scope::Always | Scope::Before(_));
        Never { what: what.to_owned(), scope: scope.clone(), open, since: None, opened: open }
    }

    fn move_scope(&mut self, event: &Event, roles: &[usize]) {
        let hit = |role: usize| roles.contains(&role);
        match (&self.scope, self.open) {
            (Scope::Between(..) | Scope::After(_), false) if hit(1) => {
                self.open = true;
                self.opened = true;
                self.since = Some(event.index);
            }
            (Scope::Between(..), true) if hit(2) => self.open = false,
            (Scope::Before(_), true) if hit(1) => self.open = false,
            _ => {}
        }
    }
}

impl Automaton for Never {
    /// Half-open: the event that opens a scope is inside, the one that closes it is outside.
    fn step(&mut self, event: &Event, roles: &[usize]) -> Result<(), Broken> {
        self.move_scope(event, roles);
        if !self.open || !roles.contains(&0) {
            return Ok(());
        }
        let scope = match &self.scope {
            Scope::Always => String::new(),
            Scope::Between(left, right) => format!(" between `{left}` and `{right}`"),
            Scope::After(left) => format!(" after `{left}`"),
            Scope::Before(right) => format!(" before `{right}`"),
        };
        Err(Broken::new(format!("`{}` came{scope} and never should", self.what)).with(self.since))
    }

    fn active(&self) -> bool {
        self.opened
    }

    fn copy(&self) -> Box<dyn Automaton> {
        Box::new(self.clone())
    }
}

/// `eventually`: role 0.
#[derive(Clone, Debug)]
pub(super) struct Eventually {
    pub what: String,
    pub within: Option<Duration>,
    pub since: Option<Moment>,
    pub seen: bool,
}

impl Automaton for Eventually {
    fn step(&mut self, _event: &Event, roles: &[usize]) -> Result<(), Broken> {
        self.seen |= roles.contains(&0);
        Ok(())
    }

    fn begin(&mut self, at: Moment) {
        self.since.get_or_insert(at);
    }

    fn due(&self, clock: Clock) -> Option<Moment> {
        let since = self.since.filter(|_| !self.seen)?;
        self.within.map(|within| clock.deadline(since, within))
    }

    fn late(&self) -> Broken {
        let within =
            self.within.map_or(String::new(), |within| format!(" within {}", show(within)));
        Broken::new(format!("`{}` never came{within}", self.what))
    }

    fn owed(&self) -> bool {
        !self.seen
    }

    fn end(&self) -> Result<(), Broken> {
        if self.seen { Ok(()) } else { Err(self.late()) }
    }

    fn active(&self) -> bool {
        self.since.is_some()
    }

    fn copy(&self) -> Box<dyn Automaton> {
        Box::new(self.clone())
    }
}
