//! Statements that read more than the row they write or lock: joins of a table with itself or with
//! another, subqueries over it, WITH queries that write. After a wait they are looked at again.
//! Must never leave it to a planner in which order rows are found.
//!
//! With nested loops alone (`Side::open`) PostgreSQL reads the side first of which it expects fewer
//! rows, of two as many the target, and a side last that a unique key finds. So what holds of one
//! side alone is said of the target (`a`), and an equality with the target's key of one row of it.
//! A semi-join could read the other side first if all that ties it were equalities.

use proptest::prelude::*;
use proptest::sample::select;

use super::cases::{assignment, locking, policy, predicate, strength};

/// How another row of `t` belongs to a row `a`.
fn tie() -> impl Strategy<Value = &'static str> {
    select(vec![
        "o.k = a.k + 1",
        "o.k = a.k",
        "o.k <> a.k",
        "o.v = a.v",
        "o.k < a.k",
        "o.v >= a.v AND o.k <> a.k",
        "o.w = a.w + 10",
    ])
}

/// How a row of `u` belongs to a row `a`.
fn tie_u() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => (1..5).prop_map(|k| format!("u.k = a.k AND a.k = {k}")),
        3 => select(vec!["u.k = a.k + 1", "u.k <= a.k", "u.n = a.v", "u.k <> a.k"])
            .prop_map(str::to_owned),
    ]
}

pub fn predicate_u() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => (1..5).prop_map(|id| format!("u.id = {id}")),
        1 => (1..4).prop_map(|k| format!("u.k = {k}")),
        1 => Just("u.n < 2".to_owned()),
        1 => Just("true".to_owned()),
    ]
}

fn updates() -> BoxedStrategy<String> {
    let set = select(vec![
        "v = a.v + o.v + 1",
        "v = o.v + 1",
        "v = a.v + 1",
        "w = a.w + o.k * 100",
        "k = a.k + 10",
    ]);
    let set_u = select(vec!["v = a.v + u.n + 1", "v = u.n", "v = a.v + 1", "w = u.id * 100"]);
    let u_tie = select(vec!["a.k = u.k", "a.k = u.k", "a.v >= u.n", "a.k = u.id + 1"]);
    prop_oneof![
        4 => (set.clone(), tie(), predicate("a.")).prop_map(|(set, tie, on)| format!(
            "UPDATE t a SET {set} FROM t o WHERE {tie} AND {on} RETURNING *"
        )),
        3 => (set_u.clone(), tie_u(), predicate("a.")).prop_map(|(set, tie, on)| format!(
            "UPDATE t a SET {set} FROM u WHERE {tie} AND {on} RETURNING *"
        )),
        2 => (u_tie, predicate_u()).prop_map(|(tie, on)| format!(
            "UPDATE u SET n = u.n + a.v + 1 FROM t a WHERE {tie} AND {on} RETURNING *"
        )),
        1 => (set, tie(), 1..5).prop_map(|(set, tie, k)| format!(
            "UPDATE t a SET {set} FROM t o LEFT JOIN u ON u.k = o.k \
             WHERE {tie} AND a.k = {k} RETURNING a.*, o.k"
        )),
        1 => (set_u, 1..5).prop_map(|(set, k)| format!(
            "UPDATE t a SET {set} FROM t o, u \
             WHERE o.k = a.k + 1 AND u.k = o.k AND a.k = {k} RETURNING *"
        )),
        1 => (1..5, tie()).prop_map(|(k, tie)| format!(
            "UPDATE t a SET v = a.v + l.n + 1 FROM t o, \
             LATERAL (SELECT count(*) AS n FROM u WHERE u.k = o.k AND u.n <= o.v) l \
             WHERE {tie} AND a.k = {k} RETURNING *"
        )),
        1 => (predicate(""), predicate("a.")).prop_map(|(of, on)| format!(
            "UPDATE t a SET v = a.v + s.n FROM (SELECT count(*) AS n, max(v) AS most FROM t \
             WHERE {of}) s WHERE a.v <= s.most AND {on} RETURNING *"
        )),
    ]
    .boxed()
}

