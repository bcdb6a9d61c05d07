//! TX2: the end of a run. Assistant message, run state, the terminal event with its outbox row,
//! all or nothing; open tool calls are closed before it. Must never be run but by the winner of
//! the transition, and its events never leave before the commit.

use std::sync::Arc;

use futures_util::future::try_join3;
use serde_json::{Value, json};

use super::super::db::transaction::params;
use super::super::db::{Decide, TransactionError, Tx, Work, log, sql};
use super::super::ids::{EventId, MessageId};
use super::super::model::tools::marker_of;
use super::super::ws::protocol::{Event, Origin};
use super::append::{Draft, Log, RESOLVE_PAUSE, appended, is_there, millis, write};
use super::record::Record;
use super::state::State;
use crate::env::Env;

/// How a run ends.
#[derive(Clone, Debug)]
pub struct Ending {
    pub state: State,
    /// The whole answer, when it succeeded.
    pub message: Option<String>,
    /// Why it did not.
    pub error: Option<String>,
}

impl Ending {
    pub fn success(message: String) -> Ending {
        Ending { state: State::Completed, message: Some(message), error: None }
    }

    pub fn other(state: State, error: impl Into<String>) -> Ending {
        Ending { state, message: None, error: Some(error.into()) }
    }

    /// The data of `agent_completed`.
    fn data(&self, marker: &str) -> Value {
        let outcome = self.state.outcome().expect("a run ends in a terminal state");
        let mut data = json!({ "outcome": outcome, "marker": marker });
        if let Some(message) = &self.message {
            data["message"] = message.as_str().into();
        }
        if let Some(error) = &self.error {
            data["error"] = error.as_str().into();
        }
        data
    }
}

/// What the guards of an end are; the planted hazards leave one out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guards {
    /// The run's row says that it has not ended yet.
    pub fenced: bool,
    /// Events are told after the commit.
    pub commit_first: bool,
}

impl Guards {
    pub const ALL: Guards = Guards { fenced: true, commit_first: true };
}

impl<E: Env> Log<E> {
    /// Writes the end and tells it; tries until the store has taken it.
    pub async fn finish(&self, record: &Record<E>, ending: Ending, guards: Guards, node: &str) {
        let finish = Finish {
            log: self,
            record: Some(record),
            origin: record.origin.clone(),
            id: EventId::draw(&self.env).0,
            message_id: MessageId::draw(&self.env).0,
            node,
            ts_ms: self.env.unix_ms(),
            guards,
            ending,
        };
        let finished = loop {
            match self.pool.transact(&finish).await {
                Ok(finished) => break finished,
                Err(_) => self.env.sleep(RESOLVE_PAUSE).await,
            }
        };
        match finished {
            Finished::Fenced => {}
            Finished::New(events) if finish.ending.state == State::Completed => {
                self.tell(record, &events).await;
            }
            // The run's task may have been stopped between a commit and its telling.
            Finished::New(_) | Finished::Before => self.tell_history(record).await,
        }
        self.sent(&record.origin).await;
        record.ended().await;
    }

    async fn tell_history(&self, record: &Record<E>) {
        let events = loop {
            match log::events_of_run(&self.pool, &record.origin).await {
                Ok(events) => break events,
                Err(_) => self.env.sleep(RESOLVE_PAUSE).await,
            }
        };
        self.tell(record, &events).await;
    }

    /// The end has been handed to the connections. A row that stays is harmless: it is cleared at
    /// the next start.
    async fn sent(&self, origin: &Origin) {
        let Origin { tenant, run, .. } = origin;
        let _ = self.pool.query("outbox.sent", sql::OUTBOX_SENT, params![tenant, run]).await;
    }

    /// Ends the runs that the last life of this node did not: they are dead.
    pub async fn bury(&self, node: &str) -> Result<(), TransactionError> {
        for origin in log::orphans(&self.pool, node).await? {
            let finish = Finish {
                log: self,
                record: None,
                origin: Arc::new(origin),
                id: EventId::draw(&self.env).0,
                message_id: MessageId::draw(&self.env).0,
                node,
                ts_ms: self.env.unix_ms(),
                guards: Guards::ALL,
                ending: Ending::other(State::Dead, "the server was restarted"),
            };
            if let Finished::New(events) = self.pool.transact(&finish).await? {
                for event in &events {
                    appended(event);
                }
            }
        }
        self.pool.query("outbox.clear", sql::OUTBOX_OF_NODE_CLEAR, params![node]).await?;
        Ok(())
    }
}

