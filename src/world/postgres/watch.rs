//! What an observer is told, in the step in which it happens. Must never decide anything.

use std::fmt;
use std::sync::Arc;

use super::storage::locks::Pid;

/// What a system that watches calls the event of an injected fault, with `host` and `fault`.
pub const STRUCK: &str = "db.struck";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Insert,
    Update,
    Delete,
}

/// A row that a commit left behind (or took away), with its values as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub table: Arc<str>,
    pub op: Op,
    pub values: Vec<(Arc<str>, Option<String>)>,
}

impl Written {
    /// The column's value; `None` when NULL or no such column.
    pub fn value(&self, column: &str) -> Option<&str> {
        let found = self.values.iter().find(|(name, _)| &**name == column)?;
        found.1.as_deref()
    }
}

/// Sessions are named by their process number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    Begin {
        pid: Pid,
    },
    /// In the order written; of a row written twice, its last state.
    Commit {
        pid: Pid,
        rows: Vec<Written>,
    },
    Abort {
        pid: Pid,
    },
    Wait {
        waiter: Pid,
        holders: Vec<Pid>,
    },
    Grant {
        waiter: Pid,
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
