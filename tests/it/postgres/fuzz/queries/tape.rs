//! The choices of one case, as a list of numbers that shrinks: the smallest number chooses what is
//! simplest, and so does a list that has ended. Must never choose anything by itself.

use std::fmt;
use std::vec::IntoIter;

use proptest::collection::vec;
use proptest::prelude::*;

/// No statement makes more choices of its own.
const LENGTH_MAX: usize = 300;

pub struct Tape(IntoIter<u16>);

/// Half of them are cut off somewhere. In shrinking the end goes first, then single choices go or
/// become smaller.
pub fn any() -> impl Strategy<Value = Vec<u16>> {
    let choices = vec(proptest::num::u16::ANY, LENGTH_MAX / 4..LENGTH_MAX);
    (0..2 * LENGTH_MAX, choices).prop_map(|(length, mut choices)| {
        choices.truncate(length);
        choices
    })
}

impl Tape {
    pub fn new(choices: Vec<u16>) -> Tape {
        Tape(choices.into_iter())
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.0.next().unwrap_or(0)) * bound / (usize::from(u16::MAX) + 1)
    }

    /// Whether it happens, as it does so often in a hundred.
    pub fn happens(&mut self, percent: usize) -> bool {
        self.below(100) >= 100 - percent
    }

    pub fn one_of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Which of these, that are chosen so many times in all.
    pub fn weighted<T: Copy>(&mut self, from: &[(usize, T)]) -> T {
        let mut drawn = self.below(from.iter().map(|(weight, _)| weight).sum());
        for (weight, chosen) in from {
            if drawn < *weight {
                return *chosen;
            }
            drawn -= weight;
        }
        unreachable!("the number is below the sum")
    }
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} choices left", self.0.len())
    }
}
