//! Definitions as transactions see them: what is committed, and beside it what open transactions
//! make of it, which nobody else sees. Must never know what is defined.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::xact::Xid;

/// What an open transaction makes of a definition.
#[derive(Debug)]
pub struct Open<T> {
    /// The transaction, by its own id, whichever savepoint it is in.
    pub by: Xid,
    /// `None`: it is dropped.
    pub now: Option<Arc<T>>,
    /// What was committed when it was made.
    over: Option<Arc<T>>,
    /// Whether the transaction changed it before, so that others could not beside it.
    pub again: bool,
    /// What it made of it before: no one else may have the names of that yet.
    was: Vec<Arc<T>>,
    /// It has been in force: it comes back if what came after it is taken back.
    known: bool,
}

impl<T> Open<T> {
    pub fn new(by: Xid, now: Option<T>) -> Open<T> {
        let (over, again, was, known) = (None, false, Vec::new(), false);
        Open { by, now: now.map(Arc::new), over, again, was, known }
    }
}

impl<T: Beside> Open<T> {
    fn is_beside(&self) -> bool {
        match (&self.now, &self.over) {
            (Some(now), Some(over)) => now.is_beside(over),
            _ => false,
        }
    }
}

/// A definition that transactions may change side by side.
pub trait Beside: Sized {
    /// Whether others may change what this makes of `over`, and this what others make of it.
    fn is_beside(&self, _over: &Self) -> bool {
        false
    }

    /// What this made of `over`, made of what another transaction committed since.
    #[must_use]
    fn rebased(&self, _over: &Self, _settled: &Self) -> Option<Self> {
        None
    }
}

#[derive(Debug)]
struct Entry<T> {
    settled: Option<Arc<T>>,
    /// In the order in which the transactions came.
    open: Vec<Open<T>>,
}

impl<T: Beside> Entry<T> {
    fn seen(&self, own: &[Xid]) -> Option<&Arc<T>> {
        let open = self.open.iter().find(|open| own.contains(&open.by));
        open.map_or(&self.settled, |open| &open.now).as_ref()
    }

    fn latest(&self) -> Option<&Arc<T>> {
        self.open.last().map_or(&self.settled, |open| &open.now).as_ref()
    }

    /// An open one as it stands over what is committed by now.
    fn rebased(&self, open: Open<T>) -> Open<T> {
        let rebased = match (&open.now, &open.over, &self.settled) {
            (Some(now), Some(over), Some(settled)) if !Arc::ptr_eq(over, settled) => {
                now.rebased(over, settled)
            }
            _ => None,
        };
        let now = rebased.map(Arc::new).or(open.now);
        Open { now, over: self.settled.clone(), ..open }
    }
}

/// Definitions of one kind by key. `own` are the ids of the transaction that looks.
#[derive(Debug)]
pub struct Entries<K, T> {
    all: BTreeMap<K, Entry<T>>,
}

impl<K, T> Default for Entries<K, T> {
    fn default() -> Entries<K, T> {
        Entries { all: BTreeMap::new() }
    }
}

impl<K: Ord + Clone, T: Beside> Entries<K, T> {
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub fn get<Q: Ord + ?Sized>(&self, key: &Q, own: &[Xid]) -> Option<&Arc<T>>
    where
        K: Borrow<Q>,
    {
        self.all.get(key)?.seen(own)
    }

    /// As its last change has it: for who holds a lock that keeps it, or only tells of it.
    pub fn latest(&self, key: &K) -> Option<&Arc<T>> {
        self.all.get(key)?.latest()
    }

    /// What is committed.
    pub fn settled(&self, key: &K) -> Option<&Arc<T>> {
        self.all.get(key)?.settled.as_ref()
    }

    pub fn seen<'a>(
        &'a self,
        own: &'a [Xid],
    ) -> impl DoubleEndedIterator<Item = (&'a K, &'a Arc<T>)> {
        self.all.iter().filter_map(move |(key, entry)| Some((key, entry.seen(own)?)))
    }

    /// All of them as their last changes have them.
    pub fn last(&self) -> impl DoubleEndedIterator<Item = &Arc<T>> {
        self.all.values().filter_map(Entry::latest)
    }

    /// What other open transactions make.
    pub fn others(&self, own: &[Xid]) -> impl Iterator<Item = (Xid, &Arc<T>)> {
        let open = self.all.values().flat_map(|entry| &entry.open);
        let foreign = open.filter(|open| !own.contains(&open.by));
        foreign.filter_map(|open| Some((open.by, open.now.as_ref()?)))
    }

    /// The same, and what they have made before: whose names they have given.
    pub fn given(&self, own: &[Xid]) -> impl Iterator<Item = (Xid, &Arc<T>)> {
        let open = self.all.values().flat_map(|entry| &entry.open);
        let foreign = open.filter(|open| !own.contains(&open.by));
        foreign.flat_map(|open| open.now.iter().chain(&open.was).map(|one| (open.by, one)))
    }

    /// Another open transaction beside which the thing cannot be changed.
    pub fn in_the_way<Q: Ord + ?Sized>(&self, key: &Q, own: &[Xid]) -> Option<&Open<T>>
    where
        K: Borrow<Q>,
    {
        let mut all = self.all.get(key)?.open.iter();
        all.find(|open| !own.contains(&open.by) && !open.is_beside())
    }

    /// Whether an open transaction changes any of them.
    pub fn is_open(&self) -> bool {
        self.all.values().any(|entry| !entry.open.is_empty())
    }

    /// What an open transaction makes of it from now on; gives back what it made of it before.
    pub fn change(&mut self, key: &K, by: Xid, open: Option<Open<T>>) -> Option<Open<T>> {
        let empty = || Entry { settled: None, open: Vec::new() };
        let entry = self.all.entry(key.clone()).or_insert_with(empty);
        let open = open.map(|open| entry.rebased(open));
        let place = entry.open.iter().position(|open| open.by == by);
        let before = match (place, open) {
            (Some(at), Some(mut open)) => {
                let before = &mut entry.open[at];
                if !open.known {
                    open.was = before.was.iter().chain(&before.now).cloned().collect();
                }
                open.known = true;
                open.again |= before.again || !before.is_beside();
                Some(std::mem::replace(before, open))
            }
            (Some(at), None) => Some(entry.open.remove(at)),
            (None, open) => {
                entry.open.extend(open.map(|open| Open { known: true, ..open }));
                None
            }
        };
        self.forget_empty(key);
        before
    }

    /// What the transaction made of it is committed.
    pub fn settle(&mut self, key: &K, by: Xid) {
        if let Some(entry) = self.all.get_mut(key)
            && let Some(at) = entry.open.iter().position(|open| open.by == by)
        {
            entry.settled = entry.open.remove(at).now;
            let others = std::mem::take(&mut entry.open);
            entry.open = others.into_iter().map(|open| entry.rebased(open)).collect();
        }
        self.forget_empty(key);
    }

    fn forget_empty(&mut self, key: &K) {
        if self.all.get(key).is_some_and(|entry| entry.settled.is_none() && entry.open.is_empty()) {
            self.all.remove(key);
        }
    }
}
