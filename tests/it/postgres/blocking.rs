//! Two and three sessions in one order, here and on a real one: who waits, who goes on,
//! who fails. Must never depend on how fast either is.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use seedbed::world::postgres::{Settings, Watch};
use tokio_postgres::Client;

use super::{SOON, answer, client, ours, runtime};
use crate::pg_server::PgServer;

/// A statement that has no answer yet.
struct Pending {
    session: usize,
    task: tokio::task::JoinHandle<String>,
}

/// Runs `N: sql` lines, noting what waits and when it goes on.
async fn play(addr: &str, script: &str) -> Vec<String> {
    let mut sessions: BTreeMap<usize, Arc<Client>> = BTreeMap::new();
    let mut pending: Vec<Pending> = Vec::new();
    let mut told = Vec::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (session, sql) = line.split_once(": ").expect("session and statement");
        let session: usize = session.parse().expect("a number");
        if let Entry::Vacant(place) = sessions.entry(session) {
            let new = client(addr).await;
            answer(&new, "SET deadlock_timeout = '100ms'").await;
            place.insert(Arc::new(new));
        }
        let (asked, text) = (sessions[&session].clone(), sql.to_owned());
        let task = tokio::spawn(async move { answer(&asked, &text).await });
        pending.push(Pending { session, task });
        settle(&mut pending, &mut told).await;
        for waiting in &pending {
            told.push(format!("{} waits", waiting.session));
        }
    }
    let end = tokio::time::Instant::now() + SOON;
    while !pending.is_empty() && tokio::time::Instant::now() < end {
        settle(&mut pending, &mut told).await;
    }
    for left in &pending {
        told.push(format!("{} waits for ever", left.session));
    }
    told
}

/// Gives whatever is not blocked time to finish.
async fn settle(pending: &mut Vec<Pending>, told: &mut Vec<String>) {
    tokio::time::sleep(Duration::from_millis(250)).await;
    let mut finished = Vec::new();
    let mut at = 0;
    while at < pending.len() {
        if pending[at].task.is_finished() {
            let done = pending.remove(at);
            finished.push((done.session, done.task.await.expect("no panic")));
        } else {
            at += 1;
        }
    }
    // Two that are let go at once finish in any order.
    finished.sort();
    told.extend(finished.into_iter().map(|(session, said)| format!("{session} {said}")));
}

fn same(script: &str) {
    let server = PgServer::start();
    runtime().block_on(async {
        let (addr, _store) = ours(Settings::default(), Watch::none()).await;
        let real = server.addr();
        let (ours, theirs) = tokio::join!(play(&addr, script), play(&real, script));
        assert_eq!(ours.join("\n"), theirs.join("\n"), "here is left, the real one right");
    });
}

const TABLE: &str = "1: CREATE TABLE t (id int PRIMARY KEY, v int, w int); \
                     INSERT INTO t VALUES (1, 10, 0), (2, 20, 0)\n";

fn with_table(script: &str) {
    same(&format!("{TABLE}{script}"));
}

#[test]
fn a_second_writer_waits_and_sees_the_first_ones_row() {
    with_table(
        "1: BEGIN
         2: BEGIN
         1: UPDATE t SET v = v + 1 WHERE id = 1
         2: UPDATE t SET v = v + 1 WHERE id = 1 RETURNING v
         1: COMMIT
         2: COMMIT
         1: SELECT * FROM t",
    );
}

#[test]
fn a_row_that_no_longer_fits_is_left_alone() {
    with_table(
        "1: BEGIN
         1: UPDATE t SET v = 99 WHERE id = 1
         2: DELETE FROM t WHERE v = 10
         1: COMMIT
         3: UPDATE t SET v = v + 1 WHERE v > 15
         1: SELECT * FROM t",
    );
}

#[test]
fn repeatable_read_refuses_the_second_writer() {
    with_table(
        "1: BEGIN ISOLATION LEVEL REPEATABLE READ
         2: BEGIN ISOLATION LEVEL REPEATABLE READ
         1: SELECT * FROM t
         2: SELECT * FROM t
         1: UPDATE t SET v = 11 WHERE id = 1
         2: UPDATE t SET v = 12 WHERE id = 1
         1: COMMIT
         2: SELECT 1
         2: ROLLBACK
         2: BEGIN ISOLATION LEVEL REPEATABLE READ
         2: SELECT * FROM t
         1: DELETE FROM t WHERE id = 2
         2: SELECT * FROM t
         2: DELETE FROM t WHERE id = 2
         2: COMMIT",
    );
}

#[test]
fn a_unique_key_waits_for_the_one_before_it() {
    with_table(
        "1: BEGIN
         1: INSERT INTO t VALUES (5, 5)
         2: INSERT INTO t VALUES (5, 6)
         3: INSERT INTO t VALUES (5, 7) ON CONFLICT (id) DO UPDATE SET v = t.v + excluded.v
         1: COMMIT
         1: SELECT * FROM t
         1: BEGIN
         1: INSERT INTO t VALUES (6, 6)
         2: INSERT INTO t VALUES (6, 7)
         1: ROLLBACK
         1: SELECT * FROM t",
    );
}

#[test]
fn a_cycle_ends_with_one_victim() {
    with_table(
        "1: BEGIN
         2: BEGIN
         2: SET deadlock_timeout = '10s'
         1: UPDATE t SET v = 1 WHERE id = 1
         2: UPDATE t SET v = 2 WHERE id = 2
         2: UPDATE t SET v = 2 WHERE id = 1
         1: UPDATE t SET v = 1 WHERE id = 2
         2: COMMIT
         1: COMMIT
         1: SELECT * FROM t",
    );
}

