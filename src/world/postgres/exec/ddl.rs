//! CREATE, DROP, TRUNCATE and their like. Must never touch a table before it is locked.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlparser::ast::{self, ColumnOption, Spanned as _};

use super::constraint::{index_key, unique_violation};
use super::foreign::refuse_used;
use super::keys::{self, keyable, made_name};
use super::routine::require_immutable;
use super::sequence::own_sequence;
use super::{Cx, State, constants, roles};
use crate::world::postgres::error::{PgError, Result, Step, common};
use crate::world::postgres::sql::{
    Analyzer, DEFAULT, Expr, data_type, ident, index_text, is_serial, known_collation, object_name,
};
use crate::world::postgres::storage::catalog::{
    Column, Identity, Index, IndexPart, Revision, Table, Taken,
};
use crate::world::postgres::storage::heap::{Heap, Tid};
use crate::world::postgres::storage::locks::{Mode, Oid, Pid};
use crate::world::postgres::storage::roles::Security;
use crate::world::postgres::storage::xact::Fate;
use crate::world::postgres::storage::{Db, Undo};
use crate::world::postgres::types::{Base, Datum, Row, Ty};

/// An analysis outside any query, for defaults and checks.
pub fn analyzer<'a>(cx: &'a Cx<'_>) -> Analyzer<'a> {
    Analyzer::new(cx.db, cx.pid, &cx.state.text, &[])
}

/// The same for a part of a definition, in which nothing may be queried.
pub fn part<'a>(cx: &'a Cx<'_>, part: &'static str) -> Analyzer<'a> {
    Analyzer { part: Some(part), ..analyzer(cx) }
}

/// A column's type.
pub fn column_type(cx: &Cx<'_>, parsed: &ast::DataType) -> Result<(Ty, i32)> {
    let precision = match parsed {
        ast::DataType::Time(digits, _) | ast::DataType::Timestamp(digits, _) => {
            digits.is_some_and(|digits| digits != 6)
        }
        ast::DataType::Interval { fields, precision } => fields.is_some() || precision.is_some(),
        ast::DataType::Custom(name, modifiers) => {
            !modifiers.is_empty() && name.to_string().eq_ignore_ascii_case("timestamptz")
        }
        _ => false,
    };
    if precision {
        return Err(PgError::unsupported(format_args!("the type {parsed}")));
    }
    analyzer(cx).data_type(parsed)
}

pub fn notice(cx: &mut Cx<'_>, code: &'static str, message: String) {
    tell(cx, "NOTICE", PgError::new(code, message));
}

pub fn warning(cx: &mut Cx<'_>, message: String) {
    tell(cx, "WARNING", PgError::new("01000", message));
}

pub fn tell(cx: &mut Cx<'_>, severity: &'static str, notice: PgError) {
    if cx.db.proc(cx.pid).hears(severity) {
        cx.db.proc_mut(cx.pid).notice(notice.severity(severity));
    }
}

pub fn undo(cx: &mut Cx<'_>, undo: Undo) {
    cx.db.txn_mut(cx.pid).undo.push(undo);
}

/// 25001 for what is a transaction of its own.
pub fn refuse_within(cx: &Cx<'_>, command: &str) -> Result<()> {
    let why = if cx.db.in_block(cx.pid) {
        "run inside a transaction block"
    } else if cx.state.around.is_some() {
        "be executed from a function"
    } else {
        return Ok(());
    };
    Err(PgError::new("25001", format!("{command} cannot {why}")))
}

/// A table without columns; `None` if it is there already and need not be new. Of CREATE TABLE AS
/// the query's privileges come before those on the schema.
pub fn fresh_table(cx: &mut Cx<'_>, create: &ast::CreateTable) -> Step<Option<Table>> {
    let name = object_name(&create.name)?;
    let schema = create.name.0.first().and_then(|part| part.as_ident()).map(ident);
    if create.name.0.len() > 1 && schema.as_deref() != Some("public") {
        return Err(PgError::unsupported("a table in another schema").into());
    }
    refuse_rare(create)?;
    checked_name(&name)?;
    if create.query.is_none() {
        let place = || analyzer(cx).position(create.name.span());
        roles::require_create(cx).map_err(|error| error.at(place()))?;
    }
    if is_taken(cx, &name) {
        if create.if_not_exists {
            notice(cx, "42P07", format!("relation \"{name}\" already exists, skipping"));
            return Ok(None);
        }
        return Err(PgError::new("42P07", format!("relation \"{name}\" already exists")).into());
    }
    Ok(Some(Table {
        oid: cx.db.catalog.new_oid(),
        name: name.as_str().into(),
        columns: Vec::new(),
        indexes: Vec::new(),
        checks: Vec::new(),
        foreign_keys: Vec::new(),
        security: Security::owned_by(cx.db.proc(cx.pid).role()),
        has_triggers: false,
        revision: Revision::default(),
    }))
}

