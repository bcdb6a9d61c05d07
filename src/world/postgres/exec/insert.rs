//! INSERT, with ON CONFLICT. Must never touch a row but the proposed and the conflicting one.

use std::sync::Arc;

use super::constraint::{
    check_indexes, check_policies, check_row, find_conflict, generate, index_key,
};
use super::ctes::{Ctes, Run};
use super::foreign;
use super::modify::{Change, already_modified, put_version, replace};
use super::query::{QueryRun, project, values};
use super::tuple::{Settled, lock_row, serialization, settle, written_later};
use super::{Cx, Frame, eval, is_true};
use crate::world::postgres::error::{PgError, Step};
use crate::world::postgres::sql::{Conflict, Insert, Policy};
use crate::world::postgres::storage::catalog::Table;
use crate::world::postgres::storage::heap::{Strength, Tid};
use crate::world::postgres::types::{Datum, Row};

/// How far the current row has come.
enum Stage {
    Next,
    /// Values are there; nothing is written.
    Proposed(Row),
    /// Written; indexes from this position on are to be looked at. `true`: one that arbitrates has
    /// the key already.
    Written(Tid, Row, usize, bool),
    /// In the way of the proposed row stands this version.
    Conflict(Tid, Row, Option<Box<Change>>),
}

pub struct InsertRun<'p> {
    insert: &'p Insert,
    ctes: Ctes<'p>,
    source: QueryRun<'p>,
    stage: Stage,
    source_row: Option<Row>,
    /// What RETURNING is to give out.
    written: Option<Row>,
    probe: Probe,
    pub count: u64,
}

impl<'p> InsertRun<'p> {
    pub fn new(insert: &'p Insert) -> InsertRun<'p> {
        InsertRun {
            insert,
            ctes: Ctes::new(&insert.ctes),
            source: QueryRun::new(&insert.source),
            stage: Stage::Next,
            source_row: None,
            written: None,
            probe: Probe::default(),
            count: 0,
        }
    }
}

impl<'p> Run<'p> for InsertRun<'p> {
    fn ctes(&mut self) -> &mut Ctes<'p> {
        &mut self.ctes
    }

    fn give(&mut self, cx: &mut Cx<'_>, _outer: Option<&Frame<'_>>) -> Step<Option<Row>> {
        loop {
            if let (Some(row), Some((exprs, _))) = (&self.written, &self.insert.returning) {
                let row = project(exprs, cx, &Frame::of(row))?;
                self.written = None;
                return Ok(Some(row));
            }
            let written = match std::mem::replace(&mut self.stage, Stage::Next) {
                Stage::Next => {
                    if !self.propose(cx)? {
                        return Ok(None);
                    }
                    continue;
                }
                Stage::Proposed(row) => self.write(cx, row)?,
                Stage::Written(tid, row, from, conflict) => {
                    self.check(cx, tid, row, (from, conflict))?
                }
                Stage::Conflict(tid, row, change) => self.resolve(cx, tid, row, change)?,
            };
            let Some(row) = written else { continue };
            cx.settled();
            self.count += 1;
            if self.insert.returning.is_some() {
                self.written = Some(row);
            }
        }
    }
}

impl InsertRun<'_> {
    fn propose(&mut self, cx: &mut Cx<'_>) -> Step<bool> {
        if self.source_row.is_none() {
            self.source_row = self.source.next(cx, None)?;
            cx.settled();
        }
        let Some(row) = &self.source_row else { return Ok(false) };
        let mut proposed = values(&self.insert.values, cx, &Frame::of(row))?;
        generate(cx, &self.insert.table, &mut proposed)?;
        let proposed: Row = proposed.into();
        check_policies(cx, &self.insert.table, &self.insert.checks, false, &proposed)?;
        check_row(cx, &self.insert.table, &proposed, Some(&self.insert.named))?;
        self.source_row = None;
        cx.settled();
        self.stage = Stage::Proposed(proposed);
        Ok(true)
    }

    fn write(&mut self, cx: &mut Cx<'_>, row: Row) -> Step<Option<Row>> {
        let table = &self.insert.table;
        if let Some(conflict) = &self.insert.conflict {
            self.stage = Stage::Proposed(row.clone());
            let found = arbitrate(cx, table, conflict, &row, &mut self.probe)?;
            if let Some(tid) = found {
                self.stage = Stage::Conflict(tid, row, None);
                return Ok(None);
            }
        }
        let tid = put_version(cx, table, row.clone(), false, Vec::new())?;
        if self.insert.conflict.is_some() {
            cx.db.speculate(cx.pid, table.oid, tid);
        }
        self.stage = Stage::Written(tid, row, 0, false);
        Ok(None)
    }

    fn check(
        &mut self,
        cx: &mut Cx<'_>,
        tid: Tid,
        row: Row,
        (mut from, noted): (usize, bool),
    ) -> Step<Option<Row>> {
        let table = &self.insert.table;
        let mut arbiters = self.insert.conflict.as_ref().map(|conflict| (conflict, noted));
        let checked = check_indexes(cx, table, tid, &mut from, &mut arbiters);
        let conflict = arbiters.is_some_and(|(_, conflict)| conflict);
        if checked.is_err() {
            self.stage = Stage::Written(tid, row, from, conflict);
            checked?;
            return Ok(None);
        }
        if self.insert.conflict.is_some() {
            cx.db.decide(cx.pid, table.oid, tid, !conflict);
        }
        if conflict {
            // Somebody was faster: what is in the way is looked for again.
            self.stage = Stage::Proposed(row);
            return Ok(None);
        }
        foreign::inserted(cx, table, tid);
        Ok(Some(row))
    }

    /// DO NOTHING or DO UPDATE.
    fn resolve(
        &mut self,
        cx: &mut Cx<'_>,
        tid: Tid,
        row: Row,
        change: Option<Box<Change>>,
    ) -> Step<Option<Row>> {
        let table = &self.insert.table;
        let conflict = self.insert.conflict.as_ref().expect("a conflict needs its clause");
        let Some((targets, condition)) = &conflict.update else {
            check_seen(cx, table, tid)?;
            return Ok(None);
        };
        let mut change = if let Some(change) = change {
            change
        } else {
            let keys = table.key_columns();
            let key = targets.iter().any(|target| keys.contains(&target.column));
            let strength = if key { Strength::Update } else { Strength::NoKeyUpdate };
            self.stage = Stage::Conflict(tid, row.clone(), None);
            let Some(late) = settled(cx, table, tid, strength)? else {
                self.stage = Stage::Proposed(row);
                return Ok(None);
            };
            lock_row(cx, table, tid, strength, Policy::Wait)?;
            check_seen(cx, table, tid)?;
            let current = current_row(cx, table, tid);
            if written_by_command(cx, table, tid) {
                return Err(twice().into());
            }
            let both: Vec<Datum> = current.iter().chain(row.iter()).cloned().collect();
            if let Some(condition) = condition
                && !is_true(condition, cx, &Frame::of(&both))?
            {
                self.stage = Stage::Next;
                return Ok(None);
            }
            check_policies(cx, table, &conflict.checks, true, &current)?;
            let mut new = current.to_vec();
            for target in targets {
                new[target.column] = eval(&target.value, cx, &Frame::of(&both))?;
            }
            generate(cx, table, &mut new)?;
            let new: Row = new.into();
            check_policies(cx, table, &conflict.checks, false, &new)?;
            let change = Change::new(cx, table, (tid, new), Some(&self.insert.named))?;
            if late {
                return Err(already_modified("updated").into());
            }
            Box::new(change)
        };
        let done = replace(cx, table, &mut change);
        if done.is_err() {
            self.stage = Stage::Conflict(tid, row, Some(change));
            done?;
            return Ok(None);
        }
        self.stage = Stage::Next;
        Ok(Some(change.row))
    }
}

