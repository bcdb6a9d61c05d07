//! `order`: pairs of events, each under one operator. A set or a chain is nothing but its pairs.
//! Must never take an event as later or earlier than itself.

use std::collections::VecDeque;
use std::time::Duration;

use super::Broken;
use super::automata::{Automaton, Clock};
use crate::env::Moment;
use crate::scenario::{self, Between, Op};
use crate::trace::{Event, EventIndex};

/// The whole expression for one key.
#[derive(Clone, Debug)]
pub(super) struct Order {
    atoms: Vec<Atom>,
    pairs: Vec<Pair>,
    /// Each atom must occur.
    both: bool,
}

#[derive(Clone, Debug)]
struct Atom {
    /// As written: `a#2`.
    text: String,
    role: usize,
    nth: Option<u32>,
    count: u32,
    first: Option<EventIndex>,
}

impl Atom {
    /// Whether this event is one that the atom stands for.
    fn hit(&mut self, event: &Event, roles: &[usize]) -> bool {
        if !roles.contains(&self.role) {
            return false;
        }
        self.count += 1;
        let hit = self.nth.is_none_or(|nth| nth == self.count);
        if hit {
            self.first.get_or_insert(event.index);
        }
        hit
    }
}

/// `left op right`, atoms by number.
#[derive(Clone, Debug)]
struct Pair {
    left: usize,
    right: usize,
    rule: Rule,
}

/// A `~>` with a left one that waits: since when, which event, under which window.
type Waiting<'a> = (&'a Pair, Moment, EventIndex, Option<Between<Duration>>);

impl Pair {
    fn waiting(&self) -> Option<Waiting<'_>> {
        let Rule::LeadsTo { window, open, .. } = &self.rule else { return None };
        open.front().map(|(since, index)| (self, *since, *index, *window))
    }
}

#[derive(Clone, Debug)]
enum Rule {
    /// Holds the first right one.
    Before { right: Option<EventIndex>, left: bool },
    /// Holds the left ones that wait.
    LeadsTo { window: Option<Between<Duration>>, open: VecDeque<(Moment, EventIndex)>, seen: bool },
    /// Holds when right ones came: all of them under a window, else the last.
    Needs { window: Option<Between<Duration>>, rights: Vec<Moment>, seen: bool },
}

impl Order {
    /// `role` numbers the patterns by name. `a < b < c` also means `a < c`; the other operators
    /// join neighbours only.
    pub fn new(order: &scenario::Order, both: bool, role: impl Fn(&str) -> usize) -> Order {
        let atom = |atom: &scenario::Atom| Atom {
            text: atom.to_string(),
            role: role(&atom.name),
            nth: atom.nth,
            count: 0,
            first: None,
        };
        let atoms = order.atoms().map(atom).collect();
        let mut starts = vec![0];
        for group in &order.groups {
            starts.push(starts[starts.len() - 1] + group.len());
        }
        let mut pairs = Vec::new();
        for left in 0..order.ops.len() {
            for right in left + 1..order.groups.len() {
                let between = &order.ops[left..right];
                let far = right > left + 1 && between.iter().any(|op| *op != Op::Before);
                if far {
                    break;
                }
                for a in starts[left]..starts[left + 1] {
                    for b in starts[right]..starts[right + 1] {
                        pairs.push(Pair { left: a, right: b, rule: Rule::new(order.ops[left]) });
                    }
                }
            }
        }
        Order { atoms, pairs, both }
    }
}

impl Rule {
    fn new(op: Op) -> Rule {
        match op {
            Op::Before => Rule::Before { right: None, left: false },
            Op::LeadsTo(window) => Rule::LeadsTo { window, open: VecDeque::new(), seen: false },
            Op::Needs(window) => Rule::Needs { window, rights: Vec::new(), seen: false },
        }
    }

