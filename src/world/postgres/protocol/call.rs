//! Running a function of one's own: its statements one after the other, each waiting as any other
//! does. Must never write to the socket.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sqlparser::ast::Statement;

use super::run::Runner;
use crate::env::Env;
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::exec::calls::Calls;
use crate::world::postgres::exec::{Cx, Opened, State, StatementRun, routine as values};
use crate::world::postgres::sql::{
    Code, Fragment, Planned, Routine, Volatility, check_returned, is_planned, stands_for,
};
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
    /// Nothing might have stood in the place of the call.
    pub stays: bool,
    /// What it and the statements around it do with tables.
    pub opened: Opened,
}

impl Caller {
    /// A statement outside any function.
    pub fn of(state: State) -> Caller {
        let opened = state.opened();
        Caller {
            snapshot: state.snapshot,
            cid: state.cid,
            depth: 0,
            context: None,
            stays: false,
            opened,
        }
    }
}

/// One call.
pub struct Invocation<'a, E> {
    pub runner: &'a Runner<E>,
    pub routine: &'a Routine,
    /// Of its variables.
    pub values: Vec<Datum>,
    pub caller: &'a Caller,
    /// Errors that are being handled, innermost last.
    pub caught: Vec<PgError>,
    /// What the statements that are begun and not yet run have called for their constants.
    ahead: VecDeque<Calls>,
}

