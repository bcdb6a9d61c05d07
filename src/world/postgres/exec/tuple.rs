//! Row locks and the right to write a version, as PostgreSQL's `heapam.c` gives them: wait for
//! whoever is in the way behind the version's own queue, then look again.
//! Must never look at a row's values.

use super::Cx;
use crate::world::postgres::error::{PgError, Result, Step};
use crate::world::postgres::sql::Policy;
use crate::world::postgres::storage::catalog::Table;
use crate::world::postgres::storage::heap::{Mark, Strength, Tid, Version};
use crate::world::postgres::storage::locks::{Mode, Oid, Tag};
use crate::world::postgres::storage::xact::Xid;
use crate::world::postgres::storage::{Db, Isolation};
use crate::world::postgres::watch::Change;

/// What a version turned out to be for someone who wants to lock or write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    Free,
    /// Updated by a transaction that committed; the newer version.
    Updated(Tid),
    Deleted,
    /// Written by this very command.
    SelfModified,
    /// Written by an earlier command of this transaction.
    Invisible,
    /// Somebody is in the way and the policy is not to wait.
    Busy,
}

/// The outcome of a row lock in a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locked {
    Same,
    Newer(Tid),
    /// Deleted, skipped, or written by this command.
    Gone,
}

fn could_not_lock(table: &Table) -> PgError {
    PgError::new("55P03", format!("could not obtain lock on row in relation \"{}\"", table.name))
}

/// Somebody was first at a row of `table`.
pub fn serialization(cx: &Cx<'_>, table: &Table, what: &str) -> PgError {
    let change = Change::Conflict { pid: cx.pid, table: &table.name };
    cx.db.proc(cx.pid).watch.tell(&change);
    PgError::new("40001", format!("could not serialize access due to concurrent {what}"))
}

impl Cx<'_> {
    pub fn is_repeatable(&self) -> bool {
        self.db.txn(self.pid).isolation == Isolation::RepeatableRead
    }

    fn version(&self, oid: Oid, tid: Tid) -> Option<&Version> {
        self.db.heap(oid).get(tid)
    }
}

/// Waits until nobody is in the way of locking (or with `write` of writing) a version.
pub fn settle(
    cx: &mut Cx<'_>,
    table: &Table,
    tid: Tid,
    want: Strength,
    write: bool,
    policy: Policy,
) -> Step<Settled> {
    let settled = settle_queued(cx, table, tid, want, write, policy)?;
    release_queue(cx.db, cx.pid, table.oid, tid, want);
    Ok(settled)
}

fn release_queue(db: &mut Db, pid: i32, oid: Oid, tid: Tid, want: Strength) {
    let (tag, mode) = (Tag::Tuple(oid, tid), Mode::of_row(want));
    db.unlock(pid, tag, mode, None);
}

fn settle_queued(
    cx: &mut Cx<'_>,
    table: &Table,
    tid: Tid,
    want: Strength,
    write: bool,
    policy: Policy,
) -> Step<Settled> {
    let Some(version) = cx.version(table.oid, tid) else { return Ok(Settled::Deleted) };
    let own = cx.db.own(cx.pid);
    let mut over = Settled::Free;
    if let Some(writer) = version.writer(&cx.db.xacts) {
        if own.contains(&writer.xid) {
            return Ok(if version.cmax >= cx.state.cid {
                Settled::SelfModified
            } else {
                Settled::Invisible
            });
        }
        // The bits of a multixact tell of the strongest of its members (`HEAP_KEYS_UPDATED`).
        let keyed = version.marks.iter().any(|mark| mark.strength == Strength::Update);
        let passes = !write && want == Strength::KeyShare && !keyed;
        if cx.db.xacts.is_committed(writer.xid) && !passes {
            over = version.next.map_or(Settled::Deleted, Settled::Updated);
        }
    }
    let running = |mark: &Mark| cx.db.xacts.is_running(mark.xid);
    // A writer that is over comes after those that lock the version beside it (a multixact's).
    if over != Settled::Free && !version.marks.iter().any(running) {
        return Ok(over);
    }
    let in_the_way =
        |mark: &&Mark| running(mark) && !own.contains(&mark.xid) && mark.strength.conflicts(want);
    // PostgreSQL keeps the members of a multixact by their ids, and waits for them in that order.
    let blocker = version.marks.iter().filter(in_the_way).map(|mark| mark.xid).min();
    let member = version.marks.iter().any(|mark| own.contains(&mark.xid));
    // The bits of a multixact also tell of members that are over (`HEAP_XMAX_IS_EXCL_LOCKED`,
    // `HEAP_KEYS_UPDATED`).
    let told = |mark: &Mark| match want {
        Strength::KeyShare => mark.strength == Strength::Update,
        Strength::Share => mark.strength >= Strength::NoKeyUpdate,
        Strength::NoKeyUpdate | Strength::Update => false,
    };
    let queues = !member && version.marks.iter().any(running) && version.marks.iter().any(told);
    if blocker.is_none() && over == Settled::Free && !queues {
        return Ok(Settled::Free);
    }
    let (tag, mode) = (Tag::Tuple(table.oid, tid), Mode::of_row(want));
    let owner = cx.db.level(cx.pid);
    if policy != Policy::Wait {
        let free = blocker.is_none() && (member || cx.db.try_lock(cx.pid, tag, mode, owner));
        return match policy {
            _ if free => Ok(over),
            Policy::Skip => Ok(Settled::Busy),
            _ => Err(could_not_lock(table).into()),
        };
    }
    if !member {
        cx.db.lock_once(cx.pid, tag, mode, owner)?;
    }
    let Some(blocker) = blocker else { return Ok(over) };
    cx.db.wait_for(cx.pid, blocker, (table.oid, tid))?;
    settle_queued(cx, table, tid, want, write, policy)
}

