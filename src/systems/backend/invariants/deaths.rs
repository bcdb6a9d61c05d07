//! I15: a run is declared dead only when it does not get on, every real death is noticed, and a
//! deadline is neither missed nor brought forward. Must never believe the gateway's own clock of
//! progress: it goes by what the run is seen to do.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Facts, GATEWAY, TERMINAL, gateway_lost, number, text};
use crate::env::Moment;
use crate::trace::{Event, EventIndex};
use crate::verdict::{Broken, End, Invariant};

/// A run that works and does not get on for so long is dead; it is noticed in two seconds more.
const NO_PROGRESS: Duration = Duration::from_secs(10);
const NOTICED_IN: Duration = Duration::from_secs(2);
/// For whoever notices to act, and for whoever gets on to say so.
const SLACK: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Run {
    accepted: Moment,
    at: EventIndex,
    works: bool,
    /// The last sign of progress.
    sign: Moment,
    /// A call is outstanding, which has its own bound of silence.
    patience: Option<Duration>,
}

impl Run {
    fn stuck_from(&self) -> Moment {
        self.sign + self.patience.unwrap_or_default().max(NO_PROGRESS)
    }
}

/// I15.
#[derive(Debug)]
pub struct Deaths {
    deadline: Duration,
    /// Runs that have not ended, of this life of the gateway.
    runs: BTreeMap<String, Run>,
}

impl Deaths {
    pub fn new(facts: &Facts) -> Deaths {
        Deaths { deadline: facts.run_deadline, runs: BTreeMap::new() }
    }

    fn sign(&mut self, event: &Event) -> Option<&mut Run> {
        let run = self.runs.get_mut(text(event, "run"))?;
        run.sign = event.at;
        Some(run)
    }

    fn state(&mut self, event: &Event) -> Result<(), Broken> {
        let (id, to) = (text(event, "run"), text(event, "to"));
        let Some(run) = self.runs.get_mut(id) else { return Ok(()) };
        let early = match to {
            "dead" if !run.works => "declared dead before it works",
            "dead" if event.at + SLACK < run.stuck_from() => "declared dead, but it gets on",
            "timeout" if event.at + SLACK < run.accepted + self.deadline => {
                "stopped before its deadline"
            }
            _ => "",
        };
        if !early.is_empty() {
            return Err(Broken::new(format!("run {id} is {early}")).with([run.at]));
        }
        if TERMINAL.contains(&to) {
            self.runs.remove(id);
        } else {
            (run.works, run.sign) = (to != "completing", event.at);
        }
        Ok(())
    }

    /// Nothing gets on while the process stands still.
    fn paused(&mut self, event: &Event) {
        let ms = Duration::from_millis(number(event, "ms").unsigned_abs());
        for run in self.runs.values_mut() {
            (run.sign, run.accepted) = (run.sign + ms, run.accepted + ms);
        }
    }
}

impl Invariant for Deaths {
    fn id(&self) -> &'static str {
        "I15"
    }

    fn reads(&self) -> &'static [&'static str] {
        &[
            "run.accepted",
            "run.state",
            "agent.calls",
            "agent.answered",
            "agent.stream_ended",
            "event.appended",
            "frame.sent",
            "host.paused",
            "host.crashed",
            "host.exited",
        ]
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        match event.name {
            "run.accepted" => {
                let (accepted, at) = (event.at, event.index);
                let run = Run { accepted, at, works: false, sign: accepted, patience: None };
                self.runs.insert(text(event, "run").to_owned(), run);
            }
            "run.state" => return self.state(event),
            "agent.calls" => {
                let within = Duration::from_millis(number(event, "within_ms").unsigned_abs());
                if let Some(run) = self.sign(event) {
                    run.patience = Some(within);
                }
            }
            "agent.answered" | "agent.stream_ended" | "event.appended" => {
                if let Some(run) = self.sign(event) {
                    run.patience = None;
                }
            }
            "frame.sent" if text(event, "type") == "message_delta" => {
                self.sign(event);
            }
            "host.paused" if text(event, "host") == GATEWAY => self.paused(event),
            _ if gateway_lost(event) => self.runs.clear(),
            _ => {}
        }
        Ok(())
    }

    fn overdue(&mut self, now: Moment) -> Result<(), Broken> {
        for (id, run) in &self.runs {
            let why = if run.accepted + self.deadline + SLACK < now {
                "lives past its deadline"
            } else if run.works && run.stuck_from() + NOTICED_IN + SLACK < now {
                "does not get on, and nobody notices"
            } else {
                continue;
            };
            return Err(Broken::new(format!("run {id} {why}")).with([run.at]));
        }
        Ok(())
    }

    fn end(&mut self, end: &End) -> Result<(), Broken> {
        self.overdue(end.at)
    }
}
