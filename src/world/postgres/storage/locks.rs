//! The lock manager: eight modes, FIFO queues, who holds and who waits.
//! Must never wait itself, nor know what a lock protects.

use std::collections::BTreeMap;

use super::heap::{Strength, Tid};
use super::xact::Xid;

/// A session.
pub type Pid = i32;
/// A table.
pub type Oid = u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tag {
    Relation(Oid),
    Tuple(Oid, Tid),
    Transaction(Xid),
    /// A row of ON CONFLICT that a transaction may yet take back.
    Speculation(Xid, u32),
    /// One key of 64 bits (false) or two of 32 (true).
    Advisory(i64, bool),
}

/// Table lock modes, weakest first; row and advisory locks use some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    AccessShare,
    RowShare,
    RowExclusive,
    ShareUpdateExclusive,
    Share,
    ShareRowExclusive,
    Exclusive,
    AccessExclusive,
}

/// By mode, the set of modes it conflicts with, bit n standing for mode n.
const CONFLICTS: [u8; 8] = [
    0b1000_0000,
    0b1100_0000,
    0b1111_0000,
    0b1111_1000,
    0b1110_1100,
    0b1111_1100,
    0b1111_1110,
    0b1111_1111,
];

impl Mode {
    pub const ALL: [Mode; 8] = [
        Mode::AccessShare,
        Mode::RowShare,
        Mode::RowExclusive,
        Mode::ShareUpdateExclusive,
        Mode::Share,
        Mode::ShareRowExclusive,
        Mode::Exclusive,
        Mode::AccessExclusive,
    ];

    pub fn bit(self) -> u8 {
        1 << (self as u8)
    }

    pub fn conflicts(self) -> u8 {
        CONFLICTS[self as usize]
    }

    pub fn of_row(strength: Strength) -> Mode {
        match strength {
            Strength::KeyShare => Mode::AccessShare,
            Strength::Share => Mode::RowShare,
            Strength::NoKeyUpdate => Mode::Exclusive,
            Strength::Update => Mode::AccessExclusive,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Mode::AccessShare => "AccessShareLock",
            Mode::RowShare => "RowShareLock",
            Mode::RowExclusive => "RowExclusiveLock",
            Mode::ShareUpdateExclusive => "ShareUpdateExclusiveLock",
            Mode::Share => "ShareLock",
            Mode::ShareRowExclusive => "ShareRowExclusiveLock",
            Mode::Exclusive => "ExclusiveLock",
            Mode::AccessExclusive => "AccessExclusiveLock",
        }
    }
}

/// How long a lock is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// Until it is given back or the session ends.
    Session,
    /// Until the transaction ends or the savepoint level of this number is rolled back.
    Level(usize),
}

#[derive(Clone, Debug)]
struct Hold {
    tag: Tag,
    mode: Mode,
    owner: Owner,
    count: u32,
}

#[derive(Clone, Debug, Default)]
pub struct Lock {
    /// Sessions and the set of modes each holds, in the order of their first request.
    pub granted: Vec<(Pid, u8)>,
    /// In the order in which they will be served.
    pub queue: Vec<(Pid, Mode)>,
}

impl Lock {
    fn held_by(&self, pid: Pid) -> u8 {
        self.granted.iter().find(|(holder, _)| *holder == pid).map_or(0, |(_, modes)| *modes)
    }

    fn conflicts_with_granted(&self, pid: Pid, mode: Mode) -> bool {
        self.granted.iter().any(|(holder, modes)| *holder != pid && modes & mode.conflicts() != 0)
    }

    fn grant(&mut self, pid: Pid, mode: Mode) {
        match self.granted.iter_mut().find(|(holder, _)| *holder == pid) {
            Some((_, modes)) => *modes |= mode.bit(),
            None => self.granted.push((pid, mode.bit())),
        }
    }

