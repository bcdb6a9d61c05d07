//! What random sessions do: small tables, few keys, every kind of statement that locks.
//! Must never draw at run time: a case is data, so that it can be shrunk and kept.

use proptest::collection::vec;
use proptest::prelude::*;

use super::interleaving::{Script, Turn, alone, contest, control, savepoints, steps};
use super::joins;

/// One schema and one interleaving.
#[derive(Clone, Debug)]
struct Case {
    sessions: usize,
    detector: usize,
    /// `t.w` is unique.
    unique: bool,
    /// What `c.k` does when its row of `t` goes or changes; no table `c` without.
    child: Option<&'static str>,
    turns: Vec<Turn>,
}

impl Case {
    fn set_up(&self) -> Vec<String> {
        let mut statements = tables(if self.unique { " UNIQUE" } else { "" });
        if let Some(action) = self.child {
            let key = format!("k int REFERENCES t {action}");
            statements.push(format!("CREATE TABLE c (id int PRIMARY KEY, {key}, n int)"));
            statements.push("INSERT INTO c VALUES (1, 1, 0), (2, 2, 0)".to_owned());
        }
        statements
    }

    fn script(&self) -> Script {
        let names_child =
            |sql: &str| sql.split(|letter| " .(".contains(letter)).any(|word| word == "c");
        let known = |(_, sql): &(usize, String)| self.child.is_some() || !names_child(sql);
        let tables = if self.child.is_some() { vec!["c", "t", "u"] } else { vec!["t", "u"] };
        Script {
            sessions: self.sessions,
            detector: self.detector,
            set_up: self.set_up(),
            steps: steps(self.sessions, &self.turns).into_iter().filter(known).collect(),
            contents: tables.iter().map(|table| format!("SELECT * FROM {table}")).collect(),
            tear_down: vec![format!("DROP TABLE {}", tables.join(", "))],
        }
    }
}

/// Two small tables; how `t.w` is `unique`.
pub fn tables(unique: &str) -> Vec<String> {
    vec![
        format!("CREATE TABLE t (k int PRIMARY KEY, v int NOT NULL, w int{unique})"),
        "INSERT INTO t SELECT g, 0, g * 10 FROM generate_series(1, 4) g".to_owned(),
        "CREATE TABLE u (id int PRIMARY KEY, k int, n int)".to_owned(),
        "INSERT INTO u VALUES (1, 1, 0), (2, 2, 0), (3, 2, 1), (4, 3, 1)".to_owned(),
    ]
}

/// A condition on a row of `t`, by which name its columns have `of`.
pub fn predicate(of: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (1..6).prop_map(move |k| format!("{of}k = {k}")),
        2 => (0..4).prop_map(move |v| format!("{of}v >= {v}")),
        1 => (1..5, 1..5).prop_map(move |(a, b)| format!("{of}k IN ({a}, {b})")),
        1 => (1..6).prop_map(move |w| format!("{of}w = {w}0")),
        1 => Just(format!("{of}v % 2 = 0")),
        1 => Just("true".to_owned()),
    ]
}

pub fn assignment() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("v = v + 1".to_owned()),
        1 => (0..4).prop_map(|v| format!("v = {v}")),
        1 => (1..6).prop_map(|w| format!("w = {w}0")),
        1 => Just("w = w + 10, v = v + 1".to_owned()),
        1 => Just("k = k + 1".to_owned()),
        1 => Just("k = k + 100".to_owned()),
    ]
}

pub fn strength() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE"])
}

pub fn policy() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", "", " NOWAIT", " SKIP LOCKED"])
}

pub fn locking() -> impl Strategy<Value = String> {
    (strength(), policy()).prop_map(|(strength, policy)| format!("FOR {strength}{policy}"))
}

fn read() -> BoxedStrategy<String> {
    let join = "SELECT t.k, v, id FROM t JOIN c ON c.k = t.k";
    prop_oneof![
        3 => predicate("").prop_map(|on| format!("SELECT * FROM t WHERE {on}")),
        4 => (predicate(""), locking())
            .prop_map(|(on, lock)| format!("SELECT * FROM t WHERE {on} {lock}")),
        1 => (predicate(""), locking())
            .prop_map(|(on, lock)| format!("SELECT * FROM t WHERE {on} ORDER BY k LIMIT 1 {lock}")),
        1 => Just("SELECT count(*), sum(v) FROM t".to_owned()),
        1 => Just("SELECT * FROM c".to_owned()),
        1 => Just("SELECT * FROM u".to_owned()),
        1 => locking().prop_map(move |lock| format!("{join} ORDER BY id {lock}")),
    ]
    .boxed()
}

