//! ALTER COLUMN TYPE. Must never leave a value of the old type in the table.

use sqlparser::ast;

use super::ddl::{analyzer, build_index, column_type, put_rows};
use super::{Cx, Frame, eval};
use crate::world::postgres::error::{PgError, Step};
use crate::world::postgres::sql::{Context, Expr, Typed};
use crate::world::postgres::storage::catalog::{IndexPart, Table};
use crate::world::postgres::storage::heap::Tid;
use crate::world::postgres::types::Row;

/// Gives a column another type, and every row a value of it.
pub fn retype(
    cx: &mut Cx<'_>,
    changed: &mut Table,
    at: usize,
    parsed: &ast::DataType,
    using: Option<&ast::Expr>,
) -> Step<()> {
    if is_read(cx, changed, at) {
        let what = "ALTER COLUMN TYPE of a column that a constraint, expression or policy reads";
        return Err(PgError::unsupported(what).into());
    }
    let (ty, typmod) = column_type(cx, parsed).map_err(PgError::unplaced)?;
    let column = changed.columns[at].clone();
    let name = &column.name;
    let analyzer = analyzer(cx);
    let old = Typed::new(Expr::Column { depth: 0, index: at }, column.ty);
    let typed = match using {
        Some(using) => analyzer.table_expr(using, changed)?,
        None => old,
    };
    let refused = |what: String, hint: Option<String>| {
        let message = format!("{what} cannot be cast automatically to type {}", ty.name());
        let error = PgError::new("42804", message);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    };
    let value = analyzer.assign(typed, ty, typmod, name).map_err(|error| match using {
        _ if error.code() != "42804" => error,
        Some(_) => {
            let hint = Some("You might need to add an explicit cast.".to_owned());
            refused(format!("result of USING clause for column \"{name}\""), hint)
        }
        None => {
            let hint = format!("You might need to specify \"USING {name}::{}\".", ty.name());
            refused(format!("column \"{name}\""), Some(hint))
        }
    })?;
    let default = match &column.default {
        None => None,
        Some(default) => {
            let typed = Typed::new((**default).clone(), column.ty);
            let coerced = analyzer.coerce(typed, ty, typmod, Context::Assignment);
            let what = format!("default for column \"{name}\"");
            Some(coerced.map_err(|_| refused(what, None))?.into())
        }
    };
    let column = &mut changed.columns[at];
    (column.ty, column.typmod, column.default) = (ty, typmod, default);
    rewrite(cx, changed, at, &value)
}

/// Whether something but a plain key is made of the column.
fn is_read(cx: &Cx<'_>, table: &Table, at: usize) -> bool {
    let reads = |expr: &Expr| expr.columns().is_none_or(|columns| columns.contains(&at));
    let by_index = table.indexes.iter().filter(|index| !index.dropped).any(|index| {
        let part = |part: &IndexPart| match part {
            IndexPart::Column(_) => false,
            IndexPart::Expression(expr, ..) => reads(expr),
        };
        index.parts.iter().any(part) || index.predicate.as_deref().is_some_and(reads)
    });
    let generated = |column: &crate::world::postgres::storage::catalog::Column| {
        column.generated.as_deref().is_some_and(reads)
    };
    by_index
        || table.columns[at].generated.is_some()
        || table.columns.iter().any(generated)
        || table.checks.iter().any(|check| reads(&check.expr))
        || table.foreign_keys.iter().any(|key| key.columns.contains(&at))
        || !table.security.policies.is_empty()
        || cx
            .db
            .catalog
            .referrers(table.oid)
            .iter()
            .any(|(child, key)| child.foreign_keys[*key].target_columns.contains(&at))
}

fn rewrite(cx: &mut Cx<'_>, table: &Table, at: usize, value: &Expr) -> Step<()> {
    let mut heap = cx.db.heap(table.oid).clone();
    let tids: Vec<Tid> = heap.iter().map(|(tid, _)| tid).collect();
    for tid in tids {
        let Some(version) = heap.get_mut(tid) else { continue };
        let mut row = version.row.to_vec();
        row[at] = eval(value, cx, &Frame::of(&row))?;
        version.row = Row::from(row);
    }
    put_rows(cx, table.oid, heap);
    for index in 0..table.indexes.len() {
        if !table.indexes[index].dropped {
            build_index(cx, table, index)?;
        }
    }
    Ok(())
}
