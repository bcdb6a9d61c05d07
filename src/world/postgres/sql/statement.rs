//! INSERT, UPDATE, DELETE and queries: from the syntax tree to a plan. Must never read a row.

use std::sync::Arc;

use sqlparser::ast::{self, CreatePolicyCommand as Command, Spanned as _, Statement};

use super::analyze::{Analyzer, Typed, check_times};
use super::conflict::arbiter;
use super::from::{add_table, table_columns};
use super::names::{ident, object_name};
use super::placing::place;
use super::plan::{
    Conflict, Delete, Expr, From, JoinKind, OutColumn, Plan, Relation, Select, Target, Update,
};
use super::routine::Names;
use super::scope::Scope;
use super::security::{command_privilege, filter_scan, reads, table_scope};
use super::unread::leave_out_unread;
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::exec::{has_constants, has_modifiers};
use crate::world::postgres::storage::Db;
use crate::world::postgres::storage::catalog::{Column, Identity, Table};
use crate::world::postgres::storage::heap::Strength;
use crate::world::postgres::storage::locks::{Mode, Oid, Pid};
use crate::world::postgres::storage::roles::Privileges;
use crate::world::postgres::types::{Base, Ty};

/// A plan, the types of its parameters, and how many places its run needs for cached subqueries.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is known of it apart from the others")]
pub struct Planned {
    pub plan: Arc<Plan>,
    /// What it gives back; `None` for no rows at all.
    pub columns: Option<Arc<[OutColumn]>>,
    pub params: Arc<[Ty]>,
    pub caches: usize,
    /// The tables to lock before it runs, and how.
    pub tables: Arc<[(Oid, Mode)]>,
    /// The definitions it was made by.
    pub definitions: Arc<[Arc<Table>]>,
    /// Of the catalogue it was made for.
    pub version: u64,
    /// Whose privileges and policies it has; superusers are all alike.
    pub role: Option<Arc<str>>,
    /// Its tables and functions are there for everybody.
    pub settled: bool,
    /// It calls functions of one's own.
    pub calls: bool,
    /// It has expressions of constants that may fail, or queries that its role may not read.
    pub constants: bool,
    /// Planning may find modifiers of its columns' types.
    pub modifiers: bool,
    /// What its role may not do.
    pub denied: Option<PgError>,
}

impl Planned {
    /// 42501 unless its role may run it.
    pub fn allowed(&self) -> Result<()> {
        self.denied.clone().map_or(Ok(()), Err)
    }
}

/// A statement that could not be planned, and the tables that it had named by then: whoever is
/// changing one of them may yet make it right.
#[derive(Debug)]
pub struct Unplanned {
    pub error: PgError,
    pub tables: Vec<(Oid, Mode)>,
}

/// Plans a statement that reads or writes rows.
pub fn plan_statement(
    db: &Db,
    pid: Pid,
    text: &str,
    statement: &Statement,
    params: &[Ty],
) -> Result<Planned, Unplanned> {
    plan_named(db, pid, text, statement, params, None, true)
}

/// As [`plan_statement`], where names may stand for parameters. `inlines`: functions that are one
/// expression are put in the place of their calls.
pub fn plan_named<'a>(
    db: &'a Db,
    pid: Pid,
    text: &'a str,
    statement: &Statement,
    params: &[Ty],
    names: Option<Names<'a>>,
    inlines: bool,
) -> Result<Planned, Unplanned> {
    let mut analyzer = Analyzer::new(db, pid, text, params);
    analyzer.names = names;
    analyzer.inlines = inlines.into();
    analyzer.most = names.map_or(65_535, |names| names.routine.args.len());
    let planned = analyzer.statement(statement).and_then(|plan| finished(&analyzer, plan));
    planned.map_err(|error| Unplanned { error, tables: analyzer.tables.take() })
}

