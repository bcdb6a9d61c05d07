//! Unique indexes of some rows and of expressions, and chains of foreign keys with actions.
//! Must never ask for an index that no ON CONFLICT could mean here.

use proptest::prelude::*;
use proptest::sample::select;

use super::{Theme, one_of, owned};
use crate::postgres::fuzz::cases::{locking, strength};

/// Up to two keys, beside the primary one, of which each ON CONFLICT below may name one.
fn partial_keys() -> BoxedStrategy<Vec<String>> {
    let keys = || {
        one_of(&[
            "CREATE UNIQUE INDEX ON t (v) WHERE w > 0",
            "CREATE UNIQUE INDEX ON t ((v % 10))",
            "CREATE UNIQUE INDEX ON t ((v % 10)) WHERE w > 0",
            "CREATE UNIQUE INDEX ON t (lower(s))",
            "CREATE UNIQUE INDEX ON t (lower(s), v) WHERE v > 1",
            "CREATE UNIQUE INDEX ON t (v, w)",
            "CREATE UNIQUE INDEX ON t (w) NULLS NOT DISTINCT WHERE v < 3",
            "CREATE UNIQUE INDEX ON t (v) INCLUDE (w)",
        ])
    };
    (keys(), prop::option::of(keys()))
        .prop_map(|(one, other)| {
            let table = "CREATE TABLE t (k int PRIMARY KEY, v int, w int, s text)";
            let rows = "INSERT INTO t VALUES (1, 1, 1, 'a'), (2, 2, 0, 'b'), (3, 3, 5, NULL)";
            let mut set_up = owned(&[table, rows]);
            set_up.push(one);
            set_up.extend(other);
            set_up
        })
        .boxed()
}

fn some_rows() -> BoxedStrategy<String> {
    prop_oneof![
        4 => (1..5).prop_map(|k| format!("k = {k}")),
        1 => (1..4).prop_map(|v| format!("v = {v}")),
        1 => one_of(&["w > 0", "w = 0", "lower(s) = 'a'", "s IS NULL", "v % 10 = 1", "true"]),
    ]
    .boxed()
}

/// In and out of the conditions, and of the values of others.
fn changes() -> BoxedStrategy<String> {
    one_of(&[
        "w = 0",
        "w = 1",
        "w = -w",
        "w = NULL",
        "v = v + 1",
        "v = v + 10",
        "v = 1",
        "v = 2, w = 1",
        "s = 'A'",
        "s = upper(s)",
        "s = NULL",
        "s = s || 'x', w = w + 1",
        "k = k + 1",
    ])
}

pub fn partial() -> Theme {
    let target = one_of(&[
        "",
        "",
        "(k)",
        "(v) WHERE w > 0",
        "((v % 10))",
        "((v % 10)) WHERE w > 0",
        "(lower(s))",
        "(v, w)",
    ]);
    let does = one_of(&[
        "DO NOTHING",
        "DO NOTHING",
        "DO UPDATE SET v = t.v + EXCLUDED.v",
        "DO UPDATE SET w = EXCLUDED.w - 1",
        "DO UPDATE SET s = EXCLUDED.s WHERE t.w > 0",
    ]);
    let row = (1..7, 0..4, 0..2, select(vec!["'a'", "'A'", "'b'", "NULL"]));
    let row = row.prop_map(|(k, v, w, s)| format!("({k}, {v}, {w}, {s})")).boxed();
    let statement = prop_oneof![
        3 => row.clone().prop_map(|row| format!("INSERT INTO t VALUES {row} RETURNING *")),
        // Without a target there is nothing to update.
        5 => (row.clone(), target.clone(), does).prop_map(|(row, target, does)| {
            let does = if target.is_empty() { "DO NOTHING" } else { &does };
            format!("INSERT INTO t VALUES {row} ON CONFLICT {target} {does} RETURNING *")
        }),
        2 => (row.clone(), row.clone(), target.clone()).prop_map(|(one, other, target)| format!(
            "INSERT INTO t VALUES {one}, {other} ON CONFLICT {target} DO NOTHING RETURNING *"
        )),
        1 => (some_rows(), 10..30).prop_map(|(on, more)| format!(
            "INSERT INTO t SELECT k + {more}, v + {more}, w, s FROM t WHERE {on} RETURNING *"
        )),
        5 => (changes(), some_rows())
            .prop_map(|(set, on)| format!("UPDATE t SET {set} WHERE {on} RETURNING *")),
        2 => some_rows().prop_map(|on| format!("DELETE FROM t WHERE {on} RETURNING *")),
        1 => one_of(&[
            "CREATE UNIQUE INDEX px ON t (v) WHERE w > 0",
            "CREATE UNIQUE INDEX IF NOT EXISTS px ON t ((v % 10))",
            "CREATE INDEX px ON t (lower(s)) WHERE v > 1",
            "DROP INDEX px",
            "DROP INDEX IF EXISTS px",
        ]),
        1 => (some_rows(), locking())
            .prop_map(|(on, lock)| format!("SELECT * FROM t WHERE {on} {lock}")),
        1 => some_rows().prop_map(|on| format!("SELECT * FROM t WHERE {on}")),
    ]
    .boxed();
    Theme {
        set_up: partial_keys(),
        first: Vec::new(),
        statement,
        contents: owned(&["SELECT * FROM t"]),
        tear_down: owned(&["DROP TABLE t"]),
    }
}

