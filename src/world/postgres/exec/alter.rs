//! ALTER TABLE. Must never leave a definition and the rows under it at odds.

use std::sync::Arc;

use sqlparser::ast::TableConstraint::ForeignKey;
use sqlparser::ast::{self, AlterColumnOperation, AlterTableOperation};

use super::anew::{is_dead, is_filled, write_anew};
use super::ddl::{self, build_index};
use super::drops::refuse_targeted;
use super::foreign::refuse_used;
use super::retype::{retype, retyped};
use super::sequence::drop_owned;
use super::validate::{check_rows, validate};
use super::{Cx, Frame, constants, eval, foreign, keys, policies, roles};
use crate::world::postgres::error::{PgError, Result, Step, Stop, common};
use crate::world::postgres::sql::{Expr, ident, object_name};
use crate::world::postgres::storage::catalog::{Column, Index, Table};
use crate::world::postgres::storage::locks::{Mode, Oid};
use crate::world::postgres::types::{Datum, Row};

pub fn alter_table(cx: &mut Cx<'_>, parsed: &ast::AlterTable) -> Step<()> {
    let found = object_name(&parsed.name).and_then(|name| cx.db.table(&name, cx.pid));
    if found.is_err() && parsed.if_exists {
        let name = parsed.name.0.last().and_then(|part| part.as_ident());
        let name = name.map(ident).unwrap_or_default();
        ddl::notice(cx, "00000", format!("relation \"{name}\" does not exist, skipping"));
        return Ok(());
    }
    let found = found?;
    roles::require_owner(cx, &found)?;
    let oid = found.oid;
    let modes = parsed.operations.iter().map(mode);
    cx.lock_table(oid, modes.max().unwrap_or(Mode::AccessExclusive))?;
    let table = cx.db.table_by_oid(oid, cx.pid)?;
    if !parsed.operations.iter().all(renames) {
        refuse_used(cx, &table, "ALTER TABLE")?;
    }
    refuse_twice(&parsed.operations)?;
    cx.state.own.altered.push(oid);
    let mut retyped = retyped(cx, &table, &parsed.operations)?;
    let several = parsed.operations.iter().filter(|operation| fills(operation)).count() > 1;
    let mut operations: Vec<&AlterTableOperation> = parsed.operations.iter().collect();
    operations.sort_by_key(|operation| turn(operation));
    let mut anew = false;
    for operation in operations {
        let table = cx.db.table_by_oid(oid, cx.pid)?;
        if !is_taken(&table, operation) {
            lock_target(cx, &table, operation)?;
        }
        let mut changed = (*table).clone();
        if turn(operation) == RETYPES {
            anew |= retype(cx, &mut changed, &std::mem::take(&mut retyped))?;
        } else {
            apply(cx, &table, &mut changed, operation)?;
        }
        ddl::claim_class(cx, &table, &mut changed)?;
        if let Some(column) = changed.columns.get(table.columns.len()) {
            if several {
                refuse_told(column)?;
            }
            let written = is_filled(cx, column)?;
            anew |= written;
            fill_column(cx, &table, &changed, written)?;
        }
        build_new(cx, &table, &changed)?;
        if let AlterTableOperation::AddConstraint { not_valid: false, .. } = operation {
            check_rows(cx, &table, &changed)?;
        }
        if !changes_nothing(operation, &table) {
            ddl::alter(cx, changed)?;
        }
    }
    if anew {
        write_anew(cx, oid);
    }
    let now = cx.db.table_by_oid(oid, cx.pid)?;
    Ok(refuse_equal_keys(&now.indexes[table.indexes.len()..])?)
}

/// Of a table that is in use, names may change.
fn renames(operation: &AlterTableOperation) -> bool {
    matches!(
        operation,
        AlterTableOperation::RenameColumn { .. } | AlterTableOperation::RenameTable { .. }
    )
}