fn deletes() -> BoxedStrategy<String> {
    prop_oneof![
        2 => (tie(), predicate("a.")).prop_map(|(tie, on)| format!(
            "DELETE FROM t a USING t o WHERE {tie} AND {on} RETURNING *"
        )),
        2 => (tie_u(), predicate("a.")).prop_map(|(tie, on)| format!(
            "DELETE FROM t a USING u WHERE {tie} AND {on} RETURNING *"
        )),
        1 => predicate_u().prop_map(|on| format!(
            "DELETE FROM u USING t a WHERE a.k = u.k AND {on} RETURNING *"
        )),
    ]
    .boxed()
}

/// A condition on `t` that asks other rows.
fn asking() -> BoxedStrategy<String> {
    let asks = select(vec![
        "EXISTS (SELECT FROM t o WHERE o.k = t.k + 1 AND o.v >= t.v)",
        "EXISTS (SELECT FROM t o WHERE o.v = t.v AND o.k <> t.k)",
        "EXISTS (SELECT FROM u WHERE u.k = t.k AND u.n <= t.v)",
        "NOT EXISTS (SELECT FROM t o WHERE o.k = t.k + 1)",
        "NOT EXISTS (SELECT FROM u WHERE u.k = t.k AND u.n > t.v)",
        "(EXISTS (SELECT FROM u WHERE u.k = t.k) OR v > 2)",
        "k IN (SELECT u.id FROM u)",
        "k NOT IN (SELECT u.k FROM u)",
        "v = (SELECT max(v) FROM t)",
        "v <= (SELECT min(o.v) FROM t o WHERE o.k <> t.k)",
        "k = (SELECT max(o.k) FROM t o WHERE o.v <= 1)",
        "(SELECT count(*) FROM u WHERE u.k = t.k) > 1",
        "v >= ALL (SELECT o.v FROM t o WHERE o.k > t.k)",
    ]);
    prop_oneof![
        4 => (asks, predicate("")).prop_map(|(asks, on)| format!("{asks} AND {on}")),
        // By itself: whether it is run when another condition holds of no row is the planner's.
        1 => (predicate(""), locking()).prop_map(|(on, lock)| format!(
            "k = (SELECT k FROM t WHERE {on} ORDER BY v, k LIMIT 1 {lock})"
        )),
        1 => (predicate(""), locking()).prop_map(|(on, lock)| format!(
            "k = ANY (ARRAY(SELECT k FROM t WHERE {on} ORDER BY k LIMIT 2 {lock}))"
        )),
    ]
    .boxed()
}

fn subqueries() -> BoxedStrategy<String> {
    let set = select(vec![
        "v = t.v + 1",
        "v = t.v + (SELECT count(*) FROM u WHERE u.k = t.k)",
        "v = (SELECT coalesce(max(o.v), 0) FROM t o WHERE o.k <> t.k) + 1",
        "(v, w) = (SELECT coalesce(max(n), 7), max(id) + 50 FROM u WHERE u.k = t.k)",
        "k = k + 10",
    ]);
    prop_oneof![
        3 => (set, asking())
            .prop_map(|(set, asks)| format!("UPDATE t SET {set} WHERE {asks} RETURNING *")),
        1 => asking().prop_map(|asks| format!("DELETE FROM t WHERE {asks} RETURNING *")),
        1 => (asking(), locking())
            .prop_map(|(asks, lock)| format!("SELECT * FROM t WHERE {asks} {lock}")),
    ]
    .boxed()
}

