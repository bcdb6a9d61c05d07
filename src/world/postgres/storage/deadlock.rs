//! Deadlock detection as PostgreSQL's `deadlock.c` does it: a cycle of hard edges (holders) is a
//! deadlock; one with soft edges (queue order) may be undone by rearranging queues.
//! Must never choose a victim other than the session that asks.

use super::locks::{Locks, Mode, Pid, Tag};

/// One line of the error's detail: who waits for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    pub pid: Pid,
    pub tag: Tag,
    pub mode: Mode,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    None,
    /// Queues were rearranged; their tags.
    Rearranged(Vec<Tag>),
    Deadlock(Vec<Link>),
}

/// `waiter` must come before `blocker` in the queue of `tag`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edge {
    waiter: Pid,
    blocker: Pid,
    tag: Tag,
}

struct Search<'a> {
    locks: &'a Locks,
    constraints: Vec<Edge>,
    orders: Vec<(Tag, Vec<Pid>)>,
    visited: Vec<Pid>,
    links: Vec<Link>,
}

/// Checks whether `pid` is part of a deadlock, rearranging queues if that helps.
pub fn check(locks: &mut Locks, pid: Pid) -> Finding {
    let mut search = Search {
        locks,
        constraints: Vec::new(),
        orders: Vec::new(),
        visited: Vec::new(),
        links: Vec::new(),
    };
    let hopeless = search.is_hopeless(pid);
    let (orders, links) = (search.orders, search.links);
    if hopeless {
        return Finding::Deadlock(links);
    }
    if orders.is_empty() {
        return Finding::None;
    }
    let tags = orders.iter().map(|(tag, _)| *tag).collect();
    for (tag, order) in orders {
        if let Some(lock) = locks.table.get_mut(&tag) {
            lock.queue.sort_by_key(|(pid, _)| order.iter().position(|other| other == pid));
        }
    }
    Finding::Rearranged(tags)
}

impl Search<'_> {
    /// Tries rearrangements until one leaves no cycle.
    fn is_hopeless(&mut self, start: Pid) -> bool {
        let Some(edges) = self.test(start) else { return true };
        if edges.is_empty() {
            return false;
        }
        if self.constraints.len() >= self.locks.waiting.len() {
            return true;
        }
        for edge in edges {
            self.constraints.push(edge);
            if !self.is_hopeless(start) {
                return false;
            }
            self.constraints.pop();
        }
        true
    }

    /// `None`: a cycle that no order of queues undoes; otherwise the soft edges of a cycle.
    fn test(&mut self, start: Pid) -> Option<Vec<Edge>> {
        if !self.expand() {
            return None;
        }
        let mut found = Vec::new();
        let ends: Vec<Pid> = self.constraints.iter().flat_map(|e| [e.waiter, e.blocker]).collect();
        for pid in ends.into_iter().chain([start]) {
            let mut soft = Vec::new();
            self.visited.clear();
            if self.find_cycle(pid, 0, &mut soft) {
                if soft.is_empty() {
                    return None;
                }
                found = soft;
            }
        }
        Some(found)
    }

    fn find_cycle(&mut self, pid: Pid, depth: usize, soft: &mut Vec<Edge>) -> bool {
        if let Some(at) = self.visited.iter().position(|seen| *seen == pid) {
            if at == 0 {
                let none = Link { pid, tag: Tag::Relation(0), mode: Mode::AccessShare };
                self.links = vec![none; depth];
            }
            return at == 0;
        }
        self.visited.push(pid);
        let Some(&(tag, mode, _)) = self.locks.waiting.get(&pid) else { return false };
        let Some(lock) = self.locks.table.get(&tag) else { return false };
        for (holder, modes) in &lock.granted {
            let blocks = *holder != pid && modes & mode.conflicts() != 0;
            if blocks && self.find_cycle(*holder, depth + 1, soft) {
                self.links[depth] = Link { pid, tag, mode };
                return true;
            }
        }
        for blocker in self.ahead_of(pid, tag, mode) {
            if self.find_cycle(blocker, depth + 1, soft) {
                self.links[depth] = Link { pid, tag, mode };
                soft.push(Edge { waiter: pid, blocker, tag });
                return true;
            }
        }
        false
    }

    /// Waiters before `pid` in the queue as it would be, whose wish conflicts with `mode`.
    fn ahead_of(&self, pid: Pid, tag: Tag, mode: Mode) -> Vec<Pid> {
        let lock = &self.locks.table[&tag];
        let order: Vec<Pid> = match self.orders.iter().find(|(other, _)| *other == tag) {
            Some((_, order)) => order.clone(),
            None => lock.queue.iter().map(|(pid, _)| *pid).collect(),
        };
        let conflicts = |other: &Pid| {
            let wanted = lock.queue.iter().find(|(pid, _)| pid == other);
            wanted.is_some_and(|(_, wanted)| wanted.bit() & mode.conflicts() != 0)
        };
        order.into_iter().take_while(|other| *other != pid).filter(conflicts).collect()
    }

    /// Works out a queue order for each lock that the constraints name.
    fn expand(&mut self) -> bool {
        self.orders.clear();
        for at in (0..self.constraints.len()).rev() {
            let tag = self.constraints[at].tag;
            if self.orders.iter().any(|(other, _)| *other == tag) {
                continue;
            }
            match self.sorted(tag, &self.constraints[..=at]) {
                Some(order) => self.orders.push((tag, order)),
                None => return false,
            }
        }
        true
    }

    /// The queue of `tag` under the constraints, moving as few as possible; built from its end.
    fn sorted(&self, tag: Tag, constraints: &[Edge]) -> Option<Vec<Pid>> {
        let queue: Vec<Pid> = self.locks.table[&tag].queue.iter().map(|(pid, _)| *pid).collect();
        let mut left = queue.clone();
        let mut order = Vec::with_capacity(queue.len());
        while !left.is_empty() {
            let free = |pid: &Pid| {
                !constraints.iter().any(|edge| {
                    edge.tag == tag && edge.waiter == *pid && left.contains(&edge.blocker)
                })
            };
            let at = left.iter().rposition(free)?;
            order.push(left.remove(at));
        }
        order.reverse();
        Some(order)
    }
}
