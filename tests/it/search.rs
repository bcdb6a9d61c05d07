//! One run and many runs, on the counter: order of delivery, interruption, and that a planted bug
//! is found while its fixed twin holds. Must never depend on the backend.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use seedbed::env::Clock;
use seedbed::plan::{Overrides, Plan, Strategy, UserPlan};
use seedbed::scenario::{self, Vocabulary};
use seedbed::search::{Campaign, Divergence, Ran, Run, Runner, lines};
use seedbed::seed::Seed;
use seedbed::systems::System;
use seedbed::verdict::{Invariant, Outcome};
use seedbed::world::{HostFuture, HostSpec, SimEnv};

use crate::counter::{self, Counter};

fn runner_of(system: impl System + 'static, source: &str, plants: &[&str]) -> Runner {
    let (scenario, diagnostics) =
        scenario::parse("count", "count.toml", source, &system.vocabulary());
    let scenario = scenario.unwrap_or_else(|| panic!("{diagnostics:?}"));
    let plants = plants.iter().map(|&plant| plant.to_owned()).collect();
    let overrides = Overrides { plants, ..Overrides::default() };
    Runner {
        system: Arc::new(system),
        scenario: Arc::new(scenario),
        overrides,
        wall_max: Duration::from_mins(1),
    }
}

pub fn runner(plants: &[&str]) -> Runner {
    runner_of(Counter, counter::SCENARIO, plants)
}

fn run(runner: &Runner, seed: u64) -> Run {
    runner.run(Seed(seed), false).unwrap()
}

/// Seed and digest of every run, in the order of delivery.
fn campaign(runner: &Runner, first: u64, count: u64, jobs: usize) -> (Ran, Vec<(Seed, u128)>) {
    let mut seen = Vec::new();
    let jobs = NonZeroUsize::new(jobs).unwrap();
    let campaign = Campaign { first: Seed(first), count, jobs };
    let ran = campaign.run(runner, &AtomicBool::new(false), &mut |seed, run| {
        seen.push((seed, run.unwrap().digest.0));
        ControlFlow::Continue(())
    });
    (ran, seen)
}

#[test]
fn results_come_in_seed_order_and_are_the_same_on_any_number_of_threads() {
    let runner = runner(&[]);
    let (ran, alone) = campaign(&runner, 7, 40, 1);
    assert_eq!(ran, Ran::Through);
    let seeds: Vec<u64> = alone.iter().map(|(seed, _)| seed.0).collect();
    assert_eq!(seeds, (7..47).collect::<Vec<_>>());
    assert_eq!(campaign(&runner, 7, 40, 4), (Ran::Through, alone));
}

#[test]
fn seeds_go_on_from_zero_past_the_last_one() {
    let (_, seen) = campaign(&runner(&[]), u64::MAX, 3, 2);
    let seeds: Vec<u64> = seen.iter().map(|(seed, _)| seed.0).collect();
    assert_eq!(seeds, [u64::MAX, 0, 1]);
}

