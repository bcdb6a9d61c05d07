//! The extended query protocol: statements that are parsed, bound to portals and run (PostgreSQL
//! 15, chapter 55.2.3). Must never run a statement but through the session.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::Bytes;
use sqlparser::ast::Statement;

use super::aloud::{self, Speech};
use super::arguments::{bound, check_number, no_format};
use super::begin::{Begun, How};
use super::parts::Running;
use super::run::Prepared;
use super::session::Session;
use super::utility::Answer;
use crate::env::Env;
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::sql::{OutColumn, Plan, Planned, object_name};
use crate::world::postgres::storage::locks::Oid;
use crate::world::postgres::types::{Datum, Row, Ty};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its parameters or its plan failed: it holds no statement.
    Unbound,
    Ready,
    /// It has run and gives no rows, or it has failed: it cannot be run.
    Spent,
}

/// A statement with its parameters.
pub struct Portal {
    prepared: Arc<Prepared>,
    /// What it runs, once it is known.
    plan: Option<Arc<Planned>>,
    params: Arc<[Datum]>,
    /// The formats of its columns.
    results: Vec<i16>,
    columns: Option<Arc<[OutColumn]>>,
    begun: Option<Begun>,
    /// How many savepoints and transactions it was made within.
    level: usize,
    /// It was made once the transaction had failed, or by a simple query: what it holds is known
    /// after a failure too.
    late: bool,
    stage: Stage,
    /// It has run as far as it was asked to.
    running: Option<Running>,
    given: u64,
    /// Rows not yet sent, once it has run to its end.
    left: Option<std::vec::IntoIter<Row>>,
    answer: Answer,
}

impl Portal {
    fn new(prepared: Arc<Prepared>, level: usize) -> Portal {
        Portal {
            prepared,
            plan: None,
            params: Arc::default(),
            results: Vec::new(),
            columns: None,
            begun: None,
            level,
            late: false,
            stage: Stage::Unbound,
            running: None,
            given: 0,
            left: None,
            answer: Answer::default(),
        }
    }

    /// That of a statement of a simple query, which has failed.
    pub fn failed(prepared: Prepared, level: usize) -> Portal {
        Portal { stage: Stage::Spent, late: true, ..Portal::new(Arc::new(prepared), level) }
    }

    fn writes(&self) -> bool {
        self.prepared.plan.as_ref().is_some_and(|plan| plan.plan.writes())
    }
}

impl<E: Env> Session<E> {
    pub(super) async fn parse(&mut self, name: String, text: &str, types: &[u32]) -> Result<()> {
        if name.is_empty() {
            self.statements.remove("");
        }
        let parsed = self.parsed(text)?;
        if parsed.statements.len() > 1 {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(PgError::new("42601", message));
        }
        let statement = parsed.statements.first().cloned();
        if let Some(statement) = &statement {
            self.runner.check_failed(statement)?;
        }
        let known = |oid: &u32| {
            Ty::from_oid(*oid)
                .ok_or_else(|| PgError::unsupported(format_args!("the parameter type {oid}")))
        };
        let given = types.iter().map(known).collect::<Result<Arc<[Ty]>>>()?;
        let prepared = self.runner.prepare(&parsed.text, 0, statement, given).await?;
        let given = prepared.statement.is_some();
        if let Some(at) = prepared.params.iter().position(|ty| given && *ty == Ty::UNKNOWN) {
            let message = format!("could not determine data type of parameter ${}", at + 1);
            return Err(PgError::new("42P18", message));
        }
        if self.statements.contains_key(&name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(PgError::new("42P05", message));
        }
        self.statements.insert(name, Arc::new(prepared));
        self.connection.out.empty(b'1');
        self.runner.catch_up();
        Ok(())
    }

    /// What a statement gives; EXECUTE gives what the statement gives that it names.
    fn columns(&self, prepared: &Prepared) -> Option<Arc<[OutColumn]>> {
        match prepared.statement.as_deref() {
            Some(Statement::Execute { name: Some(named), .. }) => {
                self.statements.get(&object_name(named).ok()?)?.columns.clone()
            }
            _ => prepared.columns.clone(),
        }
    }

    pub(super) async fn bind(
        &mut self,
        name: String,
        statement: &str,
        formats: &[i16],
        values: &[Option<Bytes>],
        results: Vec<i16>,
    ) -> Result<()> {
        let prepared = self.prepared(statement)?;
        check_number(statement, prepared.params.len(), formats, values.len())?;
        self.runner.check_bound(prepared.statement.as_deref(), values.len())?;
        if !name.is_empty() && self.portals.contains_key(&name) {
            return Err(PgError::new("42P03", format!("cursor \"{name}\" already exists")));
        }
        // If what follows fails the portal is there all the same.
        let mut portal = Portal::new(prepared, self.runner.level());
        (portal.results, portal.late) = (results, self.runner.check_bound(None, 0).is_err());
        self.portals.insert(name.clone(), portal);
        self.start(&name, formats, values).await?;
        self.speak();
        self.connection.out.empty(b'2');
        Ok(())
    }

