//! Session parameters: SET, SHOW and what they may hold. Must never act on a parameter.

use super::setting_names::ABSENT;
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::storage::locks::Pid;
use crate::world::postgres::storage::parameters::UTC;
use crate::world::postgres::storage::{Db, Isolation, Undo};

/// By name: name, default, and what kind of value it holds.
const KNOWN: &[(&str, &str, Kind)] = &[
    ("application_name", "", Kind::Text),
    ("bytea_output", "hex", Kind::Text),
    ("check_function_bodies", "on", Kind::Only),
    ("client_encoding", "UTF8", Kind::Text),
    ("client_min_messages", "notice", Kind::Word(LEVELS)),
    ("datestyle", "ISO, MDY", Kind::Text),
    ("deadlock_timeout", "1000", Kind::Millis),
    ("default_statistics_target", "100", Kind::Whole(1, 10_000)),
    ("default_transaction_deferrable", "off", Kind::Flag),
    ("default_transaction_isolation", "read committed", Kind::Isolation),
    ("default_transaction_read_only", "off", Kind::Flag),
    ("enable_async_append", "on", Kind::Flag),
    ("enable_bitmapscan", "on", Kind::Flag),
    ("enable_gathermerge", "on", Kind::Flag),
    ("enable_hashagg", "on", Kind::Flag),
    ("enable_hashjoin", "on", Kind::Flag),
    ("enable_incremental_sort", "on", Kind::Flag),
    ("enable_indexonlyscan", "on", Kind::Flag),
    ("enable_indexscan", "on", Kind::Flag),
    ("enable_material", "on", Kind::Flag),
    ("enable_memoize", "on", Kind::Flag),
    ("enable_mergejoin", "on", Kind::Flag),
    ("enable_nestloop", "on", Kind::Flag),
    ("enable_parallel_append", "on", Kind::Flag),
    ("enable_parallel_hash", "on", Kind::Flag),
    ("enable_partition_pruning", "on", Kind::Flag),
    ("enable_partitionwise_aggregate", "off", Kind::Flag),
    ("enable_partitionwise_join", "off", Kind::Flag),
    ("enable_seqscan", "on", Kind::Flag),
    ("enable_sort", "on", Kind::Flag),
    ("enable_tidscan", "on", Kind::Flag),
    ("extra_float_digits", "1", Kind::Whole(-15, 3)),
    ("force_parallel_mode", "off", Kind::Text),
    ("geqo", "on", Kind::Flag),
    ("idle_in_transaction_session_timeout", "0", Kind::Millis),
    ("idle_session_timeout", "0", Kind::Millis),
    ("in_hot_standby", "off", Kind::Never("")),
    ("integer_datetimes", "on", Kind::Never("")),
    ("intervalstyle", "postgres", Kind::Text),
    ("is_superuser", "on", Kind::Never("")),
    ("jit", "off", Kind::Flag),
    ("lock_timeout", "0", Kind::Millis),
    ("log_min_duration_statement", "-1", Kind::Whole(-1, 2_147_483_647)),
    ("log_statement", "none", Kind::Word(LOGGED)),
    ("maintenance_work_mem", "64MB", Kind::Memory(1_024, 1)),
    ("max_connections", "100", Kind::Never(" without restarting the server")),
    ("max_parallel_workers_per_gather", "2", Kind::Whole(0, 1_024)),
    ("min_parallel_index_scan_size", "512kB", Kind::Memory(0, 8)),
    ("min_parallel_table_scan_size", "8MB", Kind::Memory(0, 8)),
    ("parallel_leader_participation", "on", Kind::Flag),
    ("parallel_setup_cost", "1000", Kind::Real),
    ("parallel_tuple_cost", "0.1", Kind::Real),
    ("plan_cache_mode", "auto", Kind::Word(PLANS)),
    ("random_page_cost", "4", Kind::Real),
    ("role", "none", Kind::Text),
    ("row_security", "on", Kind::Flag),
    ("search_path", "\"$user\", public", Kind::Text),
    ("seq_page_cost", "1", Kind::Real),
    ("server_encoding", "UTF8", Kind::Never("")),
    ("server_version", "15.18", Kind::Never("")),
    ("server_version_num", "150018", Kind::Never("")),
    ("session_authorization", "postgres", Kind::Text),
    ("standard_conforming_strings", "on", Kind::Only),
    ("statement_timeout", "0", Kind::Millis),
    ("synchronous_commit", "on", Kind::Word(SYNCHRONOUS)),
    ("timezone", "UTC", Kind::Text),
    ("transaction_deferrable", "off", Kind::Only),
    ("transaction_isolation", "", Kind::Isolation),
    ("transaction_read_only", "", Kind::Flag),
    ("work_mem", "4MB", Kind::Memory(64, 1)),
];