/// What is there already, or is not there any more: whoever changes the table otherwise is in
/// nobody's way.
fn changes_nothing(operation: &AlterTableOperation, table: &Table) -> bool {
    match operation {
        AlterTableOperation::AddColumn { column_def, if_not_exists: true, .. } => {
            table.column(&ident(&column_def.name)).is_some()
        }
        AlterTableOperation::DropColumn { column_names, if_exists: true, .. } => {
            column_names.iter().all(|name| table.column(&ident(name)).is_none())
        }
        AlterTableOperation::DropConstraint { name, if_exists: true, .. } => {
            !keys::has_constraint(table, &ident(name))
        }
        _ => false,
    }
}

/// Whether it gives every row a value that is worked out.
fn fills(operation: &AlterTableOperation) -> bool {
    let filler = |option: &ast::ColumnOptionDef| match &option.option {
        ast::ColumnOption::Default(_) => true,
        ast::ColumnOption::Generated { generation_expr, .. } => generation_expr.is_some(),
        _ => false,
    };
    match operation {
        AlterTableOperation::AddColumn { column_def, .. } => column_def.options.iter().any(filler),
        AlterTableOperation::AlterColumn { op, .. } => {
            matches!(op, AlterColumnOperation::SetDataType { using: Some(_), .. })
        }
        _ => false,
    }
}

/// PostgreSQL works out all new values of a row before those of the next: what shows in which
/// order its values are worked out stands alone.
fn refuse_told(column: &Column) -> Result<()> {
    let mut told = false;
    for filler in column.generated.iter().chain(&column.default) {
        filler.walk(&mut |part| {
            told |= match part {
                Expr::Counted(name, _) => {
                    !matches!(*name, "random" | "gen_random_uuid" | "clock_timestamp")
                }
                other => matches!(other, Expr::Routine { .. }),
            };
        });
    }
    if told {
        return Err(PgError::unsupported("a new column whose default counts, beside other values"));
    }
    Ok(())
}

/// PostgreSQL makes one of the equal keys of a statement.
fn refuse_equal_keys(added: &[Index]) -> Result<()> {
    let equal = |(at, key): (usize, &Index)| {
        added[..at].iter().any(|other| {
            (other.columns(), &other.includes, other.nulls_distinct)
                == (key.columns(), &key.includes, key.nulls_distinct)
        })
    };
    if added.iter().enumerate().any(equal) {
        return Err(PgError::unsupported("ALTER TABLE with two equal keys"));
    }
    Ok(())
}

/// The turn of those that give a column another type: all at once.
const RETYPES: usize = 1;

/// When its turn comes among the operations of one statement.
fn turn(operation: &AlterTableOperation) -> usize {
    use AlterColumnOperation::{DropDefault, DropNotNull, SetDataType, SetDefault, SetNotNull};
    match operation {
        AlterTableOperation::DropColumn { .. }
        | AlterTableOperation::DropConstraint { .. }
        | AlterTableOperation::AlterColumn { op: DropDefault | DropNotNull, .. } => 0,
        AlterTableOperation::AlterColumn { op: SetDataType { .. }, .. } => RETYPES,
        AlterTableOperation::AddColumn { .. } => 2,
        AlterTableOperation::AlterColumn { op: SetNotNull, .. } => 3,
        AlterTableOperation::AddConstraint { constraint, .. } => match constraint {
            ast::TableConstraint::PrimaryKey(_) | ast::TableConstraint::Unique(_) => 4,
            _ => 5,
        },
        AlterTableOperation::AlterColumn { op: SetDefault { .. }, .. } => 5,
        _ => 6,
    }
}

/// PostgreSQL gives a column one other type at a time.
fn refuse_twice(operations: &[AlterTableOperation]) -> Result<()> {
    let mut seen = Vec::new();
    for operation in operations {
        let AlterTableOperation::AlterColumn { column_name, op } = operation else { continue };
        if !matches!(op, AlterColumnOperation::SetDataType { .. }) {
            continue;
        }
        let name = ident(column_name);
        if seen.contains(&name) {
            let message = format!("cannot alter type of column \"{name}\" twice");
            return Err(PgError::new("0A000", message));
        }
        seen.push(name);
    }
    Ok(())
}