    /// Gives a portal its parameters, and works out what is known before it runs.
    async fn start(&mut self, name: &str, formats: &[i16], values: &[Option<Bytes>]) -> Result<()> {
        let Some(portal) = self.portals.get(name) else { return Err(no_portal(name)) };
        let prepared = portal.prepared.clone();
        let params: Arc<[Datum]> = bound(name, &prepared.params, formats, values)?.into();
        self.runner.same_result(&prepared).await?;
        let begun = self.runner.begin(&prepared, &params).await?;
        let found = begun.as_ref().and_then(|begun| begun.columns.clone());
        let columns = found.or_else(|| self.columns(&prepared));
        let Some(portal) = self.portals.get_mut(name) else { return Err(no_portal(name)) };
        portal.plan = begun.as_ref().map(|begun| begun.plan.clone());
        (portal.params, portal.columns, portal.begun) = (params, columns, begun);
        portal.stage = Stage::Ready;
        if let Some(refused) = portal.begun.as_mut().and_then(|begun| begun.refused.take()) {
            return Err(refused);
        }
        let (given, columns) = (portal.results.len(), portal.columns.as_ref().map(|all| all.len()));
        if let Some(columns) = columns.filter(|columns| given > 1 && given != *columns) {
            let message =
                format!("bind message has {given} result formats but query has {columns} columns");
            return Err(PgError::new("08P01", message));
        }
        Ok(())
    }

    pub(super) async fn describe(&mut self, portal: bool, name: &str) -> Result<()> {
        if portal {
            let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
            match &portal.columns {
                Some(columns) => {
                    self.runner.check_bound(None, 0)?;
                    self.connection.out.row_description(columns, &portal.results);
                }
                None => self.connection.out.empty(b'n'),
            }
            return Ok(());
        }
        let prepared = self.prepared(name)?;
        let columns = self.columns(&prepared);
        if columns.is_some() {
            self.runner.check_bound(None, 0)?;
        }
        // Only what is no statement leaves a parameter without a type.
        let types = prepared.params.iter();
        let types = types.map(|ty| if *ty == Ty::UNKNOWN { 0 } else { ty.oid() });
        self.connection.out.parameter_description(types);
        match &columns {
            Some(columns) => {
                self.runner.same_result(&prepared).await?;
                self.connection.out.row_description(columns, &[]);
            }
            None => self.connection.out.empty(b'n'),
        }
        Ok(())
    }

    pub(super) async fn execute(&mut self, name: &str, max: u32) -> Result<()> {
        let portal = self.portals.get_mut(name).ok_or_else(|| no_portal(name))?;
        let statement = portal.prepared.statement.clone();
        let Some(statement) = statement.filter(|_| portal.stage != Stage::Unbound) else {
            self.connection.out.empty(b'I');
            return Ok(());
        };
        if portal.stage == Stage::Spent {
            let kept = portal.late.then_some(&*statement);
            self.runner.check_bound(kept, 0)?;
            return Err(PgError::new("55000", format!("portal \"{name}\" cannot be run")));
        }
        self.runner.check_failed(&statement)?;
        let most = if max == 0 { usize::MAX } else { usize::try_from(max).unwrap_or(usize::MAX) };
        let runs = portal.left.is_none();
        if runs && !self.run_portal(name, most).await? {
            return Ok(());
        }
        let portal = self.portals.get_mut(name).ok_or_else(|| no_portal(name))?;
        let out = &mut self.connection.out;
        let rows = portal.left.as_mut().expect("just run");
        let mut count = portal.answer.count;
        if let Some(columns) = &portal.answer.columns {
            let unfit = portal.results.iter().find(|format| !(0..=1).contains(*format));
            let mut sent = 0;
            for row in rows.by_ref().take(most) {
                if let Some(format) = unfit {
                    return Err(no_format(*format));
                }
                out.data_row(&row, columns, &portal.results);
                sent += 1;
            }
            // As many as asked for: whether there are more shows only the next time.
            if sent == most {
                out.empty(b's');
                if runs && portal.writes() {
                    self.runner.hold_back();
                }
                return Ok(());
            }
            // The tag counts what this message brought.
            if !std::mem::take(&mut portal.answer.said) {
                count = count.and(Some(sent as u64));
            }
        }
        let tag = portal.answer.tag.clone();
        self.connection.out.command_complete(&tag, count);
        self.runner.catch_up();
        self.runner.stop_clock();
        Ok(())
    }

