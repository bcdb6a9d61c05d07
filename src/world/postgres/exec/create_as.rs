//! CREATE TABLE AS. Must never create the table before its query is through, for a wait begins the
//! statement anew.

use std::sync::Arc;

use sqlparser::ast::{self, Statement};

use super::constraint::check_unique;
use super::modify::put_version;
use super::{Cx, PlanRun, constants, ddl, modifiers, roles};
use crate::world::postgres::error::{PgError, Step};
use crate::world::postgres::sql::plan_statement;
use crate::world::postgres::types::{Base, Row};

/// How many rows the table begins with; `None` if there was such a table.
pub fn create_as(
    cx: &mut Cx<'_>,
    create: &ast::CreateTable,
    query: &ast::Query,
) -> Step<Option<usize>> {
    let statement = Statement::Query(Box::new(query.clone()));
    let planned = plan_statement(cx.db, cx.pid, &cx.state.text.clone(), &statement, &[]);
    let planned = cx.db.analysed(cx.pid, planned.map(Arc::new))?;
    if !planned.params.is_empty() {
        return Err(PgError::unsupported("a parameter in CREATE TABLE AS").into());
    }
    if planned.plan.writes() {
        return Err(PgError::unsupported("CREATE TABLE AS of a query that writes").into());
    }
    let Some(mut table) = ddl::fresh_table(cx, create)? else { return Ok(None) };
    if planned.constants {
        constants::check(&planned.plan, cx, true)?;
    }
    planned.allowed()?;
    cx.state.denied.take().map_or(Ok(()), Err)?;
    roles::require_create(cx)?;
    let columns = modifiers::columns(&planned.plan, cx, true)?;
    for column in columns.iter().flat_map(|columns| columns.iter()) {
        let name = &column.name;
        if column.ty.base == Base::Record {
            let message = format!("column \"{name}\" has pseudo-type record");
            return Err(PgError::new("42P16", message).into());
        }
        if table.column(name).is_some() {
            let message = format!("column \"{name}\" specified more than once");
            return Err(PgError::new("42701", message).into());
        }
        table.columns.push(ddl::plain_column(name, column.ty, column.typmod));
    }
    cx.state.own.tables.extend(planned.tables.iter().map(|(oid, _)| *oid));
    cx.state.caches = vec![None; planned.caches];
    let mut run = PlanRun::new(&planned.plan);
    let mut rows: Vec<Row> = Vec::new();
    while let Some(row) = run.next(cx, None)? {
        rows.push(row);
    }
    let table = Arc::new(table);
    ddl::put_table(cx, (*table).clone())?;
    let count = rows.len();
    for row in rows {
        let tid = put_version(cx, &table, row, false, Vec::new())?;
        check_unique(cx, &table, tid, &mut 0)?;
    }
    cx.db.txn_mut(cx.pid).cid += 1;
    Ok(Some(count))
}
