//! The order of a connection's events: history, then live ones, each stream in steps of one.
//! Events may arrive in any order and twice; what leaves is gapless. Owned by the writer alone.
//! Must never pass an event whose predecessor has not passed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::outgoing::Attach;
use super::protocol::{Delta, Event, Snapshot};

/// What may go into the socket now.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    Event(Arc<Event>),
    Delta(Delta),
    Snapshot(Snapshot),
}

#[derive(Default)]
pub struct Merge {
    streams: BTreeMap<String, Cursor>,
    /// Every stream that existed when the connection registered has been attached: one that is
    /// new now begins with its first event.
    complete: bool,
}

#[derive(Default)]
struct Cursor {
    /// The last event that passed; `None` while history is being read.
    last: Option<i64>,
    detached: bool,
    /// By `seq` and `delta_seq`: an event before the deltas that follow it.
    pending: BTreeMap<(i64, i64), Item>,
    /// Deltas of this run below this number are in the snapshot.
    told: Option<(String, i64)>,
}

impl Merge {
    pub fn attach(&mut self, attach: Attach) -> Vec<Item> {
        let cursor = self.streams.entry(attach.thread).or_default();
        cursor.detached = false;
        let known = cursor.last.unwrap_or(i64::MIN);
        cursor.last = Some(known.max(attach.after));
        // A later event of the history tells what these said: the snapshot, or the end itself.
        cursor.pending.retain(|(seq, delta_seq), _| *delta_seq == 0 || *seq >= attach.through);
        for event in attach.replay {
            cursor.pending.insert((event.seq, 0), Item::Event(event));
        }
        let snapshot = attach.snapshot;
        if let Some(Snapshot { origin, next_delta_seq, .. }) = &snapshot {
            cursor.told = Some((origin.run.clone(), *next_delta_seq));
        }
        let mut out = cursor.drain_through(attach.through);
        out.extend(snapshot.map(Item::Snapshot));
        out.extend(cursor.drain());
        out
    }

    pub fn detach(&mut self, thread: &str) {
        let cursor = self.streams.entry(thread.to_owned()).or_default();
        cursor.detached = true;
        cursor.last = None;
        cursor.pending.clear();
    }

    /// From here on an unknown stream begins with its first event.
    pub fn complete(&mut self) -> Vec<Item> {
        self.complete = true;
        let waiting = self.streams.values_mut().filter(|cursor| !cursor.detached);
        let mut out = Vec::new();
        for cursor in waiting {
            cursor.last.get_or_insert(0);
            out.extend(cursor.drain());
        }
        out
    }

    pub fn event(&mut self, event: Arc<Event>) -> Vec<Item> {
        let key = (event.seq, 0);
        self.arrived(event.origin.thread.clone(), key, Item::Event(event))
    }

    pub fn delta(&mut self, delta: Delta) -> Vec<Item> {
        let key = (delta.after_seq, delta.delta_seq);
        self.arrived(delta.origin.thread.clone(), key, Item::Delta(delta))
    }

    fn arrived(&mut self, thread: String, key: (i64, i64), item: Item) -> Vec<Item> {
        let complete = self.complete;
        let cursor = self.streams.entry(thread).or_default();
        if cursor.detached {
            return Vec::new();
        }
        if complete {
            cursor.last.get_or_insert(0);
        }
        cursor.pending.insert(key, item);
        cursor.drain()
    }

    /// Streams in which an event waits for a predecessor, and the last that passed.
    pub fn gaps(&self) -> Vec<(String, i64)> {
        let gap = |(thread, cursor): (&String, &Cursor)| {
            let last = cursor.last?;
            (!cursor.pending.is_empty()).then(|| (thread.clone(), last))
        };
        self.streams.iter().filter_map(gap).collect()
    }
}

impl Cursor {
    fn drain(&mut self) -> Vec<Item> {
        self.drain_through(i64::MAX)
    }

    /// Lets pass what is next, up to the event `through` and without the deltas after it.
    fn drain_through(&mut self, through: i64) -> Vec<Item> {
        let mut out = Vec::new();
        let Some(mut last) = self.last else { return out };
        while let Some(entry) = self.pending.first_entry() {
            let (seq, delta_seq) = *entry.key();
            let is_event = delta_seq == 0;
            let next = if is_event { last + 1 } else { last };
            if seq > next || next > through || next == through && !is_event {
                break;
            }
            let item = entry.remove();
            if seq < next || self.is_told(&item) {
                continue; // seen before, or overtaken by a later event
            }
            if is_event {
                last = seq;
            }
            out.push(item);
        }
        self.last = Some(last);
        out
    }