#[test]
fn a_campaign_ends_when_it_is_interrupted_and_when_the_receiver_has_enough() {
    let (runner, stop) = (runner(&[]), AtomicBool::new(false));
    let jobs = NonZeroUsize::new(2).unwrap();
    let campaign = Campaign { first: Seed(0), count: 1_000_000, jobs };
    let ran = campaign.run(&runner, &stop, &mut |seed, _| {
        stop.fetch_or(seed.0 == 5, Ordering::Relaxed);
        ControlFlow::Continue(())
    });
    assert_eq!(ran, Ran::Interrupted);
    let mut delivered = 0;
    let ran = campaign.run(&runner, &AtomicBool::new(false), &mut |_, _| {
        delivered += 1;
        if delivered == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!((ran, delivered), (Ran::Enough, 5));
}

#[test]
fn the_canary_fails_in_some_runs_and_its_fixed_twin_in_none() {
    let violated = |runner: &Runner| {
        let found = (0..100).filter(|&seed| match run(runner, seed).outcome {
            Outcome::Held => false,
            Outcome::Violated(violation) => violation.id == "K1",
            other => panic!("seed {seed}: {other:?}"),
        });
        found.count()
    };
    let planted = violated(&runner(&["C01"]));
    assert!((1..100).contains(&planted), "{planted} of 100");
    assert_eq!(violated(&runner(&[])), 0);
}

#[test]
fn a_violation_points_at_both_additions_and_its_trace_tells_them() {
    let runner = runner(&["C01"]);
    let failed = (0..100).find(|&seed| run(&runner, seed).outcome != Outcome::Held).unwrap();
    let run = runner.run(Seed(failed), true).unwrap();
    let Outcome::Violated(violation) = &run.outcome else { panic!("{:?}", run.outcome) };
    let told = violation.events.iter().map(|&index| &run.trace.events[index as usize]);
    let told: Vec<_> = told.map(|event| (event.name, event.number("value"))).collect();
    assert_eq!(told.len(), 2);
    assert_eq!(told[0], told[1]);
}

#[test]
fn recording_changes_nothing_but_what_is_kept() {
    let runner = runner(&[]);
    for seed in 0..20 {
        let (bare, recorded) = (run(&runner, seed), runner.run(Seed(seed), true).unwrap());
        assert_eq!((bare.digest, bare.steps), (recorded.digest, recorded.steps));
        assert_eq!(bare.choices, recorded.choices);
        assert_eq!(recorded.choices, recorded.trace.choices.len() as u64);
        assert!(bare.trace.events.is_empty() && !recorded.trace.events.is_empty());
    }
}

/// A system of one user, whose script is a function.
struct Script(fn(SimEnv) -> HostFuture);

impl System for Script {
    fn name(&self) -> &'static str {
        "script"
    }

    fn vocabulary(&self) -> Vocabulary {
        Counter.vocabulary()
    }

    fn hosts(&self, _plan: &Plan) -> Vec<HostSpec> {
        Vec::new()
    }

    fn user(&self, env: SimEnv, _user: &UserPlan, _plan: &Plan) -> HostFuture {
        (self.0)(env)
    }

    fn invariants(&self, _plan: &Plan) -> Vec<Box<dyn Invariant>> {
        Vec::new()
    }
}

const ONE_USER: &str = r#"# Proves: nothing; the user does what the test says.
schema = 1
title = "script"

[run]
seeds = 1
faults_until = "10ms"
quiesce = "100ms"
steps_max = 20000

[[user]]
name = "u"
steps = [{ add = {} }]
"#;

/// Always runnable, never getting anywhere: two steps of it are not different.
fn spin(_env: SimEnv) -> HostFuture {
    Box::pin(std::future::poll_fn(|context| {
        context.waker().wake_by_ref();
        Poll::Pending
    }))
}

#[test]
fn tasks_that_never_rest_are_a_livelock() {
    let run = run(&runner_of(Script(spin), ONE_USER, &[]), 0);
    let Outcome::Violated(violation) = run.outcome else { panic!("{:?}", run.outcome) };
    assert_eq!(violation.id, "I20");
    assert!(violation.message.contains("never came to rest"), "{}", violation.message);
}

#[test]
fn a_run_cut_by_the_wall_clock_is_inconclusive() {
    let source = ONE_USER.replace("20000", "2000000000");
    let mut runner = runner_of(Script(spin), &source, &[]);
    runner.wall_max = Duration::from_millis(50);
    assert!(matches!(run(&runner, 0).outcome, Outcome::Inconclusive(_)));
}

#[test]
fn a_task_that_leaves_the_world_is_named() {
    let escape = |_env: SimEnv| -> HostFuture {
        Box::pin(async {
            tokio::spawn(async {});
            Ok(())
        })
    };
    let run = run(&runner_of(Script(escape), ONE_USER, &[]), 0);
    let Outcome::Diverged(why) = run.outcome else { panic!("{:?}", run.outcome) };
    assert!(why.contains("search.rs"), "{why}");
}

#[test]
fn a_panic_of_the_harness_is_its_own_error() {
    struct Broken;
    impl System for Broken {
        fn name(&self) -> &'static str {
            "broken"
        }
        fn vocabulary(&self) -> Vocabulary {
            Counter.vocabulary()
        }
        fn hosts(&self, _plan: &Plan) -> Vec<HostSpec> {
            panic!("no hosts today")
        }
        fn user(&self, env: SimEnv, _user: &UserPlan, _plan: &Plan) -> HostFuture {
            spin(env)
        }
        fn invariants(&self, _plan: &Plan) -> Vec<Box<dyn Invariant>> {
            Vec::new()
        }
    }
    let error = runner_of(Broken, ONE_USER, &[]).run(Seed(3), false).unwrap_err();
    assert_eq!(error.to_string(), "the harness panicked at seed 0x3: no hosts today");
}

/// What every run of this process counts on, as a leak would.
static LEAK: AtomicU64 = AtomicU64::new(0);

#[test]
fn a_leak_of_process_state_is_found_where_it_first_shows() {
    let leaky = |env: SimEnv| -> HostFuture {
        Box::pin(async move {
            env.sleep(Duration::from_millis(1)).await;
            counter::asked("before");
            counter::asked(&LEAK.fetch_add(1, Ordering::Relaxed).to_string());
            Ok(())
        })
    };
    let runner = runner_of(Script(leaky), ONE_USER, &[]);
    let told = || lines(&runner.run(Seed(0), true).unwrap().trace).collect::<Vec<_>>();
    let (left, right) = (told(), told());
    let first = Divergence::first(&left, &right).expect("the runs differ");
    let (left, right) = (first.left.unwrap(), first.right.unwrap());
    assert!(left.contains("counter.asked user=\"0\""), "{left}");
    assert!(right.contains("counter.asked user=\"1\""), "{right}");
}

#[test]
fn the_strategy_on_the_command_line_is_the_one_that_runs() {
    let mut runner = runner(&[]);
    runner.overrides.strategy = Some(Strategy::Pct { depth: 2 });
    assert_eq!(run(&runner, 1).plan.strategy, Strategy::Pct { depth: 2 });
}
