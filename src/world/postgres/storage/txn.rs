//! Transactions of sessions: begin, savepoints, commit, abort, and undoing what they did.
//! Must never run a statement.

use std::collections::BTreeSet;

use super::Db;
use super::catalog::{Change as Definition, Counter};
use super::heap::{Heap, Tid};
use super::locks::{Oid, Owner, Pid, Tag};
use super::proc::Notification;
use super::xact::{Cid, Fate, Snapshot, Xid};
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::exec::{Checks, Deferred};
use crate::world::postgres::watch::{Cause, Change, Op, Written};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// The same as READ COMMITTED but for its name.
    ReadUncommitted,
    #[default]
    ReadCommitted,
    RepeatableRead,
}

impl Isolation {
    pub fn name(self) -> &'static str {
        match self {
            Isolation::ReadUncommitted => "read uncommitted",
            Isolation::ReadCommitted => "read committed",
            Isolation::RepeatableRead => "repeatable read",
        }
    }
}

/// How to take back one thing that a transaction did.
#[derive(Debug)]
pub enum Undo {
    Insert(Oid, Tid),
    /// An update or delete of a version that someone else may see.
    Write(Oid, Tid),
    /// A definition as the transaction had it before.
    Definition(Xid, Box<Definition>),
    /// A table's rows before; `None`: there was no table.
    Rows(Oid, Option<Heap>),
    /// Where a sequence stood before; `None`: there was none.
    Counter(Oid, Option<Counter>),
    /// A session parameter's value before; `true`: it was set for the transaction only.
    Parameter(String, Option<String>, bool),
    /// What the session listened to.
    Channels(Vec<String>),
}

/// Where a statement of a transaction began.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    undo: usize,
}

/// The transaction itself (level 0) or a savepoint.
#[derive(Debug, Default)]
pub struct Level {
    pub name: String,
    /// Its own id, once it has written.
    pub xid: Option<Xid>,
    /// Its own id and those of savepoints released into it.
    pub xids: Vec<Xid>,
    undo_from: usize,
    notifies_from: usize,
    deferred_from: usize,
    /// Whether the transaction might only read when this began: it is so again when this ends.
    read_only: bool,
}

#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "independent properties of a transaction")]
pub struct Txn {
    pub isolation: Isolation,
    pub read_only: bool,
    /// BEGIN was said, as against a statement of its own.
    pub block: bool,
    pub failed: bool,
    pub levels: Vec<Level>,
    pub own: Vec<Xid>,
    /// A snapshot has been taken: modes are settled.
    pub queried: bool,
    /// REPEATABLE READ: the one snapshot.
    pub snapshot: Option<Snapshot>,
    /// Where the oldest snapshot of its portals begins.
    pub held: Option<Xid>,
    pub cid: Cid,
    /// What a portal wrote that has rows yet to give is not seen before the next command ends, or
    /// Sync comes.
    pub unfinished: bool,
    pub undo: Vec<Undo>,
    /// Microseconds since 2000-01-01.
    pub start_micros: i64,
    pub deferred: Vec<Deferred>,
    /// How far they have come, when the commit waits.
    pub checks: Checks,
    pub notifies: Vec<Notification>,
}

impl Txn {
    pub fn top(&self) -> Option<Xid> {
        self.levels.first().and_then(|level| level.xid)
    }
}

impl Db {
    pub fn begin(&mut self, pid: Pid, block: bool) {
        let proc = self.proc_mut(pid);
        debug_assert!(proc.txn.is_none(), "no transaction within a transaction");
        let (isolation, read_only) =
            (proc.parameters.asked().isolation, proc.parameters.asked().read_only);
        proc.txn = Some(Txn {
            isolation,
            read_only,
            block,
            levels: vec![Level::default()],
            start_micros: proc.now_micros,
            ..Txn::default()
        });
    }

