//! `response`: each `when` is followed by its `then`. Role 0 is `when`, role 1 is `then`.
//! Must never let one `then` answer a `when` with other values of the variables they share.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Broken;
use super::automata::{Automaton, Clock};
use super::pattern::values;
use crate::env::Moment;
use crate::scenario::{Pattern, show};
use crate::trace::{Event, EventIndex, Value};

#[derive(Clone, Debug)]
pub(super) struct Response {
    when: String,
    then: String,
    within: Option<Duration>,
    /// The fields of either that hold the variables they share.
    when_fields: Vec<String>,
    then_fields: Vec<String>,
    /// What waits, oldest first.
    open: BTreeMap<EventIndex, Moment>,
    /// The same by the values that its answer must have.
    waiting: BTreeMap<Vec<Value>, Vec<EventIndex>>,
    seen: bool,
}

impl Response {
    pub fn new(when: &Pattern, then: &Pattern, within: Option<Duration>) -> Response {
        let shared: Vec<&str> =
            when.variables().into_iter().filter(|v| then.field_of(v).is_some()).collect();
        let fields = |pattern: &Pattern| {
            let of = |variable: &&str| pattern.field_of(variable).map(str::to_owned);
            shared.iter().filter_map(of).collect()
        };
        Response {
            when: when.name.clone(),
            then: then.name.clone(),
            within,
            when_fields: fields(when),
            then_fields: fields(then),
            open: BTreeMap::new(),
            waiting: BTreeMap::new(),
            seen: false,
        }
    }
}

impl Automaton for Response {
    /// An answer comes later than what it answers: `then` is looked at before `when`.
    fn step(&mut self, event: &Event, roles: &[usize]) -> Result<(), Broken> {
        if roles.contains(&1)
            && let Some(values) = values(event, &self.then_fields)
        {
            for index in self.waiting.remove(&values).unwrap_or_default() {
                self.open.remove(&index);
            }
        }
        if roles.contains(&0)
            && let Some(values) = values(event, &self.when_fields)
        {
            self.open.insert(event.index, event.at);
            self.waiting.entry(values).or_default().push(event.index);
            self.seen = true;
        }
        Ok(())
    }

    fn due(&self, clock: Clock) -> Option<Moment> {
        let (_, since) = self.open.first_key_value()?;
        self.within.map(|within| clock.deadline(*since, within))
    }

    fn late(&self) -> Broken {
        let Some((index, since)) = self.open.first_key_value() else {
            return Broken::new("nothing is late");
        };
        let (when, then, since) = (&self.when, &self.then, *since);
        let within =
            self.within.map_or(String::new(), |within| format!(" within {}", show(within)));
        let message = format!("`{when}` at {since} was not followed by `{then}`{within}");
        Broken::new(message).with([*index])
    }

    fn owed(&self) -> bool {
        !self.open.is_empty()
    }

    fn end(&self) -> Result<(), Broken> {
        if self.open.is_empty() { Ok(()) } else { Err(self.late()) }
    }

    fn active(&self) -> bool {
        self.seen
    }

    fn copy(&self) -> Box<dyn Automaton> {
        Box::new(self.clone())
    }
}