/// Rows are locked in the order that ORDER BY gives them.
fn locking_reads() -> BoxedStrategy<String> {
    let which = select(vec![" OF a", " OF o", ""]);
    let limit = select(vec!["", "", " LIMIT 1", " LIMIT 2"]);
    prop_oneof![
        4 => (tie(), predicate("a."), limit, (strength(), which, policy())).prop_map(
            |(tie, on, limit, (strength, which, policy))| format!(
                "SELECT a.*, o.* FROM t a JOIN t o ON {tie} WHERE {on} \
                 ORDER BY a.k, o.k{limit} FOR {strength}{which}{policy}"
            )
        ),
        2 => (tie_u(), predicate("a."), strength(), policy()).prop_map(
            |(tie, on, strength, policy)| format!(
                "SELECT * FROM t a LEFT JOIN u ON {tie} WHERE {on} \
                 ORDER BY a.k, u.id FOR {strength} OF a{policy}"
            )
        ),
        1 => (tie(), strength(), strength()).prop_map(|(tie, one, other)| format!(
            "SELECT a.*, o.* FROM t a, t o WHERE {tie} ORDER BY a.k, o.k \
             FOR {one} OF a FOR {other} OF o"
        )),
        1 => (predicate("a."), strength(), policy()).prop_map(|(on, strength, policy)| format!(
            "SELECT a.*, l.n FROM t a, \
             LATERAL (SELECT o.v + a.v AS n FROM t o WHERE o.k >= a.k ORDER BY o.k LIMIT 1) l \
             WHERE {on} AND l.n < 5 ORDER BY a.k FOR {strength} OF a{policy}"
        )),
    ]
    .boxed()
}

fn with_queries() -> BoxedStrategy<String> {
    prop_oneof![
        2 => (assignment(), 1..5).prop_map(|(set, k)| format!(
            "WITH m AS (UPDATE t SET {set} WHERE k = {k} RETURNING k, v) \
             UPDATE t a SET v = a.v + m.v + 1 FROM m WHERE a.k = m.k + 1 RETURNING *"
        )),
        1 => predicate("").prop_map(|on| format!(
            "WITH m AS (DELETE FROM t WHERE {on} RETURNING *) \
             INSERT INTO u SELECT k + 10, k, v FROM m RETURNING *"
        )),
        2 => (predicate(""), locking()).prop_map(|(on, lock)| format!(
            "WITH m AS (SELECT k FROM t WHERE {on} ORDER BY k LIMIT 1 {lock}) \
             UPDATE t a SET v = a.v + 10 FROM m WHERE a.k = m.k RETURNING a.*"
        )),
        1 => (predicate_u(), strength()).prop_map(|(on, strength)| format!(
            "WITH m AS (UPDATE u SET n = n + 1 WHERE {on} RETURNING k) \
             SELECT * FROM t WHERE k IN (SELECT k FROM m) ORDER BY k FOR {strength} OF t"
        )),
    ]
    .boxed()
}

fn upserts() -> BoxedStrategy<String> {
    let conflict = select(vec![
        "(k) DO UPDATE SET v = t.v * 2 + EXCLUDED.v",
        "(k) DO UPDATE SET v = EXCLUDED.v, w = t.w WHERE t.v <= EXCLUDED.v",
        "(k) DO UPDATE SET v = (SELECT count(*) FROM u WHERE u.k = t.k) + EXCLUDED.v",
        "DO NOTHING",
    ]);
    prop_oneof![
        2 => (predicate(""), conflict.clone()).prop_map(|(on, conflict)| format!(
            "INSERT INTO t SELECT k + 1, v + 1, NULL FROM t WHERE {on} ORDER BY k \
             ON CONFLICT {conflict} RETURNING *"
        )),
        1 => (predicate_u(), conflict).prop_map(|(on, conflict)| format!(
            "INSERT INTO t SELECT u.id + 1, u.n, NULL FROM u WHERE {on} ORDER BY u.id \
             ON CONFLICT {conflict} RETURNING *"
        )),
    ]
    .boxed()
}

pub fn any() -> BoxedStrategy<String> {
    prop_oneof![
        4 => updates(),
        2 => deletes(),
        3 => subqueries(),
        3 => locking_reads(),
        2 => with_queries(),
        1 => upserts(),
    ]
    .boxed()
}
