//! Constraints as they are declared: keys, checks, foreign keys. Must never look at a row.

use std::sync::Arc;

use sqlparser::ast::{self, ColumnOption, TableConstraint};

use super::ddl::{checked_name, default_mismatch, is_taken, part};
use super::routine::require_steady;
use super::{Cx, roles};
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::sql::{Analyzer, ident, object_name};
use crate::world::postgres::storage::catalog::{
    Action, Check, Column, ForeignKey, Index, IndexPart, Table, Taken,
};
use crate::world::postgres::storage::roles::Privileges;
use crate::world::postgres::types::Ty;

/// What columns and a table say of constraints, in the order of the statement.
pub type Said<'a> = (&'a [ast::ColumnDef], &'a [TableConstraint]);

/// A PRIMARY KEY or UNIQUE that is to be made.
struct Key {
    name: Option<String>,
    columns: Vec<usize>,
    includes: Vec<usize>,
    primary: bool,
    nulls_distinct: bool,
}

/// Adds constraints to a table that has its columns, in the order of PostgreSQL: the keys are read,
/// the checks made, then the keys, and last what points at keys.
pub fn add_constraints(cx: &mut Cx<'_>, table: &mut Table, said: Said<'_>) -> Result<()> {
    add_own(cx, table, said)?;
    let all = foreign_keys(said);
    all.into_iter().try_for_each(|foreign| add_foreign_key(cx, table, foreign))
}

/// A foreign key as it is written: its name, what it points at, and the columns that do.
pub type Foreign<'a> = (Option<String>, &'a ast::ForeignKeyConstraint, &'a [ast::Ident]);

/// The foreign keys of columns, then those of the table.
pub fn foreign_keys<'a>((columns, rules): Said<'a>) -> Vec<Foreign<'a>> {
    let mut all: Vec<Foreign<'a>> = Vec::new();
    for definition in columns {
        for option in &definition.options {
            if let ColumnOption::ForeignKey(key) = &option.option {
                let column = std::slice::from_ref(&definition.name);
                all.push((option.name.as_ref().map(ident), key, column));
            }
        }
    }
    for rule in rules {
        if let TableConstraint::ForeignKey(key) = rule {
            all.push((key.name.as_ref().map(ident), key, &key.columns));
        }
    }
    all
}

/// Adds the constraints that point at no other table.
pub fn add_own(cx: &mut Cx<'_>, table: &mut Table, (columns, rules): Said<'_>) -> Result<()> {
    let keys = read_keys(table, (columns, rules))?;
    for definition in columns {
        own_rules(cx, table, definition)?;
    }
    refuse_generated_chains(table)?;
    for rule in rules {
        match rule {
            TableConstraint::Check(check) => {
                add_check(cx, table, check.name.as_ref().map(ident), &check.expr)?;
            }
            TableConstraint::PrimaryKey(_)
            | TableConstraint::Unique(_)
            | TableConstraint::ForeignKey(_) => {}
            other => return Err(PgError::unsupported(format_args!("the constraint {other}"))),
        }
    }
    if !keys.is_empty() {
        roles::require_create(cx)?;
    }
    for key in keys {
        add_key(cx, table, key)?;
    }
    Ok(())
}

/// Checks and generated values of a column.
fn own_rules(cx: &mut Cx<'_>, table: &mut Table, definition: &ast::ColumnDef) -> Result<()> {
    let column = std::slice::from_ref(&definition.name);
    for option in &definition.options {
        match &option.option {
            ColumnOption::Check(check) => {
                let name = option.name.as_ref().map(ident);
                add_check(cx, table, name, &check.expr)?;
            }
            ColumnOption::Generated { generation_expr: Some(expr), .. } => {
                generate(cx, table, &column[0], expr)?;
            }
            ColumnOption::PrimaryKey(_)
            | ColumnOption::Unique(_)
            | ColumnOption::ForeignKey(_)
            | ColumnOption::Null
            | ColumnOption::NotNull
            | ColumnOption::Default(_)
            | ColumnOption::Generated { .. }
            | ColumnOption::Collation(_) => {}
            other => return Err(PgError::unsupported(format_args!("the column option {other}"))),
        }
    }
    Ok(())
}