/// What the server tells a client of on its own when it changes.
pub const REPORTED: &[(&str, &str)] = &[
    ("application_name", "application_name"),
    ("client_encoding", "client_encoding"),
    ("datestyle", "DateStyle"),
    ("default_transaction_read_only", "default_transaction_read_only"),
    ("in_hot_standby", "in_hot_standby"),
    ("integer_datetimes", "integer_datetimes"),
    ("intervalstyle", "IntervalStyle"),
    ("is_superuser", "is_superuser"),
    ("server_encoding", "server_encoding"),
    ("server_version", "server_version"),
    ("session_authorization", "session_authorization"),
    ("standard_conforming_strings", "standard_conforming_strings"),
    ("timezone", "TimeZone"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Millis,
    Isolation,
    /// `on` or `off`.
    Flag,
    /// The same, but only what it is by default is here.
    Only,
    /// One of these.
    Word(&'static [&'static str]),
    /// From one number to another.
    Whole(i64, i64),
    Real,
    /// No less than so many units of so many kB.
    Memory(i64, i64),
    /// It cannot be changed, and why.
    Never(&'static str),
}

const LEVELS: &[&str] =
    &["debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"];
const LOGGED: &[&str] = &["none", "ddl", "mod", "all"];
const PLANS: &[&str] = &["auto", "force_generic_plan", "force_custom_plan"];
const SYNCHRONOUS: &[&str] = &["local", "remote_write", "remote_apply", "on", "off"];
const ISOLATIONS: &[&str] =
    &["serializable", "repeatable read", "read committed", "read uncommitted"];
/// What a search for a name finds here.
const PATHS: &[&str] = &["\"$user\", public", "public", "pg_catalog, public", "public, pg_catalog"];

/// Words of `DateStyle`, and what is kept of them: how dates are written, in which order read.
const STYLES: &[(&str, &str)] =
    &[("ISO", "ISO"), ("SQL", "SQL"), ("POSTGRES", "Postgres"), ("GERMAN", "German")];
const ORDERS: &[(&str, &str)] = &[
    ("MDY", "MDY"),
    ("US", "MDY"),
    ("NONEURO", "MDY"),
    ("NONEUROPEAN", "MDY"),
    ("DMY", "DMY"),
    ("EURO", "DMY"),
    ("EUROPEAN", "DMY"),
    ("YMD", "YMD"),
];
const INTERVAL_STYLES: &[&str] = &["postgres", "postgres_verbose", "sql_standard", "iso_8601"];
const AREAS: &[&str] = &[
    "Africa",
    "America",
    "Antarctica",
    "Arctic",
    "Asia",
    "Atlantic",
    "Australia",
    "Etc",
    "Europe",
    "Indian",
    "Pacific",
    "US",
];
/// Zones with the names of POSIX.
const ZONES: &[&str] = &["EST5EDT", "CST6CDT", "MST7MDT", "PST8PDT"];

/// The default and the kind of a parameter.
fn known(name: &str) -> Option<(&'static str, Kind)> {
    let at = KNOWN.binary_search_by_key(&name, |(known, ..)| known).ok()?;
    Some((KNOWN[at].1, KNOWN[at].2))
}

/// Only superusers set them.
const GUARDED: &[&str] = &["deadlock_timeout", "log_min_duration_statement", "log_statement"];

fn unrecognized(name: &str) -> PgError {
    let lower = name.to_lowercase();
    if ABSENT.contains(&lower.as_str()) || lower == "all" {
        return PgError::unsupported(format_args!("the parameter {name}"));
    }
    PgError::new("42704", format!("unrecognized configuration parameter \"{name}\""))
}

fn invalid(name: &str, value: &str) -> PgError {
    PgError::new("22023", format!("invalid value for parameter \"{name}\": \"{value}\""))
}

/// The value that a parameter has before anyone sets it.
pub fn default(db: &Db, name: &str) -> Option<String> {
    if name == "deadlock_timeout" {
        return Some(db.settings.deadlock_timeout.as_millis().to_string());
    }
    if name == "default_transaction_isolation" {
        return Some(db.settings.isolation.name().to_owned());
    }
    if name == "max_connections" {
        return Some(db.settings.max_connections.to_string());
    }
    known(name).map(|(value, _)| value.to_owned())
}

pub fn show(db: &Db, pid: Pid, name: &str) -> Result<String> {
    let lower = name.to_lowercase();
    let proc = db.proc(pid);
    match lower.as_str() {
        "transaction_isolation" => {
            let isolation = proc.txn.as_ref().map(|txn| txn.isolation);
            let own = isolation.map(|isolation| isolation.name().to_owned());
            return Ok(
                own.unwrap_or_else(|| proc.parameter("default_transaction_isolation").into())
            );
        }
        "is_superuser" => {
            let superuser = db.roles(pid).is_superuser(proc.role());
            return Ok(if superuser { "on" } else { "off" }.to_owned());
        }
        "transaction_read_only" => {
            let read_only = proc.txn.as_ref().is_some_and(|txn| txn.read_only);
            return Ok(if read_only { "on" } else { "off" }.to_owned());
        }
        _ => {}
    }
    let value = proc.parameters.get(&lower).map(str::to_owned).or_else(|| default(db, &lower));
    let value = value.ok_or_else(|| unrecognized(name))?;
    let millis = matches!(known(&lower), Some((_, Kind::Millis)));
    Ok(if millis { with_unit(&value) } else { value })
}

/// `1000` as `1s`.
fn with_unit(millis: &str) -> String {
    match millis.parse::<u64>() {
        Ok(0) | Err(_) => millis.to_owned(),
        Ok(ms) if ms % 86_400_000 == 0 => format!("{}d", ms / 86_400_000),
        Ok(ms) if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        Ok(ms) if ms % 60_000 == 0 => format!("{}min", ms / 60_000),
        Ok(ms) if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        Ok(ms) => format!("{ms}ms"),
    }
}

fn outside(name: &str, value: impl std::fmt::Display, (low, high): (i64, i64)) -> PgError {
    let range = format!("the valid range for parameter \"{name}\" ({low} .. {high})");
    PgError::new("22023", format!("{value} is outside {range}"))
}

/// A number and the unit behind it.
fn split_unit(value: &str) -> (Option<f64>, &str) {
    let trimmed = value.trim();
    let digits = trimmed.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let number = digits.trim().parse().ok().filter(|number: &f64| number.is_finite());
    (number, trimmed[digits.len()..].trim())
}

#[allow(clippy::cast_possible_truncation, reason = "what does not fit is out of range")]
fn parse_millis(name: &str, value: &str) -> Result<String> {
    let (number, unit) = split_unit(value);
    let number = number.ok_or_else(|| invalid(name, value))?;
    let factor = match unit {
        "us" => 0.001,
        "" | "ms" => 1.0,
        "s" => 1_000.0,
        "min" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        _ => {
            let hint = "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \
                        \"h\", and \"d\".";
            return Err(invalid(name, value).hint(hint));
        }
    };
    let millis = (number * factor).round_ties_even() as i64;
    let range = (0, i64::from(i32::MAX));
    if millis < range.0 || millis > range.1 {
        return Err(outside(name, format!("{millis} ms"), range));
    }
    Ok(millis.to_string())
}

/// Memory as it is shown: with the greatest unit that divides it.
#[allow(clippy::cast_possible_truncation, reason = "what does not fit is out of range")]
fn memory(name: &str, value: &str, least: i64, unit_kb: i64) -> Result<String> {
    let (number, unit) = split_unit(value);
    let number = number.ok_or_else(|| invalid(name, value))?;
    if number.fract() != 0.0 {
        return Err(PgError::unsupported(format_args!("{name} of {value}")));
    }
    let number = number as i64;
    let kb = number.saturating_mul(match unit {
        "" => unit_kb,
        "kB" => 1,
        "MB" => 1 << 10,
        "GB" => 1 << 20,
        "TB" => 1 << 30,
        _ => return Err(PgError::unsupported(format_args!("memory of {value}"))),
    });
    if unit_kb > 1 && (kb < 0 || kb % unit_kb != 0) {
        return Err(PgError::unsupported(format_args!("{name} of {value}")));
    }
    let most = i64::from(i32::MAX) / if unit_kb > 1 { 3 } else { 1 };
    if kb / unit_kb < least || kb / unit_kb > most {
        return Err(outside(name, format!("{kb} kB"), (least, most)));
    }
    Ok(match kb {
        0 => "0".to_owned(),
        kb if kb % (1 << 30) == 0 => format!("{}TB", kb >> 30),
        kb if kb % (1 << 20) == 0 => format!("{}GB", kb >> 20),
        kb if kb % (1 << 10) == 0 => format!("{}MB", kb >> 10),
        kb => format!("{kb}kB"),
    })
}

fn word(name: &str, value: &str, words: &[&str]) -> Result<String> {
    let lower = value.to_lowercase();
    if words.contains(&lower.as_str()) {
        return Ok(lower);
    }
    match (name, lower.as_str()) {
        ("client_min_messages", "debug") => Ok("debug2".to_owned()),
        ("client_min_messages", "info") => Err(PgError::unsupported("the level info")),
        ("synchronous_commit", _) if flag(name, value).is_ok() => Ok(flag(name, value)?.to_owned()),
        _ => {
            let hint = format!("Available values: {}.", words.join(", "));
            Err(invalid(name, value).hint(hint))
        }
    }
}

fn whole(name: &str, value: &str, low: i64, high: i64) -> Result<String> {
    let number: i64 = value.trim().parse().map_err(|_| match value.trim().parse::<f64>() {
        Ok(_) => PgError::unsupported(format_args!("{name} of {value}")),
        Err(_) => invalid(name, value),
    })?;
    if number < low || number > high {
        return Err(outside(name, number, (low, high)));
    }
    if name == "extra_float_digits" && number < 1 {
        return Err(PgError::unsupported(format_args!("{name} of {number}")));
    }
    Ok(number.to_string())
}

/// A boolean as PostgreSQL reads it: any unique beginning of its words.
fn flag(name: &str, value: &str) -> Result<&'static str> {
    let lower = value.to_lowercase();
    let begins = |word: &str| !lower.is_empty() && word.starts_with(&lower);
    match lower.as_str() {
        "on" | "1" => Ok("on"),
        "of" | "off" | "0" => Ok("off"),
        _ if begins("true") || begins("yes") => Ok("on"),
        _ if begins("false") || begins("no") => Ok("off"),
        _ => {
            let message = format!("parameter \"{name}\" requires a Boolean value");
            Err(PgError::new("22023", message))
        }
    }
}

