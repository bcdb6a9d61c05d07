//! The event log as it is read: streams, history, the runs that a crash left.
//! Must never write: rows are appended by the run that owns them.

use std::sync::Arc;

use serde_json::Value;
use tokio_postgres::Row;

use super::super::ws::protocol::{self, Event, Origin};
use super::error::TransactionError;
use super::pool::Pool;
use super::sql;
use super::transaction::params;
use crate::env::Env;

/// A thread's stream and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    pub thread: String,
    pub epoch: String,
    pub last_seq: i64,
    /// The run that has the stream; empty if none has.
    pub run_id: String,
    /// A run has the stream; it has appended so many events, the last ones.
    pub run: Option<i64>,
}

impl Stream {
    /// Where a client without a past joins: before the run under way, or at the head.
    pub fn fresh(&self) -> i64 {
        self.last_seq - self.run.unwrap_or(0)
    }
}

pub async fn streams_of<E: Env>(
    pool: &Pool<E>,
    tenant: &str,
    user: &str,
) -> Result<Vec<Stream>, TransactionError> {
    let rows = pool.query("streams.of_user", sql::STREAMS_OF_USER, params![tenant, user]).await?;
    let stream = |row: &Row| {
        let (run, run_seq): (String, i64) = (row.get(3), row.get(4));
        Stream {
            thread: row.get(0),
            epoch: row.get(1),
            last_seq: row.get(2),
            run: (!run.is_empty()).then_some(run_seq),
            run_id: run,
        }
    };
    Ok(rows.iter().map(stream).collect())
}

/// The events of `stream` after `after`, up to where it stood.
pub async fn events_after<E: Env>(
    pool: &Pool<E>,
    (tenant, user): (&str, &str),
    stream: &Stream,
    after: i64,
) -> Result<Vec<Arc<Event>>, TransactionError> {
    if after >= stream.last_seq {
        return Ok(Vec::new());
    }
    let params = params![tenant, &stream.thread, after, stream.last_seq];
    let rows = pool.query("events.between", sql::EVENTS_BETWEEN, params).await?;
    let place = Place { tenant, user, thread: &stream.thread, epoch: &stream.epoch };
    Ok(rows.iter().map(|row| place.event(row)).collect())
}

/// All events of a run, the first one first.
pub async fn events_of_run<E: Env>(
    pool: &Pool<E>,
    origin: &Origin,
) -> Result<Vec<Arc<Event>>, TransactionError> {
    let Origin { tenant, user, thread, run, .. } = origin;
    let rows = pool.query("stream.epoch", sql::STREAM_EPOCH, params![tenant, thread]).await?;
    let epoch: String = rows.first().map(|row| row.get(0)).unwrap_or_default();
    let rows = pool.query("run.history", sql::RUN_HISTORY, params![tenant, run]).await?;
    let place = Place { tenant, user, thread, epoch: &epoch };
    Ok(rows.iter().map(|row| place.event(row)).collect())
}

/// What the rows of one stream have in common.
struct Place<'a> {
    tenant: &'a str,
    user: &'a str,
    thread: &'a str,
    epoch: &'a str,
}

impl Place<'_> {
    fn event(&self, row: &Row) -> Arc<Event> {
        let run: String = row.get(2);
        let origin = Origin {
            tenant: self.tenant.to_owned(),
            user: self.user.to_owned(),
            thread: self.thread.to_owned(),
            trace: run.clone(),
            run,
            agent: row.get(5),
            attempt: u32::try_from(row.get::<_, i64>(6)).unwrap_or(0),
        };
        let place = protocol::Place {
            epoch: self.epoch,
            seq: row.get(0),
            run_seq: row.get(3),
            ts_ms: u64::try_from(row.get::<_, i64>(7)).unwrap_or(0),
        };
        let (kind, id, data): (&str, &str, Value) = (row.get(4), row.get(1), row.get(8));
        Arc::new(Event::new(kind, id, Arc::new(origin), place, &data))
    }
}

/// Live runs of `node`: at start-up, the ones that its last life did not end.
pub async fn orphans<E: Env>(pool: &Pool<E>, node: &str) -> Result<Vec<Origin>, TransactionError> {
    let rows = pool.query("runs.orphaned", sql::RUNS_ORPHANED, params![node]).await?;
    let origin = |row: &Row| {
        let run: String = row.get(2);
        Origin {
            tenant: row.get(0),
            thread: row.get(1),
            trace: run.clone(),
            run,
            user: row.get(3),
            agent: row.get(4),
            attempt: u32::try_from(row.get::<_, i64>(5)).unwrap_or(0),
        }
    };
    Ok(rows.iter().map(origin).collect())
}

/// How a run ended, if it did; `None` if there is no such run.
pub async fn outcome<E: Env>(
    pool: &Pool<E>,
    tenant: &str,
    run: &str,
) -> Result<Option<String>, TransactionError> {
    let rows = pool.query("run.outcome", sql::RUN_OUTCOME, params![tenant, run]).await?;
    Ok(rows.first().map(|row| row.get(0)))
}
