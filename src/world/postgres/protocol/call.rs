//! Running a function of one's own: its statements one after the other, each waiting as any other
//! does. Must never write to the socket.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::run::Runner;
use crate::env::{Env, Moment};
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::exec::{Cx, State, StatementRun, routine as values};
use crate::world::postgres::sql::{Code, Fragment, Planned, Routine, Volatility};
use crate::world::postgres::storage::xact::{Cid, Snapshot};
use crate::world::postgres::store::Inner;
use crate::world::postgres::types::{Datum, Row, Ty};

/// A future that may call itself.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// How deep functions may call each other.
const DEEPEST: usize = 100;

/// The statement that calls a function.
#[derive(Clone, Debug)]
pub struct Caller {
    pub snapshot: Snapshot,
    pub cid: Cid,
    pub depth: usize,
    /// Where it stands itself.
    pub context: Option<Arc<str>>,
}

impl Caller {
    /// A statement outside any function.
    pub fn of(state: State) -> Caller {
        Caller { snapshot: state.snapshot, cid: state.cid, depth: 0, context: None }
    }
}

/// One call.
pub struct Invocation<'a, E> {
    pub runner: &'a Runner<E>,
    pub routine: &'a Routine,
    /// Of its variables.
    pub values: Vec<Datum>,
    pub began: Moment,
    pub caller: &'a Caller,
    /// Errors that are being handled, innermost last.
    pub caught: Vec<PgError>,
}

/// What a statement in a function gave.
pub struct Gave {
    pub columns: Vec<Ty>,
    pub rows: Vec<Row>,
    /// Rows that it gave or wrote.
    pub count: u64,
}

impl<E: Env> Runner<E> {
    /// Runs a function to its end.
    pub fn call<'a>(
        &'a self,
        routine: &'a Routine,
        args: &[Datum],
        began: Moment,
        caller: &'a Caller,
    ) -> Boxed<'a, Datum> {
        let mut values = args.to_vec();
        values.resize(routine.variables().len(), Datum::Null);
        // FOUND begins as false.
        if let Some(found) = routine.variables().iter().position(|v| &*v.name == "found")
            && found >= args.len()
        {
            values[found] = Datum::Bool(false);
        }
        let caught = Vec::new();
        let mut invocation = Invocation { runner: self, routine, values, began, caller, caught };
        Box::pin(async move {
            if caller.depth > DEEPEST {
                let hint = "Increase the configuration parameter \"max_stack_depth\" (currently \
                            2048kB), after ensuring the platform's stack depth limit is adequate.";
                return Err(PgError::new("54001", "stack depth limit exceeded").hint(hint));
            }
            match &routine.body {
                Code::Sql(fragments) => invocation.sql(fragments).await,
                Code::Procedural { block, .. } => invocation.procedural(block).await,
            }
        })
    }
}

impl<E: Env> Invocation<'_, E> {
    /// LANGUAGE sql: what the last statement's first row says.
    async fn sql(&mut self, fragments: &[Fragment]) -> Result<Datum> {
        let mut last = None;
        for (at, fragment) in fragments.iter().enumerate() {
            let line = format!("SQL function \"{}\" statement {}", self.routine.name, at + 1);
            let ends = at + 1 == fragments.len() && self.routine.ret != Ty::VOID;
            let gave = self.run(fragment, if ends { 1 } else { usize::MAX }, &line).await;
            // PostgreSQL puts such a function's expression in the place of its call.
            let inlined = fragments.len() == 1 && fragment.simple;
            last = Some(if inlined { gave? } else { gave.map_err(|e| e.context(&line))? });
        }
        if self.routine.ret == Ty::VOID {
            return Ok(Datum::Null);
        }
        match last {
            Some(gave) => self.first(&gave, self.routine.ret, -1),
            None => Ok(Datum::Null),
        }
    }

    /// The first value of the first row, as another type; NULL without a row.
    pub fn first(&self, gave: &Gave, to: Ty, typmod: i32) -> Result<Datum> {
        let datum = gave.rows.first().and_then(|row| row.first()).cloned().unwrap_or_default();
        let from = gave.columns.first().copied().unwrap_or(to);
        self.converted(datum, from, to, typmod)
    }

    pub fn converted(&self, datum: Datum, from: Ty, to: Ty, typmod: i32) -> Result<Datum> {
        let runner = self.runner;
        runner.with(|inner| {
            let (db, mut state) = (&mut inner.db, State::default());
            let mut cx = Cx { db, pid: runner.pid, params: &[], state: &mut state };
            let converted = values::assigned(&mut cx, datum, from, to, typmod);
            converted.map_err(super::run::stopped)
        })
    }

    /// Runs a piece of SQL; no more than `most` rows are wanted. `line` is where it stands.
    pub async fn run(&mut self, fragment: &Fragment, most: usize, line: &str) -> Result<Gave> {
        let runner = self.runner;
        let (statement, pid) = (&fragment.statement, runner.pid);
        if !crate::world::postgres::sql::is_planned(statement) {
            return self.utility(fragment).await;
        }
        let fixed = self.routine.volatility != Volatility::Volatile;
        let context = match &self.caller.context {
            Some(around) => format!("{line}\n{around}"),
            None => line.to_owned(),
        };
        loop {
            let plan = |inner: &mut Inner| {
                let planned = match inner.fragment(pid, self.routine, fragment) {
                    Ok(planned) => planned,
                    wrong => inner.db.analysed(pid, wrong)?,
                };
                let read_only = inner.db.txn(pid).read_only;
                refuse(&planned, read_only, fixed)?;
                Ok(planned)
            };
            let planned = runner.repeat(self.began, plan).await?;
            let seen = fixed.then(|| (self.caller.snapshot.clone(), self.caller.cid));
            let mut run = runner
                .with(|inner| Ok(StatementRun::nested(&planned, &mut inner.db, pid, seen)))?;
            run.most = most;
            let caller = (self.caller.depth + 1, Some(context.as_str()));
            let params = &self.values;
            if !runner.drive(&planned, &mut run, params, self.began, caller).await? {
                continue;
            }
            let columns = planned.columns.iter().flat_map(|columns| columns.iter());
            let columns = columns.map(|column| column.ty).collect();
            return Ok(Gave { columns, count: run.count(), rows: run.rows });
        }
    }

    async fn utility(&self, fragment: &Fragment) -> Result<Gave> {
        let statement = &fragment.statement;
        if self.routine.volatility != Volatility::Volatile {
            let text = statement.to_string();
            let word = text.split_whitespace().next().unwrap_or_default();
            let message = format!("{word} is not allowed in a non-volatile function");
            return Err(PgError::new("0A000", message));
        }
        self.runner.utility(statement, &fragment.text, self.began).await?;
        Ok(Gave { columns: Vec::new(), rows: Vec::new(), count: 0 })
    }
}

fn refuse(planned: &Planned, read_only: bool, fixed: bool) -> Result<()> {
    let Some(command) = planned.plan.refused_as() else { return Ok(()) };
    if fixed {
        let message = format!("{command} is not allowed in a non-volatile function");
        return Err(PgError::new("0A000", message));
    }
    if read_only { Err(super::utility::refused_read_only(command)) } else { Ok(()) }
}
