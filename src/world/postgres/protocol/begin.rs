//! What PostgreSQL does with a statement when it is bound, before it runs: its constants, and
//! whether its role may read what it reads; and the snapshot of a query. Must never run it.

use std::sync::Arc;

use super::run::{Prepared, Runner, plan};
use super::utility;
use crate::env::Env;
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::exec::calls::Calls;
use crate::world::postgres::exec::{Denied, State, StatementRun};
use crate::world::postgres::sql::{OutColumn, Plan, Planned};
use crate::world::postgres::storage::xact::{Cid, Snapshot};
use crate::world::postgres::types::Datum;

/// What is known of a statement before it runs: its constants are worked out.
#[derive(Debug)]
pub struct Begun {
    pub plan: Arc<Planned>,
    pub calls: Calls,
    pub denied: Denied,
    /// Its columns, if planning found more about them than analysis.
    pub columns: Option<Arc<[OutColumn]>>,
    /// What a query that only reads is to see: its tables are locked, its plan stays.
    pub seen: Option<(Snapshot, Cid)>,
    /// Its role or its transaction may not do what it does: it is bound, and has failed.
    pub refused: Option<PgError>,
}

/// How a statement is run.
#[derive(Debug, Default)]
pub struct How {
    pub begun: Option<Begun>,
    /// Its rows are said as they come, if it is a query that only reads; otherwise they are
    /// gathered.
    pub aloud: bool,
    /// It pauses when it has given as many rows as its session wants.
    pub parts: bool,
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

    /// Notes whether the statement that runs has its portal.
    pub fn start(&self, started: bool) {
        self.store.with(|inner| {
            if let Some(proc) = inner.db.procs.get_mut(&self.pid) {
                proc.started = started;
            }
        });
    }

    pub fn has_started(&self) -> bool {
        self.store.with(|inner| inner.db.procs.get(&self.pid).is_some_and(|proc| proc.started))
    }

    async fn begin_now(&self, prepared: &Prepared, params: &[Datum]) -> Result<Option<Begun>> {
        let Some(statement) = &prepared.statement else { return Ok(None) };
        if utility::is_utility(statement) {
            return Ok(None);
        }
        self.arrive(|_| Ok(()))?;
        loop {
            let plan = self.repeat(|inner| plan(inner, self.pid, prepared)).await?;
            let reads = matches!(*plan.plan, Plan::Query(_));
            if !plan.constants && !plan.modifiers && !reads {
                return Ok(None);
            }
            let mut run =
                self.with(|inner| Ok(StatementRun::new(&plan, &mut inner.db, self.pid)))?;
            run.begins = true;
            if !self.drive(&plan, &mut run, params, (0, None)).await? {
                continue;
            }
            let StatementRun { state, columns, .. } = run;
            let State { calls, mut denied, snapshot, cid, .. } = state;
            let fixed = reads && !plan.plan.writes();
            let mut refused = None;
            if fixed {
                let command = self.with(|inner| {
                    inner.db.hold(self.pid, &snapshot);
                    let read_only = inner.db.txn(self.pid).read_only;
                    Ok(plan.plan.refused_as().filter(|_| read_only))
                })?;
                refused = command.map(utility::refused_read_only);
                refused = refused.or(plan.allowed().err()).or_else(|| denied.take());
            }
            let seen = fixed.then_some((snapshot, cid));
            return Ok(Some(Begun { plan, calls, denied, columns, seen, refused }));
        }
    }
}
