//! A portal that is run in parts, while another session and its own go on: the same answers here
//! and on a real PostgreSQL. Must never leave a session within a transaction.

use std::fmt::Write as _;

use seedbed::world::postgres::{Settings, Watch};

use super::pipelines::{Said, bind, execute, parse, sync};
use super::queries::Session;
use crate::pg_server::PgServer;
use crate::postgres::answers::Answer;
use crate::postgres::{ours, runtime};

const SET_UP: &[&str] = &[
    "drop table if exists t",
    "drop sequence if exists q",
    "create sequence q",
    "create table t(a int primary key, n int)",
    "insert into t select g, g from generate_series(1, 5) g",
];

/// How a transaction begins, its query, and what its own session and another one say after each
/// part of it.
const CASES: &[(&str, &str, &[&str], &[&str])] = &[
    // Its snapshot is of the time when it was bound.
    (
        "begin",
        "select * from t",
        &[],
        &["insert into t values (6, 6)", "delete from t where a = 5"],
    ),
    ("begin", "select * from t", &["delete from t where a = 4"], &["delete from t where a = 5"]),
    ("begin", "select * from t", &["insert into t values (0, 0)", "update t set n = 9"], &[]),
    (
        "begin isolation level repeatable read",
        "select * from t",
        &["update t set n = 9 where a = 4"],
        &["update t set n = 8 where a > 4"],
    ),
    ("begin", "select (select count(*) from t), a from t", &[], &["delete from t where a > 2"]),
    ("begin", "with w as (select * from t) select * from w", &[], &["delete from t where a > 2"]),
    // A row that is locked is locked when it is asked for, as it is then.
    (
        "begin",
        "select * from t where n > 0 for update",
        &["select 1"],
        &[
            "update t set n = n - 4 where a in (3, 4)",
            "select a from t for update skip locked",
            "select a from t where a = 2 for share nowait",
        ],
    ),
    (
        "begin isolation level repeatable read",
        "select * from t for no key update",
        &[],
        &["update t set n = 0 where a = 4"],
    ),
    ("begin", "select * from t for update", &["update t set n = 0", "delete from t"], &[]),
    // What is worked out is worked out row by row.
    ("begin", "select nextval('q'), a from t", &["select currval('q')"], &[]),
    ("begin", "select a, 1 / (3 - a) from t", &["select 1"], &[]),
    ("begin", "select nextval('q') from t order by a desc", &["select currval('q')"], &[]),
    ("begin", "select generate_series(1, 5), nextval('q')", &["select currval('q')"], &[]),
    ("begin", "select nextval('q') from t limit 3", &["select currval('q')"], &[]),
    ("begin", "values (nextval('q')), (nextval('q')), (1)", &["select currval('q')"], &[]),
    // It goes with its savepoint, and with its transaction.
    ("begin", "select * from t", &["savepoint s", "rollback to s"], &[]),
    ("begin", "select * from t", &["select 1/0"], &[]),
    ("begin", "select * from t", &["commit"], &[]),
    (
        "begin",
        "select a, statement_timestamp()::text > current_setting('own.at', true) from t",
        &["select set_config('own.at', statement_timestamp()::text, false) > '', pg_sleep(0.01)";
            2],
        &[],
    ),
    // What needs the whole is run as a whole.
    ("begin", "update t set n = 0 returning a, nextval('q')", &["select currval('q')"], &[]),
    ("begin", "with w as (delete from t returning a) select * from w", &["select 1"], &[]),
    // What it has written is seen once Sync has come, though it is not through.
    ("begin", "update t set n = 0 returning a", &["select sum(n) from t"; 3], &[]),
    ("begin", "show search_path", &[], &[]),
    // What its role may do was looked at when it was bound, as was what its transaction may.
    ("begin", "select * from t", &["set role reader", "set transaction read only"], &[]),
    ("begin read only", "select * from t for update", &[], &[]),
    ("begin", "select * from t", &["alter table t add x int", "drop table t"], &[]),
    ("begin", "select * from t", &["create index on t (n)", "truncate t"], &[]),
];

/// One server's answers, with who said what.
async fn told(
    (own, other): (&mut Session, &mut Session),
    (begin, sql, says, others): (&str, &str, &[&str], &[&str]),
) -> String {
    for statement in SET_UP {
        own.say(statement).await;
    }
    let mut text = format!("{begin}: {sql}\n{}\n", own.say(begin).await.text());
    let bound = [parse("", sql, &[]), bind(("a", ""), &[], &[], &[]), sync()];
    let part = |most| vec![execute("a", most), sync()];
    let parts = [bound.to_vec(), part(1), part(2), part(1), part(0), part(1), part(0)];
    for (at, said) in parts.into_iter().enumerate() {
        let bytes: Vec<u8> = said.iter().flat_map(|Said(_, bytes)| bytes.clone()).collect();
        own.raw.send(&bytes).await;
        let answer = own.raw.until_ready().await.expect("the session goes on");
        let _infallible = writeln!(text, "{}", Answer::new(&answer).text());
        if let Some(statement) = others.get(at) {
            let answer = other.say(statement).await.text();
            let _infallible = writeln!(text, "other: {statement}\n{answer}");
        }
        if let Some(statement) = says.get(at) {
            let answer = own.say(statement).await.text();
            let _infallible = writeln!(text, "own: {statement}\n{answer}");
        }
    }
    own.say("rollback").await;
    own.say("reset role").await;
    text
}

#[test]
fn a_portal_in_parts_gives_what_a_real_postgresql_gives() {
    let server = PgServer::start();
    runtime().block_on(async {
        let (addr, _store) = ours(Settings::default(), Watch::none()).await;
        let mut sessions = Vec::new();
        for addr in [&addr, &server.addr()] {
            let (mut own, other) = (Session::open(addr).await, Session::open(addr).await);
            own.say("create role reader").await;
            sessions.push((own, other));
        }
        let mut differences = Vec::new();
        for case in CASES {
            let mut texts = Vec::new();
            for (own, other) in &mut sessions {
                texts.push(told((own, other), *case).await);
            }
            if texts[0] != texts[1] {
                differences.push(format!("{}--- here:\n{}", texts[1], texts[0]));
            }
        }
        assert!(differences.is_empty(), "{}", differences.join("\n\n"));
    });
}
