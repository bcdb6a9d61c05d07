//! Locks, sequences, settings, the session itself. Must never wait: it asks to be called again.

use std::time::Duration;

use crate::world::postgres::error::{PgError, Result, Step, Stop};
use crate::world::postgres::exec::Cx;
use crate::world::postgres::exec::cast::{relation_oid, written_name};
use crate::world::postgres::exec::{ddl, setting, system};
use crate::world::postgres::sql::{Builtin, Function, modified_name, quoted};
use crate::world::postgres::storage::Notification;
use crate::world::postgres::storage::catalog::Counter;
use crate::world::postgres::storage::locks::{Mode, Owner, Tag};
use crate::world::postgres::storage::roles::Privileges;
use crate::world::postgres::types::{Base, Datum, Ty};

const fn f(name: &'static str, args: &'static [Ty], ret: Ty, run: Builtin) -> Function {
    Function { name, args, ret, strict: true, variadic: false, run }
}

const ONE: &[Ty] = &[Ty::INT8];
const TWO: &[Ty] = &[Ty::INT4, Ty::INT4];
const INT4S: Ty = Ty { base: Base::Int4, array: true };

pub const TABLE: &[Function] = &[
    f("pg_advisory_lock", ONE, Ty::VOID, lock_session),
    f("pg_advisory_lock", TWO, Ty::VOID, lock_session),
    f("pg_advisory_lock_shared", ONE, Ty::VOID, lock_session_shared),
    f("pg_advisory_lock_shared", TWO, Ty::VOID, lock_session_shared),
    f("pg_advisory_xact_lock", ONE, Ty::VOID, lock_transaction),
    f("pg_advisory_xact_lock", TWO, Ty::VOID, lock_transaction),
    f("pg_advisory_xact_lock_shared", ONE, Ty::VOID, lock_transaction_shared),
    f("pg_advisory_xact_lock_shared", TWO, Ty::VOID, lock_transaction_shared),
    f("pg_try_advisory_lock", ONE, Ty::BOOL, try_session),
    f("pg_try_advisory_lock", TWO, Ty::BOOL, try_session),
    f("pg_try_advisory_lock_shared", ONE, Ty::BOOL, try_session_shared),
    f("pg_try_advisory_lock_shared", TWO, Ty::BOOL, try_session_shared),
    f("pg_try_advisory_xact_lock", ONE, Ty::BOOL, try_transaction),
    f("pg_try_advisory_xact_lock", TWO, Ty::BOOL, try_transaction),
    f("pg_try_advisory_xact_lock_shared", ONE, Ty::BOOL, try_transaction_shared),
    f("pg_try_advisory_xact_lock_shared", TWO, Ty::BOOL, try_transaction_shared),
    f("pg_advisory_unlock", ONE, Ty::BOOL, unlock),
    f("pg_advisory_unlock", TWO, Ty::BOOL, unlock),
    f("pg_advisory_unlock_shared", ONE, Ty::BOOL, unlock_shared),
    f("pg_advisory_unlock_shared", TWO, Ty::BOOL, unlock_shared),
    f("pg_advisory_unlock_all", &[], Ty::VOID, unlock_all),
    f("pg_sleep", &[Ty::FLOAT8], Ty::VOID, sleep),
    f("pg_backend_pid", &[], Ty::INT4, backend_pid),
    f("pg_isolation_test_session_is_blocked", &[Ty::INT4, INT4S], Ty::BOOL, is_blocked),
    f("pg_blocking_pids", &[Ty::INT4], INT4S, blocking_pids),
    f("pg_cancel_backend", &[Ty::INT4], Ty::BOOL, cancel_backend),
    f("pg_notification_queue_usage", &[], Ty::FLOAT8, queue_usage),
    Function { strict: false, ..f("pg_notify", &[Ty::TEXT, Ty::TEXT], Ty::VOID, notify) },
    f("nextval", &[Ty::REGCLASS], Ty::INT8, nextval),
    f("currval", &[Ty::REGCLASS], Ty::INT8, currval),
    f("lastval", &[], Ty::INT8, lastval),
    f("setval", &[Ty::REGCLASS, Ty::INT8], Ty::INT8, setval),
    f("setval", &[Ty::REGCLASS, Ty::INT8, Ty::BOOL], Ty::INT8, setval),
    f("pg_get_serial_sequence", &[Ty::TEXT, Ty::TEXT], Ty::TEXT, serial_sequence),
    f("current_setting", &[Ty::TEXT], Ty::TEXT, current_setting),
    f("current_setting", &[Ty::TEXT, Ty::BOOL], Ty::TEXT, current_setting),
    Function {
        strict: false,
        ..f("set_config", &[Ty::TEXT, Ty::TEXT, Ty::BOOL], Ty::TEXT, set_config)
    },
    f("version", &[], Ty::TEXT, version),
    f("current_user", &[], Ty::NAME, current_user),
    f("session_user", &[], Ty::NAME, session_user),
    f("user", &[], Ty::NAME, current_user),
    f("current_role", &[], Ty::NAME, current_user),
    f("current_database", &[], Ty::NAME, current_database),
    f("current_catalog", &[], Ty::NAME, current_database),
    f("current_schema", &[], Ty::NAME, current_schema),
    f("txid_current", &[], Ty::INT8, txid_current),
    f("pg_current_xact_id", &[], Ty::INT8, txid_current),
    f("pg_is_in_recovery", &[], Ty::BOOL, no),
    f("gen_random_uuid", &[], Ty::UUID, random_uuid),
    f("random", &[], Ty::FLOAT8, random),
    Function { strict: false, ..f("pg_typeof", &[Ty::ANY], Ty::REGTYPE, type_of) },
    Function { strict: false, ..f("format_type", &[Ty::OID, Ty::INT4], Ty::TEXT, format_type) },
    f("pg_table_is_visible", &[Ty::OID], Ty::BOOL, is_visible),
];

