//! Random sessions, interleaved at random, here and on a real PostgreSQL: after each step the same
//! answers, the same sessions waiting, the same deadlock victim. Must never compare what a real
//! server leaves to chance: who of several that wake at once goes first.

mod cases;
mod interleaving;
mod joins;
mod pipelines;
mod portals;
mod queries;
mod side;
mod themes;

use std::cell::RefCell;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, FileFailurePersistence, RngAlgorithm};
use proptest::test_runner::{TestCaseError, TestRng, TestRunner};
use seedbed::world::postgres::{Settings, Watch};

use super::{ours, runtime};
use crate::pg_server::PgServer;
use interleaving::Script;
use side::{Side, Turn};

/// Shrinks a failing case in so many steps at most. `PROPTEST_CASES` asks for as many cases as it
/// says, and for other ones.
fn runner(cases: u32, shrinks: u32, kept: &'static str) -> TestRunner {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = Config {
        cases: asked.unwrap_or(cases),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(kept))),
        max_shrink_iters: shrinks,
        ..Config::default()
    };
    if asked.is_some() {
        return TestRunner::new(config);
    }
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// Fails at the first case that differs, made as small as it can be.
fn none_differs<S: Strategy>(
    mut runner: TestRunner,
    cases: &S,
    differs: impl Fn(&S::Value) -> Option<String>,
) {
    let ran = runner.run(cases, |case| {
        differs(&case).map_or(Ok(()), |difference| Err(TestCaseError::fail(difference)))
    });
    if let Err(error) = ran {
        panic!("{error}");
    }
}

/// What was done and said so far, for whoever reads a difference.
#[derive(Default)]
struct Transcript(Vec<String>);

impl Transcript {
    fn add(&mut self, session: usize, sql: &str, turn: &Turn) {
        self.0.push(format!("s{session}: {sql};\n{turn}"));
    }
}

/// How much was compared of what was meant to be.
#[derive(Debug, Default)]
struct Tally {
    steps: usize,
    compared: usize,
    /// Compared statements that brought no error.
    well: usize,
    /// How scripts ended that came to a statement which is refused here.
    refused: Vec<String>,
    scripts: usize,
}

impl Tally {
    fn add(&mut self, turn: &Turn) {
        self.compared += 1;
        let went_well =
            |answer: &str| answer.lines().last().is_some_and(|end| end.starts_with("ok"));
        self.well += turn.ended.iter().filter(|(_, answer)| went_well(answer)).count();
    }

    fn assert_healthy(&self) {
        let healthy = self.compared * 3 > self.steps * 2 && self.well * 2 > self.compared;
        assert!(
            healthy && self.refused.len() * 20 <= self.scripts,
            "hardly anything compared: {self:?}"
        );
    }
}

/// Whether a real server left to chance what came after: several waited, or one waited for what a
/// statement frees before it ends, and some were released, if only to wait for somebody else.
fn by_chance(sql: &str, before: &[(usize, String)], now: &[(usize, String)]) -> bool {
    let early = sql.contains("advisory_unlock") && sql.contains(" t ");
    (before.len() > 1 || early) && before.iter().any(|waiter| !now.contains(waiter))
}

/// How a statement ended here that there is not.
fn refused(ours: &Turn, theirs: &Turn) -> Option<String> {
    let refused =
        |end: &&(usize, String)| end.1.starts_with("0A000") && !theirs.ended.contains(end);
    ours.ended.iter().find(refused).map(|(_, answer)| answer.clone())
}

/// The two servers.
struct Sides {
    here: Side,
    there: Side,
    tally: Tally,
}

impl Sides {
    /// Says it to both, outside of all sessions; the difference, if there is one.
    async fn control(&self, sql: &str) -> Option<String> {
        let (ours, theirs) = (self.here.control(sql).await, self.there.control(sql).await);
        (ours != theirs).then(|| format!("{sql}\n{theirs}\n--- but here:\n{ours}"))
    }

    /// Runs the script on both; the difference, if there is one.
    async fn differs(&mut self, script: &Script) -> Option<String> {
        for statement in &script.set_up {
            assert_eq!(self.control(statement).await, None);
        }
        self.here.open(script).await;
        self.there.open(script).await;
        self.tally.scripts += 1;
        self.tally.steps += script.steps.len();
        let mut transcript = Transcript::default();
        let (settled, mut found) = self.interleaved(script, &mut transcript).await;
        self.here.end().await;
        self.there.end().await;
        if settled {
            for look in &script.contents {
                found = self.control(look).await.or(found);
            }
        }
        self.here.close(script).await;
        self.there.close(script).await;
        found.map(|found| format!("{script}\n{}\n{found}", transcript.0.join("\n")))
    }

    /// Whether what there is in the end can be compared, and the difference before it.
    async fn interleaved(
        &mut self,
        script: &Script,
        transcript: &mut Transcript,
    ) -> (bool, Option<String>) {
        let (mut waiting, mut blockers) = (Vec::new(), Vec::new());
        for (session, sql) in &script.steps {
            if waiting.contains(session) {
                continue;
            }
            let (here, there) = (&mut self.here, &mut self.there);
            let (theirs, ours) = tokio::join!(there.step(*session, sql), here.step(*session, sql));
            let before = std::mem::replace(&mut blockers, there.blockers().await);
            if by_chance(sql, &before, &blockers) {
                return (false, None);
            }
            if let Some(refused) = refused(&ours, &theirs) {
                self.tally.refused.push(format!("{sql}: {refused}"));
                return (false, None);
            }
            transcript.add(*session, sql, &theirs);
            if ours != theirs {
                return (false, Some(format!("--- but here:\n{ours}")));
            }
            self.tally.add(&theirs);
            waiting = theirs.waiting;
        }
        // Which of several that still wait is cancelled before another one's end lets it go on, is
        // left to chance.
        (waiting.len() < 2, None)
    }
}

/// Runs so many scripts on both servers, and has differences kept in a file.
fn compare(scripts: impl Strategy<Value = Script>, cases: u32, kept: &'static str) {
    let server = PgServer::start();
    let runtime = runtime();
    let sides = runtime.block_on(async {
        let (addr, _store) = ours(Settings::default(), Watch::none()).await;
        let (here, there) = (Side::new(&addr).await, Side::new(&server.addr()).await);
        RefCell::new(Sides { here, there, tally: Tally::default() })
    });
    none_differs(runner(cases, 400, kept), &scripts, |script| {
        runtime.block_on(sides.borrow_mut().differs(script))
    });
    sides.into_inner().tally.assert_healthy();
}

#[test]
fn random_interleavings_go_as_on_a_real_postgresql() {
    compare(cases::any(), 300, "tests/proptest-regressions/postgres_fuzz.txt");
}

/// Definitions, functions, policies, keys of expressions, chains of foreign keys, advisory locks,
/// beside the statements that use them.
#[test]
fn random_themes_go_as_on_a_real_postgresql() {
    compare(themes::any(), 150, "tests/proptest-regressions/postgres_themes.txt");
}
