//! What an observer is told, in the step in which it happens. Must never decide anything.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::error::PgError;
use super::storage::catalog::Table;
use super::storage::locks::Pid;
use super::types::{Datum, to_text};

/// What a system that watches calls the events that a report reads.
pub mod names {
    /// With `session` and `text`.
    pub const STATEMENT: &str = "db.statement";
    /// With `waiter`, `holders`, `lock`, `table` and `row`.
    pub const WAITS: &str = "db.waits";
    /// With `waiter`.
    pub const GRANTED: &str = "db.granted";
    /// With `session`.
    pub const COMMIT: &str = "db.commit";
    /// With `session` and `savepoint`.
    pub const ABORT: &str = "db.abort";
    /// An injected fault, with `host` and `fault`.
    pub const STRUCK: &str = "db.struck";
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Insert,
    Update,
    Delete,
}

/// A row that a commit left behind (or took away).
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    pub table: &'a str,
    pub op: Op,
    definition: &'a Table,
    row: &'a [Datum],
}

impl<'a> Written<'a> {
    pub(super) fn new(definition: &'a Table, op: Op, row: &'a [Datum]) -> Written<'a> {
        Written { table: &definition.name, op, definition, row }
    }

    /// The column's value as text; `None` when NULL or no such column.
    pub fn value(&self, column: &str) -> Option<Cow<'a, str>> {
        let at = self.definition.column(column)?;
        match self.row.get(at)? {
            Datum::Null => None,
            Datum::Text(text) => Some(Cow::Borrowed(text)),
            datum => Some(Cow::Owned(to_text(datum, self.definition.columns[at].ty))),
        }
    }
}

/// Why a transaction was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its client asked for it.
    Rollback,
    Error,
    /// It was the victim.
    Deadlock,
    /// Its client, or the way to it, is gone.
    LostConnection,
}

impl Cause {
    pub fn of(error: &PgError) -> Cause {
        match error.code() {
            "40P01" => Cause::Deadlock,
            _ if error.is_severed() => Cause::LostConnection,
            _ => Cause::Error,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Cause::Rollback => "rollback",
            Cause::Error => "error",
            Cause::Deadlock => "deadlock",
            Cause::LostConnection => "lost connection",
        }
    }
}

/// What a session waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// `ShareLock on transaction 12`
    pub lock: String,
    /// The table that it is about; empty for an advisory lock.
    pub table: Arc<str>,
    /// The row that it is about, by its primary key: `node=n1`; empty for a whole table.
    pub row: String,
}

/// Sessions are named by their process number.
#[derive(Clone, Debug)]
pub enum Change<'a> {
    /// BEGIN was said; a statement outside a transaction is one by itself, and has no such change.
    Begin {
        pid: Pid,
        isolation: &'static str,
    },
    /// A statement begins to run, with its text; of a script only the first.
    Statement {
        pid: Pid,
        text: &'a str,
    },
    /// In the order written; of a row written twice, its last state. `block` says whether it had
    /// a BEGIN.
    Commit {
        pid: Pid,
        rows: Vec<Written<'a>>,
        block: bool,
    },
    /// What a transaction did is taken back, or (`savepoint`) what it did since its last one.
    Abort {
        pid: Pid,
        cause: Cause,
        sqlstate: &'a str,
        savepoint: bool,
    },
    Wait {
        waiter: Pid,
        holders: Vec<Pid>,
        wanted: Wanted,
    },
    Grant {
        waiter: Pid,
    },
    /// REPEATABLE READ: somebody was first at a row of this table.
    Conflict {
        pid: Pid,
        table: &'a str,
    },
    /// A crash of the server ended this session within a transaction. Told by the next life.
    Crash {
        pid: Pid,
    },
    Deadlock {
        victim: Pid,
        cycle: Vec<Pid>,
    },
    /// An injected fault happened; `sqlstate` is empty where the client hears of none, and the
    /// process number 0 where there is no session yet.
    Injected {
        pid: Pid,
        fault: &'static str,
        sqlstate: &'a str,
    },
}

/// An observer, or none. It runs within the cluster's step and must not call the cluster.
#[derive(Clone, Default)]
pub struct Watch(Option<Observer>);

type Observer = Arc<dyn Fn(&Change<'_>) + Send + Sync>;

impl Watch {
    pub fn new(observer: impl Fn(&Change<'_>) + Send + Sync + 'static) -> Watch {
        Watch(Some(Arc::new(observer)))
    }

    /// Nobody watches.
    pub fn none() -> Watch {
        Watch(None)
    }

    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub fn tell(&self, change: &Change<'_>) {
        if let Some(observer) = &self.0 {
            observer(change);
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_on() { "Watch(on)" } else { "Watch(off)" })
    }
}