/// One key of 64 bits, or two of 32.
fn tag(args: &[Datum]) -> Tag {
    let key = |at: usize| args.get(at).and_then(Datum::as_int);
    match (key(0), key(1)) {
        (Some(high), Some(low)) => Tag::Advisory((high << 32) | (low & 0xffff_ffff), true),
        (high, _) => Tag::Advisory(high.unwrap_or(0), false),
    }
}

fn transaction(cx: &Cx<'_>) -> Owner {
    cx.db.level(cx.pid)
}

fn lock(cx: &mut Cx<'_>, args: &[Datum], mode: Mode, owner: Owner) -> Step<Datum> {
    cx.db.lock(cx.pid, tag(args), mode, owner)?;
    Ok(Datum::Void)
}

fn lock_session(cx: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    lock(cx, args, Mode::Exclusive, Owner::Session)
}

fn lock_session_shared(cx: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    lock(cx, args, Mode::Share, Owner::Session)
}

fn lock_transaction(cx: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let owner = transaction(cx);
    lock(cx, args, Mode::Exclusive, owner)
}

fn lock_transaction_shared(cx: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let owner = transaction(cx);
    lock(cx, args, Mode::Share, owner)
}

fn try_session(cx: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::Bool(cx.db.try_lock(cx.pid, tag(args), Mode::Exclusive, Owner::Session)))
}

fn try_session_shared(cx: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::Bool(cx.db.try_lock(cx.pid, tag(args), Mode::Share, Owner::Session)))
}

fn try_transaction(cx: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let owner = transaction(cx);
    Ok(Datum::Bool(cx.db.try_lock(cx.pid, tag(args), Mode::Exclusive, owner)))
}

fn try_transaction_shared(cx: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let owner = transaction(cx);
    Ok(Datum::Bool(cx.db.try_lock(cx.pid, tag(args), Mode::Share, owner)))
}

fn release(cx: &mut Cx<'_>, args: &[Datum], mode: Mode) -> Datum {
    let held = cx.db.unlock(cx.pid, tag(args), mode, Some(Owner::Session));
    if !held {
        let message = format!("you don't own a lock of type {}", mode.name());
        ddl::warning(cx, message);
    }
    Datum::Bool(held)
}

fn unlock(cx: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(release(cx, args, Mode::Exclusive))
}

fn unlock_shared(cx: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(release(cx, args, Mode::Share))
}

fn unlock_all(cx: &mut Cx<'_>, _: &[Datum], _: &[Ty]) -> Step<Datum> {
    cx.db.unlock_advisory(cx.pid);
    Ok(Datum::Void)
}

fn sleep(cx: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let Datum::Float(seconds) = args[0] else { return Ok(Datum::Null) };
    let proc = cx.db.proc_mut(cx.pid);
    match proc.sleep_until {
        Some(until) if proc.now >= until => {
            proc.sleep_until = None;
            Ok(Datum::Void)
        }
        Some(_) => Err(Stop::Wait),
        None => {
            let time = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
            proc.sleep_until = Some(proc.now + time);
            Err(Stop::Wait)
        }
    }
}

