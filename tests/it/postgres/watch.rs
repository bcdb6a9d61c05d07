//! What an observer hears of transactions, statements, waits and their ends, in its order.
//! Must never depend on how fast a session is.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use seedbed::env::{Net as _, Tokio};
use seedbed::world::postgres::{Change, Settings, Store, Watch, serve_on};
use tokio_postgres::Client;

use super::{SOON, answer, client, ours, runtime};

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn watch(&self) -> Watch {
        let heard = self.clone();
        Watch::new(move |change| heard.0.lock().expect("no panic").push(line(change)))
    }

    /// Everything since the last time.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }

    async fn until(&self, what: &str) {
        let there = || self.0.lock().expect("no panic").iter().any(|line| line.starts_with(what));
        let look = async {
            while !there() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(SOON, look).await.unwrap_or_else(|_| panic!("never heard {what}"));
    }
}

fn line(change: &Change<'_>) -> String {
    match change {
        Change::Begin { pid, isolation } => format!("{pid} begin {isolation}"),
        Change::Statement { pid, text } => format!("{pid} runs {text}"),
        Change::Commit { pid, rows, block } => {
            format!("{pid} commit {} block={block}", rows.len())
        }
        Change::Abort { pid, cause, sqlstate, savepoint } => {
            let part = if *savepoint { " to its savepoint" } else { "" };
            format!("{pid} abort {} {sqlstate}{part}", cause.name()).trim_end().to_owned()
        }
        Change::Wait { waiter, holders, wanted } => {
            // Transactions are numbered through all tests of a cluster: not what this is about.
            let lock = wanted.lock.trim_end_matches(|c: char| c.is_ascii_digit());
            format!("{waiter} waits for {holders:?}: {lock}/{}/{}", wanted.table, wanted.row)
        }
        Change::Grant { waiter } => format!("{waiter} granted"),
        Change::Deadlock { victim, cycle } => format!("{victim} deadlock {cycle:?}"),
        Change::Conflict { pid, table } => format!("{pid} conflict {table}"),
        Change::Crash { pid } => format!("{pid} crash"),
        Change::Injected { pid, fault, .. } => format!("{pid} injected {fault}"),
    }
}

/// Two sessions, 101 and 102, and a table with two rows.
async fn two(heard: &Heard) -> (Arc<Client>, Arc<Client>) {
    let settings = Settings { deadlock_timeout: Duration::from_millis(20), ..Settings::default() };
    let (addr, _store) = ours(settings, heard.watch()).await;
    let (first, second) = (client(&addr).await, client(&addr).await);
    answer(&first, "CREATE TABLE t (id int PRIMARY KEY, v int)").await;
    answer(&first, "INSERT INTO t VALUES (1, 1), (2, 2)").await;
    heard.take();
    (Arc::new(first), Arc::new(second))
}

/// Sends a statement that will have to wait.
fn send(client: &Arc<Client>, sql: &'static str) -> tokio::task::JoinHandle<String> {
    let client = client.clone();
    tokio::spawn(async move { answer(&client, sql).await })
}

#[test]
fn a_transaction_has_a_beginning_its_statements_and_one_end() {
    runtime().block_on(async {
        let heard = Heard::default();
        let (first, _second) = two(&heard).await;
        answer(&first, "BEGIN ISOLATION LEVEL REPEATABLE READ").await;
        answer(&first, "UPDATE t SET v = 5 WHERE id = 1").await;
        answer(&first, "COMMIT").await;
        let begin = "101 begin repeatable read";
        let update = "101 runs UPDATE t SET v = 5 WHERE id = 1";
        assert_eq!(heard.take(), [begin, update, "101 commit 1 block=true"]);
        answer(&first, "BEGIN; SELECT 1; ROLLBACK").await;
        let script = "101 runs BEGIN; SELECT 1; ROLLBACK";
        assert_eq!(heard.take(), ["101 begin read committed", script, "101 abort rollback"]);
        // By itself a statement is a transaction without a beginning.
        answer(&first, "SELECT 1; SELECT 2").await;
        assert_eq!(heard.take(), ["101 runs SELECT 1; SELECT 2", "101 commit 0 block=false"]);
    });
}

#[test]
fn a_commit_tells_of_rows_that_are_there_whatever_a_truncate_took_away_before() {
    runtime().block_on(async {
        let heard = Heard::default();
        let (first, _second) = two(&heard).await;
        answer(&first, "BEGIN; INSERT INTO t VALUES (3, 3)").await;
        answer(&first, "TRUNCATE t; INSERT INTO t VALUES (4, 4), (5, 5), (6, 6)").await;
        answer(&first, "COMMIT").await;
        assert_eq!(heard.take().last().map(String::as_str), Some("101 commit 3 block=true"));
    });
}

#[test]
fn an_error_aborts_at_once_and_the_rollback_after_it_is_no_second_end() {
    runtime().block_on(async {
        let heard = Heard::default();
        let (first, _second) = two(&heard).await;
        for sql in ["BEGIN", "SELECT 1 / 0", "SELECT 1", "ROLLBACK"] {
            answer(&first, sql).await;
        }
        let begin = "101 begin read committed";
        assert_eq!(heard.take(), [begin, "101 runs SELECT 1 / 0", "101 abort error 22012"]);
        for sql in ["BEGIN", "SAVEPOINT s", "SELECT 1 / 0", "ROLLBACK TO s", "COMMIT"] {
            answer(&first, sql).await;
        }
        let told = heard.take();
        assert_eq!(told[3], "101 abort error 22012 to its savepoint");
        assert_eq!(told[5], "101 commit 0 block=true", "{told:?}");
        assert_eq!(told.len(), 6, "{told:?}");
    });
}

