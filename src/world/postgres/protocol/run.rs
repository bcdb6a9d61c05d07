//! Running one statement: transaction, plan, waits, answer. Must never write to the socket.

use std::sync::Arc;

use sqlparser::ast::Statement;

use super::begin::{Begun, How};
use super::call::Caller;
use super::transaction;
use super::utility::{self, Answer};
use super::wait::{timed_out, wait};
use crate::env::Env;
use crate::world::postgres::error::{PgError, Result, Step, Stop};
use crate::world::postgres::exec::calls::{Call, Calls};
use crate::world::postgres::exec::{Cx, Opened, StatementRun};
use crate::world::postgres::injection::{self, Injected};
use crate::world::postgres::sql::{OutColumn, Plan, Planned, Unplanned, plan_statement};
use crate::world::postgres::storage::Said;
use crate::world::postgres::storage::locks::{Oid, Pid};
use crate::world::postgres::store::{Inner, Store, gone};
use crate::world::postgres::types::{Datum, EPOCH_DAYS, MICROS_PER_DAY, Ty};
use crate::world::postgres::watch::{Cause, Change};

/// A statement with what is known of it.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The text it came from, and its place in it.
    pub text: Arc<str>,
    pub at: usize,
    /// `None`: the text holds no statement.
    pub statement: Option<Arc<Statement>>,
    /// Types as the client gave them, and as the analysis found them.
    pub given: Arc<[Ty]>,
    pub params: Arc<[Ty]>,
    pub columns: Option<Arc<[OutColumn]>>,
    /// Who watches has heard of its script already.
    pub told: bool,
    /// As it was analysed; `None` if it is not planned, or not yet.
    pub plan: Option<Arc<Planned>>,
}

/// Where statements run.
#[derive(Clone, Debug)]
pub struct Runner<E> {
    pub env: E,
    pub store: Store,
    pub pid: Pid,
}

fn planned(inner: &mut Inner, pid: Pid, prepared: &Prepared) -> Result<Arc<Planned>, Unplanned> {
    if let Some(own) = prepared.plan.as_ref().filter(|own| inner.suits(pid, own)) {
        return Ok(own.clone());
    }
    let Prepared { text, at, given, .. } = prepared;
    inner.planned(pid, (text, *at), given, |db| {
        let statement = prepared.statement.as_ref().expect("only statements are planned");
        plan_statement(db, pid, text, statement, given)
    })
}

/// 25P02 if the transaction has failed.
fn refuse_all(inner: &Inner, pid: Pid) -> Result<()> {
    if !inner.db.proc(pid).txn.as_ref().is_some_and(|txn| txn.failed) {
        return Ok(());
    }
    let message = "current transaction is aborted, commands ignored until end of transaction block";
    Err(PgError::new("25P02", message))
}

/// The plan of a statement that is to run.
pub fn plan(inner: &mut Inner, pid: Pid, prepared: &Prepared) -> Step<Arc<Planned>> {
    let plan = match planned(inner, pid, prepared) {
        Ok(plan) => plan,
        wrong => inner.db.analysed(pid, wrong)?,
    };
    check_parameters(&plan, prepared)?;
    Ok(plan)
}

/// Fails if the statement names a parameter that it was not given.
fn check_parameters(plan: &Planned, prepared: &Prepared) -> Result<()> {
    let number = plan.params.len();
    if number <= prepared.params.len() {
        return Ok(());
    }
    let named = |number: usize| {
        let name = format!("${number}");
        let mut found = prepared.text.match_indices(&name).map(|(at, _)| at);
        let whole = |at: &usize| {
            !prepared.text[at + name.len()..].starts_with(|c: char| c.is_ascii_digit())
        };
        Some((found.find(whole)?, name.clone()))
    };
    let first = (prepared.params.len() + 1..=number).filter_map(named).min();
    let (at, name) = first.unwrap_or((0, format!("${number}")));
    let place = prepared.text[..at].chars().count() + 1;
    Err(PgError::new("42P02", format!("there is no parameter {name}")).at(Some(place)))
}

/// The fault that happens at this statement, told to who watches.
fn injected(inner: &mut Inner, pid: Pid, statement: &Statement) -> Option<Injected> {
    if inner.db.injections.is_empty() {
        return None;
    }
    let now = inner.db.proc(pid).now;
    let wrote = inner.db.txn(pid).top().is_some() && !inner.db.txn(pid).failed;
    let injections = &mut inner.db.injections;
    let found = match statement {
        Statement::Commit { .. } if wrote => injections.at_commit(now),
        _ => None,
    };
    let found = found.or_else(|| injections.at_statement(now, &statement.to_string()))?;
    Some(told(inner, pid, found))
}