/// The isolation level by its name; SERIALIZABLE is refused.
pub fn isolation(text: &str) -> Result<Isolation> {
    match text.to_lowercase().as_str() {
        "read uncommitted" => Ok(Isolation::ReadUncommitted),
        "read committed" => Ok(Isolation::ReadCommitted),
        "repeatable read" => Ok(Isolation::RepeatableRead),
        "serializable" => Err(PgError::unsupported("the isolation level SERIALIZABLE")),
        other => Err(invalid("transaction_isolation", other)),
    }
}

/// The value as it is kept, if the parameter may have it.
pub fn checked(name: &str, value: &str) -> Result<String> {
    let kind = match known(name) {
        Some((_, kind)) => kind,
        None if name.contains('.') => Kind::Text,
        None => return Err(unrecognized(name)),
    };
    check(name, value)?;
    let upper = value.to_uppercase();
    Ok(match (name, kind) {
        // What is not plain ASCII is not shown.
        ("application_name", _) => value.bytes().map(plain_byte).collect(),
        ("client_encoding", _) if upper != "SQL_ASCII" => "UTF8".to_owned(),
        ("datestyle", _) => date_style(value, "ISO, MDY")?,
        ("intervalstyle", _) => value.to_lowercase(),
        ("timezone", _) if upper == "DEFAULT" => "UTC".to_owned(),
        ("timezone", _) => {
            let own = UTC.iter().find(|own| own.eq_ignore_ascii_case(value));
            own.map_or(value, |own| own).to_owned()
        }
        ("force_parallel_mode", _) if flag(name, value)? == "on" => {
            return Err(PgError::unsupported("a parallel query"));
        }
        ("search_path", _) if !PATHS.contains(&value) => {
            return Err(PgError::unsupported(format_args!("the search path {value}")));
        }
        (_, Kind::Text) => value.to_owned(),
        (_, Kind::Word(words)) => word(name, value, words)?,
        (_, Kind::Whole(low, high)) => whole(name, value, low, high)?,
        (_, Kind::Memory(least, unit)) => memory(name, value, least, unit)?,
        (_, Kind::Real) => {
            let number: f64 = value.trim().parse().map_err(|_| invalid(name, value))?;
            if !(0.0..1e9).contains(&number) {
                return Err(PgError::unsupported(format_args!("{name} of {value}")));
            }
            number.to_string()
        }
        (_, Kind::Never(why)) => {
            let message = format!("parameter \"{name}\" cannot be changed{why}");
            return Err(PgError::new("55P02", message));
        }
        (_, Kind::Only) => {
            let flag = flag(name, value)?;
            if known(name).is_none_or(|(default, _)| default != flag) {
                return Err(PgError::unsupported(format_args!("{name} {flag}")));
            }
            flag.to_owned()
        }
        (_, Kind::Millis) => parse_millis(name, value)?,
        (_, Kind::Isolation) => {
            word(name, value, ISOLATIONS)?;
            isolation(value)?.name().to_owned()
        }
        (_, Kind::Flag) => flag(name, value)?.to_owned(),
    })
}

