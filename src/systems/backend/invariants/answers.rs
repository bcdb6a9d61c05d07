//! I11: every command and every held client is answered in time, or its connection closes. Must
//! never count a re-sent command as an answer to the first.

use std::collections::BTreeMap;
use std::time::Duration;

use super::departures::Departures;
use super::{Facts, GATEWAY, HELD_UP, Tab, gateway_lost, number, tab, text};
use crate::env::Moment;
use crate::trace::{Event, EventIndex};
use crate::verdict::{Broken, End, Invariant};

/// For an answer that takes the reader alone, and for one that takes the store too; once nothing
/// is broken on purpose.
const PONG_WITHIN: Duration = Duration::from_secs(2);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// For a held client to be decided about, once the gateway is ready: a session, its connection and
/// a probe of the store have five seconds each.
const HELD_WITHIN: Duration = Duration::from_secs(17);

#[derive(Debug)]
struct Due {
    at: Moment,
    sent: EventIndex,
}

/// I11, from the clients' side, and for those who are held from the gateway's.
#[derive(Debug)]
pub struct Answered {
    calm: Moment,
    /// Commands without a reply, by tab and command id.
    open: BTreeMap<Tab, BTreeMap<String, Due>>,
    held: BTreeMap<String, EventIndex>,
    /// Upgraded and not closed.
    live: BTreeMap<String, EventIndex>,
    /// When those held must have been decided about, as the gateway has ended its start; how.
    decided: Option<(Moment, &'static str)>,
    departures: Departures,
}

impl Answered {
    pub fn new(facts: &Facts) -> Answered {
        Answered {
            calm: facts.calm,
            open: BTreeMap::new(),
            held: BTreeMap::new(),
            live: BTreeMap::new(),
            decided: None,
            departures: Departures::new(facts),
        }
    }

    fn sent(&mut self, event: &Event) {
        let pings = text(event, "method") == "ping";
        let within = if pings { PONG_WITHIN } else { ANSWER_WITHIN };
        let due = Due { at: event.at.max(self.calm) + within, sent: event.index };
        self.open.entry(tab(event)).or_default().insert(text(event, "id").to_owned(), due);
    }

    fn replied(&mut self, event: &Event) -> Result<(), Broken> {
        let tab = tab(event);
        if self.open.get_mut(&tab).and_then(|open| open.remove(text(event, "id"))).is_some() {
            return Ok(());
        }
        let (user, id) = (&tab.0, text(event, "id"));
        Err(Broken::new(format!("`{user}` got a reply to {id}, not open")))
    }

    fn unanswered(&self, late: impl Fn(&Due) -> bool, how: &str) -> Result<(), Broken> {
        for ((user, number), commands) in &self.open {
            if let Some((id, due)) = commands.iter().find(|(_, due)| late(due)) {
                let what = format!("command {id} of `{user}`, tab {number}, {how}");
                return Err(Broken::new(what).with([due.sent]));
            }
        }
        Ok(())
    }

    /// A gateway that goes by its own will has said so to everybody.
    fn left(&mut self, event: &Event) -> Result<(), Broken> {
        let held = std::mem::take(&mut self.held);
        let live = std::mem::take(&mut self.live);
        self.decided = None;
        if event.name == "host.crashed" {
            return Ok(());
        }
        match held.iter().chain(&live).next() {
            Some((connection, at)) => {
                let what = format!("the gateway ended, and did not tell {connection}");
                Err(Broken::new(what).with([*at]))
            }
            None => Ok(()),
        }
    }
}

impl Invariant for Answered {
    fn id(&self) -> &'static str {
        "I11"
    }

    fn reads(&self) -> &'static [&'static str] {
        &[
            "user.sent",
            "user.reply",
            "user.closed",
            "gateway.ready",
            "gateway.failed",
            "gateway.held",
            "gateway.accepted",
            "gateway.refused",
            "gateway.left",
            "gateway.draining",
            "conn.pinged",
            "conn.heard",
            "conn.state",
            "conn.closed",
            "conn.gone",
            "frame.dropped",
            "run.accepted",
            "run.state",
            "host.paused",
            "host.crashed",
            "host.exited",
        ]
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        self.departures.event(event)?;
        let connection = text(event, "connection");
        match event.name {
            "user.sent" => self.sent(event),
            "user.reply" => return self.replied(event),
            "user.closed" => {
                self.open.remove(&tab(event));
            }
            "gateway.ready" => self.decided = Some((event.at + HELD_WITHIN, "is ready")),
            "gateway.failed" => self.decided = Some((event.at + HELD_UP, "could not start")),
            "host.paused" if text(event, "host") == GATEWAY => {
                let pause = Duration::from_millis(number(event, "ms").unsigned_abs());
                self.decided = self.decided.map(|(by, what)| (by + pause, what));
            }
            "gateway.held" => {
                self.held.insert(connection.to_owned(), event.index);
            }
            "gateway.accepted" => {
                self.held.remove(connection);
                self.live.insert(connection.to_owned(), event.index);
            }
            "gateway.refused" | "gateway.left" => {
                self.held.remove(connection);
            }
            "conn.closed" => {
                self.live.remove(connection);
            }
            _ if gateway_lost(event) => return self.left(event),
            _ => {}
        }
        Ok(())
    }

    fn overdue(&mut self, now: Moment) -> Result<(), Broken> {
        self.unanswered(|due| due.at < now, "was not answered in time")?;
        self.departures.overdue(now)?;
        match (self.held.iter().next(), self.decided) {
            (Some((held, at)), Some((by, what))) if by < now => {
                Err(Broken::new(format!("{held} is held by a gateway that {what}")).with([*at]))
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, _end: &End) -> Result<(), Broken> {
        self.unanswered(|_| true, "was never answered")
    }

    fn owed(&self) -> bool {
        self.open.values().any(|commands| !commands.is_empty())
    }
}