/// The fault that happens when what was no block commits: whether it is applied all the same.
fn lost_commit(inner: &mut Inner, pid: Pid) -> Option<bool> {
    let wrote = inner.db.txn(pid).top().is_some();
    let now = inner.db.proc(pid).now;
    let found = if wrote { inner.db.injections.at_commit(now) } else { None };
    match told(inner, pid, found?) {
        Injected::Commit { applied } => Some(applied),
        _ => None,
    }
}

fn told(inner: &Inner, pid: Pid, found: Injected) -> Injected {
    let sqlstate = match &found {
        Injected::Statement { sqlstate: Some(sqlstate), .. } => sqlstate,
        _ => "",
    };
    let fault = found.word();
    inner.db.proc(pid).watch.tell(&Change::Injected { pid, fault, sqlstate });
    found
}

/// A stop where nothing may wait and no function be called.
pub fn stopped(stop: Stop) -> PgError {
    match stop {
        Stop::Error(error) => error,
        Stop::Wait => PgError::new("XX000", "a wait in a place that cannot wait"),
        Stop::Call(_) => PgError::unsupported("a function of one's own in this place"),
    }
}

impl<E: Env> Runner<E> {
    /// Fails if the session is no longer registered: its cluster crashed.
    pub(super) fn with<R>(&self, step: impl FnOnce(&mut Inner) -> Result<R>) -> Result<R> {
        self.store.with(|inner| {
            if !inner.db.procs.contains_key(&self.pid) {
                return Err(gone());
            }
            step(inner)
        })
    }

    /// Notes the time, which statements see, and opens a transaction if there is none; then takes
    /// a step.
    pub(super) fn arrive<R>(&self, step: impl FnOnce(&mut Inner) -> Result<R>) -> Result<R> {
        let (now, unix_us) = (self.env.now(), self.env.unix_us());
        self.with(|inner| {
            let proc = inner.db.proc_mut(self.pid);
            let since_epoch = i64::try_from(unix_us).unwrap_or(0);
            proc.now_micros = since_epoch - EPOCH_DAYS * MICROS_PER_DAY;
            (proc.arrived, proc.now) = (now, now);
            proc.interrupt = None;
            if proc.txn.is_none() {
                inner.db.begin(self.pid, false);
            }
            step(inner)
        })
    }

    /// Parses and analyses: what Parse and Describe need.
    pub async fn prepare(
        &self,
        text: &Arc<str>,
        at: usize,
        statement: Option<Arc<Statement>>,
        given: Arc<[Ty]>,
    ) -> Result<Prepared> {
        let mut prepared = Prepared {
            text: text.clone(),
            at,
            statement,
            params: given.clone(),
            given,
            columns: None,
            told: false,
            plan: None,
        };
        let Some(statement) = prepared.statement.clone() else { return Ok(prepared) };
        if utility::is_utility(&statement) {
            prepared.columns = utility::columns(&statement);
            return Ok(prepared);
        }
        self.arrive(|_| Ok(()))?;
        let plan = self
            .repeat(|inner| {
                self.refuse_failed(inner, &statement)?;
                let plan = planned(inner, self.pid, &prepared);
                inner.db.analysed(self.pid, plan)
            })
            .await?;
        prepared.params.clone_from(&plan.params);
        prepared.columns.clone_from(&plan.columns);
        prepared.plan = Some(plan);
        Ok(prepared)
    }

    /// Fails if the statement would no longer give what its client was told that it gives.
    pub async fn same_result(&self, prepared: &Prepared) -> Result<()> {
        let Some(plan) = &prepared.plan else { return Ok(()) };
        if self.with(|inner| Ok(inner.db.catalog.version == plan.version))? {
            return Ok(());
        }
        let (text, statement) = (&prepared.text, prepared.statement.clone());
        let again = self.prepare(text, prepared.at, statement, prepared.given.clone()).await?;
        let shape = |columns: &Option<Arc<[OutColumn]>>| {
            let columns = columns.iter().flat_map(|all| all.iter());
            columns.map(|c| (c.name.clone(), c.ty, c.typmod)).collect::<Vec<_>>()
        };
        if shape(&again.columns) == shape(&prepared.columns) {
            return Ok(());
        }
        Err(PgError::new("0A000", "cached plan must not change result type"))
    }

    /// Whether the text that is about to run holds several statements.
    pub fn note_several(&self, several: bool) {
        self.store.with(|inner| {
            if let Some(proc) = inner.db.procs.get_mut(&self.pid) {
                proc.several = several;
            }
        });
    }

