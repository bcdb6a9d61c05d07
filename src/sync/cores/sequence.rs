//! A counter that goes up by one. Must never give a number twice, nor leave one out.

use super::primitives::{AtomicU64, Ordering};

pub struct Sequence(AtomicU64);

impl Sequence {
    /// The first number given is `last + 1`.
    pub fn new(last: u64) -> Sequence {
        Sequence(AtomicU64::new(last))
    }

    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::AcqRel) + 1
    }

    pub fn last(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}
