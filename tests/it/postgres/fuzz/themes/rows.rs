//! Statements that read the table they write, advisory locks beside the locks of rows, and rows
//! that several subtransactions lock.
//! Must never name more than the two tables of the other fuzzer.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Theme, one_of, owned};
use crate::postgres::fuzz::cases::{assignment, locking, plain, predicate, strength, tables};
use crate::postgres::fuzz::interleaving::{Said, Script, steps};
use crate::postgres::fuzz::joins;

fn contents() -> Vec<String> {
    owned(&["SELECT * FROM t", "SELECT * FROM u"])
}

/// Reads and writes of `t` that look at `t`. What ties a semi-join is no equality alone, as for the
/// other fuzzer's joins.
fn looking() -> BoxedStrategy<String> {
    let values = one_of(&[
        "(SELECT max(o.v) FROM t o) + 1",
        "(SELECT count(*) FROM t o WHERE o.v <= t.v)",
        "CASE WHEN EXISTS (SELECT FROM t o WHERE o.k = t.k + 1) THEN t.v + 2 ELSE 0 END",
        "coalesce((SELECT o.v FROM t o WHERE o.k = t.k - 1), 5) + 1",
        "(SELECT sum(u.n) FROM u WHERE u.k = t.k) + t.v",
    ]);
    let conditions = || {
        one_of(&[
            "t.k IN (SELECT max(o.k) FROM t o)",
            "t.k IN (SELECT o.k + 1 FROM t o WHERE o.v <= t.v)",
            "(t.k, t.v) IN (SELECT o.k + 1, o.v FROM t o WHERE o.w <> t.w)",
            "t.v < (SELECT avg(o.v) + 1 FROM t o)",
            "EXISTS (SELECT FROM t o JOIN u ON u.k = o.k WHERE o.k >= t.k AND u.n <= t.v)",
            "NOT EXISTS (SELECT FROM t o WHERE o.k > t.k AND o.v < t.v)",
            "t.v = ANY (SELECT o.v FROM t o WHERE o.k <> t.k)",
            "(SELECT count(*) FROM t) > 3",
            "t.v = (SELECT o.v FROM t o WHERE o.k = 1)",
            "t.k = (SELECT min(s.k) FROM (SELECT o.k FROM t o WHERE o.v < 2) s)",
        ])
    };
    prop_oneof![
        3 => (values, conditions()).prop_map(|(value, on)| format!(
            "UPDATE t SET v = {value} WHERE {on} RETURNING *"
        )),
        2 => (conditions(), predicate("t."))
            .prop_map(|(asks, on)| format!("DELETE FROM t WHERE {asks} AND {on} RETURNING *")),
        2 => (conditions(), locking())
            .prop_map(|(asks, lock)| format!("SELECT * FROM t WHERE {asks} {lock}")),
        1 => (predicate("t."), 1..4).prop_map(|(on, by)| format!(
            "INSERT INTO t SELECT max(k) + {by}, count(*), NULL FROM t WHERE {on} RETURNING *"
        )),
        1 => (predicate(""), locking()).prop_map(|(on, lock)| format!(
            "SELECT sum(s.v), count(*) FROM (SELECT v FROM t WHERE {on} {lock}) s"
        )),
        1 => one_of(&[
            "UPDATE t SET v = v + 1 \
             WHERE k > (SELECT count(*) FROM (SELECT FROM t o WHERE o.v > 0 FOR SHARE) s)",
            "DELETE FROM t \
             WHERE v >= (SELECT max(s.v) FROM (SELECT v FROM t o WHERE o.k < 3 FOR UPDATE) s)",
        ]),
        1 => (predicate("t."), predicate("t.")).prop_map(|(one, other)| format!(
            "WITH a AS (UPDATE t SET v = v + 1 WHERE {one} RETURNING k), \
             b AS (DELETE FROM t WHERE {other} RETURNING k) \
             SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b), (SELECT sum(v) FROM t)"
        )),
    ]
    .boxed()
}

/// The other fuzzer's joins, and more that read what they write.
pub fn of_one_table() -> Theme {
    let set_up = prop_oneof![Just(tables("")), Just(tables(" UNIQUE"))].boxed();
    let statement = prop_oneof![2 => plain(), 2 => joins::any(), 4 => looking()].boxed();
    let tear_down = owned(&["DROP TABLE t, u"]);
    Theme { set_up, first: Vec::new(), statement, contents: contents(), tear_down }
}

/// Calls that lock, or free, a key; `of` gives it.
fn calls(of: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let calls = one_of(&[
        "pg_advisory_lock",
        "pg_advisory_lock_shared",
        "pg_advisory_xact_lock",
        "pg_advisory_xact_lock_shared",
        "pg_try_advisory_lock",
        "pg_try_advisory_lock_shared",
        "pg_try_advisory_xact_lock",
        "pg_try_advisory_xact_lock_shared",
        "pg_advisory_unlock",
        "pg_advisory_unlock",
        "pg_advisory_unlock_shared",
    ]);
    (calls, of).prop_map(|(call, of)| format!("{call}({of})")).boxed()
}