/// The keys of one statement, the primary one first; equal ones are one, with the first name that
/// any of them has.
fn read_keys(table: &mut Table, (columns, rules): Said<'_>) -> Result<Vec<Key>> {
    let mut all = Vec::new();
    for definition in columns {
        let column = std::slice::from_ref(&definition.name);
        for option in &definition.options {
            let (primary, nulls, characteristics) = match &option.option {
                ColumnOption::PrimaryKey(key) => {
                    (true, ast::NullsDistinctOption::None, key.characteristics.as_ref())
                }
                ColumnOption::Unique(key) => {
                    (false, key.nulls_distinct, key.characteristics.as_ref())
                }
                _ => continue,
            };
            refuse_deferrable(characteristics)?;
            all.push(Key {
                name: option.name.as_ref().map(ident),
                columns: columns_of(table, column)?,
                includes: Vec::new(),
                primary,
                nulls_distinct: nulls != ast::NullsDistinctOption::NotDistinct,
            });
        }
    }
    for rule in rules {
        all.extend(table_key(table, rule)?);
    }
    let primary = all.iter().filter(|key| key.primary).count();
    if primary > 1 || primary > 0 && table.primary().is_some() {
        let message = format!("multiple primary keys for table \"{}\" are not allowed", table.name);
        return Err(PgError::new("42P16", message));
    }
    all.sort_by_key(|key| !key.primary);
    let mut keys: Vec<Key> = Vec::with_capacity(all.len());
    for key in all {
        let same = |other: &&mut Key| {
            (&other.columns, &other.includes, other.nulls_distinct)
                == (&key.columns, &key.includes, key.nulls_distinct)
        };
        match keys.iter_mut().find(same) {
            Some(earlier) => earlier.name = earlier.name.take().or(key.name),
            None => keys.push(key),
        }
    }
    for column in keys.iter().filter(|key| key.primary).flat_map(|key| &key.columns) {
        table.columns[*column].not_null = true;
    }
    Ok(keys)
}

fn table_key(table: &Table, rule: &TableConstraint) -> Result<Option<Key>> {
    let (name, columns, includes, primary, characteristics, nulls_distinct) = match rule {
        TableConstraint::PrimaryKey(key) => {
            (&key.name, &key.columns, &key.include, true, &key.characteristics, true)
        }
        TableConstraint::Unique(key) => {
            let distinct = key.nulls_distinct != ast::NullsDistinctOption::NotDistinct;
            (&key.name, &key.columns, &key.include, false, &key.characteristics, distinct)
        }
        _ => return Ok(None),
    };
    refuse_deferrable(characteristics.as_ref())?;
    Ok(Some(Key {
        name: name.as_ref().map(ident),
        columns: index_columns(table, columns, if primary { "primary key" } else { "unique" })?,
        includes: columns_of(table, includes)?,
        primary,
        nulls_distinct,
    }))
}

/// `GENERATED ALWAYS AS (expr) STORED`.
fn generate(cx: &Cx<'_>, table: &mut Table, name: &ast::Ident, parsed: &ast::Expr) -> Result<()> {
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
    let typed = analyzer.table_expr(parsed, table)?;
    let column = &table.columns[at];
    let assigned = analyzer.assign(typed, column.ty, column.typmod, &name);
    let expr = assigned.map_err(default_mismatch)?;
    let Some(read) = expr.columns() else {
        let message = "cannot use subquery in column generation expression";
        return Err(PgError::new("0A000", message));
    };
    refuse_generated_reads(table, at, &read)?;
    require_steady(cx, &expr, "generation expression is not immutable")?;
    table.columns[at].generated = Some(Arc::new(expr));
    Ok(())
}

