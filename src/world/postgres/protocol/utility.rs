//! Statements without a plan: definitions, settings, table locks, notifications.
//! Must never speak to the client: rows and tag are handed back.

use std::borrow::Cow;
use std::sync::Arc;

use sqlparser::ast::{self, Statement};

use super::transaction;
use crate::world::postgres::error::{PgError, Result, Step};
use crate::world::postgres::exec::{
    Cx, State, alter, comment, create_as, create_sequence, ddl, drops, policies, roles, routine,
    setting,
};
use crate::world::postgres::sql::{OutColumn, ident, object_name, quoted};
use crate::world::postgres::storage::locks::{Mode, Pid, Tag};
use crate::world::postgres::storage::{Db, Notification, Undo};
use crate::world::postgres::types::{Datum, Row, Ty};

/// What a statement gives back.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub columns: Option<Arc<[OutColumn]>>,
    pub rows: Vec<Row>,
    /// Columns and rows have been said as they came.
    pub said: bool,
    pub tag: Cow<'static, str>,
    /// The number that ends the tag.
    pub count: Option<u64>,
}

impl Answer {
    pub fn tag(tag: impl Into<Cow<'static, str>>) -> Answer {
        Answer { tag: tag.into(), ..Answer::default() }
    }
}

/// Whether it is a statement of this kind, and not one that is planned.
pub fn is_utility(statement: &Statement) -> bool {
    !matches!(
        statement,
        Statement::Query(_) | Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_)
    )
}

/// What the statement runs with. Only definitions take a snapshot: a lock or a setting comes before
/// that of REPEATABLE READ.
pub fn state(db: &mut Db, pid: Pid, statement: &Statement) -> State {
    if definition(statement).is_some() { ddl::state(db, pid) } else { State::default() }
}

pub fn refused_read_only(command: &str) -> PgError {
    let message = format!("cannot execute {command} in a read-only transaction");
    PgError::new("25006", message)
}

/// What a read-only transaction refuses a definition as.
fn definition(statement: &Statement) -> Option<String> {
    Some(match statement {
        Statement::CreateTable(create) if create.query.is_some() => "CREATE TABLE AS".to_owned(),
        Statement::CreateTable(_) => "CREATE TABLE".to_owned(),
        Statement::CreateIndex(_) => "CREATE INDEX".to_owned(),
        Statement::CreateSequence { .. } => "CREATE SEQUENCE".to_owned(),
        Statement::CreateFunction(_) => "CREATE FUNCTION".to_owned(),
        Statement::DropFunction(_) => "DROP FUNCTION".to_owned(),
        Statement::AlterTable(_) => "ALTER TABLE".to_owned(),
        Statement::Drop { object_type, .. } => format!("DROP {object_type}"),
        Statement::Truncate(_) => "TRUNCATE TABLE".to_owned(),
        Statement::CreateRole(_) => "CREATE ROLE".to_owned(),
        Statement::Grant(_) => "GRANT".to_owned(),
        Statement::Revoke(_) => "REVOKE".to_owned(),
        Statement::CreatePolicy(_) => "CREATE POLICY".to_owned(),
        Statement::AlterPolicy(_) => "ALTER POLICY".to_owned(),
        Statement::DropPolicy(_) => "DROP POLICY".to_owned(),
        Statement::Comment { .. } => "COMMENT".to_owned(),
        _ => return None,
    })
}

/// What a statement is called.
pub fn command(statement: &Statement) -> String {
    definition(statement).unwrap_or_else(|| match statement {
        Statement::Lock(_) => "LOCK TABLE".to_owned(),
        other => other.to_string().split_whitespace().next().unwrap_or_default().to_uppercase(),
    })
}

/// Whether what is done for the transaction only has one to be done for.
fn in_block(cx: &Cx<'_>) -> bool {
    cx.state.around.is_some() || cx.db.in_block(cx.pid)
}

