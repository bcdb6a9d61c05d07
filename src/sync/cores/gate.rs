//! The admission gate: a state, and those whom it holds until the state decides about them.
//! Must never admit by a state that was replaced, nor forget whom it holds.

use std::time::Duration;

use super::waiters::{Guarded, Queue, Waiting, Wakes, nothing_to_pass_on};

/// What a state means for whoever asks to enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Admit,
    Hold,
    Refuse,
}

/// How asking to enter ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    Admitted,
    Refused,
    /// Held until its limit passed.
    TimedOut,
    /// As many are held as may be.
    Full,
}

pub struct Gate<S> {
    inside: Guarded<Inside<S>>,
    capacity: usize,
    verdict: fn(&S) -> Admission,
}

pub struct Inside<S> {
    state: S,
    held: Queue<Entry>,
    watchers: Queue<()>,
}

impl<S> Inside<S> {
    fn held(&mut self) -> &mut Queue<Entry> {
        &mut self.held
    }

    fn watchers(&mut self) -> &mut Queue<()> {
        &mut self.watchers
    }
}

/// An answer, or the wait for one.
pub enum Asked<'a, S, T, A> {
    Answered(A),
    Waits(Waiting<'a, Inside<S>, T>),
}

impl<S: Clone> Gate<S> {
    pub fn new(state: S, capacity: usize, verdict: fn(&S) -> Admission) -> Gate<S> {
        let inside = Inside { state, held: Queue::default(), watchers: Queue::default() };
        Gate { inside: Guarded::new(inside), capacity, verdict }
    }

    pub fn state(&self) -> S {
        self.inside.step(|inside, _| inside.state.clone())
    }

    pub fn held(&self) -> usize {
        self.inside.step(|inside, _| inside.held.waiting())
    }

    /// Changes the state and decides about everybody held, in order of arrival, in one step.
    pub fn update<R>(&self, f: impl FnOnce(&mut S) -> R) -> R {
        self.inside.step(|inside, wakes| {
            let result = f(&mut inside.state);
            match (self.verdict)(&inside.state) {
                Admission::Admit => inside.held.answer_all(&Entry::Admitted, wakes),
                Admission::Refuse => inside.held.answer_all(&Entry::Refused, wakes),
                Admission::Hold => {}
            }
            inside.watchers.answer_all(&(), wakes);
            result
        })
    }

    /// Asks to enter at `now`; if it must be held, until `deadline` (both of the caller's clock).
    pub fn ask(&self, now: Duration, deadline: Duration) -> Asked<'_, S, Entry, Entry> {
        let decision = self.inside.step(|inside, wakes| match (self.verdict)(&inside.state) {
            Admission::Admit => Err(Entry::Admitted),
            Admission::Refuse => Err(Entry::Refused),
            Admission::Hold => self.hold(inside, now, deadline, wakes),
        });
        match decision {
            Err(entry) => Asked::Answered(entry),
            Ok(ticket) => {
                Asked::Waits(Waiting::new(&self.inside, ticket, Inside::held, nothing_to_pass_on))
            }
        }
    }

    /// Whoever's deadline has passed makes room first, even if its task has not yet noticed.
    fn hold(
        &self,
        inside: &mut Inside<S>,
        now: Duration,
        deadline: Duration,
        wakes: &mut Wakes,
    ) -> Result<u64, Entry> {
        if inside.held.waiting() >= self.capacity {
            inside.held.expire(now, &Entry::TimedOut, wakes);
        }
        if inside.held.waiting() >= self.capacity {
            return Err(Entry::Full);
        }
        Ok(inside.held.join_until(deadline))
    }

    /// The state if it satisfies `wanted`; else the wait for its next change.
    pub fn watch(&self, wanted: impl FnOnce(&S) -> bool) -> Asked<'_, S, (), S> {
        let found = self.inside.step(|inside, _| {
            if wanted(&inside.state) {
                Ok(inside.state.clone())
            } else {
                Err(inside.watchers.join())
            }
        });
        match found {
            Ok(state) => Asked::Answered(state),
            Err(ticket) => Asked::Waits(Waiting::new(
                &self.inside,
                ticket,
                Inside::watchers,
                nothing_to_pass_on,
            )),
        }
    }
}
