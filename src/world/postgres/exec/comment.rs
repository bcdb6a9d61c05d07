//! COMMENT ON: nothing here shows a comment, but what it is about must be there and one's own.
//! Must never change anything.

use std::sync::Arc;

use sqlparser::ast::{self, CommentObject};

use super::alter::no_column;
use super::ddl::is_taken;
use super::{Cx, roles};
use crate::world::postgres::error::{PgError, Result, Step, common};
use crate::world::postgres::sql::{ident, object_name};
use crate::world::postgres::storage::catalog::Table;
use crate::world::postgres::storage::locks::Mode;

pub fn comment(cx: &mut Cx<'_>, object: CommentObject, name: &ast::ObjectName) -> Step<()> {
    match object {
        CommentObject::Table => {
            let table = locked(cx, &object_name(name)?)?;
            Ok(roles::require_owner(cx, &table)?)
        }
        CommentObject::Column => {
            let Some((column, table)) = name.0.split_last().filter(|(_, table)| !table.is_empty())
            else {
                return Err(PgError::new("42601", "column name must be qualified").into());
            };
            let table = locked(cx, &object_name(&ast::ObjectName(table.to_vec()))?)?;
            let column = column.as_ident().map(ident).unwrap_or_default();
            table.column(&column).ok_or_else(|| no_column(&table, &column))?;
            roles::require_owner(cx, &table).map_err(|_| {
                let message = format!("must be owner of relation {}", table.name);
                PgError::new("42501", message).into()
            })
        }
        CommentObject::Index | CommentObject::Sequence => {
            Ok(on_other(cx, object, &object_name(name)?)?)
        }
        CommentObject::Schema => match object_name(name)?.as_str() {
            "public" if !cx.db.roles(cx.pid).is_superuser(cx.db.proc(cx.pid).role()) => {
                Err(PgError::new("42501", "must be owner of schema public").into())
            }
            "public" => Ok(()),
            name => Err(PgError::new("3F000", format!("schema \"{name}\" does not exist")).into()),
        },
        other => Err(PgError::unsupported(format_args!("COMMENT ON {other}")).into()),
    }
}

/// What it is about is locked before it is asked whose that is.
fn locked(cx: &mut Cx<'_>, name: &str) -> Step<Arc<Table>> {
    let other = is_taken(cx, name);
    if cx.db.table(name, cx.pid).is_err() && other {
        return Err(PgError::new("42809", format!("\"{name}\" is not a table")).into());
    }
    let table = cx.db.table(name, cx.pid)?;
    cx.lock_table(table.oid, Mode::ShareUpdateExclusive)?;
    Ok(table)
}

fn on_other(cx: &Cx<'_>, object: CommentObject, name: &str) -> Result<()> {
    let own = cx.db.own(cx.pid);
    let index = cx.db.catalog.index(name, own);
    let index = index.and_then(|(oid, _)| cx.db.catalog.tables.get(&oid, own));
    let sequence = cx.db.catalog.sequence(name, own);
    let sequence = sequence.and_then(|oid| cx.db.sequence(oid, cx.pid));
    let (kind, owner) = match object {
        CommentObject::Index => ("index", index.map(|table| table.security.owner.clone())),
        _ => ("sequence", sequence.map(|sequence| sequence.role.clone())),
    };
    let role = cx.db.proc(cx.pid).role();
    match owner {
        Some(owner) if cx.db.roles(cx.pid).owns(role, &owner) => Ok(()),
        Some(_) => Err(PgError::new("42501", format!("must be owner of {kind} {name}"))),
        None if is_taken(cx, name) => {
            let article = if kind == "index" { "an" } else { "a" };
            Err(PgError::new("42809", format!("\"{name}\" is not {article} {kind}")))
        }
        None => Err(common::no_relation(name)),
    }
}