/// The lock that an operation needs on the table.
fn mode(operation: &AlterTableOperation) -> Mode {
    match operation {
        AlterTableOperation::AddConstraint { constraint: ForeignKey(_), .. } => {
            Mode::ShareRowExclusive
        }
        AlterTableOperation::ValidateConstraint { .. } => Mode::ShareUpdateExclusive,
        _ => Mode::AccessExclusive,
    }
}

/// Whether what it would add is there: then it is refused, or skipped, without a look further.
fn is_taken(table: &Table, operation: &AlterTableOperation) -> bool {
    match operation {
        AlterTableOperation::AddConstraint { constraint: ForeignKey(key), .. } => {
            key.name.as_ref().is_some_and(|name| keys::has_constraint(table, &ident(name)))
        }
        _ => false,
    }
}

fn target_of(cx: &Cx<'_>, key: &ast::ForeignKeyConstraint) -> Result<Oid> {
    let name = object_name(&key.foreign_table)?;
    cx.db.table(&name, cx.pid).map(|target| target.oid)
}

/// Locks the tables that the foreign keys of a new column point at.
fn lock_targets(cx: &mut Cx<'_>, column: &ast::ColumnDef) -> Step<()> {
    for option in &column.options {
        if let ast::ColumnOption::ForeignKey(key) = &option.option {
            let target = target_of(cx, key)?;
            cx.lock_table(target, Mode::ShareRowExclusive)?;
        }
    }
    Ok(())
}

/// Locks the table that a foreign key of the operation points at.
fn lock_target(cx: &mut Cx<'_>, table: &Table, operation: &AlterTableOperation) -> Step<()> {
    let named = |name: &ast::Ident| {
        let name = ident(name);
        table.foreign_keys.iter().find(|key| *key.name == *name)
    };
    let (target, mode) = match operation {
        AlterTableOperation::AddConstraint { constraint: ForeignKey(key), .. } => {
            (Some(target_of(cx, key)?), Mode::ShareRowExclusive)
        }
        AlterTableOperation::DropConstraint { name, .. } => {
            (named(name).map(|key| key.target), Mode::AccessExclusive)
        }
        AlterTableOperation::ValidateConstraint { name } => {
            let open = named(name).filter(|key| !key.validated);
            (open.map(|key| key.target), Mode::RowShare)
        }
        _ => return Ok(()),
    };
    match target {
        Some(target) => cx.lock_table(target, mode),
        None => Ok(()),
    }
}

pub fn no_column(table: &Table, name: &str) -> PgError {
    let relation = &table.name;
    PgError::new("42703", format!("column \"{name}\" of relation \"{relation}\" does not exist"))
}

