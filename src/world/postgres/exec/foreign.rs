//! Foreign keys: what is checked and carried on when a statement (or, deferred, a transaction)
//! is through. Must never run before the rows are written.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Cx;
use super::cast::cast;
use super::constraint::{generate, key_text};
use super::modify::{Change, erase, replace};
use super::roles::may_see;
use super::tuple::{Locked, Settled, check_repeatable, lock_row, serialization, settle};
use crate::world::postgres::error::{PgError, Result, Step};
use crate::world::postgres::sql::{Expr, Policy};
use crate::world::postgres::storage::catalog::{Action, ForeignKey, Table};
use crate::world::postgres::storage::heap::{Strength, Tid};
use crate::world::postgres::storage::locks::{Mode, Oid, Tag};
use crate::world::postgres::storage::xact::Snapshot;
use crate::world::postgres::types::{Datum, Row};

/// One thing to check: positions are those of constraints within the pointing table.
#[derive(Clone, Debug)]
pub enum Deferred {
    /// A new row that points.
    Child { table: Arc<Table>, key: usize, tid: Tid },
    /// A row that was pointed at, before and (if it was updated) after.
    Parent { table: Arc<Table>, child: Arc<Table>, key: usize, old: Row, new: Option<Row> },
}

#[derive(Debug, Default)]
pub struct Checks {
    queue: VecDeque<Deferred>,
    /// The one at the front has taken a change of its own this far.
    change: Option<Change>,
    /// What the one at the front sees, whatever it has to wait for; of rows that point also what
    /// its transaction's snapshot does not show.
    seen: Option<Snapshot>,
    latest: Option<Snapshot>,
    /// What its action does is done.
    carried: bool,
    /// Whether its transaction had the lock that it looks under before.
    held: Option<bool>,
}

impl Checks {
    /// Makes the way free for the next one.
    fn next(&mut self) {
        *self = Checks { queue: std::mem::take(&mut self.queue), ..Checks::default() };
    }
}

fn values(row: &Row, columns: &[usize]) -> Vec<Datum> {
    columns.iter().map(|at| row.get(*at).cloned().unwrap_or_default()).collect()
}

/// A row that points at nothing has its check too, which locks the other table while it looks.
pub fn inserted(cx: &mut Cx<'_>, table: &Arc<Table>, tid: Tid) {
    for key in 0..table.foreign_keys.len() {
        cx.state.checks.queue.push_back(Deferred::Child { table: table.clone(), key, tid });
    }
}

/// A row before and after; `fresh`: this very transaction has made the one before. PostgreSQL then
/// looks again at what it points at, even if that is the same.
pub fn updated(
    cx: &mut Cx<'_>,
    table: &Arc<Table>,
    tid: Tid,
    (old, fresh): (&Row, bool),
    new: &Row,
) {
    referenced(cx, table, old, Some(new));
    for (key, foreign) in table.foreign_keys.iter().enumerate() {
        let after = values(new, &foreign.columns);
        let looks = fresh || after != values(old, &foreign.columns);
        if looks && !after.iter().any(Datum::is_null) {
            cx.state.checks.queue.push_back(Deferred::Child { table: table.clone(), key, tid });
        }
    }
}

pub fn deleted(cx: &mut Cx<'_>, table: &Arc<Table>, old: &Row) {
    referenced(cx, table, old, None);
}

/// Foreign keys that point at a table, as the session finds them.
pub fn referrers(cx: &Cx<'_>, target: Oid) -> Vec<(Arc<Table>, usize)> {
    cx.db.catalog.referrers(target, cx.db.own(cx.pid))
}

fn referenced(cx: &mut Cx<'_>, table: &Arc<Table>, old: &Row, new: Option<&Row>) {
    for (child, key) in referrers(cx, table.oid) {
        let columns = &child.foreign_keys[key].target_columns;
        let before = values(old, columns);
        let same = new.is_some_and(|new| values(new, columns) == before);
        if same || before.iter().any(Datum::is_null) {
            continue;
        }
        let (table, old, new) = (table.clone(), old.clone(), new.cloned());
        let check = Deferred::Parent { table, child, key, old, new };
        cx.state.checks.queue.push_back(check);
    }
}

