//! CREATE, DROP, TRUNCATE and their like. Must never touch a table before it is locked.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlparser::ast::{self, ColumnOption, Spanned as _};

use super::constraint::{index_key, unique_violation};
use super::keys::{column_constraints, free_name, table_constraint};
use super::routine::require_immutable;
use super::{Cx, State, roles};
use crate::world::postgres::error::{PgError, Result, Step, common};
use crate::world::postgres::sql::{
    Analyzer, Context, DEFAULT, Expr, data_type, ident, is_serial, object_name,
};
use crate::world::postgres::storage::catalog::{
    Column, Identity, Index, IndexPart, Sequence, Table,
};
use crate::world::postgres::storage::heap::{Heap, Tid};
use crate::world::postgres::storage::locks::{Mode, Pid};
use crate::world::postgres::storage::roles::{Acl, Security};
use crate::world::postgres::storage::xact::Fate;
use crate::world::postgres::storage::{Db, Undo};
use crate::world::postgres::types::{Row, Ty};

/// An analysis outside any query, for defaults and checks.
pub fn analyzer<'a>(cx: &'a Cx<'_>) -> Analyzer<'a> {
    Analyzer::new(cx.db, cx.pid, &cx.state.text, &[])
}

/// The same for a part of a definition, in which nothing may be queried.
pub fn part<'a>(cx: &'a Cx<'_>, part: &'static str) -> Analyzer<'a> {
    Analyzer { part: Some(part), ..analyzer(cx) }
}

/// A column's type.
fn column_type(cx: &Cx<'_>, parsed: &ast::DataType) -> Result<(Ty, i32)> {
    data_type(parsed).map_err(|error| {
        let ast::DataType::Custom(name, _) = parsed else { return error };
        error.at(analyzer(cx).position(name.span()))
    })
}

pub fn notice(cx: &mut Cx<'_>, code: &'static str, message: String) {
    let notice = PgError::new(code, message).severity("NOTICE");
    cx.db.proc_mut(cx.pid).notices.push(notice);
}

pub fn undo(cx: &mut Cx<'_>, undo: Undo) {
    cx.db.txn_mut(cx.pid).undo.push(undo);
}

/// A table without columns; `None` if it is there already and need not be new.
pub fn fresh_table(cx: &mut Cx<'_>, create: &ast::CreateTable) -> Step<Option<Table>> {
    let name = object_name(&create.name)?;
    refuse_rare(create)?;
    if cx.db.catalog.is_taken(&name, cx.db.own(cx.pid)) {
        if create.if_not_exists {
            notice(cx, "42P07", format!("relation \"{name}\" already exists, skipping"));
            return Ok(None);
        }
        return Err(PgError::new("42P07", format!("relation \"{name}\" already exists")).into());
    }
    roles::require_create(cx)?;
    let creator = Some(cx.db.xid(cx.pid));
    Ok(Some(Table {
        oid: cx.db.catalog.new_oid(),
        name: name.as_str().into(),
        columns: Vec::new(),
        indexes: Vec::new(),
        checks: Vec::new(),
        foreign_keys: Vec::new(),
        security: Security::owned_by(cx.db.proc(cx.pid).role()),
        creator,
        dropper: None,
    }))
}

/// A column of which only its type is known.
pub fn plain_column(name: &str, ty: Ty, typmod: i32) -> Column {
    Column {
        name: name.into(),
        ty,
        typmod,
        not_null: false,
        default: None,
        identity: None,
        generated: None,
        dropped: false,
    }
}

/// Puts a new table in force.
pub fn put_table(cx: &mut Cx<'_>, table: Table) -> Step<()> {
    let oid = table.oid;
    cx.lock_table(oid, Mode::AccessExclusive)?;
    cx.db.catalog.put(Arc::new(table));
    cx.db.heaps.insert(oid, Heap::default());
    undo(cx, Undo::CreateTable(oid));
    Ok(())
}