struct Finish<'a, E: Env> {
    log: &'a Log<E>,
    /// `None` for a run of an earlier life.
    record: Option<&'a Record<E>>,
    origin: Arc<Origin>,
    id: String,
    message_id: String,
    node: &'a str,
    ts_ms: u64,
    guards: Guards,
    ending: Ending,
}

enum Finished {
    New(Vec<Arc<Event>>),
    /// An earlier try was applied.
    Before,
    /// Somebody else has ended the run.
    Fenced,
}

impl<E: Env> Work<E> for Finish<'_, E> {
    type Out = Finished;

    fn name(&self) -> &'static str {
        "tx2.commit"
    }

    async fn run(&self, tx: &Tx<E>) -> Result<Decide<Finished>, TransactionError> {
        let drafts = self.drafts(tx).await?;
        let events = match self.write(tx, sql::EVENTS_END, &drafts).await? {
            Some(events) => events,
            None if is_there(tx, &self.origin, &self.id).await? => {
                return Ok(Decide::Rollback(Finished::Before));
            }
            None if self.guards.fenced => return Ok(Decide::Rollback(Finished::Fenced)),
            // Planted H22, H24: written although the run has ended.
            None => self.write(tx, sql::EVENTS_FORCE, &drafts).await?.unwrap_or_default(),
        };
        self.close(tx, events.last().map_or(0, |event| event.seq)).await?;
        if let Some(record) = self.record.filter(|_| !self.guards.commit_first) {
            // Planted H34: the end is told while its transaction may still fail.
            self.log.tell(record, &events).await;
        }
        Ok(Decide::Commit(Finished::New(events)))
    }
}

impl<E: Env> Finish<'_, E> {
    /// The last events of the run: its start if it had none, the ends of calls that were begun,
    /// its own end.
    async fn drafts(&self, tx: &Tx<E>) -> Result<Vec<Draft>, TransactionError> {
        let marker = marker_of(&self.origin.user);
        let mut drafts = Vec::new();
        if self.ending.state != State::Completed {
            let Origin { tenant, thread, run, .. } = &*self.origin;
            tx.query("stream.lock", sql::STREAM_LOCK, params![tenant, thread]).await?;
            let rows = tx.query("events.of_run", sql::EVENTS_OF_RUN, params![tenant, run]).await?;
            if rows.is_empty() {
                drafts.push(self.log.draft("agent_started", json!({ "marker": marker })));
            }
            for call in open_calls(&rows) {
                let results = json!({ "marker": marker });
                let data = json!({
                    "tool_name": call["tool_name"],
                    "tool_call_id": call["tool_call_id"],
                    "status": "cancelled",
                    "results": results,
                });
                drafts.push(self.log.draft("tool_completed", data));
            }
        }
        let (kind, id) = ("agent_completed", self.id.clone());
        drafts.push(Draft { kind, id, data: self.ending.data(&marker) });
        Ok(drafts)
    }

    async fn write(
        &self,
        tx: &Tx<E>,
        sql: &str,
        drafts: &[Draft],
    ) -> Result<Option<Vec<Arc<Event>>>, TransactionError> {
        write(tx, &self.origin, sql, drafts, self.ts_ms).await
    }

    /// The rows beside the events; none of them needs another's answer, so they are sent together.
    async fn close(&self, tx: &Tx<E>, seq: i64) -> Result<(), TransactionError> {
        let Origin { tenant, user, thread, run, .. } = &*self.origin;
        let (state, now) = (self.ending.state, millis(self.ts_ms));
        let message = async {
            let Some(message) = &self.ending.message else { return Ok(0) };
            let id = &self.message_id;
            let params = params![tenant, id, thread, run, user, "assistant", message, now];
            tx.execute("message.create", sql::MESSAGE_CREATE, params).await
        };
        let outcome = state.outcome().unwrap_or_default();
        let params = params![tenant, run, state.name(), outcome, now];
        let finish = tx.execute("run.finish", sql::RUN_FINISH, params);
        let outbox = async {
            if self.record.is_none() {
                return Ok(0);
            }
            let params = params![tenant, thread, seq, run, "agent_completed", self.node, now];
            tx.execute("outbox.add", sql::OUTBOX_ADD, params).await
        };
        try_join3(message, finish, outbox).await.map(|_| ())
    }
}

/// Data of the calls that were begun and not ended.
fn open_calls(rows: &[tokio_postgres::Row]) -> Vec<Value> {
    let mut open: Vec<Value> = Vec::new();
    for row in rows {
        let (kind, data): (String, Value) = (row.get(0), row.get(1));
        match kind.as_str() {
            "tool_executing" => open.push(data),
            "tool_completed" => open.retain(|call| call["tool_call_id"] != data["tool_call_id"]),
            _ => {}
        }
    }
    open
}