/// The plan with what its run needs.
fn finished(analyzer: &Analyzer<'_>, mut plan: Plan) -> Result<Planned> {
    let (db, pid) = (analyzer.db, analyzer.pid);
    leave_out_unread(&mut plan);
    let params = analyzer.params.take();
    for (at, place) in analyzer.open.take() {
        if params[at] != Ty::UNKNOWN {
            let message = format!("could not determine data type of parameter ${}", at + 1);
            return Err(PgError::new("42P08", message).at(place));
        }
    }
    if let Some(at) = params.iter().position(|ty| *ty == Ty::UNKNOWN) {
        let message = format!("could not determine data type of parameter ${}", at + 1);
        return Err(PgError::new("42P18", message));
    }
    if let Some(refused) = analyzer.refused.take() {
        return Err(refused);
    }
    let columns: Option<Arc<[OutColumn]>> = plan.columns().map(Into::into);
    for ty in params.iter().copied().chain(columns.iter().flat_map(|of| of.iter().map(|c| c.ty))) {
        check_times(db, pid, ty)?;
    }
    if columns.iter().flat_map(|of| of.iter()).any(|column| column.ty.base == Base::Regclass) {
        return Err(PgError::unsupported("regclass in a result, without a cast,"));
    }
    analyzer.check_indexes(&plan)?;
    let caches = analyzer.caches.get();
    let calls = analyzer.calls.get();
    let definitions: Arc<[Arc<Table>]> = analyzer.definitions.take().into();
    Ok(Planned {
        columns,
        constants: has_constants(&plan) || analyzer.barred.get(),
        modifiers: has_modifiers(&plan),
        plan: Arc::new(plan),
        params: params.into(),
        caches,
        tables: analyzer.tables.take().into(),
        settled: !db.catalog.is_open(),
        calls,
        denied: analyzer.denied.take().into_iter().next(),
        definitions,
        version: db.catalog.version,
        role: db.restricted(pid).map(Into::into),
    })
}

/// The column that an item of SET names; what follows it would be a field.
fn written_column(name: &ast::ObjectName) -> Result<String> {
    match name.0.first().and_then(|part| part.as_ident()) {
        Some(column) => Ok(ident(column)),
        None => object_name(name),
    }
}

pub type Returning = Option<(Vec<Expr>, Vec<OutColumn>)>;

