//! The pool: sessions counted, handed out in order of asking, and never taken back from a future
//! that was dropped half way. Must never lend a session that may be inside a transaction.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::{Client, NoTls};

use super::super::config::Database;
use super::super::events;
use super::error::{Class, TransactionError};
use super::sql;
use crate::env::Env;
use crate::sync::{Permit, Permits, Shared};

/// A transaction whose client has gone silent ends, so that its locks do not outlive a dead
/// process for as long as TCP takes to notice. Milliseconds.
const OPTIONS: &str = "-c idle_in_transaction_session_timeout=10000";

/// Clones are the same pool.
#[derive(Clone)]
pub struct Pool<E: Env> {
    inner: Arc<Inner<E>>,
}

struct Inner<E: Env> {
    env: E,
    database: Database,
    /// The wait for a session, and for each statement on it.
    pool_wait: Duration,
    statement_within: Duration,
    permits: Permits<E>,
    sessions: Shared<E, Sessions>,
}

#[derive(Default)]
struct Sessions {
    idle: Vec<Session>,
    /// Sessions opened so far; the last one's number.
    opened: u64,
}

struct Session {
    number: u64,
    client: Client,
}

/// A session on loan, or somebody's place in the line for one. Dropping it closes the session;
/// [`Lent::release`] gives it back.
#[must_use = "dropping it closes the session"]
pub struct Lent<E: Env> {
    session: Option<Session>,
    pool: Pool<E>,
    place: Option<Permit>,
    returned: bool,
}

impl<E: Env> Pool<E> {
    pub fn new(env: &E, database: Database, pool_wait: Duration, statement: Duration) -> Pool<E> {
        let permits = Permits::new(env, "pool", database.pool);
        let sessions = Shared::new(env, "pool.sessions", Sessions::default());
        let (env, statement_within) = (env.clone(), statement);
        Pool {
            inner: Arc::new(Inner {
                env,
                database,
                pool_wait,
                statement_within,
                permits,
                sessions,
            }),
        }
    }

    pub fn env(&self) -> &E {
        &self.inner.env
    }

    pub(super) fn statement_within(&self) -> Duration {
        self.inner.statement_within
    }

    /// A session, idle or new, in order of asking.
    pub async fn get(&self) -> Result<Lent<E>, TransactionError> {
        let inner = &self.inner;
        // There before the wait, so that whoever leaves tells what is free after it.
        let mut lent = Lent { session: None, pool: self.clone(), place: None, returned: false };
        let waited = inner.env.timeout(inner.pool_wait, inner.permits.acquire()).await;
        lent.place = Some(waited.map_err(|_| {
            TransactionError::new("pool", Class::Timeout, "no session came free in time")
        })?);
        let session = match inner.sessions.with(take_idle).await {
            Some(session) => session,
            None => self.open().await?,
        };
        events::pool_taken(session.number, self.in_use(), inner.permits.capacity() as u64);
        lent.session = Some(session);
        Ok(lent)
    }

    fn in_use(&self) -> u64 {
        self.inner.permits.in_use_in_drop() as u64
    }

    async fn open(&self) -> Result<Session, TransactionError> {
        let inner = &self.inner;
        let connecting = inner.env.timeout(inner.statement_within, self.connect()).await;
        let client = connecting.map_err(|_| {
            TransactionError::new("connect", Class::Connection, "no answer in time")
        })??;
        let hand_out = |sessions: &mut Sessions| {
            sessions.opened += 1;
            Session { number: sessions.opened, client }
        };
        Ok(inner.sessions.with(hand_out).await)
    }

    async fn connect(&self) -> Result<Client, TransactionError> {
        let Inner { env, database, .. } = &*self.inner;
        let stream = env.connect(&database.addr).await.map_err(|error| {
            TransactionError::new("connect", Class::Connection, error.to_string())
        })?;
        let mut config = tokio_postgres::Config::new();
        config.user(&database.user).dbname(&database.dbname).application_name("seedbed");
        config.options(OPTIONS);
        if let Some(password) = &database.password {
            config.password(password);
        }
        let (client, connection) = config
            .connect_raw(stream, NoTls)
            .await
            .map_err(|error| TransactionError::of_driver("connect", &error))?;
        env.spawn("db-connection", async move {
            // Its end is seen by the client: every statement fails as closed.
            let _ = connection.await;
        });
        Ok(client)
    }

    /// Whether the store answers.
    pub async fn probe(&self) -> bool {
        let Ok(lent) = self.get().await else { return false };
        let asked = lent.client().batch_execute(sql::PROBE);
        let answered = self.inner.env.timeout(self.inner.statement_within, asked).await;
        let healthy = matches!(answered, Ok(Ok(())));
        if healthy {
            lent.release().await;
        }
        healthy
    }

    /// Closes the idle sessions; those on loan close when they come back.
    pub async fn close(&self) {
        drop(self.inner.sessions.with(|sessions| std::mem::take(&mut sessions.idle)).await);
    }
}

fn take_idle(sessions: &mut Sessions) -> Option<Session> {
    loop {
        let session = sessions.idle.pop()?;
        if !session.client.is_closed() {
            return Some(session);
        }
    }
}

impl<E: Env> Lent<E> {
    pub fn client(&self) -> &Client {
        &self.session.as_ref().expect("a session is on loan until it is released").client
    }

    /// Gives the session back. Only for callers who know that no transaction is open on it.
    pub async fn release(mut self) {
        let sessions = self.pool.inner.sessions.clone();
        let taken = &mut self.session;
        let keep = |sessions: &mut Sessions| {
            let session = taken.take().expect("released once");
            let (number, kept) = (session.number, !session.client.is_closed());
            if kept {
                sessions.idle.push(session);
            }
            (number, kept)
        };
        let (number, kept) = sessions.with(keep).await;
        self.returned(number, kept);
    }

    fn returned(&mut self, session: u64, kept: bool) {
        self.returned = true;
        drop(self.place.take());
        events::pool_returned(session, self.pool.in_use(), kept);
    }
}

impl<E: Env> Drop for Lent<E> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.returned(session.number, false);
        } else if !self.returned {
            drop(self.place.take());
            events::pool_left(self.pool.in_use());
        }
    }
}
