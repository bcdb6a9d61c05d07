//! One of the two servers: sessions that each run one statement at a time, and a look from outside
//! at who waits. Must never decide what is compared.

use std::fmt;
use std::time::{Duration, Instant};

use seedbed::env::Tokio;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

use super::interleaving::Script;
use crate::postgres::{answer, client, connect};

/// Of the session that looks for deadlocks.
const DEADLOCK_TIMEOUT: &str = "40ms";
/// Longer than a session that was woken takes to go on, on a busy machine, between two looks.
const CALM: Duration = Duration::from_millis(4);
/// Rows come as they lie in the heap, joined by nested loops that begin with the target, whatever a
/// planner would think of so few.
const PLANNERS: [&str; 8] = [
    "indexscan",
    "bitmapscan",
    "indexonlyscan",
    "hashjoin",
    "mergejoin",
    "material",
    "memoize",
    "hashagg",
];
/// Nothing takes longer.
const STUCK: Duration = Duration::from_secs(30);

/// What one step brought about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Sessions whose statement ended, with the answer, by session.
    pub ended: Vec<(usize, String)>,
    /// Sessions that wait for a lock.
    pub waiting: Vec<usize>,
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (session, answer) in &self.ended {
            writeln!(f, "  s{session}> {}", answer.replace('\n', "\n      "))?;
        }
        write!(f, "  waiting: {:?}", self.waiting)
    }
}

/// What things are numbered as is each server's own.
fn without_oid(answer: String) -> String {
    let digits = |c: char| c.is_ascii_digit();
    for place in ["with OID ", "failed for function "] {
        if let Some((before, after)) = answer.split_once(place) {
            return format!("{before}{place}{}", after.trim_start_matches(digits));
        }
    }
    answer
}

/// Of several duplicate keys a unique index names the pair that its sort compares first.
fn told(answer: String) -> String {
    match answer.split_once(" / Key (") {
        Some((told, _)) if told.starts_with("23505: could not create unique index") => told.into(),
        _ => answer,
    }
}

struct Session {
    client: std::sync::Arc<Client>,
    pid: i32,
    running: Option<JoinHandle<String>>,
    /// Since when it is seen to wait.
    waits: Option<Instant>,
}

pub struct Side {
    addr: String,
    control: Client,
    sessions: Vec<Session>,
    /// The session whose deadlock time-out is short.
    detector: usize,
}

impl Side {
    pub async fn new(addr: &str) -> Side {
        let control = client(addr).await;
        Side { addr: addr.to_owned(), control, sessions: Vec::new(), detector: 0 }
    }

    pub async fn control(&self, sql: &str) -> String {
        without_oid(answer(&self.control, sql).await)
    }

    /// Connects the sessions of `script`.
    pub async fn open(&mut self, script: &Script) {
        self.detector = script.detector;
        for number in 0..script.sessions {
            let client = client(&self.addr).await;
            let timeout = if number == script.detector { DEADLOCK_TIMEOUT } else { "100s" };
            let setting = format!("SET deadlock_timeout = '{timeout}'");
            assert_eq!(answer(&client, &setting).await, "ok 0");
            for way in PLANNERS {
                assert_eq!(answer(&client, &format!("SET enable_{way} = off")).await, "ok 0");
            }
            let pid = answer(&client, "SELECT pg_backend_pid()").await;
            let pid = pid.lines().nth(1).and_then(|pid| pid.parse().ok()).expect("a process id");
            let client = std::sync::Arc::new(client);
            self.sessions.push(Session { client, pid, running: None, waits: None });
        }
    }

    /// Starts the statement and looks on until every session has ended its own or waits.
    pub async fn step(&mut self, session: usize, sql: &str) -> Turn {
        let (client, sql) = (self.sessions[session].client.clone(), sql.to_owned());
        let running = tokio::spawn(async move { without_oid(answer(&client, &sql).await) });
        self.sessions[session].running = Some(running);
        self.settle().await
    }

