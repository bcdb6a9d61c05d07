//! I10: at rest nothing is left of what ended: connections, contexts, slots, tasks. Must never
//! hold a crashed gateway to what it could not clean up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Facts, GATEWAY, TERMINAL, Up, gateway_lost, number, text};
use crate::env::Moment;
use crate::trace::{Event, EventIndex};
use crate::verdict::{Broken, End, Invariant};

/// Tasks that belong to a connection or a run. A command may outlast its user by what the database
/// takes to answer; that it is answered is another check's.
const TASKS: &[&str] = &["reader", "writer", "run", "agent", "connection"];
/// For the end of a run to be written and told, before it is remembered for its time.
const WRITTEN_WITHIN: Duration = Duration::from_secs(10);

/// I10, judged when every user is done.
#[derive(Debug)]
pub struct NothingLeft {
    purge_after: Duration,
    calm: Moment,
    up: Up,
    users: BTreeSet<String>,
    connections: BTreeMap<String, EventIndex>,
    contexts: BTreeMap<String, EventIndex>,
    /// Slots in use by user and by tenant, as last told; places in the pool likewise.
    slots: BTreeMap<String, (i64, EventIndex)>,
    pool: Option<(i64, EventIndex)>,
    tenants: BTreeMap<String, &'static str>,
    /// Connections in the registry.
    registered: BTreeSet<String>,
    /// Runs that ended, until they are forgotten.
    ended: BTreeMap<String, (Moment, EventIndex)>,
}

impl NothingLeft {
    pub fn new(facts: &Facts) -> NothingLeft {
        NothingLeft {
            purge_after: facts.purge_after,
            calm: facts.calm,
            up: Up::default(),
            users: BTreeSet::new(),
            connections: BTreeMap::new(),
            contexts: BTreeMap::new(),
            slots: BTreeMap::new(),
            pool: None,
            tenants: facts.tenants.clone(),
            registered: BTreeSet::new(),
            ended: BTreeMap::new(),
        }
    }

    fn gone(&mut self, event: &Event) -> Result<(), Broken> {
        let connection = text(event, "connection");
        self.connections.remove(connection);
        if self.registered.remove(connection) {
            let what = format!("connection {connection} is gone, but still in the registry");
            return Err(Broken::new(what));
        }
        Ok(())
    }

    /// What is remembered past its time.
    fn stale(&self, end: &End) -> Result<(), Broken> {
        let kept = self.purge_after + WRITTEN_WITHIN;
        let stale = self.ended.iter().find(|(_, (at, _))| (*at).max(self.calm) + kept < end.at);
        match stale {
            Some((run, (_, at))) => {
                Err(Broken::new(format!("run {run} ended, and is never forgotten")).with([*at]))
            }
            None => Ok(()),
        }
    }

    fn slots(&mut self, event: &Event) {
        let user = text(event, "user");
        let of_user = (format!("`{user}`"), number(event, "active"));
        let tenant = self.tenants.get(user).copied().unwrap_or("");
        let of_tenant = (format!("tenant {tenant}"), number(event, "of_tenant"));
        for (whose, taken) in [of_user, of_tenant] {
            self.slots.insert(whose, (taken, event.index));
        }
    }

    fn forget(&mut self) {
        self.registered.clear();
        self.ended.clear();
        self.connections.clear();
        self.contexts.clear();
        self.slots.clear();
        self.pool = None;
    }

    fn left(&self) -> Option<(String, EventIndex)> {
        let connection = self.connections.iter().next();
        let context = self.contexts.iter().next();
        let slots = self.slots.iter().find(|(_, (taken, _))| *taken != 0);
        let pool = self.pool.filter(|(taken, _)| *taken != 0);
        connection
            .map(|(id, at)| (format!("connection {id} is not gone"), *at))
            .or_else(|| context.map(|(id, at)| (format!("context {id} is still held"), *at)))
            .or_else(|| {
                slots.map(|(whose, (n, at))| (format!("{whose} still holds {n} slots"), *at))
            })
            .or_else(|| pool.map(|(n, at)| (format!("{n} places in the pool are still taken"), at)))
    }
}

impl Invariant for NothingLeft {
    fn id(&self) -> &'static str {
        "I10"
    }

    fn reads(&self) -> &'static [&'static str] {
        &[
            "user.started",
            "user.finished",
            "user.failed",
            "gateway.accepted",
            "conn.gone",
            "registry.registered",
            "registry.removed",
            "run.state",
            "run.purged",
            "context.created",
            "context.dropped",
            "run.slot",
            "pool.taken",
            "pool.returned",
            "pool.left",
            "host.started",
            "host.crashed",
            "host.exited",
        ]
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
            "conn.gone" => return self.gone(event),
            "registry.registered" => {
                self.registered.insert(id("connection"));
            }
            "registry.removed" => {
                self.registered.remove(text(event, "connection"));
            }
            "run.state" if TERMINAL.contains(&text(event, "to")) => {
                self.ended.insert(id("run"), (event.at, event.index));
            }
            "run.purged" => {
                self.ended.remove(text(event, "run"));
            }
            "context.created" => {
                self.contexts.insert(id("context"), event.index);
            }
            "context.dropped" => {
                self.contexts.remove(text(event, "context"));
            }
            "run.slot" => self.slots(event),
            "pool.taken" | "pool.returned" | "pool.left" => {
                self.pool = Some((number(event, "in_use"), event.index));
            }
            _ if gateway_lost(event) => self.forget(),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, end: &End) -> Result<(), Broken> {
        self.stale(end)?;
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