fn apply(
    cx: &mut Cx<'_>,
    table: &Arc<Table>,
    changed: &mut Table,
    operation: &AlterTableOperation,
) -> Step<()> {
    match operation {
        AlterTableOperation::AddColumn { column_def, if_not_exists, .. } => {
            add_column(cx, table, changed, column_def, *if_not_exists)
        }
        AlterTableOperation::DropColumn { column_names, if_exists, drop_behavior, .. } => {
            let cascade = *drop_behavior == Some(ast::DropBehavior::Cascade);
            drop_columns(cx, table, changed, column_names, (*if_exists, cascade))
        }
        AlterTableOperation::AddConstraint { constraint, not_valid } => {
            let rules = std::slice::from_ref(constraint);
            keys::add_constraints(cx, changed, (&[], rules)).map_err(PgError::unplaced)?;
            for key in &mut changed.foreign_keys[table.foreign_keys.len()..] {
                key.validated = !not_valid;
            }
            Ok(())
        }
        AlterTableOperation::ValidateConstraint { name } => {
            validate(cx, table, changed, &ident(name))
        }
        AlterTableOperation::DropConstraint { name, if_exists, drop_behavior } => {
            let cascade = *drop_behavior == Some(ast::DropBehavior::Cascade);
            drop_constraint(cx, changed, &ident(name), *if_exists, cascade)
        }
        AlterTableOperation::RenameColumn { old_column_name, new_column_name } => {
            Ok(rename_column(cx, changed, &ident(old_column_name), &ident(new_column_name))?)
        }
        AlterTableOperation::RenameTable { table_name } => {
            let (ast::RenameTableNameKind::To(name) | ast::RenameTableNameKind::As(name)) =
                table_name;
            rename_table(cx, changed, object_name(name)?)
        }
        AlterTableOperation::AlterColumn { column_name, op } => {
            let name = ident(column_name);
            let at = table.column(&name).ok_or_else(|| no_column(table, &name))?;
            alter_column(cx, changed, at, op)
        }
        AlterTableOperation::OwnerTo { new_owner } => roles::give(cx, changed, new_owner),
        AlterTableOperation::EnableRowLevelSecurity
        | AlterTableOperation::DisableRowLevelSecurity => {
            changed.security.enabled = *operation == AlterTableOperation::EnableRowLevelSecurity;
            changed.touch_class();
            Ok(())
        }
        AlterTableOperation::ForceRowLevelSecurity
        | AlterTableOperation::NoForceRowLevelSecurity => {
            changed.security.forced = *operation == AlterTableOperation::ForceRowLevelSecurity;
            changed.touch_class();
            Ok(())
        }
        other => Err(PgError::unsupported(format_args!("ALTER TABLE {other}")).into()),
    }
}

fn add_column(
    cx: &mut Cx<'_>,
    table: &Table,
    changed: &mut Table,
    definition: &ast::ColumnDef,
    if_not_exists: bool,
) -> Step<()> {
    let name = ident(&definition.name);
    if if_not_exists && table.column(&name).is_some() {
        let relation = &table.name;
        let message =
            format!("column \"{name}\" of relation \"{relation}\" already exists, skipping");
        ddl::notice(cx, "42701", message);
        return Ok(());
    }
    // Where the type stands is known, where its default does is not.
    let unplaced = |error: PgError| if error.code() == "42704" { error } else { error.unplaced() };
    ddl::new_column(cx, changed, definition).map_err(|stop| match stop {
        Stop::Error(error) => unplaced(error).into(),
        other => other,
    })?;
    ddl::claim_class(cx, table, changed)?;
    ddl::set_default(cx, changed, definition).map_err(unplaced)?;
    lock_targets(cx, definition)?;
    Ok(keys::add_constraints(cx, changed, (std::slice::from_ref(definition), &[]))?)
}

fn drop_columns(
    cx: &mut Cx<'_>,
    table: &Table,
    changed: &mut Table,
    names: &[ast::Ident],
    (if_exists, cascade): (bool, bool),
) -> Step<()> {
    for name in names {
        let name = ident(name);
        match table.column(&name) {
            Some(at) => {
                refuse_needed(cx, table, at, cascade)?;
                for key in table.foreign_keys.iter().filter(|key| key.columns.contains(&at)) {
                    cx.lock_table(key.target, Mode::AccessExclusive)?;
                }
                drop_owned(cx, table, at)?;
                drop_column(changed, at);
            }
            None if if_exists => {
                let message = no_column(table, &name).fields().message.clone();
                ddl::notice(cx, "00000", format!("{message}, skipping"));
            }
            None => return Err(no_column(table, &name).into()),
        }
    }
    Ok(())
}

fn rename_column(cx: &Cx<'_>, table: &mut Table, old: &str, new: &str) -> Result<()> {
    let at = table.column(old).ok_or_else(|| common::no_column(old))?;
    ddl::refuse_column_name(new)?;
    if table.column(new).is_some() {
        let relation = &table.name;
        let message = format!("column \"{new}\" of relation \"{relation}\" already exists");
        return Err(PgError::new("42701", message));
    }
    policies::refuse_rename(cx, old)?;
    policies::rename_column(table, old, new);
    table.columns[at].name = new.into();
    Ok(())
}

