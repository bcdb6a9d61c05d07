//! What one cluster keeps: catalogue, heaps, transactions, locks, sessions.
//! Must never parse SQL, nor speak the protocol.

mod alike;
pub mod catalog;
pub mod deadlock;
mod definitions;
pub mod entries;
pub mod heap;
pub mod locks;
pub mod parameters;
mod proc;
pub mod roles;
mod rows;
mod txn;
pub mod xact;

pub use proc::{Notification, Part, Proc, Said};
pub use txn::{Isolation, Txn, Undo};

use std::collections::{BTreeMap, VecDeque};

use catalog::{Catalog, Counter, Table};
use heap::{Heap, Tid};
use locks::{Locks, Mode, Oid, Owner, Pid, Request, Tag, Woken};
use xact::{Xacts, Xid};

use super::Settings;
use super::error::{PgError, Result, Step, Stop};
use super::injection::Injections;
use super::types::to_text;
use super::watch::{Cause, Change, Wanted};

/// Everything behind the cluster's one mutex.
#[derive(Debug, Default)]
pub struct Db {
    pub settings: Settings,
    pub catalog: Catalog,
    pub heaps: BTreeMap<Oid, Heap>,
    /// Where sequences stand.
    pub counters: BTreeMap<Oid, Counter>,
    pub xacts: Xacts,
    pub locks: Locks,
    pub procs: BTreeMap<Pid, Proc>,
    pub injections: Injections,
    /// Deleted versions that a snapshot may still need, in the order of the deletes' commits.
    dead: VecDeque<(Xid, Oid, Tid)>,
    /// Sessions that a crash ended within a transaction; the next life tells of them.
    pub crashed: Vec<Pid>,
    next_pid: Pid,
}

impl Db {
    pub fn new(settings: Settings) -> Db {
        Db { settings, next_pid: 100, ..Db::default() }
    }

    /// Registers a session; 53300 when there are too many.
    pub fn connect(&mut self, mut proc: Proc) -> Result<Pid> {
        let injected = self.injections.connections(proc.now);
        let most = injected.unwrap_or(usize::MAX).min(self.settings.max_connections);
        if self.procs.len() >= most {
            if injected.is_some() {
                let change = Change::Injected { pid: 0, fault: "connections", sqlstate: "53300" };
                proc.watch.tell(&change);
            }
            return Err(PgError::fatal("53300", "sorry, too many clients already"));
        }
        self.next_pid += 1;
        proc.pid = self.next_pid;
        self.procs.insert(proc.pid, proc);
        Ok(self.next_pid)
    }

    /// Forgets a session, rolling back what it left open.
    pub fn disconnect(&mut self, pid: Pid) {
        if !self.procs.contains_key(&pid) {
            return;
        }
        self.abort(pid, Cause::LostConnection, "");
        let mut woken = Vec::new();
        self.locks.give_up(pid, &mut woken);
        self.locks.release_where(pid, &mut woken, |_, _| true);
        self.procs.remove(&pid);
        self.wake(woken);
    }

    /// As [`Db::disconnect`], because the server is gone.
    pub fn crash(&mut self, pid: Pid) {
        if self.procs.get(&pid).is_some_and(|proc| proc.txn.is_some()) {
            self.crashed.push(pid);
        }
        self.disconnect(pid);
    }

    pub fn proc(&self, pid: Pid) -> &Proc {
        self.procs.get(&pid).expect("a session that runs is registered")
    }

    pub fn proc_mut(&mut self, pid: Pid) -> &mut Proc {
        self.procs.get_mut(&pid).expect("a session that runs is registered")
    }

    pub fn txn(&self, pid: Pid) -> &Txn {
        self.proc(pid).txn.as_ref().expect("a statement runs in a transaction")
    }

    pub fn txn_mut(&mut self, pid: Pid) -> &mut Txn {
        self.proc_mut(pid).txn.as_mut().expect("a statement runs in a transaction")
    }

    /// Whether a statement is one of several of a transaction, even if nobody said BEGIN.
    pub fn in_block(&self, pid: Pid) -> bool {
        self.txn(pid).block || self.proc(pid).several
    }

    /// Ids of the transaction and its savepoints that are not rolled back.
    pub fn own(&self, pid: Pid) -> &[Xid] {
        self.proc(pid).txn.as_ref().map_or(&[], |txn| &txn.own)
    }

    pub fn heap(&self, oid: Oid) -> &Heap {
        self.heaps.get(&oid).expect("every table has a heap")
    }

