//! A state and the attempt that owns it, in one word, so that both are compared and set at once.
//! Must never set what it did not compare.

use super::primitives::{AtomicU64, Ordering};

/// A state's number, and the attempt it belongs to.
pub type StateAttempt = (u8, u32);

pub struct StateCell(AtomicU64);

fn pack((state, attempt): StateAttempt) -> u64 {
    u64::from(attempt) << 8 | u64::from(state)
}

fn unpack(word: u64) -> StateAttempt {
    let [state, a, b, c, d, ..] = word.to_le_bytes();
    (state, u32::from_le_bytes([a, b, c, d]))
}

impl StateCell {
    /// Starts in `state`, attempt 1.
    pub fn new(state: u8) -> StateCell {
        StateCell(AtomicU64::new(pack((state, 1))))
    }

    pub fn load(&self) -> StateAttempt {
        unpack(self.0.load(Ordering::Acquire))
    }

    /// `from` to `to`, same attempt. `Err` holds what was found instead; nothing changed then.
    pub fn compare_set(&self, from: StateAttempt, to: u8) -> Result<(), StateAttempt> {
        self.replace(from, (to, from.1))
    }

    /// Fences the attempt of `from`: the state stays, the next attempt (returned) owns it.
    pub fn next_attempt(&self, from: StateAttempt) -> Result<u32, StateAttempt> {
        let next = from.1.checked_add(1).expect("fewer than 2^32 attempts");
        self.replace(from, (from.0, next)).map(|()| next)
    }

    fn replace(&self, from: StateAttempt, to: StateAttempt) -> Result<(), StateAttempt> {
        let (from, to) = (pack(from), pack(to));
        let swapped = self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
        swapped.map(drop).map_err(unpack)
    }
}
