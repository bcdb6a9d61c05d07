//! I9: nobody has more than the limit, and who may have one more gets it. Must never believe the
//! gateway's own counts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Facts, GATEWAY, TERMINAL, gateway_lost, number, text};
use crate::env::Moment;
use crate::trace::{Event, Value};
use crate::verdict::{Broken, Invariant};

/// I9: live connections never exceed the limit, and the registry's count is the truth; nor do
/// active runs, no agent works without its slot, and no run waits for one that is free.
#[derive(Debug)]
pub struct Limit {
    facts: Facts,
    live: BTreeMap<String, BTreeSet<String>>,
    /// Active runs and their users.
    active: BTreeMap<String, String>,
    /// Accepted runs without a slot, their users, and since when they could have one.
    waiting: BTreeMap<String, (String, Option<Moment>)>,
    /// The gateway stands still until then.
    paused: Moment,
}

/// For a slot that is free to be taken by a run that waits for one.
const SLOT_WITHIN: Duration = Duration::from_secs(5);

impl Limit {
    pub fn new(facts: &Facts) -> Limit {
        Limit {
            facts: facts.clone(),
            live: BTreeMap::new(),
            active: BTreeMap::new(),
            waiting: BTreeMap::new(),
            paused: Moment::default(),
        }
    }

    /// Active runs of the user and of its tenant.
    fn active_of(&self, user: &str) -> (usize, usize) {
        let tenant = |user: &str| self.facts.tenants.get(user).copied();
        let of_user = self.active.values().filter(|other| *other == user).count();
        let own = tenant(user);
        let of_tenant = self.active.values().filter(|other| tenant(other) == own).count();
        (of_user, of_tenant)
    }

    fn slot(&mut self, event: &Event) -> Result<(), Broken> {
        let (run, user) = (text(event, "run"), text(event, "user"));
        if event.field("taken").and_then(Value::as_bool) != Some(true) {
            self.active.remove(run);
            return Ok(());
        }
        self.active.insert(run.to_owned(), user.to_owned());
        let own = self.facts.tenants.get(user).copied();
        let (of_user, of_tenant) = self.active_of(user);
        let limits = [
            (format!("`{user}`"), of_user, self.facts.runs_of_user_max),
            (format!("tenant {}", own.unwrap_or("")), of_tenant, self.facts.runs_of_tenant_max),
        ];
        match limits.into_iter().find(|(_, active, max)| active > max) {
            Some((whose, active, max)) => {
                let what = format!("{whose} has {active} active runs, {max} are allowed");
                Err(Broken::new(what))
            }
            None => Ok(()),
        }
    }
}

impl Invariant for Limit {
    fn id(&self) -> &'static str {
        "I9"
    }

    fn reads(&self) -> &'static [&'static str] {
        &[
            "run.slot",
            "run.accepted",
            "run.state",
            "host.paused",
            "agent.started",
            "registry.registered",
            "registry.removed",
            "host.crashed",
            "host.exited",
        ]
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        if gateway_lost(event) {
            self.live.clear();
            self.active.clear();
            self.waiting.clear();
        }
        let (user, connection) = (text(event, "user"), text(event, "connection"));
        let live = match event.name {
            "run.slot" => {
                self.waiting.remove(text(event, "run"));
                return self.slot(event);
            }
            "run.accepted" => {
                self.waiting.insert(text(event, "run").to_owned(), (user.to_owned(), None));
                return Ok(());
            }
            "run.state" if TERMINAL.contains(&text(event, "to")) => {
                self.waiting.remove(text(event, "run"));
                return Ok(());
            }
            "host.paused" if text(event, "host") == GATEWAY => {
                let pause = Duration::from_millis(number(event, "ms").unsigned_abs());
                self.paused = event.at + pause;
                return Ok(());
            }
            "agent.started" if !self.active.contains_key(text(event, "run")) => {
                let run = text(event, "run");
                return Err(Broken::new(format!("run {run} works without a slot")));
            }
            "registry.registered" => {
                let live = self.live.entry(user.to_owned()).or_default();
                live.insert(connection.to_owned());
                live.len()
            }
            "registry.removed" => {
                let live = self.live.entry(user.to_owned()).or_default();
                live.remove(connection);
                live.len()
            }
            _ => return Ok(()),
        };
        let max = self.facts.connections_max;
        if live > max {
            let what = format!("`{user}` has {live} connections, {max} are allowed");
            return Err(Broken::new(what));
        }
        let counted = number(event, "live");
        if usize::try_from(counted) != Ok(live) {
            let what = format!("the registry counts {counted} connections of `{user}`, not {live}");
            return Err(Broken::new(what));
        }
        Ok(())
    }

    /// A slot that is free is taken by who waits for it.
    fn overdue(&mut self, now: Moment) -> Result<(), Broken> {
        let mut waiting = std::mem::take(&mut self.waiting);
        for (run, (user, since)) in &mut waiting {
            let (of_user, of_tenant) = self.active_of(user);
            let full = of_user >= self.facts.runs_of_user_max
                || of_tenant >= self.facts.runs_of_tenant_max;
            if full || now < self.paused {
                *since = None;
                continue;
            }
            let since = *since.get_or_insert(now);
            if now.since(since) > SLOT_WITHIN {
                return Err(Broken::new(format!("run {run} of `{user}` waits for a free slot")));
            }
        }
        self.waiting = waiting;
        Ok(())
    }
}