/// The columns it will give back, for Describe.
pub fn columns(statement: &Statement) -> Option<Arc<[OutColumn]>> {
    match statement {
        Statement::ShowVariable { variable } => Some(show_columns(&show_name(variable))),
        _ => None,
    }
}

fn show_columns(name: &str) -> Arc<[OutColumn]> {
    let lower = name.to_lowercase();
    let reported = setting::REPORTED.iter().find(|(known, _)| *known == lower);
    let name = reported.map_or(lower.as_str(), |(_, shown)| shown);
    [OutColumn { name: name.into(), ty: Ty::TEXT, typmod: -1, origin: None }].into()
}

fn show_name(variable: &[ast::Ident]) -> String {
    let words: Vec<String> = variable.iter().map(ident).collect();
    match words.join(" ").as_str() {
        "time zone" => "timezone".to_owned(),
        "transaction isolation level" => "transaction_isolation".to_owned(),
        other => other.replace(' ', "."),
    }
}

pub fn run(cx: &mut Cx<'_>, statement: &Statement) -> Step<Answer> {
    if cx.db.txn(cx.pid).read_only
        && let Some(command) = definition(statement)
    {
        return Err(refused_read_only(&command).into());
    }
    match statement {
        Statement::CreateTable(create) => Ok(Answer::tag(create_table(cx, create)?)),
        Statement::CreateIndex(create) => {
            ddl::create_index(cx, create)?;
            Ok(Answer::tag("CREATE INDEX"))
        }
        Statement::CreateSequence { .. } => {
            create_sequence(cx, statement)?;
            Ok(Answer::tag("CREATE SEQUENCE"))
        }
        Statement::CreateFunction(create) => {
            routine::create_function(cx, create)?;
            Ok(Answer::tag("CREATE FUNCTION"))
        }
        Statement::DropFunction(drop) => {
            routine::drop_function(cx, drop)?;
            Ok(Answer::tag("DROP FUNCTION"))
        }
        Statement::AlterTable(parsed) => {
            alter::alter_table(cx, parsed)?;
            Ok(Answer::tag("ALTER TABLE"))
        }
        Statement::Drop { object_type, if_exists, names, cascade, .. } => {
            drops::drop_objects(cx, *object_type, names, *if_exists, *cascade)?;
            Ok(Answer::tag(format!("DROP {object_type}")))
        }
        Statement::Truncate(truncate) => {
            drops::truncate(cx, truncate)?;
            Ok(Answer::tag("TRUNCATE TABLE"))
        }
        Statement::Lock(lock) => lock_tables(cx, lock),
        Statement::CreateRole(create) => {
            roles::create_role(cx, create)?;
            Ok(Answer::tag("CREATE ROLE"))
        }
        Statement::Grant(grant) => {
            roles::refuse_option(grant.with_grant_option)?;
            let (privileges, objects) = (&grant.privileges, grant.objects.as_ref());
            roles::grant(cx, privileges, objects, &grant.grantees, false)?;
            Ok(Answer::tag(if objects.is_some() { "GRANT" } else { "GRANT ROLE" }))
        }
        Statement::Revoke(revoke) => {
            roles::refuse_option(revoke.grant_option_for)?;
            let (privileges, objects) = (&revoke.privileges, revoke.objects.as_ref());
            roles::grant(cx, privileges, objects, &revoke.grantees, true)?;
            Ok(Answer::tag(if objects.is_some() { "REVOKE" } else { "REVOKE ROLE" }))
        }
        Statement::CreatePolicy(create) => {
            policies::create_policy(cx, create)?;
            Ok(Answer::tag("CREATE POLICY"))
        }
        Statement::AlterPolicy(parsed) => {
            policies::alter_policy(cx, parsed)?;
            Ok(Answer::tag("ALTER POLICY"))
        }
        Statement::DropPolicy(parsed) => {
            policies::drop_policy(cx, parsed)?;
            Ok(Answer::tag("DROP POLICY"))
        }
        other => session_statement(cx, other),
    }
}

