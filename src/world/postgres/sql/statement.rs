//! INSERT, UPDATE, DELETE and queries: from the syntax tree to a plan. Must never read a row.

use std::sync::Arc;

use sqlparser::ast::{self, CreatePolicyCommand as Command, Spanned as _, Statement};

use super::analyze::{Analyzer, Typed};
use super::from::{add_table, place, table_columns};
use super::names::{ident, object_name};
use super::plan::{
    Body, Conflict, Cte, Delete, Expr, From, Insert, JoinKind, OutColumn, Plan, Query, Relation,
    Select, Target, Update,
};
use super::query::{plain_query, split};
use super::scope::Scope;
use super::security::{command_privilege, filter_scan, reads, table_scope};
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::storage::Db;
use crate::world::postgres::storage::catalog::{Column, Table};
use crate::world::postgres::storage::heap::Strength;
use crate::world::postgres::storage::locks::{Mode, Oid, Pid};
use crate::world::postgres::storage::roles::Privileges;
use crate::world::postgres::types::Ty;

/// A plan, the types of its parameters, and how many places its run needs for WITH queries and
/// cached subqueries.
#[derive(Debug)]
pub struct Planned {
    pub plan: Plan,
    pub params: Vec<Ty>,
    pub slots: usize,
    pub caches: usize,
    /// The tables to lock before it runs, and how.
    pub tables: Vec<(Oid, Mode)>,
    /// Of the catalogue it was made for.
    pub version: u64,
}

/// Plans a statement that reads or writes rows.
pub fn plan_statement(
    db: &Db,
    pid: Pid,
    text: &str,
    statement: &Statement,
    params: &[Ty],
) -> Result<Planned> {
    let analyzer = Analyzer::new(db, pid, text, params);
    let plan = analyzer.statement(statement)?;
    let params = analyzer.params.into_inner();
    for (at, place) in analyzer.open.into_inner() {
        if params[at] != Ty::UNKNOWN {
            let message = format!("could not determine data type of parameter ${}", at + 1);
            return Err(PgError::new("42P08", message).at(place));
        }
    }
    if let Some(at) = params.iter().position(|ty| *ty == Ty::UNKNOWN) {
        let message = format!("could not determine data type of parameter ${}", at + 1);
        return Err(PgError::new("42P18", message));
    }
    let (slots, caches) = (analyzer.slots.get(), analyzer.caches.get());
    let tables = analyzer.tables.into_inner();
    Ok(Planned { plan, params, slots, caches, tables, version: db.catalog.version })
}

type Returning = Option<(Vec<Expr>, Vec<OutColumn>)>;

