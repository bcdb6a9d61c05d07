//! Judges one run while it is made: expectations, invariants, and what no run may do.
//! Must never go on after the first violation.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::automata::Clock;
use super::monitor::{Failure, Monitor};
use super::pattern::Key;
use super::{Broken, End, ExpectTally, Invariant, Outcome, Tally, Violation};
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

/// Virtual time between two looks for what is overdue.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// One expectation's monitors: one, or one for each order of `sometimes`.
struct Watch {
    id: String,
    span: Span,
    sometimes: bool,
    monitors: Vec<Monitor>,
}

/// Who is shown the events of one name.
#[derive(Default)]
struct Wanted {
    invariants: Vec<usize>,
    /// Which monitors of which watches, in which roles.
    monitors: Vec<(usize, usize, Vec<usize>)>,
}

/// An event's name, its length first: most names differ in it, which is quick to see.
type Name = (usize, Cow<'static, str>);

fn name(name: impl Into<Cow<'static, str>>) -> Name {
    let name = name.into();
    (name.len(), name)
}

/// Reads one run. Made anew for each.
pub struct Judge {
    watches: Vec<Watch>,
    invariants: Vec<Box<dyn Invariant>>,
    waived: BTreeSet<String>,
    /// By event name.
    dispatch: BTreeMap<Name, Wanted>,
    /// When invariants are asked next for what is overdue.
    next_look: Moment,
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
        let invariants: Vec<_> =
            invariants.into_iter().filter(|i| !waived.contains(i.id())).collect();
        let mut dispatch: BTreeMap<Name, Wanted> = BTreeMap::new();
        for (number, invariant) in invariants.iter().enumerate() {
            for read in invariant.reads() {
                dispatch.entry(name(*read)).or_default().invariants.push(number);
            }
        }
        for (number, watch) in watches.iter().enumerate() {
            for (place, monitor) in watch.monitors.iter().enumerate() {
                for (want, roles) in monitor.wants() {
                    let wanted = dispatch.entry(name(want.to_owned())).or_default();
                    wanted.monitors.push((number, place, roles));
                }
            }
        }
        let mut judge = Judge {
            watches,
            invariants,
            waived,
            dispatch,
            next_look: Moment::default(),
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
        while self.dues.first().is_some_and(|first| first.0 < when.1) {
            let (_, number, place, key) = self.dues.pop_first().expect("just seen");
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

    /// Asks for what is overdue, from time to time.
    fn look(&mut self, event: &Event) {
        if event.at < self.next_look {
            return;
        }
        self.next_look = event.at + LOOK_EVERY;
        let overdue = |invariant: &mut Box<dyn Invariant>| {
            invariant.overdue(event.at).err().map(|broken| (invariant.id(), broken))
        };
        let first = self.invariants.iter_mut().find_map(overdue);
        self.broken(first, event);
    }

    /// Shows the event to whoever wants it.
    fn show(&mut self, event: &Event) {
        let Judge { dispatch, invariants, watches, dues, clock, .. } = self;
        let Some(wanted) = dispatch.get(&name(event.name)) else { return };
        let first = wanted.invariants.iter().find_map(|number| {
            let invariant = &mut invariants[*number];
            invariant.event(event).err().map(|broken| (invariant.id(), broken))
        });
        let mut failed = Vec::new();
        for (number, place, roles) in &wanted.monitors {
            let monitor = &mut watches[*number].monitors[*place];
            let due = |due, key| _ = dues.insert((due, *number, *place, key));
            if let Err(failure) = monitor.event(event, roles, *clock, due) {
                failed.push((*number, failure));
            }
        }
        self.broken(first, event);
        for (number, failure) in failed {
            self.fail(number, failure, Some(event.index), (event.step, event.at));
        }
    }

    fn broken(&mut self, first: Option<(&str, Broken)>, event: &Event) {
        let Some((id, broken)) = first else { return };
        let events = broken.events.into_iter().chain([event.index]).collect();
        self.note(id, broken.message, None, events, (event.step, event.at));
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
            self.look(event);
            self.show(event);
        }
        self.violation.is_none()
    }

    fn owed(&self) -> bool {
        self.watches.iter().flat_map(|watch| &watch.monitors).any(Monitor::owed)
            || self.invariants.iter().any(|invariant| invariant.owed())
    }
}
