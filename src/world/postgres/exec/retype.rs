//! ALTER COLUMN TYPE. Must never leave a value of the old type in the table.

use sqlparser::ast::{self, AlterColumnOperation, AlterTableOperation};

use super::alter::no_column;
use super::anew::{is_of_type, needs_toast};
use super::ddl::{analyzer, build_index, column_type, put_rows};
use super::{Cx, Frame, constants, eval, foreign, policies};
use crate::world::postgres::error::{PgError, Result, Step};
use crate::world::postgres::sql::{Context, Expr, Typed, ident};
use crate::world::postgres::storage::catalog::{Column, Index, IndexPart, Table};
use crate::world::postgres::storage::heap::Tid;
use crate::world::postgres::types::{Row, Ty};

/// A column's new type, and what each row gets of it, over the row as the statement found it.
pub struct Retyped {
    at: usize,
    ty: Ty,
    typmod: i32,
    value: Expr,
}

/// The columns that a statement gives another type.
pub fn retyped(cx: &Cx<'_>, table: &Table, all: &[AlterTableOperation]) -> Result<Vec<Retyped>> {
    let mut retyped = Vec::new();
    for operation in all {
        if let AlterTableOperation::AlterColumn {
            column_name,
            op: AlterColumnOperation::SetDataType { data_type, using, .. },
        } = operation
        {
            let name = ident(column_name);
            let at = table.column(&name).ok_or_else(|| no_column(table, &name))?;
            retyped.push(analyzed(cx, table, at, data_type, using.as_ref())?);
        }
    }
    Ok(retyped)
}

fn analyzed(
    cx: &Cx<'_>,
    table: &Table,
    at: usize,
    parsed: &ast::DataType,
    using: Option<&ast::Expr>,
) -> Result<Retyped> {
    let (ty, typmod) = column_type(cx, parsed).map_err(PgError::unplaced)?;
    let column = &table.columns[at];
    let name = &column.name;
    let analyzer = analyzer(cx);
    let typed = match using {
        Some(using) => analyzer.table_expr(using, table)?,
        None => Typed::new(Expr::Column { depth: 0, index: at }, column.ty),
    };
    let value = analyzer.assign(typed, ty, typmod, name).map_err(|error| match using {
        _ if error.code() != "42804" => error,
        Some(_) => refused(&format!("result of USING clause for column \"{name}\""), ty)
            .hint("You might need to add an explicit cast."),
        None => refused(&format!("column \"{name}\""), ty)
            .hint(format!("You might need to specify \"USING {name}::{}\".", ty.name())),
    })?;
    Ok(Retyped { at, ty, typmod, value })
}

fn refused(what: &str, ty: Ty) -> PgError {
    PgError::new("42804", format!("{what} cannot be cast automatically to type {}", ty.name()))
}

/// Gives columns their other types, and every row values of them.
/// Says whether that writes the table anew.
pub fn retype(cx: &mut Cx<'_>, changed: &mut Table, all: &[Retyped]) -> Step<bool> {
    let reads = |index: &Index, one: &Retyped| !index.dropped && index.reads(one.at);
    if changed.indexes.iter().any(|index| all.iter().any(|one| reads(index, one))) {
        changed.touch_indexes();
    }
    let toasted = needs_toast(changed);
    let column = |one: &Retyped| &changed.columns[one.at];
    let rewritten =
        all.iter().any(|one| !is_of_type(&one.value, (one.at, column(one)), (one.ty, one.typmod)));
    for Retyped { at, ty, typmod, .. } in all {
        if is_read(cx, changed, *at) {
            let what = "ALTER COLUMN TYPE of a column that a constraint or expression reads";
            return Err(PgError::unsupported(what).into());
        }
        refuse_guarded(cx, changed, *at)?;
        let column = &mut changed.columns[*at];
        if let Some(default) = &column.default {
            let typed = Typed::new((**default).clone(), column.ty);
            let coerced = analyzer(cx).coerce(typed, *ty, *typmod, Context::Assignment);
            let what = format!("default for column \"{}\"", column.name);
            column.default = Some(coerced.map_err(|_| refused(&what, *ty))?.into());
        }
        (column.ty, column.typmod) = (*ty, *typmod);
    }
    if rewritten || needs_toast(changed) != toasted {
        changed.touch_class();
    }
    rewrite(cx, changed, all)?;
    Ok(rewritten)
}

/// What policies read keeps its type.
fn refuse_guarded(cx: &Cx<'_>, table: &Table, at: usize) -> Result<()> {
    let (name, relation) = (&table.columns[at].name, &table.name);
    let policy = match policies::of_column(cx, table, at)?.as_slice() {
        [] => return Ok(()),
        [only] => only.clone(),
        _ => return Err(PgError::unsupported("ALTER COLUMN TYPE of what several policies read")),
    };
    let message = "cannot alter type of a column used in a policy definition";
    let detail = format!("policy {policy} on table {relation} depends on column \"{name}\"");
    Err(PgError::new("0A000", message).detail(detail))
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
    let generated = |column: &Column| column.generated.as_deref().is_some_and(reads);
    by_index
        || table.columns[at].generated.is_some()
        || table.columns.iter().any(generated)
        || table.checks.iter().any(|check| reads(&check.expr))
        || table.foreign_keys.iter().any(|key| key.columns.contains(&at))
        || foreign::referrers(cx, table.oid)
            .iter()
            .any(|(child, key)| child.foreign_keys[*key].target_columns.contains(&at))
}

fn rewrite(cx: &mut Cx<'_>, table: &Table, all: &[Retyped]) -> Step<()> {
    for one in all {
        constants::check_one(&one.value, cx)?;
    }
    let mut heap = cx.db.heap(table.oid).clone();
    let tids: Vec<Tid> = heap.iter().map(|(tid, _)| tid).collect();
    for tid in tids {
        let Some(version) = heap.get_mut(tid) else { continue };
        let mut row = version.row.to_vec();
        for Retyped { at, value, .. } in all {
            row[*at] = eval(value, cx, &Frame::of(&version.row))?;
        }
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
