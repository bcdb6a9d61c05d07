//! I21 and I4: `agent_started (…)* agent_completed`, and tool pairs inside, as each tab of each
//! client sees each run. Must never demand the beginning of a run from a tab that came later.

use std::collections::{BTreeMap, BTreeSet};

use super::{Facts, Tab, number, tab, text};
use crate::trace::{Event, EventIndex};
use crate::verdict::{Broken, Invariant};

const INSIDE: &[&str] = &["agent_thinking", "message_delta", "tool_executing", "tool_completed"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Begun,
    Ended,
}

/// Which tabs see which runs from their beginning.
#[derive(Debug)]
struct Tabs {
    resuming: BTreeSet<String>,
    /// The command id of a tab's pending `connect`.
    connects: BTreeMap<Tab, String>,
    /// When a tab's present connection was ready to be told everything.
    ready: BTreeMap<Tab, EventIndex>,
    /// When a run's start entered the log.
    started: BTreeMap<String, EventIndex>,
}

impl Tabs {
    fn new(facts: &Facts) -> Tabs {
        Tabs {
            resuming: facts.resuming.clone(),
            connects: BTreeMap::new(),
            ready: BTreeMap::new(),
            started: BTreeMap::new(),
        }
    }

    fn event(&mut self, event: &Event) {
        match event.name {
            "user.sent" if text(event, "method") == "connect" => {
                self.connects.insert(tab(event), text(event, "id").to_owned());
            }
            "user.reply" => {
                let tab = tab(event);
                if self.connects.get(&tab).is_some_and(|id| id == text(event, "id")) {
                    self.ready.insert(tab, event.index);
                }
            }
            "event.appended" if text(event, "type") == "agent_started" => {
                self.started.insert(text(event, "run").to_owned(), event.index);
            }
            _ => {}
        }
    }

    fn starts_over(&self, event: &Event) -> bool {
        event.name == "user.connected" && !self.resuming.contains(text(event, "user"))
    }

    /// The tab was ready before the run began, so it must see the beginning.
    fn owed_beginning(&self, tab: &Tab, run: &str) -> bool {
        match (self.ready.get(tab), self.started.get(run)) {
            (Some(ready), Some(started)) => ready < started,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }
}

/// I21.
#[derive(Debug)]
pub struct Grammar {
    tabs: Tabs,
    runs: BTreeMap<Tab, BTreeMap<String, Seen>>,
}

impl Grammar {
    pub fn new(facts: &Facts) -> Grammar {
        Grammar { tabs: Tabs::new(facts), runs: BTreeMap::new() }
    }

    fn received(&mut self, event: &Event) -> Result<(), Broken> {
        let (kind, run) = (text(event, "type"), text(event, "run"));
        let tab = tab(event);
        let runs = self.runs.entry(tab.clone()).or_default();
        let seen = runs.get(run).copied();
        let broken = |why: &str| {
            let (user, number) = (&tab.0, tab.1);
            Err(Broken::new(format!("`{user}`, tab {number}: {kind} of run {run} {why}")))
        };
        let next = match (kind, seen) {
            ("agent_started" | "run_state", None) => Seen::Begun,
            ("agent_started", Some(Seen::Begun)) => return broken("came twice"),
            ("run_state", Some(seen)) => seen,
            (kind, _) if kind != "agent_completed" && !INSIDE.contains(&kind) => return Ok(()),
            (_, Some(Seen::Ended)) => return broken("came after its end"),
            (_, None) if self.tabs.owed_beginning(&tab, run) => {
                return broken("came before its start");
            }
            ("agent_completed", _) => Seen::Ended,
            _ => Seen::Begun,
        };
        runs.insert(run.to_owned(), next);
        Ok(())
    }
}

impl Invariant for Grammar {
    fn id(&self) -> &'static str {
        "I21"
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        self.tabs.event(event);
        if self.tabs.starts_over(event) {
            self.runs.remove(&tab(event));
        }
        if event.name == "user.received" && !text(event, "run").is_empty() {
            return self.received(event);
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Calls {
    /// The tab saw the run's start and has missed nothing since.
    whole: bool,
    open: BTreeMap<String, EventIndex>,
}

/// I4.
#[derive(Debug)]
pub struct ToolPairs {
    tabs: Tabs,
    runs: BTreeMap<Tab, BTreeMap<String, Calls>>,
}

impl ToolPairs {
    pub fn new(facts: &Facts) -> ToolPairs {
        ToolPairs { tabs: Tabs::new(facts), runs: BTreeMap::new() }
    }

    fn received(&mut self, event: &Event) -> Result<(), Broken> {
        let (run, call) = (text(event, "run"), text(event, "tool_call"));
        let calls = self.runs.entry(tab(event)).or_default().entry(run.to_owned()).or_default();
        let who = || format!("`{}`, tab {}", text(event, "user"), number(event, "tab"));
        match text(event, "type") {
            "agent_started" => calls.whole = true,
            "tool_executing" => {
                if let Some(first) = calls.open.insert(call.to_owned(), event.index) {
                    let what = format!("{}: call {call} of run {run} began twice", who());
                    return Err(Broken::new(what).with([first]));
                }
            }
            "tool_completed" if calls.open.remove(call).is_none() && calls.whole => {
                let what = format!("{}: call {call} of run {run} ended, but never began", who());
                return Err(Broken::new(what));
            }
            "agent_completed" => {
                if let Some((call, began)) = calls.open.iter().next() {
                    let what = format!("{}: run {run} ended with call {call} open", who());
                    return Err(Broken::new(what).with([*began]));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Invariant for ToolPairs {
    fn id(&self) -> &'static str {
        "I4"
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        if self.tabs.starts_over(event) {
            self.runs.remove(&tab(event));
        }
        if event.name == "user.received" && !text(event, "run").is_empty() {
            return self.received(event);
        }
        Ok(())
    }
}
