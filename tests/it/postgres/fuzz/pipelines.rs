//! Random messages of the extended protocol, here and on a real PostgreSQL: the same answers,
//! message by message. Must never send what does not decode: that is `malformed`.

use std::cell::RefCell;
use std::fmt;

use proptest::strategy::Strategy as _;
use seedbed::world::postgres::{Settings, Watch};

use super::queries::{Session, Tape, choices};
use super::{none_differs, runner};
use crate::pg_server::PgServer;
use crate::postgres::answers::Answer;
use crate::postgres::raw::{Back, message};
use crate::postgres::{ours, runtime};

const KEPT: &str = "tests/proptest-regressions/postgres_pipelines.txt";

const SET_UP: &[&str] = &[
    "rollback",
    "reset role",
    "deallocate all",
    "drop table if exists t, u",
    "drop sequence if exists q",
    "create sequence q",
    "create table t(a int primary key, n numeric(8,2), v varchar(5))",
    "insert into t values (1, 1.5, 'abc'), (2, 2.5, 'd')",
];

/// Many more are about transactions and rows than about the rest.
const STATEMENTS: &[(usize, &[&str])] = &[
    (4, &["begin", "commit", "rollback", "savepoint s", "rollback to s", "release s"]),
    (
        8,
        &[
            "select a from t",
            "select a, v from t where a = $1",
            "insert into t values ($1, $2) returning a",
            "insert into t values (7, 1, 'x')",
            "update t set v = $1 where a = 1",
            "update t set v = 'y' returning a, v",
            "delete from t where a > 3",
            "select case when $1 then n else 2 end from t",
            "select coalesce($1, v) from t",
            "select generate_series(1, 5)",
            "select a from t where $1 for update",
            "with w as (update t set n = 0 returning a) select a from w",
            "values (1), (2)",
            "select a, 1 / (2 - a) from t",
            "select nextval('q') from t",
            "select currval('q'), count(*) from t",
            "select a, v from t limit 2 for no key update",
        ],
    ),
    (
        3,
        &[
            "select 1/0",
            "select 1/$1::int",
            "select $1::int + 1",
            "select $1",
            "select 'x'::int",
            "select nothing",
            "selec",
            "",
            "select 1; select 2",
            "insert into t values (1/0)",
            "insert into t select a, n, v from t where a = 1/$1",
        ],
    ),
    (
        2,
        &[
            "set application_name = 'x'",
            "show application_name",
            "set role reader",
            "reset role",
            "select x from hidden",
            "delete from hidden",
            "create table u(a int)",
            "drop table u",
            "select a from u",
            "alter table t add x int",
            "alter table t drop x",
            "lock table t",
            "truncate t",
            "prepare c as select a from t",
            "execute c",
            "deallocate c",
            "deallocate all",
        ],
    ),
];

const VALUES: &[Option<&[u8]>] = &[
    Some(b"1"),
    Some(b"2"),
    None,
    Some(b"x"),
    Some(b"true"),
    Some(b""),
    Some(b"\0\0\0\x01"),
    Some(b"99999999999"),
];
const FORMATS: &[&[i16]] = &[&[], &[], &[], &[0], &[1], &[0, 1], &[2]];
/// None given, mostly; `int4`, `text`, one that is to be found, `bool`.
const TYPES: &[&[u32]] = &[&[], &[], &[], &[], &[23], &[25], &[0], &[16]];
const MOST: &[u32] = &[0, 0, 0, 1, 2];
const NAMES: &[&str] = &["", "", "a", "b"];

/// A message, and how it reads.
#[derive(Clone)]
pub struct Said(pub String, pub Vec<u8>);

#[derive(Clone)]
struct Case(Vec<Said>);

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|Said(text, _)| writeln!(f, "{text}"))
    }
}

fn counted<T: Copy, const N: usize>(all: &[T], bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    let count = i16::try_from(all.len()).expect("few").to_be_bytes();
    count.into_iter().chain(all.iter().flat_map(|one| bytes(*one))).collect()
}

fn named(name: &str) -> Vec<u8> {
    [name.as_bytes(), b"\0"].concat()
}

