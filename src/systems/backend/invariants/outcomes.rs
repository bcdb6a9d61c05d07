//! I23: the outcome tells the truth: success only after a whole answer, and every other end only
//! for a cause that was there. Must never take a reason that the run itself gives.

use std::collections::{BTreeMap, BTreeSet};

use super::{TERMINAL, text};
use crate::trace::{Event, EventIndex, Value};
use crate::verdict::{Broken, Invariant};

#[derive(Debug, Default)]
struct Run {
    /// Whether the latest stream of the provider was whole, and where it ended.
    stream: Option<(bool, EventIndex)>,
    /// Something has failed since it was accepted.
    troubled: bool,
    committed: Option<(String, EventIndex)>,
    /// What a reply said of its end.
    told: Option<(String, EventIndex)>,
}

/// I23.
#[derive(Debug, Default)]
pub struct Truth {
    runs: BTreeMap<String, Run>,
    /// Runs that their users asked to cancel.
    cancelled: BTreeSet<String>,
}

impl Truth {
    fn run(&mut self, event: &Event) -> &mut Run {
        self.runs.entry(text(event, "run").to_owned()).or_default()
    }

    fn troubles(&mut self) {
        self.runs.values_mut().for_each(|run| run.troubled = true);
    }

    fn committed(&mut self, event: &Event) -> Result<(), Broken> {
        let (run, state) = (text(event, "run"), text(event, "state"));
        if !TERMINAL.contains(&state) {
            return Ok(());
        }
        let asked = self.cancelled.contains(run);
        let known = self.run(event);
        known.committed = Some((state.to_owned(), event.index));
        match (state, known.stream) {
            ("completed", Some((false, ended))) => {
                let what = format!("run {run} is a success, but its answer was cut");
                return Err(Broken::new(what).with([ended]));
            }
            ("completed", None) => {
                return Err(Broken::new(format!("run {run} is a success without any answer")));
            }
            ("failed", stream) if !known.troubled && stream.is_none_or(|(whole, _)| whole) => {
                return Err(Broken::new(format!("run {run} has failed, but nothing else had")));
            }
            ("cancelled", _) if !asked => {
                return Err(Broken::new(format!("run {run} is cancelled, which nobody asked")));
            }
            _ => {}
        }
        Self::agree(run, known)
    }

    fn agree(run: &str, known: &Run) -> Result<(), Broken> {
        match (&known.told, &known.committed) {
            (Some((told, at)), Some((state, _))) if told != state => {
                let what = format!("a reply said {told} of run {run}, committed {state}");
                Err(Broken::new(what).with([*at]))
            }
            _ => Ok(()),
        }
    }

    fn replied(&mut self, event: &Event) -> Result<(), Broken> {
        let outcome = text(event, "outcome");
        if outcome.is_empty() {
            return Ok(());
        }
        let state = if outcome == "success" { "completed" } else { outcome };
        let known = self.run(event);
        known.told = Some((state.to_owned(), event.index));
        Self::agree(text(event, "run"), known)
    }
}

impl Invariant for Truth {
    fn id(&self) -> &'static str {
        "I23"
    }

    fn reads(&self) -> &'static [&'static str] {
        &[
            "run.accepted",
            "agent.stream_ended",
            "user.sent",
            "db.failed",
            "context.refused",
            "user.reply",
            "db.commit",
        ]
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        match event.name {
            "run.accepted" => {
                self.run(event);
            }
            "agent.stream_ended" => {
                let stopped = event.field("stopped").and_then(Value::as_bool) == Some(true);
                self.run(event).stream = Some((stopped, event.index));
            }
            "user.sent" if text(event, "method") == "run.cancel" => {
                self.cancelled.insert(text(event, "run").to_owned());
            }
            "db.failed" | "context.refused" => self.troubles(),
            "user.reply" => return self.replied(event),
            "db.commit" if text(event, "table") == "runs" => return self.committed(event),
            _ => {}
        }
        Ok(())
    }
}