/// Marks a version as locked, unless this transaction's own mark is as strong.
fn mark(cx: &mut Cx<'_>, oid: Oid, tid: Tid, strength: Strength) {
    let has = |version: &Version| {
        let own = cx.db.own(cx.pid);
        version.marks.iter().any(|m| own.contains(&m.xid) && m.strength >= strength)
    };
    if cx.version(oid, tid).is_none_or(has) {
        return;
    }
    let xid = cx.db.xid(cx.pid);
    let Db { heaps, xacts, .. } = &mut *cx.db;
    if let Some(version) = heaps.get_mut(&oid).and_then(|heap| heap.get_mut(tid)) {
        version.prune_marks(xacts);
        version.marks.push(Mark { xid, strength, write: false });
    }
}

/// Locks the versions that updates have made of this one, which do not conflict themselves.
/// `Free`, unless one of them is written by somebody who committed and conflicts. Waits also for
/// NOWAIT and SKIP LOCKED, as `heap_lock_updated_tuple` does.
fn lock_chain(cx: &mut Cx<'_>, table: &Table, from: Tid, strength: Strength) -> Step<Settled> {
    let mut next = cx.version(table.oid, from).and_then(|version| version.next);
    while let Some(tid) = next {
        let Some(version) = cx.version(table.oid, tid) else { break };
        let own = cx.db.own(cx.pid);
        let in_the_way = |mark: &&Mark| {
            cx.db.xacts.is_running(mark.xid)
                && !own.contains(&mark.xid)
                && mark.strength.conflicts(strength)
        };
        let blockers = version.marks.iter().filter(in_the_way);
        if let Some(blocker) = blockers.map(|mark| mark.xid).min() {
            cx.db.wait_for(cx.pid, blocker, (table.oid, tid))?;
            continue;
        }
        let committed = version
            .writer(&cx.db.xacts)
            .is_some_and(|w| cx.db.xacts.is_committed(w.xid) && w.strength.conflicts(strength));
        if committed {
            return Ok(version.next.map_or(Settled::Deleted, Settled::Updated));
        }
        next = version.next;
        mark(cx, table.oid, tid, strength);
    }
    Ok(Settled::Free)
}

/// Whether somebody locks the version whatever becomes of it.
fn is_locked(cx: &Cx<'_>, table: &Table, tid: Tid) -> bool {
    let running = |mark: &Mark| cx.db.xacts.is_running(mark.xid);
    cx.version(table.oid, tid).is_some_and(|version| version.marks.iter().any(running))
}

/// Locks a row for a query: READ COMMITTED follows updates to the newest version.
pub fn lock_row(
    cx: &mut Cx<'_>,
    table: &Table,
    tid: Tid,
    strength: Strength,
    policy: Policy,
) -> Step<Locked> {
    let mut at = tid;
    loop {
        let settled = match settle(cx, table, at, strength, false, policy)? {
            Settled::Free => lock_chain(cx, table, at, strength)?,
            // What comes after a multixact that is not over is locked all the same.
            Settled::Updated(newer) if is_locked(cx, table, at) => {
                match lock_chain(cx, table, at, strength)? {
                    Settled::Free => Settled::Updated(newer),
                    other => other,
                }
            }
            other => other,
        };
        match settled {
            Settled::Free => {
                mark(cx, table.oid, at, strength);
                return Ok(if at == tid { Locked::Same } else { Locked::Newer(at) });
            }
            Settled::Deleted | Settled::Updated(_) if cx.is_repeatable() => {
                return Err(serialization(cx, table, "update").into());
            }
            Settled::Busy | Settled::SelfModified | Settled::Invisible | Settled::Deleted => {
                return Ok(Locked::Gone);
            }
            Settled::Updated(newer) => match newest(cx, table, newer, policy)? {
                Some(newest) => at = newest,
                None => return Ok(Locked::Gone),
            },
        }
    }
}