    /// Who `pid`, which waits for `mode`, waits for: holders, then those before it in the queue.
    pub fn blockers(&self, pid: Pid, mode: Mode) -> Vec<Pid> {
        let holders = self
            .granted
            .iter()
            .filter(|(holder, modes)| *holder != pid && modes & mode.conflicts() != 0);
        let ahead = self.queue.iter().take_while(|(waiter, _)| *waiter != pid);
        let ahead = ahead.filter(|(_, wanted)| wanted.bit() & mode.conflicts() != 0);
        holders.map(|(pid, _)| *pid).chain(ahead.map(|(pid, _)| *pid)).collect()
    }
}

/// A session that got what it waited for.
pub type Woken = (Pid, Tag, Mode);

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    Granted,
    Queued,
    /// It would have to wait, and was asked not to.
    Busy,
    /// Waiting would deadlock at once: two holders want to upgrade.
    Deadlock(Pid),
}

#[derive(Debug, Default)]
pub struct Locks {
    pub table: BTreeMap<Tag, Lock>,
    holds: BTreeMap<Pid, Vec<Hold>>,
    /// What each waiting session waits for, and how long it will keep it.
    pub waiting: BTreeMap<Pid, (Tag, Mode, Owner)>,
}

impl Locks {
    pub fn holds(&self, pid: Pid, tag: Tag, mode: Mode) -> bool {
        self.holds.get(&pid).is_some_and(|all| all.iter().any(|h| h.tag == tag && h.mode == mode))
    }

    /// Asks for a lock; `wait` says whether to join the queue if it is not free.
    pub fn request(&mut self, pid: Pid, tag: Tag, mode: Mode, owner: Owner, wait: bool) -> Request {
        if self.holds(pid, tag, mode) {
            self.note(pid, tag, mode, owner);
            return Request::Granted;
        }
        let lock = self.table.entry(tag).or_default();
        let wanted_by_queue = lock.queue.iter().any(|(_, m)| m.bit() & mode.conflicts() != 0);
        if !wanted_by_queue && !lock.conflicts_with_granted(pid, mode) {
            lock.grant(pid, mode);
            self.note(pid, tag, mode, owner);
            return Request::Granted;
        }
        if !wait {
            return Request::Busy;
        }
        let request = enqueue(lock, pid, mode);
        match request {
            Request::Granted => self.note(pid, tag, mode, owner),
            Request::Queued => {
                self.waiting.insert(pid, (tag, mode, owner));
            }
            Request::Busy | Request::Deadlock(_) => {}
        }
        request
    }

    /// Records as held what needs no asking: a transaction's lock on its own id.
    pub fn give(&mut self, pid: Pid, tag: Tag, mode: Mode, owner: Owner) {
        if !self.holds(pid, tag, mode) {
            self.table.entry(tag).or_default().grant(pid, mode);
            self.note(pid, tag, mode, owner);
        }
    }

    fn note(&mut self, pid: Pid, tag: Tag, mode: Mode, owner: Owner) {
        let all = self.holds.entry(pid).or_default();
        match all.iter_mut().find(|h| h.tag == tag && h.mode == mode && h.owner == owner) {
            Some(hold) => hold.count += 1,
            None => all.push(Hold { tag, mode, owner, count: 1 }),
        }
    }

    /// Gives one hold back; `false` if there was none. Sessions served by it are added to `woken`.
    pub fn release(
        &mut self,
        pid: Pid,
        tag: Tag,
        mode: Mode,
        owner: Option<Owner>,
        woken: &mut Vec<Woken>,
    ) -> bool {
        let Some(all) = self.holds.get_mut(&pid) else { return false };
        let matches =
            |h: &Hold| h.tag == tag && h.mode == mode && owner.is_none_or(|owner| h.owner == owner);
        let Some(at) = all.iter().position(matches) else { return false };
        all[at].count -= 1;
        if all[at].count == 0 {
            all.remove(at);
            self.settle(pid, tag, woken);
        }
        true
    }

    /// Gives back every hold that `gone` says is over.
    pub fn release_where(
        &mut self,
        pid: Pid,
        woken: &mut Vec<Woken>,
        gone: impl Fn(Owner, Tag) -> bool,
    ) {
        let Some(all) = self.holds.get_mut(&pid) else { return };
        let mut tags: Vec<Tag> = Vec::new();
        all.retain(|hold| {
            let over = gone(hold.owner, hold.tag);
            if over && !tags.contains(&hold.tag) {
                tags.push(hold.tag);
            }
            !over
        });
        for tag in tags {
            self.settle(pid, tag, woken);
        }
    }

