//! CREATE ROLE, GRANT and REVOKE. Must never look at a row.

use std::sync::Arc;

use sqlparser::ast;

use super::Cx;
use super::ddl::{notice, tell, warning};
use super::sequence::owned;
use crate::world::postgres::error::{PgError, Result, Step};
use crate::world::postgres::sql::{Analyzer, ident, object_name};
use crate::world::postgres::storage::catalog::{Sequence, Table};
use crate::world::postgres::storage::locks::Mode;
use crate::world::postgres::storage::roles::{Acl, PUBLIC, Privileges, Role, RowPolicy};

/// 42501 unless the role owns the table.
pub fn require_owner(cx: &Cx<'_>, table: &Table) -> Result<()> {
    let role = cx.db.proc(cx.pid).role();
    if cx.db.roles(cx.pid).owns(role, &table.security.owner) {
        return Ok(());
    }
    Err(PgError::new("42501", format!("must be owner of table {}", table.name)))
}

/// 42501 unless the role may do something with the table that takes such a lock.
pub fn require_lock(cx: &Cx<'_>, table: &Table, mode: Mode) -> Result<()> {
    let changes = Privileges::UPDATE.with(Privileges::DELETE).with(Privileges::TRUNCATE);
    let any = match mode {
        Mode::AccessShare => Privileges::SELECT,
        Mode::RowExclusive => changes.with(Privileges::INSERT),
        _ => changes,
    };
    let (role, roles) = (cx.db.proc(cx.pid).role(), cx.db.roles(cx.pid));
    let security = &table.security;
    let may = || security.acl.of(&roles.memberships(role, true)).meets(any);
    if roles.owns(role, &security.owner) || may() {
        return Ok(());
    }
    Err(PgError::new("42501", format!("permission denied for table {}", table.name)))
}

/// Whether policies of the table bind the role.
pub fn is_bound(cx: &Cx<'_>, table: &Table) -> bool {
    let (role, roles) = (cx.db.proc(cx.pid).role(), cx.db.roles(cx.pid));
    let security = &table.security;
    let own = !security.forced && roles.owns(role, &security.owner);
    security.enabled && !own && !roles.bypasses(role)
}

/// Whether the role may be told what rows of the table hold.
pub fn may_see(cx: &Cx<'_>, table: &Table) -> bool {
    let select = Analyzer::new(cx.db, cx.pid, "", &[]).guard(table, Privileges::SELECT);
    select.is_ok() && !is_bound(cx, table)
}

/// 42501 unless the role may create things in the schema.
pub fn require_create(cx: &Cx<'_>) -> Result<()> {
    may_create(cx, cx.db.proc(cx.pid).role())
}

fn may_create(cx: &Cx<'_>, role: &str) -> Result<()> {
    let roles = cx.db.roles(cx.pid);
    let members = roles.memberships(role, true);
    if roles.is_superuser(role) || roles.schema().of(&members).holds(Privileges::CREATE) {
        return Ok(());
    }
    Err(PgError::new("42501", "permission denied for schema public"))
}

fn require_superuser(cx: &Cx<'_>, what: &str) -> Result<()> {
    if cx.db.roles(cx.pid).is_superuser(cx.db.proc(cx.pid).role()) {
        return Ok(());
    }
    Err(PgError::new("42501", format!("permission denied to {what} role")))
}

fn no_role(name: &str) -> PgError {
    PgError::new("42704", format!("role \"{name}\" does not exist"))
}

pub fn create_role(cx: &mut Cx<'_>, create: &ast::CreateRole) -> Step<()> {
    if create.if_not_exists {
        let text = cx.state.text.to_lowercase();
        let word = text.find(" not ").and_then(|at| cx.state.text.get(at + 1..at + 4));
        let message = format!("syntax error at or near \"{}\"", word.unwrap_or("not"));
        return Err(PgError::new("42601", message).into());
    }
    require_superuser(cx, "create")?;
    let set = |flag: Option<bool>| flag == Some(true);
    let groups = create.in_role.iter().chain(&create.in_group).map(|name| ident(name).into());
    if create.create_role == Some(true) {
        return Err(PgError::unsupported("a role with CREATEROLE").into());
    }
    let role = Role {
        superuser: set(create.superuser),
        bypasses: set(create.bypassrls),
        login: set(create.login),
        inherit: create.inherit != Some(false),
        member_of: groups.collect(),
    };
    for name in &create.names {
        let name = object_name(name)?;
        refuse_role_name(&name)?;
        if cx.db.knows_role(&name, cx.pid) {
            let message = format!("role \"{name}\" already exists");
            return Err(PgError::new("42710", message).into());
        }
        cx.db.claim_role(cx.pid, &name)?;
        cx.db.put_role(cx.pid, &name, Some(role.clone()))?;
    }
    Ok(())
}