/// A generated column reads no other one, nor itself.
fn refuse_generated_reads(table: &Table, at: usize, read: &[usize]) -> Result<()> {
    if let Some(other) = read.iter().find(|o| **o == at || table.columns[**o].generated.is_some()) {
        let other = &table.columns[*other].name;
        let message =
            format!("cannot use generated column \"{other}\" in column generation expression");
        let detail = "A generated column cannot reference another generated column.";
        return Err(PgError::new("42P17", message).detail(detail));
    }
    Ok(())
}

/// The same of all columns, once all are known.
fn refuse_generated_chains(table: &Table) -> Result<()> {
    for (at, column) in table.columns.iter().enumerate() {
        let read = column.generated.as_ref().and_then(|expr| expr.columns());
        refuse_generated_reads(table, at, &read.unwrap_or_default())?;
    }
    Ok(())
}

fn refuse_deferrable(characteristics: Option<&ast::ConstraintCharacteristics>) -> Result<()> {
    let asked = characteristics.is_some_and(|all| {
        all.deferrable == Some(true) || all.initially == Some(ast::DeferrableInitial::Deferred)
    });
    if asked { Err(PgError::unsupported("a key that is DEFERRABLE")) } else { Ok(()) }
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

/// `kind`: what the key is called.
fn index_columns(table: &Table, columns: &[ast::IndexColumn], kind: &str) -> Result<Vec<usize>> {
    let name = |column: &ast::IndexColumn| match &column.column.expr {
        ast::Expr::Identifier(name) => Ok(name.clone()),
        other => Err(PgError::unsupported(format_args!("the key {other}"))),
    };
    let names = columns.iter().map(name).collect::<Result<Vec<ast::Ident>>>()?;
    let columns = columns_of(table, &names)?;
    let twice = (1..columns.len()).find(|at| columns[..*at].contains(&columns[*at]));
    match twice {
        Some(at) => {
            let name = ident(&names[at]);
            let message = format!("column \"{name}\" appears twice in {kind} constraint");
            Err(PgError::new("42701", message))
        }
        None => Ok(columns),
    }
}

/// `first_second_label`, cut to what a name may be: the longer part first.
fn joined(first: &str, second: Option<&str>, label: &str) -> String {
    let room = 62 - label.len() - usize::from(second.is_some());
    let (mut a, mut b) = (first.len(), second.map_or(0, str::len));
    while a + b > room {
        if a > b { a -= 1 } else { b -= 1 }
    }
    let cut = |text: &str, most: usize| text[..text.floor_char_boundary(most)].to_owned();
    match second {
        Some(second) => format!("{}_{}_{label}", cut(first, a), cut(second, b)),
        None => format!("{}_{label}", cut(first, a)),
    }
}

/// A free name for what belongs to a table, which no open transaction gives to anything either.
pub fn made_name(cx: &Cx<'_>, table: &Table, second: Option<&str>, label: &str) -> String {
    let taken = |name: &str| {
        cx.db.catalog.taken(name, cx.db.own(cx.pid)) != Taken::No
            || table.indexes.iter().any(|index| !index.dropped && *index.name == *name)
            || table.checks.iter().any(|check| *check.name == *name)
            || table.foreign_keys.iter().any(|key| *key.name == *name)
    };
    let wanted = joined(&table.name, second, label);
    if !taken(&wanted) {
        return wanted;
    }
    let numbered = (1..u32::MAX).map(|n| joined(&table.name, second, &format!("{label}{n}")));
    numbered.into_iter().find(|name| !taken(name)).unwrap_or(wanted)
}

pub fn has_constraint(table: &Table, name: &str) -> bool {
    let key = |index: &Index| index.constraint && !index.dropped && *index.name == *name;
    table.checks.iter().any(|check| *check.name == *name)
        || table.foreign_keys.iter().any(|key| *key.name == *name)
        || table.indexes.iter().any(key)
}

/// 42710 or 42P07 if a constraint's name is taken.
fn require_free(cx: &Cx<'_>, table: &Table, name: &str, kind: Kind) -> Result<()> {
    checked_name(name)?;
    let relation = &table.name;
    let is_check = table.checks.iter().any(|check| *check.name == *name);
    let is_index = table.indexes.iter().any(|index| !index.dropped && *index.name == *name);
    let exists = kind == Kind::Index && (is_index || **relation == *name || is_taken(cx, name));
    if exists {
        return Err(PgError::new("42P07", format!("relation \"{name}\" already exists")));
    }
    if kind == Kind::Check && is_check && cx.db.catalog.tables.latest(&table.oid).is_none() {
        return Err(PgError::new("42710", format!("check constraint \"{name}\" already exists")));
    }
    if has_constraint(table, name) {
        let message = format!("constraint \"{name}\" for relation \"{relation}\" already exists");
        return Err(PgError::new("42710", message));
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Check,
    Index,
    ForeignKey,
}

fn names_of(table: &Table, columns: &[usize]) -> String {
    columns.iter().map(|at| &*table.columns[*at].name).collect::<Vec<&str>>().join("_")
}

fn add_key(cx: &mut Cx<'_>, table: &mut Table, key: Key) -> Result<()> {
    if let Some(name) = &key.name {
        require_free(cx, table, name, Kind::Index)?;
    }
    let name = key.name.unwrap_or_else(|| {
        if key.primary {
            return made_name(cx, table, None, "pkey");
        }
        let all: Vec<usize> = key.columns.iter().chain(&key.includes).copied().collect();
        made_name(cx, table, Some(&names_of(table, &all)), "key")
    });
    for column in key.columns.iter().map(|at| &table.columns[*at]) {
        keyable(column.ty)?;
    }
    table.indexes.push(Index {
        name: name.into(),
        parts: key.columns.into_iter().map(IndexPart::Column).collect(),
        unique: true,
        primary: key.primary,
        constraint: true,
        nulls_distinct: key.nulls_distinct,
        predicate: None,
        includes: key.includes,
        dropped: false,
    });
    Ok(())
}

/// 42704 for a type whose values have no order.
pub fn keyable(ty: Ty) -> Result<()> {
    if ty != Ty::JSON {
        return Ok(());
    }
    let message = "data type json has no default operator class for access method \"btree\"";
    let hint = "You must specify an operator class for the index or define a default operator \
                class for the data type.";
    Err(PgError::new("42704", message).hint(hint))
}

fn add_check(
    cx: &mut Cx<'_>,
    table: &mut Table,
    name: Option<String>,
    expr: &ast::Expr,
) -> Result<()> {
    let analyzer = part(cx, "check constraint");
    let typed = analyzer.table_expr(expr, table)?;
    let condition = analyzer.condition(typed, "CHECK")?;
    if let Some(name) = &name {
        require_free(cx, table, name, Kind::Check)?;
    }
    let name = name.unwrap_or_else(|| {
        let mut read = condition.columns().unwrap_or_default();
        read.sort_unstable();
        read.dedup();
        let of = match read.as_slice() {
            [only] => Some(table.columns[*only].name.to_string()),
            _ => None,
        };
        made_name(cx, table, of.as_deref(), "check")
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

/// Who points at a table must be allowed to.
fn require_references(cx: &Cx<'_>, target: &Table) -> Result<()> {
    Analyzer::new(cx.db, cx.pid, "", &[]).guard(target, Privileges::REFERENCES)
}

pub fn add_foreign_key(
    cx: &mut Cx<'_>,
    table: &mut Table,
    (name, key, columns): Foreign<'_>,
) -> Result<()> {
    if let Some(name) = &name {
        require_free(cx, table, name, Kind::ForeignKey)?;
    }
    let target_name = object_name(&key.foreign_table)?;
    let target = if target_name == *table.name {
        Arc::new(table.clone())
    } else {
        cx.db.table(&target_name, cx.pid)?
    };
    require_references(cx, &target)?;
    if !matches!(key.match_kind, None | Some(ast::ConstraintReferenceMatchKind::Simple)) {
        return Err(PgError::unsupported("a foreign key that is MATCH FULL or MATCH PARTIAL"));
    }
    let pointing = |error: PgError| {
        let message =
            error.fields().message.replace("named in key", "referenced in foreign key constraint");
        PgError::new("42703", message)
    };
    let columns = columns_of(table, columns).map_err(pointing)?;
    let target_columns = if key.referred_columns.is_empty() {
        target.primary().and_then(Index::columns).ok_or_else(|| {
            let message = format!("there is no primary key for referenced table \"{target_name}\"");
            PgError::new("42704", message)
        })?
    } else {
        columns_of(&target, &key.referred_columns).map_err(pointing)?
    };
    require_unique(&target, &target_columns)?;
    if columns.len() != target_columns.len() {
        let message = "number of referencing and referenced columns for foreign key disagree";
        return Err(PgError::new("42830", message));
    }
    let name =
        name.unwrap_or_else(|| made_name(cx, table, Some(&names_of(table, &columns)), "fkey"));
    for (own, theirs) in columns.iter().zip(&target_columns) {
        comparable(&name, &table.columns[*own], &target.columns[*theirs])?;
    }
    let (on_delete, on_update) = (action(key.on_delete), action(key.on_update));
    if columns.iter().any(|at| table.columns[*at].generated.is_some()) {
        refuse_generated(on_delete, on_update)?;
    }
    let deferred = key.characteristics.as_ref().is_some_and(|characteristics| {
        characteristics.initially == Some(ast::DeferrableInitial::Deferred)
    });
    let oid = cx.db.catalog.new_oid();
    table.foreign_keys.push(ForeignKey {
        oid,
        name: name.into(),
        columns,
        target: target.oid,
        target_columns,
        on_delete,
        on_update,
        deferred,
        validated: true,
    });
    Ok(())
}

/// What a foreign key points at must be a key.
fn require_unique(target: &Table, columns: &[usize]) -> Result<()> {
    let mut sorted = columns.to_vec();
    sorted.sort_unstable();
    let unique = target.indexes.iter().any(|index| {
        let mut own = index.columns().unwrap_or_default();
        own.sort_unstable();
        index.unique && !index.dropped && index.predicate.is_none() && own == sorted
    });
    if unique {
        return Ok(());
    }
    let message = format!(
        "there is no unique constraint matching given keys for referenced table \"{}\"",
        target.name
    );
    Err(PgError::new("42830", message))
}

/// A generated column takes no value from an action.
fn refuse_generated(on_delete: Action, on_update: Action) -> Result<()> {
    let sets = |action: Action| matches!(action, Action::SetNull | Action::SetDefault);
    let event = match (on_update, on_delete) {
        (update, _) if sets(update) || update == Action::Cascade => "UPDATE",
        (_, delete) if sets(delete) => "DELETE",
        _ => return Ok(()),
    };
    let message =
        format!("invalid ON {event} action for foreign key constraint containing generated column");
    Err(PgError::new("42601", message))
}

/// Whether values of both columns can be looked for as they are.
fn comparable(name: &str, own: &Column, theirs: &Column) -> Result<()> {
    let whole = |ty: Ty| [Ty::INT2, Ty::INT4, Ty::INT8].contains(&ty);
    let text = |ty: Ty| [Ty::TEXT, Ty::VARCHAR].contains(&ty);
    let (a, b) = (own.ty, theirs.ty);
    if a == Ty::BPCHAR && b == a && own.typmod != theirs.typmod {
        return Err(PgError::unsupported("a foreign key of characters of another length"));
    }
    if a == b || (whole(a) && whole(b)) || (text(a) && text(b)) {
        return Ok(());
    }
    let plain = [Ty::INT2, Ty::INT4, Ty::INT8, Ty::BOOL, Ty::DATE, Ty::UUID, Ty::NUMERIC];
    if (text(a) && plain.contains(&b)) || (text(b) && plain.contains(&a)) {
        let message = format!("foreign key constraint \"{name}\" cannot be implemented");
        let detail = format!(
            "Key columns \"{}\" and \"{}\" are of incompatible types: {} and {}.",
            own.name,
            theirs.name,
            a.name(),
            b.name()
        );
        return Err(PgError::new("42804", message).detail(detail));
    }
    Err(PgError::unsupported(format_args!("a foreign key from {} to {}", a.name(), b.name())))
}