fn rename_table(cx: &mut Cx<'_>, table: &mut Table, name: String) -> Step<()> {
    ddl::checked_name(&name)?;
    roles::require_create(cx)?;
    if ddl::is_taken(cx, &name) {
        return Err(PgError::new("42P07", format!("relation \"{name}\" already exists")).into());
    }
    policies::refuse_rename(cx, &table.name)?;
    cx.db.claim(cx.pid, &name, false)?;
    policies::rename_table(table, &name);
    table.name = name.into();
    Ok(())
}

/// Gives every row the new last column's default.
fn fill_column(cx: &mut Cx<'_>, table: &Table, changed: &Table, anew: bool) -> Step<()> {
    let Some(column) = changed.columns.last() else { return Ok(()) };
    let filler = column.generated.as_ref().or(column.default.as_ref());
    if let Some(expr) = filler {
        constants::check_one(expr, cx)?;
    }
    let tids: Vec<u64> = cx.db.heap(table.oid).iter().map(|(tid, _)| tid).collect();
    for tid in tids {
        let Some(version) = cx.db.heap(table.oid).get(tid) else { continue };
        let left_out = anew && is_dead(version, &cx.db.xacts);
        let before = version.row.clone();
        let value = match filler {
            Some(expr) if !left_out => eval(expr, cx, &Frame::of(&before))?,
            _ => Datum::Null,
        };
        if let Some(version) = cx.db.heap_mut(table.oid).get_mut(tid) {
            let mut row = version.row.to_vec();
            row.truncate(table.columns.len());
            row.resize(table.columns.len(), Datum::Null);
            row.push(value);
            version.row = Row::from(row);
        }
    }
    check_rows(cx, table, changed)
}

fn build_new(cx: &mut Cx<'_>, table: &Table, changed: &Table) -> Step<()> {
    for at in table.indexes.len()..changed.indexes.len() {
        build_index(cx, changed, at)?;
    }
    Ok(())
}

fn drop_column(changed: &mut Table, at: usize) {
    let name = format!("........pg.dropped.{}........", at + 1);
    let column = &mut changed.columns[at];
    (column.dropped, column.not_null, column.default) = (true, false, None);
    (column.identity, column.generated) = (None, None);
    column.name = name.into();
    for index in &mut changed.indexes {
        index.dropped |= index.reads(at);
    }
    changed.checks.retain(|check| !check.expr.columns().unwrap_or_default().contains(&at));
    changed.foreign_keys.retain(|key| !key.columns.contains(&at));
}

/// 2BP01 if something else needs the column.
fn refuse_needed(cx: &Cx<'_>, table: &Table, at: usize, cascade: bool) -> Result<()> {
    let (name, relation) = (&table.columns[at].name, &table.name);
    let mut why = Vec::new();
    for (other, column) in table.columns.iter().enumerate() {
        let reads = |expr: &Arc<Expr>| expr.columns().is_none_or(|all| all.contains(&at));
        if other != at && !column.dropped && column.generated.as_ref().is_some_and(reads) {
            why.push(format!("column {} of table {relation}", column.name));
        }
    }
    let policies = policies::of_column(cx, table, at)?;
    why.extend(policies.iter().map(|policy| format!("policy {policy} on table {relation}")));
    for (child, key) in foreign::referrers(cx, table.oid) {
        let key = &child.foreign_keys[key];
        let goes = child.oid == table.oid && key.columns.contains(&at);
        if key.target_columns.contains(&at) && !goes {
            why.push(format!("constraint {} on table {}", key.name, child.name));
        }
    }
    let what = match why.as_slice() {
        [] => return Ok(()),
        [only] if !cascade => only,
        _ => return Err(PgError::unsupported("DROP COLUMN of what others depend on")),
    };
    let message =
        format!("cannot drop column {name} of table {relation} because other objects depend on it");
    let detail = format!("{what} depends on column {name} of table {relation}");
    let hint = "Use DROP ... CASCADE to drop the dependent objects too.";
    Err(PgError::new("2BP01", message).detail(detail).hint(hint))
}