/// Waits for the row in the way; whether a function that this command calls has written it since it
/// was locked. `None`: it has to be looked for again.
fn settled(cx: &mut Cx<'_>, table: &Table, tid: Tid, strength: Strength) -> Step<Option<bool>> {
    match settle(cx, table, tid, strength, true, Policy::Wait)? {
        Settled::Free => Ok(Some(false)),
        Settled::SelfModified if written_later(cx, table.oid, tid) => Ok(Some(true)),
        Settled::SelfModified | Settled::Invisible => Err(twice().into()),
        Settled::Updated(_) if cx.is_repeatable() => Err(serialization(cx, table, "update").into()),
        Settled::Deleted if cx.is_repeatable() => Err(serialization(cx, table, "delete").into()),
        Settled::Updated(_) | Settled::Deleted | Settled::Busy => Ok(None),
    }
}

fn twice() -> PgError {
    PgError::new("21000", "ON CONFLICT DO UPDATE command cannot affect row a second time").hint(
        "Ensure that no rows proposed for insertion within the same command have duplicate \
         constrained values.",
    )
}

fn current_row(cx: &Cx<'_>, table: &Table, tid: Tid) -> Row {
    let version = cx.db.heap(table.oid).get(tid);
    version.map_or_else(|| Vec::new().into(), |version| version.row.clone())
}

fn written_by_command(cx: &Cx<'_>, table: &Table, tid: Tid) -> bool {
    let version = cx.db.heap(table.oid).get(tid);
    let own = cx.db.own(cx.pid);
    version.is_some_and(|v| own.contains(&v.xmin) && v.cmin >= cx.state.cid)
}

/// REPEATABLE READ refuses to act on a row that its snapshot does not show.
fn check_seen(cx: &Cx<'_>, table: &Table, tid: Tid) -> Step<()> {
    let Some(version) = cx.db.heap(table.oid).get(tid) else { return Ok(()) };
    let own = cx.db.own(cx.pid);
    let foreign = !own.contains(&version.xmin);
    if cx.is_repeatable()
        && foreign
        && !version.visible(&cx.state.snapshot, cx.state.cid, own, &cx.db.xacts)
    {
        return Err(serialization(cx, table, "update").into());
    }
    Ok(())
}

/// How far the arbiters have been asked: which one, and the key if it is known.
#[derive(Default)]
struct Probe {
    at: usize,
    key: Option<Row>,
}

/// A version that stands in the way of the proposed row by one of the arbiters.
fn arbitrate(
    cx: &mut Cx<'_>,
    table: &Arc<Table>,
    conflict: &Conflict,
    row: &Row,
    probe: &mut Probe,
) -> Step<Option<Tid>> {
    while let Some(index) = table.indexes.get(probe.at) {
        if conflict.arbitrates(probe.at) && index.unique && !index.dropped {
            if probe.key.is_none() {
                probe.key = index_key(cx, index, row)?;
                cx.settled();
            }
            if let Some(key) = &probe.key {
                let found = find_conflict(cx, table, probe.at, key, None)?;
                if found.is_some() {
                    *probe = Probe::default();
                    return Ok(found);
                }
            }
        }
        *probe = Probe { at: probe.at + 1, key: None };
    }
    *probe = Probe::default();
    Ok(None)
}
