//! CREATE, ALTER and DROP POLICY; what policies are made of, which keeps it from being changed or
//! dropped under them.
//! Must never look at a row.

use std::ops::ControlFlow;
use std::sync::Arc;

use sqlparser::ast::{self, Ident};

use super::ddl::{alter, notice};
use super::drops::dropped_name;
use super::{Cx, roles};
use crate::world::postgres::error::{PgError, Result, Step};
use crate::world::postgres::sql::{
    Analyzer, Expr, Routine, has_query, ident, object_name, table_scope,
};
use crate::world::postgres::storage::catalog::Table;
use crate::world::postgres::storage::locks::{Mode, Oid, Tag};
use crate::world::postgres::storage::roles::{PUBLIC, RowPolicy, Security};

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

fn policy_roles(cx: &Cx<'_>, owners: &[ast::Owner]) -> Result<Vec<Arc<str>>> {
    let mut roles: Vec<Arc<str>> = Vec::new();
    for owner in owners {
        match roles::owner_name(cx, owner)?.as_str() {
            PUBLIC => return Ok(Vec::new()),
            name => roles.push(name.into()),
        }
    }
    Ok(roles)
}

/// The expression must fit the table before it is kept.
fn kept(cx: &Cx<'_>, table: &Table, parsed: Option<&ast::Expr>) -> Result<Option<Arc<ast::Expr>>> {
    let Some(parsed) = parsed else { return Ok(None) };
    let analyzer = Analyzer::new(cx.db, cx.pid, "", &[]);
    let typed = analyzer.expr(parsed, &table_scope(table, &table.name, 0));
    let typed = typed.map_err(PgError::unplaced)?;
    analyzer.condition(typed, "POLICY").map_err(PgError::unplaced)?;
    Ok(Some(Arc::new(parsed.clone())))
}

