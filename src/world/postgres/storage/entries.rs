//! Definitions as transactions see them: what is committed, and beside it what one open transaction
//! makes of it, which nobody else sees. Must never know what is defined.

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
}

#[derive(Debug)]
struct Entry<T> {
    settled: Option<Arc<T>>,
    open: Option<Open<T>>,
}

impl<T> Entry<T> {
    fn seen(&self, own: &[Xid]) -> Option<&Arc<T>> {
        match &self.open {
            Some(open) if own.contains(&open.by) => open.now.as_ref(),
            _ => self.settled.as_ref(),
        }
    }

    fn latest(&self) -> Option<&Arc<T>> {
        self.open.as_ref().map_or(&self.settled, |open| &open.now).as_ref()
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

impl<K: Ord + Clone, T> Entries<K, T> {
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
        let open = self.all.values().filter_map(|entry| entry.open.as_ref());
        let foreign = open.filter(|open| !own.contains(&open.by));
        foreign.filter_map(|open| Some((open.by, open.now.as_ref()?)))
    }

    /// What an open transaction makes of it.
    pub fn open<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&Open<T>>
    where
        K: Borrow<Q>,
    {
        self.all.get(key)?.open.as_ref()
    }

    /// Whether an open transaction changes any of them.
    pub fn is_open(&self) -> bool {
        self.all.values().any(|entry| entry.open.is_some())
    }

    /// What an open transaction makes of it from now on; gives back what it made of it before.
    pub fn change(&mut self, key: &K, open: Option<Open<T>>) -> Option<Open<T>> {
        let empty = || Entry { settled: None, open: None };
        let entry = self.all.entry(key.clone()).or_insert_with(empty);
        let before = std::mem::replace(&mut entry.open, open);
        self.forget_empty(key);
        before
    }

    /// What was open is committed.
    pub fn settle(&mut self, key: &K) {
        if let Some(entry) = self.all.get_mut(key)
            && let Some(open) = entry.open.take()
        {
            entry.settled = open.now;
        }
        self.forget_empty(key);
    }

    fn forget_empty(&mut self, key: &K) {
        if self.all.get(key).is_some_and(|entry| entry.settled.is_none() && entry.open.is_none()) {
            self.all.remove(key);
        }
    }
}
