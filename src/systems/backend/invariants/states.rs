//! I6: connection and run states change along the edges of their tables, and terminal states
//! absorb. The tables are copies on purpose: must never be shared with the backend.

use std::collections::{BTreeMap, BTreeSet};

use super::{TERMINAL, gateway_lost, number, text};
use crate::trace::{Event, EventIndex};
use crate::verdict::{Broken, Invariant};

type Edges_ = &'static [(&'static str, &'static [&'static str])];

const CONNECTION: Edges_ = &[
    ("connecting", &["accepted", "closing", "failed"]),
    ("accepted", &["authenticated", "closing", "failed"]),
    ("authenticated", &["services_ready", "degraded", "closing", "failed"]),
    ("services_ready", &["processing_ready", "degraded", "closing", "failed"]),
    ("processing_ready", &["processing", "idle", "degraded", "reconnecting", "closing", "failed"]),
    ("processing", &["processing_ready", "idle", "degraded", "reconnecting", "closing", "failed"]),
    ("idle", &["processing", "degraded", "reconnecting", "closing", "failed"]),
    ("degraded", &["services_ready", "processing_ready", "closing", "failed"]),
    ("reconnecting", &["processing_ready", "closing", "failed"]),
    ("closing", &["closed"]),
    ("failed", &["closed"]),
    ("closed", &[]),
];

const RUN: Edges_ = &[
    ("pending", &["starting", "cancelled", "timeout"]),
    ("starting", &["running", "failed", "timeout", "dead", "cancelled"]),
    ("running", &["completing", "failed", "timeout", "dead", "cancelled"]),
    ("completing", &["completed", "failed", "timeout", "dead"]),
    ("completed", &[]),
    ("failed", &[]),
    ("timeout", &[]),
    ("dead", &[]),
    ("cancelled", &[]),
];

fn allowed(table: Edges_, from: &str, to: &str) -> bool {
    table.iter().any(|(state, next)| *state == from && next.contains(&to))
}

/// I6, of connections, of runs in memory and of runs as committed.
#[derive(Debug, Default)]
pub struct Edges {
    connections: BTreeMap<String, (String, EventIndex)>,
    runs: BTreeMap<String, (String, EventIndex)>,
    attempts: BTreeMap<String, i64>,
    /// Runs of an earlier life of the gateway: the next one may find them in any state.
    adopted: BTreeSet<String>,
    committed: BTreeMap<String, (String, EventIndex)>,
}

impl Edges {
    fn step(
        table: Edges_,
        known: Option<&(String, EventIndex)>,
        what: &str,
        event: &Event,
    ) -> Result<(), Broken> {
        let (from, to) = (text(event, "from"), text(event, "to"));
        let broken =
            |message: String| Err(Broken::new(message).with(known.iter().map(|(_, index)| *index)));
        if let Some((state, _)) = known
            && state != from
        {
            return broken(format!("{what} went from {from} to {to}, but was {state}"));
        }
        if !allowed(table, from, to) {
            return broken(format!("{what} went from {from} to {to}, which is no edge"));
        }
        Ok(())
    }

    fn connection(&mut self, event: &Event) -> Result<(), Broken> {
        let id = text(event, "connection");
        let fresh = ("connecting".to_owned(), event.index);
        let known = self.connections.get(id).or(Some(&fresh));
        Self::step(CONNECTION, known, &format!("connection {id}"), event)?;
        let state = (text(event, "to").to_owned(), event.index);
        self.connections.insert(id.to_owned(), state);
        Ok(())
    }

    fn run(&mut self, event: &Event) -> Result<(), Broken> {
        let run = text(event, "run");
        let fresh = ("pending".to_owned(), event.index);
        let known = match self.runs.get(run) {
            None if !self.adopted.contains(run) => Some(&fresh),
            known => known,
        };
        Self::step(RUN, known, &format!("run {run}"), event)?;
        let attempt = number(event, "attempt");
        let highest = self.attempts.entry(run.to_owned()).or_insert(attempt);
        if attempt < *highest {
            let what = format!("attempt {attempt} of run {run} wrote after attempt {highest}");
            return Err(Broken::new(what));
        }
        *highest = attempt;
        self.runs.insert(run.to_owned(), (text(event, "to").to_owned(), event.index));
        Ok(())
    }

    fn commit(&mut self, event: &Event) -> Result<(), Broken> {
        let (run, state) = (text(event, "run"), text(event, "state"));
        if let Some((old, at)) = self.committed.get(run)
            && TERMINAL.contains(&old.as_str())
            && old != state
        {
            let what = format!("run {run} was committed as {old}, then as {state}");
            return Err(Broken::new(what).with([*at]));
        }
        self.committed.insert(run.to_owned(), (state.to_owned(), event.index));
        Ok(())
    }
}

impl Invariant for Edges {
    fn id(&self) -> &'static str {
        "I6"
    }

    fn reads(&self) -> &'static [&'static str] {
        &["conn.state", "run.state", "db.commit", "host.crashed", "host.exited"]
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        match event.name {
            "conn.state" => self.connection(event),
            "run.state" => self.run(event),
            "db.commit" if text(event, "table") == "runs" && !text(event, "state").is_empty() => {
                self.commit(event)
            }
            _ if gateway_lost(event) => {
                self.connections.clear();
                self.adopted.extend(self.committed.keys().cloned());
                self.adopted.extend(std::mem::take(&mut self.runs).into_keys());
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
