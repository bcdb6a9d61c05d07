//! A counting semaphore, first come first served: what is released goes to the first waiter, so
//! that a permit is free only if nobody waits. Must never lose a permit, nor let anyone pass.

use super::waiters::{Guarded, Queue, Waiting, Wakes};

pub struct Permits {
    inside: Guarded<Inside>,
    capacity: usize,
}

pub struct Inside {
    free: usize,
    waiters: Queue<()>,
}

impl Inside {
    fn give(&mut self, wakes: &mut Wakes) {
        if self.waiters.answer_first((), wakes).is_err() {
            self.free += 1;
        }
    }
}

impl Permits {
    pub fn new(capacity: usize) -> Permits {
        let inside = Inside { free: capacity, waiters: Queue::default() };
        Permits { inside: Guarded::new(inside), capacity }
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Granted permits, those granted to a waiter that has not yet noticed included.
    pub fn in_use(&self) -> usize {
        self.capacity - self.inside.step(|inside, _| inside.free)
    }

    pub fn waiting(&self) -> usize {
        self.inside.step(|inside, _| inside.waiters.waiting())
    }

    /// Takes a free permit, if there is one.
    pub fn try_acquire(&self) -> bool {
        self.inside.step(|inside, _| {
            let free = inside.free > 0;
            inside.free -= usize::from(free);
            free
        })
    }

    /// Takes a permit, or gives the wait for one. The caller owes one [`Permits::release`] either
    /// way, unless it drops the wait: that passes on what it may have been granted.
    pub fn acquire(&self) -> Option<Waiting<'_, Inside, ()>> {
        let ticket = self.inside.step(|inside, _| {
            if inside.free == 0 {
                return Some(inside.waiters.join());
            }
            inside.free -= 1;
            None
        })?;
        let forfeit = |inside: &mut Inside, (), wakes: &mut Wakes| inside.give(wakes);
        Some(Waiting::new(&self.inside, ticket, |inside| &mut inside.waiters, forfeit))
    }

    /// Gives a permit back, to the first in line; how many are granted after it.
    pub fn release(&self) -> usize {
        let free = self.inside.step(|inside, wakes| {
            inside.give(wakes);
            inside.free
        });
        debug_assert!(free <= self.capacity);
        self.capacity - free
    }
}