/// Names that no role may have.
fn refuse_role_name(name: &str) -> Result<()> {
    let word = ["current_role", "current_user", "session_user"].contains(&name);
    if word || [PUBLIC, "none"].contains(&name) || name.starts_with("pg_") {
        return Err(PgError::unsupported(format_args!("the role name {name}")));
    }
    Ok(())
}

pub fn drop_role(cx: &mut Cx<'_>, name: &str, if_exists: bool) -> Step<()> {
    require_superuser(cx, "drop")?;
    refuse_role_name(name)?;
    if !cx.db.roles(cx.pid).knows(name) {
        if if_exists {
            notice(cx, "00000", format!("role \"{name}\" does not exist, skipping"));
            return Ok(());
        }
        return Err(no_role(name).into());
    }
    for (who, current) in
        [("current", cx.db.proc(cx.pid).role()), ("session", &cx.db.proc(cx.pid).user)]
    {
        if current == name {
            return Err(PgError::new("55006", format!("{who} user cannot be dropped")).into());
        }
    }
    let mut why = Vec::new();
    for table in cx.db.tables(cx.pid) {
        let (security, relation) = (&table.security, &table.name);
        if *security.owner == *name {
            why.push(format!("owner of table {relation}"));
        }
        if security.acl.names(name) {
            why.push(format!("privileges for table {relation}"));
        }
        let own = |policy: &&Arc<RowPolicy>| policy.roles.iter().any(|role| **role == *name);
        let policies = security.policies.iter().filter(own);
        why.extend(policies.map(|p| format!("target of policy {} on table {relation}", p.name)));
    }
    let tables = why.len();
    why.extend(beyond_tables(cx, name));
    if tables > 0 && why.len() > tables || why.len() > tables + 1 {
        return Err(PgError::unsupported("DROP ROLE of a role that much depends on").into());
    }
    if !why.is_empty() {
        let message =
            format!("role \"{name}\" cannot be dropped because some objects depend on it");
        return Err(PgError::new("2BP01", message).detail(why.join("\n")).into());
    }
    let members = cx.db.roles(cx.pid).members(name);
    for member in members {
        leave(cx, &member, name, None)?;
    }
    cx.db.put_role(cx.pid, name, None)
}

/// What else than a table depends on a role.
fn beyond_tables(cx: &Cx<'_>, name: &str) -> Vec<String> {
    let mut why = Vec::new();
    for (_, sequence) in cx.db.sequences(cx.pid) {
        if *sequence.role == *name && sequence.owner.is_none() {
            why.push(format!("owner of sequence {}", sequence.name));
        }
        if sequence.acl.names(name) {
            why.push(format!("privileges for sequence {}", sequence.name));
        }
    }
    for routine in cx.db.routines(cx.pid).filter(|routine| *routine.owner == *name) {
        why.push(format!("owner of function {}", routine.signature().replace(", ", ",")));
    }
    if cx.db.roles(cx.pid).schema().names(name) {
        why.push("privileges for schema public".to_owned());
    }
    why
}

/// Who may grant a privilege is its table's owner.
pub fn refuse_option(asked: bool) -> Result<()> {
    if asked { Err(PgError::unsupported("WITH GRANT OPTION")) } else { Ok(()) }
}

