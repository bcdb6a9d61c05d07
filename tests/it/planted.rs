//! Each planted hazard is found within 200 seeds of a shipped scenario, as what it is; a race is
//! not found on every schedule. Must never steer: plain seeds, counted from 0.

use seedbed::search::Run;
use seedbed::seed::Seed;
use seedbed::verdict::Outcome;

use super::scenarios::runner;

const SEEDS: u64 = 200;

/// What a hazard is found as, by the names of its invariants or expectations.
struct Hazard {
    plant: &'static str,
    scenario: &'static str,
    found_as: &'static [&'static str],
    /// Some schedules do not show it.
    race: bool,
}

/// The id of the violation; `None` when the run held.
fn violated(run: &Run) -> Option<String> {
    match &run.outcome {
        Outcome::Held => None,
        Outcome::Violated(violation) => Some(violation.id.clone()),
        other => panic!("seed {}: {other:?}", run.plan.seed),
    }
}

fn check(hazard: &Hazard) {
    let runner = runner(hazard.scenario, &[hazard.plant]);
    let (mut found, mut held) = (false, false);
    for seed in 0..SEEDS {
        let run = runner.run(Seed(seed), false).expect("the harness does not panic");
        match violated(&run) {
            Some(id) => {
                let known = hazard.found_as.contains(&id.as_str());
                assert!(known, "{} at seed {seed} is found as {id}", hazard.plant);
                found = true;
            }
            None => held = true,
        }
        if found && (held || !hazard.race) {
            return;
        }
    }
    assert!(found, "{} is not found in {SEEDS} seeds", hazard.plant);
    assert!(held, "{} is a race, but {SEEDS} of {SEEDS} seeds show it", hazard.plant);
}

#[test]
fn h01_an_early_upgrade_is_found_as_accepted_before_ready() {
    let found_as = &["I1", "I14", "I18", "no-1011", "ready-first"];
    check(&Hazard { plant: "H01", scenario: "cold_start", found_as, race: true });
}

#[test]
fn h10_a_clean_up_that_takes_the_newer_registration_is_found_as_a_lost_event() {
    let found_as = &["I10", "I16", "I9", "await", "answered"];
    check(&Hazard { plant: "H10", scenario: "cold_start", found_as, race: true });
}

#[test]
fn h22_a_second_emitter_is_found_as_a_second_end() {
    check(&Hazard { plant: "H22", scenario: "cold_start", found_as: &["I2"], race: true });
}

#[test]
fn h26_a_shared_supervisor_is_found_as_a_foreign_marker() {
    check(&Hazard { plant: "H26", scenario: "cold_start", found_as: &["I5"], race: true });
}

/// What REPEATABLE READ refuses READ COMMITTED loses, when two deposits overlap.
#[test]
fn l01_deposits_at_read_committed_are_found_as_a_lost_update() {
    check(&Hazard { plant: "L01", scenario: "lost_update", found_as: &["L1"], race: true });
}

/// Every schedule shows it: the event always leaves before the commit is even asked for.
#[test]
fn h34_an_end_told_before_its_commit_is_found_as_such() {
    let found_as = &["I7", "durable-before-visible"];
    check(&Hazard { plant: "H34", scenario: "golden_path", found_as, race: false });
}

#[test]
fn h02_a_phase_published_too_early_is_found_as_a_probe_that_was_not_made() {
    let found_as = &["I1", "I14", "I18", "no-1011", "ready-first"];
    check(&Hazard { plant: "H02", scenario: "golden_path", found_as, race: true });
}

#[test]
fn h09_a_limit_that_is_checked_before_the_registration_is_found_as_one_too_many() {
    check(&Hazard { plant: "H09", scenario: "slow_readers", found_as: &["I9"], race: true });
}

#[test]
fn h11_a_clean_up_of_all_tabs_is_found_as_a_lost_event() {
    let found_as = &["I10", "I16", "I9", "await", "answered"];
    check(&Hazard { plant: "H11", scenario: "cold_start", found_as, race: true });
}

#[test]
fn h18_an_event_between_history_and_subscription_is_found_as_a_gap() {
    let found_as = &["I3", "I16", "I21", "await", "answered"];
    check(&Hazard { plant: "H18", scenario: "cold_start", found_as, race: true });
}

#[test]
fn h24_a_completion_after_a_cancel_is_found_as_a_second_end() {
    let found_as = &["I2", "I23", "one-end-a-run"];
    check(&Hazard { plant: "H24", scenario: "changed_minds", found_as, race: true });
}

/// Runs hold what others need to end.
#[test]
fn h39_sessions_held_while_the_model_thinks_are_found_as_a_pool_that_starves() {
    let found_as = &["I10", "I11", "I15", "I16", "I19", "I20", "I21", "await", "answered"];
    check(&Hazard { plant: "H39", scenario: "changed_minds", found_as, race: true });
}
