//! I13: one close frame a connection, and nothing after it. Must never mind an end without one.

use std::collections::BTreeMap;

use super::{number, text};
use crate::trace::{Event, EventIndex};
use crate::verdict::{Broken, Invariant};

/// I13, from both ends of the socket.
#[derive(Debug, Default)]
pub struct OneClose {
    /// Connections whose writer has ended, and by which event.
    closed: BTreeMap<String, EventIndex>,
}

impl Invariant for OneClose {
    fn id(&self) -> &'static str {
        "I13"
    }

    fn reads(&self) -> &'static [&'static str] {
        &["conn.closed", "frame.sent", "user.protocol_error"]
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        let connection = text(event, "connection");
        let first = self.closed.get(connection).copied();
        match (event.name, first) {
            ("conn.closed", None) => {
                self.closed.insert(connection.to_owned(), event.index);
                Ok(())
            }
            ("conn.closed", Some(first)) if number(event, "code") != 0 => {
                let what = format!("connection {connection} was closed twice");
                Err(Broken::new(what).with([first]))
            }
            ("frame.sent", Some(first)) => {
                let what = format!("connection {connection} sent a frame after its close");
                Err(Broken::new(what).with([first]))
            }
            ("user.protocol_error", _) => {
                let (user, what) = (text(event, "user"), text(event, "what"));
                Err(Broken::new(format!("`{user}` met a breach of the protocol: {what}")))
            }
            _ => Ok(()),
        }
    }
}
