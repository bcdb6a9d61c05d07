//! DROP and TRUNCATE. Must never touch a table before it is locked.

use std::sync::Arc;

use sqlparser::ast::{self};

use super::calls::{Call, once};
use super::ddl::{alter, notice, put_rows};
use super::foreign::{referrers, refuse_used};
use super::policies::mentioned;
use super::sequence::{drop_sequence, is_numbered, owned, restart_owned};
use super::{Cx, roles};
use crate::world::postgres::error::{PgError, Result, Step};
use crate::world::postgres::sql::{Analyzer, object_name};
use crate::world::postgres::storage::catalog::{Index, Table};
use crate::world::postgres::storage::locks::{Mode, Oid};
use crate::world::postgres::storage::roles::Privileges;
use crate::world::postgres::types::Datum;

pub fn truncate(cx: &mut Cx<'_>, truncate: &ast::Truncate) -> Step<()> {
    let mut oids: Vec<Oid> = Vec::new();
    for target in &truncate.table_names {
        let table = cx.db.table(&object_name(&target.name)?, cx.pid)?;
        Analyzer::new(cx.db, cx.pid, "", &[]).guard(&table, Privileges::TRUNCATE)?;
        oids.push(table.oid);
    }
    for oid in &oids {
        cx.lock_table(*oid, Mode::AccessExclusive)?;
        refuse_used(cx, &*cx.db.table_by_oid(*oid, cx.pid)?, "TRUNCATE")?;
    }
    let named = oids.len();
    let cascade = truncate.cascade == Some(ast::CascadeOption::Cascade);
    loop {
        let all = oids.iter().flat_map(|oid| referrers(cx, *oid));
        let mut more: Vec<Oid> = all.map(|(child, _)| child.oid).collect();
        more.retain(|oid| !oids.contains(oid));
        more.sort_unstable();
        more.dedup();
        if more.is_empty() {
            break;
        }
        if !cascade {
            return Err(truncate_refused(cx, &oids).into());
        }
        oids.extend(more);
    }
    for oid in &oids[named..] {
        cx.lock_table(*oid, Mode::AccessExclusive)?;
    }
    for oid in &oids[named..] {
        let table = cx.db.table_by_oid(*oid, cx.pid)?;
        notice(cx, "00000", format!("truncate cascades to table \"{}\"", table.name));
        Analyzer::new(cx.db, cx.pid, "", &[]).guard(&table, Privileges::TRUNCATE)?;
        refuse_used(cx, &table, "TRUNCATE")?;
    }
    for oid in oids {
        // It gets another file.
        let mut table = (*cx.db.table_by_oid(oid, cx.pid)?).clone();
        table.touch_class();
        cx.db.put_table(cx.pid, oid, Some(table))?;
        put_rows(cx, oid, cx.db.heap(oid).emptied());
        if truncate.identity == Some(ast::TruncateIdentityOption::Restart) {
            restart_owned(cx, oid)?;
        }
    }
    Ok(())
}

/// The first of the tables that another one points at.
fn truncate_refused(cx: &Cx<'_>, oids: &[Oid]) -> PgError {
    let message = "cannot truncate a table referenced in a foreign key constraint";
    let error = PgError::new("0A000", message);
    let pointed = |oid: &Oid| {
        let mut others = referrers(cx, *oid);
        others.retain(|(child, _)| !oids.contains(&child.oid));
        let (child, _) = others.into_iter().min_by_key(|(child, _)| child.oid)?;
        Some((child.name.clone(), cx.db.catalog.tables.latest(oid)?.name.clone()))
    };
    let Some((child, own)) = oids.iter().find_map(pointed) else { return error };
    let hint = format!("Truncate table \"{child}\" at the same time, or use TRUNCATE ... CASCADE.");
    error.detail(format!("Table \"{child}\" references \"{own}\".")).hint(hint)
}

pub fn drop_objects(
    cx: &mut Cx<'_>,
    object: ast::ObjectType,
    names: &[ast::ObjectName],
    if_exists: bool,
    cascade: bool,
) -> Step<()> {
    if object == ast::ObjectType::Table {
        return drop_tables(cx, names, if_exists, cascade);
    }
    for name in names {
        let Some(name) = dropped_name(cx, name, if_exists)? else { continue };
        match object {
            ast::ObjectType::Index => drop_index(cx, &name, if_exists)?,
            ast::ObjectType::Sequence => drop_named_sequence(cx, &name, if_exists, cascade)?,
            ast::ObjectType::Role | ast::ObjectType::User => {
                roles::drop_role(cx, &name, if_exists)?;
            }
            other => return Err(PgError::unsupported(format_args!("DROP {other}")).into()),
        }
    }
    Ok(())
}