    /// The id that writes of the current level carry.
    pub fn xid(&mut self, pid: Pid) -> Xid {
        let txn = self.txn(pid);
        if let Some(xid) = txn.levels.last().and_then(|level| level.xid) {
            return xid;
        }
        let mut parent = None;
        for at in 0..self.txn(pid).levels.len() {
            let known = self.txn(pid).levels[at].xid;
            let xid = known.unwrap_or_else(|| {
                let xid = self.xacts.begin(parent);
                let txn = self.txn_mut(pid);
                txn.levels[at].xid = Some(xid);
                txn.levels[at].xids.push(xid);
                txn.own.push(xid);
                xid
            });
            parent = Some(xid);
        }
        parent.expect("a transaction has a level")
    }

    /// The snapshot for the next statement.
    pub fn take_snapshot(&mut self, pid: Pid) -> Snapshot {
        self.txn_mut(pid).queried = true;
        if let Some(kept) = &self.txn(pid).snapshot {
            return kept.clone();
        }
        let snapshot = self.xacts.snapshot();
        let txn = self.txn_mut(pid);
        if txn.isolation != Isolation::ReadCommitted {
            txn.snapshot = Some(snapshot.clone());
        }
        snapshot
    }

    /// Keeps the versions that a snapshot sees until the transaction ends.
    pub fn hold(&mut self, pid: Pid, snapshot: &Snapshot) {
        let txn = self.txn_mut(pid);
        txn.held = Some(txn.held.map_or(snapshot.xmin, |held| held.min(snapshot.xmin)));
    }

    /// A portal has written, and has not given all its rows.
    pub fn hold_back(&mut self, pid: Pid) {
        let txn = self.txn_mut(pid);
        (txn.cid, txn.unfinished) = (txn.cid - 1, true);
    }

    /// A command has ended: what was held back is seen (`CommandCounterIncrement`).
    pub fn catch_up(&mut self, pid: Pid) {
        if let Some(txn) = self.procs.get_mut(&pid).and_then(|proc| proc.txn.as_mut()) {
            txn.cid += u32::from(std::mem::take(&mut txn.unfinished));
        }
    }

    pub fn savepoint(&mut self, pid: Pid, name: &str) {
        let txn = self.txn_mut(pid);
        let level = Level {
            name: name.to_owned(),
            undo_from: txn.undo.len(),
            notifies_from: txn.notifies.len(),
            deferred_from: txn.deferred.len(),
            read_only: txn.read_only,
            ..Level::default()
        };
        txn.levels.push(level);
    }

    fn find_savepoint(&self, pid: Pid, name: &str) -> Result<usize> {
        let levels = &self.txn(pid).levels;
        let found = levels.iter().skip(1).rposition(|level| level.name == name);
        found
            .map(|at| at + 1)
            .ok_or_else(|| PgError::new("3B001", format!("savepoint \"{name}\" does not exist")))
    }

    pub fn release_savepoint(&mut self, pid: Pid, name: &str) -> Result<()> {
        let target = self.find_savepoint(pid, name)?;
        while self.txn(pid).levels.len() > target {
            let txn = self.txn_mut(pid);
            let from = txn.levels.len() - 1;
            let released = txn.levels.pop().expect("a level above the target");
            txn.read_only = released.read_only;
            let above = txn.levels.last_mut().expect("level 0 is never released");
            above.xids.extend(released.xids);
            if let Some(xid) = released.xid {
                let mut woken = Vec::new();
                let own = |_: Owner, tag: Tag| tag == Tag::Transaction(xid);
                self.locks.release_where(pid, &mut woken, own);
                self.wake(woken);
            }
            self.locks.reown(pid, from);
        }
        Ok(())
    }

    pub fn rollback_to(&mut self, pid: Pid, name: &str) -> Result<()> {
        let target = self.find_savepoint(pid, name)?;
        self.abort_levels(pid, target);
        self.savepoint(pid, name);
        self.txn_mut(pid).failed = false;
        Ok(())
    }