fn backend_pid(cx: &mut Cx<'_>, _: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::Int(i64::from(cx.pid)))
}

fn blockers(cx: &Cx<'_>, of: &Datum) -> Vec<i64> {
    let pid = of.as_int().and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0);
    cx.db.locks.blockers(pid).into_iter().map(i64::from).collect()
}

/// What isolationtester asks: does the session wait for one of these?
fn is_blocked(cx: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let Datum::Array(interesting) = &args[1] else { return Ok(Datum::Bool(false)) };
    let blocked = blockers(cx, &args[0]);
    let wanted = interesting.items.iter().filter_map(Datum::as_int);
    Ok(Datum::Bool(wanted.into_iter().any(|pid| blocked.contains(&pid))))
}

fn blocking_pids(cx: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let items = blockers(cx, &args[0]).into_iter().map(Datum::Int).collect();
    Ok(Datum::Array(std::sync::Arc::new(crate::world::postgres::types::Array { items })))
}

fn cancel_backend(cx: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let pid = args[0].as_int().and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0);
    Ok(Datum::Bool(cx.db.cancel(pid)))
}

fn notify(cx: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let text = |at: usize| args[at].as_str().unwrap_or("").to_owned();
    let notification = Notification { pid: cx.pid, channel: text(0), payload: text(1) };
    if notification.channel.is_empty() {
        return Err(PgError::new("22023", "channel name cannot be empty").into());
    }
    if notification.channel.len() > 63 {
        return Err(PgError::new("22023", "channel name too long").into());
    }
    if notification.payload.len() > 7_999 {
        return Err(PgError::new("22023", "payload string too long").into());
    }
    let notifies = &mut cx.db.txn_mut(cx.pid).notifies;
    if !notifies.contains(&notification) {
        notifies.push(notification);
    }
    Ok(Datum::Void)
}

fn sequence_of(cx: &Cx<'_>, arg: &Datum) -> Result<u32> {
    match arg {
        Datum::Text(name) => Ok(u32::try_from(relation_oid(cx.db, cx.pid, name)?).unwrap_or(0)),
        other => Ok(other.as_int().and_then(|oid| u32::try_from(oid).ok()).unwrap_or(0)),
    }
}

/// Whoever drops the sequence is waited for, and waits.
fn lock_sequence(cx: &mut Cx<'_>, oid: u32) -> Step<()> {
    cx.db.lock_once(cx.pid, Tag::Relation(oid), Mode::RowExclusive, Owner::Level(0))
}

/// 42501 unless the role may use the sequence in one of these ways.
fn guard_sequence(cx: &mut Cx<'_>, oid: u32, wanted: Privileges) -> Step<()> {
    lock_sequence(cx, oid)?;
    let Some(sequence) = cx.db.sequence(oid, cx.pid) else {
        return Err(not_sequence(cx, oid).into());
    };
    let (roles, role) = (cx.db.roles(cx.pid), cx.db.proc(cx.pid).role());
    let members = roles.memberships(role, true);
    if roles.owns(role, &sequence.role) || sequence.acl.of(&members).meets(wanted) {
        return Ok(());
    }
    let message = format!("permission denied for sequence {}", sequence.name);
    Err(PgError::new("42501", message).into())
}

/// Sequences move, whatever becomes of the transaction: a read-only one may not.
fn refuse_read_only(cx: &Cx<'_>, name: &str) -> Result<()> {
    if !cx.db.txn(cx.pid).read_only {
        return Ok(());
    }
    let message = format!("cannot execute {name}() in a read-only transaction");
    Err(PgError::new("25006", message))
}

fn nextval(cx: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    let oid = sequence_of(cx, &args[0])?;
    guard_sequence(cx, oid, Privileges::USAGE.with(Privileges::UPDATE))?;
    next_identity(cx, args, types)
}

