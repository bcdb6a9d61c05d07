//! The rows of a table held against what is newly demanded of them.
//! Must never look at a row that is gone.

use super::{Cx, Frame, constants, eval, foreign};
use crate::world::postgres::error::{PgError, Step};
use crate::world::postgres::storage::catalog::{Check, Table};
use crate::world::postgres::types::Row;

fn live_rows(cx: &Cx<'_>, table: &Table) -> Vec<Row> {
    let live = cx.db.heap(table.oid).iter().filter(|(_, v)| v.writer(&cx.db.xacts).is_none());
    live.map(|(_, version)| version.row.clone()).collect()
}

/// Rows must fit what is newly demanded.
pub fn check_rows(cx: &mut Cx<'_>, before: &Table, table: &Table) -> Step<()> {
    for row in live_rows(cx, table) {
        for (column, datum) in table.columns.iter().zip(row.iter()) {
            if column.not_null && !column.dropped && datum.is_null() {
                let (name, relation) = (&column.name, &table.name);
                let message =
                    format!("column \"{name}\" of relation \"{relation}\" contains null values");
                return Err(PgError::new("23502", message).table(relation).column(name).into());
            }
        }
    }
    for check in &table.checks[before.checks.len()..] {
        fits(cx, table, check)?;
    }
    for key in &table.foreign_keys[before.foreign_keys.len()..] {
        foreign::validate(cx, table, key)?;
    }
    Ok(())
}

/// Refuses a check that a row does not pass.
fn fits(cx: &mut Cx<'_>, table: &Table, check: &Check) -> Step<()> {
    constants::check_one(&check.expr, cx)?;
    for row in live_rows(cx, table) {
        if eval(&check.expr, cx, &Frame::of(&row))?.as_bool() == Some(false) {
            let (name, relation) = (&check.name, &table.name);
            let message = format!(
                "check constraint \"{name}\" of relation \"{relation}\" is violated by some row"
            );
            return Err(PgError::new("23514", message).table(relation).constraint(name).into());
        }
    }
    Ok(())
}

pub fn validate(cx: &mut Cx<'_>, table: &Table, changed: &mut Table, name: &str) -> Step<()> {
    if let Some(check) = table.checks.iter().find(|check| *check.name == *name) {
        return fits(cx, table, check);
    }
    if let Some(key) = changed.foreign_keys.iter_mut().find(|key| *key.name == *name) {
        if std::mem::replace(&mut key.validated, true) {
            return Ok(());
        }
        return foreign::validate(cx, table, key);
    }
    let relation = &table.name;
    let message = format!("constraint \"{name}\" of relation \"{relation}\" does not exist");
    Err(PgError::new("42704", message).into())
}