    /// Rolls back every level from `target` on.
    fn abort_levels(&mut self, pid: Pid, target: usize) {
        let txn = self.txn_mut(pid);
        let gone: Vec<Level> = txn.levels.drain(target..).collect();
        let Some(first) = gone.first() else { return };
        if target > 0 {
            txn.read_only = first.read_only;
        }
        let undo: Vec<Undo> = txn.undo.drain(first.undo_from..).collect();
        // What the levels below began is theirs, though it may have been begun after these were.
        txn.own.retain(|own| !gone.iter().any(|level| level.xids.contains(own)));
        txn.notifies.truncate(first.notifies_from);
        txn.deferred.truncate(first.deferred_from);
        for xid in gone.iter().flat_map(|level| &level.xids) {
            self.xacts.end(*xid, Fate::Aborted);
        }
        for undo in undo.into_iter().rev() {
            self.undo(pid, undo);
        }
        let mut woken = Vec::new();
        let over = |owner: Owner, _: Tag| matches!(owner, Owner::Level(at) if at >= target);
        self.locks.release_where(pid, &mut woken, over);
        self.wake(woken);
    }

    fn undo(&mut self, pid: Pid, undo: Undo) {
        match undo {
            Undo::Insert(oid, tid) => {
                if let Some(heap) = self.heaps.get_mut(&oid) {
                    heap.remove(tid);
                }
            }
            Undo::Write(oid, tid) => {
                let xacts = &self.xacts;
                if let Some(version) = self.heaps.get_mut(&oid).and_then(|h| h.get_mut(tid)) {
                    // A multixact goes on telling of members that are over.
                    if !version.marks.iter().any(|mark| xacts.is_running(mark.xid)) {
                        version.prune_marks(xacts);
                    }
                    if version.writer(xacts).is_none() {
                        version.next = None;
                    }
                }
            }
            Undo::Definition(by, before) => {
                self.catalog.change(by, *before);
            }
            Undo::Rows(oid, before) => match before {
                Some(heap) => drop(self.heaps.insert(oid, heap)),
                None => drop(self.heaps.remove(&oid)),
            },
            Undo::Counter(oid, before) => match before {
                Some(counter) => drop(self.counters.insert(oid, counter)),
                None => drop(self.counters.remove(&oid)),
            },
            Undo::Parameter(name, before, _) => self.restore(pid, &name, before),
            Undo::Channels(before) => self.proc_mut(pid).channels = before,
        }
    }

    fn restore(&mut self, pid: Pid, name: &str, before: Option<String>) {
        // A parameter that only the session knows is empty from then on.
        let value = before.or_else(|| name.contains('.').then(String::new));
        self.proc_mut(pid).parameters.put(name, value);
    }

    /// Ends the transaction, keeping what it did.
    pub fn commit(&mut self, pid: Pid) {
        let Some(txn) = self.proc_mut(pid).txn.take() else { return };
        for xid in &txn.own {
            self.xacts.end(*xid, Fate::Committed);
        }
        if self.proc(pid).watch.is_on() {
            let rows = self.written(&txn.undo);
            let block = txn.block;
            self.proc(pid).watch.tell(&Change::Commit { pid, rows, block });
        }
        let mut set = BTreeSet::new();
        for undo in txn.undo.into_iter().rev() {
            match &undo {
                Undo::Parameter(name, _, false) => {
                    set.insert(name.clone());
                }
                // A later SET outlives what was set for the transaction.
                Undo::Parameter(name, _, true) if set.contains(name) => continue,
                _ => {}
            }
            self.keep(pid, undo);
        }
        self.end(pid);
        self.deliver(txn.notifies);
    }

