//! I7, I8 and I23: what a client is told about the end of a run is what the database holds, and
//! that is the truth. Must never take the gateway's word for it.

use std::collections::BTreeMap;

use super::{TERMINAL, text};
use crate::trace::{Event, EventIndex, Value};
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

/// I7: `agent_completed` implies that the committed row came first.
#[derive(Debug, Default)]
pub struct CommitFirst {
    committed: Committed,
}

impl Invariant for CommitFirst {
    fn id(&self) -> &'static str {
        "I7"
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        self.committed.event(event);
        let tells = matches!(event.name, "event.appended" | "frame.sent" | "user.received");
        if !tells || text(event, "type") != "agent_completed" {
            return Ok(());
        }
        let run = text(event, "run");
        if self.committed.0.contains_key(run) {
            return Ok(());
        }
        Err(Broken::new(format!("agent_completed of run {run} before its end was committed")))
    }
}

/// I8: a rolled-back run shows no success; the outcome seen is the state committed.
#[derive(Debug, Default)]
pub struct TrueOutcome {
    committed: Committed,
}

impl Invariant for TrueOutcome {
    fn id(&self) -> &'static str {
        "I8"
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        self.committed.event(event);
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
            _ => Ok(()),
        }
    }
}

/// I23: a run is committed as completed only if its last provider stream came to its stop event.
#[derive(Debug, Default)]
pub struct WholeAnswer {
    /// Whether the latest stream of a run was whole, and where it ended.
    streams: BTreeMap<String, (bool, EventIndex)>,
}

impl Invariant for WholeAnswer {
    fn id(&self) -> &'static str {
        "I23"
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        let run = text(event, "run");
        match event.name {
            "agent.stream_ended" => {
                let stopped = event.field("stopped").and_then(Value::as_bool) == Some(true);
                self.streams.insert(run.to_owned(), (stopped, event.index));
            }
            "db.commit"
                if text(event, "table") == "runs" && text(event, "state") == "completed" =>
            {
                if let Some((false, ended)) = self.streams.get(run) {
                    let what = format!("run {run} is a success, but its answer was cut");
                    return Err(Broken::new(what).with([*ended]));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