/// The name of what is to go; `None` if there is no such schema, and need not be.
pub fn dropped_name(
    cx: &mut Cx<'_>,
    name: &ast::ObjectName,
    if_exists: bool,
) -> Result<Option<String>> {
    match object_name(name) {
        Err(error) if if_exists && error.code() == "3F000" => {
            notice(cx, "00000", format!("{}, skipping", error.fields().message));
            Ok(None)
        }
        other => other.map(Some),
    }
}

/// Locks them all before it drops the first: a wait begins the statement anew.
fn drop_tables(
    cx: &mut Cx<'_>,
    names: &[ast::ObjectName],
    if_exists: bool,
    cascade: bool,
) -> Step<()> {
    let mut tables = Vec::with_capacity(names.len());
    for name in names {
        let Some(name) = dropped_name(cx, name, if_exists)? else { continue };
        if !is_there(cx, &name, |cx, name| cx.db.table(name, cx.pid).is_ok())? {
            absent(cx, "table", &name, if_exists)?;
            continue;
        }
        match cx.db.table(&name, cx.pid) {
            Ok(table) => {
                roles::require_owner(cx, &table)?;
                cx.lock_table(table.oid, Mode::AccessExclusive)?;
                tables.push(table);
            }
            Err(_) => absent(cx, "table", &name, if_exists)?,
        }
    }
    let dropped: Vec<Oid> = tables.iter().map(|table| table.oid).collect();
    if !cascade {
        refuse_pointed(cx, &tables, &dropped)?;
    }
    let all: Vec<_> = tables.iter().rev().flat_map(|t| pointing(cx, t, &dropped)).collect();
    tell_cascade(cx, &all);
    for table in &tables {
        // The newest goes first.
        let others = pointing(cx, table, &dropped).into_iter().rev().map(|(child, _)| child.oid);
        let own = table.foreign_keys.iter().rev().map(|key| key.target);
        for oid in others.chain(own) {
            cx.lock_table(oid, Mode::AccessExclusive)?;
        }
    }
    for table in &tables {
        drop_table(cx, table, &dropped)?;
    }
    Ok(())
}

/// Foreign keys of tables that stay that point at one that goes.
fn pointing(cx: &Cx<'_>, table: &Table, dropped: &[Oid]) -> Vec<(Arc<Table>, usize)> {
    let mut all = referrers(cx, table.oid);
    all.retain(|(child, _)| !dropped.contains(&child.oid));
    all
}

/// Whether there was one when the statement came to the name: one that comes while it waits for
/// another is not meant.
fn is_there(cx: &mut Cx<'_>, name: &str, find: fn(&Cx<'_>, &str) -> bool) -> Step<bool> {
    let found = once(Call::Named(Datum::text(name)), cx, |cx| Ok(Datum::Bool(find(cx, name))))?;
    Ok(found.as_bool() == Some(true))
}

fn absent(cx: &mut Cx<'_>, kind: &str, name: &str, if_exists: bool) -> Step<()> {
    let other = if kind != "table" && cx.db.table(name, cx.pid).is_ok() {
        Some("TABLE")
    } else if kind != "index" && cx.db.catalog.index(name, cx.db.own(cx.pid)).is_some() {
        Some("INDEX")
    } else {
        let found = cx.db.catalog.sequence(name, cx.db.own(cx.pid));
        found.filter(|_| kind != "sequence").map(|_| "SEQUENCE")
    };
    if let Some(other) = other {
        let article = if kind == "index" { "an" } else { "a" };
        let message = format!("\"{name}\" is not {article} {kind}");
        let thing = other.to_lowercase();
        let article = if other == "INDEX" { "an" } else { "a" };
        let hint = format!("Use DROP {other} to remove {article} {thing}.");
        return Err(PgError::new("42809", message).hint(hint).into());
    }
    let message = format!("{kind} \"{name}\" does not exist");
    if if_exists {
        notice(cx, "00000", format!("{message}, skipping"));
        return Ok(());
    }
    Err(PgError::new(if kind == "index" { "42704" } else { "42P01" }, message).into())
}