pub fn parse(name: &str, sql: &str, types: &[u32]) -> Said {
    let body = [named(name), named(sql), counted(types, u32::to_be_bytes)].concat();
    Said(format!("Parse {name:?} {sql:?} {types:?}"), message(b'P', &body))
}

pub fn bind(
    (portal, statement): (&str, &str),
    values: &[Option<&[u8]>],
    formats: &[i16],
    results: &[i16],
) -> Said {
    let mut given = i16::try_from(values.len()).expect("few").to_be_bytes().to_vec();
    for value in values {
        let length = value.map_or(-1, |value| i32::try_from(value.len()).expect("short"));
        given.extend(length.to_be_bytes());
        given.extend(value.unwrap_or_default());
    }
    let (formats_given, wanted) =
        (counted(formats, i16::to_be_bytes), counted(results, i16::to_be_bytes));
    let body = [named(portal), named(statement), formats_given, given, wanted].concat();
    let text = format!("Bind {portal:?} {statement:?} {values:?} {formats:?} {results:?}");
    Said(text, message(b'B', &body))
}

fn of(kind: u8, word: &str, what: u8, name: &str) -> Said {
    let body = [&[what][..], &named(name)].concat();
    Said(format!("{word} {} {name:?}", what as char), message(kind, &body))
}

pub fn execute(portal: &str, most: u32) -> Said {
    let body = [&named(portal)[..], &most.to_be_bytes()].concat();
    Said(format!("Execute {portal:?} {most}"), message(b'E', &body))
}

fn query(sql: &str) -> Said {
    Said(format!("Query {sql:?}"), message(b'Q', &named(sql)))
}

pub fn sync() -> Said {
    Said("Sync".to_owned(), message(b'S', &[]))
}

fn values(tape: &mut Tape, number: usize) -> Vec<Option<&'static [u8]>> {
    (0..number).map(|_| tape.one_of(VALUES)).collect()
}

fn statement(tape: &mut Tape) -> &'static str {
    let group = tape.weighted(STATEMENTS);
    tape.one_of(group)
}

/// A message for itself, whatever it needs. What a simple query that failed has left as its unnamed
/// portal is not asked for: a real server may break over it.
fn single(tape: &mut Tape) -> Said {
    let (name, portal) = (tape.one_of(NAMES), tape.one_of(&["a", "b"]));
    let what = [(b'S', name), (b'P', portal)];
    match tape.below(12) {
        0..3 => {
            let sql = statement(tape);
            parse(name, sql, tape.one_of(TYPES))
        }
        3..6 => {
            let (number, formats, results) =
                (tape.one_of(&[0, 0, 0, 1, 1, 2]), tape.one_of(FORMATS), tape.one_of(FORMATS));
            bind((portal, name), &values(tape, number), formats, results)
        }
        6 => {
            let (what, name) = tape.one_of(&what);
            of(b'D', "Describe", what, name)
        }
        7..10 => execute(portal, 0),
        10 => {
            let (what, name) = tape.one_of(&what);
            of(b'C', "Close", what, name)
        }
        _ => sync(),
    }
}

/// What a driver says.
fn whole(tape: &mut Tape, said: &mut Vec<Said>) {
    let (name, portal) = (tape.one_of(NAMES), tape.one_of(NAMES));
    let sql = statement(tape);
    said.push(parse(name, sql, &[]));
    if tape.happens(30) {
        said.push(of(b'D', "Describe", b'S', name));
    }
    let number = (1..3).filter(|at| sql.contains(&format!("${at}"))).count();
    let results = tape.one_of(&[&[][..], &[], &[0], &[1]]);
    let mut values = values(tape, number);
    if sql.contains("where") {
        // A query without a row by its parameters: whether it keeps its tables is the planner's.
        for value in &mut values {
            *value = value.or(Some(b"1"));
        }
    }
    said.push(bind((portal, name), &values, &[], results));
    if tape.happens(60) {
        said.push(of(b'D', "Describe", b'P', portal));
    }
    for _ in 0..tape.one_of(&[1, 1, 1, 0, 2]) {
        said.push(execute(portal, tape.one_of(MOST)));
    }
    if tape.happens(80) {
        said.push(sync());
    }
}

