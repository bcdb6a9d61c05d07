//! I11: every command is answered, or its connection closes. Must never count a re-sent command
//! as an answer to the first.

use std::collections::BTreeMap;

use super::{Tab, tab, text};
use crate::trace::{Event, EventIndex};
use crate::verdict::{Broken, End, Invariant};

/// I11, from the clients' side.
#[derive(Debug, Default)]
pub struct Answered {
    /// Commands without a reply, by tab and command id.
    open: BTreeMap<Tab, BTreeMap<String, EventIndex>>,
}

impl Invariant for Answered {
    fn id(&self) -> &'static str {
        "I11"
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        match event.name {
            "user.sent" => {
                let id = text(event, "id").to_owned();
                self.open.entry(tab(event)).or_default().insert(id, event.index);
            }
            "user.reply" => {
                let tab = tab(event);
                let known = self.open.get_mut(&tab).and_then(|o| o.remove(text(event, "id")));
                if known.is_none() {
                    let (user, id) = (&tab.0, text(event, "id"));
                    return Err(Broken::new(format!("`{user}` got a reply to {id}, not open")));
                }
            }
            "user.closed" => {
                self.open.remove(&tab(event));
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, _end: &End) -> Result<(), Broken> {
        for ((user, number), commands) in &self.open {
            if let Some((id, sent)) = commands.iter().next() {
                let what = format!("command {id} of `{user}`, tab {number}, was never answered");
                return Err(Broken::new(what).with([*sent]));
            }
        }
        Ok(())
    }

    fn owed(&self) -> bool {
        self.open.values().any(|commands| !commands.is_empty())
    }
}
