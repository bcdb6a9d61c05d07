//! What Bind and SQL's EXECUTE give a prepared statement. Must never run the statement itself.

use bytes::Bytes;
use sqlparser::ast::{Expr, Spanned as _, Statement, UnaryOperator, Value};

use super::begin::How;
use super::frame::format_of;
use super::run::{Prepared, Runner};
use crate::env::Env;
use crate::world::postgres::error::{PgError, Result, common};
use crate::world::postgres::sql::{Analyzer, Context, Scope, can_cast, offset};
use crate::world::postgres::types::{Datum, Ty, from_binary, from_text, utf8};

pub fn no_format(format: i16) -> PgError {
    PgError::new("22023", format!("unsupported format code: {format}"))
}

/// Whether a Bind message has as many values as the statement has parameters.
pub fn check_number(statement: &str, wanted: usize, formats: &[i16], given: usize) -> Result<()> {
    if formats.len() > 1 && formats.len() != given {
        let formats = formats.len();
        let message =
            format!("bind message has {formats} parameter formats but {given} parameters");
        return Err(PgError::new("08P01", message));
    }
    if given != wanted {
        let message = format!(
            "bind message supplies {given} parameters, but prepared statement \"{statement}\" \
             requires {wanted}"
        );
        return Err(PgError::new("08P01", message));
    }
    Ok(())
}

/// The values of a Bind message, in text or binary each. `portal`: what they are for.
pub fn bound(
    portal: &str,
    types: &[Ty],
    formats: &[i16],
    values: &[Option<Bytes>],
) -> Result<Vec<Datum>> {
    let value = |(at, (value, ty)): (usize, (&Option<Bytes>, &Ty))| {
        let (number, format) = (at + 1, format_of(formats, at));
        let (value, shown) = match (format, value) {
            // Of a text that holds no statement.
            (0 | 1, _) if *ty == Ty::UNKNOWN => {
                (Err(PgError::new("XX000", "cache lookup failed for type 0")), "")
            }
            (0, Some(text)) => match utf8(text) {
                Ok("") => (from_text("", *ty, -1), " = ''"),
                Ok(text) => (from_text(text, *ty, -1), " = '...'"),
                Err(error) => (Err(error), ""),
            },
            (1, Some(bytes)) => {
                let left = || format!("incorrect binary data format in bind parameter {number}");
                (from_binary(bytes, *ty, left), "")
            }
            (0 | 1, None) => (Ok(Datum::Null), ""),
            (other, _) => (Err(no_format(other)), ""),
        };
        value.map_err(|error| {
            let portal = match portal {
                "" => "unnamed portal".to_owned(),
                name => format!("portal \"{name}\""),
            };
            error.context(&format!("{portal} parameter ${number}{shown}"))
        })
    };
    values.iter().zip(types).enumerate().map(value).collect()
}

/// The arguments of SQL's EXECUTE, brought to the types of the parameters.
pub async fn argument_values<E: Env>(
    runner: &Runner<E>,
    name: &str,
    parameters: &[Expr],
    prepared: &Prepared,
    text: &str,
) -> Result<Vec<Datum>> {
    let (given, wanted) = (parameters.len(), prepared.params.len());
    if given != wanted {
        let message = format!("wrong number of parameters for prepared statement \"{name}\"");
        let detail = format!("Expected {wanted} parameters but got {given}.");
        return Err(PgError::new("42601", message).detail(detail));
    }
    let mut values = Vec::with_capacity(parameters.len());
    for (at, (parameter, ty)) in parameters.iter().zip(prepared.params.iter()).enumerate() {
        let place = offset(text, parameter.span().start);
        let value = match literal(parameter, *ty) {
            Some(value) => value.map_err(|error| error.at(place)),
            None => computed(runner, parameter, at + 1, *ty, text).await,
        };
        values.push(value?);
    }
    Ok(values)
}

/// What needs no analysis: strings, NULL, and whole numbers for parameters that are numbers.
fn literal(parameter: &Expr, ty: Ty) -> Option<Result<Datum>> {
    let number = |text: &str| {
        let whole = text.bytes().all(|byte| byte.is_ascii_digit());
        whole && ty.numeric_rank().is_some()
    };
    match parameter {
        Expr::Value(value) => match &value.value {
            Value::Null => Some(Ok(Datum::Null)),
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => {
                Some(from_text(text, ty, -1))
            }
            Value::Number(text, _) if number(text) => Some(whole(text, ty)),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match &**expr {
            Expr::Value(value) => match &value.value {
                Value::Number(text, _) if number(text) => Some(whole(&format!("-{text}"), ty)),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// A number that is written without quotes is one before it is converted.
fn whole(text: &str, ty: Ty) -> Result<Datum> {
    from_text(text, ty, -1).map_err(|error| match error.code() {
        "22003" if ty.is_integer() => common::out_of_range(&ty.name()),
        _ => error,
    })
}

/// The value of an expression, if it may be assigned to the parameter.
async fn computed<E: Env>(
    runner: &Runner<E>,
    parameter: &Expr,
    number: usize,
    ty: Ty,
    text: &str,
) -> Result<Datum> {
    let mut parameter = parameter;
    while let Expr::Nested(inner) = parameter {
        parameter = inner;
    }
    let (own, place) = runner.with(|inner| {
        let part = Some("EXECUTE parameter");
        let analyzer = Analyzer { part, ..Analyzer::new(&inner.db, runner.pid, text, &[]) };
        let typed = analyzer.expr(parameter, &Scope::default())?;
        Ok((typed.ty, analyzer.raw_beginning(parameter)))
    })?;
    if own != Ty::UNKNOWN && !can_cast(own, ty, Context::Assignment) {
        let (own, ty) = (own.name(), ty.name());
        let message = format!(
            "parameter ${number} of type {own} cannot be coerced to the expected type {ty}"
        );
        let hint = "You will need to rewrite or cast the expression.";
        return Err(PgError::new("42804", message).hint(hint).at(place));
    }
    // What stands first in the query stands at the parameter's place.
    let before = "SELECT CAST((";
    let start = offset(text, parameter.span().start);
    let cast = query(runner, &format!("{before}{parameter}) AS {})", ty.name())).await;
    let moved = |at: usize| (at + start?).checked_sub(before.len() + 1);
    let cast = cast.map_err(|error| error.moved(moved))?;
    let answer = runner.execute(&cast, &[], How::default()).await?;
    let value = answer.rows.first().and_then(|row| row.first()).cloned();
    value.ok_or_else(|| PgError::new("XX000", "an expression has one value"))
}

async fn query<E: Env>(runner: &Runner<E>, text: &str) -> Result<Prepared> {
    let parsed = runner.store.with(|inner| inner.parse(text))?;
    runner.prepare(&parsed.text, 0, parsed.statements.first().cloned(), [].into()).await
}

/// Only what is planned can be prepared.
pub fn unpreparable(text: &str, statement: &Statement) -> PgError {
    let shown = statement.to_string();
    let word = shown.split_whitespace().next().unwrap_or_default().to_lowercase();
    let found = text.to_lowercase().find(&format!(" as {word}")).map(|at| at + " as ".len());
    match found.and_then(|at| Some((at, text.get(at..at + word.len())?))) {
        Some((at, word)) => {
            let place = text[..at].chars().count() + 1;
            PgError::new("42601", format!("syntax error at or near \"{word}\"")).at(Some(place))
        }
        None => PgError::unsupported("PREPARE of such a statement"),
    }
}
