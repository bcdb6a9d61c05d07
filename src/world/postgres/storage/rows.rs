//! Waiting for whoever writes a row, and rows that ON CONFLICT may take back.
//! Must never decide who may write.

use super::Db;
use super::heap::Tid;
use super::locks::{Mode, Oid, Owner, Pid, Request, Tag};
use super::xact::Xid;
use crate::world::postgres::error::{Step, Stop};

impl Db {
    /// Waits until `xid` has ended, for the sake of the row at `place`.
    pub fn wait_for(&mut self, pid: Pid, xid: Xid, place: (Oid, Tid)) -> Step<()> {
        self.wait_for_writer(pid, xid, None, Some(place))
    }

    /// The same; with a token, until it is decided whether the row stays.
    pub fn wait_for_writer(
        &mut self,
        pid: Pid,
        xid: Xid,
        token: Option<u32>,
        place: Option<(Oid, Tid)>,
    ) -> Step<()> {
        self.proc_mut(pid).granted = None;
        if !self.xacts.is_running(xid) {
            return Ok(());
        }
        let holder = self.procs.values().find_map(|proc| {
            let txn = proc.txn.as_ref()?;
            let level = txn.levels.iter().position(|level| level.xids.contains(&xid))?;
            // A savepoint that was released has no lock of its own any more: whoever waits for it
            // waits for the transaction, even if it is rolled back before that ends.
            let own = txn.levels[level].xid == Some(xid) || token.is_some();
            Some(if own { (proc.pid, level, xid) } else { (proc.pid, 0, txn.levels[0].xid?) })
        });
        let Some((holder, level, xid)) = holder else { return Ok(()) };
        let tag = token.map_or(Tag::Transaction(xid), |token| Tag::Speculation(xid, token));
        self.locks.give(holder, tag, Mode::Exclusive, Owner::Level(level));
        let owner = self.level(pid);
        match self.locks.request(pid, tag, Mode::Share, owner, true) {
            Request::Deadlock(other) => Err(self.upgraders(pid, (tag, Mode::Share), other).into()),
            Request::Granted => Ok(()),
            Request::Queued | Request::Busy => {
                self.tell_wait(pid, place);
                Err(Stop::Wait)
            }
        }
    }

    /// A row is written that may be taken back.
    pub fn speculate(&mut self, pid: Pid, oid: Oid, tid: Tid) {
        let proc = self.proc_mut(pid);
        proc.speculation += 1;
        let token = Some(proc.speculation);
        if let Some(version) = self.heap_mut(oid).get_mut(tid) {
            version.speculative = token;
        }
    }

    /// It stays, or is taken back; whoever waited for that goes on.
    pub fn decide(&mut self, pid: Pid, oid: Oid, tid: Tid, stays: bool) {
        let Some(version) = self.heap_mut(oid).get_mut(tid) else { return };
        let (xid, token) = (version.xmin, version.speculative.take());
        if !stays {
            self.heap_mut(oid).remove(tid);
        }
        let Some(token) = token else { return };
        let tag = Tag::Speculation(xid, token);
        self.unlock(pid, tag, Mode::Exclusive, None);
    }
}
