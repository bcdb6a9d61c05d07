//! I1 and I14: who is let in, and when the gateway may blame itself. Must never excuse a cold
//! start.

use super::{DATABASE, gateway_lost, number, text};
use crate::trace::Event;
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

/// I14: 1011 is for injected internal faults.
#[derive(Debug, Default)]
pub struct NoInternalFault {
    /// A fault struck the database or the gateway's way to it.
    excused: bool,
}

impl NoInternalFault {
    fn strikes_database(event: &Event) -> bool {
        let fault = matches!(
            event.name,
            "host.crashed" | "host.paused" | "net.partition" | "net.reset" | "net.stalled"
        );
        let fields = ["host", "peer", "from", "to"];
        fault && fields.iter().any(|field| text(event, field).starts_with(DATABASE))
    }
}

impl Invariant for NoInternalFault {
    fn id(&self) -> &'static str {
        "I14"
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        let closed = matches!(event.name, "conn.closed" | "user.closed");
        if closed && number(event, "code") == 1011 && !self.excused {
            let user = text(event, "user");
            return Err(Broken::new(format!("1011 for `{user}` without an internal fault")));
        }
        self.excused |= Self::strikes_database(event);
        Ok(())
    }
}
