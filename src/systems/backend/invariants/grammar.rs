//! I21 and I4: `agent_started (…)* agent_completed`, and tool pairs inside, as each tab of each
//! client sees each run. Must never demand the beginning of a run from a tab that came later.

use std::collections::BTreeMap;

use super::tabs::Tabs;
use super::{Facts, Tab, number, tab, text};
use crate::trace::{Event, EventIndex};
use crate::verdict::{Broken, Invariant};

const INSIDE: &[&str] = &["agent_thinking", "message_delta", "tool_executing", "tool_completed"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// A snapshot told of the run, which is no event of it: its start may still come.
    Shown,
    Begun,
    Ended,
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
            ("run_state", None) => Seen::Shown,
            ("agent_started", None | Some(Seen::Shown)) => Seen::Begun,
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

    fn reads(&self) -> &'static [&'static str] {
        &["user.received", "user.connected", "user.sent", "user.reply", "event.appended"]
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

    fn reads(&self) -> &'static [&'static str] {
        &["user.received", "user.connected"]
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
