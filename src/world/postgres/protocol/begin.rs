//! What PostgreSQL does with a statement when it is bound, before it runs: its constants, and
//! whether its role may read what it reads. Must never run it.

use std::sync::Arc;

use super::run::{Prepared, Runner, plan};
use super::utility;
use crate::env::Env;
use crate::world::postgres::error::Result;
use crate::world::postgres::exec::calls::Calls;
use crate::world::postgres::exec::{Denied, State, StatementRun};
use crate::world::postgres::sql::{OutColumn, Plan, Planned};
use crate::world::postgres::types::Datum;

/// What is known of a statement before it runs: its constants are worked out.
#[derive(Debug)]
pub struct Begun {
    pub plan: Arc<Planned>,
    pub calls: Calls,
    pub denied: Denied,
    /// Its columns, if planning found more about them than analysis.
    pub columns: Option<Arc<[OutColumn]>>,
}

/// How a statement is run.
#[derive(Debug, Default)]
pub struct How {
    pub begun: Option<Begun>,
    /// Its rows are said as they come, if it is a query that only reads; otherwise they are
    /// gathered.
    pub aloud: bool,
}

impl<E: Env> Runner<E> {
    /// Works out the constants of a statement that is to run later, as PostgreSQL does when it
    /// plans it; `None` if there is nothing to work out.
    pub async fn begin(&self, prepared: &Prepared, params: &[Datum]) -> Result<Option<Begun>> {
        let early = self.begin_now(prepared, params).await;
        if !matches!(early, Ok(None)) {
            self.rest();
        }
        early
    }

    async fn begin_now(&self, prepared: &Prepared, params: &[Datum]) -> Result<Option<Begun>> {
        let Some(statement) = &prepared.statement else { return Ok(None) };
        if utility::is_utility(statement) {
            return Ok(None);
        }
        let began = self.env.now();
        self.arrive(|_| Ok(()))?;
        loop {
            let plan = self.repeat(began, |inner| plan(inner, self.pid, prepared)).await?;
            let reads = matches!(*plan.plan, Plan::Query(_));
            if !plan.constants && !plan.modifiers && (plan.denied.is_none() || !reads) {
                return Ok(None);
            }
            let mut run =
                self.with(|inner| Ok(StatementRun::new(&plan, &mut inner.db, self.pid)))?;
            run.begins = true;
            if !self.drive(&plan, &mut run, params, began, (0, None)).await? {
                continue;
            }
            let StatementRun { state, columns, .. } = run;
            let State { calls, mut denied, .. } = state;
            if reads {
                plan.allowed()?;
                denied.take().map_or(Ok(()), Err)?;
            }
            return Ok(Some(Begun { plan, calls, denied, columns }));
        }
    }
}
