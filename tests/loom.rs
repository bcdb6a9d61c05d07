//! Every interleaving (up to three preemptions) of the primitives: the very files of `src/sync/`,
//! compiled here over loom's locks and atomics. Each model also runs on a mutant of the primitive,
//! in a child process, and must fail there: a model that cannot fail proves nothing.
//! Must never hold a copy of what it checks.

#![allow(dead_code, reason = "the cores are included whole, the models use a part")]

mod primitives {
    pub use loom::sync::Mutex;
    pub use loom::sync::atomic::{AtomicU64, Ordering};
}
#[path = "../src/sync/cores/cell.rs"]
mod cell;
#[path = "../src/sync/cores/gate.rs"]
mod gate;
#[path = "../src/sync/cores/latch.rs"]
mod latch;
#[path = "../src/sync/cores/mailbox.rs"]
mod mailbox;
#[path = "../src/sync/cores/once.rs"]
mod once;
#[path = "../src/sync/cores/permits.rs"]
mod permits;
#[path = "../src/sync/cores/slot.rs"]
mod slot;
#[path = "../src/sync/cores/waiters.rs"]
mod waiters;

#[path = "loom/models.rs"]
mod models;
#[path = "loom/mutants.rs"]
mod mutants;

use std::process::Command;

/// Runs `model` under every schedule with at most three preemptions.
fn explore(model: fn()) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

const CHILD: &str = "SEEDBED_LOOM_MUTANT";

/// Runs `model` of the test called `test` in a child process, where it must fail and say `why`.
/// A child, because a failing model may abort, and because its panics would litter the output.
fn must_fail(test: &str, why: &str, model: fn()) {
    if std::env::var(CHILD).is_ok_and(|child| child == test) {
        return explore(model);
    }
    let this = std::env::current_exe().expect("a running test has a file");
    let mut child = Command::new(this);
    child.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(CHILD, test);
    let output = child.output().expect("the test binary starts");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("running 1 test"), "no test is called {test}:\n{said}");
    assert!(!output.status.success(), "the mutant of {test} was not noticed:\n{said}");
    assert!(said.contains(why), "{test} failed otherwise than by `{why}`:\n{said}");
}

/// `name`: the model holds for the primitive. `mutant`: it fails, saying `why`, for the mutant.
macro_rules! twins {
    ($($name:ident: $model:expr; $mutant:ident: $broken:expr, $why:literal;)*) => {$(
        #[test]
        fn $name() {
            explore($model);
        }

        #[test]
        fn $mutant() {
            must_fail(stringify!($mutant), $why, $broken);
        }
    )*};
}

twins! {
    gate_forgets_nobody_who_enters_while_it_opens:
        models::nobody_is_left_outside::<gate::Gate<bool>>;
    gate_that_looks_then_queues_is_caught:
        models::nobody_is_left_outside::<mutants::LooksThenQueues>, "deadlock";

    gate_holds_no_more_than_its_capacity:
        models::one_place_holds_one::<gate::Gate<bool>>;
    gate_that_counts_then_queues_is_caught:
        models::one_place_holds_one::<mutants::CountsThenQueues>, "held beyond the capacity";

    gate_lets_a_leaver_go_and_answers_the_others_in_order:
        || models::leaver_goes_and_order_is_kept(models::leaves);
    gate_whose_leavers_stay_is_caught:
        || models::leaver_goes_and_order_is_kept(mutants::stays), "a leaver is still held";

    latch_forgets_nobody_who_waits_while_it_is_set:
        models::nobody_is_left_outside::<latch::Latch>;
    latch_that_wakes_before_it_sets_is_caught:
        models::nobody_is_left_outside::<mutants::WakesThenSets>, "deadlock";

    cell_lets_one_terminal_win:
        models::one_terminal_wins::<cell::StateCell>;
    cell_that_compares_then_sets_is_caught:
        models::one_terminal_wins::<mutants::ComparesThenSets>, "two terminals won";

    cell_keeps_a_fenced_attempt_out:
        models::fenced_attempt_writes_nothing::<cell::StateCell>;
    cell_that_forgets_the_attempt_is_caught:
        models::fenced_attempt_writes_nothing::<mutants::ForgetsTheAttempt>, "a zombie wrote";

    cell_publishes_the_result_with_the_end:
        models::end_publishes_the_result::<cell::StateCell>;
    cell_with_relaxed_orderings_is_caught:
        models::end_publishes_the_result::<mutants::Relaxed>, "an end without its result";

    slot_never_passes_its_limit:
        models::limit_holds_in_a_storm::<slot::Slot<u8>>;
    slot_that_checks_its_limit_outside_is_caught:
        models::limit_holds_in_a_storm::<mutants::ChecksOutside>, "the limit was passed";

    slot_clean_up_spares_the_newer_registration:
        models::late_clean_up_is_harmless::<slot::Slot<u8>>;
    slot_that_removes_the_oldest_is_caught:
        models::late_clean_up_is_harmless::<mutants::RemovesTheOldest>, "the newer one is gone";

    permits_pass_on_what_a_dropped_waiter_was_granted:
        models::dropped_waiter_loses_no_permit::<permits::Permits>;
    permits_that_forget_a_dropped_grant_are_caught:
        models::dropped_waiter_loses_no_permit::<mutants::ForgetsGrants>, "a permit was lost";

    mailbox_delivers_what_it_accepted_then_ends:
        models::accepted_is_received::<mailbox::Mailbox<u8>>;
    mailbox_that_drops_on_closing_is_caught:
        models::accepted_is_received::<mutants::DropsOnClosing>, "accepted and not received";

    once_gives_the_turn_to_one_and_passes_it_on:
        models::one_initialises::<once::Once<u8>>;
    once_that_looks_then_runs_is_caught:
        models::one_initialises::<mutants::LooksThenRuns>, "made by two";
}
