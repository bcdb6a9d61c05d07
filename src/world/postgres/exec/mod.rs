//! Running plans: step by step, each step atomic, stopping where it must wait.
//! Must never await: a step that cannot go on says so and is taken again later.

mod again;
mod aggregate;
pub mod alter;
mod anew;
pub mod calls;
mod cast;
pub mod comment;
mod constants;
mod constraint;
pub mod create_as;
mod ctes;
pub mod ddl;
pub mod drops;
mod eval;
mod foreign;
#[allow(clippy::unnecessary_wraps, reason = "one signature serves every function")]
pub mod functions;
mod insert;
mod keys;
mod late;
mod modifiers;
mod modify;
pub mod policies;
mod query;
mod retype;
pub mod roles;
pub mod routine;
mod scan;
mod sequence;
pub mod setting;
mod setting_names;
mod system;
mod tuple;
mod validate;

pub use cast::relation_oid;
pub use constants::{has_any as has_constants, holds_constant, is_constant};
pub use eval::{Frame, eval, is_true};
pub use foreign::{Checks, Deferred, run_deferred};
pub use modifiers::may_be_found as has_modifiers;
pub use query::QueryRun;
pub use sequence::create_sequence;
pub use system::index_by_oid;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::{PgError, Step};
use super::sql::{Kept, OutColumn, Plan, Planned};
use super::storage::locks::{Mode, Oid, Pid, Tag};
use super::storage::xact::{Cid, Snapshot};
use super::storage::{Db, Said};
use super::types::{Datum, Row};
use calls::Calls;
use ctes::{Run as _, Visible};
use insert::InsertRun;
use late::Late;
use modify::ModifyRun;

/// What a statement carries from step to step, beside its plan.
#[derive(Debug, Default)]
pub struct State {
    pub snapshot: Snapshot,
    pub cid: Cid,
    /// Results of subqueries that do not depend on the row.
    pub caches: Vec<Option<Datum>>,
    /// The rows of queries that do not depend on the row, by their place among the caches.
    pub sets: BTreeMap<Kept, Arc<Vec<Row>>>,
    /// Foreign keys to check when the statement is through.
    pub checks: Checks,
    /// What a definition is written as, for errors that point into it.
    pub text: Arc<str>,
    /// A key that is being asked for.
    pub late: Option<Late>,
    /// What the role may not do of a query that has not been left out.
    pub denied: Denied,
    /// Where what must be called now stands, innermost first.
    pub inlining: Vec<String>,
    /// What the current step has called.
    pub calls: Calls,
    /// What it does with tables; within a function, what the statements around it do.
    pub own: Opened,
    pub around: Option<Opened>,
}

/// What statements do with tables while they call functions.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    pub tables: Vec<Oid>,
    /// Those that ALTER TABLE works on: PostgreSQL loses what is written to one meanwhile.
    pub altered: Vec<Oid>,
}

impl State {
    /// What a function it calls finds opened.
    pub fn opened(&self) -> Opened {
        let mut all = self.around.clone().unwrap_or_default();
        all.tables.extend(&self.own.tables);
        all.altered.extend(&self.own.altered);
        all
    }
}

/// What a role may not do of the queries in an expression.
#[derive(Debug, Default)]
pub struct Denied {
    /// Of one that may yet turn out to be left out.
    pub open: Option<PgError>,
    /// Of one that PostgreSQL joins with, before it knows what is left out.
    pub joined: Option<PgError>,
}

impl Denied {
    /// What is told of it: joins are made before the rest is planned.
    pub fn take(&mut self) -> Option<PgError> {
        let Denied { open, joined } = std::mem::take(self);
        joined.or(open)
    }
}

/// A step's surroundings.
pub struct Cx<'a> {
    pub db: &'a mut Db,
    pub pid: Pid,
    pub params: &'a [Datum],
    pub state: &'a mut State,
    /// The WITH queries that can be read.
    pub ctes: Option<&'a Visible<'a>>,
}

impl Cx<'_> {
    /// A part of the step is through: what it called will not be called again.
    pub fn settled(&mut self) {
        self.state.calls.settled();
    }

    /// Whether a statement around this one or an open portal reads or writes the table.
    pub fn is_used(&self, oid: Oid) -> bool {
        let around = self.state.around.iter().flat_map(|around| &around.tables);
        around.chain(&self.db.proc(self.pid).open).any(|used| *used == oid)
    }

    /// A table lock for the transaction.
    pub fn lock_table(&mut self, oid: Oid, mode: Mode) -> Step<()> {
        let altered = self.state.around.as_ref().is_some_and(|all| all.altered.contains(&oid));
        if altered && mode == Mode::RowExclusive {
            let what = "writing a table within the ALTER TABLE of it";
            return Err(PgError::unsupported(what).into());
        }
        if !self.state.own.tables.contains(&oid) {
            self.state.own.tables.push(oid);
        }
        let owner = self.db.level(self.pid);
        self.db.lock_once(self.pid, Tag::Relation(oid), mode, owner)
    }
}