/// The end of an update chain, waiting for whoever is extending it.
fn newest(cx: &mut Cx<'_>, table: &Table, from: Tid, policy: Policy) -> Step<Option<Tid>> {
    let mut at = from;
    loop {
        let Some(version) = cx.version(table.oid, at) else { return Ok(None) };
        let Some(writer) = version.writer(&cx.db.xacts) else { return Ok(Some(at)) };
        if cx.db.own(cx.pid).contains(&writer.xid) {
            return Ok(Some(at));
        }
        if cx.db.xacts.is_running(writer.xid) {
            match policy {
                Policy::Skip => return Ok(None),
                Policy::Fail => return Err(could_not_lock(table).into()),
                Policy::Wait => cx.db.wait_for(cx.pid, writer.xid, (table.oid, at))?,
            }
            continue;
        }
        match version.next {
            Some(next) => at = next,
            None => return Ok(None),
        }
    }
}

/// Records that a version is updated (`next`) or deleted by the running command: as strongly as
/// this subtransaction had locked it, if that is more; others are members of a multixact with it.
pub fn write(cx: &mut Cx<'_>, oid: Oid, tid: Tid, strength: Strength, next: Option<Tid>) {
    let xid: Xid = cx.db.xid(cx.pid);
    let cid = cx.state.cid;
    let marks = cx.version(oid, tid).map_or(&[][..], |version| &version.marks);
    let locked = marks.iter().filter(|mark| !mark.write && mark.xid == xid);
    let strength = locked.map(|mark| mark.strength).fold(strength, Strength::max);
    let Db { heaps, xacts, .. } = &mut *cx.db;
    let Some(version) = heaps.get_mut(&oid).and_then(|heap| heap.get_mut(tid)) else { return };
    version.prune_marks(xacts);
    version.marks.retain(|mark| !mark.write);
    version.marks.push(Mark { xid, strength, write: true });
    version.cmax = cid;
    version.next = next;
    let undo = crate::world::postgres::storage::Undo::Write(oid, tid);
    cx.db.txn_mut(cx.pid).undo.push(undo);
}

/// Locks on a version that are kept on what an update makes of it: with one that is held those of
/// the same multixact that are over. What is no multixact is kept as a key-share lock, as
/// `heap_update` does.
pub fn inherited_marks(db: &Db, oid: Oid, tid: Tid) -> Vec<Mark> {
    let Some(version) = db.heap(oid).get(tid) else { return Vec::new() };
    let held = |mark: &Mark| !mark.write && db.xacts.is_running(mark.xid);
    if !version.marks.iter().any(held) {
        return Vec::new();
    }
    let kept = version.marks.iter().filter(|mark| held(mark) || !db.xacts.is_running(mark.xid));
    let mut kept: Vec<Mark> = kept.map(|mark| Mark { write: false, ..*mark }).collect();
    if kept.iter().all(|mark| mark.xid == kept[0].xid) {
        kept = vec![Mark { strength: Strength::KeyShare, ..kept[0] }];
    }
    kept
}

/// The error for a writer under REPEATABLE READ that comes second.
pub fn check_repeatable(cx: &Cx<'_>, table: &Table, settled: Settled) -> Result<()> {
    match settled {
        Settled::Updated(_) if cx.is_repeatable() => Err(serialization(cx, table, "update")),
        Settled::Deleted if cx.is_repeatable() => Err(serialization(cx, table, "delete")),
        _ => Ok(()),
    }
}

/// The newest version of a row that somebody updated, locked for writing; `None`: gone.
pub fn chase(cx: &mut Cx<'_>, table: &Table, from: Tid, strength: Strength) -> Step<Option<Tid>> {
    match lock_row(cx, table, from, strength, Policy::Wait)? {
        Locked::Same => Ok(Some(from)),
        Locked::Newer(newer) => Ok(Some(newer)),
        Locked::Gone => Ok(None),
    }
}

/// Whether a later command of this transaction wrote this version of its own.
pub fn written_later(cx: &Cx<'_>, oid: Oid, tid: Tid) -> bool {
    cx.version(oid, tid).is_some_and(|version| version.cmax > cx.state.cid)
}

/// Whether a later command of this transaction made the last of the versions that follow this one.
pub fn remade_later(cx: &Cx<'_>, oid: Oid, from: Tid) -> bool {
    let mut last = cx.version(oid, from);
    while let Some(next) = last.and_then(|v| v.next).and_then(|next| cx.version(oid, next)) {
        last = Some(next);
    }
    last.is_some_and(|v| cx.db.own(cx.pid).contains(&v.xmin) && v.cmin > cx.state.cid)
}