    /// What is left to do about one thing when its transaction commits.
    fn keep(&mut self, pid: Pid, undo: Undo) {
        match undo {
            Undo::Write(oid, tid) => {
                let heap = self.heaps.get(&oid).and_then(|heap| heap.get(tid));
                if let Some(mark) = heap.and_then(|version| version.writer(&self.xacts)) {
                    self.dead.push_back((mark.xid, oid, tid));
                }
            }
            Undo::Definition(by, changed) => {
                self.catalog.settle(by, &changed);
                match *changed {
                    Definition::Table(oid, _) if self.catalog.tables.latest(&oid).is_none() => {
                        self.heaps.remove(&oid);
                    }
                    Definition::Sequence(oid, _)
                        if self.catalog.sequences.latest(&oid).is_none() =>
                    {
                        self.counters.remove(&oid);
                    }
                    _ => {}
                }
            }
            Undo::Parameter(name, before, true) => self.restore(pid, &name, before),
            _ => {}
        }
    }

    /// Ends the transaction, taking back what it did; harmless without one.
    pub fn abort(&mut self, pid: Pid, cause: Cause, sqlstate: &str) {
        let Some(txn) = &self.proc(pid).txn else { return };
        // One that failed has nothing left to take back, and was told of then.
        if !(txn.failed && txn.levels.len() == 1) {
            let change = Change::Abort { pid, cause, sqlstate, savepoint: false };
            self.proc(pid).watch.tell(&change);
        }
        self.abort_levels(pid, 0);
        self.proc_mut(pid).txn = None;
        self.end(pid);
    }

    /// How far the transaction has come.
    pub fn mark(&self, pid: Pid) -> Mark {
        Mark { undo: self.txn(pid).undo.len() }
    }

    /// A statement that began here begins anew: what it has done is taken back.
    pub fn take_back(&mut self, pid: Pid, from: Mark) {
        let done = self.txn_mut(pid).undo.split_off(from.undo);
        for undo in done.into_iter().rev() {
            self.undo(pid, undo);
        }
    }

    /// A statement failed within a block: what the current level did is taken back at once, and
    /// nothing but its end is accepted.
    pub fn fail(&mut self, pid: Pid, error: &PgError) {
        let Some(txn) = self.proc(pid).txn.as_ref() else { return };
        if txn.failed {
            return;
        }
        let target = txn.levels.len() - 1;
        let name = txn.levels[target].name.clone();
        let (cause, savepoint) = (Cause::of(error), target > 0);
        let change = Change::Abort { pid, cause, sqlstate: error.code(), savepoint };
        self.proc(pid).watch.tell(&change);
        self.abort_levels(pid, target);
        self.savepoint(pid, &name);
        let proc = self.proc_mut(pid);
        proc.snapshot = None;
        if let Some(txn) = proc.txn.as_mut() {
            txn.failed = true;
        }
        self.vacuum();
    }

    fn end(&mut self, pid: Pid) {
        self.proc_mut(pid).snapshot = None;
        let mut woken = Vec::new();
        self.locks.release_where(pid, &mut woken, |owner, _| owner != Owner::Session);
        self.wake(woken);
        self.vacuum();
    }

    fn deliver(&mut self, notifies: Vec<Notification>) {
        for notification in notifies {
            for proc in self.procs.values_mut() {
                if proc.channels.contains(&notification.channel) {
                    proc.inbox.push(notification.clone());
                    proc.wake();
                }
            }
        }
    }

    /// The rows a commit leaves behind, in the order they were written.
    fn written(&self, undo: &[Undo]) -> Vec<Written<'_>> {
        let mut rows = Vec::new();
        for entry in undo {
            let (oid, tid, op) = match entry {
                Undo::Insert(oid, tid) => (*oid, *tid, Op::Insert),
                Undo::Write(oid, tid) => (*oid, *tid, Op::Delete),
                _ => continue,
            };
            let (Some(table), Some(heap)) =
                (self.catalog.tables.latest(&oid), self.heaps.get(&oid))
            else {
                continue;
            };
            let Some(version) = heap.get(tid) else { continue };
            if version.next.is_some() {
                continue;
            }
            let op = if op == Op::Insert && version.updated { Op::Update } else { op };
            rows.push(Written::new(table, op, &version.row));
        }
        rows
    }
}
