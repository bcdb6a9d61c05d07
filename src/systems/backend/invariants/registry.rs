//! I16: who is there is told. Must never believe what the gateway says of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Facts, HELD_UP, TERMINAL, gateway_lost, number, text};
use crate::env::Moment;
use crate::trace::{Event, EventIndex};
use crate::verdict::{Broken, End, Invariant};

/// An event that a connection has yet to be sent: run and position in it.
type Due = (String, i64);

#[derive(Debug, Default)]
struct Connection {
    user: String,
    registered: EventIndex,
    /// It is ending: nothing is due to it any more.
    leaving: bool,
    /// It was taken out of the registry, which is right only if it does nothing more.
    removed: Option<EventIndex>,
    /// Its last sign of life: it is asked for the next one so much later.
    heard: Moment,
    due: BTreeMap<Due, (Moment, EventIndex)>,
    sent: BTreeSet<Due>,
    /// Runs whose end a snapshot has told.
    told: BTreeSet<String>,
}

/// I16: a registered connection stays so until it leaves, and gets every durable event of its
/// user meanwhile, by the log or by a snapshot.
#[derive(Debug, Default)]
pub struct NothingLost {
    /// Until a connection is found out whose client takes nothing.
    sent_within: Duration,
    connections: BTreeMap<String, Connection>,
    /// When an event was first sent to anybody: who registers later may know it, for a log is read
    /// before its events are handed out.
    first_sent: BTreeMap<Due, EventIndex>,
    /// Runs whose end is committed.
    ended: BTreeSet<String>,
    /// Nothing is overdue before this.
    next_check: Moment,
}

impl NothingLost {
    pub fn new(facts: &Facts) -> NothingLost {
        let sent_within = facts.ping_every + facts.pong_within + HELD_UP;
        NothingLost { sent_within, ..NothingLost::default() }
    }

    fn leaves(&mut self, connection: &str) {
        if let Some(known) = self.connections.get_mut(connection) {
            known.leaving = true;
            known.due.clear();
        }
    }

    fn acts(&self, connection: &str) -> Result<(), Broken> {
        let Some(known) = self.connections.get(connection) else { return Ok(()) };
        let Some(removed) = known.removed.filter(|_| !known.leaving) else { return Ok(()) };
        let user = &known.user;
        let what = format!("connection {connection} of `{user}` lives, but was removed");
        Err(Broken::new(what).with([removed]))
    }

    fn appended(&mut self, event: &Event) {
        let due = (text(event, "run").to_owned(), number(event, "run_seq"));
        let user = text(event, "user");
        let first = self.first_sent.get(&due);
        for known in self.connections.values_mut() {
            let known_before = first.is_some_and(|first| *first < known.registered);
            let told = known.told.contains(&due.0) || known.sent.contains(&due) || known_before;
            if known.user == user && !known.leaving && !told {
                known.due.insert(due.clone(), (event.at, event.index));
            }
        }
    }

    fn sent(&mut self, event: &Event) -> Result<(), Broken> {
        let connection = text(event, "connection");
        let run = text(event, "run").to_owned();
        if number(event, "seq") > 0 {
            let due = (run.clone(), number(event, "run_seq"));
            self.first_sent.entry(due).or_insert(event.index);
        }
        let Some(known) = self.connections.get_mut(connection) else { return Ok(()) };
        if text(event, "type") == "run_state" {
            known.due.retain(|(due, _), _| *due != run);
            if self.ended.contains(&run) {
                known.told.insert(run);
            }
            return Ok(());
        }
        if number(event, "seq") <= 0 {
            return Ok(());
        }
        let now = (run, number(event, "run_seq"));
        known.due.remove(&now);
        let skipped = known.due.range((now.0.clone(), i64::MIN)..now.clone()).next();
        if let Some(((run, at), (_, appended))) = skipped {
            let what = format!("connection {connection} was never sent event {at} of run {run}");
            return Err(Broken::new(what).with([*appended]));
        }
        known.sent.insert(now);
        Ok(())
    }
}

impl Invariant for NothingLost {
    fn id(&self) -> &'static str {
        "I16"
    }

    fn reads(&self) -> &'static [&'static str] {
        &[
            "registry.registered",
            "registry.removed",
            "conn.state",
            "conn.heard",
            "frame.handled",
            "conn.closed",
            "conn.gone",
            "db.commit",
            "event.appended",
            "frame.sent",
            "host.crashed",
            "host.exited",
        ]
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        let connection = text(event, "connection");
        match event.name {
            "registry.registered" => {
                let user = text(event, "user").to_owned();
                let known = self.connections.entry(connection.to_owned()).or_default();
                known.user = user;
                known.registered = event.index;
            }
            "registry.removed" => {
                if let Some(known) = self.connections.get_mut(connection) {
                    known.removed = Some(event.index);
                }
            }
            "conn.state" if matches!(text(event, "to"), "closing" | "failed" | "closed") => {
                self.leaves(connection);
            }
            "conn.state" => return self.acts(connection),
            "conn.heard" | "frame.handled" => {
                if let Some(known) = self.connections.get_mut(connection) {
                    known.heard = event.at;
                }
                if event.name == "frame.handled" {
                    return self.acts(connection);
                }
            }
            "conn.closed" => self.leaves(connection),
            "conn.gone" => {
                self.connections.remove(connection);
            }
            "db.commit" if TERMINAL.contains(&text(event, "state")) => {
                self.ended.insert(text(event, "run").to_owned());
            }
            "event.appended" if number(event, "seq") > 0 => self.appended(event),
            "frame.sent" => return self.sent(event),
            _ if gateway_lost(event) => self.connections.clear(),
            _ => {}
        }
        Ok(())
    }

    fn overdue(&mut self, now: Moment) -> Result<(), Broken> {
        if now < self.next_check {
            return Ok(());
        }
        self.next_check = now + Duration::from_secs(1);
        for (connection, known) in &self.connections {
            let late = |at: Moment| now.since(at.max(known.heard)) > self.sent_within;
            let late = known.due.iter().find(|(_, (at, _))| late(*at));
            if let Some(((run, at), (_, appended))) = late {
                let what = format!("connection {connection} waits for event {at} of run {run}");
                return Err(Broken::new(what).with([*appended]));
            }
        }
        Ok(())
    }

    fn end(&mut self, _end: &End) -> Result<(), Broken> {
        for (connection, known) in &self.connections {
            if let Some(((run, at), (_, appended))) = known.due.iter().next() {
                let user = &known.user;
                let what = format!("connection {connection} of `{user}` still lacks {at} of {run}");
                return Err(Broken::new(what).with([*appended]));
            }
        }
        Ok(())
    }

    fn owed(&self) -> bool {
        self.connections.values().any(|known| !known.due.is_empty())
    }
}