pub fn create_table(cx: &mut Cx<'_>, create: &ast::CreateTable) -> Step<()> {
    let Some(mut table) = fresh_table(cx, create)? else { return Ok(()) };
    for definition in &create.columns {
        add_column(cx, &mut table, definition)?;
    }
    for definition in &create.columns {
        column_constraints(cx, &mut table, definition)?;
    }
    for constraint in &create.constraints {
        table_constraint(cx, &mut table, constraint)?;
    }
    table.indexes.sort_by_key(|index| !index.primary);
    for key in &table.foreign_keys {
        cx.lock_table(key.target, Mode::ShareRowExclusive)?;
    }
    put_table(cx, table)
}

fn refuse_rare(create: &ast::CreateTable) -> Result<()> {
    let rare = [
        (create.like.is_some(), "CREATE TABLE LIKE"),
        (create.inherits.is_some(), "INHERITS"),
        (create.partition_by.is_some() || create.partition_of.is_some(), "PARTITION"),
        (create.temporary, "a temporary table"),
    ];
    match rare.iter().find(|(there, _)| *there) {
        Some((_, what)) => Err(PgError::unsupported(what)),
        None => Ok(()),
    }
}

/// Adds a column without its constraints, which may name columns that come later.
pub fn add_column(cx: &mut Cx<'_>, table: &mut Table, definition: &ast::ColumnDef) -> Result<()> {
    let name = ident(&definition.name);
    if table.column(&name).is_some() && !cx.db.catalog.tables.contains_key(&table.oid) {
        let message = format!("column \"{name}\" specified more than once");
        return Err(PgError::new("42701", message));
    }
    if table.column(&name).is_some() {
        let relation = &table.name;
        let message = format!("column \"{name}\" of relation \"{relation}\" already exists");
        return Err(PgError::new("42701", message));
    }
    let (ty, typmod) = column_type(cx, &definition.data_type)?;
    let mut column = plain_column(&name, ty, typmod);
    if is_serial(&definition.data_type) {
        column.default = Some(own_sequence(cx, table, &name, ty, &[])?);
        column.not_null = true;
    }
    for option in &definition.options {
        match &option.option {
            ColumnOption::NotNull | ColumnOption::PrimaryKey(_) => column.not_null = true,
            ColumnOption::Default(expr) => {
                column.default = default_expr(cx, expr, &column)?;
            }
            ColumnOption::Generated {
                generated_as,
                generation_expr: None,
                sequence_options,
                ..
            } => {
                let options = sequence_options.as_deref().unwrap_or_default();
                column.default = Some(own_sequence(cx, table, &name, ty, options)?);
                column.identity = Some(match generated_as {
                    ast::GeneratedAs::Always => Identity::Always,
                    _ => Identity::ByDefault,
                });
                column.not_null = true;
            }
            _ => {}
        }
    }
    table.columns.push(column);
    Ok(())
}

pub fn default_expr(cx: &Cx<'_>, expr: &ast::Expr, column: &Column) -> Result<Option<Arc<Expr>>> {
    let analyzer = part(cx, DEFAULT);
    let typed = analyzer.expr(expr, &crate::world::postgres::sql::Scope::default())?;
    let expr = analyzer.assign(typed, column.ty, column.typmod, &column.name)?;
    Ok(Some(Arc::new(expr)))
}

