//! Conversions between types at run time. Must never decide which are allowed.

use std::sync::Arc;

use super::calls::{Call, once};
use super::{Cx, system};
use crate::world::postgres::error::{PgError, Result, Step, common};
use crate::world::postgres::sql::quoted;
use crate::world::postgres::storage::Db;
use crate::world::postgres::storage::locks::Pid;
use crate::world::postgres::types::{
    Array, Base, Datum, Json, MICROS_PER_DAY, Numeric, Ty, date_micros, fit, from_text, in_range,
    single, to_text,
};

pub fn cast(
    cx: &mut Cx<'_>,
    datum: Datum,
    from: Ty,
    to: Ty,
    typmod: i32,
    explicit: bool,
) -> Step<Datum> {
    if datum.is_null() {
        return Ok(Datum::Null);
    }
    if to == Ty::REGCLASS && from.is_text() {
        return regclass(cx, &datum);
    }
    if from == Ty::REGCLASS && to.is_text() {
        let name = datum.as_int().and_then(|oid| {
            let oid = u32::try_from(oid).ok()?;
            let table = cx.db.table_by_oid(oid, cx.pid).map(|table| table.name.clone());
            table.ok().or_else(|| Some(cx.db.sequence(oid, cx.pid)?.name.clone()))
        });
        let index = || system::index_by_oid(cx.db, datum.as_int()?).map(Into::into);
        let name = name.or_else(index);
        let plain = || Datum::text(to_text(&datum, from));
        return Ok(name.map_or_else(plain, |name| Datum::text(quoted(&name))));
    }
    let converted = if from == to { datum } else { convert(datum, from, to, typmod)? };
    Ok(fit(converted, to, typmod, explicit)?)
}

fn regclass(cx: &mut Cx<'_>, datum: &Datum) -> Step<Datum> {
    let find = |cx: &mut Cx<'_>| {
        let text = datum.as_str().unwrap_or_default();
        Ok(Datum::Int(relation_oid(cx.db, cx.pid, text)?))
    };
    once(Call::Named(datum.clone()), cx, find)
}

/// The table, index or sequence that a text names, or has the number of.
pub fn relation_oid(db: &Db, pid: Pid, text: &str) -> Result<i64> {
    if text == "-" {
        return Ok(0);
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<u32>().map(i64::from).map_err(|_| {
            let message = format!("value \"{text}\" is out of range for type oid");
            PgError::new("22003", message)
        });
    }
    let (name, whole) = parts_of_name(text)?;
    if let Ok(table) = db.table(&name, pid) {
        return Ok(i64::from(table.oid));
    }
    if let Some((oid, at)) = db.catalog.index(&name, db.own(pid)) {
        let table = db.table_by_oid(oid, pid)?;
        return Ok(system::index_oid(&table, at));
    }
    let sequence = db.catalog.sequence(&name, db.own(pid));
    sequence.map(i64::from).ok_or_else(|| {
        let shown = if whole { format!("public.{name}") } else { name };
        common::no_relation(&shown)
    })
}

/// The name that a text holds, as SQL would read it, without the schema `public`.
pub fn written_name(text: &str) -> Result<String> {
    Ok(parts_of_name(text)?.0)
}

/// The name, and whether `public` was before it.
fn parts_of_name(text: &str) -> Result<(String, bool)> {
    let invalid = || PgError::new("42602", "invalid name syntax");
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = if let Some(quoted) = rest.strip_prefix('"') {
            let at = (0..quoted.len()).filter(|at| quoted.as_bytes()[*at] == b'"');
            let mut marks = at.peekable();
            let mut end = None;
            while let Some(at) = marks.next() {
                if marks.next_if_eq(&(at + 1)).is_none() {
                    end = Some(at);
                    break;
                }
            }
            let end = end.ok_or_else(invalid)?;
            (quoted[..end].replace("\"\"", "\""), &quoted[end + 1..])
        } else {
            let end = rest.find(|c: char| c == '.' || c.is_whitespace()).unwrap_or(rest.len());
            if end == 0 {
                return Err(invalid());
            }
            (rest[..end].to_lowercase(), &rest[end..])
        };
        parts.push(part);
        match after.trim_start().strip_prefix('.') {
            Some(next) => rest = next.trim_start(),
            None if after.trim().is_empty() => break,
            None => return Err(invalid()),
        }
    }
    match parts.as_slice() {
        [_] => Ok((parts.swap_remove(0), false)),
        [schema, _] if schema == "public" => Ok((parts.swap_remove(1), true)),
        [schema, _] if !["pg_catalog", "information_schema"].contains(&schema.as_str()) => {
            Err(PgError::new("3F000", format!("schema \"{schema}\" does not exist")))
        }
        _ => Err(PgError::unsupported("a name in another schema")),
    }
}