    async fn settle(&mut self) -> Turn {
        let begun = Instant::now();
        let (mut turn, mut calm_since) = (Turn::default(), None);
        loop {
            let ended = self.collect().await;
            let news = !ended.is_empty();
            turn.ended.extend(ended);
            let quiet = self.all_wait().await;
            if !quiet || news {
                calm_since = None;
            }
            if quiet && *calm_since.get_or_insert_with(Instant::now) + CALM < Instant::now() {
                break;
            }
            assert!(begun.elapsed() < STUCK, "a session neither ends nor waits");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        turn.ended.sort();
        let running =
            |(number, session): (usize, &Session)| session.running.is_some().then_some(number);
        turn.waiting = self.sessions.iter().enumerate().filter_map(running).collect();
        turn
    }

    /// Takes the answers that are there.
    async fn collect(&mut self) -> Vec<(usize, String)> {
        let mut ended = Vec::new();
        for (number, session) in self.sessions.iter_mut().enumerate() {
            if session.running.as_ref().is_some_and(JoinHandle::is_finished) {
                let answer = session.running.take().expect("just seen").await;
                ended.push((number, told(answer.expect("no panic"))));
                session.waits = None;
            }
        }
        ended
    }

    /// Whether every session that runs a statement waits for a lock; the one that looks for
    /// deadlocks, for long enough to have found one.
    async fn all_wait(&mut self) -> bool {
        let pids: Vec<String> = self.sessions.iter().map(|s| s.pid.to_string()).collect();
        let pids = pids.join(",");
        for (number, session) in self.sessions.iter_mut().enumerate() {
            if session.running.is_none() {
                continue;
            }
            let pid = session.pid;
            let sql = format!("SELECT pg_isolation_test_session_is_blocked({pid}, '{{{pids}}}')");
            let blocked = answer(&self.control, &sql).await;
            if blocked.lines().nth(1) != Some("t") {
                session.waits = None;
                return false;
            }
            let since = *session.waits.get_or_insert_with(Instant::now);
            if number == self.detector && since.elapsed() < Duration::from_millis(200) {
                return false;
            }
        }
        true
    }

    /// Who waits, and for which processes.
    pub async fn blockers(&self) -> Vec<(usize, String)> {
        let mut all = Vec::new();
        for (number, session) in self.sessions.iter().enumerate() {
            if session.running.is_some() {
                let sql = format!("SELECT pg_blocking_pids({})", session.pid);
                all.push((number, answer(&self.control, &sql).await));
            }
        }
        all
    }

    /// Ends what still runs.
    pub async fn end(&mut self) {
        for session in &mut self.sessions {
            let Some(mut running) = session.running.take() else { continue };
            // A cancel that comes between two waits is asked for again.
            while !running.is_finished() {
                let stream = connect(&Tokio::new(), &self.addr).await;
                let cancelled = session.client.cancel_token().cancel_query_raw(stream, NoTls).await;
                cancelled.expect("the server takes cancel requests");
                let _ = tokio::time::timeout(Duration::from_millis(200), &mut running).await;
            }
        }
        for session in self.sessions.drain(..) {
            let ended = uncancelled(&session.client, "ROLLBACK").await;
            assert!(ended.starts_with("ok"), "{ended}");
            // What outlives its transaction is gone before the next script begins.
            let freed = uncancelled(&session.client, "SELECT pg_advisory_unlock_all()").await;
            assert!(freed.ends_with("ok 1"), "{freed}");
        }
    }

    /// Takes away what the script made.
    pub async fn close(&mut self, script: &Script) {
        for statement in &script.tear_down {
            let dropped = self.control(statement).await;
            assert!(dropped.starts_with("ok"), "{script}\n{statement}: {dropped}");
        }
    }
}

/// The answer to a statement that a cancel may hit which came too late for the one before.
async fn uncancelled(client: &Client, sql: &str) -> String {
    loop {
        let answer = answer(client, sql).await;
        if !answer.starts_with("57014") {
            return answer;
        }
    }
}
