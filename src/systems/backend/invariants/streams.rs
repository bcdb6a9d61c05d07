//! I3: `seq` steps by one in each stream and `run_seq` in each run, at every tab of every client,
//! and a client that resumes misses nothing. Must never judge what carries no `seq`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Facts, Tab, number, tab, text};
use crate::trace::{Event, EventIndex};
use crate::verdict::{Broken, Invariant};

#[derive(Debug, Default)]
struct View {
    /// Last epoch and position by stream.
    streams: BTreeMap<String, (String, i64, EventIndex)>,
    /// Last position by run.
    runs: BTreeMap<String, (i64, EventIndex)>,
}

/// I3, at the clients.
#[derive(Debug)]
pub struct Gapless {
    resuming: BTreeSet<String>,
    views: BTreeMap<Tab, View>,
}

impl Gapless {
    pub fn new(facts: &Facts) -> Gapless {
        Gapless { resuming: facts.resuming.clone(), views: BTreeMap::new() }
    }

    fn received(&mut self, event: &Event) -> Result<(), Broken> {
        let view = self.views.entry(tab(event)).or_default();
        let (stream, epoch, seq) =
            (text(event, "stream"), text(event, "epoch"), number(event, "seq"));
        let (run, run_seq) = (text(event, "run"), number(event, "run_seq"));
        let snapshot = text(event, "type") == "run_state";
        if seq > 0 {
            let now = (epoch.to_owned(), seq, event.index);
            let known = view.streams.insert(stream.to_owned(), now);
            if let Some((old_epoch, old, at)) = known.filter(|_| !snapshot)
                && (old_epoch != epoch || old + 1 != seq)
            {
                return Err(gap(event, stream, (&old_epoch, old), (epoch, seq), at));
            }
        }
        if text(event, "type") == "agent_started" && run_seq != 1 {
            let user = text(event, "user");
            let what = format!("run {run} of `{user}` starts with event {run_seq} of it");
            return Err(Broken::new(what));
        }
        if seq > 0 && run_seq > 0 {
            let known = view.runs.insert(run.to_owned(), (run_seq, event.index));
            if let Some((old, at)) = known.filter(|_| !snapshot)
                && old + 1 != run_seq
            {
                return Err(gap(event, run, ("", old), ("", run_seq), at));
            }
        }
        Ok(())
    }
}

fn gap(event: &Event, of: &str, old: (&str, i64), new: (&str, i64), at: EventIndex) -> Broken {
    let (user, tab) = (text(event, "user"), number(event, "tab"));
    let (old, new) = (format!("{}:{}", old.0, old.1), format!("{}:{}", new.0, new.1));
    Broken::new(format!("`{user}`, tab {tab}, received {new} of {of} after {old}")).with([at])
}

impl Invariant for Gapless {
    fn id(&self) -> &'static str {
        "I3"
    }

    fn reads(&self) -> &'static [&'static str] {
        &["user.received", "user.connected"]
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        match event.name {
            "user.received" => return self.received(event),
            "user.connected" if !self.resuming.contains(text(event, "user")) => {
                self.views.remove(&tab(event));
            }
            _ => {}
        }
        Ok(())
    }
}
