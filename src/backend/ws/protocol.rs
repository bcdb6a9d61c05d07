//! Frames: what a command, a reply, a problem and an event look like on the wire.
//! Must never decide anything.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::super::ids::rfc3339;
use super::super::run::agent::SUPERVISOR;

/// The only version of the protocol.
pub const VERSION: u32 = 1;

/// `{"v":1,"id":"c17","method":"run.start","idem":"…","params":{…}}`
#[derive(Clone, Debug, Deserialize)]
pub struct Command {
    pub v: u32,
    pub id: String,
    pub method: String,
    pub idem: Option<String>,
    #[serde(default)]
    pub params: Value,
}

impl Command {
    pub fn text<'a>(&'a self, key: &str) -> Option<&'a str> {
        self.params.get(key).and_then(Value::as_str)
    }
}

/// An RFC 9457 problem, with the code that clients switch on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub code: &'static str,
    pub status: u16,
    pub detail: String,
    pub retry_after_ms: Option<u64>,
}

impl Problem {
    pub fn new(code: &'static str, status: u16, detail: impl Into<String>) -> Problem {
        Problem { code, status, detail: detail.into(), retry_after_ms: None }
    }

    #[must_use]
    pub fn retry_after_ms(mut self, ms: u64) -> Problem {
        self.retry_after_ms = Some(ms);
        self
    }

    pub fn to_json(&self, request_id: &str) -> Value {
        let mut problem = json!({
            "type": format!("urn:seedbed:problem:{}", self.code),
            "title": self.code.replace('_', " "),
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
        });
        if let Some(ms) = self.retry_after_ms {
            problem["retry_after_ms"] = ms.into();
        }
        problem
    }
}

/// The answer to a command.
pub fn reply(id: &str, result: &Result<Value, Problem>, request_id: &str) -> String {
    #[derive(Serialize)]
    struct Reply<'a> {
        v: u32,
        r#type: &'a str,
        id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        ok: Option<&'a Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        applied_seq: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<Value>,
    }
    let ok = result.as_ref().ok();
    let applied_seq = ok.and_then(|value| value.get("applied_seq")).and_then(Value::as_i64);
    let error = result.as_ref().err().map(|problem| problem.to_json(request_id));
    written(&Reply { v: VERSION, r#type: "reply", id, ok, applied_seq, error })
}

/// A frame that belongs to no run: `connection_established`, `server.ready`, `server.ping`, …
pub fn notice(kind: &str, id: &str, data: &Value) -> String {
    #[derive(Serialize)]
    struct Notice<'a> {
        v: u32,
        r#type: &'a str,
        id: &'a str,
        data: &'a Value,
    }
    written(&Notice { v: VERSION, r#type: kind, id, data })
}

fn written(frame: &impl Serialize) -> String {
    serde_json::to_string(frame).expect(IS_JSON)
}

const IS_JSON: &str = "texts, numbers and JSON values are JSON";

/// Whose run an event is of, and which agent works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub tenant: String,
    pub user: String,
    pub thread: String,
    pub run: String,
    pub agent: String,
    pub attempt: u32,
    pub trace: String,
}

/// A durable event: a row of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub kind: String,
    pub origin: Arc<Origin>,
    pub epoch: String,
    pub seq: i64,
    pub run_seq: i64,
    /// Its frame, the same for every connection.
    pub text: Utf8Bytes,
    /// How much of the frame is the event's own data.
    pub data_bytes: usize,
}

/// Where an event stands: in its stream, in its run and in time.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub epoch: &'a str,
    pub seq: i64,
    pub run_seq: i64,
    pub ts_ms: u64,
}

/// A piece of the answer: no row, no `seq`. Belongs after the event `after_seq`.
#[derive(Clone, Debug, PartialEq)]
pub struct Delta {
    pub origin: Arc<Origin>,
    pub epoch: String,
    pub after_seq: i64,
    /// Of the first piece; `pieces` were joined.
    pub delta_seq: i64,
    pub pieces: i64,
    pub text: String,
}

