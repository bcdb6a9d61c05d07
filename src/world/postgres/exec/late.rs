//! Keys that call functions of one's own: worked out index by index once the row stands in its
//! table, as PostgreSQL does with every key. Must never decide whether a key is taken.

use super::Cx;
use super::constraint::index_key;
use crate::world::postgres::error::Step;
use crate::world::postgres::sql::Expr;
use crate::world::postgres::storage::catalog::{Index, IndexPart, Table};
use crate::world::postgres::storage::heap::Tid;
use crate::world::postgres::types::Row;

/// A key that is known, while its index is being asked whether it is free.
#[derive(Debug)]
pub struct Late {
    tid: Tid,
    index: usize,
    key: Option<Row>,
}

fn expressions(index: &Index) -> impl Iterator<Item = &Expr> {
    let parts = index.parts.iter().filter_map(|part| match part {
        IndexPart::Expression(expr, ..) => Some(&**expr),
        IndexPart::Column(_) => None,
    });
    parts.chain(index.predicate.as_deref())
}

/// Whether the index calls a function of one's own.
pub fn is_late(index: &Index) -> bool {
    let mut found = false;
    for expr in expressions(index) {
        expr.walk(&mut |part| found |= matches!(part, Expr::Routine { .. }));
    }
    found && !index.dropped
}

/// Whether one of the table's indexes does: then all its keys are worked out late.
pub fn has_late(table: &Table) -> bool {
    table.indexes.iter().any(is_late)
}

/// Whether an update changes nothing that an index reads: the keys stay what they are, unasked.
pub fn keeps_keys(table: &Table, old: &Row, new: &Row) -> bool {
    let same = |at: usize| old.get(at) == new.get(at);
    table.indexes.iter().filter(|index| !index.dropped).all(|index| {
        let columns = index.parts.iter().all(|part| match part {
            IndexPart::Column(at) => same(*at),
            IndexPart::Expression(..) => true,
        });
        let read = |expr: &Expr| expr.columns().is_some_and(|all| all.into_iter().all(same));
        columns && expressions(index).all(read)
    })
}

/// The key of a version in an index, worked out once however often it is asked for.
pub fn late_key(cx: &mut Cx<'_>, table: &Table, tid: Tid, index: usize) -> Step<Option<Row>> {
    if let Some(late) = &cx.state.late
        && (late.tid, late.index) == (tid, index)
    {
        return Ok(late.key.clone());
    }
    let row = cx.db.heap(table.oid).get(tid).map(|version| version.row.clone());
    let key = index_key(cx, &table.indexes[index], &row.unwrap_or_default())?;
    cx.state.late = Some(Late { tid, index, key: key.clone() });
    cx.settled();
    Ok(key)
}

/// The index takes the version.
pub fn enter(cx: &mut Cx<'_>, table: &Table, tid: Tid, index: usize, key: Option<Row>) {
    cx.state.late = None;
    cx.db.heap_mut(table.oid).set_key(tid, index, key);
}
