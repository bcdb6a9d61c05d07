//! What several checkers know of a client's tabs. Must never judge.

use std::collections::{BTreeMap, BTreeSet};

use super::{Facts, Tab, tab, text};
use crate::trace::{Event, EventIndex};

/// Which tabs see which runs from their beginning.
#[derive(Debug)]
pub(super) struct Tabs {
    resuming: BTreeSet<String>,
    /// The command id of a tab's pending `connect`.
    connects: BTreeMap<Tab, String>,
    /// When a tab's present connection was ready to be told everything.
    ready: BTreeMap<Tab, EventIndex>,
    /// When a run's start entered the log.
    started: BTreeMap<String, EventIndex>,
}

impl Tabs {
    pub(super) fn new(facts: &Facts) -> Tabs {
        Tabs {
            resuming: facts.resuming.clone(),
            connects: BTreeMap::new(),
            ready: BTreeMap::new(),
            started: BTreeMap::new(),
        }
    }

    pub(super) fn event(&mut self, event: &Event) {
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

    pub(super) fn starts_over(&self, event: &Event) -> bool {
        event.name == "user.connected" && !self.resuming.contains(text(event, "user"))
    }

    /// The tab was ready before the run began, so it must see the beginning.
    pub(super) fn owed_beginning(&self, tab: &Tab, run: &str) -> bool {
        match (self.ready.get(tab), self.started.get(run)) {
            (Some(ready), Some(started)) => ready < started,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }
}