fn create_table(cx: &mut Cx<'_>, create: &ast::CreateTable) -> Step<String> {
    let Some(query) = &create.query else {
        ddl::create_table(cx, create)?;
        return Ok("CREATE TABLE".to_owned());
    };
    let rows = create_as::create_as(cx, create, query)?;
    Ok(rows.map_or("CREATE TABLE AS".to_owned(), |rows| format!("SELECT {rows}")))
}

/// What concerns the session only.
fn session_statement(cx: &mut Cx<'_>, statement: &Statement) -> Step<Answer> {
    match statement {
        Statement::Set(set) => {
            set_parameter(cx, set)?;
            warn_local(cx, set);
            Ok(Answer::tag("SET"))
        }
        Statement::Reset(reset) => {
            match &reset.reset {
                ast::Reset::ALL => setting::reset_all(cx.db, cx.pid)?,
                ast::Reset::SessionAuthorization => {
                    setting::set(cx.db, cx.pid, "role", None, false)?;
                }
                ast::Reset::ConfigurationParameter(name) => {
                    setting::set(cx.db, cx.pid, &name.to_string(), None, false)?;
                }
            }
            Ok(Answer::tag("RESET"))
        }
        Statement::ShowVariable { variable } => {
            let name = show_name(variable);
            let value = setting::show(cx.db, cx.pid, &name)?;
            let rows = vec![[Datum::text(value)].into()];
            Ok(Answer { columns: Some(show_columns(&name)), rows, ..Answer::tag("SHOW") })
        }
        Statement::LISTEN { .. } | Statement::UNLISTEN { .. } | Statement::NOTIFY { .. } => {
            Ok(channels(cx, statement)?)
        }
        Statement::Analyze(_) | Statement::Vacuum(_) => maintenance(cx, statement),
        Statement::Discard { object_type } => {
            discard(cx, *object_type)?;
            Ok(Answer::tag(format!("DISCARD {object_type}")))
        }
        Statement::Comment { object_type, object_name: name, .. } => {
            comment::comment(cx, *object_type, name)?;
            Ok(Answer::tag("COMMENT"))
        }
        other => {
            let text = other.to_string();
            let words: Vec<&str> = text.split_whitespace().take(2).collect();
            Err(PgError::unsupported(words.join(" ")).into())
        }
    }
}

fn channels(cx: &mut Cx<'_>, statement: &Statement) -> Result<Answer> {
    match statement {
        Statement::LISTEN { channel } => {
            let channel = ident(channel);
            checked_channel(&channel)?;
            keep_channels(cx);
            let proc = cx.db.proc_mut(cx.pid);
            if !proc.channels.contains(&channel) {
                proc.channels.push(channel);
            }
            Ok(Answer::tag("LISTEN"))
        }
        Statement::UNLISTEN { channel } => {
            let all = channel.value == "*";
            let channel = ident(channel);
            keep_channels(cx);
            cx.db.proc_mut(cx.pid).channels.retain(|own| !all && *own != channel);
            Ok(Answer::tag("UNLISTEN"))
        }
        Statement::NOTIFY { channel, payload } => {
            let payload = payload.clone().unwrap_or_default();
            if payload.len() > 7_999 {
                return Err(PgError::new("22023", "payload string too long"));
            }
            checked_channel(&ident(channel))?;
            let notification = Notification { pid: cx.pid, channel: ident(channel), payload };
            let notifies = &mut cx.db.txn_mut(cx.pid).notifies;
            if !notifies.contains(&notification) {
                notifies.push(notification);
            }
            Ok(Answer::tag("NOTIFY"))
        }
        _ => Err(PgError::new("XX000", "no statement about channels")),
    }
}

fn checked_channel(name: &str) -> Result<()> {
    match name.len() {
        0 => Err(PgError::new("42601", "zero-length delimited identifier at or near \"\"\"\"")),
        1..64 => Ok(()),
        _ => Err(PgError::unsupported("a name of more than 63 bytes")),
    }
}

