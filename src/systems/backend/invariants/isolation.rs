//! I5: an event belongs to the user, tenant, thread and run it says, and nobody else sees a byte
//! of it. Must never trust one field to vouch for another: each is compared with its own source.

use std::collections::BTreeMap;

use super::{Facts, text};
use crate::trace::{Event, EventIndex};
use crate::verdict::{Broken, Invariant};

#[derive(Debug)]
struct Run {
    tenant: String,
    user: String,
    thread: String,
    at: EventIndex,
}

/// I5, at the log, in the agent, on each connection and at each client.
#[derive(Debug)]
pub struct Isolation {
    tenants: BTreeMap<String, &'static str>,
    runs: BTreeMap<String, Run>,
    /// Owner and run of each context.
    contexts: BTreeMap<String, (String, String)>,
    /// User of each authenticated connection.
    connections: BTreeMap<String, String>,
}

impl Isolation {
    pub fn new(facts: &Facts) -> Isolation {
        Isolation {
            tenants: facts.tenants.clone(),
            runs: BTreeMap::new(),
            contexts: BTreeMap::new(),
            connections: BTreeMap::new(),
        }
    }

    fn accepted(&mut self, event: &Event) {
        let field = |name: &str| text(event, name).to_owned();
        let run = Run {
            tenant: field("tenant"),
            user: field("user"),
            thread: field("thread"),
            at: event.index,
        };
        self.runs.entry(field("run")).or_insert(run);
    }

    /// The event's `user`, `tenant` and `thread` fields are those of its run, where known.
    fn of_run(&self, event: &Event, user: &str) -> Result<(), Broken> {
        let Some(run) = self.runs.get(text(event, "run")) else { return Ok(()) };
        let pairs = [
            ("user", user, run.user.as_str()),
            ("tenant", text(event, "tenant"), run.tenant.as_str()),
            ("thread", text(event, "thread"), run.thread.as_str()),
        ];
        for (what, found, expected) in pairs {
            if !found.is_empty() && found != expected {
                let (name, run_id) = (event.name, text(event, "run"));
                let text = format!("{name} of run {run_id} has {what} {found}, not {expected}");
                return Err(Broken::new(text).with([run.at]));
            }
        }
        Ok(())
    }

    fn worked(&self, event: &Event) -> Result<(), Broken> {
        self.of_run(event, text(event, "user"))?;
        let Some((user, run)) = self.contexts.get(text(event, "context")) else { return Ok(()) };
        let wanted = text(event, "run");
        if user != text(event, "user") || (!run.is_empty() && run != wanted) {
            let what = format!("run {wanted} works in the context of `{user}`'s run {run}");
            return Err(Broken::new(what));
        }
        Ok(())
    }

    fn sent(&self, event: &Event) -> Result<(), Broken> {
        let Some(user) = self.connections.get(text(event, "connection")) else { return Ok(()) };
        self.of_run(event, user)
    }

    fn received(&self, event: &Event) -> Result<(), Broken> {
        let user = text(event, "user");
        for field in ["owner", "marker"] {
            let found = text(event, field);
            if !found.is_empty() && found != user {
                let what = format!("`{user}` received an event whose {field} is `{found}`");
                return Err(Broken::new(what));
            }
        }
        let tenant = text(event, "tenant");
        let own = self.tenants.get(user).copied().unwrap_or(tenant);
        if !tenant.is_empty() && tenant != own {
            let what = format!("`{user}` of tenant {own} received an event of tenant {tenant}");
            return Err(Broken::new(what));
        }
        self.of_run(event, user)
    }
}

impl Invariant for Isolation {
    fn id(&self) -> &'static str {
        "I5"
    }

    fn reads(&self) -> &'static [&'static str] {
        &[
            "run.accepted",
            "context.created",
            "conn.authenticated",
            "agent.started",
            "event.appended",
            "frame.sent",
            "user.received",
        ]
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        match event.name {
            "run.accepted" => self.accepted(event),
            "context.created" => {
                let field = |name: &str| text(event, name).to_owned();
                self.contexts.insert(field("context"), (field("user"), field("run")));
            }
            "conn.authenticated" => {
                let (connection, user) = (text(event, "connection"), text(event, "user"));
                self.connections.insert(connection.to_owned(), user.to_owned());
            }
            "agent.started" => return self.worked(event),
            "event.appended" => return self.of_run(event, text(event, "user")),
            "frame.sent" => return self.sent(event),
            "user.received" => return self.received(event),
            _ => {}
        }
        Ok(())
    }
}