fn plain_byte(byte: u8) -> char {
    if (b' '..=b'~').contains(&byte) { char::from(byte) } else { '?' }
}

/// The date style that is asked for; what is not said stays as it is.
fn date_style(value: &str, current: &str) -> Result<String> {
    let (mut style, mut order) = current.split_once(", ").unwrap_or(("ISO", "MDY"));
    let mut ordered = false;
    for word in value.split(',').map(|word| word.trim().to_uppercase()) {
        let of = |words: &[(&str, &'static str)]| {
            words.iter().find(|(known, _)| *known == word).map(|(_, kept)| *kept)
        };
        match (of(STYLES), of(ORDERS)) {
            (Some(named), _) => {
                style = named;
                if named == "German" && !ordered {
                    order = "DMY";
                }
            }
            (_, Some(named)) => (order, ordered) = (named, true),
            _ if word == "DEFAULT" => (style, order) = ("ISO", "MDY"),
            _ => {
                let detail = format!("Unrecognized key word: \"{}\".", word.to_lowercase());
                return Err(invalid("DateStyle", value).detail(detail));
            }
        }
    }
    Ok(format!("{style}, {order}"))
}

/// Sets a parameter, for the transaction if `local`; `None` gives it what it was at the start.
pub fn set(db: &mut Db, pid: Pid, name: &str, value: Option<&str>, local: bool) -> Result<()> {
    let lower = name.to_lowercase();
    let known = known(&lower).is_some() || lower.contains('.');
    let value = match value {
        _ if !known => return Err(unrecognized(name)),
        _ if GUARDED.contains(&lower.as_str()) && db.restricted(pid).is_some() => {
            return Err(PgError::new(
                "42501",
                format!("permission denied to set parameter \"{lower}\""),
            ));
        }
        None => {
            let at_start = db.proc(pid).at_start.get(&lower).cloned();
            at_start.or_else(|| default(db, &lower)).unwrap_or_default()
        }
        Some(value) if lower == "datestyle" => {
            date_style(value, db.proc(pid).parameter("datestyle"))?
        }
        Some(value) => checked(&lower, value)?,
    };
    match lower.as_str() {
        "transaction_isolation" | "transaction_read_only" if value.is_empty() => return Ok(()),
        "transaction_isolation" => return set_isolation(db, pid, isolation(&value)?),
        "transaction_read_only" => return set_read_only(db, pid, value == "on"),
        "session_authorization" if value != db.proc(pid).user => {
            return Err(PgError::unsupported("SET SESSION AUTHORIZATION"));
        }
        _ => {}
    }
    if lower == "role" && value != "none" {
        check_role(db, pid, &value)?;
    }
    let before = db.proc_mut(pid).parameters.put(&lower, Some(value));
    if let Some(txn) = db.proc_mut(pid).txn.as_mut() {
        txn.undo.push(Undo::Parameter(lower, before, local));
    }
    Ok(())
}

/// The isolation of the transaction, before it has seen anything.
pub fn set_isolation(db: &mut Db, pid: Pid, wanted: Isolation) -> Result<()> {
    let txn = db.txn_mut(pid);
    if wanted != txn.isolation && (txn.queried || txn.levels.len() > 1) {
        let when = if txn.queried {
            "be called before any query"
        } else {
            "not be called in a subtransaction"
        };
        let message = format!("SET TRANSACTION ISOLATION LEVEL must {when}");
        return Err(PgError::new("25001", message));
    }
    txn.isolation = wanted;
    Ok(())
}

pub fn set_read_only(db: &mut Db, pid: Pid, read_only: bool) -> Result<()> {
    let txn = db.txn_mut(pid);
    if txn.read_only && !read_only && (txn.queried || txn.levels.len() > 1) {
        let message = if txn.levels.len() > 1 {
            "cannot set transaction read-write mode inside a read-only transaction"
        } else {
            "transaction read-write mode must be set before any query"
        };
        return Err(PgError::new("25001", message));
    }
    txn.read_only = read_only;
    Ok(())
}

/// Gives every parameter back what it was at the start, but for who the session acts as.
pub fn reset_all(db: &mut Db, pid: Pid) -> Result<()> {
    let names: Vec<String> = db.proc(pid).parameters.all().keys().cloned().collect();
    let kept = ["role", "session_authorization"];
    for name in names.iter().filter(|name| !kept.contains(&name.as_str())) {
        set(db, pid, name, None, false)?;
    }
    Ok(())
}

/// Whether the session's user may act as the role.
fn check_role(db: &Db, pid: Pid, role: &str) -> Result<()> {
    if !db.knows_role(role, pid) {
        return Err(PgError::new("22023", format!("role \"{role}\" does not exist")));
    }
    if db.roles(pid).is_member(&db.proc(pid).user, role) {
        return Ok(());
    }
    Err(PgError::new("42501", format!("permission denied to set role \"{role}\"")))
}

fn check(name: &str, value: &str) -> Result<()> {
    let upper = value.to_uppercase();
    match name {
        "timezone" => {
            let ours = upper == "DEFAULT" || UTC.iter().any(|own| own.eq_ignore_ascii_case(value));
            let area = value.split_once('/').is_some_and(|(area, _)| AREAS.contains(&area));
            if ours || area || ZONES.contains(&upper.as_str()) {
                return Ok(());
            }
            Err(PgError::unsupported(format_args!("the time zone {value}")))
        }
        "client_encoding"
            if !matches!(upper.as_str(), "UTF8" | "UTF-8" | "UNICODE" | "SQL_ASCII") =>
        {
            Err(PgError::unsupported(format_args!("the client encoding {value}")))
        }
        "intervalstyle" if !INTERVAL_STYLES.contains(&value.to_lowercase().as_str()) => {
            let hint = format!("Available values: {}.", INTERVAL_STYLES.join(", "));
            Err(invalid(name, value).hint(hint))
        }
        "bytea_output" if upper != "HEX" => {
            Err(PgError::unsupported(format_args!("the bytea output {value}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_stand_in_the_order_of_their_names() {
        assert!(KNOWN.is_sorted_by_key(|(name, ..)| name));
        assert!(ABSENT.is_sorted());
    }
}
