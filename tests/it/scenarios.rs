//! The shipped scenarios: each is read without a complaint and held by its system.
//! Must never know what a scenario says: that is its own business.

use std::sync::Arc;
use std::time::Duration;

use seedbed::plan::{Engine, Overrides};
use seedbed::scenario::{self, Scenario};
use seedbed::search::Runner;
use seedbed::seed::Seed;
use seedbed::systems::System;
use seedbed::systems::backend::Backend;
use seedbed::systems::ledger::Ledger;
use seedbed::verdict::Outcome;

/// A scenario of this repository, by name.
pub fn load(name: &str) -> Arc<Scenario> {
    let path = format!("{}/scenarios/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let source = std::fs::read_to_string(&path).expect("a shipped scenario");
    let vocabulary = system(&source).vocabulary();
    let (scenario, found) = scenario::parse(name, &path, &source, &vocabulary);
    let messages: Vec<_> = found.iter().map(|diagnostic| &diagnostic.message).collect();
    assert!(messages.is_empty(), "{name}: {messages:?}");
    Arc::new(scenario.expect("a scenario without diagnostics"))
}

/// The system that a scenario's text is for.
fn system(source: &str) -> Arc<dyn System> {
    let systems: [Arc<dyn System>; 2] = [Arc::new(Backend), Arc::new(Ledger)];
    let names = [systems[0].name(), systems[1].name()];
    let chosen = scenario::choose(source, &names).expect("a system that there is");
    Arc::clone(&systems[chosen])
}

/// Runs seeds of a scenario with `plants` switched on.
pub fn runner(name: &str, plants: &[&str]) -> Runner {
    let plants = plants.iter().map(|plant| (*plant).to_owned()).collect();
    let overrides = Overrides { plants, ..Overrides::default() };
    let wall_max = Duration::from_mins(2);
    let scenario = load(name);
    Runner { system: system(&scenario.source), scenario, overrides, wall_max }
}

/// The outcomes of the first seeds on one engine, in the order of the seeds.
fn outcomes(name: &str, engine: Engine, seeds: u64) -> Vec<(Seed, Outcome)> {
    let mut runner = runner(name, &[]);
    runner.overrides.engine = Some(engine);
    let one = |seed| {
        let run = runner.run(Seed(seed), false).expect("the harness does not panic");
        (Seed(seed), run.outcome)
    };
    (0..seeds).map(one).collect()
}

/// A user who comes before the gateway listens; a tab that knows an event before it is handed out.
#[test]
fn seeds_that_were_false_alarms_are_held() {
    for (name, seed) in [("golden_path", 0x16bc), ("concurrent_users", 0x108f)] {
        let run = runner(name, &[]).run(Seed(seed), false).expect("the harness does not panic");
        assert_eq!(run.outcome, Outcome::Held, "{name}@{seed:#x}");
    }
}

fn holds(name: &str, engine: Engine, seeds: u64) {
    for (seed, outcome) in outcomes(name, engine, seeds) {
        assert_eq!(outcome, Outcome::Held, "{name}@{seed}/{engine}");
    }
}

#[test]
fn a_cold_start_is_held() {
    holds("cold_start", Engine::Native, 60);
}

#[test]
fn the_golden_path_is_held() {
    holds("golden_path", Engine::Native, 60);
}

#[test]
fn concurrent_users_are_held() {
    holds("concurrent_users", Engine::Native, 12);
}

#[test]
fn lost_commits_are_held() {
    holds("lost_commit", Engine::Native, 30);
}

#[test]
fn both_engines_agree_on_lost_commits() {
    holds("lost_commit", Engine::Turmoil, 20);
}

#[test]
fn a_deploy_is_held_on_both_engines() {
    holds("deploy", Engine::Native, 20);
    holds("deploy", Engine::Turmoil, 20);
}

#[test]
fn changed_minds_are_held_on_both_engines() {
    holds("changed_minds", Engine::Native, 20);
    holds("changed_minds", Engine::Turmoil, 20);
}

#[test]
fn slow_answers_are_held_on_both_engines() {
    holds("slow_answers", Engine::Native, 20);
    holds("slow_answers", Engine::Turmoil, 20);
}

#[test]
fn slow_readers_are_held_on_both_engines() {
    // So many show a silent client whose window is full: that it is sent away all the same.
    holds("slow_readers", Engine::Native, 110);
    holds("slow_readers", Engine::Turmoil, 20);
}

#[test]
fn transfers_are_held_on_both_engines() {
    holds("transfers", Engine::Native, 40);
    holds("transfers", Engine::Turmoil, 20);
}

#[test]
fn deposits_are_held_on_both_engines() {
    holds("lost_update", Engine::Native, 200);
    holds("lost_update", Engine::Turmoil, 20);
}

/// An independent model of the network must come to the same verdicts.
#[test]
fn both_engines_agree_on_a_cold_start() {
    holds("cold_start", Engine::Turmoil, 20);
}

#[test]
fn both_engines_agree_on_the_golden_path() {
    holds("golden_path", Engine::Turmoil, 20);
}

#[test]
fn both_engines_agree_on_concurrent_users() {
    holds("concurrent_users", Engine::Turmoil, 20);
}