pub fn advisory() -> Theme {
    let key = || one_of(&["1", "2", "1, 2"]);
    let of_row = || one_of(&["k", "k % 2", "t.v", "1"]);
    let statement = prop_oneof![
        5 => calls(key()).prop_map(|call| format!("SELECT {call}")),
        1 => Just("SELECT pg_advisory_unlock_all()".to_owned()),
        2 => (calls(of_row()), predicate("")).prop_map(|(call, on)| format!(
            "SELECT k, {call} FROM t WHERE {on} ORDER BY k"
        )),
        2 => (calls(of_row()), locking()).prop_map(|(call, lock)| format!(
            "SELECT * FROM t WHERE {call} IS NOT NULL {lock}"
        )),
        2 => calls(of_row()).prop_map(|call| format!(
            "UPDATE t SET v = v + 1 WHERE {call} IS NOT NULL RETURNING *"
        )),
        1 => (calls(of_row()), predicate("")).prop_map(|(call, on)| format!(
            "UPDATE t SET w = ({call} IS NULL)::int WHERE {on} RETURNING *"
        )),
        1 => calls(of_row()).prop_map(|call| format!(
            "DELETE FROM t WHERE {call} IS NOT NULL AND v > 0 RETURNING *"
        )),
        1 => (5..8, calls(key())).prop_map(|(k, call)| format!(
            "INSERT INTO t VALUES ({k}, ({call} IS NULL)::int, NULL) ON CONFLICT DO NOTHING"
        )),
        3 => plain(),
    ]
    .boxed();
    let set_up = Just(tables("")).boxed();
    let tear_down = owned(&["DROP TABLE t, u"]);
    Theme { set_up, first: Vec::new(), statement, contents: contents(), tear_down }
}

/// What a transaction does with a few rows and its savepoints: locks and updates of several
/// strengths by several subtransactions, which are members of one multixact.
fn member() -> BoxedStrategy<String> {
    let key = || 1..4;
    let step = prop_oneof![
        4 => (strength(), key()).prop_map(|(strength, k)| format!(
            "SELECT * FROM t WHERE k >= {k} FOR {strength}"
        )),
        5 => (assignment(), key()).prop_map(|(set, k)| format!(
            "UPDATE t SET {set} WHERE k = {k} RETURNING *"
        )),
        1 => key().prop_map(|k| format!("DELETE FROM t WHERE k = {k}")),
    ];
    let around =
        one_of(&["SAVEPOINT s; ", "SAVEPOINT s; ", "", "", "RELEASE s; ", "ROLLBACK TO s; "]);
    (around, step).prop_map(|(around, step)| format!("{around}{step}")).boxed()
}

/// One session works on rows, or two, while another one waits with its snapshot taken; then it
/// meets whatever they have left.
fn beside() -> BoxedStrategy<Vec<Said>> {
    let waits = prop_oneof![
        6 => (locking(), 1..4).prop_map(|(lock, k)| format!(
            "SELECT * FROM t WHERE k >= {k} AND pg_advisory_xact_lock_shared(9) IS NOT NULL {lock}"
        )),
        2 => (assignment(), 1..4).prop_map(|(set, k)| format!(
            "UPDATE t SET {set} WHERE k <= {k} AND pg_advisory_xact_lock_shared(9) IS NOT NULL"
        )),
        1 => (1..4).prop_map(|k| format!(
            "DELETE FROM t WHERE k <= {k} AND pg_advisory_xact_lock_shared(9) IS NOT NULL"
        )),
    ];
    let end = || one_of(&["COMMIT", "COMMIT", "COMMIT", "ROLLBACK TO s; COMMIT", "ROLLBACK"]);
    let other = prop::option::weighted(0.5, (member(), end()));
    let begin = one_of(&["BEGIN", "BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ"]);
    (vec(member(), 1..5), other, begin, waits, end(), member(), any::<bool>())
        .prop_map(|(own, other, begin, waits, end, after, first)| {
            let mut said = vec![(0, "BEGIN".to_owned())];
            said.push((0, "SELECT pg_advisory_xact_lock(9)".to_owned()));
            said.extend(own.into_iter().map(|sql| (0, sql)));
            let mut others = Vec::new();
            if let Some((sql, end)) = other {
                said.extend([(2, "BEGIN".to_owned()), (2, sql)]);
                others.push((2, end));
            }
            said.extend([(1, begin), (1, waits)]);
            said.extend(if first { std::mem::take(&mut others) } else { Vec::new() });
            said.push((0, end));
            said.extend(others);
            said.extend([(1, after), (1, "COMMIT".to_owned()), (2, "ROLLBACK".to_owned())]);
            said
        })
        .boxed()
}

pub fn multixacts() -> BoxedStrategy<Script> {
    let set_up = prop_oneof![Just(tables("")), Just(tables(" UNIQUE"))];
    (set_up, vec((0..3_usize, beside()), 1..3))
        .prop_map(|(set_up, turns)| Script {
            sessions: 3,
            detector: 0,
            set_up,
            steps: steps(3, &turns),
            contents: contents(),
            tear_down: owned(&["DROP TABLE t, u"]),
        })
        .boxed()
}
