//! Appending to the log: an event gets its numbers and its row in one statement that also tests
//! the run's fence; only then is it told. Must never tell what has not been committed.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio_postgres::types::Json;

use super::super::db::transaction::params;
use super::super::db::{Decide, Pool, TransactionError, Tx, Work, log, sql};
use super::super::events;
use super::super::ids::EventId;
use super::super::ws::outgoing::Out;
use super::super::ws::protocol::{Delta, Event, Origin, Place};
use super::super::ws::registry::Registry;
use super::record::Record;
use crate::env::Env;

/// Between tries to learn what became of a commit.
pub(super) const RESOLVE_PAUSE: Duration = Duration::from_millis(300);

/// The log of runs, written and told.
#[derive(Clone)]
pub struct Log<E: Env> {
    pub env: E,
    pub pool: Pool<E>,
    pub registry: Registry<E>,
}

/// Why an event was not appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The run has ended: nothing more may be written.
    #[error("the run has ended")]
    Fenced,
    #[error(transparent)]
    Failed(#[from] TransactionError),
}

/// An event that is about to be appended.
#[derive(Clone, Debug)]
pub struct Draft {
    pub kind: &'static str,
    pub id: String,
    pub data: Value,
}

impl<E: Env> Log<E> {
    pub fn draft(&self, kind: &'static str, data: Value) -> Draft {
        Draft { kind, id: EventId::draw(&self.env).0, data }
    }

    /// Appends events of a run under way, all or none, then tells them.
    pub async fn append(&self, record: &Record<E>, drafts: Vec<Draft>) -> Result<(), AppendError> {
        let (origin, ts_ms) = (record.origin.clone(), self.env.unix_ms());
        let mut append = Append { origin, drafts, ts_ms, resolving: false };
        let appended = loop {
            match self.pool.transact(&append).await {
                Ok(appended) => break appended,
                Err(error) if error.ambiguous || append.resolving => {
                    append.resolving = true;
                    self.env.sleep(RESOLVE_PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        let events = match appended {
            Appended::Fenced => return Err(AppendError::Fenced),
            Appended::New(events) => events,
            Appended::Before => log::events_of_run(&self.pool, &record.origin).await?,
        };
        self.tell(record, &events).await;
        Ok(())
    }

    /// Tells committed events to every connection of their user; one told twice is dropped there.
    pub async fn tell(&self, record: &Record<E>, events: &[Arc<Event>]) {
        for event in events {
            if record.tell_event(event.seq, &event.epoch).await {
                appended(event);
            }
            let Origin { tenant, user, .. } = &*event.origin;
            self.registry.tell(tenant, user, &Out::Event(event.clone())).await;
        }
    }

    /// Tells a piece of the answer, which has no row.
    pub async fn tell_text(&self, record: &Record<E>, text: String) {
        let (delta_seq, after_seq, epoch) = record.tell_text(&text).await;
        let origin = record.origin.clone();
        let (tenant, user) = (origin.tenant.clone(), origin.user.clone());
        let delta = Delta { origin, epoch, after_seq, delta_seq, pieces: 1, text };
        self.registry.tell(&tenant, &user, &Out::Delta(delta)).await;
    }
}

/// Tells the trace that a row has been committed.
pub(super) fn appended(event: &Event) {
    let Origin { tenant, user, thread, run, .. } = &*event.origin;
    let (kind, seq, run_seq) = (&event.kind, event.seq, event.run_seq);
    events::event_appended(run, thread, tenant, user, kind, seq, run_seq);
}

struct Append {
    origin: Arc<Origin>,
    drafts: Vec<Draft>,
    ts_ms: u64,
    /// An earlier try may have been applied.
    resolving: bool,
}

enum Appended {
    New(Vec<Arc<Event>>),
    /// An earlier try was applied.
    Before,
    Fenced,
}

impl<E: Env> Work<E> for Append {
    type Out = Appended;

    fn name(&self) -> &'static str {
        "append.commit"
    }

    /// An unclear try is resolved by looking first, which takes a transaction.
    fn is_one_statement(&self) -> bool {
        !self.resolving
    }

    async fn run(&self, tx: &Tx<E>) -> Result<Decide<Appended>, TransactionError> {
        let (origin, drafts) = (&self.origin, &self.drafts);
        if self.resolving && is_there(tx, origin, &drafts[0].id).await? {
            return Ok(Decide::Rollback(Appended::Before));
        }
        let begins = drafts[0].kind == "agent_started";
        let sql = if begins { sql::EVENTS_BEGIN } else { sql::EVENTS_APPEND };
        Ok(match write(tx, origin, sql, drafts, self.ts_ms).await? {
            Some(events) => Decide::Commit(Appended::New(events)),
            None => Decide::Rollback(Appended::Fenced),
        })
    }
}

/// Whether the event is in the log; waits for a transaction that may be about to put it there.
pub(super) async fn is_there<E: Env>(
    tx: &Tx<E>,
    origin: &Origin,
    id: &str,
) -> Result<bool, TransactionError> {
    let Origin { tenant, thread, run, .. } = origin;
    tx.query("stream.lock", sql::STREAM_LOCK, params![tenant, thread]).await?;
    let rows = tx.query("event.by_id", sql::EVENT_BY_ID, params![tenant, run, id]).await?;
    Ok(!rows.is_empty())
}

impl Draft {
    fn row(&self) -> Row<'_> {
        Row { id: &self.id, r#type: self.kind, data: &self.data }
    }
}

/// A draft as the statement takes it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    id: &'a str,
    r#type: &'a str,
    data: &'a Value,
}

/// Writes `drafts` under the stream's next numbers. `None`: the run does not have the stream, so
/// it has ended.
pub(super) async fn write<E: Env>(
    tx: &Tx<E>,
    origin: &Arc<Origin>,
    sql: &str,
    drafts: &[Draft],
    ts_ms: u64,
) -> Result<Option<Vec<Arc<Event>>>, TransactionError> {
    let Origin { tenant, user, thread, run, agent, attempt, .. } = &**origin;
    let rows = Json(drafts.iter().map(Draft::row).collect::<Vec<_>>());
    let (attempt, now) = (i64::from(*attempt), millis(ts_ms));
    let count = i64::try_from(drafts.len()).unwrap_or(i64::MAX);
    let params = params![tenant, thread, run, attempt, &rows, user, agent, now, count];
    let answer = tx.query("events.append", sql, params).await?;
    let Some(before) = answer.first() else { return Ok(None) };
    let (seq, run_seq, epoch): (i64, i64, String) = (before.get(0), before.get(1), before.get(2));
    let event = |(draft, place): (&Draft, i64)| {
        let (seq, run_seq) = (seq + place, run_seq + place);
        let place = Place { epoch: &epoch, seq, run_seq, ts_ms };
        Arc::new(Event::new(draft.kind, &draft.id, origin.clone(), place, &draft.data))
    };
    Ok(Some(drafts.iter().zip(1..).map(event).collect()))
}

pub(super) fn millis(unix_ms: u64) -> i64 {
    i64::try_from(unix_ms).unwrap_or(i64::MAX)
}