    fn is_told(&self, item: &Item) -> bool {
        match (item, &self.told) {
            (Item::Delta(delta), Some((run, next))) => {
                delta.origin.run == *run && delta.delta_seq < *next
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::protocol::{Origin, Place};
    use super::*;

    fn origin() -> Arc<Origin> {
        let [tenant, user, thread, run, agent, trace] =
            ["acme", "ana", "t", "r", "supervisor", "r"].map(str::to_owned);
        Arc::new(Origin { tenant, user, thread, run, agent, attempt: 1, trace })
    }

    fn event(seq: i64) -> Arc<Event> {
        let place = Place { epoch: "k", seq, run_seq: seq, ts_ms: 0 };
        Arc::new(Event::new("agent_thinking", &format!("e{seq}"), origin(), place, &Value::Null))
    }

    fn delta(after_seq: i64, delta_seq: i64) -> Delta {
        let (epoch, text) = ("k".into(), "x".into());
        Delta { origin: origin(), epoch, after_seq, delta_seq, pieces: 1, text }
    }

    fn attach(after: i64, replay: &[i64]) -> Attach {
        let through = replay.last().copied().unwrap_or(after);
        let replay = replay.iter().map(|seq| event(*seq)).collect();
        Attach { thread: "t".into(), after, through, replay, snapshot: None }
    }

    /// `3` an event, `3.1` a delta after it.
    fn told(items: &[Item]) -> String {
        let name = |item: &Item| match item {
            Item::Event(event) => event.seq.to_string(),
            Item::Delta(delta) => format!("{}.{}", delta.after_seq, delta.delta_seq),
            Item::Snapshot(_) => "s".to_owned(),
        };
        items.iter().map(name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn live_events_wait_for_the_history_before_them() {
        let mut merge = Merge::default();
        assert_eq!(told(&merge.event(event(5))), "");
        assert_eq!(told(&merge.event(event(4))), "");
        assert_eq!(told(&merge.attach(attach(1, &[2, 3, 4]))), "2 3 4 5");
        assert_eq!(told(&merge.event(event(5))), "");
        assert_eq!(told(&merge.event(event(6))), "6");
    }

    #[test]
    fn a_gap_holds_everything_after_it() {
        let mut merge = Merge::default();
        merge.attach(attach(0, &[]));
        assert_eq!(told(&merge.event(event(2))), "");
        assert_eq!(merge.gaps(), [("t".to_owned(), 0)]);
        assert_eq!(told(&merge.event(event(1))), "1 2");
        assert!(merge.gaps().is_empty());
    }

    #[test]
    fn a_new_stream_begins_with_its_first_event_once_all_others_are_attached() {
        let mut merge = Merge::default();
        assert_eq!(told(&merge.event(event(1))), "");
        assert_eq!(told(&merge.complete()), "1");
        assert_eq!(told(&merge.event(event(2))), "2");
    }

    #[test]
    fn deltas_keep_their_place_and_an_overtaken_one_is_dropped() {
        let mut merge = Merge::default();
        merge.attach(attach(0, &[]));
        assert_eq!(told(&merge.delta(delta(1, 1))), "");
        assert_eq!(told(&merge.event(event(1))), "1 1.1");
        assert_eq!(told(&merge.event(event(2))), "2");
        assert_eq!(told(&merge.delta(delta(1, 2))), "");
        assert_eq!(told(&merge.delta(delta(2, 3))), "2.3");
    }

    #[test]
    fn deltas_that_the_snapshot_holds_are_not_told_again() {
        let mut merge = Merge::default();
        merge.delta(delta(1, 1));
        merge.delta(delta(1, 2));
        let mut attach = attach(0, &[1]);
        let (text, epoch) = ("x".into(), "k".into());
        let snapshot =
            Snapshot { origin: origin(), epoch, state: "running", text, next_delta_seq: 2 };
        attach.snapshot = Some(snapshot);
        assert_eq!(told(&merge.attach(attach)), "1 s 1.2");
    }

    #[test]
    fn a_detached_stream_is_silent_until_it_is_attached_again() {
        let mut merge = Merge::default();
        merge.attach(attach(0, &[]));
        merge.detach("t");
        assert_eq!(told(&merge.event(event(1))), "");
        assert_eq!(told(&merge.attach(attach(0, &[1]))), "1");
    }
}