impl Deferred {
    fn foreign_key(&self) -> &ForeignKey {
        match self {
            Deferred::Child { table, key, .. } => &table.foreign_keys[*key],
            Deferred::Parent { child, key, .. } => &child.foreign_keys[*key],
        }
    }

    /// Whether it waits for the commit: what an action does is done at once.
    fn waits(&self) -> bool {
        let foreign = self.foreign_key();
        let action = match self {
            Deferred::Child { .. } => Action::Nothing,
            Deferred::Parent { new: Some(_), .. } => foreign.on_update,
            Deferred::Parent { new: None, .. } => foreign.on_delete,
        };
        foreign.deferred && action == Action::Nothing
    }

    /// The table whose row it is about.
    fn table(&self) -> Oid {
        match self {
            Deferred::Child { table, .. } | Deferred::Parent { table, .. } => table.oid,
        }
    }
}

/// 55006 if a statement around this one reads or writes the table, or checks of its rows wait for
/// the commit.
pub fn refuse_used(cx: &Cx<'_>, table: &Table, command: &str) -> Result<()> {
    let why = if cx.is_used(table.oid) {
        "it is being used by active queries in this session"
    } else if cx.db.txn(cx.pid).deferred.iter().any(|check| check.table() == table.oid) {
        "it has pending trigger events"
    } else {
        return Ok(());
    };
    let message = format!("cannot {command} \"{}\" because {why}", table.name);
    Err(PgError::new("55006", message))
}

/// Works the queue off at the end of a statement.
pub fn run(cx: &mut Cx<'_>) -> Step<()> {
    while let Some(check) = cx.state.checks.queue.front().cloned() {
        if check.waits() {
            cx.db.txn_mut(cx.pid).deferred.push(check);
        } else {
            one(cx, &check)?;
        }
        cx.state.checks.queue.pop_front();
        cx.state.checks.next();
    }
    Ok(())
}

/// Works off what was put off to the commit.
pub fn run_deferred(cx: &mut Cx<'_>) -> Step<()> {
    while let Some(check) = cx.db.txn(cx.pid).deferred.first().cloned() {
        one(cx, &check)?;
        cx.db.txn_mut(cx.pid).deferred.remove(0);
        cx.state.checks.next();
        while let Some(more) = cx.state.checks.queue.pop_front() {
            cx.db.txn_mut(cx.pid).deferred.push(more);
        }
    }
    Ok(())
}

fn one(cx: &mut Cx<'_>, check: &Deferred) -> Step<()> {
    // Each check sees what its statement did, and under READ COMMITTED what committed since.
    cx.state.cid += 1;
    look(cx);
    match check {
        Deferred::Child { table, key, tid } => check_child(cx, table, *key, *tid),
        Deferred::Parent { child, key, .. } if !is_there(cx, child, *key) => Ok(()),
        Deferred::Parent { table, child, key, old, new } => {
            check_parent(cx, table, child, *key, old, new.as_ref())
        }
    }
}

/// Whether a foreign key has not gone since, with its column or its table.
fn is_there(cx: &Cx<'_>, child: &Table, key: usize) -> bool {
    let wanted = &child.foreign_keys[key];
    let same = |key: &ForeignKey| {
        (key.target, &key.columns, &key.target_columns)
            == (wanted.target, &wanted.columns, &wanted.target_columns)
    };
    cx.db.table_by_oid(child.oid, cx.pid).is_ok_and(|now| now.foreign_keys.iter().any(same))
}

/// Takes the snapshot of a check, if it has none.
fn look(cx: &mut Cx<'_>) {
    let seen = cx.state.checks.seen.clone();
    cx.state.snapshot = seen.unwrap_or_else(|| cx.db.take_snapshot(cx.pid));
    cx.db.proc_mut(cx.pid).snapshot = Some(cx.state.snapshot.xmin);
}