    /// The tables that the session's open portals read.
    pub fn note_open(&self, tables: Vec<Oid>) {
        self.store.with(|inner| {
            if let Some(proc) = inner.db.procs.get_mut(&self.pid) {
                proc.open = tables;
            }
        });
    }

    /// 25P02 if the transaction has failed and the statement does not end it.
    pub fn check_failed(&self, statement: &Statement) -> Result<()> {
        self.with(|inner| self.refuse_failed(inner, statement))
    }

    /// The same of what Bind and Describe speak of: parameters are not read there either.
    pub fn check_bound(&self, statement: Option<&Statement>, params: usize) -> Result<()> {
        let ends = params == 0 && statement.is_some_and(transaction::ends_failure);
        self.with(|inner| if ends { Ok(()) } else { refuse_all(inner, self.pid) })
    }

    /// How many savepoints and transactions it is within.
    pub fn level(&self) -> usize {
        self.store.with(|inner| {
            let txn = inner.db.procs.get(&self.pid).and_then(|proc| proc.txn.as_ref());
            txn.map_or(0, |txn| txn.levels.len())
        })
    }

    fn refuse_failed(&self, inner: &Inner, statement: &Statement) -> Result<()> {
        if transaction::ends_failure(statement) { Ok(()) } else { refuse_all(inner, self.pid) }
    }

    /// Runs a statement; an error leaves the transaction failed or rolled back.
    pub async fn execute(&self, prepared: &Prepared, params: &[Datum], how: How) -> Result<Answer> {
        self.env.point("pg.statement").await;
        let outcome = self.attempt(prepared, params, how).await;
        self.rest();
        if let Err(error) = &outcome {
            self.failed(error);
        }
        outcome
    }

    /// Between two statements nothing is read.
    pub(super) fn rest(&self) {
        self.store.with(|inner| {
            let Some(proc) = inner.db.procs.get_mut(&self.pid) else { return };
            proc.snapshot = None;
            proc.granted = None;
            proc.sleep_until = None;
            inner.db.vacuum();
        });
    }

    async fn attempt(&self, prepared: &Prepared, params: &[Datum], mut how: How) -> Result<Answer> {
        let Some(statement) = &prepared.statement else { return Ok(Answer::default()) };
        let injected = self.arrive(|inner| {
            self.refuse_failed(inner, statement)?;
            self.tell(inner, prepared);
            Ok(injected(inner, self.pid, statement))
        })?;
        if let Some(injected) = injected {
            self.suffer(injected, statement).await?;
        }
        let planned = !transaction::is_control(statement) && !utility::is_utility(statement);
        self.start(!planned);
        if transaction::is_control(statement) {
            return self.control(statement).await.map(Answer::tag);
        }
        if utility::is_utility(statement) {
            return self.utility(statement, &prepared.text, None).await;
        }
        if let Some(Begun { plan, seen: Some(_), .. }) = &how.begun {
            let plan = plan.clone();
            let answer = self.run(&plan, params, (prepared, how)).await?;
            return Ok(answer.expect("its tables are locked"));
        }
        loop {
            let plan = self
                .repeat(|inner| {
                    let plan = plan(inner, self.pid, prepared)?;
                    let read_only = inner.db.txn(self.pid).read_only;
                    match plan.plan.refused_as().filter(|_| read_only) {
                        Some(command) => Err(utility::refused_read_only(command).into()),
                        None => Ok(plan),
                    }
                })
                .await?;
            let early = how.begun.take().filter(|early| Arc::ptr_eq(&early.plan, &plan));
            let how = How { begun: early, ..how };
            if let Some(answer) = self.run(&plan, params, (prepared, how)).await? {
                return Ok(answer);
            }
        }
    }

    /// Beginnings and ends of transactions are told as what they do, not as what they say.
    fn tell(&self, inner: &Inner, prepared: &Prepared) {
        let ends = prepared.statement.as_deref().is_some_and(transaction::is_boundary);
        if !prepared.told && !ends {
            let (pid, text) = (self.pid, &*prepared.text);
            inner.db.proc(pid).watch.tell(&Change::Statement { pid, text });
        }
    }

    /// An injected fault happens; an error if the statement ends with it.
    async fn suffer(&self, what: Injected, statement: &Statement) -> Result<()> {
        match what {
            Injected::Statement { slow, sqlstate, .. } => {
                if !slow.is_zero() {
                    let until = self.env.now() + slow;
                    self.with(|inner| {
                        inner.db.proc_mut(self.pid).sleep_until = Some(until);
                        Ok(())
                    })?;
                    wait(&self.env, &self.store, self.pid).await?;
                    self.with(|inner| {
                        inner.db.proc_mut(self.pid).sleep_until = None;
                        Ok(())
                    })?;
                }
                sqlstate.map_or(Ok(()), |sqlstate| Err(injection::error(&sqlstate)))
            }
            Injected::Commit { applied } => {
                if applied {
                    self.control(statement).await?;
                }
                Err(PgError::severed())
            }
            Injected::Connections { .. } => Ok(()),
        }
    }