impl Analyzer<'_> {
    pub fn statement(&self, statement: &Statement) -> Result<Plan> {
        match statement {
            Statement::Query(query) => match &*query.body {
                ast::SetExpr::Insert(inner)
                | ast::SetExpr::Update(inner)
                | ast::SetExpr::Delete(inner) => {
                    let ctes = match &query.with {
                        Some(with) => self.with(with, None)?,
                        None => Vec::new(),
                    };
                    let mut plan = self.statement(inner)?;
                    match &mut plan {
                        Plan::Query(_) => {}
                        Plan::Insert(insert) => prepend(ctes, &mut insert.ctes),
                        Plan::Update(update) => prepend(ctes, &mut update.ctes),
                        Plan::Delete(delete) => prepend(ctes, &mut delete.ctes),
                    }
                    Ok(plan)
                }
                _ => Ok(Plan::Query(Arc::new(self.query_within(query, None)?.0))),
            },
            Statement::Insert(insert) => Ok(Plan::Insert(Box::new(self.insert(insert)?))),
            Statement::Update(update) => Ok(Plan::Update(Box::new(self.update(update)?))),
            Statement::Delete(delete) => Ok(Plan::Delete(Box::new(self.delete(delete)?))),
            other => {
                let text = other.to_string();
                let word = text.split_whitespace().next().unwrap_or("this statement").to_owned();
                Err(PgError::unsupported(word))
            }
        }
    }

    fn insert(&self, insert: &ast::Insert) -> Result<Insert> {
        let ast::TableObject::TableName(name) = &insert.table else {
            return Err(PgError::unsupported("INSERT into anything but a table"));
        };
        let table = self.target(name)?;
        self.guard(&table, Privileges::INSERT)?;
        let columns = self.insert_columns(&insert.columns, &table)?;
        let source = match &insert.source {
            Some(query) => self.insert_source(query, &columns, &table)?,
            None => plain_query(Body::Values(vec![Vec::new()]), Vec::new()),
        };
        let given = source.columns.len();
        if given > columns.len() {
            return Err(PgError::new("42601", "INSERT has more expressions than target columns"));
        }
        if given < columns.len() && !insert.columns.is_empty() {
            let message = "INSERT has more target columns than expressions";
            let place = self.position(insert.columns[given].span());
            return Err(PgError::new("42601", message).at(place));
        }
        let mut values = Vec::with_capacity(table.columns.len());
        for (at, column) in table.columns.iter().enumerate() {
            let from = columns[..given].iter().position(|target| *target == at);
            values.push(match from {
                Some(index) => {
                    let typed =
                        Typed::new(Expr::Column { depth: 0, index }, source.columns[index].ty);
                    self.assign(typed, column.ty, column.typmod, &column.name)?
                }
                None => default_of(column),
            });
        }
        let alias = insert.table_alias.as_ref().map(|alias| ident(&alias.alias));
        let alias = alias.unwrap_or_else(|| table.name.to_string());
        let conflict = match &insert.on {
            None => None,
            Some(ast::OnInsert::OnConflict(on)) => Some(self.conflict(on, &table, &alias)?),
            Some(_) => return Err(PgError::unsupported("ON DUPLICATE KEY")),
        };
        let mut scope = Scope::default();
        add_table(table.clone(), &alias, table_columns(&table), &mut scope, &mut Vec::new());
        let returning = self.returning(insert.returning.as_deref(), &scope)?;
        let mut checks = self.row_checks(&table, Command::Insert, false)?;
        let reads = returning.is_some()
            || conflict.as_ref().is_some_and(|c| c.update.is_some() || !c.arbiters.is_empty());
        if reads {
            self.guard(&table, Privileges::SELECT)?;
            checks.extend(self.row_checks(&table, Command::Select, false)?);
        }
        Ok(Insert {
            checks,
            ctes: Vec::new(),
            table,
            source: Arc::new(source),
            values,
            conflict,
            returning,
        })
    }

    /// The table that a statement writes.
    fn target(&self, name: &ast::ObjectName) -> Result<Arc<Table>> {
        let span = name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.span);
        let found = self.db.table(&object_name(name)?, self.pid);
        let table = found.map_err(|error| error.at(span.and_then(|span| self.position(span))))?;
        self.uses(table.oid, Mode::RowExclusive);
        Ok(table)
    }

    /// Privileges on the rows that an UPDATE or DELETE finds, and the policies that hide some.
    fn guard_target(
        &self,
        table: &Table,
        command: Command,
        reads_row: bool,
        source: &mut Select,
    ) -> Result<()> {
        self.guard(table, command_privilege(command))?;
        let alias = source.relations[0].alias.clone();
        let mut filter = self.row_filter(table, &alias, 0, command)?;
        if reads_row {
            self.guard(table, Privileges::SELECT)?;
            filter.extend(self.row_filter(table, &alias, 0, Command::Select)?);
        }
        filter_scan(&mut source.from, 0, &filter);
        source.quals.splice(0..0, filter);
        Ok(())
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

    /// The rows to insert; literals and parameters take the types of the columns.
    fn insert_source(&self, query: &ast::Query, columns: &[usize], table: &Table) -> Result<Query> {
        let ast::SetExpr::Values(values) = &*query.body else {
            let mut source = self.query_within(query, None)?.0;
            let wanted: Vec<Ty> = columns.iter().map(|at| table.columns[*at].ty).collect();
            self.retype(&mut source, &wanted)?;
            return Ok(source);
        };
        if query.with.is_some() || query.order_by.is_some() || query.limit_clause.is_some() {
            return Ok(self.query_within(query, None)?.0);
        }
        let scope = Scope::default();
        let mut rows = Vec::with_capacity(values.rows.len());
        let width = values.rows.first().map_or(0, |row| row.content.len());
        for row in &values.rows {
            if row.content.len() != width {
                let place = row.content.first().and_then(|first| self.position(first.span()));
                let message = "VALUES lists must all be the same length";
                return Err(PgError::new("42601", message).at(place));
            }
            let mut exprs = Vec::with_capacity(width);
            for (at, parsed) in row.content.iter().enumerate() {
                let Some(column) = columns.get(at).map(|at| &table.columns[*at]) else {
                    let message = "INSERT has more expressions than target columns";
                    return Err(PgError::new("42601", message).at(self.position(parsed.span())));
                };
                if is_default(parsed) {
                    exprs.push(default_of(column));
                    continue;
                }
                if column.always {
                    let name = &column.name;
                    let message =
                        format!("cannot insert a non-DEFAULT value into column \"{name}\"");
                    return Err(PgError::new("428C9", message)
                        .detail(format!(
                            "Column \"{name}\" is an identity column defined as GENERATED ALWAYS."
                        ))
                        .hint("Use OVERRIDING SYSTEM VALUE to override."));
                }
                let typed = self.expr(parsed, &scope)?;
                exprs.push(self.assign(typed, column.ty, column.typmod, &column.name)?);
            }
            rows.push(exprs);
        }
        let out = |at: &usize| {
            let column = &table.columns[*at];
            let (name, ty, typmod) = (column.name.clone(), column.ty, column.typmod);
            OutColumn { name, ty, typmod, origin: None }
        };
        let columns = columns.iter().take(width).map(out).collect();
        Ok(plain_query(Body::Values(rows), columns))
    }

    fn conflict(&self, on: &ast::OnConflict, table: &Arc<Table>, alias: &str) -> Result<Conflict> {
        let arbiters = match &on.conflict_target {
            None => Vec::new(),
            Some(ast::ConflictTarget::Columns(names)) => self.arbiters(names, table)?,
            Some(ast::ConflictTarget::OnConstraint(name)) => {
                let name = object_name(name)?;
                let wanted = |index: &crate::world::postgres::storage::catalog::Index| {
                    !index.dropped && index.unique && *index.name == *name
                };
                let found = table.indexes.iter().position(wanted).ok_or_else(|| {
                    let table = &table.name;
                    let message =
                        format!("constraint \"{name}\" for table \"{table}\" does not exist");
                    PgError::new("42704", message)
                })?;
                vec![found]
            }
        };
        let update = match &on.action {
            ast::OnConflictAction::DoNothing => None,
            ast::OnConflictAction::DoUpdate(update) => {
                if on.conflict_target.is_none() {
                    let message = "ON CONFLICT DO UPDATE requires inference specification or \
                                   constraint name";
                    return Err(PgError::new("42601", message));
                }
                let mut scope = Scope::default();
                let relations = &mut Vec::new();
                add_table(table.clone(), alias, table_columns(table), &mut scope, relations);
                add_table(table.clone(), "excluded", table_columns(table), &mut scope, relations);
                scope.relations[1].qualified_only = true;
                let targets = self.targets(&update.assignments, table, &scope)?;
                let condition = match &update.selection {
                    Some(selection) => {
                        Some(self.condition(self.expr(selection, &scope)?, "WHERE")?)
                    }
                    None => None,
                };
                self.guard(table, Privileges::UPDATE)?;
                Some((targets, condition))
            }
        };
        let mut checks = Vec::new();
        if update.is_some() {
            for command in [Command::Update, Command::Select] {
                checks.extend(self.row_checks(table, command, true)?);
                checks.extend(self.row_checks(table, command, false)?);
            }
        }
        Ok(Conflict { arbiters, update, checks })
    }

    fn targets(
        &self,
        assignments: &[ast::Assignment],
        table: &Table,
        scope: &Scope<'_>,
    ) -> Result<Vec<Target>> {
        let mut targets: Vec<Target> = Vec::with_capacity(assignments.len());
        for assignment in assignments {
            let pairs: Vec<(&ast::ObjectName, &ast::Expr)> = match &assignment.target {
                ast::AssignmentTarget::ColumnName(name) => vec![(name, &assignment.value)],
                ast::AssignmentTarget::Tuple(names) => match &assignment.value {
                    ast::Expr::Tuple(values) if values.len() == names.len() => {
                        names.iter().zip(values).collect()
                    }
                    _ => return Err(PgError::unsupported("a row as the source of an UPDATE item")),
                },
            };
            for (name, value) in pairs {
                let text = object_name(name)?;
                let at = table.column(&text).ok_or_else(|| {
                    let span = name.0.last().and_then(|part| part.as_ident()).map(|i| i.span);
                    let message =
                        format!("column \"{text}\" of relation \"{}\" does not exist", table.name);
                    PgError::new("42703", message).at(span.and_then(|span| self.position(span)))
                })?;
                if targets.iter().any(|target| target.column == at) {
                    let message = format!("multiple assignments to same column \"{text}\"");
                    return Err(PgError::new("42601", message));
                }
                let column = &table.columns[at];
                let value = if is_default(value) {
                    default_of(column)
                } else {
                    self.assign(self.expr(value, scope)?, column.ty, column.typmod, &column.name)?
                };
                targets.push(Target { column: at, value });
            }
        }
        Ok(targets)
    }

    fn update(&self, update: &ast::Update) -> Result<Update> {
        let ast::TableFactor::Table { name, alias, .. } = &update.table.relation else {
            return Err(PgError::unsupported("UPDATE of anything but a table"));
        };
        let from = match &update.from {
            None => &[][..],
            Some(
                ast::UpdateTableFromKind::AfterSet(from)
                | ast::UpdateTableFromKind::BeforeSet(from),
            ) => from,
        };
        let mut scope = Scope::default();
        let (table, source) =
            self.target_source(name, alias.as_ref(), from, update.selection.as_ref(), &mut scope)?;
        let targets = self.targets(&update.assignments, &table, &scope)?;
        let returning = self.returning(update.returning.as_deref(), &scope)?;
        let keys = table.key_columns();
        let touches_key = targets.iter().any(|target| keys.contains(&target.column));
        let strength = if touches_key { Strength::Update } else { Strength::NoKeyUpdate };
        let width = table.columns.len();
        let reads_row = update.selection.is_some() && source.quals.iter().any(|q| reads(q, width))
            || returning.is_some()
            || targets.iter().any(|target| reads(&target.value, width));
        let mut source = source;
        self.guard_target(&table, Command::Update, reads_row, &mut source)?;
        let mut checks = self.row_checks(&table, Command::Update, false)?;
        if reads_row {
            checks.extend(self.row_checks(&table, Command::Select, false)?);
        }
        Ok(Update { ctes: Vec::new(), table, source, targets, checks, returning, strength })
    }

    fn delete(&self, delete: &ast::Delete) -> Result<Delete> {
        let tables = match &delete.from {
            ast::FromTable::WithFromKeyword(tables) | ast::FromTable::WithoutKeyword(tables) => {
                tables
            }
        };
        let [ast::TableWithJoins { relation: ast::TableFactor::Table { name, alias, .. }, joins }] =
            tables.as_slice()
        else {
            return Err(PgError::unsupported("DELETE from anything but a table"));
        };
        if !joins.is_empty() {
            return Err(PgError::unsupported("DELETE from a join"));
        }
        let using = delete.using.as_deref().unwrap_or_default();
        let mut scope = Scope::default();
        let (table, source) =
            self.target_source(name, alias.as_ref(), using, delete.selection.as_ref(), &mut scope)?;
        let returning = self.returning(delete.returning.as_deref(), &scope)?;
        let width = table.columns.len();
        let reads_row = returning.is_some() || source.quals.iter().any(|q| reads(q, width));
        let mut source = source;
        self.guard_target(&table, Command::Delete, reads_row, &mut source)?;
        Ok(Delete { ctes: Vec::new(), table, source, returning })
    }

    /// The rows an UPDATE or DELETE touches: relation 0 is the table.
    fn target_source(
        &self,
        name: &ast::ObjectName,
        alias: Option<&ast::TableAlias>,
        others: &[ast::TableWithJoins],
        selection: Option<&ast::Expr>,
        scope: &mut Scope<'_>,
    ) -> Result<(Arc<Table>, Select)> {
        let text = object_name(name)?;
        let table = self.target(name)?;
        let alias = alias.map_or_else(|| text.clone(), |alias| ident(&alias.name));
        let mut relations: Vec<Relation> = Vec::new();
        let mut quals = Vec::new();
        let own = add_table(table.clone(), &alias, table_columns(&table), scope, &mut relations);
        let from = match self.from(others, scope, &mut relations, &mut quals)? {
            From::Nothing => own,
            right => From::Join {
                kind: JoinKind::Inner,
                left: Box::new(own),
                right: Box::new(right),
                on: Vec::new(),
                filter: Vec::new(),
            },
        };
        if let Some(selection) = selection {
            split(self.condition(self.expr(selection, scope)?, "WHERE")?, &mut quals);
        }
        let from = place(from, &relations, &quals);
        let width = relations.iter().map(|relation| relation.offset + relation.width).max();
        let width = width.unwrap_or(0);
        let source = Select {
            relations,
            width,
            from,
            quals,
            grouped: false,
            keys: Vec::new(),
            aggregates: Vec::new(),
            having: None,
            project: Vec::new(),
            distinct: false,
            distinct_on: Vec::new(),
            expand: None,
        };
        Ok((table, source))
    }

    fn returning(&self, items: Option<&[ast::SelectItem]>, scope: &Scope<'_>) -> Result<Returning> {
        let Some(items) = items else { return Ok(None) };
        let mut expand = None;
        let returning = self.projection(items, scope, &mut expand)?;
        if expand.is_some() {
            return Err(PgError::new(
                "0A000",
                "set-returning functions are not allowed in RETURNING",
            ));
        }
        Ok(Some(returning))
    }

    /// An expression over one table's row, for checks, index predicates and policies.
    pub fn table_expr(&self, parsed: &ast::Expr, table: &Table) -> Result<Typed> {
        self.expr(parsed, &table_scope(table, &table.name, 0))
    }
}

fn prepend(mut ctes: Vec<Cte>, to: &mut Vec<Cte>) {
    ctes.append(to);
    *to = ctes;
}

fn default_of(column: &Column) -> Expr {
    column.default.as_ref().map_or(Expr::NULL, |default| (**default).clone())
}

fn is_default(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::Identifier(name) if name.quote_style.is_none()
        && name.value.eq_ignore_ascii_case("default"))
}
