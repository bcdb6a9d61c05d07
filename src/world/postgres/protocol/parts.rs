//! Queries that run in parts, as far as each Execute asks (PostgreSQL 15, chapter 55.2.3).
//! Must never run on before its session asks for more.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use super::begin::How;
use super::run::{Prepared, Runner};
use super::utility::Answer;
use crate::env::Env;
use crate::world::postgres::error::Result;
use crate::world::postgres::storage::Part;
use crate::world::postgres::types::Datum;

/// A query between two parts. That it ends with its portal, wherever it stands, is what dropping a
/// future does.
pub type Running = Pin<Box<dyn Future<Output = Result<Answer>> + Send>>;

impl<E: Env> Runner<E> {
    /// A query that waits to be asked for rows.
    pub fn in_parts(&self, prepared: Arc<Prepared>, params: Arc<[Datum]>, how: How) -> Running {
        let runner = self.clone();
        Box::pin(async move { runner.execute(&prepared, &params, how).await })
    }

    /// Asks the query that runs next for more rows.
    pub fn want(&self, rows: usize) {
        self.store.with(|inner| {
            if let Some(proc) = inner.db.procs.get_mut(&self.pid) {
                proc.part = Part::Wanted(rows);
            }
        });
    }

    /// What the command has written is not seen before the next one ends.
    pub fn hold_back(&self) {
        self.store.with(|inner| {
            if inner.db.procs.get(&self.pid).is_some_and(|proc| proc.txn.is_some()) {
                inner.db.hold_back(self.pid);
            }
        });
    }

    /// A command has ended.
    pub fn catch_up(&self) {
        self.store.with(|inner| inner.db.catch_up(self.pid));
    }

    /// A query waits until more of its rows are wanted: how many.
    pub(super) async fn wanted(&self) -> Result<usize> {
        let take = || self.with(|inner| Ok(inner.db.proc_mut(self.pid).part.take()));
        if let Some(rows) = take()? {
            return Ok(rows);
        }
        let rows = poll_fn(|_| take().transpose().map_or(Poll::Pending, Poll::Ready)).await?;
        self.env.point("pg.statement").await;
        self.arrive(|_| Ok(()))?;
        Ok(rows)
    }
}
