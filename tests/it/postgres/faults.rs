//! Faults that are injected into the database, as its clients see them.
//! Must never depend on which of two sessions is faster.

use std::time::Duration;

use seedbed::env::{Clock as _, Moment, Tokio};
use seedbed::world::postgres::{Injected, Injection, Settings, Store, Watch};

use super::raw::{Raw, pipeline, query};
use super::{answer, client, ours, runtime, try_client};

fn inject(store: &Store, what: Injected) {
    let until = Moment(Duration::from_secs(1 << 32));
    store.inject(vec![Injection { from: Moment::default(), until, what }]);
}

fn statement(matching: &str, slow_ms: u64, sqlstate: Option<&str>) -> Injected {
    let (matching, slow) = (matching.to_owned(), Duration::from_millis(slow_ms));
    Injected::Statement { matching, slow, sqlstate: sqlstate.map(str::to_owned) }
}

/// Runs a test with a table `t` of one row, on a cluster of its own.
fn with_store<F: Future<Output = ()>>(test: impl FnOnce(String, Store) -> F) {
    runtime().block_on(async {
        let (addr, store) = ours(Settings::default(), Watch::none()).await;
        let first = client(&addr).await;
        answer(&first, "CREATE TABLE t (v int); INSERT INTO t VALUES (1)").await;
        test(addr, store).await;
    });
}

#[test]
fn a_matched_statement_fails_once_and_with_its_transaction() {
    with_store(|addr, store| async move {
        inject(&store, statement("UPDATE T", 0, Some("40001")));
        let client = client(&addr).await;
        let text = "BEGIN; SELECT v FROM t";
        assert!(answer(&client, text).await.contains("ok 1"), "another statement is not struck");
        assert!(answer(&client, "update t set v = 2").await.starts_with("40001: "));
        assert!(answer(&client, "SELECT 1").await.starts_with("25P02: "));
        answer(&client, "ROLLBACK").await;
        assert_eq!(answer(&client, "update t set v = 2").await, "ok 1", "it happens once");
    });
}

#[test]
fn a_fatal_sqlstate_ends_the_session() {
    with_store(|addr, store| async move {
        inject(&store, statement("select", 0, Some("57P01")));
        let struck = client(&addr).await;
        assert!(answer(&struck, "SELECT 1").await.starts_with("57P01: "));
        assert!(answer(&struck, "SELECT 1").await.starts_with("lost: "));
        let other = client(&addr).await;
        assert!(answer(&other, "SELECT 1").await.contains("ok 1"), "the others live on");
    });
}

#[test]
fn a_slow_statement_is_bounded_by_its_time_out() {
    with_store(|addr, store| async move {
        let client = client(&addr).await;
        answer(&client, "SET statement_timeout = '20ms'").await;
        inject(&store, statement("FROM t", 60_000, None));
        assert!(answer(&client, "SELECT v FROM t").await.starts_with("57014: "));
    });
}

#[test]
fn a_lost_commit_is_applied_or_not_and_its_client_hears_the_same() {
    for applied in [false, true] {
        with_store(|addr, store| async move {
            inject(&store, Injected::Commit { applied });
            let (struck, other) = (client(&addr).await, client(&addr).await);
            answer(&struck, "BEGIN; SELECT v FROM t").await;
            let nothing_written = answer(&struck, "COMMIT").await;
            assert_eq!(nothing_written, "ok 0", "a COMMIT without a write is not struck");
            answer(&struck, "BEGIN; UPDATE t SET v = 2").await;
            let heard = answer(&struck, "COMMIT").await;
            assert!(heard.starts_with("lost: "), "{heard}");
            let left = answer(&other, "SELECT v FROM t").await;
            assert_eq!(left, format!("[v]\n{}\nok 1", if applied { 2 } else { 1 }));
        });
    }
}

/// A statement outside a block is a transaction too, whichever protocol it came by.
#[test]
fn a_lost_commit_may_be_that_of_a_single_statement() {
    for (applied, simple) in [(false, false), (true, false), (false, true), (true, true)] {
        with_store(|addr, store| async move {
            inject(&store, Injected::Commit { applied });
            let (struck, other) = (client(&addr).await, client(&addr).await);
            let update = "UPDATE t SET v = 2 RETURNING v";
            let heard = if simple {
                answer(&struck, update).await.starts_with("lost: ")
            } else {
                struck.query_typed(update, &[]).await.is_err_and(|error| error.is_closed())
            };
            assert!(heard, "the client must not be told, applied {applied}, simple {simple}");
            let left = answer(&other, "SELECT v FROM t").await;
            assert_eq!(left, format!("[v]\n{}\nok 1", if applied { 2 } else { 1 }));
        });
    }
}

/// Not a message of what was about to be answered comes before the end, not even its rows.
#[test]
fn of_a_lost_commit_its_client_hears_nothing() {
    for simple in [false, true] {
        with_store(|addr, store| async move {
            let mut struck = Raw::connect(&addr).await;
            inject(&store, Injected::Commit { applied: true });
            let update = "UPDATE t SET v = 2 RETURNING v";
            struck.send(&if simple { query(update) } else { pipeline(update) }).await;
            let heard = struck.next().await.map(|back| char::from(back.kind));
            assert_eq!(heard, None, "simple {simple}");
        });
    }
}

#[test]
fn too_many_connections_are_refused_for_as_long_as_it_lasts() {
    with_store(|addr, store| async move {
        let (from, until) = (Moment::default(), Tokio::new().now());
        let refuse = |until| {
            let what = Injected::Connections { most: 1 };
            store.inject(vec![Injection { from, until, what }]);
        };
        refuse(until + Duration::from_secs(1 << 20));
        let refused = try_client(&addr).await.expect_err("it is full");
        assert_eq!(refused.code().map(tokio_postgres::error::SqlState::code), Some("53300"));
        refuse(Moment::default());
        assert!(try_client(&addr).await.is_ok(), "its time is over");
    });
}