    /// Begins or ends a transaction; a commit that fails, if only while it waits, is an end too.
    async fn control(&self, statement: &Statement) -> Result<&'static str> {
        let control = |inner: &mut Inner| transaction::control(&mut inner.db, self.pid, statement);
        if matches!(statement, Statement::Commit { .. }) {
            self.stop_clock();
        }
        let done = self.repeat(control).await;
        if matches!(statement, Statement::Commit { .. }) {
            return done.inspect_err(|error| self.abort(error));
        }
        done
    }

    /// Runs a plan; `None` if the catalogue changed while it waited for its tables.
    async fn run(
        &self,
        plan: &Planned,
        params: &[Datum],
        (prepared, how): (&Prepared, How),
    ) -> Result<Option<Answer>> {
        let mut run = self.with(|inner| Ok(StatementRun::new(plan, &mut inner.db, self.pid)))?;
        if let Some(Begun { calls, denied, seen, .. }) = how.begun {
            run.go_on(calls, denied, seen);
        }
        let said = how.aloud && matches!(*plan.plan, Plan::Query(_)) && !plan.plan.writes();
        run.aloud = said;
        loop {
            if how.parts {
                run.want(self.wanted().await?);
            }
            let driven = self.drive(plan, &mut run, params, (0, None)).await;
            let driven = driven.inspect_err(|error| {
                if error.is_of_planning() {
                    self.unsay();
                }
                self.start(run.is_folded());
            });
            if !driven? {
                return Ok(None);
            }
            if run.is_done() {
                break;
            }
        }
        let found = run.columns.as_ref().or(plan.columns.as_ref());
        let columns = prepared.columns.as_ref().or(found).cloned();
        let (tag, count) = run.tag();
        let (tag, count) = (tag.into(), Some(count));
        Ok(Some(Answer { columns, rows: run.rows, said, tag, count }))
    }

    /// PostgreSQL would not have begun to run: nothing has been said of rows.
    fn unsay(&self) {
        self.store.with(|inner| {
            if let Some(proc) = inner.db.procs.get_mut(&self.pid) {
                proc.said.retain(|said| matches!(said, Said::Notice(_)));
            }
        });
    }

    /// Takes a statement's steps to its end; `false` as [`Runner::run`] says `None`. `around`: how
    /// many functions are around it, and where it stands in them.
    pub(super) async fn drive(
        &self,
        plan: &Planned,
        run: &mut StatementRun<'_>,
        params: &[Datum],
        around: (usize, Option<&str>),
    ) -> Result<bool> {
        loop {
            let step = self.with(|inner| {
                inner.db.proc_mut(self.pid).now = self.env.now();
                if !run.is_locked() && inner.db.catalog.version != plan.version {
                    return Ok(None);
                }
                Ok(Some(run.step(&mut inner.db, self.pid, params)))
            })?;
            match step {
                None => return Ok(false),
                Some(Ok(())) => return Ok(true),
                Some(Err(Stop::Error(error))) => return Err(error),
                Some(Err(Stop::Wait)) => wait(&self.env, &self.store, self.pid).await?,
                Some(Err(Stop::Call(call))) => {
                    let (snapshot, cid) = (run.state.snapshot.clone(), run.state.cid);
                    let inlining = std::mem::take(&mut run.state.inlining);
                    let lines = inlining.iter().map(String::as_str).chain(around.1);
                    let lines: Vec<&str> = lines.collect();
                    let context = (!lines.is_empty()).then(|| lines.join("\n").into());
                    let opened = run.state.opened();
                    let (depth, stays) = (around.0, call.2);
                    let caller = Caller { snapshot, cid, depth, context, stays, opened };
                    let result = self.call(&call.0, &call.1, &caller).await;
                    let result = result.map_err(|error| {
                        inlining.iter().fold(error, |error, line| error.context(line))
                    })?;
                    run.state.calls.note(Call::Routine(call.0.oid, call.1.clone()), result);
                }
            }
        }
    }

    /// A statement without a plan; `around`: within a function, what the statements around it do.
    pub(super) async fn utility(
        &self,
        statement: &Statement,
        text: &Arc<str>,
        around: Option<&Opened>,
    ) -> Result<Answer> {
        let mut calls = Calls::default();
        self.with(|inner| {
            // What a statement before it waited for in vain.
            inner.db.proc_mut(self.pid).awaited = None;
            Ok(())
        })?;
        let mut from = self.with(|inner| Ok(inner.db.mark(self.pid)))?;
        // How many notices it gave before it began anew: nobody hears them twice.
        let mut told = 0;
        loop {
            let (step, caller) = self.with(|inner| {
                inner.db.check_awaited(self.pid)?;
                // What it has defined before a wait was in force while it waited.
                inner.db.take_back(self.pid, from);
                let mut state = utility::state(&mut inner.db, self.pid, statement);
                state.calls = std::mem::take(&mut calls);
                state.calls.restart();
                state.text = text.clone();
                state.around = around.cloned();
                let db = &mut inner.db;
                let mut cx = Cx { db, pid: self.pid, params: &[], state: &mut state, ctes: None };
                let heard = cx.db.proc(self.pid).said.len();
                let step = utility::run(&mut cx, statement);
                let notices = &mut inner.db.proc_mut(self.pid).said;
                let given = notices.len() - heard;
                notices.drain(heard..heard + given.min(told));
                told = told.max(given);
                if matches!(step, Err(Stop::Call(_))) {
                    inner.db.take_back(self.pid, from);
                }
                calls = std::mem::take(&mut state.calls);
                let mut caller = Caller::of(state);
                caller.stays = matches!(&step, Err(Stop::Call(call)) if call.2);
                Ok((step, caller))
            })?;
            match step {
                Ok(answer) => return Ok(answer),
                Err(Stop::Error(error)) => return Err(error),
                Err(Stop::Wait) => wait(&self.env, &self.store, self.pid).await?,
                Err(Stop::Call(call)) => {
                    let result = self.call(&call.0, &call.1, &caller).await?;
                    calls.note(Call::Routine(call.0.oid, call.1.clone()), result);
                    // What the function has done stays.
                    from = self.with(|inner| Ok(inner.db.mark(self.pid)))?;
                }
            }
        }
    }

    /// A loop in a function goes round: others may run, and may end it.
    pub(super) async fn breathe(&self) -> Result<()> {
        self.env.point("pg.loop").await;
        let now = self.env.now();
        self.with(|inner| {
            let proc = inner.db.proc_mut(self.pid);
            match proc.interrupt.take() {
                Some(interrupt) => Err(interrupt),
                None if proc.ends.is_some_and(|ends| ends <= now) => Err(timed_out()),
                None => Ok(()),
            }
        })
    }

    /// Takes a step again after each wait, until it is through.
    pub(super) async fn repeat<T>(&self, mut step: impl FnMut(&mut Inner) -> Step<T>) -> Result<T> {
        loop {
            match self.with(|inner| Ok(step(inner)))? {
                Ok(value) => return Ok(value),
                Err(Stop::Wait) => wait(&self.env, &self.store, self.pid).await?,
                Err(other) => return Err(stopped(other)),
            }
        }
    }

    /// A statement failed: the block is failed, or what was no block is rolled back.
    pub fn failed(&self, error: &PgError) {
        self.note_several(false);
        self.store.with(|inner| {
            let Some(txn) = inner.db.procs.get(&self.pid).and_then(|proc| proc.txn.as_ref()) else {
                return;
            };
            if txn.block {
                inner.db.fail(self.pid, error);
            } else {
                inner.db.abort(self.pid, Cause::of(error), error.code());
            }
        });
    }

    /// Commits what was no block: at Sync, and at the end of a simple query.
    pub async fn finish_implicit(&self) -> Result<()> {
        let open = self.store.with(|inner| {
            let Some(proc) = inner.db.procs.get_mut(&self.pid) else { return false };
            proc.several = false;
            proc.txn.as_ref().is_some_and(|txn| !txn.block)
        });
        if !open {
            return Ok(());
        }
        let lost = self.with(|inner| Ok(lost_commit(inner, self.pid)))?;
        let mut finished = Ok(());
        if lost != Some(false) {
            let finish = |inner: &mut Inner| transaction::finish(&mut inner.db, self.pid);
            finished = self.repeat(finish).await;
        }
        if lost.is_some() {
            finished = Err(PgError::severed());
        }
        finished.inspect_err(|error| self.abort(error))
    }

    fn abort(&self, error: &PgError) {
        self.store.with(|inner| {
            if inner.db.procs.contains_key(&self.pid) {
                inner.db.abort(self.pid, Cause::of(error), error.code());
            }
        });
    }
}
