//! What policies are made of, which keeps it from being changed or dropped under them.
//! Must never look at a row.

use std::ops::ControlFlow;
use std::sync::Arc;

use sqlparser::ast::{self, Ident};

use super::Cx;
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::sql::{Analyzer, Expr, Routine, has_query, ident, table_scope};
use crate::world::postgres::storage::catalog::Table;
use crate::world::postgres::storage::locks::Oid;
use crate::world::postgres::storage::roles::RowPolicy;

/// The expressions of a policy.
fn halves(policy: &RowPolicy) -> impl Iterator<Item = &Arc<ast::Expr>> {
    policy.using.iter().chain(&policy.with_check)
}

/// Whether it may read more than its table's row: what it reads is told by nothing but its text.
fn reaches_out(policy: &RowPolicy) -> bool {
    let by_name = |expr: &Arc<ast::Expr>| {
        let text = expr.to_string().to_lowercase();
        ["regclass", "nextval", "currval"].iter().any(|word| text.contains(word))
    };
    halves(policy).any(|expr| has_query(expr) || by_name(expr))
}

fn mentions(policy: &RowPolicy, name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    halves(policy).any(|expr| {
        let text = expr.to_string();
        let word = text.split(|c| !part(c)).any(|word| word.eq_ignore_ascii_case(name));
        word || !name.chars().all(part) && text.contains(name)
    })
}

/// Whether a policy may name it, of tables other than these.
pub fn mentioned(cx: &Cx<'_>, name: &str, but: &[Oid]) -> bool {
    let tables = cx.db.tables(cx.pid).filter(|table| !but.contains(&table.oid));
    let mut policies = tables.flat_map(|table| table.security.policies.iter());
    policies.any(|policy| reaches_out(policy) && mentions(policy, name))
}

/// The policies of the table whose expressions have such a part.
fn with_part(cx: &Cx<'_>, table: &Table, wanted: &dyn Fn(&Expr) -> bool) -> Result<Vec<Arc<str>>> {
    let mut found = Vec::new();
    for policy in &table.security.policies {
        let mut has = false;
        for expr in halves(policy) {
            let analyzer = Analyzer::new(cx.db, cx.pid, "", &[]);
            let typed = analyzer.expr(expr, &table_scope(table, &table.name, 0))?;
            typed.expr.walk(&mut |part| has |= wanted(part));
        }
        if has {
            found.push(policy.name.clone());
        }
    }
    Ok(found)
}

/// The policies that read a column of the table.
pub fn of_column(cx: &Cx<'_>, table: &Table, at: usize) -> Result<Vec<Arc<str>>> {
    if table.security.policies.iter().any(|policy| reaches_out(policy))
        || mentioned(cx, &table.name, &[])
    {
        return Err(PgError::unsupported("changing a column of what a policy's query may read"));
    }
    with_part(cx, table, &|part| matches!(part, Expr::Column { index, .. } if *index == at))
}

/// The policies of the table that call a function.
pub fn of_routine(cx: &Cx<'_>, table: &Table, routine: &Routine) -> Result<Vec<Arc<str>>> {
    let mut policies = table.security.policies.iter();
    if policies.any(|policy| reaches_out(policy) && mentions(policy, &routine.name)) {
        return Err(PgError::unsupported("DROP FUNCTION of what a policy's query may call"));
    }
    let calls = |part: &Expr| matches!(part, Expr::Routine { oid, .. } if *oid == routine.oid);
    with_part(cx, table, &calls)
}

/// 0A000 if a policy may name what is renamed, other than where [`rename`] finds it.
pub fn refuse_rename(cx: &Cx<'_>, name: &str) -> Result<()> {
    if mentioned(cx, name, &[]) {
        return Err(PgError::unsupported("RENAME of what a policy may name"));
    }
    Ok(())
}

/// The table's policies follow a name: `change` is given the parts of every name in them.
fn rename(table: &mut Table, change: impl Fn(&mut [Ident])) {
    for policy in &mut table.security.policies {
        let policy = Arc::make_mut(policy);
        for expr in policy.using.iter_mut().chain(&mut policy.with_check) {
            let expr = Arc::make_mut(expr);
            let _all_seen = ast::visit_expressions_mut(expr, |part| {
                match part {
                    ast::Expr::Identifier(name) => change(std::slice::from_mut(name)),
                    ast::Expr::CompoundIdentifier(parts) => change(parts),
                    _ => {}
                }
                ControlFlow::<()>::Continue(())
            });
        }
    }
}

pub fn rename_column(table: &mut Table, old: &str, new: &str) {
    rename(table, |parts| match parts {
        [.., name] if ident(name) == old => *name = Ident::with_quote('"', new),
        _ => {}
    });
}

pub fn rename_table(table: &mut Table, new: &str) {
    let old = table.name.clone();
    let columns: Vec<Arc<str>> = table.columns.iter().map(|column| column.name.clone()).collect();
    rename(table, |parts| match parts {
        [.., name, _] if ident(name) == *old => *name = Ident::with_quote('"', new),
        // The whole row.
        [name] if ident(name) == *old && !columns.contains(&old) => {
            *name = Ident::with_quote('"', new);
        }
        _ => {}
    });
}
