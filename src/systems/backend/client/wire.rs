//! Frames and bodies as the client writes and reads them: its own idea of the wire, so that a
//! change of the server's shows. Must never import the server's.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A command, before it has an id: the same `idem` may be sent again under another id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub method: &'static str,
    pub idem: String,
    pub params: Value,
}

#[derive(Serialize)]
struct CommandFrame<'a> {
    v: u32,
    id: &'a str,
    method: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    idem: &'a str,
    params: &'a Value,
}

impl Command {
    pub fn to_text(&self, id: &str) -> String {
        let Command { method, idem, params } = self;
        let frame = CommandFrame { v: 1, id, method, idem, params };
        serde_json::to_string(&frame).expect("a command is plain data")
    }
}

/// Where a client stands in a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Position {
    pub stream: String,
    pub epoch: String,
    pub seq: i64,
}

/// Any frame of the server: a reply or an event; what a frame does not carry is empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Frame {
    #[serde(rename = "type")]
    pub kind: String,
    pub id: String,
    pub stream: String,
    pub epoch: String,
    pub seq: i64,
    pub run_seq: i64,
    pub delta_seq: i64,
    pub tenant_id: String,
    pub user_id: String,
    pub thread_id: String,
    pub run_id: String,
    pub data: Data,
    pub ok: Option<Ok>,
    pub error: Option<Problem>,
}

/// The parts of an event's data that anyone looks at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Data {
    pub tool_call_id: String,
    pub status: String,
    pub outcome: String,
    pub text: String,
    pub message: String,
    pub state: String,
}

/// A reply's `ok`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Ok {
    pub run_id: String,
    pub thread_id: String,
    pub cancelled: bool,
    pub outcome: Option<String>,
}

impl Ok {
    /// How the run ended, if the reply says so.
    pub fn told(&self) -> &str {
        let cancelled = if self.cancelled { "cancelled" } else { "" };
        self.outcome.as_deref().unwrap_or(cancelled)
    }
}

/// A reply's `error`, or the body of a refused request (RFC 9457).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Problem {
    pub code: String,
    pub status: u16,
    pub retry_after_ms: Option<u64>,
}

/// The state in which a run ended, when the frame tells its end.
pub fn end_of(frame: &Frame) -> Option<&str> {
    match (frame.kind.as_str(), frame.data.state.as_str(), frame.data.outcome.as_str()) {
        ("agent_completed", _, "success") => Some("completed"),
        ("agent_completed", _, outcome) => Some(outcome),
        ("run_state", "completed" | "failed" | "timeout" | "dead" | "cancelled", _) => {
            Some(&frame.data.state)
        }
        _ => None,
    }
}

#[derive(Serialize)]
pub struct Login<'a> {
    pub tenant: &'a str,
    pub user: &'a str,
    pub password: &'a str,
}

#[derive(Deserialize)]
pub struct Token {
    pub access_token: String,
}

/// What stands before the user's name in every text that is made for that user.
const MARKER: &str = "portfolio of ";

/// `portfolio of ana`
pub fn mark(user: &str) -> String {
    format!("{MARKER}{user}")
}

/// The user whose marker `text` carries: somebody else's before `own`, empty for none. A marker
/// that the text cuts before the name says nothing.
pub fn marked<'t>(text: &'t str, own: &str) -> &'t str {
    let names = || text.split(MARKER).skip(1).map(name).filter(|name| !name.is_empty());
    names().find(|name| *name != own).or_else(|| names().next()).unwrap_or("")
}

/// The longest beginning of `text` that may be a user's name.
fn name(text: &str) -> &str {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/');
    let end = text.find(|c| !part(c)).unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_mark_is_found_before_ones_own() {
        let (mine, other) = (mark("u/1"), mark("u/12"));
        assert_eq!(marked(&format!("{mine}, {other}."), "u/1"), "u/12");
        assert_eq!(marked(&format!("x {mine}. {mine}\""), "u/1"), "u/1");
        assert_eq!(marked("the portfolio of ", "u/1"), "");
    }

    #[test]
    fn a_reply_and_an_event_are_read_as_the_same_frame() {
        let text = r#"{"v":1,"type":"reply","id":"c1","ok":{"run_id":"r","applied_seq":4}}"#;
        let reply: Frame = serde_json::from_str(text).expect("a frame");
        assert_eq!((reply.kind.as_str(), reply.ok.expect("ok").run_id.as_str()), ("reply", "r"));
        let text = r#"{"type":"message_delta","delta_seq":2,"data":{"text":"hm","pieces":1}}"#;
        let delta: Frame = serde_json::from_str(text).expect("a frame");
        assert_eq!((delta.delta_seq, delta.data.text.as_str()), (2, "hm"));
    }
}
