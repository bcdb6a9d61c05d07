//! Random statements of one session, on fixed tables, here and on a real PostgreSQL: the same
//! columns, rows and messages. Must never compare what a real server leaves to chance, nor be
//! content with statements that only fail.

mod expressions;
mod schema;
mod selects;
mod statements;
mod tape;

use std::cell::RefCell;
use std::fmt;

use proptest::strategy::Strategy as _;
use seedbed::world::postgres::{Settings, Watch};

use super::{none_differs, runner};
use crate::pg_server::PgServer;
use crate::postgres::answers::Answer;
use crate::postgres::raw::{Raw, query};
use crate::postgres::{ours, runtime};
pub use tape::{Tape, any as choices};

const KEPT: &str = "tests/proptest-regressions/postgres_queries.txt";

/// What is said one after the other.
#[derive(Clone)]
struct Case(Vec<String>);

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};", self.0.join(";\n"))
    }
}

/// A session that is begun again when the server ends it.
pub struct Session {
    addr: String,
    pub raw: Raw,
}

impl Session {
    pub async fn open(addr: &str) -> Session {
        Session { addr: addr.to_owned(), raw: Raw::connect(addr).await }
    }

    pub async fn again(&mut self) {
        self.raw = Raw::connect(&self.addr).await;
    }

    pub async fn say(&mut self, sql: &str) -> Answer {
        self.raw.send(&query(sql)).await;
        if let Some(answer) = self.raw.until_ready().await {
            return Answer::new(&answer);
        }
        self.again().await;
        Answer::lost()
    }
}

/// How much was compared of what was meant to be.
#[derive(Debug, Default)]
struct Tally {
    cases: usize,
    /// Cases without a statement that is refused here.
    compared: usize,
    /// Compared cases that brought no error.
    well: usize,
}

struct Sides {
    here: Session,
    there: Session,
    tally: Tally,
}

impl Sides {
    async fn both(&mut self, sql: &str) -> (Answer, Answer) {
        (self.here.say(sql).await, self.there.say(sql).await)
    }

    async fn set_up(&mut self) {
        for statement in schema::SET_UP {
            let (ours, theirs) = self.both(statement).await;
            assert!(theirs.code.is_none(), "{}", theirs.text());
            assert_eq!(ours.text(), theirs.text(), "{statement}");
        }
    }

    /// Says all of it to both; the first difference, if there is one.
    async fn differs(&mut self, case: &Case) -> Option<String> {
        self.tally.cases += 1;
        let mut well = true;
        for statement in &case.0 {
            let (ours, theirs) = self.both(statement).await;
            if !ours.same_as(&theirs) {
                self.both("ROLLBACK").await;
                self.both("DEALLOCATE ALL").await;
                let refused = ours.code.as_deref() == Some("0A000") && theirs.code != ours.code;
                let found = format!("{statement};\n{}\n--- here:\n{}", theirs.text(), ours.text());
                return (!refused).then_some(found);
            }
            well &= theirs.code.is_none();
        }
        self.tally.compared += 1;
        self.tally.well += usize::from(well);
        None
    }
}

#[test]
fn random_queries_answer_as_on_a_real_postgresql() {
    let server = PgServer::start();
    let runtime = runtime();
    let sides = runtime.block_on(async {
        let (addr, _store) = ours(Settings::default(), Watch::none()).await;
        let (here, there) = (Session::open(&addr).await, Session::open(&server.addr()).await);
        let mut sides = Sides { here, there, tally: Tally::default() };
        sides.set_up().await;
        RefCell::new(sides)
    });
    let cases = tape::any().prop_map(|choices| Case(statements::statements(choices)));
    none_differs(runner(600, 4000, KEPT), &cases, |case| {
        runtime.block_on(sides.borrow_mut().differs(case))
    });
    let tally = sides.into_inner().tally;
    let healthy = tally.compared * 10 > tally.cases * 7 && tally.well * 10 > tally.compared * 7;
    assert!(healthy, "hardly anything compared: {tally:?}");
}
