//! An invariant is shown the events that it names and no other: one that it does not name would
//! change nothing that it knows. Must never judge a run.

use std::sync::{Arc, LazyLock};

use seedbed::env::Moment;
use seedbed::plan::{Plan, UserPlan};
use seedbed::scenario::Vocabulary;
use seedbed::seed::Seed;
use seedbed::systems::System;
use seedbed::trace::Event;
use seedbed::verdict::{Broken, End, Invariant};
use seedbed::world::{HostFuture, HostSpec, SimEnv};

use super::scenarios::runner;

/// Shows an event to an invariant as a judge does; what it does not name, to see that it is
/// nothing to it.
pub fn show(invariant: &mut dyn Invariant, event: &Event) -> Result<(), Broken> {
    if invariant.reads().contains(&event.name) {
        return invariant.event(event);
    }
    let before = format!("{invariant:?}");
    let result = invariant.event(event);
    let nothing = result.is_ok() && format!("{invariant:?}") == before;
    assert!(nothing, "{} reads {}, and does not name it", invariant.id(), event.name);
    Ok(())
}

/// An invariant that is shown everything.
#[derive(Debug)]
struct Curious {
    inner: Box<dyn Invariant>,
    all: &'static [&'static str],
}

impl Invariant for Curious {
    fn id(&self) -> &'static str {
        self.inner.id()
    }

    fn reads(&self) -> &'static [&'static str] {
        self.all
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        show(&mut *self.inner, event)
    }

    fn overdue(&mut self, now: Moment) -> Result<(), Broken> {
        self.inner.overdue(now)
    }

    fn end(&mut self, end: &End) -> Result<(), Broken> {
        self.inner.end(end)
    }

    fn owed(&self) -> bool {
        self.inner.owed()
    }
}

/// A system whose invariants are shown everything.
struct Open(Arc<dyn System>);

/// Every event that there is.
static ALL: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let systems = ["cold_start", "transfers"].map(|scenario| runner(scenario, &[]).system);
    let events = systems.iter().flat_map(|system| system.vocabulary().events);
    events.map(|event| event.name).collect()
});

impl System for Open {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn vocabulary(&self) -> Vocabulary {
        self.0.vocabulary()
    }

    fn hosts(&self, plan: &Plan) -> Vec<HostSpec> {
        self.0.hosts(plan)
    }

    fn user(&self, env: SimEnv, user: &UserPlan, plan: &Plan) -> HostFuture {
        self.0.user(env, user, plan)
    }

    fn invariants(&self, plan: &Plan) -> Vec<Box<dyn Invariant>> {
        let open = |inner: Box<dyn Invariant>| -> Box<dyn Invariant> {
            let unknown = inner.reads().iter().find(|name| !ALL.contains(*name));
            assert_eq!(unknown, None, "{} names an event that is none", inner.id());
            Box::new(Curious { inner, all: &ALL })
        };
        self.0.invariants(plan).into_iter().map(open).collect()
    }
}

fn check(scenario: &str, plants: &[&str], seeds: u64) {
    let mut runner = runner(scenario, plants);
    runner.system = Arc::new(Open(runner.system));
    for seed in 0..seeds {
        if let Err(error) = runner.run(Seed(seed), false) {
            panic!("{scenario}@{}: {error}", Seed(seed));
        }
    }
}

#[test]
fn what_an_invariant_does_not_name_is_nothing_to_it() {
    for scenario in ["cold_start", "golden_path", "lost_commit", "slow_answers", "slow_readers"] {
        check(scenario, &[], 6);
    }
    for scenario in ["changed_minds", "deploy", "transfers", "lost_update"] {
        check(scenario, &[], 6);
    }
}

#[test]
fn nor_is_it_where_something_is_broken() {
    for plant in ["H01", "H10", "H22", "H34"] {
        check("cold_start", &[plant], 6);
    }
}
