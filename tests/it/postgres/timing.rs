//! What ends because of time, and what the clock shows meanwhile: the same here and on a real
//! PostgreSQL. Must never tell two moments apart that are less than 200 ms from each other.

use std::fmt::Write as _;
use std::time::Duration;

use seedbed::world::postgres::{Settings, Watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::answers::Answer;
use super::raw::{Raw, message, query};
use super::{ours, runtime};
use crate::pg_server::PgServer;

const SET_UP: &[&str] = &[
    "create table p(id int primary key)",
    "create table c(p int references p deferrable initially deferred)",
    "insert into p values (1)",
    "create function forever() returns void language plpgsql as \
     $$ begin while true loop end loop; end $$",
];

enum Act {
    /// A simple query and its answer.
    Say(&'static str),
    /// The same of another session.
    Other(&'static str),
    /// A simple query whose answer comes later.
    Start(&'static str),
    /// Parse and Bind of the unnamed portal.
    Bind(&'static str),
    /// So many rows of it, or all.
    Rows(u8),
    /// All answers up to this.
    Sync,
    /// Some bytes of a message.
    Bytes(&'static [u8]),
    /// A new session.
    Connect(&'static str),
    Pause(u64),
    /// The answer to what was started.
    Hear,
}

use Act::{Bind, Bytes, Connect, Hear, Other, Pause, Rows, Say, Start, Sync};

const SLOW: &str = "select pg_sleep(0.7) from generate_series(1, 3)";

/// Thousandths of milliseconds are seldom none three times.
const THOUSANDTHS: [&str; 3] = [
    "select set_config('own.a', (extract(microseconds from now())::int % 1000)::text, false) > ''",
    "select set_config('own.b', (extract(microseconds from now())::int % 1000)::text, false) > ''",
    "select set_config('own.c', (extract(microseconds from now())::int % 1000)::text, false) > ''",
];

/// Those that keep others from running, or share rows.
const ALONE: &[&[Act]] = &[
    &[Say("select forever()")],
    // The wait of a commit is no part of it.
    &[
        Other("begin; delete from p"),
        Say("begin; insert into c values (1)"),
        Start("commit"),
        Pause(1400),
        Other("rollback"),
        Hear,
        Say("delete from c"),
    ],
    &[
        Other("begin; delete from p"),
        Start("insert into c values (1)"),
        Pause(1400),
        Other("rollback"),
        Hear,
        Say("delete from c"),
    ],
    &[
        Other("begin; select pg_advisory_xact_lock(1)"),
        Say("begin; insert into c values (1)"),
        Start("select pg_advisory_lock(1)"),
        Pause(1400),
        Other("rollback"),
        Hear,
        Say("rollback"),
    ],
];

const CASES: &[&[Act]] = &[
    // statement_timeout: a part of a portal is a command if Sync follows it.
    &[Say("begin"), Bind(SLOW), Rows(1), Sync, Rows(1), Sync, Rows(1), Sync],
    &[Say("begin"), Bind(SLOW), Rows(1), Rows(1), Sync, Say("rollback")],
    &[Bind("select pg_sleep(0.7)"), Rows(0), Bind("select pg_sleep(0.7)"), Rows(0), Sync],
    // It runs from the first message on.
    &[Bind("select 1"), Pause(1400), Rows(0), Sync, Say("select 2")],
    &[Bind("select 1"), Sync, Pause(1400), Bind("select 2"), Rows(0), Sync],
    &[Say("begin"), Bind("rollback"), Rows(0), Pause(1400), Bind("select 1"), Rows(0), Sync],
    &[Say("select 1/0"), Pause(1400), Say("select 1")],
    &[Bind("select 1/0"), Sync, Pause(1400), Bind("select 1"), Rows(0), Sync],
    &[Bind("select 1"), Pause(1400), Sync, Say("select 2")],
    &[
        Say("create table n(a int); insert into n values (1)"),
        Bind("update n set a = 2 returning a"),
        Rows(1),
        Pause(1400),
        Sync,
        Say("select a from n"),
    ],
    // In a simple query each statement has its own, as it was when the statement began.
    &[Say("select pg_sleep(0.7); select pg_sleep(0.7)")],
    &[Say("select pg_sleep(1.4)"), Say("select 1; select pg_sleep(1.4)")],
    &[
        Say("select set_config('statement_timeout', '200', false), pg_sleep(0.7)"),
        Say("select pg_sleep(0.7)"),
    ],
    &[Say("set statement_timeout = 200; select pg_sleep(0.7)")],
    &[Say("begin; set local statement_timeout = 0; select pg_sleep(1.4); rollback")],
    // Idle is who waits after Sync or a simple query, within a transaction or outside.
    &[
        Say("set idle_in_transaction_session_timeout = 300"),
        Bind("select 1"),
        Rows(0),
        Pause(700),
        Sync,
        Say("begin"),
        Pause(700),
        Say("select 1"),
    ],
    &[
        Say("set idle_in_transaction_session_timeout = 300; begin"),
        Bind("select 1"),
        Pause(700),
        Rows(0),
        Sync,
        Pause(700),
        Hear,
    ],
    &[Say("set idle_in_transaction_session_timeout = 300"), Pause(700), Say("select 1")],
    &[Say("set idle_session_timeout = 300"), Say("begin"), Pause(700), Say("commit"), Pause(700)],
    &[Say("set idle_session_timeout = 300"), Pause(700), Say("select 1")],
    &[Connect("-c idle_session_timeout=300"), Pause(700), Hear],
    &[
        Say("set idle_session_timeout = 600"),
        Bytes(b"Q\0\0"),
        Pause(400),
        Bytes(b"\0\x0dsel"),
        Pause(400),
        Bytes(b"ect 1\0"),
        Hear,
    ],
    // Clocks.
    &[Say("select clock_timestamp() - statement_timestamp() < '0.3 s', pg_sleep(0.6),
           clock_timestamp() - statement_timestamp() >= '0.6 s',
           statement_timestamp() = now(), clock_timestamp() - now() < '0.9 s'")],
    &[Say("begin"), Pause(300), Say("select statement_timestamp() - now() >= '0.3 s'")],
    &[
        Say(THOUSANDTHS[0]),
        Say(THOUSANDTHS[1]),
        Say(THOUSANDTHS[2]),
        Say("select concat(current_setting('own.a'), current_setting('own.b'),
             current_setting('own.c')) = '000'"),
    ],
    &[
        Say("create table w(a int, at timestamptz default clock_timestamp())"),
        Say("insert into w select g from generate_series(1, 2) g where pg_sleep(0.3) is not null"),
        Say("select b.at - a.at >= '0.3 s' from w a, w b where a.a = 1 and b.a = 2"),
    ],
];

/// Everything up to where the session waits for more, or is over.
async fn hear(raw: &mut Raw) -> String {
    let mut backs = Vec::new();
    loop {
        match raw.next().await {
            Some(back) if back.kind == b'Z' => return Answer::new(&backs).text() + "\n",
            Some(back) => backs.push(back),
            None => return Answer::new(&backs).text() + "\nclosed\n",
        }
    }
}

async fn told(addr: &str, case: &[Act]) -> String {
    let (mut own, mut others) = (Raw::connect(addr).await, Vec::new());
    let mut text = String::new();
    own.simple("set statement_timeout = 1000").await;
    for act in case {
        let heard = match act {
            Say(sql) => {
                own.send(&query(sql)).await;
                format!("{sql}\n{}", hear(&mut own).await)
            }
            Other(sql) => {
                if others.is_empty() {
                    others.push(Raw::connect(addr).await);
                }
                others[0].send(&query(sql)).await;
                format!("other: {sql}\n{}", hear(&mut others[0]).await)
            }
            Start(sql) => {
                own.send(&query(sql)).await;
                format!("{sql}: starts\n")
            }
            Bind(sql) => {
                let parse = message(b'P', &[b"\0", sql.as_bytes(), b"\0\0\0"].concat());
                own.send(&[parse, message(b'B', &[0; 8])].concat()).await;
                format!("bind: {sql}\n")
            }
            Rows(most) => {
                own.send(&message(b'E', &[0, 0, 0, 0, *most])).await;
                format!("rows: {most}\n")
            }
            Sync => {
                own.send(&message(b'S', &[])).await;
                hear(&mut own).await
            }
            Bytes(bytes) => {
                own.send(bytes).await;
                "bytes\n".to_owned()
            }
            Connect(options) => {
                own = Raw::connect_with(addr, options).await;
                format!("{options}\n")
            }
            Pause(ms) => {
                sleep(Duration::from_millis(*ms)).await;
                continue;
            }
            Hear => hear(&mut own).await,
        };
        let _infallible = write!(text, "{heard}");
    }
    text
}

#[test]
fn what_time_ends_ends_as_in_a_real_postgresql() {
    let server = PgServer::start();
    runtime().block_on(async {
        let (addr, _store) = ours(Settings::default(), Watch::none()).await;
        let theirs = server.addr();
        for addr in [&addr, &theirs] {
            let mut raw = Raw::connect(addr).await;
            for statement in SET_UP {
                raw.simple(statement).await;
            }
        }
        let mut differences = Vec::new();
        for case in ALONE {
            let (here, there) = tokio::join!(told(&addr, case), told(&theirs, case));
            differences.extend((here != there).then(|| format!("{there}--- here:\n{here}")));
        }
        let mut cases = JoinSet::new();
        for case in CASES {
            let (addr, theirs) = (addr.clone(), theirs.clone());
            cases.spawn(async move { tokio::join!(told(&addr, case), told(&theirs, case)) });
        }
        for (here, there) in cases.join_all().await {
            differences.extend((here != there).then(|| format!("{there}--- here:\n{here}")));
        }
        assert!(differences.is_empty(), "{}", differences.join("\n\n"));
    });
}