#[test]
fn row_locks_conflict_by_their_strength() {
    with_table(
        "1: BEGIN
         1: SELECT v FROM t WHERE id = 1 FOR KEY SHARE
         2: BEGIN
         2: SELECT v FROM t WHERE id = 1 FOR NO KEY UPDATE
         3: BEGIN
         3: SELECT v FROM t WHERE id = 1 FOR SHARE NOWAIT
         3: ROLLBACK
         3: SELECT v FROM t FOR UPDATE SKIP LOCKED
         3: SELECT v FROM t WHERE id = 1 FOR KEY SHARE NOWAIT
         3: BEGIN
         3: DELETE FROM t WHERE id = 1
         2: ROLLBACK
         1: ROLLBACK
         3: ROLLBACK",
    );
}

#[test]
fn foreign_keys_lock_what_they_point_at() {
    with_table(
        "1: CREATE TABLE c (id int, t_id int REFERENCES t)
         1: BEGIN
         1: INSERT INTO c VALUES (1, 1)
         2: UPDATE t SET v = 5 WHERE id = 1
         2: DELETE FROM t WHERE id = 1
         1: COMMIT
         1: BEGIN
         1: DELETE FROM t WHERE id = 2
         2: INSERT INTO c VALUES (2, 2)
         1: COMMIT
         2: SELECT * FROM c",
    );
}

#[test]
fn a_savepoint_gives_back_what_it_locked() {
    with_table(
        "1: BEGIN
         1: SAVEPOINT a
         1: UPDATE t SET v = 0 WHERE id = 1
         2: UPDATE t SET v = v + 1 WHERE id = 1 RETURNING v
         1: ROLLBACK TO a
         1: UPDATE t SET v = v + 100 WHERE id = 1 RETURNING v
         1: COMMIT",
    );
}

#[test]
fn time_outs_and_advisory_locks() {
    with_table(
        "1: SELECT pg_advisory_lock(1)
         2: BEGIN
         2: SET LOCAL lock_timeout = '50ms'
         2: SELECT pg_advisory_xact_lock(1)
         2: ROLLBACK
         2: SELECT pg_try_advisory_lock(1), pg_try_advisory_lock(2)
         3: SET statement_timeout = '50ms'
         3: SELECT pg_advisory_lock(1)
         2: SELECT pg_advisory_lock_shared(1)
         1: SELECT pg_advisory_unlock(1)
         1: SELECT id FROM t WHERE pg_advisory_lock(id) IS NOT NULL
         2: SELECT pg_advisory_unlock_all()",
    );
}

#[test]
fn table_locks_queue_behind_each_other() {
    with_table(
        "1: BEGIN
         1: SELECT * FROM t
         2: BEGIN
         2: LOCK TABLE t IN ACCESS EXCLUSIVE MODE
         3: SELECT count(*) FROM t
         1: COMMIT
         2: COMMIT",
    );
}

#[test]
fn a_dropped_table_is_there_for_the_others_until_the_commit() {
    same(
        "1: CREATE TABLE d (id int); CREATE TABLE p (id int PRIMARY KEY)
         1: CREATE TABLE c (id int REFERENCES p); INSERT INTO p VALUES (1)
         1: BEGIN; DROP TABLE d
         1: SELECT * FROM d
         2: SELECT * FROM d
         1: ROLLBACK
         1: SELECT * FROM d
         1: BEGIN; DROP TABLE c
         2: DELETE FROM p
         1: COMMIT
         1: BEGIN; DROP TABLE d
         2: SELECT * FROM d
         1: CREATE TABLE d (other int)
         1: COMMIT
         2: SELECT * FROM d",
    );
}

#[test]
fn a_query_within_an_expression_locks_its_tables() {
    same(
        "1: CREATE TABLE a (id int); CREATE TABLE b (id int)
         1: BEGIN; LOCK TABLE b IN ACCESS EXCLUSIVE MODE
         2: SELECT 1 WHERE EXISTS (SELECT 1 FROM b)
         3: UPDATE a SET id = (SELECT max(id) FROM b)
         1: COMMIT",
    );
}

#[test]
fn what_is_planned_over_an_open_definition_is_nobody_elses() {
    with_table(
        "1: BEGIN
         1: CREATE FUNCTION g(int) RETURNS int LANGUAGE sql AS 'SELECT 2'
         1: SELECT g(1)
         2: SELECT g(1)
         1: ALTER TABLE t RENAME TO e
         1: SELECT v FROM e
         2: SELECT v FROM e
         1: ROLLBACK
         1: SELECT g(1)
         1: SELECT v FROM t",
    );
}

/// What one cluster has planned is offered to the others of the process.
#[test]
fn a_plan_from_elsewhere_shows_nobody_an_open_table() {
    let told = runtime().block_on(async {
        let (settled, _store) = ours(Settings::default(), Watch::none()).await;
        let definition = "1: CREATE TABLE elsewhere (v int)\n1: SELECT v FROM elsewhere";
        play(&settled, definition).await;
        let (open, _store) = ours(Settings::default(), Watch::none()).await;
        play(&open, &format!("1: BEGIN\n{definition}\n2: SELECT v FROM elsewhere")).await
    });
    let last = told.last().map(String::as_str).unwrap_or_default();
    assert!(last.starts_with("2 42P01"), "{told:?}");
}