fn convert(datum: Datum, from: Ty, to: Ty, typmod: i32) -> Result<Datum> {
    if from.array && to.array {
        let Datum::Array(array) = &datum else { return Ok(datum) };
        let (element, wanted) = (from.element(), to.element());
        let mut items = Vec::with_capacity(array.items.len());
        for item in &array.items {
            items.push(if item.is_null() {
                Datum::Null
            } else {
                convert(item.clone(), element, wanted, typmod)?
            });
        }
        return Ok(Datum::Array(Arc::new(Array { items })));
    }
    match (datum, to.base) {
        (Datum::Int(number), Base::Bool) => Ok(Datum::Bool(number != 0)),
        // The same 32 bits.
        (Datum::Int(number @ ..0), Base::Oid) if from != Ty::INT8 => {
            Ok(Datum::Int(number + (1 << 32)))
        }
        (Datum::Int(number), base) if to.numeric_rank().is_some() => from_int(number, to, base),
        (Datum::Numeric(number), base) if to.numeric_rank().is_some() => match base {
            Base::Float4 | Base::Float8 => float(number.to_f64(), to),
            Base::Numeric => Ok(Datum::Numeric(number)),
            _ => checked_int(number.to_int().map_err(|_| common::out_of_range(&to.name()))?, to),
        },
        (Datum::Float(number), _) if to.numeric_rank().is_some() => from_float(number, from, to),
        (Datum::Bool(flag), Base::Int4) => Ok(Datum::Int(i64::from(flag))),
        (Datum::Bool(flag), base) if is_text(base) && base != Base::Name => {
            Ok(Datum::text(if flag { "true" } else { "false" }))
        }
        (Datum::Text(text), _) if to.array => from_text(&text, to, typmod),
        (Datum::Text(text), base) if is_text(base) => Ok(match from.base {
            Base::Bpchar => Datum::text(text.trim_end_matches(' ')),
            _ => Datum::Text(text),
        }),
        (Datum::Text(text), Base::Jsonb) => Ok(Datum::Json(Arc::new(Json::parse(&text)?))),
        (Datum::Text(text), _) => from_text(&text, to, typmod),
        (Datum::Json(json), base) if !is_text(base) && base != Base::Json => from_json(&json, to),
        (Datum::Date(days), Base::Timestamp | Base::Timestamptz) => {
            Ok(Datum::Micros(date_micros(days)?))
        }
        (Datum::Micros(i64::MAX), Base::Date) => Ok(Datum::Date(i32::MAX)),
        (Datum::Micros(i64::MIN), Base::Date) => Ok(Datum::Date(i32::MIN)),
        (Datum::Micros(micros), Base::Date) => {
            let days = i32::try_from(micros.div_euclid(MICROS_PER_DAY));
            Ok(Datum::Date(days.map_err(|_| common::out_of_range("date"))?))
        }
        (Datum::Micros(i64::MIN | i64::MAX), Base::Time) => Ok(Datum::Null),
        (Datum::Micros(micros), Base::Time) if from != Ty::TIME => {
            Ok(Datum::Micros(micros.rem_euclid(MICROS_PER_DAY)))
        }
        (Datum::Micros(micros), Base::Timestamp | Base::Timestamptz) => Ok(Datum::Micros(micros)),
        (Datum::Int(oid), Base::Regclass | Base::Regtype) => Ok(Datum::Int(oid)),
        (Datum::Micros(_) | Datum::Interval(_), Base::Time | Base::Interval) => {
            Err(PgError::unsupported("a cast between a time and an interval"))
        }
        (other, base) if is_text(base) || base == Base::Json => {
            Ok(Datum::text(to_text(&other, from)))
        }
        _ => Err(PgError::unsupported(format_args!("a cast of {} to {}", from.name(), to.name()))),
    }
}

fn is_text(base: Base) -> bool {
    Ty { base, array: false }.is_text()
}

#[allow(clippy::cast_precision_loss, reason = "a conversion to float8 rounds, as PostgreSQL's")]
fn from_int(number: i64, to: Ty, base: Base) -> Result<Datum> {
    match base {
        Base::Numeric => Ok(Datum::Numeric(Numeric::from_int(number))),
        Base::Float4 | Base::Float8 => float(number as f64, to),
        _ => checked_int(number, to),
    }
}

fn checked_int(number: i64, to: Ty) -> Result<Datum> {
    if in_range(number, to) {
        return Ok(Datum::Int(number));
    }
    if to.base == Base::Oid {
        return Err(common::out_of_range("OID"));
    }
    Err(common::out_of_range(&to.name()))
}

fn float(number: f64, to: Ty) -> Result<Datum> {
    let kept = single(number, to);
    if kept.is_infinite() && number.is_finite() {
        return Err(PgError::new("22003", "value out of range: overflow"));
    }
    if kept == 0.0 && number != 0.0 {
        return Err(PgError::new("22003", "value out of range: underflow"));
    }
    Ok(Datum::Float(kept))
}

fn from_float(number: f64, from: Ty, to: Ty) -> Result<Datum> {
    match to.base {
        Base::Float4 | Base::Float8 => float(number, to),
        Base::Numeric => {
            // As many digits as the type is sure of.
            let digits = if from == Ty::FLOAT4 { 5 } else { 14 };
            let text = format!("{number:.digits$e}");
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
            let parsed = Numeric::parse(&format!("{mantissa}e{exponent}"));
            let parsed = parsed.map(Datum::Numeric);
            parsed.ok_or_else(|| PgError::unsupported(format_args!("{number} as numeric")))
        }
        _ => {
            let rounded = number.round_ties_even();
            let whole = Numeric::parse(&format!("{rounded:.0}")).and_then(|n| n.to_int().ok());
            checked_int(whole.ok_or_else(|| common::out_of_range(&to.name()))?, to)
        }
    }
}

fn from_json(json: &Json, to: Ty) -> Result<Datum> {
    match (json, to.base) {
        (Json::Bool(flag), Base::Bool) => Ok(Datum::Bool(*flag)),
        (Json::Number(number), base) if base != Base::Bool => {
            convert(Datum::Numeric(*number), Ty::NUMERIC, to, -1)
        }
        (other, _) => {
            let kind = match other {
                Json::Text(_) => "string",
                Json::Number(_) => "numeric",
                Json::Bool(_) => "boolean",
                Json::Array(_) => "array",
                Json::Object(_) => "object",
                Json::Null => "null",
            };
            let message = format!("cannot cast jsonb {kind} to type {}", to.name());
            Err(PgError::new("22023", message))
        }
    }
}
