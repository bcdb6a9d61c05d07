//! UPDATE and DELETE. Must never write a version before it is settled who may.

use std::sync::Arc;

use super::again::still_true;
use super::constraint::{check_policies, check_row, check_unique, generate, index_keys};
use super::ctes::{Ctes, Run};
use super::foreign;
use super::late::{has_late, keeps_keys};
use super::query::project;
use super::scan::{Node, Tuple};
use super::tuple::{self, Settled, check_repeatable, settle};
use super::{Cx, Frame, eval};
use crate::world::postgres::error::{PgError, Result, Step};
use crate::world::postgres::sql::{Delete, Expr, OutColumn, Policy, Select, Update};
use crate::world::postgres::storage::Undo;
use crate::world::postgres::storage::catalog::Table;
use crate::world::postgres::storage::heap::{Mark, Strength, Tid, Version};
use crate::world::postgres::types::{Datum, Row};

/// Writes a new version; its keys may have to be worked out yet.
pub fn put_version(
    cx: &mut Cx<'_>,
    table: &Table,
    row: Row,
    updated: bool,
    marks: Vec<Mark>,
) -> Step<Tid> {
    let keys = if has_late(table) {
        vec![None; table.indexes.len()]
    } else {
        index_keys(cx, table, &row)?
    };
    let (xmin, cmin) = (cx.db.xid(cx.pid), cx.state.cid);
    let version = Version {
        xmin,
        cmin,
        cmax: 0,
        marks,
        row,
        next: None,
        updated,
        keys,
        indexed: 0,
        speculative: None,
    };
    let tid = cx.db.heap_mut(table.oid).insert(version);
    cx.db.txn_mut(cx.pid).undo.push(Undo::Insert(table.oid, tid));
    Ok(tid)
}

/// A row on its way from one version to the next.
#[derive(Debug)]
pub struct Change {
    pub tid: Tid,
    pub row: Row,
    written: Option<(Tid, usize)>,
}

impl Change {
    /// Of a row that its table takes; `named`: the columns that a statement names, if it is one
    /// that wants them told.
    pub fn new(
        cx: &mut Cx<'_>,
        table: &Table,
        (tid, row): (Tid, Row),
        named: Option<&[usize]>,
    ) -> Step<Change> {
        check_row(cx, table, &row, named)?;
        Ok(Change { tid, row, written: None })
    }

    /// The lock that it needs.
    pub fn strength(&self, cx: &Cx<'_>, table: &Table) -> Strength {
        let old = cx.db.heap(table.oid).get(self.tid);
        old.map_or(Strength::Update, |old| strength_of(table, &old.row, &self.row))
    }

    pub fn is_written(&self) -> bool {
        self.written.is_some()
    }
}

/// The lock an update needs: stronger if a value of a key changes.
fn strength_of(table: &Table, old: &[Datum], new: &[Datum]) -> Strength {
    let width = table.columns.len();
    let changed = (0..width).any(|at| old.get(at) != new.get(at) && table.is_key_column(at));
    if changed { Strength::Update } else { Strength::NoKeyUpdate }
}

/// Makes the new version of a row that is settled to be free.
pub fn replace(cx: &mut Cx<'_>, table: &Arc<Table>, change: &mut Change) -> Step<()> {
    let Some(old) = cx.db.heap(table.oid).get(change.tid).map(|version| version.row.clone()) else {
        return Ok(());
    };
    if change.written.is_none() {
        let strength = strength_of(table, &old, &change.row);
        let marks = tuple::inherited_marks(cx.db, table.oid, change.tid);
        let new = put_version(cx, table, change.row.clone(), true, marks)?;
        tuple::write(cx, table.oid, change.tid, strength, Some(new));
        change.written = Some((new, 0));
        if has_late(table) && keeps_keys(table, &old, &change.row) {
            let kept = cx.db.heap(table.oid).get(change.tid).map(|old| old.keys.clone());
            for (at, key) in kept.into_iter().flatten().enumerate() {
                cx.db.heap_mut(table.oid).set_key(new, at, key);
            }
            change.written = Some((new, table.indexes.len()));
        }
    }
    let (new, mut from) = change.written.expect("just written");
    let checked = check_unique(cx, table, new, &mut from);
    change.written = Some((new, from));
    checked?;
    let own = cx.db.own(cx.pid);
    let fresh = cx.db.heap(table.oid).get(change.tid).is_some_and(|old| own.contains(&old.xmin));
    foreign::updated(cx, table, new, (&old, fresh), &change.row);
    Ok(())
}