/// PostgreSQL cuts longer names.
pub fn checked_name(name: &str) -> Result<()> {
    if name.len() < 64 {
        return Ok(());
    }
    Err(PgError::unsupported("a name of more than 63 bytes"))
}

/// A name that no column may have, or that is too long.
pub fn refuse_column_name(name: &str) -> Result<()> {
    checked_name(name)?;
    if !["ctid", "xmin", "cmin", "xmax", "cmax", "tableoid"].contains(&name) {
        return Ok(());
    }
    let message = format!("column name \"{name}\" conflicts with a system column name");
    Err(PgError::new("42701", message))
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

/// Whether a table, index or sequence has the name, as the session sees it.
pub fn is_taken(cx: &Cx<'_>, name: &str) -> bool {
    cx.db.catalog.taken(name, cx.db.own(cx.pid)) == Taken::Yes
}

/// Gives a table other rows.
pub fn put_rows(cx: &mut Cx<'_>, oid: Oid, rows: Heap) {
    let before = cx.db.heaps.insert(oid, rows);
    undo(cx, Undo::Rows(oid, before));
}

/// Puts a new table in force.
pub fn put_table(cx: &mut Cx<'_>, mut table: Table) -> Step<()> {
    let oid = table.oid;
    table.checks.sort_by(|a, b| a.name.cmp(&b.name));
    cx.db.claim(cx.pid, &table.name, true)?;
    for index in &table.indexes {
        cx.db.claim(cx.pid, &index.name, false)?;
    }
    cx.lock_table(oid, Mode::AccessExclusive)?;
    cx.db.put_table(cx.pid, oid, Some(table))?;
    put_rows(cx, oid, Heap::default());
    Ok(())
}

pub fn create_table(cx: &mut Cx<'_>, create: &ast::CreateTable) -> Step<()> {
    let Some(mut table) = fresh_table(cx, create)? else { return Ok(()) };
    for definition in &create.columns {
        add_column(cx, &mut table, definition)?;
    }
    let said = (create.columns.as_slice(), create.constraints.as_slice());
    keys::add_own(cx, &mut table, said)?;
    for generated in table.columns.iter().filter_map(|column| column.generated.as_ref()) {
        // Before it is made of the column's type.
        let written = match &**generated {
            Expr::Cast { expr, explicit: false, .. } => expr,
            other => other,
        };
        constants::check_one(written, cx)?;
    }
    put_table(cx, table.clone())?;
    for foreign in keys::foreign_keys(said) {
        let target = object_name(&foreign.1.foreign_table)?;
        let target = cx.db.table(&target, cx.pid)?.oid;
        cx.lock_table(target, Mode::ShareRowExclusive)?;
        let table = cx.db.table_by_oid(table.oid, cx.pid)?;
        let mut pointing = (*table).clone();
        keys::add_foreign_key(cx, &mut pointing, foreign)?;
        claim_class(cx, &table, &mut pointing)?;
        alter(cx, pointing)?;
    }
    Ok(())
}

/// The parts of an index's name: those that are there already have numbers.
fn unlike(words: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::with_capacity(words.len());
    for word in words {
        let numbered = (1..).map(|number| format!("{word}{number}"));
        let mut names = std::iter::once(word.clone()).chain(numbered);
        all.extend(names.find(|name| !all.contains(name)));
    }
    all
}

/// How full pages are shows nowhere here.
fn is_plain(options: &ast::CreateTableOptions) -> bool {
    let fills = |option: &ast::SqlOption| match option {
        ast::SqlOption::KeyValue { key, value } if ident(key) == "fillfactor" => {
            value.to_string().parse().is_ok_and(|percent: u8| (10..=100).contains(&percent))
        }
        _ => false,
    };
    match options {
        ast::CreateTableOptions::None => true,
        ast::CreateTableOptions::With(all) => all.iter().all(fills),
        _ => false,
    }
}

fn refuse_rare(create: &ast::CreateTable) -> Result<()> {
    let rare = [
        (create.like.is_some(), "CREATE TABLE LIKE"),
        (create.inherits.is_some(), "INHERITS"),
        (create.partition_by.is_some() || create.partition_of.is_some(), "PARTITION"),
        (create.temporary, "a temporary table"),
        (!is_plain(&create.table_options), "a storage parameter"),
        (create.with_data.as_ref().is_some_and(|with| !with.data), "WITH NO DATA"),
    ];
    match rare.iter().find(|(there, _)| *there) {
        Some((_, what)) => Err(PgError::unsupported(what)),
        None => Ok(()),
    }
}

/// Adds a column without its constraints, which may name columns that come later.
pub fn add_column(cx: &mut Cx<'_>, table: &mut Table, definition: &ast::ColumnDef) -> Step<()> {
    new_column(cx, table, definition)?;
    Ok(set_default(cx, table, definition)?)
}

/// A column with its type and its numbers, but without a default.
pub fn new_column(cx: &mut Cx<'_>, table: &mut Table, definition: &ast::ColumnDef) -> Step<()> {
    let name = ident(&definition.name);
    if table.column(&name).is_some() && cx.db.catalog.tables.latest(&table.oid).is_none() {
        let message = format!("column \"{name}\" specified more than once");
        return Err(PgError::new("42701", message).into());
    }
    if table.column(&name).is_some() {
        let relation = &table.name;
        let message = format!("column \"{name}\" of relation \"{relation}\" already exists");
        return Err(PgError::new("42701", message).into());
    }
    refuse_column_name(&name)?;
    let (ty, typmod) = column_type(cx, &definition.data_type)?;
    refuse_conflicts(table, definition)?;
    let mut column = plain_column(&name, ty, typmod);
    if is_serial(&definition.data_type) {
        column.default = Some(own_sequence(cx, table, &name, ty, None)?);
        column.not_null = true;
    }
    for option in &definition.options {
        match &option.option {
            ColumnOption::NotNull | ColumnOption::PrimaryKey(_) => column.not_null = true,
            ColumnOption::Generated {
                generated_as,
                generation_expr: None,
                sequence_options,
                ..
            } => {
                if !ty.is_integer() || ty == Ty::OID {
                    let message = "identity column type must be smallint, integer, or bigint";
                    return Err(PgError::new("22023", message).into());
                }
                let options = sequence_options.as_deref().unwrap_or_default();
                column.default = Some(own_sequence(cx, table, &name, ty, Some(options))?);
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

/// The default of the newest column.
pub fn set_default(cx: &Cx<'_>, table: &mut Table, definition: &ast::ColumnDef) -> Result<()> {
    let column = table.columns.last_mut().expect("it has just been added");
    for option in &definition.options {
        if let ColumnOption::Default(expr) = &option.option {
            column.default = default_expr(cx, expr, column)?;
        }
    }
    Ok(())
}

/// 42601 if the options of a column contradict each other.
fn refuse_conflicts(table: &Table, definition: &ast::ColumnDef) -> Result<()> {
    let (name, relation) = (ident(&definition.name), &table.name);
    let wrong = |what: &str| {
        let message = format!("{what} for column \"{name}\" of table \"{relation}\"");
        Err(PgError::new("42601", message))
    };
    let serial = is_serial(&definition.data_type);
    let (mut nullable, mut required) = (false, serial);
    let (mut default, mut identity, mut generated) = (serial, false, false);
    for option in &definition.options {
        match &option.option {
            ColumnOption::Null if required => {
                return wrong("conflicting NULL/NOT NULL declarations");
            }
            ColumnOption::Null => nullable = true,
            ColumnOption::NotNull if nullable => {
                return wrong("conflicting NULL/NOT NULL declarations");
            }
            ColumnOption::NotNull => required = true,
            ColumnOption::Default(_) if default => {
                return wrong("multiple default values specified");
            }
            ColumnOption::Default(_) if identity => {
                return wrong("both default and identity specified");
            }
            ColumnOption::Default(_) => default = true,
            ColumnOption::Generated { generation_expr: Some(_), .. } if generated => {
                return wrong("multiple generation clauses specified");
            }
            ColumnOption::Generated { generation_expr: Some(_), .. } => generated = true,
            ColumnOption::Collation(collation) => {
                let (ty, _) = data_type(&definition.data_type)?;
                if !ty.element().is_text() && ty.base != Base::Name {
                    let message = format!("collations are not supported by type {}", ty.name());
                    return Err(PgError::new("42804", message));
                }
                known_collation(collation)?;
            }
            ColumnOption::Generated { generation_expr: None, .. } => {
                if identity {
                    return wrong("multiple identity specifications");
                }
                if default {
                    return wrong("both default and identity specified");
                }
                if nullable {
                    return wrong("conflicting NULL/NOT NULL declarations");
                }
                (identity, required) = (true, true);
            }
            _ => {}
        }
    }
    Ok(())
}

/// As PostgreSQL says it of a default or a generated value.
pub fn default_mismatch(error: PgError) -> PgError {
    if error.code() != "42804" {
        return error;
    }
    let message = error.fields().message.replace("but expression", "but default expression");
    PgError::new("42804", message).hint("You will need to rewrite or cast the expression.")
}

pub fn default_expr(cx: &Cx<'_>, expr: &ast::Expr, column: &Column) -> Result<Option<Arc<Expr>>> {
    let analyzer = part(cx, DEFAULT);
    let typed = analyzer.expr(expr, &crate::world::postgres::sql::Scope::default())?;
    let expr = analyzer.assign(typed, column.ty, column.typmod, &column.name);
    Ok(Some(Arc::new(expr.map_err(default_mismatch)?)))
}

/// A part of an index, and its word in the index's name.
fn index_part(
    cx: &Cx<'_>,
    table: &Table,
    expr: &ast::Expr,
    unique: bool,
) -> Result<(IndexPart, String)> {
    let mut parsed = expr;
    while let ast::Expr::Nested(inner) = parsed {
        parsed = inner;
    }
    if let ast::Expr::Identifier(name) = parsed {
        let name = ident(name);
        let at = table.column(&name).ok_or_else(|| common::no_column(&name))?;
        keyable(table.columns[at].ty)?;
        return Ok((IndexPart::Column(at), name));
    }
    let analyzer = part(cx, "index expression");
    let typed = analyzer.settle(analyzer.table_expr(expr, table)?)?;
    require_immutable(cx, &typed.expr, "index expression")?;
    keyable(typed.ty)?;
    let text = index_text(expr, &typed.expr, typed.ty);
    if unique && text.is_none() {
        return Err(PgError::unsupported(format_args!("a unique index on {expr}")));
    }
    let text = text.unwrap_or_else(|| expr.to_string());
    let word = match parsed {
        ast::Expr::Function(function) => object_name(&function.name)?,
        _ => "expr".to_owned(),
    };
    Ok((IndexPart::Expression(Arc::new(typed.expr), typed.ty, text.into()), word))
}

pub fn create_index(cx: &mut Cx<'_>, create: &ast::CreateIndex) -> Step<()> {
    if create.concurrently {
        refuse_within(cx, "CREATE INDEX CONCURRENTLY")?;
    }
    let table = cx.db.table(&object_name(&create.table_name)?, cx.pid)?;
    roles::require_owner(cx, &table)?;
    roles::require_create(cx)?;
    cx.lock_table(table.oid, Mode::Share)?;
    let table = cx.db.table_by_oid(table.oid, cx.pid)?;
    refuse_used(cx, &table, "CREATE INDEX")?;
    check_method(create.using.as_ref())?;
    let mut parts = Vec::with_capacity(create.columns.len());
    let mut words = Vec::new();
    for column in &create.columns {
        if let Some(class) = &column.operator_class {
            return Err(PgError::unsupported(format_args!("the operator class {class}")).into());
        }
        let (part, word) = index_part(cx, &table, &column.column.expr, create.unique)?;
        parts.push(part);
        words.push(word);
    }
    let mut includes = Vec::with_capacity(create.include.len());
    for name in &create.include {
        let name = ident(name);
        includes.push(table.column(&name).ok_or_else(|| common::no_column(&name))?);
        words.push(name);
    }
    let name = match &create.name {
        Some(name) => object_name(name)?,
        None => made_name(cx, &table, Some(&unlike(&words).join("_")), "idx"),
    };
    checked_name(&name)?;
    if is_taken(cx, &name) {
        if create.if_not_exists {
            notice(cx, "42P07", format!("relation \"{name}\" already exists, skipping"));
            return Ok(());
        }
        return Err(PgError::new("42P07", format!("relation \"{name}\" already exists")).into());
    }
    let predicate = index_predicate(cx, &table, create)?;
    for part in &parts {
        if let IndexPart::Expression(expr, ..) = part {
            constants::check_one(expr, cx)?;
        }
    }
    if let Some(predicate) = &predicate {
        constants::check_one(predicate, cx)?;
    }
    let mut changed = (*table).clone();
    changed.indexes.resize_with(cx.db.catalog.next_index(table.oid), Index::vacant);
    changed.indexes.push(Index {
        name: name.into(),
        parts,
        unique: create.unique,
        primary: false,
        constraint: false,
        nulls_distinct: create.nulls_distinct != Some(false),
        predicate,
        includes,
        dropped: false,
    });
    build_index(cx, &changed, changed.indexes.len() - 1)?;
    changed.touch_indexes();
    cx.db.put_table(cx.pid, changed.oid, Some(changed))
}

fn index_predicate(
    cx: &Cx<'_>,
    table: &Table,
    create: &ast::CreateIndex,
) -> Result<Option<Arc<Expr>>> {
    let Some(predicate) = &create.predicate else { return Ok(None) };
    let analyzer = part(cx, "index predicate");
    let typed = analyzer.table_expr(predicate, table)?;
    let condition = analyzer.condition(typed, "WHERE")?;
    require_immutable(cx, &condition, "index predicate")?;
    Ok(Some(Arc::new(condition)))
}

/// All indexes are B-trees.
fn check_method(method: Option<&ast::IndexType>) -> Result<()> {
    use ast::IndexType::{BTree, Bloom, Custom};
    match method {
        None | Some(BTree) => Ok(()),
        Some(method @ (Custom(_) | Bloom)) => {
            let name = method.to_string().to_lowercase();
            Err(PgError::new("42704", format!("access method \"{name}\" does not exist")))
        }
        Some(method) => Err(PgError::unsupported(format_args!("an index of the method {method}"))),
    }
}

/// Puts a changed definition in force.
pub fn alter(cx: &mut Cx<'_>, mut after: Table) -> Step<()> {
    // They are tested in the order of their names.
    after.checks.sort_by(|a, b| a.name.cmp(&b.name));
    let before = cx.db.table_by_oid(after.oid, cx.pid)?;
    if before.indexes.len() < after.indexes.len() {
        after.touch_indexes();
    }
    after.touch_parts();
    cx.db.put_table(cx.pid, after.oid, Some(after))
}

/// Writes the rows in `pg_class` that a changed definition has written anew, its own and those of
/// what new foreign keys point at: before its indexes are made and its rows are looked at.
pub fn claim_class(cx: &mut Cx<'_>, before: &Table, after: &mut Table) -> Step<()> {
    let keys = after.foreign_keys.get(before.foreign_keys.len()..).unwrap_or_default();
    let targets: Vec<Oid> = keys.iter().map(|key| key.target).collect();
    let mut written = class(before) != class(after);
    for target in targets {
        add_target(cx, after, target)?;
        written |= !std::mem::replace(&mut after.has_triggers, true);
    }
    if written {
        let mut first = before.clone();
        first.touch_class();
        after.touch_class();
        cx.db.put_table(cx.pid, after.oid, Some(first))?;
    }
    Ok(())
}

/// What PostgreSQL keeps in `pg_class`, of what statements change in passing.
fn class(table: &Table) -> (&str, &str, usize, usize) {
    (&table.name, &table.security.owner, table.columns.len(), table.checks.len())
}

/// What a foreign key of the `table` points at has triggers.
fn add_target(cx: &mut Cx<'_>, table: &Table, target: Oid) -> Step<()> {
    if target == table.oid {
        return Ok(());
    }
    let mut target = (*cx.db.table_by_oid(target, cx.pid)?).clone();
    if !std::mem::replace(&mut target.has_triggers, true) {
        target.touch_class();
        cx.db.put_table(cx.pid, target.oid, Some(target))?;
    }
    Ok(())
}

/// Names and fills a new index; 23505 if it is unique and the rows are not.
pub fn build_index(cx: &mut Cx<'_>, table: &Table, at: usize) -> Step<()> {
    cx.db.claim(cx.pid, &table.indexes[at].name, false)?;
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
            let counts = !index.nulls_distinct || !key.iter().any(Datum::is_null);
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

/// A state for steps that belong to no plan.
pub fn state(db: &mut Db, pid: Pid) -> State {
    let snapshot = db.take_snapshot(pid);
    let cid = db.txn(pid).cid;
    State { snapshot, cid, ..State::default() }
}
