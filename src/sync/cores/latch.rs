//! A flag that is set once and stays set. Must never leave a waiter behind once it is set.

use super::waiters::{Guarded, Queue, Waiting, nothing_to_pass_on};

pub struct Latch(Guarded<Inside>);

pub struct Inside {
    set: bool,
    waiters: Queue<()>,
}

impl Latch {
    #[allow(clippy::new_without_default, reason = "the other primitives have no default either")]
    pub fn new() -> Latch {
        Latch(Guarded::new(Inside { set: false, waiters: Queue::default() }))
    }

    pub fn set(&self) {
        self.0.step(|inside, wakes| {
            inside.set = true;
            inside.waiters.answer_all(&(), wakes);
        });
    }

    pub fn is_set(&self) -> bool {
        self.0.step(|inside, _| inside.set)
    }

    /// The wait, unless the flag is set.
    pub fn wait(&self) -> Option<Waiting<'_, Inside, ()>> {
        let ticket = self.0.step(|inside, _| (!inside.set).then(|| inside.waiters.join()))?;
        Some(Waiting::new(&self.0, ticket, |inside| &mut inside.waiters, nothing_to_pass_on))
    }
}
