//! INSERT: from the syntax tree to a plan. Must never read a row.

use std::sync::Arc;

use sqlparser::ast::{self, CreatePolicyCommand as Command, Spanned as _};

use super::analyze::{Analyzer, Typed};
use super::from::{add_table, table_columns};
use super::names::{ident, object_name};
use super::parse::{OVER_SYSTEM, OVER_USER};
use super::plan::{Body, Conflict, Expr, Insert, OutColumn, Query, Select};
use super::scope::Scope;
use super::sink::sink;
use super::statement::{gives_columns, is_default, writable};
use super::volatility::is_volatile;
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::exec::is_constant;
use crate::world::postgres::storage::catalog::{Column, Identity, Table};
use crate::world::postgres::storage::roles::Privileges;
use crate::world::postgres::types::{Datum, Ty};

/// OVERRIDING: whose values identity columns take.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    /// Those that are given.
    System,
    /// Those of the sequence.
    User,
}

/// The columns that are named, without the mark of OVERRIDING.
fn overriding(names: &[ast::ObjectName]) -> (&[ast::ObjectName], Option<Over>) {
    let Some((last, rest)) = names.split_last() else { return (names, None) };
    match object_name(last).as_deref() {
        Ok(OVER_SYSTEM) => (rest, Some(Over::System)),
        Ok(OVER_USER) => (rest, Some(Over::User)),
        _ => (names, None),
    }
}

/// Whether a value that is given for the column counts.
fn counts(column: &Column, over: Option<Over>) -> bool {
    over != Some(Over::User) || column.identity.is_none()
}

/// 428C9 if no value may be given for the column.
fn takes(column: &Column, over: Option<Over>) -> Result<()> {
    if over.is_some() && column.identity.is_some() {
        return Ok(());
    }
    let name = &column.name;
    writable(column, &format!("cannot insert a non-DEFAULT value into column \"{name}\"")).map_err(
        |error| match column.identity {
            Some(Identity::Always) => error.hint("Use OVERRIDING SYSTEM VALUE to override."),
            _ => error,
        },
    )
}

/// One row of VALUES is worked out column by column of the table, defaults among them.
fn in_place(source: &mut Query, literals: &[bool], values: &mut [Expr]) {
    let plain = source.ctes.is_empty()
        && source.sort.is_empty()
        && source.limit.is_none()
        && source.offset.is_none()
        && source.output.is_none();
    let row = match &mut source.body {
        Body::Values(rows) if plain && rows.len() == 1 => &mut rows[0],
        Body::Select(select) if plain && source.locks.is_empty() => {
            return constants_in_place(select, values, |_| true);
        }
        Body::Select(select) if source.sort.is_empty() => {
            return constants_in_place(select, values, |at| literals.get(at) == Some(&true));
        }
        _ => return,
    };
    for value in values {
        let place = within_cast(value);
        if let Expr::Column { depth: 0, index } = place
            && let Some(given) = row.get_mut(*index)
        {
            *place = std::mem::replace(given, Expr::NULL);
        }
    }
    row.clear();
    source.columns.clear();
}

/// What is constant in a plain query is worked out, and converted, before it is run; so are
/// literals of any query.
fn constants_in_place(select: &mut Select, values: &mut [Expr], moves: impl Fn(usize) -> bool) {
    if select.grouped || select.distinct || select.expand.is_some() {
        return;
    }
    for place in values.iter_mut().map(within_cast) {
        if let Expr::Column { depth: 0, index } = place
            && moves(*index)
            && let Some(given) = select.project.get_mut(*index)
            && is_constant(given)
            && !is_volatile(given)
        {
            *place = std::mem::replace(given, Expr::NULL);
        }
    }
}

fn within_cast(value: &mut Expr) -> &mut Expr {
    match value {
        Expr::Cast { expr, .. } => expr,
        other => other,
    }
}

