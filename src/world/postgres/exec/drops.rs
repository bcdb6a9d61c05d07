//! DROP and TRUNCATE. Must never touch a table before it is locked.

use std::sync::Arc;

use sqlparser::ast::{self};

use super::ddl::{alter, notice, undo};
use super::{Cx, roles};
use crate::world::postgres::error::{PgError, Result, Step};
use crate::world::postgres::sql::{Analyzer, Expr, object_name};
use crate::world::postgres::storage::Undo;
use crate::world::postgres::storage::catalog::{Column, Table};
use crate::world::postgres::storage::heap::Heap;
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
    let cascade = truncate.cascade == Some(ast::CascadeOption::Cascade);
    let mut at = 0;
    while at < oids.len() {
        let own = cx.db.table_by_oid(oids[at])?.name.clone();
        for (child, _) in cx.db.catalog.referrers(oids[at]) {
            if oids.contains(&child.oid) {
                continue;
            }
            if !cascade {
                let message = "cannot truncate a table referenced in a foreign key constraint";
                let detail = format!("Table \"{}\" references \"{own}\".", child.name);
                return Err(PgError::new("0A000", message).detail(detail).into());
            }
            oids.push(child.oid);
        }
        at += 1;
    }
    for oid in &oids {
        cx.lock_table(*oid, Mode::AccessExclusive)?;
    }
    for oid in oids {
        cx.db.xid(cx.pid);
        if let Some(heap) = cx.db.heaps.insert(oid, Heap::default()) {
            undo(cx, Undo::Truncate(oid, heap));
        }
    }
    Ok(())
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
        let name = object_name(name)?;
        match object {
            ast::ObjectType::Index => drop_index(cx, &name, if_exists)?,
            ast::ObjectType::Sequence => drop_sequence(cx, &name, if_exists, cascade)?,
            ast::ObjectType::Role | ast::ObjectType::User => {
                roles::drop_role(cx, &name, if_exists)?;
            }
            other => return Err(PgError::unsupported(format_args!("DROP {other}")).into()),
        }
    }
    Ok(())
}

/// Locks them all before it drops the first: a wait begins the statement anew.
fn drop_tables(
    cx: &mut Cx<'_>,
    names: &[ast::ObjectName],
    if_exists: bool,
    cascade: bool,
) -> Step<()> {
    let names = names.iter().map(object_name).collect::<Result<Vec<String>>>()?;
    for name in &names {
        if let Ok(table) = cx.db.table(name, cx.pid) {
            roles::require_owner(cx, &table)?;
            cx.lock_table(table.oid, Mode::AccessExclusive)?;
            for key in &table.foreign_keys {
                cx.lock_table(key.target, Mode::AccessExclusive)?;
            }
        }
    }
    let mut tables = Vec::with_capacity(names.len());
    for name in &names {
        match cx.db.table(name, cx.pid) {
            Ok(table) => tables.push(table),
            Err(_) => absent(cx, "table", name, if_exists)?,
        }
    }
    let dropped: Vec<Oid> = tables.iter().map(|table| table.oid).collect();
    for table in &tables {
        drop_table(cx, table, &dropped, cascade)?;
    }
    Ok(())
}

fn absent(cx: &mut Cx<'_>, kind: &str, name: &str, if_exists: bool) -> Step<()> {
    let message = format!("{kind} \"{name}\" does not exist");
    if if_exists {
        notice(cx, "00000", format!("{message}, skipping"));
        return Ok(());
    }
    Err(PgError::new(if kind == "index" { "42704" } else { "42P01" }, message).into())
}

