//! Constraints as they are declared: keys, checks, foreign keys. Must never look at a row.

use std::sync::Arc;

use sqlparser::ast::{self, ColumnOption, TableConstraint};

use super::Cx;
use super::ddl::part;
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::sql::{ident, object_name};
use crate::world::postgres::storage::catalog::{
    Action, Check, ForeignKey, Index, IndexPart, Table,
};

pub fn column_constraints(
    cx: &mut Cx<'_>,
    table: &mut Table,
    definition: &ast::ColumnDef,
) -> Result<()> {
    let column = std::slice::from_ref(&definition.name);
    for option in &definition.options {
        let name = option.name.as_ref().map(ident);
        match &option.option {
            ColumnOption::PrimaryKey(_) => {
                let columns = columns_of(table, column)?;
                add_key(cx, table, name, &columns, true, true)?;
            }
            ColumnOption::Unique(unique) => {
                let columns = columns_of(table, column)?;
                let distinct = unique.nulls_distinct != ast::NullsDistinctOption::NotDistinct;
                add_key(cx, table, name, &columns, false, distinct)?;
            }
            ColumnOption::Check(check) => add_check(cx, table, name, &check.expr, Some(column))?,
            ColumnOption::ForeignKey(key) => add_foreign_key(cx, table, name, key, column)?,
            ColumnOption::Generated { generation_expr: Some(expr), .. } => {
                generate(cx, table, &column[0], expr)?;
            }
            ColumnOption::Null
            | ColumnOption::NotNull
            | ColumnOption::Default(_)
            | ColumnOption::Generated { .. }
            | ColumnOption::Collation(_) => {}
            other => return Err(PgError::unsupported(format_args!("the column option {other}"))),
        }
    }
    Ok(())
}

/// `GENERATED ALWAYS AS (expr) STORED`.
fn generate(cx: &Cx<'_>, table: &mut Table, name: &ast::Ident, expr: &ast::Expr) -> Result<()> {
    let name = ident(name);
    let at = table.column(&name).expect("the column is there already");
    if table.columns[at].default.is_some() {
        let relation = &table.name;
        let message = format!(
            "both default and generation expression specified for column \"{name}\" of table \
             \"{relation}\""
        );
        return Err(PgError::new("42601", message));
    }
    let analyzer = part(cx, "column generation expression");
    let typed = analyzer.table_expr(expr, table)?;
    let column = &table.columns[at];
    let expr = analyzer.assign(typed, column.ty, column.typmod, &name)?;
    let Some(read) = expr.columns() else {
        let message = "cannot use subquery in column generation expression";
        return Err(PgError::new("0A000", message));
    };
    if let Some(other) = read.iter().find(|o| **o == at || table.columns[**o].generated.is_some()) {
        let other = &table.columns[*other].name;
        let message =
            format!("cannot use generated column \"{other}\" in column generation expression");
        let detail = if **other == *name {
            "This would cause the generated column to depend on its own value."
        } else {
            "A generated column cannot reference another generated column."
        };
        return Err(PgError::new("42P17", message).detail(detail));
    }
    table.columns[at].generated = Some(Arc::new(expr));
    Ok(())
}

pub fn table_constraint(
    cx: &mut Cx<'_>,
    table: &mut Table,
    constraint: &TableConstraint,
) -> Result<()> {
    match constraint {
        TableConstraint::PrimaryKey(key) => {
            let columns = index_columns(table, &key.columns)?;
            for column in &columns {
                table.columns[*column].not_null = true;
            }
            add_key(cx, table, key.name.as_ref().map(ident), &columns, true, true)
        }
        TableConstraint::Unique(key) => {
            let columns = index_columns(table, &key.columns)?;
            let distinct = key.nulls_distinct != ast::NullsDistinctOption::NotDistinct;
            add_key(cx, table, key.name.as_ref().map(ident), &columns, false, distinct)
        }
        TableConstraint::Check(check) => {
            add_check(cx, table, check.name.as_ref().map(ident), &check.expr, None)
        }
        TableConstraint::ForeignKey(key) => {
            add_foreign_key(cx, table, key.name.as_ref().map(ident), key, &key.columns)
        }
        other => Err(PgError::unsupported(format_args!("the constraint {other}"))),
    }
}

fn columns_of(table: &Table, names: &[ast::Ident]) -> Result<Vec<usize>> {
    let find = |name: &ast::Ident| {
        let name = ident(name);
        table.column(&name).ok_or_else(|| {
            PgError::new("42703", format!("column \"{name}\" named in key does not exist"))
        })
    };
    names.iter().map(find).collect()
}

fn index_columns(table: &Table, columns: &[ast::IndexColumn]) -> Result<Vec<usize>> {
    let name = |column: &ast::IndexColumn| match &column.column.expr {
        ast::Expr::Identifier(name) => Ok(name.clone()),
        other => Err(PgError::unsupported(format_args!("the key {other}"))),
    };
    columns_of(table, &columns.iter().map(name).collect::<Result<Vec<ast::Ident>>>()?)
}