/// Three tables, each of whose rows belong to one of the table before, and trees within the last.
fn chained() -> BoxedStrategy<Vec<String>> {
    let action = || {
        select(vec![
            "",
            "ON DELETE CASCADE",
            "ON DELETE CASCADE ON UPDATE CASCADE",
            "ON DELETE SET NULL ON UPDATE CASCADE",
            "ON DELETE RESTRICT ON UPDATE SET NULL",
            "ON DELETE SET DEFAULT ON UPDATE SET DEFAULT",
            "ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED",
            "DEFERRABLE INITIALLY DEFERRED",
            "ON DELETE RESTRICT DEFERRABLE INITIALLY DEFERRED",
            "ON DELETE CASCADE ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED",
        ])
    };
    (action(), action(), action())
        .prop_map(|(one, two, own)| {
            vec![
                "CREATE TABLE a (id int PRIMARY KEY, n int)".to_owned(),
                format!(
                    "CREATE TABLE b (id int PRIMARY KEY, a int UNIQUE DEFAULT 1 REFERENCES a {one})"
                ),
                format!(
                    "CREATE TABLE c (id int PRIMARY KEY, b int DEFAULT 1 REFERENCES b(a) {two}, \
                     up int REFERENCES c {own})"
                ),
                "INSERT INTO a VALUES (1, 0), (2, 0), (3, 0)".to_owned(),
                "INSERT INTO b VALUES (1, 1), (2, 2)".to_owned(),
                "INSERT INTO c VALUES (1, 1, NULL), (2, 1, 1), (3, 2, 2)".to_owned(),
            ]
        })
        .boxed()
}

pub fn chains() -> Theme {
    let table = || select(vec!["a", "b", "c"]);
    let value =
        || prop_oneof![4 => (1..5).prop_map(|n: i32| n.to_string()), 1 => one_of(&["NULL"])];
    let statement = prop_oneof![
        3 => (table(), 1..5).prop_map(|(table, id)| format!(
            "DELETE FROM {table} WHERE id = {id} RETURNING *"
        )),
        1 => table().prop_map(|table| format!("DELETE FROM {table}")),
        3 => (table(), 1..5, 1..6).prop_map(|(table, id, to)| format!(
            "UPDATE {table} SET id = {to} WHERE id = {id}"
        )),
        2 => (1..5, value()).prop_map(|(id, a)| format!("UPDATE b SET a = {a} WHERE id = {id}")),
        2 => (1..5, value()).prop_map(|(id, b)| format!("UPDATE c SET b = {b} WHERE id = {id}")),
        1 => (1..5, value()).prop_map(|(id, up)| format!("UPDATE c SET up = {up} WHERE id = {id}")),
        1 => (1..5).prop_map(|id| format!("UPDATE a SET n = n + 1 WHERE id = {id} RETURNING *")),
        2 => (3..6).prop_map(|id| format!("INSERT INTO a VALUES ({id}, 0)")),
        2 => (3..6, value()).prop_map(|(id, a)| format!("INSERT INTO b VALUES ({id}, {a})")),
        2 => (3..6, value(), value())
            .prop_map(|(id, b, up)| format!("INSERT INTO c VALUES ({id}, {b}, {up})")),
        2 => (table(), 1..4, strength()).prop_map(|(table, id, strength)| format!(
            "SELECT * FROM {table} WHERE id = {id} FOR {strength}"
        )),
        1 => table().prop_map(|table| format!("SELECT * FROM {table}")),
        1 => one_of(&["TRUNCATE c", "TRUNCATE a CASCADE", "TRUNCATE b, c", "TRUNCATE a"]),
        2 => one_of(&[
            "UPDATE a SET id = id + 10",
            "UPDATE b SET a = a + 1",
            "INSERT INTO b SELECT id + 3, id FROM a WHERE id > 2 ON CONFLICT DO NOTHING",
            "INSERT INTO b VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET a = EXCLUDED.a",
            "INSERT INTO c VALUES (7, DEFAULT, 7), (8, 2, 7)",
            "UPDATE c SET up = id, b = 2 WHERE up IS NULL",
            "WITH gone AS (DELETE FROM c RETURNING *) SELECT count(*) FROM gone",
            "WITH gone AS (DELETE FROM a WHERE id = 2 RETURNING id) \
             INSERT INTO b SELECT id + 5, 3 FROM gone",
        ]),
        1 => one_of(&[
            "ALTER TABLE b DROP CONSTRAINT b_a_fkey",
            "ALTER TABLE b ADD CONSTRAINT b_a_fkey FOREIGN KEY (a) REFERENCES a ON DELETE CASCADE",
            "ALTER TABLE c ADD FOREIGN KEY (up) REFERENCES a DEFERRABLE INITIALLY DEFERRED",
            "ALTER TABLE c DROP COLUMN up",
            "LOCK TABLE b IN SHARE MODE",
        ]),
    ]
    .boxed();
    Theme {
        set_up: chained(),
        first: Vec::new(),
        statement,
        contents: owned(&["SELECT * FROM a", "SELECT * FROM b", "SELECT * FROM c"]),
        tear_down: owned(&["DROP TABLE a, b, c"]),
    }
}