    pub fn heap_mut(&mut self, oid: Oid) -> &mut Heap {
        self.heaps.get_mut(&oid).expect("every table has a heap")
    }

    /// Takes a lock or waits for it. Taken again after the wait, it is there.
    pub fn lock(&mut self, pid: Pid, tag: Tag, mode: Mode, owner: Owner) -> Step<()> {
        if self.proc_mut(pid).granted.take_if(|granted| *granted == (tag, mode)).is_some() {
            return Ok(());
        }
        match self.locks.request(pid, tag, mode, owner, true) {
            Request::Granted => Ok(()),
            Request::Queued | Request::Busy => {
                self.tell_wait(pid, None);
                Err(Stop::Wait)
            }
            Request::Deadlock(other) => Err(self.upgraders(pid, (tag, mode), other).into()),
        }
    }

    /// As [`Db::lock`], but only once however often it is asked for.
    pub fn lock_once(&mut self, pid: Pid, tag: Tag, mode: Mode, owner: Owner) -> Step<()> {
        if self.locks.holds(pid, tag, mode) {
            self.proc_mut(pid).granted = None;
            return Ok(());
        }
        self.lock(pid, tag, mode, owner)
    }

    /// Gives one hold back; `false` if there was none.
    pub fn unlock(&mut self, pid: Pid, tag: Tag, mode: Mode, owner: Option<Owner>) -> bool {
        let mut woken = Vec::new();
        let held = self.locks.release(pid, tag, mode, owner, &mut woken);
        self.wake(woken);
        held
    }

    /// Takes a lock if it is free.
    pub fn try_lock(&mut self, pid: Pid, tag: Tag, mode: Mode, owner: Owner) -> bool {
        self.locks.request(pid, tag, mode, owner, false) == Request::Granted
    }

    /// `place`: the row for whose sake it waits, where the lock does not say so.
    fn tell_wait(&mut self, pid: Pid, place: Option<(Oid, Tid)>) {
        let proc = self.proc(pid);
        if proc.watch.is_on() {
            let holders = self.locks.blockers(pid);
            let wanted = self.wanted(pid, place).unwrap_or_default();
            proc.watch.tell(&Change::Wait { waiter: pid, holders, wanted });
        }
    }

    fn wanted(&self, pid: Pid, place: Option<(Oid, Tid)>) -> Option<Wanted> {
        let (tag, mode, _) = self.locks.waiting.get(&pid)?;
        let (what, oid, tid) = match *tag {
            Tag::Relation(oid) => ("table".to_owned(), Some(oid), None),
            Tag::Tuple(oid, tid) => ("row".to_owned(), Some(oid), Some(tid)),
            Tag::Advisory(key, _) => (format!("advisory lock {key}"), None, None),
            Tag::Transaction(xid) | Tag::Speculation(xid, _) => {
                (format!("transaction {xid}"), place.map(|at| at.0), place.map(|at| at.1))
            }
        };
        let table = oid.and_then(|oid| self.catalog.tables.latest(&oid));
        let row = table.zip(tid).map(|(table, tid)| self.row_name(table, tid));
        Some(Wanted {
            lock: format!("{} on {what}", mode.name()),
            table: table.map(|table| table.name.clone()).unwrap_or_default(),
            row: row.unwrap_or_default(),
        })
    }

    /// A row by its primary key; empty without one.
    fn row_name(&self, table: &Table, tid: Tid) -> String {
        let columns = table.primary().and_then(catalog::Index::columns);
        let version = self.heaps.get(&table.oid).and_then(|heap| heap.get(tid));
        let (Some(columns), Some(version)) = (columns, version) else { return String::new() };
        let named = |at: &usize| {
            let column = &table.columns[*at];
            format!("{}={}", column.name, to_text(&version.row[*at], column.ty))
        };
        columns.iter().map(named).collect::<Vec<String>>().join(" ")
    }

    /// The owner of what the current savepoint level takes.
    pub fn level(&self, pid: Pid) -> Owner {
        Owner::Level(self.txn(pid).levels.len() - 1)
    }

    /// Gives back the advisory locks that the session holds for itself.
    pub fn unlock_advisory(&mut self, pid: Pid) {
        let mut woken = Vec::new();
        self.locks.release_where(pid, &mut woken, |owner, tag| {
            owner == Owner::Session && matches!(tag, Tag::Advisory(..))
        });
        self.wake(woken);
    }

