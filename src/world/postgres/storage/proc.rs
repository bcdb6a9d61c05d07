//! A session as the cluster knows it. Must never hold its socket.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;

use super::definitions::Awaited;
use super::locks::{Mode, Oid, Pid, Tag};
use super::parameters::Parameters;
use super::txn::Txn;
use super::xact::Xid;
use crate::env::Moment;
use crate::world::postgres::error::PgError;
use crate::world::postgres::sql::OutColumn;
use crate::world::postgres::types::Row;
use crate::world::postgres::watch::Watch;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    pub pid: Pid,
    pub channel: String,
    pub payload: String,
}

#[derive(Debug, Default)]
pub struct Proc {
    pub pid: Pid,
    /// What a cancel request must know.
    pub secret: i32,
    pub user: String,
    pub database: String,
    pub txn: Option<Txn>,
    /// Where the snapshot of the statement that runs begins.
    pub snapshot: Option<Xid>,
    pub watch: Watch,
    pub parameters: Parameters,
    /// What they were when the session began: RESET brings it back.
    pub at_start: BTreeMap<String, String>,
    /// To be sent with the next answer, in this order.
    pub said: Vec<Said>,
    pub channels: Vec<String>,
    pub inbox: Vec<Notification>,
    /// Why the running statement must end: a cancel, a crash.
    pub interrupt: Option<PgError>,
    /// The statement that runs is planned, and has its portal.
    pub started: bool,
    /// Of the query that runs in parts.
    pub part: Part,
    /// Tables that open portals read.
    pub open: Vec<Oid>,
    /// The text that runs holds several statements.
    pub several: bool,
    /// `statement_timeout`: when the command that runs must have ended.
    pub ends: Option<Moment>,
    /// `pg_sleep`: until when.
    pub sleep_until: Option<Moment>,
    /// Taken by a wait that has ended and not yet used by the step that asked.
    pub granted: Option<(Tag, Mode)>,
    /// The transaction that the statement waited for because of what it defines.
    pub awaited: Option<Awaited>,
    /// Microseconds since 2000-01-01 when the statement arrived; moved by nothing else.
    pub now_micros: i64,
    /// The monotonic clock at the same moment.
    pub arrived: Moment,
    /// And at the step that the statement takes.
    pub now: Moment,
    /// The last value of each sequence that this session drew.
    pub currvals: BTreeMap<u32, i64>,
    pub last_sequence: Option<u32>,
    /// The last token of a row that ON CONFLICT may take back.
    pub speculation: u32,
    /// Random bits for this statement; the session draws them from its entropy.
    pub random: u64,
    waker: Option<Waker>,
}

/// Where a query is that runs in parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    #[default]
    Runs,
    /// It is to run on, to this many rows more.
    Wanted(usize),
    /// It has given what was wanted, and there may be more.
    Given,
}

impl Part {
    /// How many rows more are wanted, which it then runs to; if none are it waits.
    pub fn take(&mut self) -> Option<usize> {
        match std::mem::replace(self, Part::Given) {
            Part::Wanted(rows) => {
                *self = Part::Runs;
                Some(rows)
            }
            Part::Runs | Part::Given => None,
        }
    }
}

/// What a statement says while it runs.
#[derive(Debug)]
pub enum Said {
    Notice(PgError),
    /// What its rows are made of, before the first of them.
    Columns(Arc<[OutColumn]>),
    Row(Row),
}

impl Proc {
    pub fn new(user: String, database: String) -> Proc {
        Proc { user, database, ..Proc::default() }
    }

    pub fn oldest_snapshot(&self) -> Option<Xid> {
        let kept = self.txn.as_ref().and_then(|txn| txn.snapshot.as_ref());
        let held = self.txn.as_ref().and_then(|txn| txn.held);
        let all = [kept.map(|snapshot| snapshot.xmin), held, self.snapshot];
        all.into_iter().flatten().min()
    }

    pub fn notice(&mut self, notice: PgError) {
        self.said.push(Said::Notice(notice));
    }

    pub fn park(&mut self, waker: &Waker) {
        match &mut self.waker {
            Some(parked) => parked.clone_from(waker),
            None => self.waker = Some(waker.clone()),
        }
    }

    pub fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    pub fn parameter(&self, name: &str) -> &str {
        self.parameters.get(name).unwrap_or("")
    }

    /// The role whose privileges the session has: its user, unless SET ROLE gave it another.
    pub fn role(&self) -> &str {
        match self.parameters.asked().role.as_str() {
            "" => &self.user,
            role => role,
        }
    }

    /// Whether the client wants notices of this level.
    pub fn hears(&self, level: &str) -> bool {
        const LEVELS: [&str; 9] =
            ["DEBUG5", "DEBUG4", "DEBUG3", "DEBUG2", "DEBUG", "LOG", "NOTICE", "WARNING", "ERROR"];
        let rank = |level: &str| LEVELS.iter().position(|known| *known == level);
        let least = match self.parameter("client_min_messages").to_uppercase().as_str() {
            "DEBUG1" => rank("DEBUG"),
            other => rank(other).or(rank("NOTICE")),
        };
        level == "INFO" || rank(level) >= least
    }

    /// A time-out parameter in milliseconds; 0 is none.
    pub fn timeout_ms(&self, name: &str) -> u64 {
        self.parameter(name).parse().unwrap_or(0)
    }

    /// The next of a row of pseudo-random numbers that starts at this statement's bits
    /// (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
    pub fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