#[test]
fn a_waiter_is_told_with_its_row_and_its_holder_and_let_go_after_the_holder_ends() {
    runtime().block_on(async {
        let heard = Heard::default();
        let (first, second) = two(&heard).await;
        answer(&first, "BEGIN; UPDATE t SET v = 5 WHERE id = 2").await;
        heard.take();
        let waiting = send(&second, "UPDATE t SET v = 6 WHERE id = 2");
        heard.until("102 waits").await;
        let waits = "102 waits for [101]: ShareLock on transaction /t/id=2";
        assert_eq!(heard.take(), ["102 runs UPDATE t SET v = 6 WHERE id = 2", waits]);
        drop(first);
        assert_eq!(waiting.await.expect("no panic"), "ok 1");
        let lost = "101 abort lost connection";
        assert_eq!(heard.take(), [lost, "102 granted", "102 commit 1 block=false"]);
    });
}

#[test]
fn a_deadlock_names_its_cycle_and_aborts_its_victim() {
    runtime().block_on(async {
        let heard = Heard::default();
        let (first, second) = two(&heard).await;
        answer(&first, "BEGIN; UPDATE t SET v = 5 WHERE id = 1").await;
        answer(&second, "BEGIN; UPDATE t SET v = 5 WHERE id = 2").await;
        let one = send(&first, "UPDATE t SET v = 6 WHERE id = 2");
        heard.until("101 waits").await;
        heard.take();
        let other = send(&second, "UPDATE t SET v = 6 WHERE id = 1");
        let (one, other) = tokio::join!(one, other);
        let answers = [one.expect("no panic"), other.expect("no panic")];
        assert_eq!(answers.iter().filter(|said| said.starts_with("40P01")).count(), 1);
        let told = heard.take();
        // The victim is who looks first, after its timeout.
        let (victim, other) = if told[2].starts_with("101") { (101, 102) } else { (102, 101) };
        let deadlock = [
            format!("{victim} deadlock [{victim}, {other}]"),
            format!("{victim} abort deadlock 40P01"),
            format!("{other} granted"),
        ];
        assert_eq!(told[2..], deadlock, "{told:?}");
    });
}

#[test]
fn two_who_want_more_of_one_lock_are_told_as_a_deadlock_too() {
    runtime().block_on(async {
        let heard = Heard::default();
        let (first, second) = two(&heard).await;
        let share = "BEGIN; LOCK TABLE t IN SHARE MODE";
        answer(&first, share).await;
        answer(&second, share).await;
        let one = send(&first, "LOCK TABLE t IN EXCLUSIVE MODE");
        heard.until("101 waits").await;
        heard.take();
        let other = answer(&second, "LOCK TABLE t IN EXCLUSIVE MODE").await;
        assert!(other.starts_with("40P01"), "{other}");
        one.await.expect("no panic");
        let runs = "102 runs LOCK TABLE t IN EXCLUSIVE MODE";
        let (deadlock, abort) = ("102 deadlock [102, 101]", "102 abort deadlock 40P01");
        assert_eq!(heard.take(), [runs, deadlock, abort, "101 granted"]);
    });
}

#[test]
fn a_conflict_under_repeatable_read_names_the_table() {
    runtime().block_on(async {
        let heard = Heard::default();
        let (first, second) = two(&heard).await;
        answer(&first, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT v FROM t").await;
        answer(&second, "UPDATE t SET v = 6 WHERE id = 1").await;
        heard.take();
        answer(&first, "UPDATE t SET v = 7 WHERE id = 1").await;
        let runs = "101 runs UPDATE t SET v = 7 WHERE id = 1";
        assert_eq!(heard.take(), [runs, "101 conflict t", "101 abort error 40001"]);
    });
}

#[test]
fn a_crash_is_told_by_the_next_life_of_those_who_were_in_a_transaction() {
    runtime().block_on(async {
        let heard = Heard::default();
        let (store, env) = (Store::default(), Tokio::new());
        let serve = |store: Store, watch| {
            let env = env.clone();
            async move {
                let listener = env.bind("127.0.0.1:0").await.expect("a free port");
                let addr = listener.local_addr().expect("it is bound");
                tokio::spawn(serve_on(env, listener, store, watch));
                addr.to_string()
            }
        };
        let addr = serve(store.clone(), Watch::none()).await;
        let (open, _idle) = (client(&addr).await, client(&addr).await);
        answer(&open, "BEGIN").await;
        // Who left before has not crashed, whatever it left open.
        let left = client(&addr).await;
        answer(&left, "BEGIN").await;
        drop(left);
        let gone = async {
            while store.sessions() > 2 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(SOON, gone).await.expect("its session ends");
        store.crash();
        let addr = serve(store, heard.watch()).await;
        let _after = client(&addr).await;
        assert_eq!(heard.take(), ["101 crash"]);
    });
}
