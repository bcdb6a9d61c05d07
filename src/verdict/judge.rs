//! Judges one run while it is made: expectations, invariants, and what no run may do.
//! Must never go on after the first violation.

use std::collections::{BTreeMap, BTreeSet};

use super::automata::Clock;
use super::monitor::{Failure, Monitor};
use super::pattern::Key;
use super::{End, ExpectTally, Invariant, Outcome, Tally, Violation};
use crate::env::Moment;
use crate::plan::Plan;
use crate::scenario::{Claim, Expect, Scenario, Span};
use crate::trace::{Event, EventIndex, Observer};

/// The violations that no system has to ask for, and the events that they are.
const PANIC: &str = "panic";
const PANICKED: &str = "task.panicked";
const AWAIT: &str = "await";
const FAILED: &str = "user.failed";
const CRASHED: &str = "host.crashed";
const BEGUN: &str = "user.started";
const DONE: &str = "user.finished";
const HEALED: &str = "world.healed";
const QUIESCENCE: &str = "I20";

/// One expectation's monitors: one, or one for each order of `sometimes`.
struct Watch {
    id: String,
    span: Span,
    sometimes: bool,
    monitors: Vec<Monitor>,
}

/// Reads one run. Made anew for each.
pub struct Judge {
    watches: Vec<Watch>,
    invariants: Vec<Box<dyn Invariant>>,
    waived: BTreeSet<String>,
    /// By event name: which monitors of which watches want it, in which roles.
    dispatch: BTreeMap<String, Vec<(usize, usize, Vec<usize>)>>,
    /// Deadlines, earliest first; one may be out of date and is checked when it comes up.
    dues: BTreeSet<(Moment, usize, usize, Key)>,
    clock: Clock,
    /// Users who have begun their script and not ended it.
    at_work: BTreeSet<String>,
    violation: Option<Violation>,
}

impl Judge {
    /// Invariants that the scenario waives are left out.
    pub fn new(scenario: &Scenario, plan: &Plan, invariants: Vec<Box<dyn Invariant>>) -> Judge {
        let users: Vec<String> = plan.users.iter().map(|user| user.name.clone()).collect();
        let waived: BTreeSet<String> =
            scenario.waivers.iter().map(|waiver| waiver.invariant.clone()).collect();
        let watch = |expect| watch(expect, scenario, &users);
        let watches: Vec<Watch> = scenario.expects.iter().map(watch).collect();
        let mut dispatch: BTreeMap<String, Vec<(usize, usize, Vec<usize>)>> = BTreeMap::new();
        for (number, watch) in watches.iter().enumerate() {
            for (place, monitor) in watch.monitors.iter().enumerate() {
                for (name, roles) in monitor.wants() {
                    dispatch.entry(name.to_owned()).or_default().push((number, place, roles));
                }
            }
        }
        let mut judge = Judge {
            watches,
            invariants: invariants.into_iter().filter(|i| !waived.contains(i.id())).collect(),
            waived,
            dispatch,
            dues: BTreeSet::new(),
            clock: Clock { heal: (!plan.faults.is_empty()).then_some(Moment(plan.faults_until)) },
            at_work: BTreeSet::new(),
            violation: None,
        };
        judge.first_dues();
        judge
    }

    /// Deadlines that run from the start of the world.
    fn first_dues(&mut self) {
        for (number, watch) in self.watches.iter().enumerate() {
            for (place, monitor) in watch.monitors.iter().enumerate() {
                for (due, key) in monitor.dues(self.clock) {
                    self.dues.insert((due, number, place, key));
                }
            }
        }
    }

    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// The world's tasks never rested within the step budget: I20 does not hold.
    pub fn livelock(&mut self, end: &End) {
        let message = format!("the world never came to rest within {} steps", end.step);
        self.note(QUIESCENCE, message, None, Vec::new(), (end.step, end.at));
    }

    /// The verdict. `cut` says which budget ended the run early, if one did: what is owed then is
    /// not held against the system.
    pub fn finish(mut self, end: &End, cut: Option<String>) -> (Outcome, Tally) {
        if self.violation.is_none() && cut.is_none() {
            self.end(end);
        }
        let counted = self.violation.is_some() || cut.is_none();
        let tally = self.tally(counted);
        let outcome = match (self.violation, cut) {
            (Some(violation), _) => Outcome::Violated(violation),
            (None, Some(cut)) => Outcome::Inconclusive(cut),
            (None, None) => Outcome::Held,
        };
        (outcome, tally)
    }

    fn end(&mut self, end: &End) {
        self.expire((end.step, end.at), None);
        for number in 0..self.invariants.len() {
            let invariant = &mut self.invariants[number];
            let id = invariant.id();
            if let Err(broken) = invariant.end(end) {
                self.note(id, broken.message, None, broken.events, (end.step, end.at));
            }
        }
        for number in 0..self.watches.len() {
            let watch = &self.watches[number];
            if watch.sometimes {
                continue;
            }
            let failed = watch.monitors.iter().find_map(|monitor| monitor.end().err());
            if let Some(failure) = failed {
                self.fail(number, failure, None, (end.step, end.at));
            }
        }
        self.rest(end);
    }

