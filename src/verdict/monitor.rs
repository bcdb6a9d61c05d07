//! One expectation over one run: splits the trace by key and runs an automaton for each.
//! Must never look at an event that is none of its patterns'.

use std::collections::BTreeMap;

use super::Broken;
use super::automata::{Automaton, Clock, Count, Eventually, Never, Sequence};
use super::matches::Stream;
use super::order::Order;
use super::pattern::{Key, Matcher};
use super::response::Response;
use crate::env::Moment;
use crate::scenario::{self, Claim, Expect, ForEach, Pattern, Scenario, Scope};
use crate::trace::{Event, Value};

/// What one key is told when it breaks.
pub(super) struct Failure {
    pub message: String,
    pub events: Vec<u32>,
}

/// One key.
struct Instance {
    automaton: Box<dyn Automaton>,
    /// Whether this key is judged: always without `for_each`, else from its obligation on.
    obliged: bool,
    /// The guard has come.
    excused: bool,
    /// Broke before it was obliged, or as a mere witness.
    broken: Option<Broken>,
}

impl Instance {
    fn open(&self) -> bool {
        !self.excused && self.broken.is_none()
    }

    fn owed(&self) -> bool {
        self.obliged && self.open() && self.automaton.owed()
    }

    fn oblige(&mut self, at: Moment) {
        self.obliged = true;
        self.automaton.begin(at);
    }

    fn due(&self, clock: Clock) -> Option<Moment> {
        if self.open() { self.automaton.due(clock) } else { None }
    }

    /// Reports a key that is broken and judged.
    fn judge(&self, key: &Key, mode: Mode) -> Result<(), Failure> {
        match &self.broken {
            Some(broken) if mode == Mode::Claim && self.obliged && !self.excused => {
                Err(failure(key, broken))
            }
            _ => Ok(()),
        }
    }
}

/// Whether breaking is a violation, or only shows that this run is no witness of `sometimes`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Claim,
    Witness,
}

pub(super) struct Monitor {
    matchers: Vec<Matcher>,
    guard: Option<usize>,
    obliging: Option<usize>,
    mode: Mode,
    /// Only what is of all keys has happened here: the past of a key that comes up late.
    common: Box<dyn Automaton>,
    /// A guard of all keys has come.
    common_excuse: bool,
    keys: BTreeMap<Key, Instance>,
    /// Whether keys are judged without `for_each`.
    unasked: bool,
    /// Keys that owe something.
    owed: usize,
}

impl Monitor {
    pub fn new(expect: &Expect, scenario: &Scenario, users: &[String]) -> Monitor {
        let mut roles = roles(&expect.claim, scenario);
        let automaton = automaton(&expect.claim, scenario);
        let mut role = |name: Option<&String>| {
            let pattern = name.and_then(|name| scenario.pattern(name))?;
            roles.push(pattern.clone());
            Some(roles.len() - 1)
        };
        let guard = role(expect.unless.as_ref());
        let obliging = role(match &expect.for_each {
            Some(ForEach::Match(name)) => Some(name),
            _ => None,
        });
        let matchers = roles.iter().map(|pattern| Matcher::new(pattern, &expect.key)).collect();
        let unasked = expect.for_each.is_none();
        let mut monitor = Monitor {
            matchers,
            guard,
            obliging,
            mode: Mode::Claim,
            common: automaton,
            common_excuse: false,
            keys: BTreeMap::new(),
            unasked,
            owed: 0,
        };
        if expect.key.is_empty() {
            monitor.enter(Key::new(), Moment::default());
        }
        if expect.for_each == Some(ForEach::User) {
            for user in users {
                let key = vec![Value::from(user.as_str())];
                monitor.enter(key.clone(), Moment::default());
                monitor.oblige(&key, Moment::default());
            }
        }
        monitor
    }

    /// One order of `sometimes`.
    pub fn witness(order: &scenario::Order, expect: &Expect, scenario: &Scenario) -> Monitor {
        let claim = Claim::Order { order: order.clone(), both: true };
        let expect = Expect { claim, for_each: None, unless: None, ..expect.clone() };
        Monitor { mode: Mode::Witness, ..Monitor::new(&expect, scenario, &[]) }
    }

    /// The names of the events it wants, each with the roles that an event of this name may have.
    pub fn wants(&self) -> BTreeMap<&str, Vec<usize>> {
        let mut wants: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (role, matcher) in self.matchers.iter().enumerate() {
            wants.entry(&matcher.on).or_default().push(role);
        }
        wants
    }

    pub fn owed(&self) -> bool {
        self.mode == Mode::Claim && self.owed > 0
    }

    /// Takes an event; `roles` are those that its name allows. Deadlines go to `due`.
    pub fn event(
        &mut self,
        event: &Event,
        roles: &[usize],
        clock: Clock,
        mut due: impl FnMut(Moment, Key),
    ) -> Result<(), Failure> {
        let mut common: Vec<usize> = Vec::new();
        let mut keyed: Vec<(Key, Vec<usize>)> = Vec::new();
        for role in roles.iter().copied().filter(|role| self.matchers[*role].matches(event)) {
            if self.matchers[role].global() {
                common.push(role);
            } else if let Some(key) = self.matchers[role].key(event) {
                match keyed.iter_mut().find(|(other, _)| *other == key) {
                    Some((_, roles)) => roles.push(role),
                    None => keyed.push((key, vec![role])),
                }
            }
        }
        for (key, _) in &keyed {
            if !self.keys.contains_key(key) {
                self.enter(key.clone(), event.at);
            }
        }
        if !common.is_empty() {
            // What all keys have in common: a key that comes up later starts from here.
            let _ = self.common.step(event, &common);
            self.common_excuse |= self.guard.is_some_and(|role| common.contains(&role));
            let others = self.keys.keys().filter(|key| keyed.iter().all(|(k, _)| k != *key));
            let others: Vec<_> = others.map(|key| (key.clone(), Vec::new())).collect();
            keyed.extend(others);
            for (_, roles) in &mut keyed {
                roles.extend(&common);
            }
        }
        for (key, roles) in keyed {
            if let Some(at) = self.step(&key, event, &roles, clock)? {
                due(at, key);
            }
        }
        Ok(())
    }