fn drop_constraint(
    cx: &mut Cx<'_>,
    changed: &mut Table,
    name: &str,
    if_exists: bool,
    cascade: bool,
) -> Step<()> {
    let is_key = |index: &Index| index.constraint && !index.dropped && *index.name == *name;
    if let Some(at) = changed.indexes.iter().position(is_key) {
        let what = format!("constraint {name} on table {}", changed.name);
        refuse_targeted(cx, changed, at, &what).map_err(|error| {
            if cascade { PgError::unsupported("DROP CONSTRAINT CASCADE") } else { error }
        })?;
    }
    if let Some(key) = changed.foreign_keys.iter().find(|key| *key.name == *name) {
        let target = cx.db.table_by_oid(key.target, cx.pid)?;
        foreign::refuse_used(cx, &target, "ALTER TABLE")?;
    }
    let before = (changed.checks.len(), changed.foreign_keys.len());
    changed.checks.retain(|check| *check.name != *name);
    changed.foreign_keys.retain(|key| *key.name != *name);
    let mut found = before != (changed.checks.len(), changed.foreign_keys.len());
    for index in &mut changed.indexes {
        if index.constraint && !index.dropped && *index.name == *name {
            (index.dropped, found) = (true, true);
        }
    }
    if found {
        return Ok(());
    }
    let relation = &changed.name;
    let message = format!("constraint \"{name}\" of relation \"{relation}\" does not exist");
    if if_exists {
        ddl::notice(cx, "00000", format!("{message}, skipping"));
        return Ok(());
    }
    Err(PgError::new("42704", message).into())
}

/// Identity, generated and key columns keep what they are.
fn refuse_kind(table: &Table, at: usize, op: &AlterColumnOperation) -> Result<()> {
    let (column, relation) = (&table.columns[at], &table.name);
    let name = &column.name;
    let drops = *op == AlterColumnOperation::DropDefault;
    let defaults = drops || matches!(op, AlterColumnOperation::SetDefault { .. });
    let frees = *op == AlterColumnOperation::DropNotNull;
    let key = |index: &Index| {
        index.primary && !index.dropped && index.columns().is_some_and(|all| all.contains(&at))
    };
    if frees && column.identity.is_none() && table.indexes.iter().any(key) {
        let message = format!("column \"{name}\" is in a primary key");
        return Err(PgError::new("42P16", message));
    }
    let (kind, way) = match column {
        Column { identity: Some(_), .. } if defaults || frees => ("an identity", "IDENTITY"),
        Column { generated: Some(_), .. } if defaults => ("a generated", "EXPRESSION"),
        _ => return Ok(()),
    };
    let message = format!("column \"{name}\" of relation \"{relation}\" is {kind} column");
    let error = PgError::new("42601", message);
    if !drops {
        return Err(error);
    }
    Err(error.hint(format!("Use ALTER TABLE ... ALTER COLUMN ... DROP {way} instead.")))
}

fn alter_column(
    cx: &mut Cx<'_>,
    changed: &mut Table,
    at: usize,
    op: &AlterColumnOperation,
) -> Step<()> {
    refuse_kind(changed, at, op)?;
    match op {
        AlterColumnOperation::SetNotNull => {
            changed.columns[at].not_null = true;
            check_rows(cx, &changed.clone(), changed)
        }
        AlterColumnOperation::DropNotNull => {
            changed.columns[at].not_null = false;
            Ok(())
        }
        AlterColumnOperation::SetDefault { value } => {
            let default = ddl::default_expr(cx, value, &changed.columns[at]);
            let default = default.map_err(PgError::unplaced)?;
            changed.columns[at].default = default;
            Ok(())
        }
        AlterColumnOperation::DropDefault => {
            changed.columns[at].default = None;
            Ok(())
        }
        other => Err(PgError::unsupported(format_args!("ALTER COLUMN {other}")).into()),
    }
}