    /// Runs a portal: a query that only reads no further than it is asked to, another statement to
    /// its end. `false` if that has been answered.
    async fn run_portal(&mut self, name: &str, most: usize) -> Result<bool> {
        let portal = self.portals.get_mut(name).ok_or_else(|| no_portal(name))?;
        portal.stage = Stage::Spent;
        let (prepared, params) = (portal.prepared.clone(), portal.params.clone());
        let (begun, mut running) = (portal.begun.take(), portal.running.take());
        // A row that cannot be written is one too many.
        let unfit = portal.results.iter().find(|format| !(0..=1).contains(*format)).copied();
        let most = if unfit.is_some() { 1 } else { most };
        let parts = most < usize::MAX && begun.as_ref().is_some_and(|b| b.seen.is_some());
        // Rows that are handed out in parts of what has run to its end are gathered, for the first
        // part to end with them.
        let how = How { begun, aloud: unfit.is_none() && (parts || most == usize::MAX), parts };
        self.speech = Speech::of_portal(portal.columns.clone(), portal.results.clone());
        let answer = if running.is_none() && !parts {
            Some(self.statement(&prepared, &params, how).await?)
        } else {
            self.runner.want(most);
            let start = || self.runner.in_parts(prepared, params, how);
            self.heard(running.get_or_insert_with(start).as_mut()).await?
        };
        self.speak();
        let Some(mut answer) = answer else {
            if let Some(format) = unfit {
                return Err(no_format(format));
            }
            let portal = self.portals.get_mut(name).ok_or_else(|| no_portal(name))?;
            (portal.stage, portal.running) = (Stage::Ready, running);
            portal.given += most as u64;
            self.connection.out.empty(b's');
            return Ok(false);
        };
        let Some(portal) = self.portals.get_mut(name) else {
            // The end of a transaction is the end of its portals, this one among them.
            self.connection.out.command_complete(&answer.tag, answer.count);
            self.runner.stop_clock();
            return Ok(false);
        };
        if answer.columns.is_some() {
            portal.stage = Stage::Ready;
        }
        answer.count = answer.count.map(|count| count - portal.given);
        portal.left = Some(std::mem::take(&mut answer.rows).into_iter());
        portal.answer = answer;
        Ok(true)
    }

    /// Runs a statement while portals are open.
    pub(super) async fn beside_portals(
        &mut self,
        prepared: &Prepared,
        params: &[Datum],
        how: How,
    ) -> Result<Answer> {
        let runner = self.runner.clone();
        let answer = self.heard(pin!(runner.execute(prepared, params, how))).await?;
        if let Some(statement) = &prepared.statement {
            self.ended(statement);
        }
        Ok(answer.unwrap_or_default())
    }

    async fn heard(
        &mut self,
        running: Pin<&mut (impl Future<Output = Result<Answer>> + ?Sized)>,
    ) -> Result<Option<Answer>> {
        let open = self.tables_of_portals();
        let any = !open.is_empty();
        if any {
            self.runner.note_open(open);
        }
        let told = (&mut self.connection, &mut self.speech);
        let answer = aloud::run(&self.runner, told, running).await;
        if any {
            self.runner.note_open(Vec::new());
        }
        answer
    }

    /// The tables that open portals read: PostgreSQL keeps the rows of all others apart.
    fn tables_of_portals(&self) -> Vec<Oid> {
        let open = self.portals.values().filter(|portal| portal.stage == Stage::Ready);
        let plans = open.filter_map(|portal| portal.plan.as_ref());
        let reads =
            |plan: &&Arc<Planned>| matches!(*plan.plan, Plan::Query(_)) && !plan.plan.writes();
        plans.filter(reads).flat_map(|plan| plan.tables.iter().map(|(oid, _)| *oid)).collect()
    }

    /// Portals of a transaction that has failed, or of a savepoint within it, hold nothing more.
    pub(super) fn failed(&mut self) {
        let level = self.runner.level();
        let own = |portal: &&mut Portal| {
            portal.level >= level && !portal.late && portal.stage == Stage::Ready
        };
        self.portals.values_mut().filter(own).for_each(|portal| portal.stage = Stage::Spent);
    }

    /// What a transaction or a savepoint that has ended takes with it.
    fn ended(&mut self, statement: &Statement) {
        let level = self.runner.level();
        match statement {
            Statement::Commit { .. } | Statement::Rollback { savepoint: None, .. } => {
                self.portals.clear();
            }
            Statement::Rollback { .. } => self.portals.retain(|_, portal| portal.level < level),
            Statement::ReleaseSavepoint { .. } => {
                self.portals.values_mut().for_each(|portal| portal.level = portal.level.min(level));
            }
            _ => {}
        }
    }

    pub(super) fn close(&mut self, portal: bool, name: &str) {
        if portal {
            self.portals.remove(name);
        } else {
            self.statements.remove(name);
        }
        self.connection.out.empty(b'3');
    }
}

fn no_portal(name: &str) -> PgError {
    PgError::new("34000", format!("portal \"{name}\" does not exist"))
}
