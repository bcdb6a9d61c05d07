//! Values to and from their text form. Must never accept what PostgreSQL refuses.

use std::fmt::Write as _;
use std::sync::Arc;

use super::{Array, Base, Datum, Interval, Json, Numeric, Ty, datetime};
use crate::world::postgres::error::{PgError, Result, common};

/// `typmod` is the type's modifier as PostgreSQL encodes it, -1 for none.
pub fn from_text(text: &str, ty: Ty, typmod: i32) -> Result<Datum> {
    if ty.array {
        let array = Array::from_text(text, ty.element())?;
        return fit(Datum::Array(Arc::new(array)), ty, typmod, false);
    }
    let datum = match ty.base {
        Base::Bool => Datum::Bool(parse_bool(text)?),
        Base::Int2 | Base::Int4 | Base::Int8 | Base::Oid => Datum::Int(parse_int(text, ty)?),
        Base::Float4 | Base::Float8 => Datum::Float(parse_float(text, ty)?),
        Base::Numeric => Datum::Numeric(
            Numeric::parse(text).ok_or_else(|| common::invalid_text("numeric", text))?,
        ),
        Base::Name => Datum::text(name_text(text)),
        Base::Text | Base::Varchar | Base::Bpchar | Base::Unknown => Datum::text(text),
        Base::Json => {
            Json::check(text)?;
            Datum::text(text)
        }
        Base::Jsonb => Datum::Json(Arc::new(Json::parse(text)?)),
        Base::Bytea => Datum::Bytes(parse_bytea(text)?.into()),
        Base::Uuid => Datum::Uuid(parse_uuid(text)?),
        Base::Date => Datum::Date(datetime::parse_date(text)?),
        Base::Time => Datum::Micros(datetime::parse_time(text)?),
        Base::Timestamp => Datum::Micros(datetime::parse_timestamp(text, false)?),
        Base::Timestamptz => Datum::Micros(datetime::parse_timestamp(text, true)?),
        Base::Interval => Datum::Interval(Interval::parse(text)?),
        Base::Void => Datum::Void,
        Base::Regtype => {
            let named = Ty::from_name(text)
                .ok_or_else(|| PgError::unsupported(format_args!("the type name {text}")))?;
            Datum::Int(i64::from(named.oid()))
        }
        Base::Regclass | Base::Record | Base::Any => {
            return Err(PgError::unsupported(format_args!("input of type {}", ty.name())));
        }
    };
    fit(datum, ty, typmod, false)
}

/// A name has 63 bytes at most.
pub fn name_text(text: &str) -> &str {
    let mut end = text.len().min(63);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Applies a type's modifier: length, precision and scale. An explicit cast truncates texts.
pub fn fit(datum: Datum, ty: Ty, typmod: i32, explicit: bool) -> Result<Datum> {
    if typmod < 0 || datum.is_null() {
        return Ok(datum);
    }
    match (ty.base, &datum) {
        (_, Datum::Array(array)) => {
            let item = |item: &Datum| fit(item.clone(), ty.element(), typmod, explicit);
            let items = array.items.iter().map(item).collect::<Result<_>>()?;
            Ok(Datum::Array(Arc::new(Array { items })))
        }
        (Base::Numeric, Datum::Numeric(number)) => {
            let packed = u32::try_from(typmod - 4).unwrap_or(0);
            Ok(Datum::Numeric(number.fit(packed >> 16, packed & 0xffff)?))
        }
        (Base::Varchar | Base::Bpchar, Datum::Text(text)) => {
            let limit = usize::try_from(typmod - 4).unwrap_or(0);
            fit_text(text, ty, limit, explicit)
        }
        _ => Ok(datum),
    }
}

fn fit_text(text: &Arc<str>, ty: Ty, limit: usize, explicit: bool) -> Result<Datum> {
    let length = text.chars().count();
    if length <= limit {
        let padded = match ty.base {
            Base::Bpchar => format!("{text}{}", " ".repeat(limit - length)).into(),
            _ => text.clone(),
        };
        return Ok(Datum::Text(padded));
    }
    let kept: String = text.chars().take(limit).collect();
    if explicit || text.chars().skip(limit).all(|c| c == ' ') {
        return Ok(Datum::text(kept));
    }
    let name = ty.name();
    Err(PgError::new("22001", format!("value too long for type {name}({limit})")))
}

pub fn to_text(datum: &Datum, ty: Ty) -> String {
    match datum {
        Datum::Null | Datum::Void => String::new(),
        Datum::Bool(flag) => if *flag { "t" } else { "f" }.to_owned(),
        Datum::Int(oid) if ty.base == Base::Regtype => type_name(*oid),
        Datum::Int(number) => number.to_string(),
        Datum::Float(number) => float_text(*number, ty),
        Datum::Numeric(number) => number.to_string(),
        Datum::Text(text) => text.to_string(),
        Datum::Bytes(bytes) => format!("\\x{}", hex(bytes)),
        Datum::Uuid(bytes) => uuid_text(bytes),
        Datum::Date(days) => datetime::date_text(*days),
        Datum::Micros(micros) => match ty.base {
            Base::Time => datetime::clock_text(*micros),
            Base::Timestamp => datetime::format_timestamp(*micros, false),
            _ => datetime::format_timestamp(*micros, true),
        },
        Datum::Interval(interval) => interval.to_string(),
        Datum::Json(json) => json.text(),
        Datum::Array(array) => array.to_text(ty.element()),
        Datum::Record(record) => record_text(&record.fields),
    }
}

/// What a type is called; the number of one that is not here.
fn type_name(oid: i64) -> String {
    let known = u32::try_from(oid).ok().filter(|oid| *oid > 0).and_then(Ty::from_oid);
    known.map_or_else(|| oid.to_string(), Ty::name)
}

fn record_text(fields: &[(Ty, Datum)]) -> String {
    let mut out = String::from("(");
    for (index, (ty, datum)) in fields.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        let text = to_text(datum, *ty);
        let quote = (text.is_empty() && !datum.is_null())
            || text.contains(['"', '\\', '(', ')', ',', ' '])
            || text.contains(['\t', '\n', '\r', '\u{b}', '\u{c}']);
        if quote {
            write!(out, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\"\""))
                .expect("a string takes all");
        } else {
            out.push_str(&text);
        }
    }
    out.push(')');
    out
}

pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    out
}

fn uuid_text(bytes: &[u8; 16]) -> String {
    let digits = hex(bytes);
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}

fn float_text(number: f64, ty: Ty) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let plain = shortest(number, ty);
    let (mantissa, exponent) = plain.split_once('e').expect("exponent form");
    let exponent: i32 = exponent.parse().expect("an exponent is a number");
    let digits_max = if ty.base == Base::Float4 { 6 } else { 15 };
    if (-4..digits_max).contains(&exponent) {
        return positional(mantissa, exponent);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// The shortest digits that lie nearer to the number than to any other one, as `d.ddde±x`. Those
/// that lie half way are not taken, although they would be read as it (PostgreSQL's `d2s.c`, whose
/// bounds are never acceptable).
#[allow(clippy::cast_possible_truncation, reason = "a float4 was stored rounded to single")]
fn shortest(number: f64, ty: Ty) -> String {
    let narrow = ty.base == Base::Float4;
    let plain = if narrow { format!("{:e}", number as f32) } else { format!("{number:e}") };
    let digits = plain.bytes().take_while(|b| *b != b'e').filter(u8::is_ascii_digit).count();
    let (bits, power) =
        if narrow { split(f64::from(number as f32), 24) } else { split(number, 53) };
    if bits % 2 == 1 || !is_half_way(&plain, bits, power) {
        return plain;
    }
    let more = (digits..17).map(|after| {
        if narrow { format!("{:.after$e}", number as f32) } else { format!("{number:.after$e}") }
    });
    let reads_as = |text: &String| {
        let same =
            if narrow { text.parse() == Ok(number as f32) } else { text.parse() == Ok(number) };
        same && !is_half_way(text, bits, power)
    };
    more.into_iter().find(reads_as).unwrap_or(plain)
}

/// The number as an integer of so many bits and a power of two.
fn split(number: f64, width: u32) -> (u64, i32) {
    let bits = number.abs().to_bits();
    let (fraction, exponent) = (bits & ((1 << 52) - 1), (bits >> 52) as i32);
    let (whole, power) = match exponent {
        0 => (fraction, -1074),
        _ => (fraction | 1 << 52, exponent - 1075),
    };
    let spare = 53 - width;
    (whole >> spare, power + spare.cast_signed())
}

/// Whether the decimal is exactly in the middle between `bits` times two to the `power` and one of
/// the numbers beside it.
fn is_half_way(decimal: &str, bits: u64, power: i32) -> bool {
    let (mantissa, exponent) = decimal.split_once('e').unwrap_or((decimal, "0"));
    let fraction = mantissa.split_once('.').map_or(0, |(_, after)| after.len());
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let (Ok(mut odd), Ok(exponent)) = (digits.parse::<u128>(), exponent.parse::<i32>()) else {
        return false;
    };
    // What is left of the decimal without its powers of two.
    let tens = exponent - i32::try_from(fraction).unwrap_or(0);
    let mut twos = tens;
    for _ in 0..tens.unsigned_abs() {
        match tens > 0 {
            true => match odd.checked_mul(5) {
                Some(more) => odd = more,
                None => return false,
            },
            false if odd % 5 == 0 => odd /= 5,
            false => return false,
        }
    }
    if odd == 0 {
        return false;
    }
    twos += odd.trailing_zeros().cast_signed();
    odd >>= odd.trailing_zeros();
    [2 * u128::from(bits) + 1, 2 * u128::from(bits) - 1].contains(&odd) && twos == power - 1
}

/// `d.ddd` times ten to the exponent, without one.
fn positional(mantissa: &str, exponent: i32) -> String {
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let Ok(whole) = usize::try_from(exponent + 1) else {
        let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
        return format!("{sign}0.{}{digits}", "0".repeat(zeros));
    };
    if whole == 0 {
        return format!("{sign}0.{digits}");
    }
    if digits.len() <= whole {
        return format!("{sign}{digits}{}", "0".repeat(whole - digits.len()));
    }
    format!("{sign}{}.{}", &digits[..whole], &digits[whole..])
}

fn parse_bool(text: &str) -> Result<bool> {
    let lower = text.trim().to_ascii_lowercase();
    let is = |word: &str, least: usize| lower.len() >= least && word.starts_with(&lower);
    if is("true", 1) || is("yes", 1) || is("on", 2) || lower == "1" {
        Ok(true)
    } else if is("false", 1) || is("no", 1) || is("off", 2) || lower == "0" {
        Ok(false)
    } else {
        Err(common::invalid_text("boolean", text))
    }
}

fn parse_int(text: &str, ty: Ty) -> Result<i64> {
    let trimmed = text.trim();
    let overflow = || {
        let message = format!("value \"{text}\" is out of range for type {}", ty.name());
        PgError::new("22003", message)
    };
    let digits = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(common::invalid_text(&ty.name(), text));
    }
    let number: i64 = trimmed.parse().map_err(|_| overflow())?;
    // `oidin` takes what fits 32 bits with or without a sign.
    let signed = ty.base == Base::Oid && (i64::from(i32::MIN)..0).contains(&number);
    let number = if signed { number + (1 << 32) } else { number };
    in_range(number, ty).then_some(number).ok_or_else(overflow)
}