/// GRANT, or REVOKE if `revoke`.
pub fn grant(
    cx: &mut Cx<'_>,
    privileges: &ast::Privileges,
    objects: Option<&ast::GrantObjects>,
    grantees: &[ast::Grantee],
    revoke: bool,
) -> Step<()> {
    let names = grantees.iter().map(|one| grantee(cx, one)).collect::<Result<Vec<String>>>()?;
    let Some(objects) = objects else { return membership(cx, privileges, &names, revoke) };
    let privileges = privilege_set(privileges)?;
    check_privileges(privileges, objects)?;
    let change = Regrant { names: &names, privileges, revoke };
    match objects {
        ast::GrantObjects::Tables(tables) => {
            // All are looked up before one is waited for.
            let tables = tables.iter().map(object_name).collect::<Result<Vec<String>>>()?;
            let own = cx.db.own(cx.pid);
            let gone = |name: &&String| {
                cx.db.table(name, cx.pid).is_err() && cx.db.catalog.sequence(name, own).is_none()
            };
            if let Some(name) = tables.iter().find(gone) {
                return Err(no_relation(name).into());
            }
            for name in tables {
                let usage = privileges != Privileges::ALL && privileges.meets(Privileges::USAGE);
                if usage && cx.db.table(&name, cx.pid).is_ok() {
                    let message = "invalid privilege type USAGE for table";
                    return Err(PgError::new("0LP01", message).into());
                }
                grant_table(cx, &name, &change)?;
            }
        }
        ast::GrantObjects::AllTablesInSchema { schemas } => {
            known_schemas(schemas)?;
            let tables: Vec<String> =
                cx.db.tables(cx.pid).map(|table| table.name.to_string()).collect();
            for name in tables {
                grant_table(cx, &name, &change)?;
            }
        }
        ast::GrantObjects::Sequences(sequences) => {
            let find = |name: &ast::ObjectName| {
                let name = object_name(name)?;
                let found = cx.db.catalog.sequence(&name, cx.db.own(cx.pid));
                found.ok_or_else(|| no_relation(&name))
            };
            for oid in sequences.iter().map(find).collect::<Result<Vec<u32>>>()? {
                grant_sequence(cx, oid, &change)?;
            }
        }
        ast::GrantObjects::AllSequencesInSchema { schemas } => {
            known_schemas(schemas)?;
            let oids: Vec<u32> = cx.db.sequences(cx.pid).map(|(oid, _)| oid).collect();
            for oid in oids {
                grant_sequence(cx, oid, &change)?;
            }
        }
        ast::GrantObjects::Schemas(schemas) => {
            known_schemas(schemas)?;
            let mut acl = cx.db.roles(cx.pid).schema();
            change.apply(cx, ("schema", "public"), None, &mut acl, &[])?;
            cx.db.put_schema(cx.pid, acl)?;
        }
        other => return Err(PgError::unsupported(format_args!("GRANT on {other}")).into()),
    }
    Ok(())
}

/// What GRANT or REVOKE does to who may do what.
struct Regrant<'a> {
    names: &'a [String],
    privileges: Privileges,
    revoke: bool,
}

impl Regrant<'_> {
    /// Does it, if the role owns the thing. Another one is told so, with 42501 if it may not do
    /// anything with it; everybody may use the schema, which belongs to superusers.
    fn apply(
        &self,
        cx: &mut Cx<'_>,
        (kind, thing): (&str, &str),
        owner: Option<&str>,
        acl: &mut Acl,
        columns: &[&str],
    ) -> Result<()> {
        let (role, roles) = (cx.db.proc(cx.pid).role(), cx.db.roles(cx.pid));
        if roles.is_superuser(role) || owner.is_some_and(|owner| roles.owns(role, owner)) {
            for name in self.names {
                if self.revoke {
                    acl.revoke(name, self.privileges);
                } else {
                    acl.grant(name, self.privileges);
                }
            }
            return Ok(());
        }
        let may = acl.of(&roles.memberships(role, true)) != Privileges::NONE;
        if owner.is_some() && !may {
            return Err(PgError::new("42501", format!("permission denied for {kind} {thing}")));
        }
        let (code, done) =
            if self.revoke { ("01006", "could be revoked") } else { ("01007", "were granted") };
        let message = format!("no privileges {done} for \"{thing}\"");
        tell(cx, "WARNING", PgError::new(code, message));
        // Who loses what each column may be granted for loses it of each.
        if self.revoke && self.privileges.meets(Privileges::OF_COLUMNS) {
            let system = ["tableoid", "cmax", "xmax", "cmin", "xmin", "ctid"];
            for column in system.iter().chain(columns).filter(|_| !columns.is_empty()) {
                let what = format!("column \"{column}\" of relation \"{thing}\"");
                let message = format!("no privileges {done} for {what}");
                tell(cx, "WARNING", PgError::new(code, message));
            }
        }
        Ok(())
    }
}

