//! Transaction ids, their fates, and snapshots. Must never know a row.

use std::collections::BTreeMap;

/// A transaction or subtransaction id; 0 is none.
pub type Xid = u64;
/// A statement's number within its transaction.
pub type Cid = u32;

const FIRST: Xid = 700;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Running,
    Committed,
    Aborted,
}

/// What a statement sees: every transaction that had committed when it was taken, and its own
/// transaction's earlier statements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Every id below had ended.
    pub xmin: Xid,
    /// This id and every later one had not begun.
    pub xmax: Xid,
    /// Ids between that were running, sorted.
    pub running: Vec<Xid>,
}

impl Snapshot {
    /// Whether `xid` had not ended when the snapshot was taken.
    pub fn is_running(&self, xid: Xid) -> bool {
        xid >= self.xmin && (xid >= self.xmax || self.running.binary_search(&xid).is_ok())
    }
}

/// Every transaction that was ever given an id.
#[derive(Debug, Default)]
pub struct Xacts {
    fates: Vec<Fate>,
    /// Sorted.
    running: Vec<Xid>,
    /// Parents of subtransactions that are running.
    parents: BTreeMap<Xid, Xid>,
}

impl Xacts {
    pub fn next(&self) -> Xid {
        FIRST + self.fates.len() as Xid
    }

    pub fn begin(&mut self, parent: Option<Xid>) -> Xid {
        let xid = self.next();
        self.fates.push(Fate::Running);
        self.running.push(xid);
        if let Some(parent) = parent {
            self.parents.insert(xid, parent);
        }
        xid
    }

    pub fn fate(&self, xid: Xid) -> Fate {
        match xid.checked_sub(FIRST).and_then(|at| usize::try_from(at).ok()) {
            Some(at) => self.fates.get(at).copied().unwrap_or(Fate::Aborted),
            None => Fate::Committed,
        }
    }

    pub fn is_running(&self, xid: Xid) -> bool {
        self.fate(xid) == Fate::Running
    }

    pub fn is_committed(&self, xid: Xid) -> bool {
        self.fate(xid) == Fate::Committed
    }

    pub fn end(&mut self, xid: Xid, fate: Fate) {
        debug_assert!(fate != Fate::Running, "an end is no beginning");
        let at = usize::try_from(xid - FIRST).expect("ids fit memory");
        self.fates[at] = fate;
        if let Ok(found) = self.running.binary_search(&xid) {
            self.running.remove(found);
        }
        self.parents.remove(&xid);
    }

    pub fn snapshot(&self) -> Snapshot {
        let xmax = self.next();
        let xmin = self.running.first().copied().unwrap_or(xmax);
        Snapshot { xmin, xmax, running: self.running.clone() }
    }
}