/// Versions that the check's snapshot shows, by values of columns.
fn visible_by(cx: &Cx<'_>, table: &Table, columns: &[usize], wanted: &[Datum]) -> Vec<Tid> {
    let heap = cx.db.heap(table.oid);
    let own = cx.db.own(cx.pid);
    let shown = |tid: &Tid| {
        heap.get(*tid).is_some_and(|version| {
            version.visible(&cx.state.snapshot, cx.state.cid, own, &cx.db.xacts)
                && values(&version.row, columns) == wanted
        })
    };
    let by_index = table.indexes.iter().enumerate().find(|(_, index)| {
        !index.dropped
            && index.predicate.is_none()
            && index.columns().is_some_and(|own| own.starts_with(columns))
    });
    match by_index {
        Some((index, _)) => {
            let prefix: Row = wanted.to_vec().into();
            heap.lookup(index, &prefix).into_iter().filter(shown).collect()
        }
        None => heap.iter().map(|(tid, _)| tid).filter(shown).collect(),
    }
}

/// Locks the table that a check looks into; from then on it sees what there is now.
fn lock(cx: &mut Cx<'_>, oid: Oid, mode: Mode) -> Step<Arc<Table>> {
    let holds = cx.db.locks.holds(cx.pid, Tag::Relation(oid), mode);
    cx.state.checks.held.get_or_insert(holds);
    cx.lock_table(oid, mode)?;
    cx.state.checks.seen.get_or_insert_with(|| cx.state.snapshot.clone());
    Ok(cx.db.table_by_oid(oid, cx.pid)?)
}

/// A check that has not looked into the table gives its lock back.
fn unlock(cx: &mut Cx<'_>, oid: Oid) {
    if cx.state.checks.held == Some(false) {
        cx.db.unlock(cx.pid, Tag::Relation(oid), Mode::RowShare, None);
    }
}

fn check_child(cx: &mut Cx<'_>, table: &Arc<Table>, key: usize, tid: Tid) -> Step<()> {
    let foreign = &table.foreign_keys[key];
    let Some(version) = cx.db.heap(table.oid).get(tid) else { return Ok(()) };
    let own = cx.db.own(cx.pid);
    if !version.visible(&cx.state.snapshot, cx.state.cid, own, &cx.db.xacts) {
        return Ok(());
    }
    let row = version.row.clone();
    let wanted = values(&row, &foreign.columns);
    let parent = lock(cx, foreign.target, Mode::RowShare)?;
    if wanted.iter().any(Datum::is_null) {
        unlock(cx, parent.oid);
        return Ok(());
    }
    for candidate in visible_by(cx, &parent, &foreign.target_columns, &wanted) {
        match lock_row(cx, &parent, candidate, Strength::KeyShare, Policy::Wait)? {
            Locked::Same => return Ok(()),
            Locked::Newer(newer) => {
                let row = cx.db.heap(parent.oid).get(newer).map(|version| version.row.clone());
                if row.is_some_and(|row| values(&row, &foreign.target_columns) == wanted) {
                    return Ok(());
                }
            }
            Locked::Gone => {}
        }
    }
    Err(not_present(cx, table, foreign, &wanted, &parent).into())
}

/// The columns and values of a key, for those who may read them.
fn shown_key(cx: &Cx<'_>, table: &Table, columns: &[usize], values: &[Datum]) -> String {
    if may_see(cx, table) {
        format!(" {}", key_text(table, columns, values))
    } else {
        String::new()
    }
}

fn not_present(
    cx: &Cx<'_>,
    table: &Table,
    key: &ForeignKey,
    wanted: &[Datum],
    parent: &Table,
) -> PgError {
    let message = format!(
        "insert or update on table \"{}\" violates foreign key constraint \"{}\"",
        table.name, key.name
    );
    let shown = shown_key(cx, table, &key.columns, wanted);
    let detail = format!("Key{shown} is not present in table \"{}\".", parent.name);
    let error = PgError::new("23503", message).detail(detail);
    error.table(&table.name).constraint(&key.name)
}