fn case(choices: Vec<u16>) -> Case {
    let (mut tape, mut said) = (Tape::new(choices), Vec::new());
    if tape.happens(40) {
        said.push(query("begin"));
    }
    for _ in 0..=tape.below(9) {
        match tape.below(10) {
            0 => {
                let sql = statement(&mut tape);
                said.push(query(sql));
            }
            1..7 => whole(&mut tape, &mut said),
            _ => (0..=tape.below(4)).for_each(|_| said.push(single(&mut tape))),
        }
    }
    // What was bound before is run after the rest.
    said.extend(["a", "b"].into_iter().filter(|_| tape.happens(30)).map(|name| execute(name, 0)));
    said.push(sync());
    Case(said)
}

struct Sides {
    here: Session,
    there: Session,
    messages: usize,
    /// Messages of the real server that bring no error.
    well: usize,
}

/// Everything up to the answer to a query that fails, which ends a case.
async fn answers(session: &mut Session, case: &Case) -> Vec<Back> {
    const END: &str = "rollback; select the_end";
    let mut bytes: Vec<u8> = case.0.iter().flat_map(|Said(_, bytes)| bytes.clone()).collect();
    bytes.extend(message(b'Q', &named(END)));
    session.raw.send(&bytes).await;
    let mut all = Vec::new();
    let mut ends = false;
    while let Some(back) = session.raw.next().await {
        let end = back.kind == b'Z' && ends;
        let told = back.field(b'M').is_some_and(|text| text.contains("the_end"));
        ends |= back.kind == b'E' && told;
        all.push(back);
        if end {
            return all;
        }
    }
    session.again().await;
    all
}

impl Sides {
    async fn differs(&mut self, case: &Case) -> Option<String> {
        for statement in SET_UP {
            self.here.say(statement).await;
            self.there.say(statement).await;
        }
        let ours = answers(&mut self.here, case).await;
        let mut theirs = answers(&mut self.there, case).await;
        // A warning of PostgreSQL to itself: ROLLBACK was bound in a failed transaction, not run.
        let aside = |back: &Back| back.field(b'M').is_some_and(|text| text.contains("skipping"));
        theirs.retain(|back| back.kind != b'N' || !aside(back));
        self.messages += theirs.len();
        self.well += theirs.iter().filter(|back| back.kind != b'E').count();
        let (ours, theirs) = (Answer::new(&ours), Answer::new(&theirs));
        (!ours.same_as(&theirs))
            .then(|| format!("{case:?}{}\n--- here:\n{}", theirs.text(), ours.text()))
    }
}

async fn sides(server: &PgServer) -> Sides {
    let (addr, _store) = ours(Settings::default(), Watch::none()).await;
    let (mut here, mut there) = (Session::open(&addr).await, Session::open(&server.addr()).await);
    for session in [&mut here, &mut there] {
        session.say("create role reader").await;
        session.say("create table hidden(x int)").await;
        let body = "begin raise notice 'told'; return x; end";
        let function = "create function aloud(x int) returns int language plpgsql immutable as";
        session.say(&format!("{function} $$ {body} $$")).await;
    }
    Sides { here, there, messages: 0, well: 0 }
}

/// A statement that is parsed and bound as a driver does, each under one name.
fn bound(name: &str, sql: &str, values: &[Option<&[u8]>]) -> Vec<Said> {
    vec![parse(name, sql, &[]), bind((name, name), values, &[], &[])]
}

/// Values that do not fit, and portals that have failed before they run.
fn unfit() -> Vec<Vec<Said>> {
    let failed = |rest: Vec<Said>| {
        [vec![query("begin"), query("set role reader")], rest, vec![sync(), execute("a", 0)]]
            .concat()
    };
    vec![
        bound("a", "select $1::int", &[Some(b"x")]),
        bound("", "select $1::bool", &[Some(b"")]),
        vec![
            parse("", "select $1::date", &[]),
            bind(("", ""), &[Some(&[127, 255, 255, 254])], &[1], &[]),
        ],
        vec![parse("", "select $1::int", &[]), bind(("", ""), &[Some(&[0; 5])], &[1], &[])],
        failed(bound("a", "select x from hidden", &[])),
        failed(vec![parse("", "select 1, 2", &[]), bind(("a", ""), &[], &[], &[1, 1, 1])]),
        failed(bound("a", "select 1/0", &[])),
        [vec![query("set role reader")], bound("", "create table u(a int)", &[])].concat(),
        vec![query("set role reader"), query("create table if not exists u(a int)")],
        vec![parse("", "", &[0]), bind(("", ""), &[Some(b"1")], &[], &[])],
        vec![parse("", "select 1", &[]), bind(("", ""), &[], &[], &[2]), execute("", 0)],
        vec![
            parse("", "select a, 1 / (2 - a) from t", &[]),
            bind(("", ""), &[], &[], &[2]),
            execute("", 0),
        ],
        vec![
            parse("", "select a from t where a > 9", &[]),
            bind(("", ""), &[], &[], &[2]),
            execute("", 0),
        ],
        failed(bound("a", "with w as (delete from t returning a) select a from w", &[])),
    ]
}