    /// Whether the pair still holds when this event is a `left`, a `right`, or both.
    fn step(&mut self, event: &Event, is_left: bool, is_right: bool) -> Result<(), EventIndex> {
        match self {
            Rule::Before { right, left } => {
                let broken = right.filter(|_| is_left);
                *left |= is_left;
                if is_right {
                    right.get_or_insert(event.index);
                }
                broken.map_or(Ok(()), Err)
            }
            Rule::LeadsTo { window, open, seen } => {
                if is_right {
                    let low = window.map_or(Duration::ZERO, |window| window.low);
                    while open.front().is_some_and(|(since, _)| *since + low <= event.at) {
                        open.pop_front();
                    }
                }
                if is_left {
                    open.push_back((event.at, event.index));
                    *seen = true;
                }
                Ok(())
            }
            Rule::Needs { window, rights, seen } => {
                *seen |= is_left;
                let good = !is_left || had(rights, *window, event.at);
                if is_right {
                    if window.is_none() {
                        rights.clear();
                    }
                    rights.push(event.at);
                }
                if good { Ok(()) } else { Err(event.index) }
            }
        }
    }
}

/// Whether one of the moments, sorted, lies in the window before `now`.
fn had(moments: &[Moment], window: Option<Between<Duration>>, now: Moment) -> bool {
    let Some(Between { low, high }) = window else { return !moments.is_empty() };
    let early_enough = moments.partition_point(|moment| *moment + low <= now);
    early_enough > 0 && moments[early_enough - 1] + high >= now
}

fn windowed(window: Option<Between<Duration>>) -> String {
    let show = scenario::show;
    window.map_or(String::new(), |w| format!(" within [{},{}]", show(w.low), show(w.high)))
}

impl Order {
    fn broken(&self, pair: &Pair, other: EventIndex) -> Broken {
        let (left, right) = (&self.atoms[pair.left].text, &self.atoms[pair.right].text);
        match &pair.rule {
            Rule::Needs { window, .. } => {
                let window = windowed(*window);
                Broken::new(format!("`{left}` came without `{right}` before it{window}"))
            }
            _ => Broken::new(format!("`{left}` came after `{right}`")).with([other]),
        }
    }

    /// The `~>` whose oldest left one waits, if any; the one due first under a window.
    fn waiting(&self) -> Option<Waiting<'_>> {
        self.pairs.iter().filter_map(Pair::waiting).min_by_key(|(_, since, _, window)| {
            window.map_or(Moment(Duration::MAX), |window| *since + window.high)
        })
    }
}

impl Automaton for Order {
    fn step(&mut self, event: &Event, roles: &[usize]) -> Result<(), Broken> {
        let hits: Vec<bool> = self.atoms.iter_mut().map(|atom| atom.hit(event, roles)).collect();
        let mut broken = None;
        for (number, pair) in self.pairs.iter_mut().enumerate() {
            let stepped = pair.rule.step(event, hits[pair.left], hits[pair.right]);
            broken = broken.or(stepped.err().map(|other| (number, other)));
        }
        match broken {
            Some((number, other)) => Err(self.broken(&self.pairs[number], other)),
            None => Ok(()),
        }
    }

    /// Windows are virtual time and nothing else: healing does not stretch them.
    fn due(&self, _clock: Clock) -> Option<Moment> {
        let (_, since, _, window) = self.waiting()?;
        window.map(|window| since + window.high)
    }

    fn late(&self) -> Broken {
        let Some((pair, since, index, window)) = self.waiting() else {
            return Broken::new("nothing is late");
        };
        let (left, right) = (&self.atoms[pair.left].text, &self.atoms[pair.right].text);
        let window = windowed(window);
        let message = format!("`{left}` at {since} was not followed by `{right}`{window}");
        Broken::new(message).with([index])
    }

    fn owed(&self) -> bool {
        self.waiting().is_some() || self.both && self.atoms.iter().any(|a| a.first.is_none())
    }

    fn end(&self) -> Result<(), Broken> {
        if self.waiting().is_some() {
            return Err(self.late());
        }
        match self.atoms.iter().find(|atom| self.both && atom.first.is_none()) {
            Some(atom) => {
                let seen = self.atoms.iter().filter_map(|atom| atom.first);
                Err(Broken::new(format!("`{}` never came", atom.text)).with(seen))
            }
            None => Ok(()),
        }
    }

    fn active(&self) -> bool {
        self.pairs.iter().any(|pair| match &pair.rule {
            Rule::Before { right, left } => right.is_some() && *left,
            Rule::LeadsTo { seen, .. } | Rule::Needs { seen, .. } => *seen,
        })
    }

    fn copy(&self) -> Box<dyn Automaton> {
        Box::new(self.clone())
    }
}
