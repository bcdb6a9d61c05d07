//! `to_char` of times. Must never pass over a pattern that it does not know.

use std::fmt::Write as _;

use crate::world::postgres::error::{PgError, Step};
use crate::world::postgres::exec::Cx;
use crate::world::postgres::sql::Function;
use crate::world::postgres::types::{
    Datum, EPOCH_DAYS, MICROS_PER_DAY, MICROS_PER_SECOND, Ty, civil_from_days,
};

const fn f(args: &'static [Ty]) -> Function {
    Function { name: "to_char", args, ret: Ty::TEXT, strict: true, variadic: false, run: to_char }
}

pub const TABLE: &[Function] = &[f(&[Ty::TIMESTAMP, Ty::TEXT]), f(&[Ty::TIMESTAMPTZ, Ty::TEXT])];

/// Longer ones first; those that are not here would be read as shorter ones.
const PATTERNS: &[&str] =
    &["YYYY", "MM", "DDD", "DD", "HH24", "HH12", "HH", "MI", "SSSS", "SS", "MS", "US"];

fn to_char(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let (Datum::Micros(at), Some(format)) = (&args[0], args[1].as_str()) else {
        return Ok(Datum::Null);
    };
    if format.is_empty() || matches!(*at, i64::MIN | i64::MAX) {
        return Ok(Datum::Null);
    }
    let unknown = || PgError::unsupported(format_args!("the pattern \"{format}\" of to_char"));
    let (mut out, mut rest) = (String::new(), format);
    while !rest.is_empty() {
        let bare = rest.starts_with("FM") || rest.starts_with("fm");
        rest = if bare { &rest[2..] } else { rest };
        let begins = |pattern: &&&str| {
            rest.starts_with(**pattern) || rest.starts_with(&pattern.to_ascii_lowercase())
        };
        if let Some(pattern) = PATTERNS.iter().find(begins) {
            let (value, width) = part(*at, pattern).ok_or_else(unknown)?;
            let free = bare && !matches!(*pattern, "MS" | "US");
            let width = if free { 0 } else { width };
            write!(out, "{value:0width$}").expect("a string takes all");
            rest = &rest[pattern.len()..];
        } else if let Some(quoted) = rest.strip_prefix('"') {
            rest = literal(quoted, &mut out);
        } else if rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Err(unknown().into());
        } else {
            let mut chars = rest.strip_prefix("\\\"").map_or(rest, |_| &rest[1..]).chars();
            out.extend(chars.next());
            rest = chars.as_str();
        }
    }
    Ok(Datum::text(out))
}

/// A part of a time and its width.
fn part(at: i64, pattern: &str) -> Option<(i64, usize)> {
    let (year, month, day) = civil_from_days(at.div_euclid(MICROS_PER_DAY) + EPOCH_DAYS);
    let clock = at.rem_euclid(MICROS_PER_DAY);
    let (seconds, micros) = (clock / MICROS_PER_SECOND, clock % MICROS_PER_SECOND);
    let hour = seconds / 3600;
    Some(match pattern {
        "YYYY" => (if year <= 0 { 1 - year } else { year }, 4),
        "MM" => (month, 2),
        "DD" => (day, 2),
        "HH24" => (hour, 2),
        "HH12" | "HH" => ((hour + 11) % 12 + 1, 2),
        "MI" => (seconds / 60 % 60, 2),
        "SS" => (seconds % 60, 2),
        "MS" => (micros / 1_000, 3),
        "US" => (micros, 6),
        _ => return None,
    })
}

/// What stands up to the next quote, and what follows it; a backslash is of the character after it.
fn literal<'f>(quoted: &'f str, out: &mut String) -> &'f str {
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => out.push(chars.next().unwrap_or(c)),
            c => out.push(c),
        }
    }
    chars.as_str()
}