/// A name that is free, made from `wanted` with a number if need be.
pub fn free_name(cx: &Cx<'_>, table: &Table, wanted: String) -> String {
    let taken = |name: &str| {
        cx.db.catalog.is_taken(name, cx.db.own(cx.pid))
            || table.indexes.iter().any(|index| !index.dropped && *index.name == *name)
            || table.checks.iter().any(|check| *check.name == *name)
            || table.foreign_keys.iter().any(|key| *key.name == *name)
    };
    if !taken(&wanted) {
        return wanted;
    }
    let numbered = (1..u32::MAX).map(|number| format!("{wanted}{number}"));
    numbered.into_iter().find(|name| !taken(name)).unwrap_or(wanted)
}

fn names_of(table: &Table, columns: &[usize]) -> String {
    columns.iter().map(|at| &*table.columns[*at].name).collect::<Vec<&str>>().join("_")
}

fn add_key(
    cx: &mut Cx<'_>,
    table: &mut Table,
    name: Option<String>,
    columns: &[usize],
    primary: bool,
    nulls_distinct: bool,
) -> Result<()> {
    if primary && table.primary().is_some() {
        let message = format!("multiple primary keys for table \"{}\" are not allowed", table.name);
        return Err(PgError::new("42P16", message));
    }
    let name = name.unwrap_or_else(|| {
        let wanted = if primary {
            format!("{}_pkey", table.name)
        } else {
            format!("{}_{}_key", table.name, names_of(table, columns))
        };
        free_name(cx, table, wanted)
    });
    table.indexes.push(Index {
        name: name.into(),
        parts: columns.iter().map(|column| IndexPart::Column(*column)).collect(),
        unique: true,
        primary,
        constraint: true,
        nulls_distinct,
        predicate: None,
        dropped: false,
    });
    Ok(())
}

fn add_check(
    cx: &mut Cx<'_>,
    table: &mut Table,
    name: Option<String>,
    expr: &ast::Expr,
    column: Option<&[ast::Ident]>,
) -> Result<()> {
    let analyzer = part(cx, "check constraint");
    let typed = analyzer.table_expr(expr, table)?;
    let condition = analyzer.condition(typed, "CHECK")?;
    let name = name.unwrap_or_else(|| {
        let read = condition.columns().unwrap_or_default();
        let of = column.map(|column| ident(&column[0])).or_else(|| match read.as_slice() {
            [only] => Some(table.columns[*only].name.to_string()),
            _ => None,
        });
        let wanted = match of {
            Some(column) => format!("{}_{column}_check", table.name),
            None => format!("{}_check", table.name),
        };
        free_name(cx, table, wanted)
    });
    table.checks.push(Check { name: name.into(), expr: Arc::new(condition) });
    Ok(())
}

fn action(parsed: Option<ast::ReferentialAction>) -> Action {
    match parsed {
        None | Some(ast::ReferentialAction::NoAction) => Action::Nothing,
        Some(ast::ReferentialAction::Restrict) => Action::Restrict,
        Some(ast::ReferentialAction::Cascade) => Action::Cascade,
        Some(ast::ReferentialAction::SetNull) => Action::SetNull,
        Some(ast::ReferentialAction::SetDefault) => Action::SetDefault,
    }
}

fn add_foreign_key(
    cx: &mut Cx<'_>,
    table: &mut Table,
    name: Option<String>,
    key: &ast::ForeignKeyConstraint,
    columns: &[ast::Ident],
) -> Result<()> {
    let target_name = object_name(&key.foreign_table)?;
    let target = if target_name == *table.name {
        Arc::new(table.clone())
    } else {
        cx.db.table(&target_name, cx.pid)?
    };
    let columns = columns_of(table, columns).map_err(|error| {
        let message =
            error.fields().message.replace("named in key", "referenced in foreign key constraint");
        PgError::new("42703", message)
    })?;
    let target_columns = if key.referred_columns.is_empty() {
        target.primary().and_then(Index::columns).ok_or_else(|| {
            let message = format!("there is no primary key for referenced table \"{target_name}\"");
            PgError::new("42704", message)
        })?
    } else {
        columns_of(&target, &key.referred_columns)?
    };
    if columns.len() != target_columns.len() {
        let message = "number of referencing and referenced columns for foreign key disagree";
        return Err(PgError::new("42830", message));
    }
    let mut sorted = target_columns.clone();
    sorted.sort_unstable();
    let unique = target.indexes.iter().any(|index| {
        let mut own = index.columns().unwrap_or_default();
        own.sort_unstable();
        index.unique && !index.dropped && index.predicate.is_none() && own == sorted
    });
    if !unique {
        let message = format!(
            "there is no unique constraint matching given keys for referenced table \
             \"{target_name}\""
        );
        return Err(PgError::new("42830", message));
    }
    let name = name.unwrap_or_else(|| {
        let wanted = format!("{}_{}_fkey", table.name, names_of(table, &columns));
        free_name(cx, table, wanted)
    });
    let deferred = key.characteristics.as_ref().is_some_and(|characteristics| {
        characteristics.initially == Some(ast::DeferrableInitial::Deferred)
    });
    table.foreign_keys.push(ForeignKey {
        name: name.into(),
        columns,
        target: target.oid,
        target_columns,
        on_delete: action(key.on_delete),
        on_update: action(key.on_update),
        deferred,
    });
    Ok(())
}
