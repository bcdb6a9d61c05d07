//! What happens when: by instant, and within one in the order in which it was put there. Most
//! instants are ticks of one clock and near: each of these has its place in a ring.
//! Must never hand out what is not due.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::env::Moment;

/// Ticks in the ring, each with a bit in one word.
const NEAR: usize = 64;

pub struct Agenda<T> {
    /// The tick that the ring begins with: nothing near is before it.
    from: u64,
    /// By tick, modulo their number.
    near: [VecDeque<T>; NEAR],
    /// Which of them are not empty.
    filled: u64,
    /// What is at no tick, or was far when it was put: before what was put when it was near.
    far: BTreeMap<Moment, VecDeque<T>>,
}

impl<T> Default for Agenda<T> {
    fn default() -> Agenda<T> {
        let near = std::array::from_fn(|_| VecDeque::new());
        Agenda { from: 0, near, filled: 0, far: BTreeMap::new() }
    }
}

/// The tick at an instant, or before it.
fn tick(at: Moment) -> u64 {
    at.0.as_secs() * 1_000 + u64::from(at.0.subsec_millis())
}

fn instant(tick: u64) -> Moment {
    Moment(Duration::from_millis(tick))
}

fn place(tick: u64) -> usize {
    usize::try_from(tick).expect("ticks are below 500 million years") % NEAR
}

impl<T> Agenda<T> {
    pub fn push(&mut self, at: Moment, what: T) {
        let tick = tick(at);
        if tick.wrapping_sub(self.from) < NEAR as u64 && at == instant(tick) {
            self.near[place(tick)].push_back(what);
            self.filled |= 1 << place(tick);
        } else {
            self.far.entry(at).or_default().push_back(what);
        }
    }

    /// The first tick of the ring at which anything happens.
    fn next_near(&self) -> Option<u64> {
        let from = u32::try_from(place(self.from)).expect("one of 64");
        let ahead = self.filled.rotate_right(from);
        (ahead != 0).then(|| self.from + u64::from(ahead.trailing_zeros()))
    }

    pub fn next(&self) -> Option<Moment> {
        let far = self.far.first_key_value().map(|(at, _)| *at);
        self.next_near().map(instant).into_iter().chain(far).min()
    }

    /// Takes the first of what is due by `now`.
    pub fn pop_due(&mut self, now: Moment) -> Option<T> {
        let near = self.next_near();
        if let Some(mut first) = self.far.first_entry()
            && *first.key() <= near.map_or(now, |tick| instant(tick).min(now))
        {
            let what = first.get_mut().pop_front();
            if first.get().is_empty() {
                first.remove();
            }
            return what;
        }
        let now = tick(now);
        let due = near.filter(|tick| *tick <= now);
        self.from = due.unwrap_or(now);
        let place = place(due?);
        let what = self.near[place].pop_front();
        if self.near[place].is_empty() {
            self.filled &= !(1 << place);
        }
        what
    }

    pub fn is_empty(&self) -> bool {
        self.filled == 0 && self.far.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment(Duration::from_millis(ms))
    }

    #[test]
    fn what_is_put_at_one_instant_comes_in_its_order_and_no_later_one_before_it() {
        let mut agenda = Agenda::default();
        for (ms, what) in [(5, 'c'), (2, 'a'), (5, 'd'), (2, 'b'), (9, 'e')] {
            agenda.push(at(ms), what);
        }
        assert_eq!((agenda.next(), agenda.pop_due(at(1))), (Some(at(2)), None));
        assert_eq!(agenda.pop_due(at(5)), Some('a'));
        // What is put at an instant that is being worked through comes last.
        agenda.push(at(2), 'x');
        let due: String = std::iter::from_fn(|| agenda.pop_due(at(5))).collect();
        assert_eq!((due.as_str(), agenda.next()), ("bxcd", Some(at(9))));
        agenda.push(at(5), 'y');
        let due: String = std::iter::from_fn(|| agenda.pop_due(at(9))).collect();
        assert_eq!((due.as_str(), agenda.is_empty()), ("ye", true));
    }

    #[test]
    fn near_or_far_what_was_put_first_comes_first() {
        let mut agenda = Agenda::default();
        let between = Moment(Duration::from_micros(100_500));
        agenda.push(at(100), 'a');
        agenda.push(between, 'c');
        assert_eq!(agenda.pop_due(at(50)), None);
        // The same instants, near by now.
        agenda.push(at(101), 'd');
        agenda.push(at(100), 'b');
        agenda.push(at(113), 'f');
        agenda.push(at(49), '0');
        assert_eq!((agenda.pop_due(at(50)), agenda.pop_due(at(99))), (Some('0'), None));
        agenda.push(at(200), 'g');
        agenda.push(between, 'x');
        let due: String = std::iter::from_fn(|| agenda.pop_due(at(150))).collect();
        assert_eq!((due.as_str(), agenda.next()), ("abcxdf", Some(at(200))));
        assert_eq!((agenda.pop_due(at(200)), agenda.is_empty()), (Some('g'), true));
    }
}