/// Where a run is, for a client that joins in the middle of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    pub origin: Arc<Origin>,
    pub epoch: String,
    pub state: &'static str,
    pub text: String,
    pub next_delta_seq: i64,
}

impl Origin {
    /// Of a run's first attempt by the supervisor.
    pub fn of_run(tenant: String, user: String, thread: String, run: String) -> Origin {
        let (agent, trace) = (SUPERVISOR.to_owned(), run.clone());
        Origin { tenant, user, thread, run, agent, attempt: 1, trace }
    }

    fn frame<'a>(&'a self, kind: &'a str, epoch: &'a str) -> Frame<'a> {
        Frame {
            v: VERSION,
            r#type: kind,
            id: None,
            stream: &self.thread,
            epoch,
            seq: None,
            delta_seq: None,
            ts: None,
            tenant_id: &self.tenant,
            user_id: &self.user,
            thread_id: &self.thread,
            run_id: &self.run,
            agent_name: &self.agent,
            attempt: self.attempt,
            run_seq: None,
        }
    }
}

/// A frame of a run up to its data, in the order of the contract; what it has not is left out.
#[derive(Serialize)]
struct Frame<'a> {
    v: u32,
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    stream: &'a str,
    epoch: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta_seq: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<String>,
    tenant_id: &'a str,
    user_id: &'a str,
    thread_id: &'a str,
    run_id: &'a str,
    agent_name: &'a str,
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_seq: Option<i64>,
}

impl Frame<'_> {
    /// The whole frame, and how much of it is `data`.
    fn with(&self, data: &impl Serialize, trace: &str) -> (String, usize) {
        let mut text = Vec::with_capacity(1024);
        serde_json::to_writer(&mut text, self).expect(IS_JSON);
        let closing = text.pop();
        text.extend_from_slice(b",\"data\":");
        let head = text.len();
        serde_json::to_writer(&mut text, data).expect(IS_JSON);
        let data_bytes = text.len() - head;
        text.extend_from_slice(b",\"trace\":");
        serde_json::to_writer(&mut text, trace).expect(IS_JSON);
        text.extend(closing);
        (String::from_utf8(text).expect("JSON is UTF-8"), data_bytes)
    }
}

#[derive(Serialize)]
struct DeltaData<'a> {
    text: &'a str,
    pieces: i64,
}

#[derive(Serialize)]
struct SnapshotData<'a> {
    state: &'a str,
    text: &'a str,
    next_delta_seq: i64,
}

impl Event {
    pub fn new(kind: &str, id: &str, origin: Arc<Origin>, place: Place<'_>, data: &Value) -> Event {
        let Place { epoch, seq, run_seq, ts_ms } = place;
        let mut frame = origin.frame(kind, epoch);
        frame.id = Some(id);
        (frame.seq, frame.run_seq) = (Some(seq), Some(run_seq));
        frame.ts = Some(rfc3339(ts_ms));
        let (text, data_bytes) = frame.with(data, &origin.trace);
        let (kind, epoch, text) = (kind.to_owned(), epoch.to_owned(), text.into());
        Event { kind, origin, epoch, seq, run_seq, text, data_bytes }
    }
}

impl Delta {
    pub fn to_text(&self) -> String {
        let data = DeltaData { text: &self.text, pieces: self.pieces };
        let mut frame = self.origin.frame("message_delta", &self.epoch);
        frame.delta_seq = Some(self.delta_seq);
        frame.with(&data, &self.origin.trace).0
    }
}

impl Snapshot {
    pub fn to_text(&self) -> String {
        let Snapshot { state, text, next_delta_seq, .. } = self;
        let data = SnapshotData { state, text, next_delta_seq: *next_delta_seq };
        self.origin.frame("run_state", &self.epoch).with(&data, &self.origin.trace).0
    }
}