fn drop_table(cx: &mut Cx<'_>, table: &Arc<Table>, dropped: &[Oid], cascade: bool) -> Step<()> {
    let name = &table.name;
    let mut pointing = cx.db.catalog.referrers(table.oid);
    pointing.retain(|(child, _)| !dropped.contains(&child.oid));
    if !cascade && !pointing.is_empty() {
        let message = format!("cannot drop table {name} because other objects depend on it");
        let line = |(child, key): &(Arc<Table>, usize)| {
            let constraint = &child.foreign_keys[*key].name;
            format!("constraint {constraint} on table {} depends on table {name}", child.name)
        };
        let lines: Vec<String> = pointing.iter().map(line).collect();
        let hint = "Use DROP ... CASCADE to drop the dependent objects too.";
        return Err(PgError::new("2BP01", message).detail(lines.join("\n")).hint(hint).into());
    }
    if cascade {
        tell_cascade(cx, &pointing);
    }
    for (child, _) in pointing {
        let current = cx.db.table_by_oid(child.oid)?;
        let mut changed = (*current).clone();
        changed.foreign_keys.retain(|foreign| foreign.target != table.oid);
        alter(cx, &current, changed);
    }
    let by = Some(cx.db.xid(cx.pid));
    cx.db.catalog.put(Arc::new(Table { dropper: by, ..(**table).clone() }));
    undo(cx, Undo::DropTable(table.oid));
    Ok(())
}

/// PostgreSQL says what else goes.
fn tell_cascade(cx: &mut Cx<'_>, pointing: &[(Arc<Table>, usize)]) {
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
    cx.db.proc_mut(cx.pid).notices.push(told.severity("NOTICE"));
}

fn drop_index(cx: &mut Cx<'_>, name: &str, if_exists: bool) -> Step<()> {
    let Some((oid, _)) = cx.db.catalog.index(name) else {
        return absent(cx, "index", name, if_exists);
    };
    cx.lock_table(oid, Mode::AccessExclusive)?;
    let Some((oid, at)) = cx.db.catalog.index(name) else {
        return absent(cx, "index", name, if_exists);
    };
    let table = cx.db.table_by_oid(oid)?;
    let mut changed = (*table).clone();
    changed.indexes[at].dropped = true;
    alter(cx, &table, changed);
    Ok(())
}

/// Frees the column that a sequence numbers from it, or says why the sequence stays.
fn release_sequence(
    cx: &mut Cx<'_>,
    owner: Oid,
    sequence: Oid,
    name: &str,
    cascade: bool,
) -> Step<()> {
    let table = cx.db.table_by_oid(owner)?;
    let numbered = |column: &Column| {
        let mut found = false;
        if let Some(default) = &column.default {
            let own = Datum::Int(i64::from(sequence));
            default.walk(&mut |expr| found |= matches!(expr, Expr::Const(datum) if *datum == own));
        }
        found
    };
    let Some(at) = table.columns.iter().position(numbered) else { return Ok(()) };
    let (column, relation) = (&table.columns[at].name, &table.name);
    if table.columns[at].identity.is_some() {
        let message = format!(
            "cannot drop sequence {name} because column {column} of table {relation} requires it"
        );
        let hint = format!("You can drop column {column} of table {relation} instead.");
        return Err(PgError::new("2BP01", message).hint(hint).into());
    }
    let what = format!("default value for column {column} of table {relation}");
    if !cascade {
        let message = format!("cannot drop sequence {name} because other objects depend on it");
        let hint = "Use DROP ... CASCADE to drop the dependent objects too.";
        let detail = format!("{what} depends on sequence {name}");
        return Err(PgError::new("2BP01", message).detail(detail).hint(hint).into());
    }
    cx.lock_table(owner, Mode::AccessExclusive)?;
    notice(cx, "00000", format!("drop cascades to {what}"));
    let mut changed = (*table).clone();
    changed.columns[at].default = None;
    alter(cx, &table, changed);
    Ok(())
}

fn drop_sequence(cx: &mut Cx<'_>, name: &str, if_exists: bool, cascade: bool) -> Step<()> {
    let Some(oid) = cx.db.catalog.sequence(name) else {
        return absent(cx, "sequence", name, if_exists);
    };
    let owner = cx.db.catalog.sequences.get(&oid).and_then(|sequence| sequence.owner);
    if let Some(owner) = owner {
        release_sequence(cx, owner, oid, name, cascade)?;
    }
    if let Some(sequence) = cx.db.catalog.sequences.remove(&oid) {
        undo(cx, Undo::DropSequence(oid, sequence));
    }
    Ok(())
}
