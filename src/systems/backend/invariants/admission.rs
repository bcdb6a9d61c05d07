//! I1, I14 and I18: who is let in, and when the gateway may blame itself. Must never excuse a cold
//! start.

use std::time::Duration;

use super::{GATEWAY, gateway_lost, number, text};
use crate::env::Moment;
use crate::trace::{Event, EventIndex, Value};
use crate::verdict::{Broken, Invariant};

/// I1: no upgrade is accepted and no frame handled before Ready.
#[derive(Debug, Default)]
pub struct ReadyFirst {
    ready: bool,
}

impl Invariant for ReadyFirst {
    fn id(&self) -> &'static str {
        "I1"
    }

    fn reads(&self) -> &'static [&'static str] {
        &["gateway.ready", "gateway.accepted", "frame.handled", "host.crashed", "host.exited"]
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        match event.name {
            "gateway.ready" => self.ready = true,
            "gateway.accepted" if !self.ready => {
                let connection = text(event, "connection");
                return Err(Broken::new(format!("upgrade {connection} was accepted before ready")));
            }
            "frame.handled" if !self.ready => {
                let (method, user) = (text(event, "method"), text(event, "user"));
                let what = format!("`{method}` of `{user}` was handled before ready");
                return Err(Broken::new(what));
            }
            _ if gateway_lost(event) => self.ready = false,
            _ => {}
        }
        Ok(())
    }
}

/// I14: 1011 is for internal faults. What the world breaks is outside of the gateway, and has codes
/// of its own; a task of the gateway that panics is an internal fault, and a defect.
#[derive(Debug, Default)]
pub struct NoInternalFault;

impl Invariant for NoInternalFault {
    fn id(&self) -> &'static str {
        "I14"
    }

    fn reads(&self) -> &'static [&'static str] {
        &["conn.closed", "user.closed", "task.panicked"]
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        let closed = matches!(event.name, "conn.closed" | "user.closed");
        if closed && number(event, "code") == 1011 {
            let user = text(event, "user");
            return Err(Broken::new(format!("1011 for `{user}` without an internal fault")));
        }
        if event.name == "task.panicked" && text(event, "host") == GATEWAY {
            let (task, message) = (text(event, "task"), text(event, "message"));
            return Err(Broken::new(format!("task `{task}` of the gateway panicked: {message}")));
        }
        Ok(())
    }
}

/// How old a probe may be when it decides: the contract's second, and as long for the
/// decision itself, which may be held up.
const PROBE_AGE_MAX: Duration = Duration::from_millis(2000);

/// How long a decision may still follow a probe that another one has contradicted: two may be
/// under way, and who decides by the first may be held up.
const CONTRADICTED_MAX: Duration = Duration::from_millis(1000);

/// I18: who is let in, who is refused for the store's sake, and what `/readyz` says follow the
/// store as a probe has seen it within the last second.
#[derive(Debug, Default)]
pub struct AsProbed {
    ready: bool,
    /// The last probe, and since when in a row they say the same.
    probe: Option<(Probe, Moment)>,
    /// The last probe that said otherwise.
    contradicted: Option<Probe>,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    up: bool,
    at: Moment,
    index: EventIndex,
}

impl AsProbed {
    fn decided(&self, event: &Event, up: bool) -> Result<(), Broken> {
        let what = event.name;
        let Some((last, since)) = self.probe else {
            return Err(Broken::new(format!("{what} without a probe of the store")));
        };
        let other = self.contradicted.filter(|_| event.at.since(since) <= CONTRADICTED_MAX);
        let Some(basis) = [Some(last), other].into_iter().flatten().find(|p| p.up == up) else {
            let why = format!("{what}, but the probe of the store said {}", last.up);
            return Err(Broken::new(why).with([last.index]));
        };
        let age = event.at.since(basis.at);
        if age > PROBE_AGE_MAX {
            let age = age.as_millis();
            let why = format!("{what} by a probe of the store that is {age} ms old");
            return Err(Broken::new(why).with([basis.index]));
        }
        Ok(())
    }

    fn probed(&mut self, up: bool, event: &Event) {
        let probe = Probe { up, at: event.at, index: event.index };
        let since = match self.probe {
            Some((last, since)) if last.up == up => since,
            Some((last, _)) => {
                self.contradicted = Some(last);
                event.at
            }
            None => event.at,
        };
        self.probe = Some((probe, since));
    }
}

impl Invariant for AsProbed {
    fn id(&self) -> &'static str {
        "I18"
    }

    fn reads(&self) -> &'static [&'static str] {
        &[
            "gateway.ready",
            "store.probed",
            "gateway.accepted",
            "gateway.refused",
            "gateway.probed",
            "host.crashed",
            "host.exited",
        ]
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        let flag = |field: &str| event.field(field).and_then(Value::as_bool) == Some(true);
        match event.name {
            "gateway.ready" => self.ready = true,
            "store.probed" => self.probed(flag("up"), event),
            "gateway.accepted" if self.ready => return self.decided(event, true),
            "gateway.refused" if text(event, "reason") == "store" => {
                return self.decided(event, false);
            }
            "gateway.probed"
                if flag("ready") != (text(event, "state") == "ready" && flag("store")) =>
            {
                return Err(Broken::new("/readyz says otherwise than state and store"));
            }
            "gateway.probed" if self.ready => return self.decided(event, flag("store")),
            _ if gateway_lost(event) => *self = AsProbed::default(),
            _ => {}
        }
        Ok(())
    }
}
