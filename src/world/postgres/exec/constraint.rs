//! NOT NULL, CHECK, index keys and uniqueness. Must never write a row.

use std::sync::Arc;

use super::late::{enter, has_late, is_late, late_key};
use super::roles::{is_bound, may_see};
use super::{Cx, Frame, eval, is_true};
use crate::world::postgres::error::{PgError, Step};
use crate::world::postgres::sql::{Conflict, RowCheck, quoted};
use crate::world::postgres::storage::catalog::{Index, IndexPart, Table};
use crate::world::postgres::storage::heap::Tid;
use crate::world::postgres::types::{Datum, Row, Ty, to_text};

/// The columns that a statement names to be written; `None` for what is done on nobody's order.
pub type Named<'a> = Option<&'a [usize]>;

/// `(1, null)` as errors show a row, or `(a) = (1)` if only some columns may be shown.
fn row_text(table: &Table, row: &[Datum], only: Named<'_>) -> Option<String> {
    let all = table.columns.iter().zip(row).enumerate();
    let shown = all
        .filter(|(at, (column, _))| !column.dropped && only.is_none_or(|only| only.contains(at)));
    let shown = shown.map(|(_, (column, datum))| (&*column.name, clipped(datum, column.ty)));
    let (names, values): (Vec<&str>, Vec<String>) = shown.unzip();
    let values = values.join(", ");
    match only {
        None => Some(format!("({values})")),
        Some(_) if names.is_empty() => None,
        Some(_) => Some(format!("({}) = ({values})", names.join(", "))),
    }
}

/// Fills in the generated columns of a row.
pub fn generate(cx: &mut Cx<'_>, table: &Table, row: &mut [Datum]) -> Step<()> {
    for (at, column) in table.columns.iter().enumerate() {
        if let Some(expr) = &column.generated {
            row[at] = eval(expr, cx, &Frame::of(row))?;
        }
    }
    Ok(())
}

/// Row-level security: 42501 for a row that no policy lets in.
pub fn check_policies(
    cx: &mut Cx<'_>,
    table: &Table,
    checks: &[RowCheck],
    existing: bool,
    row: &Row,
) -> Step<()> {
    for check in checks.iter().filter(|check| check.existing == existing) {
        if is_true(&check.expr, cx, &Frame::of(row))? {
            continue;
        }
        let policy = check.policy.as_ref().map(|name| format!(" \"{name}\""));
        let which = if existing { " (USING expression)" } else { "" };
        let message = format!(
            "new row violates row-level security policy{}{which} for table \"{}\"",
            policy.unwrap_or_default(),
            table.name
        );
        return Err(PgError::new("42501", message).into());
    }
    Ok(())
}

