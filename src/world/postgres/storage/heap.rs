//! Row versions of one table in heap order, and its indexes.
//! Must never decide who sees a version or waits for one.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::xact::{Cid, Fate, Snapshot, Xacts, Xid};
use crate::world::postgres::types::{Datum, Row};

/// A version's place in its table; later versions stand later.
pub type Tid = u64;

/// The four strengths of a row lock, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    KeyShare,
    Share,
    NoKeyUpdate,
    Update,
}

impl Strength {
    pub fn conflicts(self, other: Strength) -> bool {
        use Strength::{KeyShare, NoKeyUpdate, Share, Update};
        match self {
            KeyShare => other == Update,
            Share => matches!(other, NoKeyUpdate | Update),
            NoKeyUpdate => other != KeyShare,
            Update => true,
        }
    }
}

/// One transaction's mark on a version: a lock, or with `write` an update or delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub xid: Xid,
    pub strength: Strength,
    pub write: bool,
}

#[derive(Clone, Debug)]
pub struct Version {
    pub xmin: Xid,
    pub cmin: Cid,
    /// Of the writing mark.
    pub cmax: Cid,
    pub marks: Vec<Mark>,
    pub row: Row,
    /// The version that an update made of this one.
    pub next: Option<Tid>,
    /// Made by an update, not by an insert.
    pub updated: bool,
    /// By index position; `None` where a partial index leaves the row out.
    pub keys: Vec<Option<Row>>,
    /// How many of the table's indexes have it: one after the other takes it, each once its key is
    /// known to be free. All that there will ever be, as soon as the last has it.
    pub indexed: usize,
    /// ON CONFLICT may yet take it back: the token to wait for.
    pub speculative: Option<u32>,
}

impl Version {
    /// The mark of an update or delete that has not aborted.
    pub fn writer(&self, xacts: &Xacts) -> Option<Mark> {
        self.marks.iter().copied().find(|m| m.write && xacts.fate(m.xid) != Fate::Aborted)
    }

    /// Whether a statement of the transaction `own` with this snapshot sees the version.
    pub fn visible(&self, snapshot: &Snapshot, cid: Cid, own: &[Xid], xacts: &Xacts) -> bool {
        if own.contains(&self.xmin) {
            if self.cmin >= cid {
                return false;
            }
        } else if snapshot.is_running(self.xmin) || !xacts.is_committed(self.xmin) {
            return false;
        }
        match self.marks.iter().find(|m| m.write && xacts.fate(m.xid) != Fate::Aborted) {
            None => true,
            Some(mark) if own.contains(&mark.xid) => self.cmax >= cid,
            Some(mark) => snapshot.is_running(mark.xid) || !xacts.is_committed(mark.xid),
        }
    }

    /// Drops the marks of transactions that are over and left nothing.
    pub fn prune_marks(&mut self, xacts: &Xacts) {
        self.marks.retain(|mark| match xacts.fate(mark.xid) {
            Fate::Running => true,
            Fate::Committed => mark.write,
            Fate::Aborted => false,
        });
    }
}

/// What an index holds: a version under its key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    key: Row,
    tid: Tid,
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> Ordering {
        let keys = match (&*self.key, &*other.key) {
            // Most keys are one number, and a search compares often.
            ([Datum::Int(a)], [Datum::Int(b)]) => a.cmp(b),
            (a, b) => a.cmp(b),
        };
        keys.then(self.tid.cmp(&other.tid))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[derive(Clone, Debug, Default)]
pub struct Heap {
    versions: BTreeMap<Tid, Version>,
    next: Tid,
    indexes: Vec<BTreeSet<Entry>>,
}

impl Heap {
    /// An empty one in its place: no version will stand where one of these stood.
    pub fn emptied(&self) -> Heap {
        Heap { next: self.next, ..Heap::default() }
    }

    pub fn insert(&mut self, version: Version) -> Tid {
        let tid = self.next;
        self.next += 1;
        for (index, key) in version.keys.iter().enumerate() {
            if let Some(key) = key {
                self.index_entries(index).insert(Entry { key: key.clone(), tid });
            }
        }
        self.versions.insert(tid, version);
        tid
    }

    /// Puts a version into an index, by a key that was not known before.
    pub fn set_key(&mut self, tid: Tid, index: usize, key: Option<Row>) {
        let Some(version) = self.versions.get_mut(&tid) else { return };
        version.keys.resize(version.keys.len().max(index + 1), None);
        version.keys[index].clone_from(&key);
        if let Some(key) = key {
            self.index_entries(index).insert(Entry { key, tid });
        }
    }

    fn index_entries(&mut self, index: usize) -> &mut BTreeSet<Entry> {
        if self.indexes.len() <= index {
            self.indexes.resize_with(index + 1, BTreeSet::new);
        }
        &mut self.indexes[index]
    }

    pub fn get(&self, tid: Tid) -> Option<&Version> {
        self.versions.get(&tid)
    }

    pub fn get_mut(&mut self, tid: Tid) -> Option<&mut Version> {
        self.versions.get_mut(&tid)
    }

    pub fn remove(&mut self, tid: Tid) {
        let Some(version) = self.versions.remove(&tid) else { return };
        for (index, key) in version.keys.into_iter().enumerate() {
            if let Some(key) = key {
                self.indexes[index].remove(&Entry { key, tid });
            }
        }
    }

    /// The first version at or after `from`.
    pub fn at_or_after(&self, from: Tid) -> Option<(Tid, &Version)> {
        self.versions.range(from..).next().map(|(tid, version)| (*tid, version))
    }

    pub fn end(&self) -> Tid {
        self.next
    }

    pub fn iter(&self) -> impl Iterator<Item = (Tid, &Version)> {
        self.versions.iter().map(|(tid, version)| (*tid, version))
    }

    /// Versions whose key in `index` begins with `prefix`, in heap order.
    pub fn lookup(&self, index: usize, prefix: &Row) -> Vec<Tid> {
        let Some(entries) = self.indexes.get(index) else { return Vec::new() };
        let mut tids: Vec<Tid> = entries
            .range(Entry { key: prefix.clone(), tid: 0 }..)
            .take_while(|entry| entry.key.starts_with(prefix))
            .map(|entry| entry.tid)
            .collect();
        tids.sort_unstable();
        tids
    }

    /// Fills index number `index` anew with a key for each version.
    pub fn reindex(&mut self, index: usize, mut keys: BTreeMap<Tid, Option<Row>>) {
        self.index_entries(index).clear();
        for (tid, version) in &mut self.versions {
            version.keys.resize(version.keys.len().max(index + 1), None);
            version.keys[index] = keys.remove(tid).flatten();
            if let Some(key) = &version.keys[index] {
                self.indexes[index].insert(Entry { key: key.clone(), tid: *tid });
            }
        }
    }
}
