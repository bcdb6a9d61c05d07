//! I2 and I12: a message makes one run, a run has one end. Must never forget a run in a crash:
//! runs outlive the gateway.

use std::collections::{BTreeMap, BTreeSet};

use super::{TERMINAL, Tab, Up, inserted, tab, text};
use crate::trace::{Event, EventIndex};
use crate::verdict::{Broken, End, Invariant};

/// I2: one terminal event a run, at the log, on each connection and at each client; and each
/// accepted run gets it while a gateway lives to give it.
#[derive(Debug, Default)]
pub struct OneEnd {
    up: Up,
    appended: BTreeMap<String, EventIndex>,
    sent: BTreeMap<(String, String), EventIndex>,
    received: BTreeMap<(Tab, String), EventIndex>,
    /// Accepted, and its end not yet committed.
    open: BTreeMap<String, EventIndex>,
    ended: BTreeSet<String>,
}

impl OneEnd {
    fn once<K: Ord>(
        seen: &mut BTreeMap<K, EventIndex>,
        key: K,
        event: &Event,
        where_: &str,
    ) -> Result<(), Broken> {
        let Some(first) = seen.insert(key, event.index) else { return Ok(()) };
        let run = text(event, "run");
        Err(Broken::new(format!("run {run} ended twice {where_}")).with([first]))
    }

    fn opened(&mut self, event: &Event) {
        let run = text(event, "run");
        if !self.ended.contains(run) {
            self.open.entry(run.to_owned()).or_insert(event.index);
        }
    }

    fn committed(&mut self, event: &Event) {
        if TERMINAL.contains(&text(event, "state")) {
            self.open.remove(text(event, "run"));
            self.ended.insert(text(event, "run").to_owned());
        } else {
            self.opened(event);
        }
    }
}

impl Invariant for OneEnd {
    fn id(&self) -> &'static str {
        "I2"
    }

    fn reads(&self) -> &'static [&'static str] {
        &[
            "run.accepted",
            "db.commit",
            "event.appended",
            "frame.sent",
            "user.received",
            "user.connected",
            "host.started",
            "host.crashed",
            "host.exited",
        ]
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        self.up.event(event);
        let end = || text(event, "type") == "agent_completed";
        let run = || text(event, "run").to_owned();
        match event.name {
            "run.accepted" => self.opened(event),
            "db.commit" if text(event, "table") == "runs" => self.committed(event),
            "event.appended" if end() => {
                return Self::once(&mut self.appended, run(), event, "in the log");
            }
            "frame.sent" if end() => {
                let key = (text(event, "connection").to_owned(), run());
                return Self::once(&mut self.sent, key, event, "on one connection");
            }
            "user.received" if end() => {
                let key = (tab(event), run());
                return Self::once(&mut self.received, key, event, "for one tab");
            }
            // A client that starts afresh may be shown an old end again.
            "user.connected" => {
                let tab = tab(event);
                self.received.retain(|(owner, _), _| *owner != tab);
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, _end: &End) -> Result<(), Broken> {
        match self.open.iter().next() {
            Some((run, at)) if self.up.0 => {
                Err(Broken::new(format!("run {run} never ended")).with([*at]))
            }
            _ => Ok(()),
        }
    }

    fn owed(&self) -> bool {
        self.up.0 && !self.open.is_empty()
    }
}

/// I12: one run an accepted message; run ids unique.
#[derive(Debug, Default)]
pub struct OneRun {
    accepted: BTreeMap<String, EventIndex>,
    inserted: BTreeMap<String, EventIndex>,
    /// The run of a user's message, by idempotency key.
    of_message: BTreeMap<(String, String), (String, EventIndex)>,
    message_of: BTreeMap<String, (String, EventIndex)>,
    /// Runs whose question is kept.
    asked: BTreeSet<String>,
}

impl OneRun {
    fn replied(&mut self, event: &Event) -> Result<(), Broken> {
        let (user, idem, run) = (text(event, "user"), text(event, "idem"), text(event, "run"));
        if idem.is_empty() || run.is_empty() {
            return Ok(());
        }
        let key = (user.to_owned(), idem.to_owned());
        let known = self.of_message.entry(key).or_insert((run.to_owned(), event.index));
        if known.0 != run {
            let what = format!("message {idem} of `{user}` made two runs, {} and {run}", known.0);
            return Err(Broken::new(what).with([known.1]));
        }
        let message = self.message_of.entry(run.to_owned());
        let message = message.or_insert((idem.to_owned(), event.index));
        if message.0 != idem {
            let what = format!("messages {} and {idem} of `{user}` share run {run}", message.0);
            return Err(Broken::new(what).with([message.1]));
        }
        Ok(())
    }
}

impl Invariant for OneRun {
    fn id(&self) -> &'static str {
        "I12"
    }

    fn reads(&self) -> &'static [&'static str] {
        &["run.accepted", "db.commit", "user.reply"]
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        let run = text(event, "run");
        if inserted(event, "messages").is_some() {
            self.asked.insert(run.to_owned());
        }
        let seen = match event.name {
            "run.accepted" if !self.asked.contains(run) => {
                return Err(Broken::new(format!("run {run} was accepted without its message")));
            }
            "run.accepted" => &mut self.accepted,
            "db.commit" if inserted(event, "runs").is_some() => &mut self.inserted,
            "user.reply" => return self.replied(event),
            _ => return Ok(()),
        };
        match seen.insert(run.to_owned(), event.index) {
            None => Ok(()),
            Some(first) => Err(Broken::new(format!("run {run} was accepted twice")).with([first])),
        }
    }
}