/// The row is shown to those whom no policy keeps from it; those who may not read the table see
/// what they wrote.
fn failing(
    cx: &Cx<'_>,
    table: &Table,
    (row, named): (&[Datum], Named<'_>),
    error: PgError,
) -> PgError {
    if is_bound(cx, table) {
        return error;
    }
    match row_text(table, row, named.filter(|_| !may_see(cx, table))) {
        Some(text) => error.detail(format!("Failing row contains {text}.")),
        None => error,
    }
}

pub fn check_row(cx: &mut Cx<'_>, table: &Table, row: &[Datum], named: Named<'_>) -> Step<()> {
    for (column, datum) in table.columns.iter().zip(row) {
        if column.not_null && datum.is_null() && !column.dropped {
            let (name, relation) = (&column.name, &table.name);
            let message = format!(
                "null value in column \"{name}\" of relation \"{relation}\" violates not-null \
                 constraint"
            );
            let error = failing(cx, table, (row, named), PgError::new("23502", message));
            return Err(error.table(relation).column(name).into());
        }
    }
    for check in &table.checks {
        if eval(&check.expr, cx, &Frame::of(row))?.as_bool() == Some(false) {
            let (name, relation) = (&check.name, &table.name);
            let message =
                format!("new row for relation \"{relation}\" violates check constraint \"{name}\"");
            let error = failing(cx, table, (row, named), PgError::new("23514", message));
            return Err(error.table(relation).constraint(name).into());
        }
    }
    Ok(())
}

/// The row's key in each index; `None` where it is not in it.
pub fn index_keys(cx: &mut Cx<'_>, table: &Table, row: &[Datum]) -> Step<Vec<Option<Row>>> {
    let mut keys = Vec::with_capacity(table.indexes.len());
    for index in &table.indexes {
        keys.push(index_key(cx, index, row)?);
    }
    Ok(keys)
}

pub fn index_key(cx: &mut Cx<'_>, index: &Index, row: &[Datum]) -> Step<Option<Row>> {
    if index.dropped {
        return Ok(None);
    }
    let frame = Frame::of(row);
    if let Some(predicate) = &index.predicate
        && !is_true(predicate, cx, &frame)?
    {
        return Ok(None);
    }
    let column = |at: usize| row.get(at).cloned().unwrap_or_default();
    if index.parts.iter().all(|part| matches!(part, IndexPart::Column(_))) {
        let of = |part: &IndexPart| match part {
            IndexPart::Column(at) => column(*at),
            IndexPart::Expression(..) => Datum::Null,
        };
        return Ok(Some(index.parts.iter().map(of).collect()));
    }
    let mut key = Vec::with_capacity(index.parts.len());
    for part in &index.parts {
        key.push(match part {
            IndexPart::Column(at) => column(*at),
            IndexPart::Expression(expr, ..) => eval(expr, cx, &frame)?,
        });
    }
    Ok(Some(key.into()))
}

/// A live version other than `own` with this key, waiting for transactions that may yet decide.
pub fn find_conflict(
    cx: &mut Cx<'_>,
    table: &Table,
    index: usize,
    key: &Row,
    own: Option<Tid>,
) -> Step<Option<Tid>> {
    if table.indexes[index].nulls_distinct && key.iter().any(Datum::is_null) {
        return Ok(None);
    }
    for tid in cx.db.heap(table.oid).lookup(index, key) {
        if Some(tid) == own {
            continue;
        }
        let Some(version) = cx.db.heap(table.oid).get(tid) else { continue };
        if version.indexed <= index {
            continue;
        }
        let mine = cx.db.own(cx.pid);
        let xacts = &cx.db.xacts;
        let undecided = |xid: u64| xacts.is_running(xid) && !mine.contains(&xid);
        let writer = version.writer(xacts);
        if writer.is_some_and(|writer| !undecided(writer.xid)) && !undecided(version.xmin) {
            continue;
        }
        let waits_for = if undecided(version.xmin) {
            Some((version.xmin, version.speculative))
        } else {
            writer.map(|writer| (writer.xid, None))
        };
        if own.is_none() && is_late(&table.indexes[index]) {
            // PostgreSQL works out the key of what it found, to no end here.
            let row = version.row.clone();
            index_key(cx, &table.indexes[index], &row)?;
        }
        let Some((xid, token)) = waits_for else { return Ok(Some(tid)) };
        cx.state.calls.forget();
        cx.db.wait_for_writer(cx.pid, xid, token, Some((table.oid, tid)))?;
        return find_conflict(cx, table, index, key, own);
    }
    Ok(None)
}

/// Whether a version other than `own` has or may yet have this key.
fn is_taken(cx: &Cx<'_>, table: &Table, index: usize, key: &Row, own: Tid) -> bool {
    if table.indexes[index].nulls_distinct && key.iter().any(Datum::is_null) {
        return false;
    }
    let (heap, xacts) = (cx.db.heap(table.oid), &cx.db.xacts);
    let mine = cx.db.own(cx.pid);
    heap.lookup(index, key).into_iter().filter(|tid| *tid != own).any(|tid| {
        let version = heap.get(tid).filter(|version| version.indexed > index);
        let gone = |xid: u64| xacts.is_committed(xid) || mine.contains(&xid);
        version.is_some_and(|version| !version.writer(xacts).is_some_and(|w| gone(w.xid)))
    })
}

/// The columns and values of a key: `(a, b)=(1, x)`.
pub fn key_text(table: &Table, columns: &[usize], values: &[Datum]) -> String {
    let names: Vec<&str> = columns.iter().map(|at| &*table.columns[*at].name).collect();
    let texts = columns.iter().zip(values).map(|(at, datum)| to_text(datum, table.columns[*at].ty));
    format!("({})=({})", names.join(", "), texts.collect::<Vec<String>>().join(", "))
}

/// No more than 64 bytes of a value, and that there is more.
fn clipped(datum: &Datum, ty: Ty) -> String {
    let text = shown_value(datum, ty);
    if text.len() <= 64 {
        return text;
    }
    format!("{}...", &text[..text.floor_char_boundary(64)])
}

fn shown_value(datum: &Datum, ty: Ty) -> String {
    if datum.is_null() { "null".to_owned() } else { to_text(datum, ty) }
}

/// As [`key_text`], for an index that may be on expressions.
fn index_key_text(table: &Table, index: &Index, values: &[Datum]) -> String {
    let part = |(part, datum): (&IndexPart, &Datum)| match part {
        IndexPart::Column(at) => {
            let column = &table.columns[*at];
            (quoted(&column.name), shown_value(datum, column.ty))
        }
        IndexPart::Expression(_, ty, text) => (text.to_string(), shown_value(datum, *ty)),
    };
    let parts: Vec<(String, String)> = index.parts.iter().zip(values).map(part).collect();
    let join = |texts: Vec<&str>| texts.join(", ");
    let names = join(parts.iter().map(|(name, _)| name.as_str()).collect());
    let values = join(parts.iter().map(|(_, value)| value.as_str()).collect());
    format!("({names})=({values})")
}

pub fn unique_violation(table: &Table, index: &Index, key: &Row) -> PgError {
    let message = format!("duplicate key value violates unique constraint \"{}\"", index.name);
    let error = PgError::new("23505", message).table(&table.name).constraint(&index.name);
    error.detail(format!("Key {} already exists.", index_key_text(table, index, key)))
}

/// Refuses a version whose key in a unique index is taken. `from` is where to go on after a wait.
pub fn check_unique(cx: &mut Cx<'_>, table: &Arc<Table>, tid: Tid, from: &mut usize) -> Step<()> {
    check_indexes(cx, table, tid, from, &mut None)
}

/// The same for a row of ON CONFLICT: a key that is taken in an index that `arbitrates` is no
/// error, and nobody waits for it: it is noted, and the indexes take the row all the same.
pub fn check_indexes(
    cx: &mut Cx<'_>,
    table: &Arc<Table>,
    tid: Tid,
    from: &mut usize,
    arbiters: &mut Option<(&Conflict, bool)>,
) -> Step<()> {
    let late = has_late(table);
    while *from < table.indexes.len() {
        let index = &table.indexes[*from];
        if !index.dropped && (index.unique || late) {
            indexed(cx, table, tid, *from);
            let key = if late {
                late_key(cx, table, tid, *from)?
            } else {
                let version = cx.db.heap(table.oid).get(tid);
                version.and_then(|version| version.keys.get(*from).cloned().flatten())
            };
            if let Some(key) = key.as_ref().filter(|_| index.unique) {
                let arbiters = arbiters.as_mut().filter(|(all, _)| all.arbitrates(*from));
                if let Some((_, conflict)) = arbiters {
                    *conflict |= is_taken(cx, table, *from, key, tid);
                } else if find_conflict(cx, table, *from, key, Some(tid))?.is_some() {
                    let violation = unique_violation(table, index, key);
                    let shown = may_see(cx, table);
                    return Err(if shown { violation } else { violation.bare() }.into());
                }
            }
            if late {
                enter(cx, table, tid, *from, key);
            }
        }
        *from += 1;
    }
    indexed(cx, table, tid, usize::MAX);
    Ok(())
}

fn indexed(cx: &mut Cx<'_>, table: &Table, tid: Tid, count: usize) {
    if let Some(version) = cx.db.heap_mut(table.oid).get_mut(tid) {
        version.indexed = count;
    }
}