/// Refuses a foreign key that a row of its table breaks. Takes no lock of a row.
pub fn validate(cx: &mut Cx<'_>, table: &Table, key: &ForeignKey) -> Step<()> {
    cx.state.snapshot = cx.db.xacts.snapshot();
    let parent = if key.target == table.oid {
        Arc::new(table.clone())
    } else {
        cx.db.table_by_oid(key.target, cx.pid)?
    };
    let own = cx.db.own(cx.pid);
    let shown = cx.db.heap(table.oid).iter().filter(|(_, version)| {
        version.visible(&cx.state.snapshot, cx.state.cid, own, &cx.db.xacts)
    });
    for (_, version) in shown {
        let wanted = values(&version.row, &key.columns);
        if !wanted.iter().any(Datum::is_null)
            && visible_by(cx, &parent, &key.target_columns, &wanted).is_empty()
        {
            return Err(not_present(cx, table, key, &wanted, &parent).into());
        }
    }
    Ok(())
}

fn check_parent(
    cx: &mut Cx<'_>,
    table: &Arc<Table>,
    child: &Arc<Table>,
    key: usize,
    old: &Row,
    new: Option<&Row>,
) -> Step<()> {
    let foreign = &child.foreign_keys[key];
    let wanted = values(old, &foreign.target_columns);
    let action = if new.is_some() { foreign.on_update } else { foreign.on_delete };
    let acts = !matches!(action, Action::Nothing | Action::Restrict);
    if acts && !cx.state.checks.carried {
        let current = lock(cx, child.oid, Mode::RowExclusive)?;
        if let Some(change) = cx.state.checks.change.take_if(|change| change.is_written()) {
            put(cx, &current, change)?;
        }
        let carrier = Carrier { parent: table, child: &current, foreign, action, new };
        for tid in pointing(cx, &current, foreign, &wanted) {
            carry_on(cx, &carrier, tid)?;
        }
        if action != Action::SetDefault {
            return Ok(());
        }
        // The default may be the very key that is gone: that takes a look of its own.
        cx.state.checks.next();
        cx.state.checks.carried = true;
        cx.state.cid += 1;
        look(cx);
    }
    let current = lock(cx, child.oid, Mode::RowShare)?;
    if action != Action::Restrict && is_replaced(cx, table, &foreign.target_columns, &wanted)? {
        unlock(cx, current.oid);
        return Ok(());
    }
    for tid in pointing(cx, &current, foreign, &wanted) {
        match lock_row(cx, &current, tid, Strength::KeyShare, Policy::Wait)? {
            Locked::Gone => continue,
            Locked::Newer(newer) if !same_key(cx, &current, foreign, tid, newer) => continue,
            Locked::Same | Locked::Newer(_) => {}
        }
        return Err(still_referenced(cx, table, &current, foreign, &wanted).into());
    }
    Ok(())
}

/// The rows that point at these values, also those that a transaction's snapshot does not show.
fn pointing(cx: &mut Cx<'_>, child: &Table, foreign: &ForeignKey, wanted: &[Datum]) -> Vec<Tid> {
    let latest = cx.state.checks.latest.get_or_insert_with(|| cx.db.xacts.snapshot()).clone();
    let shown = std::mem::replace(&mut cx.state.snapshot, latest);
    let found = visible_by(cx, child, &foreign.columns, wanted);
    cx.state.snapshot = shown;
    found
}

/// REPEATABLE READ does not write rows that its snapshot does not show; to find them is enough to
/// restrict.
fn check_shown(cx: &Cx<'_>, table: &Table, tid: Tid) -> Step<()> {
    let Some(version) = cx.db.heap(table.oid).get(tid) else { return Ok(()) };
    let own = cx.db.own(cx.pid);
    if version.visible(&cx.state.snapshot, cx.state.cid, own, &cx.db.xacts) {
        return Ok(());
    }
    Err(serialization(cx, table, "update").into())
}

/// NO ACTION is content if another row has the key by now.
fn is_replaced(
    cx: &mut Cx<'_>,
    table: &Arc<Table>,
    columns: &[usize],
    wanted: &[Datum],
) -> Step<bool> {
    for tid in visible_by(cx, table, columns, wanted) {
        let locked = lock_row(cx, table, tid, Strength::KeyShare, Policy::Wait)?;
        if locked == Locked::Same {
            return Ok(true);
        }
    }
    Ok(false)
}