/// Rows before an error, and columns and notices in their order.
fn in_order() -> Vec<Vec<Said>> {
    let one = |sql: &str| [bound("", sql, &[]), vec![execute("", 0)]].concat();
    vec![
        vec![query("select 1/(a-2) from t order by a")],
        vec![query("select a from t where 1/(a-1) = 0")],
        one("select 1/(a-2) from t order by a"),
        one("select aloud(1)"),
        vec![query("select aloud(a) from t")],
        vec![
            query("create table u(a int references t deferrable initially deferred)"),
            query("insert into u values (9) returning a"),
        ],
    ]
}

/// Open portals, which keep their tables from being changed.
fn in_use() -> Vec<Vec<Said>> {
    let one = |name: &str, sql: &str| [bound(name, sql, &[]), vec![execute(name, 0)]].concat();
    let cut = "create or replace function cut(x int) returns int language plpgsql as \
               'begin truncate t; return x; end'";
    vec![
        [one("a", "select a from t"), one("b", "alter table t add x int")].concat(),
        [one("", "select a from t"), vec![query("alter table t add x int")]].concat(),
        [vec![query(cut)], one("", "select cut(a) from t")].concat(),
        vec![
            parse("a", "select a from t", &[]),
            query("drop table t"),
            query("create table t(a int)"),
            query("insert into t values (1), (2)"),
            query("begin"),
            bind(("a", "a"), &[], &[], &[]),
            execute("a", 1),
            sync(),
            query("truncate t"),
        ],
    ]
}

/// Portals that have written and have rows yet to give: it is seen once another command ends, a
/// statement is parsed or Sync comes.
fn unfinished() -> Vec<Vec<Said>> {
    let one = |name: &str, sql: &str| [bound(name, sql, &[]), vec![execute(name, 0)]].concat();
    let begun = |rest: Vec<Vec<Said>>| [vec![query("begin")], rest.concat()].concat();
    let again = |name: &str| vec![execute(name, 0), sync()];
    let all = [
        parse("p", "update t set n = 7 where a = 1 returning a", &[]),
        parse("q", "insert into t values (8, 7, 'x') returning a", &[]),
        parse("c", "select count(*) from t where n = 7", &[]),
    ];
    let run = |portal: &str, name: &str, most| {
        vec![bind((portal, name), &[], &[], &[]), execute(portal, most)]
    };
    vec![
        begun(vec![all.to_vec(), run("a", "p", 1), run("x", "c", 0), run("y", "c", 0)]),
        begun(vec![all.to_vec(), run("a", "p", 1), again("a"), run("y", "c", 0)]),
        begun(vec![
            all.to_vec(),
            run("a", "p", 1),
            vec![query("select count(*) from t where n = 7; select count(*) from t where n = 7")],
        ]),
        begun(vec![all.to_vec(), run("a", "p", 1), vec![execute("a", 0)], run("y", "c", 0)]),
        begun(vec![
            all.to_vec(),
            run("a", "p", 1),
            run("b", "q", 1),
            run("x", "c", 0),
            run("y", "c", 0),
        ]),
        begun(vec![
            bound("", "update t set n = 7 returning a", &[]),
            vec![execute("", 1)],
            one("", "update t set v = 'w' where n = 7"),
        ]),
        begun(vec![
            bound("b", "select count(*) from t where n = 7", &[]),
            bound("a", "update t set n = 7 returning a", &[]),
            vec![
                execute("a", 1),
                query("update t set v = 'v' where n = 7"),
                query("select v from t"),
            ],
        ]),
    ]
}