/// 3F000 for a schema but `public`.
fn known_schemas(schemas: &[ast::ObjectName]) -> Result<()> {
    for schema in schemas {
        let name = object_name(schema)?;
        if name != "public" {
            return Err(PgError::new("3F000", format!("schema \"{name}\" does not exist")));
        }
    }
    Ok(())
}

fn no_relation(name: &str) -> PgError {
    crate::world::postgres::error::common::no_relation(name)
}

fn grant_table(cx: &mut Cx<'_>, name: &str, change: &Regrant<'_>) -> Step<()> {
    let Ok(table) = cx.db.table(name, cx.pid) else {
        let oid = cx.db.catalog.sequence(name, cx.db.own(cx.pid));
        let oid = oid.ok_or_else(|| no_relation(name))?;
        return grant_sequence(cx, oid, change);
    };
    let mut changed = (*table).clone();
    let (owner, acl) = (&table.security.owner, &mut changed.security.acl);
    let there = table.columns.iter().filter(|column| !column.dropped);
    let columns: Vec<&str> = there.map(|column| &*column.name).collect();
    change.apply(cx, ("table", &table.name), Some(owner), acl, &columns)?;
    if change.revoke && change.names.iter().any(|name| **name == **owner) {
        return Err(PgError::unsupported("REVOKE of the owner's own privileges").into());
    }
    changed.touch_class();
    cx.db.put_table(cx.pid, changed.oid, Some(changed))
}

fn grant_sequence(cx: &mut Cx<'_>, oid: u32, change: &Regrant<'_>) -> Step<()> {
    let Some(sequence) = cx.db.sequence(oid, cx.pid).cloned() else { return Ok(()) };
    let mut changed = (*sequence).clone();
    let (named, columns) = (("sequence", &*sequence.name), ["last_value", "log_cnt", "is_called"]);
    change.apply(cx, named, Some(&sequence.role), &mut changed.acl, &columns)?;
    cx.db.put_sequence(cx.pid, oid, Some(changed))
}

/// GRANT role TO role.
fn membership(
    cx: &mut Cx<'_>,
    groups: &ast::Privileges,
    names: &[String],
    revoke: bool,
) -> Step<()> {
    require_superuser(cx, "grant")?;
    let ast::Privileges::Actions(groups) = groups else {
        return Err(PgError::new("42601", "syntax error at or near \"ALL\"").into());
    };
    for group in groups {
        let group = match group {
            ast::Action::Role { role } => object_name(role)?,
            other => other.to_string().to_lowercase(),
        };
        if !cx.db.knows_role(&group, cx.pid) {
            return Err(no_role(&group).into());
        }
        for name in names {
            if name == PUBLIC {
                return Err(no_role(name).into());
            }
            let known = cx.db.roles(cx.pid);
            let circular = known.memberships(&group, false).iter().any(|one| **one == **name);
            let member = known
                .get(name)
                .is_some_and(|role| role.member_of.iter().any(|one| **one == *group));
            if circular && !revoke {
                let message = format!("role \"{group}\" is a member of role \"{name}\"");
                return Err(PgError::new("0LP01", message).into());
            }
            match (revoke, member) {
                (true, false) => {
                    let message = format!("role \"{name}\" is not a member of role \"{group}\"");
                    warning(cx, message);
                }
                (false, true) => {
                    let message =
                        format!("role \"{name}\" is already a member of role \"{group}\"");
                    notice(cx, "00000", message);
                }
                _ => leave(cx, name, &group, (!revoke).then(|| group.as_str().into()))?,
            }
        }
    }
    Ok(())
}

/// A role is no member of the group any more, or joins it.
fn leave(cx: &mut Cx<'_>, name: &str, group: &str, joins: Option<Arc<str>>) -> Step<()> {
    let Some(mut role) = cx.db.roles(cx.pid).get(name).cloned() else { return Ok(()) };
    role.member_of.retain(|one| **one != *group);
    role.member_of.extend(joins);
    cx.db.put_role(cx.pid, name, Some(role))
}

