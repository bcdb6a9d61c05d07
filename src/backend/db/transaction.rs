//! Transactions: a unit of work run between BEGIN and COMMIT, as a whole again when its failure's
//! class allows it. Must never be retried once COMMIT was sent, nor after an event of it left.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::{Json, ToSql, Type};

use super::super::events;
use super::error::{Class, TransactionError};
use super::pool::{Lent, Pool};
use super::sql;
use crate::env::Env;

const TRIES: u32 = 3;

/// Before the second try; doubled before each further one, plus up to as much again.
const BACKOFF_MS: u64 = 50;

/// What a unit of work wants done with what it wrote.
pub enum Decide<T> {
    Commit(T),
    Rollback(T),
}

/// A unit of work. It may run several times; each run sees a fresh transaction.
pub trait Work<E: Env>: Sync {
    type Out: Send;

    fn name(&self) -> &'static str;

    /// Whether it is a single statement, which is a transaction by itself.
    fn is_one_statement(&self) -> bool {
        false
    }

    fn run(
        &self,
        tx: &Tx<E>,
    ) -> impl Future<Output = Result<Decide<Self::Out>, TransactionError>> + Send;
}

/// A parameter of a statement.
#[derive(Clone, Copy, Debug)]
pub enum Param<'a> {
    Text(&'a str),
    Int(i64),
    Json(&'a (dyn ToSql + Sync)),
}

impl Param<'_> {
    fn typed(&self) -> (&(dyn ToSql + Sync), Type) {
        match self {
            Param::Text(text) => (text, Type::TEXT),
            Param::Int(number) => (number, Type::INT8),
            Param::Json(value) => (*value, Type::JSONB),
        }
    }
}

impl<'a> From<&'a str> for Param<'a> {
    fn from(text: &'a str) -> Param<'a> {
        Param::Text(text)
    }
}

impl<'a> From<&'a String> for Param<'a> {
    fn from(text: &'a String) -> Param<'a> {
        Param::Text(text)
    }
}

impl From<i64> for Param<'_> {
    fn from(number: i64) -> Self {
        Param::Int(number)
    }
}

impl<'a> From<&'a Value> for Param<'a> {
    fn from(value: &'a Value) -> Param<'a> {
        Param::Json(value)
    }
}

impl<'a, T: Debug + Serialize + Sync> From<&'a Json<T>> for Param<'a> {
    fn from(value: &'a Json<T>) -> Param<'a> {
        Param::Json(value)
    }
}

/// `params![tenant, seq]`
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::backend::db::Param::from($value)),*] };
}

pub(in crate::backend) use params;

/// An open transaction, or a session outside one for a single statement.
pub struct Tx<E: Env> {
    env: E,
    lent: Lent<E>,
    statement_within: Duration,
}

impl<E: Env> Tx<E> {
    pub async fn query(
        &self,
        what: &'static str,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, TransactionError> {
        let typed: Vec<_> = params.iter().map(Param::typed).collect();
        self.bounded(what, self.lent.client().query_typed(sql, &typed)).await
    }

    /// Rows changed.
    pub async fn execute(
        &self,
        what: &'static str,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<u64, TransactionError> {
        let typed: Vec<_> = params.iter().map(Param::typed).collect();
        self.bounded(what, self.lent.client().execute_typed(sql, &typed)).await
    }

    /// Statements without parameters, by the simple protocol.
    pub async fn batch(&self, what: &'static str, sql: &str) -> Result<(), TransactionError> {
        self.bounded(what, self.lent.client().batch_execute(sql)).await
    }

    async fn bounded<T>(
        &self,
        what: &'static str,
        statement: impl Future<Output = Result<T, tokio_postgres::Error>> + Send,
    ) -> Result<T, TransactionError> {
        match self.env.timeout(self.statement_within, statement).await {
            Ok(Ok(out)) => Ok(out),
            Ok(Err(error)) => Err(TransactionError::of_driver(what, &error)),
            Err(_) => Err(TransactionError::new(what, Class::Timeout, "no answer in time")),
        }
    }
}

impl<E: Env> Pool<E> {
    /// One statement outside a transaction, not retried.
    pub async fn query(
        &self,
        what: &'static str,
        sql: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, TransactionError> {
        let tx = self.session().await?;
        let rows = tx.query(what, sql, params).await;
        match &rows {
            Ok(_) => tx.lent.release().await,
            Err(error) => failed(error, false),
        }
        rows
    }

    pub(super) async fn session(&self) -> Result<Tx<E>, TransactionError> {
        let lent = self.get().await.inspect_err(|error| failed(error, false))?;
        Ok(Tx { env: self.env().clone(), lent, statement_within: self.statement_within() })
    }

    /// Runs `work` in a transaction of its own, up to three times.
    pub async fn transact<W: Work<E>>(&self, work: &W) -> Result<W::Out, TransactionError> {
        let mut tried = 1;
        loop {
            let error = match self.attempt(work).await {
                Ok(out) => return Ok(out),
                Err(error) => error,
            };
            let again = tried < TRIES && error.class.retried() && !error.ambiguous;
            failed(&error, again);
            if !again {
                return Err(error);
            }
            let base = BACKOFF_MS << (tried - 1);
            let jitter = self.env().below(base);
            self.env().sleep(Duration::from_millis(base + jitter)).await;
            tried += 1;
        }
    }

    /// A failed attempt drops its session: nothing of it can reach the next user.
    async fn attempt<W: Work<E>>(&self, work: &W) -> Result<W::Out, TransactionError> {
        let lent = self.get().await?;
        let tx = Tx { env: self.env().clone(), lent, statement_within: self.statement_within() };
        if work.is_one_statement() {
            // Its answer is that of its commit.
            let decided = work.run(&tx).await.map_err(TransactionError::at_commit)?;
            tx.lent.release().await;
            let (Decide::Commit(out) | Decide::Rollback(out)) = decided;
            return Ok(out);
        }
        tx.batch("begin", sql::BEGIN).await?;
        let out = match work.run(&tx).await? {
            Decide::Commit(out) => {
                let commit = tx.batch(work.name(), sql::COMMIT).await;
                commit.map_err(TransactionError::at_commit)?;
                out
            }
            Decide::Rollback(out) => {
                tx.batch("rollback", sql::ROLLBACK).await?;
                out
            }
        };
        tx.lent.release().await;
        Ok(out)
    }
}

fn failed(error: &TransactionError, retried: bool) {
    events::db_failed(error.what, error.class.name(), &error.sqlstate, retried);
}

/// Ends a session that was taken without a transaction.
pub(super) async fn release<E: Env>(tx: Tx<E>) {
    tx.lent.release().await;
}