/// `table_column_seq`, which goes with the table.
fn own_sequence(
    cx: &mut Cx<'_>,
    table: &Table,
    column: &str,
    ty: Ty,
    options: &[ast::SequenceOptions],
) -> Result<Arc<Expr>> {
    let oid = cx.db.catalog.new_oid();
    let max = match ty {
        Ty::INT2 => i64::from(i16::MAX),
        Ty::INT4 => i64::from(i32::MAX),
        _ => i64::MAX,
    };
    let mut sequence = Sequence {
        name: format!("{}_{column}_seq", table.name).into(),
        next: 1,
        increment: 1,
        min: 1,
        max,
        cycle: false,
        called: false,
        owner: Some(table.oid),
        role: table.security.owner.clone(),
        acl: Acl::default(),
    };
    apply_options(&mut sequence, options)?;
    cx.db.catalog.sequences.insert(oid, sequence);
    undo(cx, Undo::CreateSequence(oid));
    let analyzer = analyzer(cx);
    let oid = crate::world::postgres::sql::Typed::new(
        Expr::Const(crate::world::postgres::types::Datum::Int(i64::from(oid))),
        Ty::REGCLASS,
    );
    let next = analyzer.call("nextval", vec![oid])?;
    Ok(Arc::new(analyzer.coerce(next, ty, -1, Context::Assignment)?))
}

pub fn create_index(cx: &mut Cx<'_>, create: &ast::CreateIndex) -> Step<()> {
    let table = cx.db.table(&object_name(&create.table_name)?, cx.pid)?;
    roles::require_owner(cx, &table)?;
    cx.lock_table(table.oid, Mode::Share)?;
    let table = cx.db.table_by_oid(table.oid)?;
    let mut parts = Vec::with_capacity(create.columns.len());
    let mut words = Vec::new();
    for column in &create.columns {
        match &column.column.expr {
            ast::Expr::Identifier(name) => {
                let name = ident(name);
                let at = table.column(&name).ok_or_else(|| common::no_column(&name))?;
                parts.push(IndexPart::Column(at));
                words.push(name);
            }
            expr => {
                let analyzer = part(cx, "index expression");
                let typed = analyzer.settle(analyzer.table_expr(expr, &table)?)?;
                require_immutable(cx, &typed.expr, "index expression")?;
                let text = expr.to_string().into();
                parts.push(IndexPart::Expression(Arc::new(typed.expr), typed.ty, text));
                words.push(match expr {
                    ast::Expr::Function(function) => object_name(&function.name)?,
                    _ => "expr".to_owned(),
                });
            }
        }
    }
    let name = match &create.name {
        Some(name) => object_name(name)?,
        None => free_name(cx, &table, format!("{}_{}_idx", table.name, words.join("_"))),
    };
    if cx.db.catalog.is_taken(&name, cx.db.own(cx.pid)) {
        if create.if_not_exists {
            notice(cx, "42P07", format!("relation \"{name}\" already exists, skipping"));
            return Ok(());
        }
        return Err(PgError::new("42P07", format!("relation \"{name}\" already exists")).into());
    }
    let predicate = match &create.predicate {
        None => None,
        Some(predicate) => {
            let analyzer = part(cx, "index predicate");
            let typed = analyzer.table_expr(predicate, &table)?;
            let condition = analyzer.condition(typed, "WHERE")?;
            require_immutable(cx, &condition, "index predicate")?;
            Some(Arc::new(condition))
        }
    };
    let mut changed = (*table).clone();
    changed.indexes.push(Index {
        name: name.into(),
        parts,
        unique: create.unique,
        primary: false,
        constraint: false,
        nulls_distinct: create.nulls_distinct != Some(false),
        predicate,
        dropped: false,
    });
    build_index(cx, &changed, changed.indexes.len() - 1)?;
    alter(cx, &table, changed);
    Ok(())
}

/// Puts a changed definition in force.
pub fn alter(cx: &mut Cx<'_>, before: &Arc<Table>, after: Table) {
    undo(cx, Undo::AlterTable(before.clone()));
    cx.db.catalog.put(Arc::new(after));
}

