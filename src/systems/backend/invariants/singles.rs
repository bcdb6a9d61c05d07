//! I17, I19 and I22: what is single is single, and the pool's count is the truth. Must never count
//! across lives of the gateway.

use std::collections::{BTreeMap, BTreeSet};

use super::{gateway_lost, inserted, number, text};
use crate::trace::{Event, EventIndex};
use crate::verdict::{Broken, Invariant};

/// I19: those in use are at least the sessions handed out and not taken back, and never above
/// capacity; that no place is lost shows at rest (I10).
#[derive(Debug, Default)]
pub struct Pool {
    out: BTreeSet<i64>,
}

impl Invariant for Pool {
    fn id(&self) -> &'static str {
        "I19"
    }

    fn reads(&self) -> &'static [&'static str] {
        &["pool.taken", "pool.returned", "host.crashed", "host.exited"]
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        let session = number(event, "session");
        let moved = match event.name {
            "pool.taken" => self.out.insert(session),
            "pool.returned" => self.out.remove(&session),
            _ => {
                if gateway_lost(event) {
                    self.out.clear();
                }
                return Ok(());
            }
        };
        let (counted, out) = (number(event, "in_use"), self.out.len());
        if !moved {
            let what = format!("{} of session {session} out of turn", event.name);
            return Err(Broken::new(what));
        }
        if usize::try_from(counted).is_ok_and(|counted| counted < out) {
            let what = format!("the pool counts {counted} sessions in use, {out} are out");
            return Err(Broken::new(what));
        }
        if event.name == "pool.taken" && counted > number(event, "capacity") {
            return Err(Broken::new(format!("{counted} sessions are above the pool's capacity")));
        }
        Ok(())
    }
}

/// I17: the idempotency key of a message is used up together with the run that it makes, for one
/// run and once.
#[derive(Debug, Default)]
pub struct Keys {
    used: BTreeMap<(String, String), EventIndex>,
    runs: BTreeSet<String>,
}

impl Invariant for Keys {
    fn id(&self) -> &'static str {
        "I17"
    }

    fn reads(&self) -> &'static [&'static str] {
        &["db.commit", "run.accepted"]
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        let run = text(event, "run");
        if inserted(event, "idempotency").is_some() {
            let (user, key) = (text(event, "user"), text(event, "key"));
            self.runs.insert(run.to_owned());
            let before = self.used.insert((user.to_owned(), key.to_owned()), event.index);
            if let Some(first) = before {
                let what = format!("key {key} of `{user}` was used up twice");
                return Err(Broken::new(what).with([first]));
            }
        }
        if event.name == "run.accepted" && !self.runs.contains(run) {
            return Err(Broken::new(format!("run {run} was accepted, its key is still unused")));
        }
        Ok(())
    }
}

/// I22: one of each shared thing a life of the gateway, one thread a user and key.
#[derive(Debug, Default)]
pub struct Single {
    built: BTreeMap<String, EventIndex>,
    threads: BTreeMap<(String, String), (String, EventIndex)>,
}

impl Single {
    fn thread(&mut self, event: &Event) -> Result<(), Broken> {
        let (user, thread) = (text(event, "user"), text(event, "thread"));
        let made = (thread.to_owned(), event.index);
        let key = (user.to_owned(), text(event, "key").to_owned());
        match self.threads.insert(key, made) {
            Some((first, at)) if first != thread => {
                let what = format!("`{user}` has two threads for one key, {first} and {thread}");
                Err(Broken::new(what).with([at]))
            }
            _ => Ok(()),
        }
    }
}

impl Invariant for Single {
    fn id(&self) -> &'static str {
        "I22"
    }

    fn reads(&self) -> &'static [&'static str] {
        &["gateway.built", "db.commit", "host.crashed", "host.exited"]
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        match event.name {
            "gateway.built" => {
                let what = text(event, "what");
                if let Some(first) = self.built.insert(what.to_owned(), event.index) {
                    return Err(Broken::new(format!("{what} was built twice")).with([first]));
                }
            }
            "db.commit" if text(event, "table") == "threads" && text(event, "op") == "insert" => {
                return self.thread(event);
            }
            _ if gateway_lost(event) => self.built.clear(),
            _ => {}
        }
        Ok(())
    }
}
