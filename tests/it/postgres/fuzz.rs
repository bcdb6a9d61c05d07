//! Random sessions, interleaved at random, here and on a real PostgreSQL: after each step the same
//! answers, the same sessions waiting, the same deadlock victim. Must never compare what a real
//! server leaves to chance: who of several that wake at once goes first.

mod cases;
mod joins;
mod side;

use std::cell::RefCell;

use proptest::test_runner::{Config, FileFailurePersistence, RngAlgorithm, TestRng, TestRunner};
use seedbed::world::postgres::{Settings, Watch};

use super::{ours, runtime};
use crate::pg_server::PgServer;
use cases::Case;
use side::{Side, Turn};

/// Interleavings in the tests; `PROPTEST_CASES` asks for others, and for other ones.
const CASES: u32 = 300;

fn runner() -> TestRunner {
    let kept = FileFailurePersistence::Direct("tests/proptest-regressions/postgres_fuzz.txt");
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = Config {
        cases: asked.unwrap_or(CASES),
        failure_persistence: Some(Box::new(kept)),
        max_shrink_iters: 400,
        ..Config::default()
    };
    if asked.is_some() {
        return TestRunner::new(config);
    }
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// What was done and said so far, for whoever reads a difference.
#[derive(Default)]
struct Transcript(Vec<String>);

impl Transcript {
    fn add(&mut self, session: usize, sql: &str, turn: &Turn) {
        self.0.push(format!("s{session}: {sql};\n{turn}"));
    }
}

/// Whether a real server left to chance what came after: several waited, and some were released,
/// if only to wait for somebody else.
fn by_chance(before: &[(usize, String)], now: &[(usize, String)]) -> bool {
    before.len() > 1 && before.iter().any(|waiter| !now.contains(waiter))
}

/// Runs the case on both; the difference, if there is one.
async fn differs(case: &Case, here: &mut Side, there: &mut Side) -> Option<String> {
    for statement in case.set_up() {
        let (ours, theirs) = (here.control(&statement).await, there.control(&statement).await);
        assert_eq!(ours, theirs, "{statement}");
    }
    here.open(case).await;
    there.open(case).await;
    let (mut transcript, mut waiting, mut found) = (Transcript::default(), Vec::new(), None);
    let (mut chance, mut blockers) = (false, Vec::new());
    for (session, sql) in case.steps() {
        if waiting.contains(&session) {
            continue;
        }
        let (theirs, ours) = tokio::join!(there.step(session, &sql), here.step(session, &sql));
        let before = std::mem::replace(&mut blockers, there.blockers().await);
        chance = by_chance(&before, &blockers);
        if chance {
            break;
        }
        transcript.add(session, &sql, &theirs);
        if ours != theirs {
            found = Some(format!("--- but here:\n{ours}"));
            break;
        }
        waiting = theirs.waiting;
    }
    here.end().await;
    there.end().await;
    // Which of several that still wait is cancelled before another one's end lets it go on, is
    // left to chance.
    if found.is_none() && !chance && waiting.len() < 2 {
        for look in case.contents() {
            let (ours, theirs) = (here.control(look).await, there.control(look).await);
            if ours != theirs {
                found = Some(format!("{look}\n{theirs}\n--- but here:\n{ours}"));
            }
        }
    }
    here.close(case).await;
    there.close(case).await;
    found.map(|found| format!("{case}\n{}\n{found}", transcript.0.join("\n")))
}

#[test]
fn random_interleavings_go_as_on_a_real_postgresql() {
    let server = PgServer::start();
    let runtime = runtime();
    let sides = runtime.block_on(async {
        let (addr, _store) = ours(Settings::default(), Watch::none()).await;
        RefCell::new((Side::new(&addr).await, Side::new(&server.addr()).await))
    });
    let ran = runner().run(&cases::any(), |case| {
        let (here, there) = &mut *sides.borrow_mut();
        match runtime.block_on(differs(&case, here, there)) {
            None => Ok(()),
            Some(difference) => Err(proptest::test_runner::TestCaseError::fail(difference)),
        }
    });
    if let Err(error) = ran {
        panic!("{error}");
    }
}
