//! I24: the deltas that a tab received, joined, are the final message, and none comes to a tab
//! that was not told what is before it. Must never judge a tab
//! that was away while the text grew, unless a snapshot gave it what it missed.

use std::collections::{BTreeMap, BTreeSet};

use super::tabs::Tabs;
use super::{Facts, Tab, number, tab, text};
use crate::trace::Event;
use crate::verdict::{Broken, Invariant};

/// I24. `None` is a text of which a part was missed.
#[derive(Debug)]
pub struct Joined {
    tabs: Tabs,
    runs: BTreeMap<Tab, BTreeMap<String, Option<String>>>,
    /// Runs of whose text a tab's present connection knows the beginning.
    begun: BTreeMap<Tab, BTreeSet<String>>,
}

impl Joined {
    pub fn new(facts: &Facts) -> Joined {
        Joined { tabs: Tabs::new(facts), runs: BTreeMap::new(), begun: BTreeMap::new() }
    }

    fn received(&mut self, event: &Event) -> Result<(), Broken> {
        let (run, said) = (text(event, "run"), text(event, "text"));
        let tab = tab(event);
        let runs = self.runs.entry(tab.clone()).or_default();
        match text(event, "type") {
            "agent_started" => {
                // History has no deltas: only who was there from the start hears them all.
                let live = self.tabs.owed_beginning(&tab, run);
                runs.insert(run.to_owned(), live.then(String::new));
            }
            "run_state" => {
                self.begun.entry(tab).or_default().insert(run.to_owned());
                runs.insert(run.to_owned(), Some(said.to_owned()));
            }
            "message_delta" => {
                let first = number(event, "delta_seq") <= 1;
                let begun = self.begun.entry(tab.clone()).or_default();
                if !begun.contains(run) && !first {
                    let (user, number) = (&tab.0, tab.1);
                    let what = format!(
                        "`{user}`, tab {number}: the text of run {run} goes on, \
                         but its beginning was never told"
                    );
                    return Err(Broken::new(what));
                }
                begun.insert(run.to_owned());
                if let Some(Some(joined)) = runs.get_mut(run) {
                    joined.push_str(said);
                }
            }
            "agent_completed" => {
                let joined = runs.remove(run).flatten();
                let success = text(event, "outcome") == "success";
                if let Some(joined) = joined.filter(|joined| success && joined != said) {
                    let (user, tab) = (text(event, "user"), number(event, "tab"));
                    let what = format!(
                        "`{user}`, tab {tab}: the deltas of run {run} join to {joined:?}, \
                         the message is {said:?}"
                    );
                    return Err(Broken::new(what));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Invariant for Joined {
    fn id(&self) -> &'static str {
        "I24"
    }

    fn reads(&self) -> &'static [&'static str] {
        &["user.received", "user.closed", "user.sent", "user.reply", "event.appended"]
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        self.tabs.event(event);
        match event.name {
            "user.received" => return self.received(event),
            "user.closed" => {
                self.begun.remove(&tab(event));
                for joined in self.runs.entry(tab(event)).or_default().values_mut() {
                    *joined = None;
                }
            }
            _ => {}
        }
        Ok(())
    }
}
