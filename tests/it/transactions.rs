//! Transactions in the trace of whole runs: each that began has one end, whatever happens to it.
//! Must never judge the backend: that is what its scenarios are for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use seedbed::report::{Waits, draw_waits};
use seedbed::scenario;
use seedbed::search::Runner;
use seedbed::seed::Seed;
use seedbed::systems::System as _;
use seedbed::systems::backend::Backend;
use seedbed::trace::{Event, Trace};
use seedbed::verdict::Violation;

use crate::scenarios::runner;

const CRASHES: &str = r#"
[[fault]]
crash = { host = "db", at = "1s..4s", restart_after = "50ms..1s" }
"#;

/// A cold start, on a database that crashes.
fn crashing() -> Runner {
    let runner = runner("cold_start", &[]);
    let source = format!("{}{CRASHES}", runner.scenario.source);
    let (scenario, wrong) =
        scenario::parse("crashing", "crashing.toml", &source, &Backend.vocabulary());
    Runner { scenario: Arc::new(scenario.unwrap_or_else(|| panic!("{wrong:?}"))), ..runner }
}

/// What a trace tells of transactions.
#[derive(Debug, Default)]
struct Told {
    begun: u64,
    /// Ends by their event, and reason.
    ends: BTreeMap<String, u64>,
}

impl Told {
    fn read(&mut self, trace: &Trace, label: &str) {
        let (mut open, mut dead) = (BTreeSet::new(), BTreeSet::new());
        for event in &trace.events {
            let session = event.number("session").unwrap_or(0);
            match event.name {
                "db.begin" => {
                    assert!(open.insert(session), "{label}: {session} began twice");
                    self.begun += 1;
                }
                "db.commit" if open.remove(&session) => self.end("commit"),
                "db.abort" if open.remove(&session) => self.end(event.text("reason").unwrap()),
                "host.crashed" if event.text("host") == Some("db") => dead.append(&mut open),
                "db.crash" if dead.remove(&session) => self.end("crash"),
                "db.crash" => assert!(!open.contains(&session), "{label}: {session} lives"),
                _ => {}
            }
        }
        let back = trace.events.iter().rev().find(|event| {
            let db = event.text("host") == Some("db");
            db && matches!(event.name, "host.started" | "host.crashed")
        });
        let back = back.is_some_and(|event| event.name == "host.started");
        assert!(dead.is_empty() || !back, "{label}: {dead:?} never crashed");
    }

    fn end(&mut self, how: &str) {
        *self.ends.entry(how.to_owned()).or_default() += 1;
    }
}

#[test]
fn a_transaction_that_began_has_one_end_in_any_run() {
    let mut told = Told::default();
    for (name, runner) in [("lost_commit", runner("lost_commit", &[])), ("crash", crashing())] {
        for seed in 0..40 {
            let run = runner.run(Seed(seed), true).expect("the harness does not panic");
            told.read(&run.trace, &format!("{name}@{seed}"));
        }
    }
    let ends: Vec<&str> = told.ends.keys().map(String::as_str).collect();
    for end in ["commit", "crash", "deadlock", "error", "lost connection"] {
        assert!(ends.contains(&end), "no {end} in {told:?}");
    }
    // What the end of a run cut short has none: a few of many.
    let ended: u64 = told.ends.values().sum();
    assert!(ended * 20 > told.begun * 19, "{told:?}");
}

/// The graph as a report would show it if `event` had decided.
fn waits_at(trace: &Trace, event: &Event) -> String {
    let (id, message) = (String::from("never"), String::new());
    let (step, at, events) = (event.step, event.at, vec![event.index]);
    let violation = Violation { id, message, step, at, span: None, events };
    draw_waits(&Waits::at(trace, &violation))
}

/// Nobody injects it: two users transfer in opposite directions.
#[test]
fn a_natural_deadlock_is_a_cycle_of_the_graph_until_its_victim_is_aborted() {
    let runner = runner("transfers", &[]);
    let (mut deadlocks, mut heard) = (0, 0);
    for seed in 0..20 {
        let run = runner.run(Seed(seed), true).expect("the harness does not panic");
        let trace = &run.trace;
        let found = trace.events.iter().filter(|event| event.name == "db.deadlock");
        for deadlock in found {
            deadlocks += 1;
            let graph = waits_at(trace, deadlock);
            let victim = deadlock.number("victim").expect("a session");
            let waits = format!("──▶ {victim}  ShareLock on transaction");
            assert!(graph.contains("    cycle: "), "seed {seed}: {graph}");
            assert!(graph.contains(&waits), "seed {seed}: {graph}");
            assert!(graph.contains(", accounts account="), "seed {seed}: {graph}");
            assert!(graph.contains(&format!("{victim} of ledger: SELECT cents FROM accounts")));
            let after = trace.events[deadlock.index as usize..].iter();
            let abort = after.clone().find(|event| event.name == "db.abort").expect("it ends");
            assert_eq!(abort.number("session"), Some(victim), "seed {seed}");
            assert_eq!(abort.text("reason"), Some("deadlock"), "seed {seed}");
            assert!(!waits_at(trace, abort).contains("    cycle: "), "seed {seed}");
            let again = |event: &Event| event.text("class") == Some("deadlock");
            heard += u32::from(after.clone().any(again));
        }
    }
    assert!(deadlocks > 10, "only {deadlocks}");
    // But for a ledger that crashed meanwhile, it has heard and tries again.
    assert!(heard * 2 > deadlocks, "{heard} of {deadlocks}");
}