/// Whether an integer type holds `number`.
pub fn in_range(number: i64, ty: Ty) -> bool {
    match ty.base {
        Base::Int2 => i16::try_from(number).is_ok(),
        Base::Int4 => i32::try_from(number).is_ok(),
        Base::Oid | Base::Regclass | Base::Regtype => u32::try_from(number).is_ok(),
        _ => true,
    }
}

/// A float4 is kept rounded to single.
pub fn single(number: f64, ty: Ty) -> f64 {
    #[allow(clippy::cast_possible_truncation, reason = "that is what the type does")]
    match ty.base {
        Base::Float4 => f64::from(number as f32),
        _ => number,
    }
}

fn parse_float(text: &str, ty: Ty) -> Result<f64> {
    let trimmed = text.trim();
    let parsed = match trimmed.to_ascii_lowercase().as_str() {
        "nan" => Some(f64::NAN),
        "infinity" | "inf" | "+infinity" | "+inf" => Some(f64::INFINITY),
        "-infinity" | "-inf" => Some(f64::NEG_INFINITY),
        _ => {
            let finite = trimmed.parse::<f64>().ok();
            let zero = !trimmed
                .split(['e', 'E'])
                .next()
                .unwrap_or("")
                .contains(|c| ('1'..='9').contains(&c));
            let lost = |number| number == 0.0 && !zero;
            if finite.map(|number| single(number, ty)).is_some_and(|n| n.is_infinite() || lost(n)) {
                let message = format!("\"{text}\" is out of range for type {}", ty.name());
                return Err(PgError::new("22003", message));
            }
            finite
        }
    };
    let parsed = parsed.ok_or_else(|| common::invalid_text(&ty.name(), text))?;
    Ok(single(parsed, ty))
}

fn parse_uuid(text: &str) -> Result<[u8; 16]> {
    let bad = || common::invalid_text("uuid", text);
    let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
    // A dash may follow every fourth digit.
    let mut digits = String::with_capacity(32);
    let mut dash = false;
    for c in inner.chars() {
        let may = !dash && !digits.is_empty() && digits.len().is_multiple_of(4);
        dash = c == '-' && may && digits.len() < 32;
        if !dash {
            if !c.is_ascii_hexdigit() {
                return Err(bad());
            }
            digits.push(c);
        }
    }
    unhex(&digits).and_then(|bytes| bytes.try_into().ok()).ok_or_else(bad)
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let all = digits.bytes().all(|b| b.is_ascii_hexdigit());
    if !digits.len().is_multiple_of(2) || !all {
        return None;
    }
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok())
        .collect()
}

fn parse_bytea(text: &str) -> Result<Vec<u8>> {
    let bad = || PgError::new("22P02", "invalid input syntax for type bytea");
    if let Some(digits) = text.strip_prefix("\\x") {
        if digits.contains([' ', '\n', '\t', '\r']) {
            return Err(PgError::unsupported("blanks between the digits of a bytea"));
        }
        return unhex(digits).ok_or_else(|| {
            let wrong = digits.chars().find(|c| !c.is_ascii_hexdigit());
            let message = match wrong {
                Some(wrong) => format!("invalid hexadecimal digit: \"{wrong}\""),
                None => "invalid hexadecimal data: odd number of digits".to_owned(),
            };
            PgError::new("22023", message)
        });
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next().ok_or_else(bad)? {
            b'\\' => out.push(b'\\'),
            first => {
                let mut value = u32::from(first.wrapping_sub(b'0'));
                for _ in 0..2 {
                    value = value * 8 + u32::from(bytes.next().ok_or_else(bad)?.wrapping_sub(b'0'));
                }
                out.push(u8::try_from(value).map_err(|_| bad())?);
            }
        }
    }
    Ok(out)
}