/// What was once answered otherwise.
fn found() -> Vec<Vec<Said>> {
    let one = |name: &str, sql: &str| [bound(name, sql, &[]), vec![execute(name, 0)]].concat();
    let begun = |rest: Vec<Vec<Said>>| [vec![query("begin")], rest.concat()].concat();
    let again = |name: &str| vec![execute(name, 0), sync()];
    vec![
        // Constants and privileges are looked at when it is bound.
        bound("", "select 1/0", &[]),
        bound("a", "select 1/$1::int", &[Some(b"0")]),
        [vec![query("set role reader")], bound("", "select x from hidden", &[])].concat(),
        [vec![query("set role reader")], bound("", "delete from hidden", &[])].concat(),
        // What has run and gives no rows, has failed, or is gone.
        [one("", "update t set n = 0"), again("")].concat(),
        [one("", "select a from t"), again("")].concat(),
        [one("", "update t set n = 0 returning a"), again("")].concat(),
        begun(vec![
            one("", "create table u(a int)"),
            bound("", "insert into t values (1/0)", &[]),
            vec![sync(), of(b'D', "Describe", b'S', "")],
        ]),
        begun(vec![one("a", "commit"), again("a")]),
        begun(vec![vec![query("rollback to s")], again("")]),
        begun(vec![vec![query("delete from t where 1/(a-1) = 0")], again("")]),
        begun(vec![one("b", "rollback to s"), vec![sync()], again("b")]),
        begun(vec![
            bound("a", "rollback", &[]),
            vec![query("select nothing")],
            again("a"),
            bound("b", "rollback", &[]),
            again("b"),
        ]),
        begun(vec![
            vec![query("select nothing")],
            bound("b", "rollback", &[]),
            vec![query("select nothing")],
            again("b"),
        ]),
        begun(vec![
            bound("a", "select a from t", &[]),
            vec![query("savepoint s")],
            bound("b", "select a from t", &[]),
            vec![query("select nothing"), query("rollback to s"), execute("a", 0)],
            again("b"),
        ]),
        begun(vec![
            vec![query("savepoint s")],
            bound("a", "select a from t", &[]),
            vec![query("release s"), query("savepoint s"), query("rollback to s")],
            again("a"),
        ]),
        begun(vec![
            bound("b", "select a from t where $1", &[Some(b"2")]),
            vec![sync()],
            again("b"),
        ]),
        // A simple query ends what was no block, and takes the unnamed statement with it.
        [one("", "set role reader"), vec![query(""), query("begin")]].concat(),
        [vec![parse("", "select 1", &[]), query("select 2")], vec![of(b'D', "Describe", b'S', "")]]
            .concat(),
        one("", "deallocate all").into_iter().chain([of(b'D', "Describe", b'S', "")]).collect(),
        // Types that nobody gave.
        vec![parse("", "commit", &[0])],
        vec![parse("", "", &[0]), of(b'D', "Describe", b'S', "")],
        begun(vec![vec![query("select nothing"), parse("", "truncate t", &[])]]),
        vec![parse("a", "select 1", &[]), parse("a", "select $1", &[0]), sync()],
    ]
}

#[test]
fn messages_that_were_answered_otherwise_are_as_by_a_real_postgresql() {
    let server = PgServer::start();
    runtime().block_on(async {
        let mut sides = sides(&server).await;
        let mut differences = Vec::new();
        for mut said in [found(), unfit(), in_order(), in_use(), unfinished()].concat() {
            said.push(sync());
            differences.extend(sides.differs(&Case(said)).await);
        }
        assert!(differences.is_empty(), "{}", differences.join("\n\n"));
    });
}

#[test]
fn random_messages_are_answered_as_by_a_real_postgresql() {
    let server = PgServer::start();
    let runtime = runtime();
    let sides = RefCell::new(runtime.block_on(sides(&server)));
    let cases = choices().prop_map(case);
    none_differs(runner(300, 4000, KEPT), &cases, |case| {
        runtime.block_on(sides.borrow_mut().differs(case))
    });
    let Sides { messages, well, .. } = sides.into_inner();
    assert!(well * 10 > messages * 7, "hardly anything goes well: {well} of {messages}");
}