/// One plan's run.
enum Kind<'p> {
    Query(Box<QueryRun<'p>>),
    Insert(Box<InsertRun<'p>>),
    Modify(Box<ModifyRun<'p>>),
}

/// A plan's run, resumable.
pub struct PlanRun<'p> {
    kind: Kind<'p>,
}

impl<'p> PlanRun<'p> {
    pub fn new(plan: &'p Plan) -> PlanRun<'p> {
        let kind = match plan {
            Plan::Query(query) => Kind::Query(Box::new(QueryRun::new(query))),
            Plan::Insert(insert) => Kind::Insert(Box::new(InsertRun::new(insert))),
            Plan::Update(update) => Kind::Modify(Box::new(ModifyRun::update(update))),
            Plan::Delete(delete) => Kind::Modify(Box::new(ModifyRun::delete(delete))),
        };
        PlanRun { kind }
    }

    /// The next row of output; for a writing plan without RETURNING there is none.
    pub fn next(&mut self, cx: &mut Cx<'_>, outer: Option<&Frame<'_>>) -> Step<Option<Row>> {
        match &mut self.kind {
            Kind::Query(run) => run.next(cx, outer),
            Kind::Insert(run) => run.next(cx, outer),
            Kind::Modify(run) => run.next(cx, outer),
        }
    }

    /// What it has still to do once its rows are given: WITH queries that write.
    pub fn finish(&mut self, cx: &mut Cx<'_>) -> Step<()> {
        match &mut self.kind {
            Kind::Query(run) => run.finish(cx),
            Kind::Insert(run) => run.finish(cx),
            Kind::Modify(run) => run.finish(cx),
        }
    }

    /// Rows written so far.
    pub fn written(&self) -> u64 {
        match &self.kind {
            Kind::Query(_) => 0,
            Kind::Insert(run) => run.count,
            Kind::Modify(run) => run.count,
        }
    }
}

/// A statement's run: its plan, then the checks at its end.
#[allow(clippy::struct_excessive_bools, reason = "how far it has come, and how it was begun")]
pub struct StatementRun<'p> {
    planned: &'p Planned,
    run: PlanRun<'p>,
    /// It has asked for its tables before.
    asked: bool,
    locked: bool,
    /// Its constants are worked out.
    folded: bool,
    /// Its first row has been asked for.
    begun: bool,
    done: bool,
    /// It runs within another one, whose snapshot is the session's.
    nested: bool,
    /// It sees what the statement around it sees.
    fixed: bool,
    /// No more rows than this are wanted.
    pub most: usize,
    /// With so many rows given a step ends, though there may be more.
    pause: usize,
    /// It is not to be run, only begun.
    pub begins: bool,
    /// Its columns, where planning found more about them than analysis.
    pub columns: Option<Arc<[OutColumn]>>,
    /// Its rows are said as they come, instead of gathered.
    pub aloud: bool,
    /// How many it has given.
    given: usize,
    pub state: State,
    pub rows: Vec<Row>,
}

impl<'p> StatementRun<'p> {
    /// Begins a statement: snapshot and command number are taken here.
    pub fn new(planned: &'p Planned, db: &mut Db, pid: Pid) -> StatementRun<'p> {
        let snapshot = db.take_snapshot(pid);
        db.proc_mut(pid).snapshot = Some(snapshot.xmin);
        let txn = db.txn_mut(pid);
        if planned.plan.writes() && !txn.unfinished {
            txn.cid += 1;
        }
        let state = State {
            snapshot,
            cid: txn.cid,
            caches: vec![None; planned.caches],
            ..State::default()
        };
        StatementRun {
            planned,
            run: PlanRun::new(&planned.plan),
            asked: false,
            locked: false,
            folded: !planned.constants,
            begun: false,
            done: false,
            nested: false,
            fixed: false,
            most: usize::MAX,
            pause: usize::MAX,
            begins: false,
            columns: None,
            aloud: false,
            given: 0,
            state,
            rows: Vec::new(),
        }
    }

    /// A statement within another. `seen`: what it sees if that is what the other one does;
    /// otherwise it sees what is there now, and what the other one has done so far.
    pub fn nested(
        planned: &'p Planned,
        db: &mut Db,
        pid: Pid,
        seen: Option<(Snapshot, Cid)>,
    ) -> StatementRun<'p> {
        let around = db.proc_mut(pid).snapshot.take();
        if seen.is_none() {
            db.txn_mut(pid).cid += 1;
        }
        let mut run = StatementRun::new(planned, db, pid);
        (run.nested, run.fixed) = (true, seen.is_some());
        if let Some((snapshot, cid)) = seen {
            (run.state.snapshot, run.state.cid) = (snapshot, cid);
        }
        let own = run.state.snapshot.xmin;
        db.proc_mut(pid).snapshot = Some(around.unwrap_or(own));
        run
    }

    /// Goes on from where a run that was only begun came to. `seen`: what it is to see, if that is
    /// known since then; its tables are locked.
    pub fn go_on(&mut self, calls: Calls, denied: Denied, seen: Option<(Snapshot, Cid)>) {
        (self.state.calls, self.state.denied, self.folded) = (calls, denied, true);
        if let Some((snapshot, cid)) = seen {
            (self.state.snapshot, self.state.cid, self.locked) = (snapshot, cid, true);
            self.state.own.tables.extend(self.planned.tables.iter().map(|(oid, _)| *oid));
        }
    }

    /// Goes on until the end or the next wait.
    pub fn step(&mut self, db: &mut Db, pid: Pid, params: &[Datum]) -> Step<()> {
        let mut cx = Cx { db, pid, params, state: &mut self.state, ctes: None };
        cx.state.calls.restart();
        if !self.locked {
            for (oid, mode) in self.planned.tables.iter() {
                if let Err(stop) = cx.lock_table(*oid, *mode) {
                    self.asked = true;
                    return Err(stop);
                }
            }
            self.locked = true;
            if self.asked && !self.fixed {
                // READ COMMITTED sees what was committed while it waited for its tables.
                cx.state.snapshot = cx.db.take_snapshot(pid);
                if !self.nested {
                    cx.db.proc_mut(pid).snapshot = Some(cx.state.snapshot.xmin);
                }
            }
        }
        if !self.folded {
            constants::check(&self.planned.plan, &mut cx, !self.nested)?;
            cx.settled();
            self.folded = true;
        }
        if self.planned.modifiers && !self.nested && self.columns.is_none() {
            self.columns = modifiers::columns(&self.planned.plan, &mut cx, true)?;
        }
        if self.begins {
            return Ok(());
        }
        self.planned.allowed()?;
        cx.state.denied.take().map_or(Ok(()), Err)?;
        if self.aloud && !self.begun {
            let columns = self.columns.as_ref().or(self.planned.columns.as_ref());
            cx.db.proc_mut(pid).said.extend(columns.cloned().map(Said::Columns));
        }
        self.begun = true;
        while !self.done {
            if self.given >= self.pause {
                return Ok(());
            }
            match self.run.next(&mut cx, None)? {
                Some(row) => {
                    self.given += 1;
                    if self.aloud {
                        cx.db.proc_mut(pid).said.push(Said::Row(row));
                    } else {
                        self.rows.push(row);
                    }
                }
                None => self.done = true,
            }
            cx.settled();
            self.done |= self.given >= self.most;
        }
        self.run.finish(&mut cx)?;
        foreign::run(&mut cx)?;
        let cid = cx.state.cid;
        let txn = cx.db.txn_mut(pid);
        txn.cid = txn.cid.max(cid) + u32::from(self.planned.plan.writes());
        Ok(())
    }

    /// Whether the tables are locked, so that their definitions stay.
    pub fn is_locked(&self) -> bool {
        self.locked
    }

    /// Whether it has begun with more than its constants.
    pub fn is_folded(&self) -> bool {
        self.folded
    }

    /// So many rows more are wanted for now.
    pub fn want(&mut self, rows: usize) {
        self.pause = self.given.saturating_add(rows);
    }

    /// Whether it has given all its rows.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Rows that it gave or wrote.
    pub fn count(&self) -> u64 {
        self.tag().1
    }

    /// `INSERT 0` and 1, `SELECT` and 3.
    pub fn tag(&self) -> (&'static str, u64) {
        match &*self.planned.plan {
            Plan::Query(_) => ("SELECT", self.given as u64),
            Plan::Insert(_) => ("INSERT 0", self.run.written()),
            Plan::Update(_) => ("UPDATE", self.run.written()),
            Plan::Delete(_) => ("DELETE", self.run.written()),
        }
    }
}
