//! I10: at rest nothing is left of what ended: connections, contexts, slots, tasks. Must never
//! hold a crashed gateway to what it could not clean up.

use std::collections::{BTreeMap, BTreeSet};

use super::{GATEWAY, Up, gateway_lost, number, text};
use crate::trace::{Event, EventIndex};
use crate::verdict::{Broken, End, Invariant};

/// Tasks that belong to a connection or a run.
const TASKS: &[&str] = &["reader", "writer", "run", "agent", "connection"];

/// I10, judged when every user is done.
#[derive(Debug, Default)]
pub struct NothingLeft {
    up: Up,
    users: BTreeSet<String>,
    connections: BTreeMap<String, EventIndex>,
    contexts: BTreeMap<String, EventIndex>,
    /// Slots in use by user, as last told.
    slots: BTreeMap<String, (i64, EventIndex)>,
}

impl NothingLeft {
    fn forget(&mut self) {
        self.connections.clear();
        self.contexts.clear();
        self.slots.clear();
    }

    fn left(&self) -> Option<(String, EventIndex)> {
        let connection = self.connections.iter().next();
        let context = self.contexts.iter().next();
        let slot = self.slots.iter().find(|(_, (active, _))| *active != 0);
        connection
            .map(|(id, at)| (format!("connection {id} is not gone"), *at))
            .or_else(|| context.map(|(id, at)| (format!("context {id} is still held"), *at)))
            .or_else(|| slot.map(|(user, (n, at))| (format!("`{user}` holds {n} slots"), *at)))
    }
}

impl Invariant for NothingLeft {
    fn id(&self) -> &'static str {
        "I10"
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        self.up.event(event);
        let id = |field: &str| text(event, field).to_owned();
        match event.name {
            "user.started" => {
                self.users.insert(id("user"));
            }
            "user.finished" | "user.failed" => {
                self.users.remove(text(event, "user"));
            }
            "gateway.accepted" => {
                self.connections.insert(id("connection"), event.index);
            }
            "conn.gone" => {
                self.connections.remove(text(event, "connection"));
            }
            "context.created" => {
                self.contexts.insert(id("context"), event.index);
            }
            "context.dropped" => {
                self.contexts.remove(text(event, "context"));
            }
            "run.slot" => {
                self.slots.insert(id("user"), (number(event, "active"), event.index));
            }
            _ if gateway_lost(event) => self.forget(),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, end: &End) -> Result<(), Broken> {
        if !self.users.is_empty() || !self.up.0 {
            return Ok(());
        }
        if let Some((what, at)) = self.left() {
            return Err(Broken::new(what).with([at]));
        }
        let task = end.left.iter().find(|(host, name, _)| host == GATEWAY && TASKS.contains(name));
        match task {
            Some((_, name, count)) => {
                Err(Broken::new(format!("{count} tasks `{name}` of the gateway are left")))
            }
            None => Ok(()),
        }
    }

    fn owed(&self) -> bool {
        self.up.0 && self.left().is_some()
    }
}
