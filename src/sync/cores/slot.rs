//! One user's registrations: few, each with a generation that is never used again.
//! Must never pass its limit, nor remove by anything but the generation.

use super::waiters::Guarded;

/// As many are registered as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the limit is reached")]
pub struct Full;

pub struct Slot<V> {
    inside: Guarded<Inside<V>>,
    limit: usize,
}

struct Inside<V> {
    last: u64,
    /// In order of registration, hence of generation.
    entries: Vec<(u64, V)>,
}

impl<V: Clone> Slot<V> {
    pub fn new(limit: usize) -> Slot<V> {
        Slot { inside: Guarded::new(Inside { last: 0, entries: Vec::new() }), limit }
    }

    /// Checks the limit and registers in one step; the generation, from 1.
    pub fn register(&self, value: V) -> Result<u64, Full> {
        self.inside.step(|inside, _| {
            if inside.entries.len() >= self.limit {
                return Err(Full);
            }
            inside.last += 1;
            inside.entries.push((inside.last, value));
            Ok(inside.last)
        })
    }

    /// Compare-and-remove: only the registration of this very generation.
    pub fn remove(&self, generation: u64) -> Option<V> {
        self.inside.step(|inside, _| {
            let at = inside.entries.binary_search_by_key(&generation, |entry| entry.0).ok()?;
            Some(inside.entries.remove(at).1)
        })
    }

    pub fn list(&self) -> Vec<(u64, V)> {
        self.inside.step(|inside, _| inside.entries.clone())
    }

    pub fn len(&self) -> usize {
        self.inside.step(|inside, _| inside.entries.len())
    }
}