/// Fills a new index; 23505 if it is unique and the rows are not.
pub fn build_index(cx: &mut Cx<'_>, table: &Table, at: usize) -> Step<()> {
    let rows: Vec<(Tid, Row, bool)> = cx
        .db
        .heap(table.oid)
        .iter()
        .map(|(tid, version)| {
            let dead = version.writer(&cx.db.xacts).is_some()
                || cx.db.xacts.fate(version.xmin) == Fate::Aborted;
            (tid, version.row.clone(), !dead)
        })
        .collect();
    let index = &table.indexes[at];
    let mut keys = BTreeMap::new();
    let mut seen = std::collections::BTreeSet::new();
    for (tid, row, live) in rows {
        let key = index_key(cx, index, &row)?;
        if let (true, true, Some(key)) = (index.unique, live, &key) {
            let counts =
                !index.nulls_distinct || !key.iter().any(super::super::types::Datum::is_null);
            if counts && !seen.insert(key.clone()) {
                let violation = unique_violation(table, index, key).fields().detail.clone();
                let message = format!("could not create unique index \"{}\"", index.name);
                let detail =
                    violation.unwrap_or_default().replace("already exists", "is duplicated");
                let error = PgError::new("23505", message).detail(detail);
                return Err(error.table(&table.name).constraint(&index.name).into());
            }
        }
        keys.insert(tid, key);
    }
    cx.db.heap_mut(table.oid).reindex(at, keys);
    Ok(())
}

pub fn create_sequence(
    cx: &mut Cx<'_>,
    name: &ast::ObjectName,
    options: &[ast::SequenceOptions],
    if_not_exists: bool,
) -> Step<()> {
    let name = object_name(name)?;
    if cx.db.catalog.is_taken(&name, cx.db.own(cx.pid)) {
        if if_not_exists {
            notice(cx, "42P07", format!("relation \"{name}\" already exists, skipping"));
            return Ok(());
        }
        return Err(PgError::new("42P07", format!("relation \"{name}\" already exists")).into());
    }
    let mut sequence = Sequence {
        name: name.into(),
        next: 1,
        increment: 1,
        min: 1,
        max: i64::MAX,
        cycle: false,
        called: false,
        owner: None,
        role: cx.db.proc(cx.pid).role().into(),
        acl: Acl::default(),
    };
    apply_options(&mut sequence, options)?;
    let oid = cx.db.catalog.new_oid();
    cx.db.catalog.sequences.insert(oid, sequence);
    undo(cx, Undo::CreateSequence(oid));
    Ok(())
}

/// What is not said follows from what is: a sequence begins at its lower bound, or if it descends
/// at its upper one.
fn apply_options(sequence: &mut Sequence, options: &[ast::SequenceOptions]) -> Result<()> {
    let (mut start, mut low, mut high) = (None, None, None);
    for option in options {
        match option {
            ast::SequenceOptions::IncrementBy(by, _) => sequence.increment = number(by)?,
            ast::SequenceOptions::MinValue(Some(min)) => low = Some(number(min)?),
            ast::SequenceOptions::MaxValue(Some(max)) => high = Some(number(max)?),
            ast::SequenceOptions::StartWith(at, _) => start = Some(number(at)?),
            // The parser's flag is true for NO CYCLE.
            ast::SequenceOptions::Cycle(no) => sequence.cycle = !*no,
            ast::SequenceOptions::MinValue(None)
            | ast::SequenceOptions::MaxValue(None)
            | ast::SequenceOptions::Cache(_) => {}
        }
    }
    if sequence.increment == 0 {
        return Err(PgError::new("22023", "INCREMENT must not be zero"));
    }
    let down = sequence.increment < 0;
    let (lowest, highest) = if down { (-sequence.max - 1, -1) } else { (1, sequence.max) };
    (sequence.min, sequence.max) = (low.unwrap_or(lowest), high.unwrap_or(highest));
    sequence.next = start.unwrap_or(if down { sequence.max } else { sequence.min });
    Ok(())
}

fn number(expr: &ast::Expr) -> Result<i64> {
    let text = expr.to_string();
    text.parse().map_err(|_| PgError::new("22023", format!("invalid number: {text}")))
}

/// A state for steps that belong to no plan.
pub fn state(db: &mut Db, pid: Pid) -> State {
    let snapshot = db.take_snapshot(pid);
    let cid = db.txn(pid).cid;
    State { snapshot, cid, ..State::default() }
}