fn grantee(cx: &Cx<'_>, grantee: &ast::Grantee) -> Result<String> {
    if grantee.grantee_type == ast::GranteesType::Public {
        return Ok(PUBLIC.to_owned());
    }
    let name = match &grantee.name {
        Some(ast::GranteeName::ObjectName(name)) => object_name(name)?,
        _ => return Err(PgError::unsupported(format_args!("GRANT to {grantee}"))),
    };
    match name.as_str() {
        PUBLIC => Ok(name),
        "current_user" | "current_role" => Ok(cx.db.proc(cx.pid).role().to_owned()),
        "session_user" => Ok(cx.db.proc(cx.pid).user.clone()),
        _ if cx.db.knows_role(&name, cx.pid) => Ok(name),
        _ => Err(no_role(&name)),
    }
}

fn privilege_set(parsed: &ast::Privileges) -> Result<Privileges> {
    let ast::Privileges::Actions(actions) = parsed else { return Ok(Privileges::ALL) };
    let mut all = Privileges::NONE;
    for action in actions {
        all = all.with(match action {
            ast::Action::Select { columns: None } => Privileges::SELECT,
            ast::Action::Insert { columns: None } => Privileges::INSERT,
            ast::Action::Update { columns: None } => Privileges::UPDATE,
            ast::Action::References { columns: None } => Privileges::REFERENCES,
            ast::Action::Delete => Privileges::DELETE,
            ast::Action::Truncate => Privileges::TRUNCATE,
            ast::Action::Trigger => Privileges::TRIGGER,
            ast::Action::Usage => Privileges::USAGE,
            ast::Action::Create { obj_type: None } => Privileges::CREATE,
            other => return Err(PgError::unsupported(format_args!("the privilege {other}"))),
        });
    }
    Ok(all)
}

/// 0LP01 for privileges that there are none of on such an object.
fn check_privileges(asked: Privileges, objects: &ast::GrantObjects) -> Result<()> {
    if asked == Privileges::ALL {
        return Ok(());
    }
    let of_tables = Privileges::ALL.without(Privileges::USAGE.with(Privileges::CREATE));
    let (kind, known) = match objects {
        ast::GrantObjects::Tables(_) => ("relation", of_tables.with(Privileges::USAGE)),
        ast::GrantObjects::AllTablesInSchema { .. } => ("relation", of_tables),
        ast::GrantObjects::Schemas(_) => ("schema", Privileges::USAGE.with(Privileges::CREATE)),
        _ => {
            let all = Privileges::USAGE.with(Privileges::SELECT).with(Privileges::UPDATE);
            ("sequence", all)
        }
    };
    match asked.without(known).name() {
        Some(name) => {
            let kind = if (name, kind) == ("USAGE", "relation") { "table" } else { kind };
            let message = format!("invalid privilege type {name} for {kind}");
            Err(PgError::new("0LP01", message))
        }
        None => Ok(()),
    }
}

pub fn owner_name(cx: &Cx<'_>, owner: &ast::Owner) -> Result<String> {
    let proc = cx.db.proc(cx.pid);
    match owner {
        ast::Owner::Ident(name) => {
            let name = ident(name);
            if name != PUBLIC && !cx.db.knows_role(&name, cx.pid) {
                return Err(no_role(&name));
            }
            Ok(name)
        }
        ast::Owner::CurrentRole | ast::Owner::CurrentUser => Ok(proc.role().to_owned()),
        ast::Owner::SessionUser => Ok(proc.user.clone()),
    }
}

/// Who gives a table away must be a member of the new owner, who must be allowed to make one.
fn require_heir(cx: &Cx<'_>, old: &str, new: &str) -> Result<()> {
    let (role, roles) = (cx.db.proc(cx.pid).role(), cx.db.roles(cx.pid));
    if old == new || roles.is_superuser(role) {
        return Ok(());
    }
    if !roles.is_member(role, new) {
        return Err(PgError::new("42501", format!("must be member of role \"{new}\"")));
    }
    may_create(cx, new)
}

/// ALTER TABLE … OWNER TO.
pub fn give(cx: &mut Cx<'_>, changed: &mut Table, owner: &ast::Owner) -> Step<()> {
    let name = owner_name(cx, owner)?;
    require_heir(cx, &changed.security.owner, &name)?;
    changed.security.owner = name.as_str().into();
    for (oid, sequence) in owned(cx, changed.oid) {
        let sequence = Sequence { role: name.as_str().into(), ..(*sequence).clone() };
        cx.db.put_sequence(cx.pid, oid, Some(sequence))?;
    }
    Ok(())
}