/// The next number of an identity column: whoever may insert may have it.
pub fn next_identity(cx: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let oid = sequence_of(cx, &args[0])?;
    refuse_read_only(cx, "nextval")?;
    lock_sequence(cx, oid)?;
    let Some(sequence) = cx.db.sequence(oid, cx.pid) else {
        return Err(not_sequence(cx, oid).into());
    };
    let at = cx.db.counters.get(&oid).copied().unwrap_or(sequence.first());
    let mut value = at.next;
    if at.called {
        value = match at.next.checked_add(sequence.increment) {
            Some(next) if next <= sequence.max && next >= sequence.min => next,
            _ if sequence.cycle && sequence.increment > 0 => sequence.min,
            _ if sequence.cycle => sequence.max,
            _ => {
                let name = &sequence.name;
                let (which, bound) = if sequence.increment > 0 {
                    ("maximum", sequence.max)
                } else {
                    ("minimum", sequence.min)
                };
                let message =
                    format!("nextval: reached {which} value of sequence \"{name}\" ({bound})");
                return Err(PgError::new("2200H", message).into());
            }
        };
    }
    cx.db.counters.insert(oid, Counter { next: value, called: true });
    let proc = cx.db.proc_mut(cx.pid);
    proc.currvals.insert(oid, value);
    proc.last_sequence = Some(oid);
    Ok(Datum::Int(value))
}

fn currval(cx: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let oid = sequence_of(cx, &args[0])?;
    guard_sequence(cx, oid, Privileges::USAGE.with(Privileges::SELECT))?;
    let known = cx.db.proc(cx.pid).currvals.get(&oid).copied();
    let name = cx.db.sequence(oid, cx.pid).map(|s| s.name.to_string()).unwrap_or_default();
    known.map(Datum::Int).ok_or_else(|| {
        let message = format!("currval of sequence \"{name}\" is not yet defined in this session");
        PgError::new("55000", message).into()
    })
}

fn lastval(cx: &mut Cx<'_>, _: &[Datum], _: &[Ty]) -> Step<Datum> {
    let proc = cx.db.proc(cx.pid);
    let last = proc.last_sequence.filter(|oid| cx.db.sequence(*oid, cx.pid).is_some());
    let known = last.and_then(|oid| Some((oid, proc.currvals.get(&oid).copied()?)));
    let Some((oid, value)) = known else {
        return Err(PgError::new("55000", "lastval is not yet defined in this session").into());
    };
    guard_sequence(cx, oid, Privileges::USAGE.with(Privileges::SELECT))?;
    Ok(Datum::Int(value))
}

fn setval(cx: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let oid = sequence_of(cx, &args[0])?;
    let value = args[1].as_int().unwrap_or(1);
    let called = args.get(2).and_then(Datum::as_bool).unwrap_or(true);
    guard_sequence(cx, oid, Privileges::UPDATE)?;
    refuse_read_only(cx, "setval")?;
    let Some(sequence) = cx.db.sequence(oid, cx.pid) else {
        return Err(not_sequence(cx, oid).into());
    };
    if value < sequence.min || value > sequence.max {
        let (name, min, max) = (&sequence.name, sequence.min, sequence.max);
        let message = format!(
            "setval: value {value} is out of bounds for sequence \"{name}\" ({min}..{max})"
        );
        return Err(PgError::new("22003", message).into());
    }
    cx.db.counters.insert(oid, Counter { next: value, called });
    if called {
        cx.db.proc_mut(cx.pid).currvals.insert(oid, value);
    }
    Ok(Datum::Int(value))
}

fn not_sequence(cx: &Cx<'_>, oid: u32) -> PgError {
    let table = cx.db.catalog.tables.latest(&oid).map(|table| &table.name);
    let index = || crate::world::postgres::exec::index_by_oid(cx.db, i64::from(oid));
    match table.map(|name| &**name).or_else(index) {
        Some(name) => PgError::new("42809", format!("\"{name}\" is not a sequence")),
        None => PgError::new("XX000", format!("could not open relation with OID {oid}")),
    }
}

fn serial_sequence(cx: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let text = |at: usize| args[at].as_str().unwrap_or("");
    let (table, name) = (cx.db.table(&written_name(text(0))?, cx.pid)?, text(1));
    let at = table.column(name).ok_or_else(|| {
        let relation = &table.name;
        let message = format!("column \"{name}\" of relation \"{relation}\" does not exist");
        PgError::new("42703", message)
    })?;
    let mut sequences = cx.db.sequences(cx.pid);
    let found = sequences.find(|(_, one)| one.owner == Some(table.oid) && one.column == at);
    Ok(match found {
        Some((_, found)) => Datum::text(format!("public.{}", quoted(&found.name))),
        None => Datum::Null,
    })
}

fn current_setting(cx: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let name = args[0].as_str().unwrap_or("");
    let missing_ok = args.get(1).and_then(Datum::as_bool) == Some(true);
    match setting::show(cx.db, cx.pid, name) {
        Ok(value) => Ok(Datum::text(value)),
        Err(_) if missing_ok => Ok(Datum::Null),
        Err(error) => Err(error.into()),
    }
}