impl Analyzer<'_> {
    pub fn insert(&self, insert: &ast::Insert) -> Result<Insert> {
        let ast::TableObject::TableName(name) = &insert.table else {
            return Err(PgError::unsupported("INSERT into anything but a table"));
        };
        let table = self.target(name)?;
        self.needs(&table, Privileges::INSERT);
        let (names, over) = overriding(&insert.columns);
        let columns = self.insert_columns(names, &table)?;
        let alias = insert.table_alias.as_ref().map(|alias| ident(&alias.alias));
        let alias = alias.unwrap_or_else(|| table.name.to_string());
        let mut scope = Scope::default();
        add_table(table.clone(), &alias, table_columns(&table), &mut scope, &mut Vec::new())?;
        let mut said = vec![false; table.columns.len()];
        let (mut source, literals) = match &insert.source {
            Some(query) => {
                self.insert_source(query, &columns, &table, (over, &mut said), &scope)?
            }
            None => (Query::plain(Body::Values(vec![Vec::new()]), Vec::new()), Vec::new()),
        };
        let given = source.columns.len();
        if given > columns.len() {
            return Err(PgError::new("42601", "INSERT has more expressions than target columns"));
        }
        if given < columns.len() && !names.is_empty() {
            let message = "INSERT has more target columns than expressions";
            let place = self.position(names[given].span());
            return Err(PgError::new("42601", message).at(place));
        }
        let mut values = self.insert_values(
            &source,
            &columns[..given],
            &table,
            (over, &mut said),
            insert.source.as_ref().map(|query| &*query.body),
        )?;
        self.refuse_said(&table, &said, over);
        in_place(&mut source, &literals, &mut values);
        let (conflict, there) = match &insert.on {
            None => (None, Ok(())),
            Some(ast::OnInsert::OnConflict(on)) => {
                let (conflict, there) = self.conflict(on, &table, &alias)?;
                (Some(conflict), there)
            }
            Some(_) => return Err(PgError::unsupported("ON DUPLICATE KEY")),
        };
        let returning = self.returning(insert.returning.as_deref(), &scope)?;
        if self.refused.borrow().is_none() {
            there?;
        }
        let mut checks = self.row_checks(&table, Command::Insert, false)?;
        let reads = gives_columns(returning.as_ref(), table.columns.len())
            || conflict.as_ref().is_some_and(|c| c.update.is_some() || !c.arbiters.is_empty());
        if reads {
            self.needs(&table, Privileges::SELECT);
            checks.extend(self.row_checks(&table, Command::Select, false)?);
        }
        let updated: Vec<usize> = conflict.iter().flat_map(Conflict::targets).collect();
        Ok(Insert {
            checks,
            ctes: Vec::new(),
            table,
            source: Arc::new(source),
            values,
            named: columns[..given].iter().chain(&updated).copied().collect(),
            conflict,
            returning,
        })
    }

    fn refuse_said(&self, table: &Table, said: &[bool], over: Option<Over>) {
        for (column, _) in table.columns.iter().zip(said).filter(|(_, said)| **said) {
            self.refuse(takes(column, over));
        }
    }

    /// The row to insert, over a row of the source. Notes the columns that are given a value, as
    /// does what follows.
    fn insert_values(
        &self,
        source: &Query,
        columns: &[usize],
        table: &Table,
        (over, said): (Option<Over>, &mut [bool]),
        items: Option<&ast::SetExpr>,
    ) -> Result<Vec<Expr>> {
        // What VALUES gives has been looked at, with what stands there for defaults.
        let literal = matches!(source.body, Body::Values(_));
        let mut values = vec![None; table.columns.len()];
        for (index, at) in columns.iter().enumerate() {
            let column = &table.columns[*at];
            let typed = Typed::new(Expr::Column { depth: 0, index }, source.columns[index].ty);
            let place = items.and_then(|body| self.item(body, index));
            let typed = Typed { place, ..typed };
            let value = self.assign(typed, column.ty, column.typmod, &column.name)?;
            said[*at] |= !literal;
            if literal || counts(column, over) {
                values[*at] = Some(value);
            }
        }
        let all = values.into_iter().zip(&table.columns);
        all.map(|(value, column)| value.map_or_else(|| self.default_of(column), Ok)).collect()
    }

    fn insert_columns(&self, names: &[ast::ObjectName], table: &Table) -> Result<Vec<usize>> {
        if names.is_empty() {
            let live = table.columns.iter().enumerate().filter(|(_, column)| !column.dropped);
            return Ok(live.map(|(at, _)| at).collect());
        }
        let mut columns = Vec::with_capacity(names.len());
        for parsed in names {
            let name = object_name(parsed)?;
            let at = table.column(&name).ok_or_else(|| {
                let span = parsed.0.last().and_then(|part| part.as_ident()).map(|i| i.span);
                let table = &table.name;
                let message = format!("column \"{name}\" of relation \"{table}\" does not exist");
                PgError::new("42703", message).at(span.and_then(|span| self.position(span)))
            })?;
            if columns.contains(&at) {
                let message = format!("column \"{name}\" specified more than once");
                let place = self.position(parsed.span());
                return Err(PgError::new("42701", message).at(place));
            }
            columns.push(at);
        }
        Ok(columns)
    }

    /// A query that gives the rows to insert: one within the statement.
    fn source_query(&self, query: &ast::Query, target: &Scope<'_>) -> Result<Query> {
        self.depth.set(self.depth.get() + 1);
        self.resolves.set(false);
        let source = self.query_beside(query, target);
        self.resolves.set(true);
        let mut source = source?.0;
        sink(&mut source);
        self.depth.set(self.depth.get() - 1);
        Ok(source)
    }

    /// The rows to insert, and which columns of a query are literals: they and parameters take the
    /// types of the columns.
    fn insert_source(
        &self,
        query: &ast::Query,
        columns: &[usize],
        table: &Table,
        (over, said): (Option<Over>, &mut [bool]),
        target: &Scope<'_>,
    ) -> Result<(Query, Vec<bool>)> {
        let ast::SetExpr::Values(values) = &*query.body else {
            let mut source = self.source_query(query, target)?;
            let literal = |expr: &Expr| matches!(expr, Expr::Const(Datum::Text(_)));
            let literals = match &source.body {
                Body::Select(select) if !source.sort_output => {
                    select.project.iter().map(literal).collect()
                }
                _ => Vec::new(),
            };
            let wanted: Vec<Ty> = columns.iter().map(|at| table.columns[*at].ty).collect();
            self.retype(&mut source, &wanted, &query.body)?;
            return Ok((source, literals));
        };
        if query.with.is_some() || query.order_by.is_some() || query.limit_clause.is_some() {
            return Ok((self.source_query(query, target)?, Vec::new()));
        }
        let scope = target.beside();
        let mut rows = Vec::with_capacity(values.rows.len());
        let width = values.rows.first().map_or(0, |row| row.content.len());
        let given = |parsed: &ast::Expr| {
            if is_default(parsed) {
                return Ok(None);
            }
            self.expr_in("VALUES", parsed, &scope).map(Some)
        };
        for row in &values.rows {
            let all: Vec<Option<Typed>> = row.content.iter().map(given).collect::<Result<_>>()?;
            if all.len() != width {
                let place = row.content.first().and_then(|first| self.position(first.span()));
                let message = "VALUES lists must all be the same length";
                return Err(PgError::new("42601", message).at(place));
            }
            if let Some(more) = row.content.get(columns.len()) {
                let message = "INSERT has more expressions than target columns";
                return Err(PgError::new("42601", message).at(self.position(more.span())));
            }
            let mut exprs = Vec::with_capacity(width);
            for (at, typed) in columns.iter().zip(all) {
                let column = &table.columns[*at];
                let value = match typed {
                    Some(typed) => {
                        said[*at] = true;
                        Some(self.assign(typed, column.ty, column.typmod, &column.name)?)
                    }
                    None => None,
                };
                let value = value.filter(|_| counts(column, over));
                exprs.push(value.map_or_else(|| self.default_of(column), Ok)?);
            }
            rows.push(exprs);
        }
        let out = |at: &usize| {
            let column = &table.columns[*at];
            let (name, ty, typmod) = (column.name.clone(), column.ty, column.typmod);
            OutColumn { name, ty, typmod, origin: None }
        };
        let columns = columns.iter().take(width).map(out).collect();
        Ok((Query::plain(Body::Values(rows), columns), Vec::new()))
    }
}