impl Analyzer<'_> {
    pub fn statement(&self, statement: &Statement) -> Result<Plan> {
        match statement {
            Statement::Query(query) => match &*query.body {
                ast::SetExpr::Insert(inner)
                | ast::SetExpr::Update(inner)
                | ast::SetExpr::Delete(inner) => {
                    let ctes = match &query.with {
                        Some(with) => self.with(with, &Scope::default())?,
                        None => Vec::new(),
                    };
                    let read = self.reads.borrow().len();
                    let mut plan = self.statement(inner)?;
                    let wanted = self.wanted_of_with(ctes, read);
                    let ctes = match &mut plan {
                        Plan::Query(_) => return Ok(plan),
                        Plan::Insert(insert) => &mut insert.ctes,
                        Plan::Update(update) => &mut update.ctes,
                        Plan::Delete(delete) => &mut delete.ctes,
                    };
                    ctes.splice(0..0, wanted);
                    Ok(plan)
                }
                _ => {
                    let query = self.query_within(query, None)?.0;
                    if query.columns.iter().any(|column| column.ty == Ty::REGCLASS) {
                        return Err(PgError::unsupported("regclass in an output, but as a text,"));
                    }
                    Ok(Plan::Query(Arc::new(query)))
                }
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

    /// The table that a statement writes.
    pub fn target(&self, name: &ast::ObjectName) -> Result<Arc<Table>> {
        let table = self.named_table(name)?;
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
        self.needs(table, command_privilege(command));
        let alias = source.relations[0].alias.clone();
        let mut filter = self.row_filter(table, &alias, 0, command)?;
        if reads_row {
            self.needs(table, Privileges::SELECT);
            filter.extend(self.row_filter(table, &alias, 0, Command::Select)?);
        }
        filter_scan(&mut source.from, 0, &filter);
        source.quals.splice(0..0, filter);
        Ok(())
    }

    /// What ON CONFLICT says; of it as a whole, whether there are such indexes.
    pub fn conflict(
        &self,
        on: &ast::OnConflict,
        table: &Arc<Table>,
        alias: &str,
    ) -> Result<(Conflict, Result<()>)> {
        let arbiters = match &on.conflict_target {
            None => Ok(Vec::new()),
            Some(ast::ConflictTarget::Columns(names)) => self.arbiters(names, table, alias)?,
            Some(ast::ConflictTarget::OnConstraint(name)) => {
                Ok(vec![arbiter(&object_name(name)?, table)?])
            }
        };
        let (arbiters, there) = match arbiters {
            Ok(arbiters) => (arbiters, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        let update = match &on.action {
            ast::OnConflictAction::DoNothing => None,
            ast::OnConflictAction::DoUpdate(update) => {
                if on.conflict_target.is_none() {
                    let message = "ON CONFLICT DO UPDATE requires inference specification or \
                                   constraint name";
                    let hint = "For example, ON CONFLICT (column_name).";
                    let place = self.text.to_ascii_lowercase().find("on conflict");
                    let place = place.map(|at| self.text[..at].chars().count() + 1);
                    return Err(PgError::new("42601", message).hint(hint).at(place));
                }
                let mut scope = Scope::default();
                let relations = &mut Vec::new();
                add_table(table.clone(), alias, table_columns(table), &mut scope, relations)?;
                let columns = table_columns(table);
                add_table(table.clone(), "excluded", columns, &mut scope, relations)?;
                let targets = self.targets(&update.assignments, table, &scope)?;
                let condition = match &update.selection {
                    Some(selection) => {
                        let selection = self.expr_in("WHERE", selection, &scope)?;
                        Some(self.condition(selection, "WHERE")?)
                    }
                    None => None,
                };
                self.needs(table, Privileges::UPDATE);
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
        Ok((Conflict { arbiters, update, checks }, there))
    }

    fn targets(
        &self,
        assignments: &[ast::Assignment],
        table: &Table,
        scope: &Scope<'_>,
    ) -> Result<Vec<Target>> {
        let mut targets: Vec<Target> = Vec::with_capacity(assignments.len());
        let mut given = Vec::new();
        // All values are read before any name.
        let assigned = assignments.iter().map(|assignment| self.assigned(assignment, scope));
        for item in assigned.collect::<Result<Vec<_>>>()? {
            for (name, value) in item {
                let text = written_column(name)?;
                let at = table.column(&text).ok_or_else(|| {
                    let span = name.0.first().and_then(|part| part.as_ident()).map(|i| i.span);
                    let message =
                        format!("column \"{text}\" of relation \"{}\" does not exist", table.name);
                    PgError::new("42703", message).at(span.and_then(|span| self.position(span)))
                })?;
                if targets.iter().any(|target| target.column == at) {
                    let message = format!("multiple assignments to same column \"{text}\"");
                    return Err(PgError::new("42601", message));
                }
                if name.0.len() > 1 {
                    return Err(PgError::unsupported("a field of a column in SET"));
                }
                let column = &table.columns[at];
                let value = match value {
                    None => self.default_of(column)?,
                    Some(typed) => {
                        given.push(at);
                        self.assign(typed, column.ty, column.typmod, &column.name)?
                    }
                };
                targets.push(Target { column: at, value });
            }
        }
        given.sort_unstable();
        for column in given.into_iter().map(|at| &table.columns[at]) {
            let what = format!("column \"{}\" can only be updated to DEFAULT", column.name);
            self.refuse(writable(column, &what));
        }
        // They are worked out in the order of the table's columns.
        targets.sort_by_key(|target| target.column);
        Ok(targets)
    }

    /// An error that is told once the whole statement is analysed.
    pub fn refuse(&self, outcome: Result<()>) {
        if let Err(error) = outcome {
            self.refused.borrow_mut().get_or_insert(error);
        }
    }

    pub fn default_of(&self, column: &Column) -> Result<Expr> {
        match &column.default {
            Some(default) => self.as_planned(default),
            None => Ok(Expr::NULL),
        }
    }

    /// The columns that an item of SET names, each with its value; `None`: its default.
    fn assigned<'a>(
        &self,
        assignment: &'a ast::Assignment,
        scope: &Scope<'_>,
    ) -> Result<Vec<(&'a ast::ObjectName, Option<Typed>)>> {
        let value = |expr: &ast::Expr| {
            if is_default(expr) {
                return Ok(None);
            }
            self.expr_in("UPDATE", expr, scope).map(Some)
        };
        let names = match &assignment.target {
            ast::AssignmentTarget::ColumnName(name) => {
                return Ok(vec![(name, value(&assignment.value)?)]);
            }
            ast::AssignmentTarget::Tuple(names) => names,
        };
        let row = match &assignment.value {
            ast::Expr::Function(function) => row_items(function),
            _ => None,
        };
        let values = match &assignment.value {
            _ if row.is_some() => {
                row.iter().flatten().copied().map(value).collect::<Result<Vec<_>>>()?
            }
            ast::Expr::Tuple(values) => values.iter().map(value).collect::<Result<Vec<_>>>()?,
            ast::Expr::Subquery(query) => {
                self.row_query(query, scope)?.into_iter().map(Some).collect()
            }
            other => {
                let message = "source for a multiple-column UPDATE item must be a sub-SELECT or \
                               ROW() expression";
                return Err(PgError::new("0A000", message).at(self.position(other.span())));
            }
        };
        if values.len() != names.len() {
            let message = "number of columns does not match number of values";
            // The parser's span begins after the parenthesis.
            let within = self.position(assignment.value.span());
            return Err(PgError::new("42601", message).at(within.map(|place| place - 1)));
        }
        Ok(names.iter().zip(values).collect())
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
        let returning = self.returning(update.returning.as_deref(), &scope)?;
        let targets = self.targets(&update.assignments, &table, &scope)?;
        let keys = table.key_columns();
        let touches_key = targets.iter().any(|target| keys.contains(&target.column));
        let strength = if touches_key { Strength::Update } else { Strength::NoKeyUpdate };
        let width = table.columns.len();
        let reads_row = update.selection.is_some() && source.quals.iter().any(|q| reads(q, width))
            || gives_columns(returning.as_ref(), width)
            || targets.iter().any(|target| reads(&target.value, width));
        let mut source = source;
        self.guard_target(&table, Command::Update, reads_row, &mut source)?;
        let mut checks = self.row_checks(&table, Command::Update, false)?;
        if reads_row {
            checks.extend(self.row_checks(&table, Command::Select, false)?);
        }
        Ok(Update {
            ctes: Vec::new(),
            table,
            source,
            named: targets.iter().map(|target| target.column).collect(),
            targets,
            checks,
            returning,
            strength,
        })
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
        let reads_row = gives_columns(returning.as_ref(), width)
            || source.quals.iter().any(|q| reads(q, width));
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
        let table = self.target(name)?;
        let text = object_name(name)?;
        let alias = alias.map_or_else(|| text.clone(), |alias| ident(&alias.name));
        let mut relations: Vec<Relation> = Vec::new();
        let mut quals = Vec::new();
        let asked = self.asked.borrow().len();
        let own = add_table(table.clone(), &alias, table_columns(&table), scope, &mut relations)?;
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
            let selection = self.expr_in("WHERE", selection, scope)?;
            self.split(self.condition(selection, "WHERE")?, &mut quals);
        }
        let from = place(from, &relations, &quals);
        let width = relations.iter().map(|relation| relation.offset + relation.width).max();
        let width = width.unwrap_or(0);
        let source = Select {
            relations,
            width,
            from,
            quals,
            asked: self.asked.borrow_mut().split_off(asked),
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

    pub fn returning(
        &self,
        items: Option<&[ast::SelectItem]>,
        scope: &Scope<'_>,
    ) -> Result<Returning> {
        let Some(items) = items else { return Ok(None) };
        let (mut output, expand) =
            self.in_clause(Some("RETURNING"), || self.unrolled(items, 0, scope))?;
        if expand.is_some() {
            let message = "set-returning functions are not allowed in RETURNING";
            let place = items.first().and_then(|item| self.position(item.span()));
            return Err(PgError::new("0A000", message).at(place));
        }
        if output.exprs.is_empty() {
            return Err(PgError::new("42601", "RETURNING must have at least one column"));
        }
        (0..output.columns.len()).try_for_each(|at| self.as_text(&mut output, at))?;
        Ok(Some((output.exprs, output.columns)))
    }

    /// An expression over one table's row, for checks, index predicates and policies.
    pub fn table_expr(&self, parsed: &ast::Expr, table: &Table) -> Result<Typed> {
        self.expr(parsed, &table_scope(table, &table.name, 0))
    }
}

/// Whether RETURNING reads a column of the first relation, which is so wide.
pub fn gives_columns(returning: Option<&(Vec<Expr>, Vec<OutColumn>)>, width: usize) -> bool {
    returning.is_some_and(|(exprs, _)| exprs.iter().any(|expr| reads(expr, width)))
}

/// What `ROW(…)` lists.
fn row_items(function: &ast::Function) -> Option<Vec<&ast::Expr>> {
    let ast::FunctionArguments::List(list) = &function.args else { return None };
    if object_name(&function.name).is_ok_and(|name| name != "row") {
        return None;
    }
    let items = list.args.iter().map(|arg| match arg {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    });
    items.collect()
}

/// Refuses a value for a column that makes its own.
pub fn writable(column: &Column, message: &str) -> Result<()> {
    let name = &column.name;
    let detail = if column.generated.is_some() {
        format!("Column \"{name}\" is a generated column.")
    } else if column.identity == Some(Identity::Always) {
        format!("Column \"{name}\" is an identity column defined as GENERATED ALWAYS.")
    } else {
        return Ok(());
    };
    Err(PgError::new("428C9", message).detail(detail))
}

pub fn is_default(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::Identifier(name) if name.quote_style.is_none()
        && name.value.eq_ignore_ascii_case("default"))
}
