//! Appending to the log: an event gets its numbers and its row in one transaction that also tests
//! the run's fence; only then is it told. Must never tell what has not been committed.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::super::db::transaction::params;
use super::super::db::{Decide, Pool, TransactionError, Tx, Work, log, sql};
use super::super::events;
use super::super::ids::EventId;
use super::super::ws::outgoing::Out;
use super::super::ws::protocol::{Delta, Event, Origin};
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

impl<E: Env> Log<E> {
    /// Appends an event of a run under way, then tells it.
    pub async fn append(
        &self,
        record: &Record<E>,
        kind: &'static str,
        data: Value,
    ) -> Result<(), AppendError> {
        let mut append = Append {
            origin: record.origin.clone(),
            kind,
            id: EventId::draw(&self.env).0,
            data,
            ts_ms: self.env.unix_ms(),
            resolving: false,
        };
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
        match appended {
            Appended::Fenced => Err(AppendError::Fenced),
            Appended::New(event) => {
                self.tell(record, &[Arc::new(event)]).await;
                Ok(())
            }
            Appended::Before => {
                let events = log::events_of_run(&self.pool, &record.origin).await?;
                self.tell(record, &events).await;
                Ok(())
            }
        }
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
    kind: &'static str,
    id: String,
    data: Value,
    ts_ms: u64,
    /// An earlier try may have been applied.
    resolving: bool,
}

enum Appended {
    New(Event),
    /// An earlier try was applied.
    Before,
    Fenced,
}

impl<E: Env> Work<E> for Append {
    type Out = Appended;

    fn name(&self) -> &'static str {
        "append.commit"
    }

    async fn run(&self, tx: &Tx<E>) -> Result<Decide<Appended>, TransactionError> {
        let Origin { tenant, run, attempt, .. } = &*self.origin;
        if self.resolving && is_there(tx, &self.origin, &self.id).await? {
            return Ok(Decide::Rollback(Appended::Before));
        }
        let (attempt, now) = (i64::from(*attempt), millis(self.ts_ms));
        let params = params![tenant, run, attempt, "running", now];
        let rows = tx.query("run.advance", sql::RUN_ADVANCE, params).await?;
        let Some(row) = rows.first() else { return Ok(Decide::Rollback(Appended::Fenced)) };
        let run_seq: i64 = row.get(0);
        let place = if run_seq == 1 { Place::First } else { Place::Middle };
        let (origin, id, data) = (&self.origin, &self.id, &self.data);
        let row = Row { origin, kind: self.kind, id, run_seq, ts_ms: self.ts_ms, data };
        Ok(Decide::Commit(Appended::New(write(tx, &row, place).await?)))
    }
}

/// Whether the event is in the log; waits for a transaction that may be about to put it there.
pub(super) async fn is_there<E: Env>(
    tx: &Tx<E>,
    origin: &Origin,
    id: &str,
) -> Result<bool, TransactionError> {
    let Origin { tenant, run, attempt, .. } = origin;
    tx.query("run.lock", sql::RUN_LOCK, params![tenant, run, i64::from(*attempt)]).await?;
    let rows = tx.query("event.by_id", sql::EVENT_BY_ID, params![tenant, run, id]).await?;
    Ok(!rows.is_empty())
}

/// An event before it has its `seq`.
pub(super) struct Row<'a> {
    pub origin: &'a Arc<Origin>,
    pub kind: &'static str,
    pub id: &'a str,
    pub run_seq: i64,
    pub ts_ms: u64,
    pub data: &'a Value,
}

/// Where in its run an event is.
#[derive(Clone, Copy)]
pub(super) enum Place {
    First,
    Middle,
    Last,
}

/// Takes the stream's next number, whose row lock makes commit order the order of `seq`.
pub(super) async fn write<E: Env>(
    tx: &Tx<E>,
    row: &Row<'_>,
    place: Place,
) -> Result<Event, TransactionError> {
    let Origin { tenant, user, thread, run, agent, attempt, .. } = &**row.origin;
    let next = match place {
        Place::First => sql::STREAM_NEXT_FIRST,
        Place::Middle => sql::STREAM_NEXT,
        Place::Last => sql::STREAM_NEXT_LAST,
    };
    let rows = tx.query("stream.next", next, params![tenant, thread]).await?;
    let Some((seq, epoch)) = rows.first().map(|row| (row.get(0), row.get(1))) else {
        let class = super::super::db::Class::Other;
        return Err(TransactionError::new("stream.next", class, "the stream has no row"));
    };
    let params = params![
        tenant,
        thread,
        seq,
        row.id,
        run,
        row.run_seq,
        user,
        row.kind,
        agent,
        i64::from(*attempt),
        millis(row.ts_ms),
        row.data,
    ];
    tx.execute("event.append", sql::EVENT_APPEND, params).await?;
    Ok(Event {
        kind: row.kind.to_owned(),
        id: row.id.to_owned(),
        origin: row.origin.clone(),
        epoch,
        seq,
        run_seq: row.run_seq,
        ts_ms: row.ts_ms,
        data: row.data.clone(),
    })
}

pub(super) fn millis(unix_ms: u64) -> i64 {
    i64::try_from(unix_ms).unwrap_or(i64::MAX)
}
