//! I7 and I8: what a client is told about the end of a run is what the database holds, and
//! that is the truth. Must never take the gateway's word for it.

use std::collections::{BTreeMap, BTreeSet};

use super::{TERMINAL, inserted, number, text};
use crate::trace::{Event, EventIndex};
use crate::verdict::{Broken, Invariant};

/// Terminal states of runs as committed.
#[derive(Debug, Default)]
struct Committed(BTreeMap<String, (String, EventIndex)>);

impl Committed {
    fn event(&mut self, event: &Event) {
        if event.name == "db.commit"
            && text(event, "table") == "runs"
            && TERMINAL.contains(&text(event, "state"))
        {
            let state = text(event, "state").to_owned();
            self.0.insert(text(event, "run").to_owned(), (state, event.index));
        }
    }
}

/// I7: what has a `seq` is told only after its row is committed, and `agent_completed` only after
/// the run's end is.
#[derive(Debug, Default)]
pub struct CommitFirst {
    committed: Committed,
    /// Rows of the log, by run and `seq`.
    rows: BTreeMap<String, BTreeSet<i64>>,
}

impl Invariant for CommitFirst {
    fn id(&self) -> &'static str {
        "I7"
    }

    fn reads(&self) -> &'static [&'static str] {
        &["db.commit", "event.appended", "frame.sent", "user.received"]
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        self.committed.event(event);
        let (run, seq) = (text(event, "run"), number(event, "seq"));
        if inserted(event, "events").is_some() {
            self.rows.entry(run.to_owned()).or_default().insert(seq);
        }
        if !matches!(event.name, "event.appended" | "frame.sent" | "user.received") || seq <= 0 {
            return Ok(());
        }
        let kind = text(event, "type");
        if kind == "agent_completed" && !self.committed.0.contains_key(run) {
            let what = format!("agent_completed of run {run} before its end was committed");
            return Err(Broken::new(what));
        }
        if !self.rows.get(run).is_some_and(|rows| rows.contains(&seq)) {
            let what = format!("{kind} of run {run} was told before its row {seq} was committed");
            return Err(Broken::new(what));
        }
        Ok(())
    }
}

/// The role of an answer among the messages.
const ANSWERS: &str = "assistant";

/// I8: a rolled-back run shows no success; the outcome seen is the state committed.
#[derive(Debug, Default)]
pub struct TrueOutcome {
    committed: Committed,
    /// Runs whose answer is kept.
    answered: BTreeSet<String>,
}

impl Invariant for TrueOutcome {
    fn id(&self) -> &'static str {
        "I8"
    }

    fn reads(&self) -> &'static [&'static str] {
        &["db.commit", "user.received"]
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        self.committed.event(event);
        if let Some(run) = inserted(event, "messages").filter(|_| text(event, "type") == ANSWERS) {
            self.answered.insert(run.to_owned());
        }
        if event.name != "user.received" || text(event, "type") != "agent_completed" {
            return Ok(());
        }
        let (run, outcome) = (text(event, "run"), text(event, "outcome"));
        let expected = if outcome == "success" { "completed" } else { outcome };
        match self.committed.0.get(run) {
            Some((state, at)) if state != expected => {
                let user = text(event, "user");
                let what = format!("`{user}` was told {outcome} of run {run}, committed {state}");
                Err(Broken::new(what).with([*at]))
            }
            None if outcome == "success" => {
                Err(Broken::new(format!("run {run} shows success, nothing was committed")))
            }
            Some((_, at)) if outcome == "success" && !self.answered.contains(run) => {
                let what = format!("run {run} shows success, but its answer was not kept");
                Err(Broken::new(what).with([*at]))
            }
            _ => Ok(()),
        }
    }
}