/// What the session listens to is taken back with the transaction.
fn keep_channels(cx: &mut Cx<'_>) {
    let before = cx.db.proc(cx.pid).channels.clone();
    cx.db.txn_mut(cx.pid).undo.push(Undo::Channels(before));
}

fn maintenance(cx: &mut Cx<'_>, statement: &Statement) -> Step<Answer> {
    match statement {
        Statement::Vacuum(vacuum) => {
            ddl::refuse_within(cx, "VACUUM")?;
            maintain(cx, vacuum.table_name.as_ref(), "vacuum", vacuum.full)?;
            Ok(Answer::tag("VACUUM"))
        }
        Statement::Analyze(analyze) => {
            maintain(cx, analyze.table_name.as_ref(), "analyze", false)?;
            Ok(Answer::tag("ANALYZE"))
        }
        _ => Err(PgError::new("XX000", "no maintenance statement").into()),
    }
}

/// VACUUM and ANALYZE have nothing to do, but wait for the table as PostgreSQL's do.
fn maintain(cx: &mut Cx<'_>, name: Option<&ast::ObjectName>, verb: &str, full: bool) -> Step<()> {
    let Some(name) = name else { return Ok(()) };
    let table = cx.db.table(&object_name(name)?, cx.pid)?;
    cx.lock_table(table.oid, Mode::AccessShare)?;
    if roles::require_owner(cx, &table).is_err() {
        let name = &table.name;
        let message = format!("skipping \"{name}\" --- only table or database owner can {verb} it");
        transaction::warn(cx.db, cx.pid, "01000", &message);
        return Ok(());
    }
    let mode = if full { Mode::AccessExclusive } else { Mode::ShareUpdateExclusive };
    cx.lock_table(table.oid, mode)?;
    cx.db.await_class(cx.pid, table.oid, full)
}

/// Forgets what the session has gathered. Prepared statements are the session's to forget.
fn discard(cx: &mut Cx<'_>, what: ast::DiscardObject) -> Result<()> {
    let all = what == ast::DiscardObject::ALL;
    if all {
        ddl::refuse_within(cx, "DISCARD ALL")?;
        setting::set(cx.db, cx.pid, "role", None, false)?;
        setting::reset_all(cx.db, cx.pid)?;
        cx.db.unlock_advisory(cx.pid);
        cx.db.proc_mut(cx.pid).channels.clear();
    }
    if all || what == ast::DiscardObject::SEQUENCES {
        let proc = cx.db.proc_mut(cx.pid);
        (proc.currvals, proc.last_sequence) = Default::default();
    }
    Ok(())
}

/// SET LOCAL outside a block has nothing to be local to.
fn warn_local(cx: &mut Cx<'_>, set: &ast::Set) {
    let local = match set {
        ast::Set::SingleAssignment { scope, .. } => *scope == Some(ast::ContextModifier::Local),
        ast::Set::SetTimeZone { local, .. } => *local,
        ast::Set::SetRole { context_modifier, .. } => {
            *context_modifier == Some(ast::ContextModifier::Local)
        }
        _ => false,
    };
    if local && !in_block(cx) {
        let message = "SET LOCAL can only be used in transaction blocks";
        transaction::warn(cx.db, cx.pid, "25P01", message);
    }
}