fn set_config(cx: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let text = |at: usize| args[at].as_str().unwrap_or("");
    if args[0].is_null() {
        return Err(PgError::new("22004", "SET requires parameter name").into());
    }
    let local = args[2].as_bool() == Some(true);
    let value = (!args[1].is_null()).then(|| text(1));
    if value.is_none() && text(0).contains('.') {
        setting::set(cx.db, cx.pid, text(0), Some(""), local)?;
        return Ok(Datum::text(""));
    }
    setting::set(cx.db, cx.pid, text(0), value, local)?;
    Ok(Datum::text(setting::show(cx.db, cx.pid, text(0))?))
}

/// How much of PostgreSQL's 8 GB wait to be read by sessions that are within a transaction.
#[allow(clippy::cast_precision_loss, reason = "a count of what is in memory")]
fn queue_usage(cx: &mut Cx<'_>, _: &[Datum], _: &[Ty]) -> Step<Datum> {
    let waiting: usize = cx.db.procs.values().map(|proc| proc.inbox.len()).sum();
    Ok(Datum::Float(waiting as f64 / f64::from(1_u32 << 31)))
}

fn version(_: &mut Cx<'_>, _: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::text("PostgreSQL 15.18 (seedbed)"))
}

fn current_user(cx: &mut Cx<'_>, _: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::text(cx.db.proc(cx.pid).role()))
}

fn session_user(cx: &mut Cx<'_>, _: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::text(&cx.db.proc(cx.pid).user))
}

fn current_database(cx: &mut Cx<'_>, _: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::text(&cx.db.proc(cx.pid).database))
}

fn current_schema(_: &mut Cx<'_>, _: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::text("public"))
}

fn txid_current(cx: &mut Cx<'_>, _: &[Datum], _: &[Ty]) -> Step<Datum> {
    cx.db.xid(cx.pid);
    let top = cx.db.txn(cx.pid).top().unwrap_or(0);
    Ok(Datum::Int(i64::try_from(top).unwrap_or(i64::MAX)))
}

fn no(_: &mut Cx<'_>, _: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::Bool(false))
}

/// There is one schema, and it is in the search path; NULL for what is not there.
fn is_visible(cx: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let Some(oid) = args[0].as_int() else { return Ok(Datum::Null) };
    let table = u32::try_from(oid).is_ok_and(|oid| cx.db.table_by_oid(oid, cx.pid).is_ok());
    let there = table || system::index_by_oid(cx.db, oid).is_some();
    Ok(if there { Datum::Bool(true) } else { Datum::Null })
}

/// Version 4 (RFC 9562).
fn random_uuid(cx: &mut Cx<'_>, _: &[Datum], _: &[Ty]) -> Step<Datum> {
    let proc = cx.db.proc_mut(cx.pid);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&proc.next_random().to_be_bytes());
    bytes[8..].copy_from_slice(&proc.next_random().to_be_bytes());
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    Ok(Datum::Uuid(bytes))
}

#[allow(clippy::cast_precision_loss, reason = "53 bits fit a float8")]
fn random(cx: &mut Cx<'_>, _: &[Datum], _: &[Ty]) -> Step<Datum> {
    let bits = cx.db.proc_mut(cx.pid).next_random() >> 11;
    Ok(Datum::Float(bits as f64 / (1_u64 << 53) as f64))
}

fn type_of(_: &mut Cx<'_>, _: &[Datum], types: &[Ty]) -> Step<Datum> {
    Ok(Datum::Int(i64::from(types[0].oid())))
}

/// The name of a type with its modifier, as column definitions have it.
fn format_type(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let Some(oid) = args[0].as_int().and_then(|oid| u32::try_from(oid).ok()) else {
        return Ok(Datum::Null);
    };
    let Some(ty) = Ty::from_oid(oid).filter(|_| oid > 0) else {
        return Ok(Datum::text(if oid == 0 { "-" } else { "???" }));
    };
    let modifier = args[1].as_int().and_then(|modifier| i32::try_from(modifier).ok());
    // Without a length, but not for want of a word about it, it is no `character`.
    if ty.base == Base::Bpchar && modifier.is_some_and(|modifier| modifier < 0) {
        return Ok(Datum::text(if ty.array { "bpchar[]" } else { "bpchar" }));
    }
    Ok(Datum::text(modified_name(ty, modifier.unwrap_or(-1).max(-1))))
}