/// Why a statement in a function gave nothing, and whether that was before it was run.
pub struct Failed {
    pub error: PgError,
    pub early: bool,
    /// Its expression might have stood in the place of the call.
    pub placed: bool,
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
        caller: &'a Caller,
    ) -> Boxed<'a, Datum> {
        let mut values = args.to_vec();
        values.resize(routine.variables().len(), Datum::Null);
        // FOUND begins as false.
        if let Code::Procedural { .. } = routine.body {
            values[args.len()] = Datum::Bool(false);
        }
        let (caught, ahead) = (Vec::new(), VecDeque::new());
        let mut invocation = Invocation { runner: self, routine, values, caller, caught, ahead };
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
        if fragments.len() > 1 {
            let begun = self.begin(fragments).await;
            let failed = |error| Failed { error, early: true, placed: false };
            begun.map_err(|error| self.told(fragments, failed(error), ""))?;
        }
        let mut last = None;
        for (at, fragment) in fragments.iter().enumerate() {
            let line = format!("SQL function \"{}\" statement {}", self.routine.name, at + 1);
            let ends = at + 1 == fragments.len() && self.routine.ret != Ty::VOID;
            let gave = self.run(fragment, if ends { 1 } else { usize::MAX }, &line).await;
            last = Some(gave.map_err(|failed| self.told(fragments, failed, &line))?);
        }
        if self.routine.ret == Ty::VOID {
            return Ok(Datum::Null);
        }
        match last {
            Some(gave) => self.first(&gave, self.routine.ret, -1),
            None => Ok(Datum::Null),
        }
    }

    /// Before the first statement is run, all are analysed, which locks their tables, and then all
    /// are planned (`init_sql_fcache`).
    async fn begin(&mut self, fragments: &[Fragment]) -> Result<()> {
        let (runner, pid) = (self.runner, self.runner.pid);
        for fragment in fragments.iter().filter(|fragment| is_planned(&fragment.statement)) {
            let analyse = |inner: &mut Inner| {
                let planned = inner.fragment(pid, self.routine, fragment);
                inner.db.analysed(pid, planned)
            };
            let planned = runner.repeat(analyse).await?;
            let columns = planned.columns.as_ref().map(|all| all.iter().map(|c| c.ty));
            let columns = columns.map(Iterator::collect::<Vec<Ty>>);
            self.check_result(fragment, columns.as_deref())?;
        }
        let fixed = self.routine.volatility != Volatility::Volatile;
        for fragment in fragments {
            if !is_planned(&fragment.statement) {
                if fixed {
                    return Err(refused_fixed(&super::utility::command(&fragment.statement)));
                }
                continue;
            }
            loop {
                let plan = runner.with(|inner| {
                    let planned = inner.fragment(pid, self.routine, fragment);
                    planned.map_err(|unplanned| unplanned.error)
                })?;
                if fixed {
                    refuse(&plan, false, true)?;
                }
                let seen = Some((self.caller.snapshot.clone(), self.caller.cid));
                let run =
                    |inner: &mut Inner| Ok(StatementRun::nested(&plan, &mut inner.db, pid, seen));
                let mut run = runner.with(run)?;
                run.begins = true;
                let context = self.context(fragment, &self.startup(), false);
                let caller = (self.caller.depth + 1, context.as_deref());
                if runner.drive(&plan, &mut run, &self.values, caller).await? {
                    self.ahead.push_back(run.state.calls);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Where in a function of SQL it failed.
    fn told(
        &self,
        fragments: &[Fragment],
        Failed { error, early, placed }: Failed,
        line: &str,
    ) -> PgError {
        let name = &self.routine.name;
        let only = fragments.len() == 1;
        let inlined = only && placed && !self.caller.stays;
        let analysed = error.fields().query.is_none();
        // What is a constant of the statement is called, and not looked into before.
        let constant = self.caller.stays && self.routine.volatility == Volatility::Immutable;
        match early {
            false if inlined => error,
            false => error.context(line),
            true if inlined || only && !analysed && !constant => {
                error.context(&format!("SQL function \"{name}\" during inlining"))
            }
            true => error.context(&self.startup()),
        }
    }

    /// Where it is while its statements are analysed and planned.
    fn startup(&self) -> String {
        format!("SQL function \"{}\" during startup", self.routine.name)
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
            let mut cx = Cx { db, pid: runner.pid, params: &[], state: &mut state, ctes: None };
            let converted = values::assigned(&mut cx, datum, from, to, typmod);
            converted.map_err(super::run::stopped)
        })
    }

    /// Runs a piece of SQL; no more than `most` rows are wanted. `line` is where it stands.
    pub async fn run(
        &mut self,
        fragment: &Fragment,
        most: usize,
        line: &str,
    ) -> Result<Gave, Failed> {
        let mut placed = fragment.simple;
        let failed = |error, early, placed| Failed { error, early, placed };
        let runner = self.runner;
        let (statement, pid) = (&fragment.statement, runner.pid);
        let fixed = self.routine.volatility != Volatility::Volatile;
        if !is_planned(statement) {
            let gave = self.utility(fragment).await;
            return gave.map_err(|error| failed(error, fixed, false));
        }
        loop {
            let plan = |inner: &mut Inner| {
                let planned = match inner.fragment(pid, self.routine, fragment) {
                    Ok(planned) => planned,
                    wrong => inner.db.analysed(pid, wrong)?,
                };
                Ok(planned)
            };
            let planned = runner.repeat(plan).await;
            let planned = planned.map_err(|error| failed(error, true, placed))?;
            let columns = planned.columns.as_ref().map(|columns| columns.iter().map(|c| c.ty));
            let columns = columns.map(Iterator::collect::<Vec<Ty>>);
            let right = self.check_result(fragment, columns.as_deref());
            right.map_err(|error| failed(error, true, placed))?;
            let stands = runner.with(|inner| Ok(self.stands(&planned, inner)));
            placed = placed && stands.map_err(|error| failed(error, true, placed))?;
            runner
                .with(|inner| refuse(&planned, inner.db.txn(pid).read_only, fixed))
                .map_err(|error| failed(error, fixed, placed))?;
            let seen = fixed.then(|| (self.caller.snapshot.clone(), self.caller.cid));
            let run =
                runner.with(|inner| Ok(StatementRun::nested(&planned, &mut inner.db, pid, seen)));
            let mut run = run.map_err(|error| failed(error, true, placed))?;
            run.most = most;
            run.state.around = Some(self.caller.opened.clone());
            run.state.calls = self.ahead.pop_front().unwrap_or_default();
            let context = self.context(fragment, line, placed);
            let caller = (self.caller.depth + 1, context.as_deref());
            let params = &self.values;
            match runner.drive(&planned, &mut run, params, caller).await {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => return Err(failed(error, !run.is_folded(), placed)),
            }
            let columns = columns.unwrap_or_default();
            return Ok(Gave { columns, count: run.count(), rows: run.rows });
        }
    }

    /// What a function of SQL ends with may have changed since the function was made.
    fn check_result(&self, fragment: &Fragment, given: Option<&[Ty]>) -> Result<()> {
        match &self.routine.body {
            Code::Sql(all) if all.last().is_some_and(|last| std::ptr::eq(last, fragment)) => {
                check_returned(self.routine, given)
            }
            _ => Ok(()),
        }
    }

    /// Whether PostgreSQL puts it in the place of the call.
    fn stands(&self, planned: &Planned, inner: &Inner) -> bool {
        let routine = |oid| inner.db.routine(oid, self.runner.pid);
        let is_strict = |oid| routine(oid).is_some_and(|routine| routine.strict);
        stands_for(self.routine, &planned.plan, &is_strict).is_some()
    }

    /// Where what the fragment calls stands; an expression in SQL stands in the place of its call.
    fn context(&self, fragment: &Fragment, line: &str, placed: bool) -> Option<String> {
        let own = match &self.routine.body {
            Code::Sql(all) if all.len() == 1 && placed && !self.caller.stays => None,
            Code::Procedural { .. } if !fragment.expression || !fragment.simple => {
                Some(format!("{}\n{line}", fragment.called()))
            }
            _ => Some(line.to_owned()),
        };
        match (own, self.caller.context.as_deref()) {
            (Some(own), Some(around)) => Some(format!("{own}\n{around}")),
            (own, around) => own.or(around.map(str::to_owned)),
        }
    }

    async fn utility(&self, fragment: &Fragment) -> Result<Gave> {
        let statement = &fragment.statement;
        if self.routine.volatility != Volatility::Volatile {
            return Err(refused_fixed(&super::utility::command(statement)));
        }
        if reads_variables(fragment, self.routine) {
            return Err(PgError::unsupported("a variable in CREATE TABLE AS"));
        }
        let (text, around) = (fragment.own().into(), Some(&self.caller.opened));
        let answer = self.runner.utility(statement, &text, around).await;
        let answer = answer.map_err(|error| fragment.shown(error, 0))?;
        let columns = answer.columns.iter().flat_map(|columns| columns.iter());
        let columns = columns.map(|column| column.ty).collect();
        Ok(Gave { columns, rows: answer.rows, count: 0 })
    }
}

/// Whether a query that is no plan may name a variable.
fn reads_variables(fragment: &Fragment, routine: &Routine) -> bool {
    let query =
        matches!(&*fragment.statement, Statement::CreateTable(create) if create.query.is_some());
    let text = fragment.own().to_lowercase();
    let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    let named = |word: &str| {
        let named = |at: &usize| routine.variables()[*at].name.to_lowercase() == word;
        !word.is_empty() && fragment.seen.iter().any(named)
    };
    query && words.any(named)
}

fn refused_fixed(command: &str) -> PgError {
    PgError::new("0A000", format!("{command} is not allowed in a non-volatile function"))
}

fn refuse(planned: &Planned, read_only: bool, fixed: bool) -> Result<()> {
    let Some(command) = planned.plan.refused_as() else { return Ok(()) };
    if fixed {
        return Err(refused_fixed(command));
    }
    if read_only { Err(super::utility::refused_read_only(command)) } else { Ok(()) }
}