    fn enter(&mut self, key: Key, at: Moment) {
        let mut automaton = self.common.copy();
        if self.unasked {
            automaton.begin(at);
        }
        let excused = self.common_excuse;
        let instance = Instance { automaton, obliged: self.unasked, excused, broken: None };
        self.owed += usize::from(instance.owed());
        self.keys.insert(key, instance);
    }

    fn oblige(&mut self, key: &Key, at: Moment) {
        let Some(instance) = self.keys.get_mut(key) else { return };
        self.owed -= usize::from(instance.owed());
        instance.oblige(at);
        self.owed += usize::from(instance.owed());
    }

    /// One key takes an event; its deadline then.
    fn step(
        &mut self,
        key: &Key,
        event: &Event,
        roles: &[usize],
        clock: Clock,
    ) -> Result<Option<Moment>, Failure> {
        let Some(instance) = self.keys.get_mut(key) else { return Ok(None) };
        self.owed -= usize::from(instance.owed());
        if self.obliging.is_some_and(|role| roles.contains(&role)) {
            instance.oblige(event.at);
        }
        instance.excused |= self.guard.is_some_and(|role| roles.contains(&role));
        if instance.open() {
            instance.broken = instance.automaton.step(event, roles).err();
        }
        self.owed += usize::from(instance.owed());
        instance.judge(key, self.mode)?;
        Ok(instance.due(clock))
    }

    /// The deadlines of all keys.
    pub fn dues(&self, clock: Clock) -> Vec<(Moment, Key)> {
        let one = |(key, one): (&Key, &Instance)| Some((one.due(clock)?, key.clone()));
        self.keys.iter().filter_map(one).collect()
    }

    /// A deadline that was handed out has passed by `now`; the key may have a later one by now.
    pub fn late(
        &mut self,
        key: &Key,
        now: Moment,
        clock: Clock,
    ) -> Result<Option<Moment>, Failure> {
        let Some(instance) = self.keys.get_mut(key) else { return Ok(None) };
        match instance.due(clock) {
            Some(due) if due < now => {
                self.owed -= usize::from(instance.owed());
                instance.broken = Some(instance.automaton.late());
                instance.judge(key, self.mode).map(|()| None)
            }
            due => Ok(due),
        }
    }

    /// The end: what is owed and did not come.
    pub fn end(&self) -> Result<(), Failure> {
        for (key, instance) in self.keys.iter().filter(|(_, one)| one.obliged && one.open()) {
            instance.automaton.end().map_err(|broken| failure(key, &broken))?;
        }
        Ok(())
    }

    /// Whether any judged key had a case.
    pub fn active(&self) -> bool {
        self.keys.values().any(|one| one.obliged && one.automaton.active())
    }

    /// Whether the order holds, with all its events, in some key.
    pub fn witnessed(&self) -> bool {
        self.keys.values().any(|one| one.open() && one.automaton.end().is_ok())
    }
}

fn failure(key: &Key, broken: &Broken) -> Failure {
    let names: Vec<String> = key.iter().map(|value| format!("`{value}`")).collect();
    let message = match names.as_slice() {
        [] => broken.message.clone(),
        names => format!("{}: {}", names.join(", "), broken.message),
    };
    Failure { message, events: broken.events.clone() }
}

/// The patterns of a claim in the order of its automaton's roles.
fn roles(claim: &Claim, scenario: &Scenario) -> Vec<Pattern> {
    let names: Vec<&str> = match claim {
        Claim::Matches(matches) => return vec![matches.stream.clone()],
        Claim::Order { order, .. } => order_names(order),
        Claim::Sometimes { .. } => Vec::new(),
        claim => claim.names(),
    };
    names.into_iter().filter_map(|name| scenario.pattern(name)).cloned().collect()
}

/// The names of an order, each once.
fn order_names(order: &scenario::Order) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for atom in order.atoms() {
        if !names.contains(&atom.name.as_str()) {
            names.push(&atom.name);
        }
    }
    names
}

fn automaton(claim: &Claim, scenario: &Scenario) -> Box<dyn Automaton> {
    match claim {
        Claim::Order { order, both } => {
            let names = order_names(order);
            let role = |name: &str| names.iter().position(|other| *other == name).unwrap_or(0);
            Box::new(Order::new(order, *both, role))
        }
        Claim::Response { when, then, within } => {
            let pattern = |name: &str| scenario.pattern(name).expect("the loader knows it");
            Box::new(Response::new(pattern(when), pattern(then), *within))
        }
        Claim::Count { of, at_least, at_most } => Box::new(Count {
            of: of.clone(),
            at_least: *at_least,
            at_most: *at_most,
            seen: Vec::new(),
        }),
        Claim::Sequence { of, field, from } => Box::new(Sequence {
            of: of.clone(),
            field: field.clone(),
            from: *from,
            last: None,
            steps: 0,
        }),
        Claim::Never { what, scope } => Box::new(Never::new(what, scope)),
        Claim::Eventually { what, within } => {
            Box::new(Eventually { what: what.clone(), within: *within, since: None, seen: false })
        }
        Claim::Matches(matches) => Box::new(Stream::new(matches)),
        // Its orders have monitors of their own; this one only holds the place.
        Claim::Sometimes { .. } => Box::new(Never::new("", &Scope::Always)),
    }
}