/// 2BP01 if foreign keys of tables that stay point at those that go.
fn refuse_pointed(cx: &Cx<'_>, tables: &[Arc<Table>], dropped: &[Oid]) -> Result<()> {
    let mut lines = Vec::new();
    for table in tables.iter().rev() {
        let name = &table.name;
        for (child, key) in pointing(cx, table, dropped) {
            let (constraint, own) = (&child.foreign_keys[key].name, &child.name);
            lines.push(format!("constraint {constraint} on table {own} depends on table {name}"));
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    let message = match tables {
        [only] => {
            let name = &only.name;
            format!("cannot drop table {name} because other objects depend on it")
        }
        _ => "cannot drop desired object(s) because other objects depend on them".to_owned(),
    };
    let hint = "Use DROP ... CASCADE to drop the dependent objects too.";
    Err(PgError::new("2BP01", message).detail(lines.join("\n")).hint(hint))
}

/// Sequences of a table that goes may number columns of one that stays.
fn refuse_numbered(cx: &Cx<'_>, table: &Table, dropped: &[Oid]) -> Result<()> {
    let owned = cx.db.sequences(cx.pid).filter(|(_, s)| s.owner == Some(table.oid));
    for (oid, sequence) in owned {
        let stays = |other: &&Arc<Table>| !dropped.contains(&other.oid);
        let numbers = |other: &Arc<Table>| {
            other.columns.iter().any(|c| is_numbered(c, (oid, &sequence.name)))
        };
        if cx.db.tables(cx.pid).filter(stays).any(numbers) {
            let what = "DROP TABLE where another table uses a sequence of it";
            return Err(PgError::unsupported(what));
        }
    }
    Ok(())
}

fn drop_table(cx: &mut Cx<'_>, table: &Arc<Table>, dropped: &[Oid]) -> Step<()> {
    refuse_used(cx, table, "DROP TABLE")?;
    refuse_numbered(cx, table, dropped)?;
    if mentioned(cx, &table.name, dropped) {
        return Err(PgError::unsupported("DROP TABLE of what a policy may name").into());
    }
    for (child, _) in pointing(cx, table, dropped) {
        let current = cx.db.table_by_oid(child.oid, cx.pid)?;
        let mut changed = (*current).clone();
        changed.foreign_keys.retain(|foreign| foreign.target != table.oid);
        alter(cx, changed)?;
    }
    for (oid, _) in owned(cx, table.oid) {
        drop_sequence(cx, oid)?;
    }
    if !table.checks.is_empty() {
        let mut without = (**table).clone();
        without.checks.clear();
        without.touch_class();
        cx.db.put_table(cx.pid, table.oid, Some(without))?;
    }
    cx.db.put_table(cx.pid, table.oid, None)
}

/// PostgreSQL says what else goes.
pub fn tell_cascade(cx: &mut Cx<'_>, pointing: &[(Arc<Table>, usize)]) {
    let line = |(child, key): &(Arc<Table>, usize)| {
        let constraint = &child.foreign_keys[*key].name;
        format!("drop cascades to constraint {constraint} on table {}", child.name)
    };
    let lines: Vec<String> = pointing.iter().map(line).collect();
    let told = match lines.as_slice() {
        [] => return,
        [only] => PgError::new("00000", only),
        all => PgError::new("00000", format!("drop cascades to {} other objects", all.len()))
            .detail(all.join("\n")),
    };
    if cx.db.proc(cx.pid).hears("NOTICE") {
        cx.db.proc_mut(cx.pid).notice(told.severity("NOTICE"));
    }
}

fn drop_index(cx: &mut Cx<'_>, name: &str, if_exists: bool) -> Step<()> {
    let there =
        is_there(cx, name, |cx, name| cx.db.catalog.index(name, cx.db.own(cx.pid)).is_some())?;
    let found = cx.db.catalog.index(name, cx.db.own(cx.pid)).filter(|_| there);
    let Some((oid, _)) = found else { return absent(cx, "index", name, if_exists) };
    let table = cx.db.table_by_oid(oid, cx.pid)?;
    roles::require_owner(cx, &table)
        .map_err(|_| PgError::new("42501", format!("must be owner of index {name}")))?;
    cx.lock_table(oid, Mode::AccessExclusive)?;
    let Some((oid, at)) = cx.db.catalog.index(name, cx.db.own(cx.pid)) else {
        return absent(cx, "index", name, if_exists);
    };
    let table = cx.db.table_by_oid(oid, cx.pid)?;
    if table.indexes[at].constraint {
        let what = format!("constraint {name} on table {}", table.name);
        let message = format!("cannot drop index {name} because {what} requires it");
        let hint = format!("You can drop {what} instead.");
        return Err(PgError::new("2BP01", message).hint(hint).into());
    }
    refuse_targeted(cx, &table, at, &format!("index {name}"))?;
    if cx.is_used(oid) {
        // Whether a query uses the index is the planner's.
        return Err(PgError::unsupported("DROP INDEX of a table that a query around uses").into());
    }
    let mut changed = (*table).clone();
    changed.indexes[at].dropped = true;
    alter(cx, changed)
}

/// 2BP01 if a foreign key points at the columns of a unique index that goes.
pub fn refuse_targeted(cx: &Cx<'_>, table: &Table, at: usize, what: &str) -> Result<()> {
    let sorted = |columns: &[usize]| {
        let mut columns = columns.to_vec();
        columns.sort_unstable();
        columns
    };
    let Some(own) = table.indexes[at].columns().map(|own| sorted(&own)) else { return Ok(()) };
    let mut keys = referrers(cx, table.oid);
    keys.retain(|(child, key)| sorted(&child.foreign_keys[*key].target_columns) == own);
    if !table.indexes[at].unique || table.indexes[at].predicate.is_some() || keys.is_empty() {
        return Ok(());
    }
    let twin = |index: &&Index| {
        !index.dropped && index.unique && index.columns().is_some_and(|all| sorted(&all) == own)
    };
    let [(child, key)] = keys.as_slice() else {
        return Err(PgError::unsupported("dropping a key that several foreign keys point at"));
    };
    if table.indexes.iter().filter(twin).count() > 1 {
        return Err(PgError::unsupported("dropping one of several keys of the same columns"));
    }
    let (name, constraint) = (&table.indexes[at].name, &child.foreign_keys[*key].name);
    let detail = format!("constraint {constraint} on table {} depends on index {name}", child.name);
    let message = format!("cannot drop {what} because other objects depend on it");
    let hint = "Use DROP ... CASCADE to drop the dependent objects too.";
    Err(PgError::new("2BP01", message).detail(detail).hint(hint))
}

/// Frees the columns that a sequence numbers from it, or says why the sequence stays.
fn release_sequence(cx: &mut Cx<'_>, sequence: Oid, name: &str, cascade: bool) -> Step<()> {
    let mut numbered = Vec::new();
    for table in cx.db.tables(cx.pid) {
        let columns = table.columns.iter().enumerate();
        let found = columns.filter(|(_, column)| is_numbered(column, (sequence, name)));
        numbered.extend(found.map(|(at, _)| (table.clone(), at)));
    }
    let Some((first, at)) = numbered.first().cloned() else { return Ok(()) };
    let (column, relation) = (&first.columns[at].name, &first.name);
    if first.columns[at].identity.is_some() {
        let message = format!(
            "cannot drop sequence {name} because column {column} of table {relation} requires it"
        );
        let hint = format!("You can drop column {column} of table {relation} instead.");
        return Err(PgError::new("2BP01", message).hint(hint).into());
    }
    let what = |(table, at): &(Arc<Table>, usize)| {
        format!("default value for column {} of table {}", table.columns[*at].name, table.name)
    };
    if !cascade {
        let message = format!("cannot drop sequence {name} because other objects depend on it");
        let hint = "Use DROP ... CASCADE to drop the dependent objects too.";
        let lines = numbered.iter().map(|one| format!("{} depends on sequence {name}", what(one)));
        let detail = lines.collect::<Vec<String>>().join("\n");
        return Err(PgError::new("2BP01", message).detail(detail).hint(hint).into());
    }
    if numbered.len() > 1 {
        return Err(
            PgError::unsupported("DROP SEQUENCE CASCADE of several columns' numbers").into()
        );
    }
    cx.lock_table(first.oid, Mode::AccessExclusive)?;
    notice(cx, "00000", format!("drop cascades to {}", what(&numbered[0])));
    let mut changed = (*first).clone();
    changed.columns[at].default = None;
    alter(cx, changed)
}

fn drop_named_sequence(cx: &mut Cx<'_>, name: &str, if_exists: bool, cascade: bool) -> Step<()> {
    let there =
        is_there(cx, name, |cx, name| cx.db.catalog.sequence(name, cx.db.own(cx.pid)).is_some())?;
    let found = cx.db.catalog.sequence(name, cx.db.own(cx.pid)).filter(|_| there);
    let Some(oid) = found else { return absent(cx, "sequence", name, if_exists) };
    let role = cx.db.proc(cx.pid).role();
    let owner = cx.db.sequence(oid, cx.pid).map(|sequence| sequence.role.clone());
    if owner.is_some_and(|owner| !cx.db.roles(cx.pid).owns(role, &owner)) {
        return Err(PgError::new("42501", format!("must be owner of sequence {name}")).into());
    }
    cx.lock_table(oid, Mode::AccessExclusive)?;
    if cx.db.sequence(oid, cx.pid).is_none() {
        return absent(cx, "sequence", name, if_exists);
    }
    if mentioned(cx, name, &[]) {
        return Err(PgError::unsupported("DROP SEQUENCE of what a policy may name").into());
    }
    release_sequence(cx, oid, name, cascade)?;
    drop_sequence(cx, oid)
}