    /// Moves the holds of a released savepoint to the level above it.
    pub fn reown(&mut self, pid: Pid, from: usize) {
        for hold in self.holds.get_mut(&pid).into_iter().flatten() {
            if hold.owner == Owner::Level(from) {
                hold.owner = Owner::Level(from - 1);
            }
        }
    }

    /// Brings the lock in line with what `pid` still holds, and serves the queue.
    fn settle(&mut self, pid: Pid, tag: Tag, woken: &mut Vec<Woken>) {
        let held = self.holds.get(&pid).into_iter().flatten().filter(|h| h.tag == tag);
        let modes = held.fold(0, |modes, hold| modes | hold.mode.bit());
        let Some(lock) = self.table.get_mut(&tag) else { return };
        match lock.granted.iter().position(|(holder, _)| *holder == pid) {
            Some(at) if modes == 0 => {
                lock.granted.remove(at);
            }
            Some(at) => lock.granted[at].1 = modes,
            None => {}
        }
        self.serve(tag, woken);
    }

    /// Grants what can be granted, in the queue's order.
    pub fn serve(&mut self, tag: Tag, woken: &mut Vec<Woken>) {
        let Some(lock) = self.table.get_mut(&tag) else { return };
        // Who waited for a transaction's end does not keep a lock on its id.
        let passing = matches!(tag, Tag::Transaction(_) | Tag::Speculation(..));
        let mut ahead = 0;
        let mut served = Vec::new();
        let mut at = 0;
        while let Some(&(pid, mode)) = lock.queue.get(at) {
            if ahead & mode.conflicts() == 0 && !lock.conflicts_with_granted(pid, mode) {
                if !passing {
                    lock.grant(pid, mode);
                }
                lock.queue.remove(at);
                served.push((pid, mode));
            } else {
                ahead |= mode.bit();
                at += 1;
            }
        }
        if lock.granted.is_empty() && lock.queue.is_empty() {
            self.table.remove(&tag);
        }
        for (pid, mode) in served {
            let owner = self.waiting.remove(&pid).map_or(Owner::Level(0), |(_, _, owner)| owner);
            if !passing {
                self.note(pid, tag, mode, owner);
            }
            woken.push((pid, tag, mode));
        }
    }

    /// Takes a session out of the queue it waits in.
    pub fn give_up(&mut self, pid: Pid, woken: &mut Vec<Woken>) {
        let Some((tag, _, _)) = self.waiting.remove(&pid) else { return };
        if let Some(lock) = self.table.get_mut(&tag) {
            lock.queue.retain(|(waiter, _)| *waiter != pid);
        }
        self.serve(tag, woken);
    }

    pub fn blockers(&self, pid: Pid) -> Vec<Pid> {
        let Some((tag, mode, _)) = self.waiting.get(&pid) else { return Vec::new() };
        self.table.get(tag).map_or_else(Vec::new, |lock| lock.blockers(pid, *mode))
    }
}

/// Joins the queue: at its end, or before the first waiter that waits for `pid` itself.
fn enqueue(lock: &mut Lock, pid: Pid, mode: Mode) -> Request {
    let held = lock.held_by(pid);
    let mut ahead = 0;
    let mut place = lock.queue.len();
    if held != 0 {
        for (at, (waiter, wanted)) in lock.queue.iter().enumerate() {
            if wanted.conflicts() & held != 0 {
                if mode.conflicts() & lock.held_by(*waiter) != 0 {
                    return Request::Deadlock(*waiter);
                }
                if mode.conflicts() & ahead == 0 && !lock.conflicts_with_granted(pid, mode) {
                    lock.grant(pid, mode);
                    return Request::Granted;
                }
                place = at;
                break;
            }
            ahead |= wanted.bit();
        }
    }
    lock.queue.insert(place, (pid, mode));
    Request::Queued
}
