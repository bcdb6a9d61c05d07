//! I11 from the gateway's side: a connection that has to end does, in time; and the gateway does
//! not end before its runs while there is time left. Must never count on the client.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Facts, GATEWAY, HELD_UP, TERMINAL, gateway_lost, number, text};
use crate::env::Moment;
use crate::trace::{Event, EventIndex};
use crate::verdict::Broken;

#[derive(Debug)]
struct Due {
    by: Moment,
    since: EventIndex,
    why: &'static str,
}

/// Who must be gone by when.
#[derive(Debug)]
pub struct Departures {
    pong_within: Duration,
    close_within: Duration,
    drain_grace: Duration,
    due: BTreeMap<String, Due>,
    /// Accepted and not at a terminal state.
    runs: BTreeSet<String>,
    draining: Option<(Moment, EventIndex)>,
}

impl Departures {
    pub fn new(facts: &Facts) -> Departures {
        Departures {
            pong_within: facts.pong_within,
            close_within: facts.close_within,
            drain_grace: facts.drain_grace,
            due: BTreeMap::new(),
            runs: BTreeSet::new(),
            draining: None,
        }
    }

    pub fn event(&mut self, event: &Event) -> Result<(), Broken> {
        let connection = text(event, "connection");
        let closes = 2 * self.close_within;
        match event.name {
            // Another ping is no answer to the first.
            "conn.pinged" if !self.due.contains_key(connection) => {
                self.expect(event, self.pong_within, "a ping was never answered");
            }
            "frame.dropped" if text(event, "type") == "*" => {
                self.expect(event, closes, "it was too slow");
            }
            "conn.state" if text(event, "to") == "closing" => {
                self.expect(event, closes, "it was closing");
            }
            "conn.closed" => self.expect(event, closes, "it was closed"),
            "conn.heard" | "conn.gone" => {
                self.due.remove(connection);
            }
            "run.accepted" => {
                self.runs.insert(text(event, "run").to_owned());
            }
            "run.state" if TERMINAL.contains(&text(event, "to")) => {
                self.runs.remove(text(event, "run"));
            }
            "gateway.draining" => self.draining = Some((event.at, event.index)),
            "host.paused" if text(event, "host") == GATEWAY => {
                let pause = Duration::from_millis(number(event, "ms").unsigned_abs());
                self.due.values_mut().for_each(|due| due.by = due.by + pause);
            }
            _ if gateway_lost(event) => return self.left(event),
            _ => {}
        }
        Ok(())
    }

    fn expect(&mut self, event: &Event, within: Duration, why: &'static str) {
        let due = Due { by: event.at + within + HELD_UP, since: event.index, why };
        self.due.insert(text(event, "connection").to_owned(), due);
    }

    pub fn overdue(&self, now: Moment) -> Result<(), Broken> {
        match self.due.iter().find(|(_, due)| due.by < now) {
            Some((connection, Due { since, why, .. })) => {
                Err(Broken::new(format!("{connection} is still there, though {why}"))
                    .with([*since]))
            }
            None => Ok(()),
        }
    }

    fn left(&mut self, event: &Event) -> Result<(), Broken> {
        self.due.clear();
        let runs = std::mem::take(&mut self.runs);
        let Some((began, index)) = self.draining.take() else { return Ok(()) };
        let left = self.drain_grace.saturating_sub(event.at.since(began));
        match runs.first() {
            Some(run) if event.name == "host.exited" && !left.is_zero() => {
                let left = left.as_millis();
                let what = format!("the gateway left before {run}, with {left} ms of grace to go");
                Err(Broken::new(what).with([index]))
            }
            _ => Ok(()),
        }
    }
}