/// A function that the command calls was first at a row of its own.
pub fn already_modified(done: &str) -> PgError {
    let what = "was already modified by an operation triggered by the current command";
    let hint = "Consider using an AFTER trigger instead of a BEFORE trigger to propagate changes \
                to other rows.";
    PgError::new("27000", format!("tuple to be {done} {what}")).hint(hint)
}

enum What<'p> {
    Update(&'p Update),
    Delete(&'p Delete),
}

pub struct ModifyRun<'p> {
    what: What<'p>,
    table: &'p Arc<Table>,
    source: &'p Select,
    ctes: Ctes<'p>,
    node: Node<'p>,
    /// What was read: a join goes on from there.
    read: Tuple,
    /// The row that is being worked on, as its newest version has it.
    tuple: Tuple,
    /// A row is being worked on; it is a newer version than was read.
    current: bool,
    newer: bool,
    change: Option<Change>,
    /// Somebody was first: the version that came of it, and whether that is locked and has only to
    /// be tested again.
    chase: Option<(Tid, bool)>,
    /// The current row is written and RETURNING is to give it out.
    written: bool,
    pub count: u64,
}

impl<'p> ModifyRun<'p> {
    pub fn update(update: &'p Update) -> ModifyRun<'p> {
        ModifyRun::new(What::Update(update), &update.table, &update.source)
    }

    pub fn delete(delete: &'p Delete) -> ModifyRun<'p> {
        ModifyRun::new(What::Delete(delete), &delete.table, &delete.source)
    }

    fn new(what: What<'p>, table: &'p Arc<Table>, source: &'p Select) -> ModifyRun<'p> {
        let ctes = Ctes::new(match what {
            What::Update(update) => &update.ctes,
            What::Delete(delete) => &delete.ctes,
        });
        ModifyRun {
            what,
            table,
            source,
            ctes,
            node: Node::new(&source.from, source),
            read: Tuple::new(source),
            tuple: Tuple::new(source),
            current: false,
            newer: false,
            change: None,
            chase: None,
            written: false,
            count: 0,
        }
    }

    fn returning(&self) -> Option<&'p (Vec<Expr>, Vec<OutColumn>)> {
        match &self.what {
            What::Update(update) => update.returning.as_ref(),
            What::Delete(delete) => delete.returning.as_ref(),
        }
    }
}

impl<'p> Run<'p> for ModifyRun<'p> {
    fn ctes(&mut self) -> &mut Ctes<'p> {
        &mut self.ctes
    }

    fn give(&mut self, cx: &mut Cx<'_>, _outer: Option<&Frame<'_>>) -> Step<Option<Row>> {
        loop {
            if let (true, Some((exprs, _))) = (self.written, self.returning()) {
                let row = project(exprs, cx, &Frame::of(&self.tuple.values))?;
                self.written = false;
                return Ok(Some(row));
            }
            if !self.current {
                let joins = self.source.relations.len() > 1;
                let tuple = if joins { &mut self.read } else { &mut self.tuple };
                if !self.node.next(tuple, cx, None)? {
                    return Ok(None);
                }
                if joins {
                    self.tuple.clone_from(&self.read);
                }
                (self.current, self.newer) = (true, false);
                (self.change, self.chase) = (None, None);
            }
            let done = self.work(cx)?;
            self.current = false;
            cx.settled();
            self.count += u64::from(done);
            self.written = done && self.returning().is_some();
        }
    }
}