/// Writes by a key or a condition, without a look at other rows.
pub fn plain() -> BoxedStrategy<String> {
    let row = (1..7, 0..3, 1..7);
    let conflict = prop::sample::select(vec![
        "",
        "",
        " ON CONFLICT DO NOTHING",
        " ON CONFLICT (k) DO NOTHING",
        " ON CONFLICT (k) DO UPDATE SET v = t.v + EXCLUDED.v + 10",
        " ON CONFLICT (k) DO UPDATE SET v = 99 WHERE t.v < 2",
    ]);
    prop_oneof![
        5 => (assignment(), predicate(""))
            .prop_map(|(set, on)| format!("UPDATE t SET {set} WHERE {on} RETURNING *")),
        2 => predicate("").prop_map(|on| format!("DELETE FROM t WHERE {on} RETURNING *")),
        4 => (row, conflict).prop_map(|((k, v, w), conflict)| {
            format!("INSERT INTO t VALUES ({k}, {v}, {w}0){conflict} RETURNING *")
        }),
        1 => joins::predicate_u().prop_map(|on| format!("UPDATE u SET n = n + 1 WHERE {on}")),
        1 => joins::predicate_u().prop_map(|on| format!("UPDATE u SET k = k + 1 WHERE {on}")),
        1 => joins::predicate_u().prop_map(|on| format!("DELETE FROM u WHERE {on}")),
        1 => (1..6, 1..5).prop_map(|(id, k)| format!("INSERT INTO u VALUES ({id}, {k}, 0)")),
    ]
    .boxed()
}

fn write() -> BoxedStrategy<String> {
    prop_oneof![
        10 => plain(),
        2 => (1..6, 1..6).prop_map(|(id, k)| format!("INSERT INTO c VALUES ({id}, {k}, 0)")),
        1 => (1..6).prop_map(|id| format!("DELETE FROM c WHERE id = {id}")),
        1 => (1..6, 1..6).prop_map(|(id, k)| format!("UPDATE c SET k = {k} WHERE id = {id}")),
        1 => Just("UPDATE c SET n = n + 1 RETURNING *".to_owned()),
        // One row: in which order a join finds several is the planner's.
        1 => (1..6).prop_map(|k| format!(
            "UPDATE t SET v = t.v + 5 FROM c WHERE c.k = t.k AND c.n < 3 AND t.k = {k} \
             RETURNING t.*"
        )),
        1 => predicate("").prop_map(|on| format!(
            "WITH gone AS (DELETE FROM t WHERE {on} RETURNING *) SELECT count(*) FROM gone"
        )),
        1 => predicate("").prop_map(|on| format!(
            "UPDATE t SET v = v + (SELECT count(*) FROM c WHERE c.k = t.k) WHERE {on} RETURNING *"
        )),
        1 => predicate("").prop_map(|on| format!(
            "DELETE FROM t WHERE {on} AND (SELECT count(*) FROM c WHERE c.k = t.k) = 0 RETURNING *"
        )),
        1 => (assignment(), predicate(""), 1..6).prop_map(|(set, on, k)| format!(
            "WITH a AS (UPDATE t SET {set} WHERE {on} RETURNING *), \
             b AS (INSERT INTO t VALUES ({k}, 7, NULL) ON CONFLICT DO NOTHING) \
             SELECT count(*) FROM a"
        )),
    ]
    .boxed()
}

pub fn lock() -> impl Strategy<Value = String> {
    let modes = vec![
        "ACCESS SHARE",
        "ROW SHARE",
        "ROW EXCLUSIVE",
        "SHARE UPDATE EXCLUSIVE",
        "SHARE",
        "SHARE ROW EXCLUSIVE",
        "EXCLUSIVE",
        "ACCESS EXCLUSIVE",
    ];
    let wait = prop::sample::select(vec!["", "", " NOWAIT"]);
    prop_oneof![
        2 => (prop::sample::select(modes), wait)
            .prop_map(|(mode, wait)| format!("LOCK TABLE t IN {mode} MODE{wait}")),
        2 => (1..3).prop_map(|key| format!("SELECT pg_advisory_xact_lock({key})")),
        1 => (1..3).prop_map(|key| format!("SELECT pg_try_advisory_xact_lock_shared({key})")),
    ]
}

pub fn any() -> impl Strategy<Value = Script> {
    let statement =
        prop_oneof![5 => control(), 5 => read(), 7 => write(), 2 => joins::any(), 1 => lock()];
    let actions = vec![
        None,
        Some(""),
        Some("ON DELETE CASCADE ON UPDATE CASCADE"),
        Some("ON DELETE SET NULL"),
        Some("ON UPDATE CASCADE"),
        Some("DEFERRABLE INITIALLY DEFERRED"),
        Some("ON DELETE CASCADE ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED"),
        Some("ON DELETE RESTRICT DEFERRABLE INITIALLY DEFERRED"),
    ];
    let saved = || savepoints(prop_oneof![2 => write(), 1 => read()].boxed());
    let turn = prop_oneof![
        9 => statement.prop_map(|sql| vec![sql]),
        1 => saved(),
        1 => saved().prop_map(|mut steps| {
            steps.insert(0, "BEGIN".to_owned());
            steps
        }),
    ];
    let turn = prop_oneof![6 => turn.prop_map(alone), 1 => contest(plain(), joins::any(), 1)];
    let turns = vec((0..4_usize, turn), 4..20);
    (2..5_usize, 0..4_usize, prop::bool::ANY, prop::sample::select(actions), turns).prop_map(
        |(sessions, detector, unique, child, turns)| {
            let detector = detector % sessions;
            Case { sessions, detector, unique, child, turns }.script()
        },
    )
}