    /// Tells sessions that they have been served.
    pub fn wake(&mut self, woken: Vec<Woken>) {
        for (pid, tag, mode) in woken {
            let Some(proc) = self.procs.get_mut(&pid) else { continue };
            proc.granted = Some((tag, mode));
            proc.watch.tell(&Change::Grant { waiter: pid });
            proc.wake();
        }
    }

    /// Looks for a deadlock that `pid` is part of; an error makes it the victim.
    pub fn check_deadlock(&mut self, pid: Pid) -> Result<()> {
        match deadlock::check(&mut self.locks, pid) {
            deadlock::Finding::None => Ok(()),
            deadlock::Finding::Rearranged(tags) => {
                let mut woken = Vec::new();
                for tag in tags {
                    self.locks.serve(tag, &mut woken);
                }
                self.wake(woken);
                Ok(())
            }
            deadlock::Finding::Deadlock(links) => Err(self.victim(pid, &links)),
        }
    }

    /// Two holders of a lock want more of it than the other leaves: whoever comes second is the
    /// victim, without a wait.
    fn upgraders(&self, pid: Pid, (tag, mode): (Tag, Mode), other: Pid) -> PgError {
        let mut links = vec![deadlock::Link { pid, tag, mode }];
        let theirs = self.locks.waiting.get(&other);
        links.extend(theirs.map(|(tag, mode, _)| deadlock::Link {
            pid: other,
            tag: *tag,
            mode: *mode,
        }));
        self.victim(pid, &links)
    }

    fn victim(&self, pid: Pid, links: &[deadlock::Link]) -> PgError {
        let cycle = links.iter().map(|link| link.pid).collect();
        self.proc(pid).watch.tell(&Change::Deadlock { victim: pid, cycle });
        deadlock_error(links)
    }

    /// Asks a session to end its statement; `false` if there is no such session.
    pub fn cancel(&mut self, pid: Pid) -> bool {
        let Some(proc) = self.procs.get_mut(&pid) else { return false };
        let message = "canceling statement due to user request";
        proc.interrupt = Some(PgError::new("57014", message));
        proc.wake();
        true
    }

    /// Leaves the queue that `pid` waits in.
    pub fn give_up(&mut self, pid: Pid) {
        let mut woken = Vec::new();
        self.locks.give_up(pid, &mut woken);
        self.wake(woken);
    }

    /// The oldest id that a snapshot in use may not see; `None` when none is in use.
    fn horizon(&self) -> Option<Xid> {
        self.procs.values().filter_map(Proc::oldest_snapshot).min()
    }

    /// Drops versions that nobody can see any more.
    pub fn vacuum(&mut self) {
        if self.dead.is_empty() {
            return;
        }
        let horizon = self.horizon();
        while let Some(&(xid, oid, tid)) = self.dead.front() {
            if horizon.is_some_and(|horizon| xid >= horizon) {
                break;
            }
            self.dead.pop_front();
            if let Some(heap) = self.heaps.get_mut(&oid) {
                heap.remove(tid);
            }
        }
    }
}

fn deadlock_error(links: &[deadlock::Link]) -> PgError {
    let error =
        PgError::new("40P01", "deadlock detected").hint("See server log for query details.");
    if links.is_empty() {
        return error;
    }
    let describe_wait = |at: usize, link: &deadlock::Link| {
        let blocker = links[(at + 1) % links.len()].pid;
        format!(
            "Process {} waits for {} on {}; blocked by process {blocker}.",
            link.pid,
            link.mode.name(),
            describe(link.tag)
        )
    };
    let waits = links.iter().enumerate().map(|(at, link)| describe_wait(at, link));
    error.detail(waits.collect::<Vec<String>>().join("\n"))
}

/// What an error's detail calls a locked thing; the database is number 5.
fn describe(tag: Tag) -> String {
    match tag {
        Tag::Relation(oid) => format!("relation {oid} of database 5"),
        Tag::Tuple(oid, tid) => format!("tuple (0,{}) of relation {oid} of database 5", tid + 1),
        Tag::Transaction(xid) => format!("transaction {xid}"),
        Tag::Speculation(xid, token) => format!("speculative token {token} of transaction {xid}"),
        Tag::Advisory(key, two) => {
            let (high, low) = (key >> 32, key & 0xffff_ffff);
            format!("advisory lock [5,{high},{low},{}]", if two { 2 } else { 1 })
        }
    }
}