impl ModifyRun<'_> {
    /// Writes the current row; `false` if it is no longer to be written.
    fn work(&mut self, cx: &mut Cx<'_>) -> Step<bool> {
        loop {
            if let Some((newer, caught)) = self.chase {
                if !caught && !self.follow(cx, newer)? || !self.still_fits(cx)? {
                    return Ok(false);
                }
                self.chase = None;
                cx.settled();
            }
            let Some(tid) = self.tuple.tids[0] else { return Ok(false) };
            let finished = match self.what {
                What::Update(update) => self.update_row(cx, update, tid)?,
                What::Delete(_) => self.delete_row(cx, tid)?,
            };
            if let Some(done) = finished {
                return Ok(done);
            }
        }
    }

    /// Looks at the newest version instead; `false` if it is gone.
    fn follow(&mut self, cx: &mut Cx<'_>, newer: Tid) -> Step<bool> {
        let strength = match self.what {
            What::Update(update) => update.strength,
            What::Delete(_) => Strength::Update,
        };
        let Some(newest) = tuple::chase(cx, self.table, newer, strength)? else {
            self.check_later(tuple::remade_later(cx, self.table.oid, newer))?;
            return Ok(false);
        };
        let Some(row) = cx.db.heap(self.table.oid).get(newest).map(|version| version.row.clone())
        else {
            return Ok(false);
        };
        if !self.newer && self.source.relations.len() == 1 {
            self.read.clone_from(&self.tuple);
        }
        self.newer = true;
        self.tuple.put(&self.source.relations[0], &row);
        self.tuple.tids[0] = Some(newest);
        self.chase = Some((newest, true));
        Ok(true)
    }

    fn still_fits(&mut self, cx: &mut Cx<'_>) -> Step<bool> {
        let (old, new) = (Frame::of(&self.read.values), Frame::of(&self.tuple.values));
        still_true(&self.source.quals, cx, &old, &new)
    }

    /// What this command changed is left alone; what a function that it calls changed is an error.
    fn check_later(&self, later: bool) -> Result<()> {
        let done = match self.what {
            What::Update(_) => "updated",
            What::Delete(_) => "deleted",
        };
        if later { Err(already_modified(done)) } else { Ok(()) }
    }

    /// `None`: look again at another version.
    fn settled(&mut self, cx: &Cx<'_>, tid: Tid, settled: Settled) -> Step<Option<bool>> {
        check_repeatable(cx, self.table, settled)?;
        if settled == Settled::SelfModified {
            self.check_later(tuple::written_later(cx, self.table.oid, tid))?;
        }
        Ok(match settled {
            Settled::Free => Some(true),
            Settled::Updated(newer) => {
                (self.change, self.chase) = (None, Some((newer, false)));
                None
            }
            _ => Some(false),
        })
    }

    fn update_row(&mut self, cx: &mut Cx<'_>, update: &Update, tid: Tid) -> Step<Option<bool>> {
        if self.change.is_none() {
            let width = self.table.columns.len();
            let mut new = self.tuple.values[..width].to_vec();
            for target in &update.targets {
                new[target.column] = eval(&target.value, cx, &Frame::of(&self.tuple.values))?;
            }
            generate(cx, self.table, &mut new)?;
            let new: Row = new.into();
            check_policies(cx, self.table, &update.checks, false, &new)?;
            self.change = Some(Change::new(cx, self.table, (tid, new), Some(&update.named))?);
            cx.settled();
        }
        let change = self.change.as_mut().expect("just made");
        if change.written.is_none() {
            let old = &self.tuple.values[..self.table.columns.len()];
            let strength = strength_of(self.table, old, &change.row);
            let settled = settle(cx, self.table, tid, strength, true, Policy::Wait)?;
            match self.settled(cx, tid, settled)? {
                Some(true) => {}
                other => return Ok(other),
            }
        }
        let change = self.change.as_mut().expect("made above");
        replace(cx, self.table, change)?;
        if update.returning.is_some() {
            self.tuple.put(&self.source.relations[0], &change.row);
        }
        Ok(Some(true))
    }

    fn delete_row(&mut self, cx: &mut Cx<'_>, tid: Tid) -> Step<Option<bool>> {
        let settled = settle(cx, self.table, tid, Strength::Update, true, Policy::Wait)?;
        match self.settled(cx, tid, settled)? {
            Some(true) => {}
            other => return Ok(other),
        }
        erase(cx, self.table, tid);
        Ok(Some(true))
    }
}

/// Deletes a version that is settled to be free.
pub fn erase(cx: &mut Cx<'_>, table: &Arc<Table>, tid: Tid) {
    let Some(old) = cx.db.heap(table.oid).get(tid).map(|version| version.row.clone()) else {
        return;
    };
    tuple::write(cx, table.oid, tid, Strength::Update, None);
    foreign::deleted(cx, table, &old);
}
