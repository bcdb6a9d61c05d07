//! LIKE and ILIKE, by their operators. Must never fold letters beyond ASCII.

use super::json::TEXTS;
use super::text::ascii_only;
use crate::world::postgres::error::{PgError, Step, Stop};
use crate::world::postgres::exec::Cx;
use crate::world::postgres::sql::{Builtin, Function};
use crate::world::postgres::types::{Datum, Ty};

const fn f(name: &'static str, args: &'static [Ty], run: Builtin) -> Function {
    Function { name, args, ret: Ty::BOOL, strict: true, variadic: false, run }
}

pub const TABLE: &[Function] = &[
    f("~~", &[Ty::TEXT, Ty::TEXT], like),
    f("~~", &[Ty::BPCHAR, Ty::TEXT], like),
    f("~~", &[Ty::NAME, Ty::TEXT], like),
    f("!~~", &[Ty::TEXT, Ty::TEXT], not_like),
    f("!~~", &[Ty::BPCHAR, Ty::TEXT], not_like),
    f("!~~", &[Ty::NAME, Ty::TEXT], not_like),
    f("~~*", &[Ty::TEXT, Ty::TEXT], ilike),
    f("~~*", &[Ty::BPCHAR, Ty::TEXT], ilike),
    f("~~*", &[Ty::NAME, Ty::TEXT], ilike),
    f("!~~*", &[Ty::TEXT, Ty::TEXT], not_ilike),
    f("!~~*", &[Ty::BPCHAR, Ty::TEXT], not_ilike),
    f("!~~*", &[Ty::NAME, Ty::TEXT], not_ilike),
    Function { ret: Ty::TEXT, ..f("like_escape", &[Ty::TEXT, Ty::TEXT], escape) },
    // A text, patterns, the operator, and whether all must fit.
    Function { strict: false, ..f("like_any", &[Ty::ANY, TEXTS, Ty::TEXT, Ty::BOOL], quantified) },
];

fn text(datum: &Datum) -> &str {
    datum.as_str().unwrap_or_default()
}

fn like(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::Bool(fits("~~", &args[0], &args[1])?))
}

fn not_like(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::Bool(fits("!~~", &args[0], &args[1])?))
}

fn ilike(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::Bool(fits("~~*", &args[0], &args[1])?))
}

fn not_ilike(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::Bool(fits("!~~*", &args[0], &args[1])?))
}

fn quantified(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let (Datum::Array(patterns), operator, Some(all)) =
        (&args[1], text(&args[2]), args[3].as_bool())
    else {
        return Ok(Datum::Null);
    };
    let mut result = Datum::Bool(all);
    for pattern in &patterns.items {
        if pattern.is_null() || args[0].is_null() {
            result = Datum::Null;
        } else if fits(operator, &args[0], pattern)? != all {
            return Ok(Datum::Bool(!all));
        }
    }
    Ok(result)
}

fn fits(operator: &str, subject: &Datum, pattern: &Datum) -> Step<bool> {
    let letters = |datum| {
        if operator.ends_with('*') {
            let folded = ascii_only(datum)?.to_ascii_lowercase();
            return Ok::<_, Stop>(folded.chars().collect::<Vec<char>>());
        }
        Ok(text(datum).chars().collect())
    };
    Ok(matches(&letters(subject)?, &letters(pattern)?)? != operator.starts_with('!'))
}

/// Whether a text fits a pattern of LIKE; only the last `%` is come back to.
fn matches(subject: &[char], pattern: &[char]) -> Step<bool> {
    let (mut s, mut p) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while s < subject.len() {
        let fits = match pattern.get(p) {
            Some('%') => {
                p += 1;
                star = Some((p, s));
                continue;
            }
            Some('_') => Some(1),
            Some('\\') => {
                let Some(wanted) = pattern.get(p + 1) else {
                    let message = "LIKE pattern must not end with escape character";
                    return Err(PgError::new("22025", message).into());
                };
                (*wanted == subject[s]).then_some(2)
            }
            Some(wanted) => (*wanted == subject[s]).then_some(1),
            None => None,
        };
        match (fits, star) {
            (Some(length), _) => (s, p) = (s + 1, p + length),
            (None, Some((after, at))) => {
                (s, p) = (at + 1, after);
                star = Some((after, at + 1));
            }
            (None, None) => return Ok(false),
        }
    }
    Ok(pattern[p..].iter().all(|c| *c == '%'))
}

/// A pattern with an escape character of its own (or none), as one with a backslash.
fn escape(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let mut given = text(&args[1]).chars();
    let own = given.next();
    if given.next().is_some() {
        let hint = "Escape string must be empty or one character.";
        return Err(PgError::new("22025", "invalid escape string").hint(hint).into());
    }
    if own == Some('\\') {
        return Ok(args[0].clone());
    }
    let (mut out, mut after) = (String::new(), false);
    for c in text(&args[0]).chars() {
        if own == Some(c) && !after {
            out.push('\\');
            after = true;
            continue;
        }
        if c == '\\' && !after {
            out.push('\\');
        }
        out.push(c);
        after = false;
    }
    Ok(Datum::text(out))
}