fn set_parameter(cx: &mut Cx<'_>, set: &ast::Set) -> Result<()> {
    match set {
        ast::Set::SingleAssignment { scope, variable, values, .. } => {
            let local = *scope == Some(ast::ContextModifier::Local);
            let name = variable.to_string();
            let texts = values.iter().map(value_text);
            let texts: Vec<String> = match name.to_lowercase().as_str() {
                "search_path" => texts.map(|name| quoted(&name)).collect(),
                _ => texts.collect(),
            };
            let list = ["search_path", "datestyle"].contains(&name.to_lowercase().as_str());
            if texts.len() > 1 && !list {
                let message = format!("SET {name} takes only one argument");
                return Err(PgError::new("22023", message));
            }
            let value = texts.join(", ");
            let default = matches!(values.as_slice(), [ast::Expr::Identifier(word)]
                if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("default"));
            let value = (!default).then_some(value.as_str());
            setting::set(cx.db, cx.pid, &name, value, local)
        }
        ast::Set::SetTimeZone { local, value } => {
            let zone = value_text(value);
            let zone = Some(zone.as_str()).filter(|zone| !zone.eq_ignore_ascii_case("default"));
            setting::set(cx.db, cx.pid, "timezone", zone, *local)
        }
        ast::Set::SetTransaction { modes, session: true, .. } => {
            for mode in modes {
                let (parameter, value) = match mode {
                    ast::TransactionMode::IsolationLevel(level) => {
                        ("default_transaction_isolation", transaction::isolation(*level)?.name())
                    }
                    ast::TransactionMode::AccessMode(mode) => {
                        let read_only = *mode == ast::TransactionAccessMode::ReadOnly;
                        ("default_transaction_read_only", if read_only { "on" } else { "off" })
                    }
                };
                setting::set(cx.db, cx.pid, parameter, Some(value), false)?;
            }
            Ok(())
        }
        ast::Set::SetTransaction { modes, .. } => {
            if !in_block(cx) {
                let message = "SET TRANSACTION can only be used in transaction blocks";
                transaction::warn(cx.db, cx.pid, "25P01", message);
            }
            transaction::apply_modes(cx.db, cx.pid, modes)
        }
        ast::Set::SetNames { charset_name, .. } => {
            setting::set(cx.db, cx.pid, "client_encoding", Some(&charset_name.value), false)
        }
        ast::Set::SetRole { context_modifier, role_name } => {
            let name = role_name.as_ref().map(ident);
            let local = *context_modifier == Some(ast::ContextModifier::Local);
            setting::set(cx.db, cx.pid, "role", name.as_deref(), local)
        }
        ast::Set::SetSessionAuthorization(_) => {
            Err(PgError::unsupported("SET SESSION AUTHORIZATION"))
        }
        other => Err(PgError::unsupported(format_args!("{other}"))),
    }
}

fn value_text(expr: &ast::Expr) -> String {
    match expr {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::SingleQuotedString(text) => text.clone(),
            ast::Value::Boolean(flag) => if *flag { "on" } else { "off" }.to_owned(),
            other => other.to_string(),
        },
        ast::Expr::Identifier(word) => word.value.clone(),
        other => other.to_string(),
    }
}

fn lock_tables(cx: &mut Cx<'_>, lock: &ast::Lock) -> Step<Answer> {
    if !in_block(cx) {
        let message = "LOCK TABLE can only be used in transaction blocks";
        return Err(PgError::new("25P01", message).into());
    }
    let mode = match lock.lock_mode {
        Some(ast::LockTableMode::AccessShare) => Mode::AccessShare,
        Some(ast::LockTableMode::RowShare) => Mode::RowShare,
        Some(ast::LockTableMode::RowExclusive) => Mode::RowExclusive,
        Some(ast::LockTableMode::ShareUpdateExclusive) => Mode::ShareUpdateExclusive,
        Some(ast::LockTableMode::Share) => Mode::Share,
        Some(ast::LockTableMode::ShareRowExclusive) => Mode::ShareRowExclusive,
        Some(ast::LockTableMode::Exclusive) => Mode::Exclusive,
        None | Some(ast::LockTableMode::AccessExclusive) => Mode::AccessExclusive,
    };
    for target in &lock.tables {
        let name = object_name(&target.name)?;
        let table = cx.db.table(&name, cx.pid)?;
        roles::require_lock(cx, &table, mode)?;
        if !lock.nowait {
            cx.lock_table(table.oid, mode)?;
            continue;
        }
        let owner = cx.db.level(cx.pid);
        if !cx.db.try_lock(cx.pid, Tag::Relation(table.oid), mode, owner) {
            let message = format!("could not obtain lock on relation \"{name}\"");
            return Err(PgError::new("55P03", message).into());
        }
    }
    Ok(Answer::tag("LOCK TABLE"))
}