fn still_referenced(
    cx: &Cx<'_>,
    table: &Table,
    child: &Table,
    foreign: &ForeignKey,
    wanted: &[Datum],
) -> PgError {
    let message = format!(
        "update or delete on table \"{}\" violates foreign key constraint \"{}\" on table \"{}\"",
        table.name, foreign.name, child.name
    );
    let shown = shown_key(cx, table, &foreign.target_columns, wanted);
    let detail = format!("Key{shown} is still referenced from table \"{}\".", child.name);
    PgError::new("23503", message).detail(detail).table(&child.name).constraint(&foreign.name)
}

/// Whether two versions of a row point at the same one.
fn same_key(cx: &Cx<'_>, child: &Table, foreign: &ForeignKey, one: Tid, other: Tid) -> bool {
    let heap = cx.db.heap(child.oid);
    let key = |tid: Tid| heap.get(tid).map(|version| values(&version.row, &foreign.columns));
    key(one) == key(other)
}

/// What CASCADE, SET NULL or SET DEFAULT carries from a row to those that point at it.
struct Carrier<'a> {
    parent: &'a Table,
    child: &'a Arc<Table>,
    foreign: &'a ForeignKey,
    action: Action,
    /// What the row is now, unless it is deleted.
    new: Option<&'a Row>,
}

/// Carries it on to one row.
fn carry_on(cx: &mut Cx<'_>, carrier: &Carrier<'_>, tid: Tid) -> Step<()> {
    let Carrier { child, foreign, action, new, .. } = *carrier;
    let erases = action == Action::Cascade && new.is_none();
    let mut change = cx.state.checks.change.take_if(|change| change.tid == tid);
    if change.is_none() && !erases {
        change = carried(cx, carrier, tid)?;
    }
    let strength = change.as_ref().map_or(Strength::Update, |change| change.strength(cx, child));
    let settled = settle(cx, child, tid, strength, true, Policy::Wait)?;
    check_repeatable(cx, child, settled)?;
    match settled {
        Settled::Free if cx.is_repeatable() => check_shown(cx, child, tid)?,
        Settled::Free => {}
        Settled::Updated(newer) if same_key(cx, child, foreign, tid, newer) => {
            return carry_on(cx, carrier, newer);
        }
        _ => return Ok(()),
    }
    if let Some(change) = change {
        return put(cx, child, change);
    }
    erase(cx, child, tid);
    Ok(())
}

/// Writes a changed row; what has to wait is kept.
fn put(cx: &mut Cx<'_>, child: &Arc<Table>, mut change: Change) -> Step<()> {
    let done = replace(cx, child, &mut change);
    if done.is_err() {
        cx.state.checks.change = Some(change);
    }
    done
}

/// The row as it is to be; `None` if it is gone.
fn carried(cx: &mut Cx<'_>, carrier: &Carrier<'_>, tid: Tid) -> Step<Option<Change>> {
    let Carrier { parent, child, foreign, action, new } = *carrier;
    let version = cx.db.heap(child.oid).get(tid);
    let Some(row) = version.map(|version| version.row.clone()) else { return Ok(None) };
    let mut after = row.to_vec();
    for (own, target) in foreign.columns.iter().zip(&foreign.target_columns) {
        after[*own] = match (action, new) {
            (Action::Cascade, Some(new)) => {
                let (from, to) = (parent.columns[*target].ty, &child.columns[*own]);
                cast(cx, new[*target].clone(), from, to.ty, to.typmod, false)?
            }
            (Action::SetDefault, _) => default_value(cx, child, *own)?,
            _ => Datum::Null,
        };
    }
    generate(cx, child, &mut after)?;
    Change::new(cx, child, (tid, after.into()), None).map(Some)
}

fn default_value(cx: &mut Cx<'_>, table: &Table, column: usize) -> Step<Datum> {
    let default = table.columns[column].default.clone();
    let expr = default.as_deref().unwrap_or(&Expr::NULL);
    super::eval(expr, cx, &super::Frame::EMPTY)
}