    /// A user who never gets to the end of its script is owed something, whatever it is.
    fn rest(&mut self, end: &End) {
        if !self.at_work.is_empty() {
            let names: Vec<&str> = self.at_work.iter().map(String::as_str).collect();
            let message =
                format!("the world never came to rest: still at work: {}", names.join(", "));
            self.note(QUIESCENCE, message, None, Vec::new(), (end.step, end.at));
        }
    }

    fn tally(&self, counted: bool) -> Tally {
        let runs = u64::from(counted);
        let complete = counted && self.violation.is_none();
        let one = |watch: &Watch| {
            let active = watch.monitors.iter().any(Monitor::active);
            let hit = |monitor: &Monitor| u64::from(complete && monitor.witnessed());
            let hits =
                if watch.sometimes { watch.monitors.iter().map(hit).collect() } else { vec![] };
            ExpectTally { id: watch.id.clone(), active: u64::from(active), hits }
        };
        Tally { runs, expects: self.watches.iter().map(one).collect() }
    }

    /// Keeps the first violation, unless it is waived by name.
    fn note(
        &mut self,
        id: &str,
        message: String,
        span: Option<Span>,
        events: Vec<EventIndex>,
        (step, at): (u64, Moment),
    ) {
        if self.violation.is_none() && !(span.is_none() && self.waived.contains(id)) {
            let id = id.to_owned();
            self.violation = Some(Violation { id, message, step, at, span, events });
        }
    }

    fn fail(
        &mut self,
        number: usize,
        failure: Failure,
        event: Option<EventIndex>,
        when: (u64, Moment),
    ) {
        let watch = &self.watches[number];
        let (id, span) = (watch.id.clone(), Some(watch.span.clone()));
        let events = failure.events.into_iter().chain(event).collect();
        self.note(&id, failure.message, span, events, when);
    }

    /// Takes up the deadlines that have passed by now.
    fn expire(&mut self, when: (u64, Moment), event: Option<EventIndex>) {
        while let Some(first) = self.dues.pop_first() {
            if first.0 >= when.1 {
                self.dues.insert(first);
                return;
            }
            let (_, number, place, key) = first;
            match self.watches[number].monitors[place].late(&key, when.1, self.clock) {
                Ok(Some(later)) => _ = self.dues.insert((later, number, place, key)),
                Ok(None) => {}
                Err(failure) => self.fail(number, failure, event, when),
            }
        }
    }

    /// What no run may do, in any system.
    fn built_in(&mut self, event: &Event) {
        let text = |name: &str| event.text(name).unwrap_or_default();
        let when = (event.step, event.at);
        match event.name {
            PANICKED => {
                let (task, host) = (text("task"), text("host"));
                let (what, place) = (text("message"), text("location"));
                let message = format!("the task {task} of {host} panicked at {place}: {what}");
                self.note(PANIC, message, None, vec![event.index], when);
            }
            FAILED => {
                self.at_work.remove(text("user"));
                let message = format!("`{}`: {}", text("user"), text("error"));
                self.note(AWAIT, message, None, vec![event.index], when);
            }
            BEGUN => _ = self.at_work.insert(text("user").to_owned()),
            DONE => _ = self.at_work.remove(text("user")),
            // A user may be the host that a fault crashes: it is owed nothing more.
            CRASHED => _ = self.at_work.remove(text("host")),
            HEALED if self.clock.heal.is_some_and(|heal| heal < event.at) => {
                self.clock.heal = Some(event.at);
            }
            _ => {}
        }
    }

    fn invariants(&mut self, event: &Event) {
        for number in 0..self.invariants.len() {
            let invariant = &mut self.invariants[number];
            let id = invariant.id();
            if let Err(broken) = invariant.event(event) {
                let events = broken.events.into_iter().chain([event.index]).collect();
                self.note(id, broken.message, None, events, (event.step, event.at));
            }
        }
    }

    fn expectations(&mut self, event: &Event) {
        let Some(wanting) = self.dispatch.get(event.name) else { return };
        let mut failed = Vec::new();
        for (number, place, roles) in wanting {
            let mut dues = Vec::new();
            let monitor = &mut self.watches[*number].monitors[*place];
            if let Err(failure) = monitor.event(event, roles, self.clock, &mut dues) {
                failed.push((*number, failure));
            }
            let due = |(due, key)| (due, *number, *place, key);
            self.dues.extend(dues.into_iter().map(due));
        }
        for (number, failure) in failed {
            self.fail(number, failure, Some(event.index), (event.step, event.at));
        }
    }
}

fn watch(expect: &Expect, scenario: &Scenario, users: &[String]) -> Watch {
    let (sometimes, monitors) = match &expect.claim {
        Claim::Sometimes { orders, .. } => {
            (true, orders.iter().map(|o| Monitor::witness(o, expect, scenario)).collect())
        }
        _ => (false, vec![Monitor::new(expect, scenario, users)]),
    };
    Watch { id: expect.id.clone(), span: expect.span.clone(), sometimes, monitors }
}

impl Observer for Judge {
    fn event(&mut self, event: &Event) -> bool {
        if self.violation.is_none() {
            self.built_in(event);
            self.expire((event.step, event.at), Some(event.index));
            self.invariants(event);
            self.expectations(event);
        }
        self.violation.is_none()
    }

    fn owed(&self) -> bool {
        self.watches.iter().flat_map(|watch| &watch.monitors).any(Monitor::owed)
            || self.invariants.iter().any(|invariant| invariant.owed())
    }
}
