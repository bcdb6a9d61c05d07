//! What happens when: by instant, and within one in the order in which it was put there. Most
//! instants are ticks of one clock and near, so that there are few of them and each holds many.
//! Must never hand out what is not due.

use std::collections::VecDeque;

use crate::env::Moment;

pub struct Agenda<T> {
    /// In order of time; none is empty.
    instants: VecDeque<(Moment, VecDeque<T>)>,
    /// The room of instants that are over.
    spare: Vec<VecDeque<T>>,
}

impl<T> Default for Agenda<T> {
    fn default() -> Agenda<T> {
        Agenda { instants: VecDeque::new(), spare: Vec::new() }
    }
}

impl<T> Agenda<T> {
    pub fn push(&mut self, at: Moment, what: T) {
        match self.instants.binary_search_by_key(&at, |(instant, _)| *instant) {
            Ok(place) => self.instants[place].1.push_back(what),
            Err(place) => {
                let mut all = self.spare.pop().unwrap_or_default();
                all.push_back(what);
                self.instants.insert(place, (at, all));
            }
        }
    }

    pub fn next(&self) -> Option<Moment> {
        self.instants.front().map(|(at, _)| *at)
    }

    /// Takes the first of what is due by `now`.
    pub fn pop_due(&mut self, now: Moment) -> Option<T> {
        let (_, all) = self.instants.front_mut().filter(|(at, _)| *at <= now)?;
        let what = all.pop_front();
        if all.is_empty()
            && let Some((_, room)) = self.instants.pop_front()
        {
            self.spare.push(room);
        }
        what
    }

    pub fn is_empty(&self) -> bool {
        self.instants.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
}