fn change_policies(
    cx: &mut Cx<'_>,
    name: &ast::ObjectName,
    change: impl FnOnce(&mut Cx<'_>, &Table, &mut Security) -> Result<()>,
) -> Step<()> {
    let table = cx.db.table(&object_name(name)?, cx.pid)?;
    roles::require_owner(cx, &table)?;
    let oid = table.oid;
    cx.lock_table(oid, Mode::AccessExclusive)?;
    let table = cx.db.table_by_oid(oid, cx.pid)?;
    let mut changed = (*table).clone();
    change(cx, &table, &mut changed.security)?;
    alter(cx, changed)
}

fn no_policy(name: &str, table: &Table) -> PgError {
    let message = format!("policy \"{name}\" for table \"{}\" does not exist", table.name);
    PgError::new("42704", message)
}

/// Which half a policy for a command has; `otherwise`: what is wrong with WITH CHECK.
fn refuse_half(
    command: ast::CreatePolicyCommand,
    (using, check): (bool, bool),
    otherwise: &str,
) -> Result<()> {
    use ast::CreatePolicyCommand::{Delete, Insert, Select};
    let message = match command {
        Insert if using => "only WITH CHECK expression allowed for INSERT",
        Select | Delete if check => otherwise,
        _ => return Ok(()),
    };
    Err(PgError::new("42601", message))
}

pub fn create_policy(cx: &mut Cx<'_>, create: &ast::CreatePolicy) -> Step<()> {
    let name = ident(&create.name);
    let command = create.command.unwrap_or(ast::CreatePolicyCommand::All);
    let halves = (create.using.is_some(), create.with_check.is_some());
    refuse_half(command, halves, "WITH CHECK cannot be applied to SELECT or DELETE")?;
    let roles = policy_roles(cx, create.to.as_deref().unwrap_or_default())?;
    change_policies(cx, &create.table_name, |cx, table, security| {
        let using = kept(cx, table, create.using.as_ref())?;
        let with_check = kept(cx, table, create.with_check.as_ref())?;
        if security.policies.iter().any(|policy| *policy.name == *name) {
            let message = format!("policy \"{name}\" for table \"{}\" already exists", table.name);
            return Err(PgError::new("42710", message));
        }
        let policy = RowPolicy {
            name: name.into(),
            permissive: create.policy_type != Some(ast::CreatePolicyType::Restrictive),
            command,
            roles,
            using,
            with_check,
        };
        security.policies.push(Arc::new(policy));
        security.policies.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(())
    })
}

pub fn alter_policy(cx: &mut Cx<'_>, parsed: &ast::AlterPolicy) -> Step<()> {
    let name = ident(&parsed.name);
    let found = |table: &Table| {
        let own = table.security.policies.iter().position(|policy| *policy.name == *name);
        own.ok_or_else(|| no_policy(&name, table))
    };
    match &parsed.operation {
        ast::AlterPolicyOperation::Rename { new_name } => {
            change_policies(cx, &parsed.table_name, |_, table, security| {
                let policy = &mut security.policies[found(table)?];
                Arc::make_mut(policy).name = ident(new_name).into();
                security.policies.sort_by(|a, b| a.name.cmp(&b.name));
                Ok(())
            })
        }
        ast::AlterPolicyOperation::Apply { to, using, with_check } => {
            let roles = to.as_ref().map(|to| policy_roles(cx, to)).transpose()?;
            change_policies(cx, &parsed.table_name, |cx, table, security| {
                let using = kept(cx, table, using.as_ref())?;
                let check = kept(cx, table, with_check.as_ref())?;
                let policy = Arc::make_mut(&mut security.policies[found(table)?]);
                let otherwise = "only USING expression allowed for SELECT, DELETE";
                refuse_half(policy.command, (using.is_some(), check.is_some()), otherwise)?;
                policy.roles = roles.unwrap_or(std::mem::take(&mut policy.roles));
                policy.using = using.or(policy.using.take());
                policy.with_check = check.or(policy.with_check.take());
                Ok(())
            })
        }
    }
}

pub fn drop_policy(cx: &mut Cx<'_>, parsed: &ast::DropPolicy) -> Step<()> {
    let name = ident(&parsed.name);
    let Some(relation) = dropped_name(cx, &parsed.table_name, parsed.if_exists)? else {
        return Ok(());
    };
    let oid = match cx.db.table(&relation, cx.pid) {
        Ok(table) => table.oid,
        Err(_) if parsed.if_exists => {
            let message = format!("relation \"{relation}\" does not exist, skipping");
            notice(cx, "00000", message);
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let Some(table) = with_policy(cx, oid, &name)? else {
        let table = cx.db.table_by_oid(oid, cx.pid)?;
        if !parsed.if_exists {
            return Err(no_policy(&name, &table).into());
        }
        let relation = &table.name;
        let message =
            format!("policy \"{name}\" for relation \"{relation}\" does not exist, skipping");
        notice(cx, "00000", message);
        return Ok(());
    };
    roles::require_owner(cx, &table)
        .map_err(|_| PgError::new("42501", format!("must be owner of relation {}", table.name)))?;
    change_policies(cx, &parsed.table_name, |_, _, security| {
        security.policies.retain(|policy| *policy.name != *name);
        Ok(())
    })
}

/// The table, if it has the policy. To look for it takes a lock that is kept only then.
fn with_policy(cx: &mut Cx<'_>, oid: Oid, name: &str) -> Step<Option<Arc<Table>>> {
    let (tag, owner) = (Tag::Relation(oid), cx.db.level(cx.pid));
    cx.db.lock(cx.pid, tag, Mode::AccessShare, owner)?;
    let table = cx.db.table_by_oid(oid, cx.pid)?;
    if table.security.policies.iter().any(|policy| *policy.name == *name) {
        return Ok(Some(table));
    }
    cx.db.unlock(cx.pid, tag, Mode::AccessShare, Some(owner));
    Ok(None)
}
