//! `matches`: the names of a stream, one by one, against a regular expression. The automaton is
//! Glushkov's: its states are the places of the names in the expression, a set of them one integer.
//! Must never build the deterministic automaton: it may be exponential.

use std::sync::Arc;

use super::Broken;
use super::automata::Automaton;
use super::pattern::field;
use crate::scenario::{Grammar, Matches};
use crate::trace::{Event, EventIndex};

/// A set of places; the loader lets 128 pass.
type Places = u128;

/// The compiled expression, one for all keys.
#[derive(Debug, Default)]
struct Table {
    /// The name at each place.
    names: Vec<String>,
    first: Places,
    last: Places,
    /// The places that may come after each.
    follow: Vec<Places>,
    nullable: bool,
}

/// What a part of an expression may begin and end with, and whether it may be nothing.
struct Part {
    first: Places,
    last: Places,
    nullable: bool,
}

impl Table {
    fn new(grammar: &Grammar) -> Table {
        let mut table = Table::default();
        let whole = table.add(grammar);
        Table { first: whole.first, last: whole.last, nullable: whole.nullable, ..table }
    }

    fn add(&mut self, grammar: &Grammar) -> Part {
        match grammar {
            Grammar::Name(name, _) => {
                let place = 1 << self.names.len();
                self.names.push(name.clone());
                self.follow.push(0);
                Part { first: place, last: place, nullable: false }
            }
            Grammar::Seq(parts) => {
                let empty = Part { first: 0, last: 0, nullable: true };
                parts.iter().fold(empty, |before, part| {
                    let after = self.add(part);
                    self.link(before.last, after.first);
                    let first =
                        if before.nullable { before.first | after.first } else { before.first };
                    let last = if after.nullable { before.last | after.last } else { after.last };
                    Part { first, last, nullable: before.nullable && after.nullable }
                })
            }
            Grammar::Alt(parts) => {
                let none = Part { first: 0, last: 0, nullable: false };
                parts.iter().fold(none, |one, part| {
                    let other = self.add(part);
                    Part {
                        first: one.first | other.first,
                        last: one.last | other.last,
                        nullable: one.nullable || other.nullable,
                    }
                })
            }
            Grammar::Any(inner) => self.again(inner, true),
            Grammar::Some(inner) => self.again(inner, false),
            Grammar::Maybe(inner) => Part { nullable: true, ..self.add(inner) },
        }
    }

    fn again(&mut self, inner: &Grammar, nullable: bool) -> Part {
        let part = self.add(inner);
        self.link(part.last, part.first);
        Part { nullable: nullable || part.nullable, ..part }
    }

    fn link(&mut self, from: Places, to: Places) {
        for place in places(from) {
            self.follow[place] |= to;
        }
    }

    fn next(&self, at: Places) -> Places {
        places(at).fold(0, |all, place| all | self.follow[place])
    }

    /// The places of `among` with this name.
    fn named(&self, among: Places, name: &str) -> Places {
        places(among).filter(|place| self.names[*place] == name).fold(0, |all, p| all | 1 << p)
    }

    fn say(&self, among: Places) -> String {
        let mut names: Vec<String> =
            places(among).map(|place| format!("`{}`", self.names[place])).collect();
        names.sort();
        names.dedup();
        names.join(", ")
    }
}

fn places(mut set: Places) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = set.trailing_zeros();
        set &= set.wrapping_sub(1);
        (place < Places::BITS).then_some(place as usize)
    })
}

/// The stream of one key: role 0.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    table: Arc<Table>,
    rule: Arc<Matches>,
    /// Where the next name may stand.
    next: Places,
    /// Whether the names so far are a whole word.
    whole: bool,
    last: Option<(String, EventIndex)>,
}

impl Stream {
    pub fn new(rule: &Matches) -> Stream {
        let table = Table::new(&rule.grammar);
        let (next, whole) = (table.first, table.nullable);
        Stream { table: Arc::new(table), rule: Arc::new(rule.clone()), next, whole, last: None }
    }

    fn refuse(&self, message: String) -> Broken {
        Broken::new(message).with(self.last.as_ref().map(|(_, index)| *index))
    }

    fn after(&self) -> String {
        self.last.as_ref().map_or("first".to_owned(), |(name, _)| format!("after `{name}`"))
    }

    fn expected(&self) -> String {
        match self.next {
            0 => "nothing more".to_owned(),
            next => self.table.say(next),
        }
    }
}

impl Automaton for Stream {
    fn step(&mut self, event: &Event, roles: &[usize]) -> Result<(), Broken> {
        if !roles.contains(&0) {
            return Ok(());
        }
        let name = field(event, &self.rule.names).map_or(String::new(), |value| value.to_string());
        if self.rule.ignore.contains(&name) {
            return Ok(());
        }
        if !self.rule.alphabet.contains(&name) {
            let message = format!("`{name}` is not in the alphabet of the stream");
            return Err(self.refuse(message));
        }
        let at = self.table.named(self.next, &name);
        if at == 0 {
            let message = format!("`{name}` came {}, expected {}", self.after(), self.expected());
            return Err(self.refuse(message));
        }
        self.next = self.table.next(at);
        self.whole = at & self.table.last != 0;
        self.last = Some((name, event.index));
        Ok(())
    }

    fn owed(&self) -> bool {
        !self.whole
    }

    fn end(&self) -> Result<(), Broken> {
        if self.whole {
            return Ok(());
        }
        let came = self.last.as_ref().map_or("before it began".to_owned(), |_| self.after());
        let message = format!("the stream ended {came}, expected {}", self.expected());
        Err(self.refuse(message))
    }

    fn active(&self) -> bool {
        self.last.is_some()
    }

    fn copy(&self) -> Box<dyn Automaton> {
        Box::new(self.clone())
    }
}
