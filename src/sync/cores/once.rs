//! Single flight: one initialises, the others wait for its value; if it gives up, the next in
//! line takes its turn. Must never let two initialise at once.

use super::waiters::{Guarded, Queue, Waiting, Wakes};

pub struct Once<T>(Guarded<Inside<T>>);

pub struct Inside<T> {
    phase: Phase<T>,
    waiters: Queue<Answer<T>>,
}

enum Phase<T> {
    Empty,
    Running,
    Done(T),
}

/// What a waiter is told.
#[derive(Clone)]
pub enum Answer<T> {
    Value(T),
    /// It is the waiter's turn to initialise.
    Turn,
}

impl<T> Inside<T> {
    /// Hands the turn to the next in line; nobody has it when nobody waits.
    fn pass_on(&mut self, wakes: &mut Wakes) {
        if self.waiters.answer_first(Answer::Turn, wakes).is_err() {
            self.phase = Phase::Empty;
        }
    }
}

/// Where a caller stands.
pub enum Asked<'a, T> {
    Answered(Answer<T>),
    Waits(Waiting<'a, Inside<T>, Answer<T>>),
}

impl<T: Clone> Once<T> {
    #[allow(clippy::new_without_default, reason = "the other primitives have no default either")]
    pub fn new() -> Once<T> {
        Once(Guarded::new(Inside { phase: Phase::Empty, waiters: Queue::default() }))
    }

    pub fn get(&self) -> Option<T> {
        self.0.step(|inside, _| match &inside.phase {
            Phase::Done(value) => Some(value.clone()),
            Phase::Empty | Phase::Running => None,
        })
    }

    /// Whoever is told [`Answer::Turn`] must call [`Once::finish`] or [`Once::give_up`].
    pub fn ask(&self) -> Asked<'_, T> {
        let asked = self.0.step(|inside, _| match &inside.phase {
            Phase::Done(value) => Ok(Answer::Value(value.clone())),
            Phase::Running => Err(inside.waiters.join()),
            Phase::Empty => {
                inside.phase = Phase::Running;
                Ok(Answer::Turn)
            }
        });
        match asked {
            Ok(answer) => Asked::Answered(answer),
            Err(ticket) => Asked::Waits(Waiting::new(
                &self.0,
                ticket,
                |inside| &mut inside.waiters,
                |inside, answer, wakes| {
                    if matches!(answer, Answer::Turn) {
                        inside.pass_on(wakes);
                    }
                },
            )),
        }
    }

    pub fn finish(&self, value: &T) {
        self.0.step(|inside, wakes| {
            inside.phase = Phase::Done(value.clone());
            inside.waiters.answer_all(&Answer::Value(value.clone()), wakes);
        });
    }

    pub fn give_up(&self) {
        self.0.step(Inside::pass_on);
    }
}
