//! Tables that ALTER TABLE writes anew. Must never let a snapshot from before see the new rows:
//! to it the table is empty (PostgreSQL 15, chapter 13.6).

use super::Cx;
use super::ddl::put_rows;
use crate::world::postgres::error::Result;
use crate::world::postgres::sql::{Analyzer, Expr, may_change};
use crate::world::postgres::storage::catalog::{Column, Table};
use crate::world::postgres::storage::heap::{Tid, Version};
use crate::world::postgres::storage::locks::Oid;
use crate::world::postgres::storage::xact::{Fate, Xacts};
use crate::world::postgres::types::{Base, Ty};

/// Of what a row may take without its header, in bytes (PostgreSQL's `TOAST_TUPLE_THRESHOLD`).
const LONGEST_ROW: i32 = 2_000;

/// Writes the rows that the table has anew, for the session's transaction.
pub fn write_anew(cx: &mut Cx<'_>, oid: Oid) {
    let (xid, cid) = (cx.db.xid(cx.pid), cx.state.cid);
    let mut heap = cx.db.heap(oid).clone();
    let tids: Vec<Tid> = heap.iter().map(|(tid, _)| tid).collect();
    for tid in tids {
        let Some(version) = heap.get_mut(tid) else { continue };
        if is_dead(version, &cx.db.xacts) {
            heap.remove(tid);
            continue;
        }
        (version.xmin, version.cmin, version.marks) = (xid, cid, Vec::new());
    }
    put_rows(cx, oid, heap);
    cx.db.txn_mut(cx.pid).cid += 1;
}

/// Whether it is left out of what is written anew.
pub fn is_dead(version: &Version, xacts: &Xacts) -> bool {
    version.writer(xacts).is_some() || xacts.fate(version.xmin) == Fate::Aborted
}

/// Whether a new column's values are written into the rows, and not only beside the definition.
pub fn is_filled(cx: &Cx<'_>, column: &Column) -> Result<bool> {
    let Some(default) = &column.default else { return Ok(column.generated.is_some()) };
    let planned = Analyzer::new(cx.db, cx.pid, "", &[]).as_planned(default)?;
    Ok(may_change(&planned))
}

/// Whether the values that a column has are already of its new type, so that its table stays.
pub fn is_of_type(value: &Expr, (at, column): (usize, &Column), (ty, typmod): (Ty, i32)) -> bool {
    let own = |expr: &Expr| matches!(expr, Expr::Column { depth: 0, index } if *index == at);
    let Expr::Cast { expr, .. } = value else { return own(value) };
    let (old, new) = (column.typmod, typmod);
    let scale = |typmod: i32| (typmod - 4) & 0xffff;
    let fits = match (column.ty.base, ty.base) {
        // The session's zone is UTC.
        (Base::Varchar | Base::Text, Base::Text)
        | (Base::Timestamp, Base::Timestamptz)
        | (Base::Timestamptz, Base::Timestamp) => true,
        (Base::Varchar, Base::Varchar) => new < 0 || (0..=new).contains(&old),
        (Base::Numeric, Base::Numeric) => {
            new < 0 || ((0..=new).contains(&old) && scale(old) == scale(new))
        }
        (old, Base::Varchar) => old == Base::Text && new < 0,
        _ => false,
    };
    own(expr) && fits && column.ty.array == ty.array
}

/// Whether the table's rows may be too long for a page, so that it has a second one for their
/// values; one that was made for a column that is gone stays.
pub fn needs_toast(table: &Table) -> bool {
    let longest = |column: &Column| match (column.ty.size(), column.ty.base, column.typmod) {
        (size @ 1.., ..) => Some(i32::from(size)),
        (_, Base::Varchar | Base::Bpchar, typmod @ 0..) if !column.ty.array => {
            Some((typmod - 4) * 4 + 4)
        }
        (_, Base::Numeric, typmod @ 0..) if !column.ty.array => {
            Some(8 + (((typmod - 4) >> 16) + 6) / 4 * 2)
        }
        _ => None,
    };
    let varies = table.columns.iter().any(|column| column.ty.size() < 0);
    let lengths: Option<Vec<i32>> = table.columns.iter().map(longest).collect();
    varies && lengths.is_none_or(|all| all.iter().sum::<i32>() > LONGEST_ROW)
}
