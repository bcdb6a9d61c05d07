//! Constants as they are written. Must never give one a type that PostgreSQL leaves open.

use sqlparser::ast::{self, Value};

use super::analyze::{Analyzer, Context, Typed};
use super::plan::Expr;
use super::scope::Scope;
use crate::world::postgres::error::{PgError, Result, common};
use crate::world::postgres::types::{Datum, Numeric, Ty, from_text};

impl Analyzer<'_> {
    pub fn value(&self, value: &Value) -> Result<Typed> {
        Ok(match value {
            Value::Null => Typed::new(Expr::NULL, Ty::UNKNOWN),
            Value::Boolean(flag) => Typed::new(Expr::Const(Datum::Bool(*flag)), Ty::BOOL),
            Value::Number(text, _) => number(text)?,
            Value::SingleQuotedString(text)
            | Value::EscapedStringLiteral(text)
            | Value::UnicodeStringLiteral(text) => {
                Typed::new(Expr::Const(Datum::text(text)), Ty::UNKNOWN)
            }
            Value::NationalStringLiteral(text) => {
                Typed::new(Expr::Const(Datum::text(text)), Ty::BPCHAR)
            }
            Value::DollarQuotedString(quoted) => {
                Typed::new(Expr::Const(Datum::text(&quoted.value)), Ty::UNKNOWN)
            }
            Value::Placeholder(text) => self.param(text)?,
            other => return Err(PgError::unsupported(format_args!("the literal {other}"))),
        })
    }

    pub fn interval(&self, interval: &ast::Interval, scope: &Scope<'_>) -> Result<Typed> {
        let bounded = interval.leading_precision.is_some()
            || interval.last_field.is_some()
            || interval.fractional_seconds_precision.is_some();
        if bounded {
            return Err(PgError::unsupported("the fields of an interval"));
        }
        let value = self.expr(&interval.value, scope)?;
        let Some(unit) = &interval.leading_field else {
            let expr = self.coerce(value, Ty::INTERVAL, -1, Context::Explicit)?;
            return Ok(Typed::new(expr, Ty::INTERVAL));
        };
        let Expr::Const(Datum::Text(amount)) = &value.expr else {
            return Err(PgError::unsupported("an interval of this form"));
        };
        if amount.parse::<i64>().is_err() {
            return Err(PgError::unsupported("an interval of this form"));
        }
        let datum = from_text(&format!("{amount} {unit}"), Ty::INTERVAL, -1)?;
        Ok(Typed::new(Expr::Const(datum), Ty::INTERVAL))
    }
}

/// The smallest type that holds the number.
pub fn number(text: &str) -> Result<Typed> {
    if let Ok(number) = text.parse::<i64>() {
        let ty = if i32::try_from(number).is_ok() { Ty::INT4 } else { Ty::INT8 };
        return Ok(Typed::new(Expr::Const(Datum::Int(number)), ty));
    }
    let number = Numeric::parse(text).ok_or_else(|| common::invalid_text("numeric", text))?;
    Ok(Typed::new(Expr::Const(Datum::Numeric(number)), Ty::NUMERIC))
}

/// A text whose type was written is no literal that may become another type.
pub fn said(expr: Expr, ty: Ty) -> Expr {
    match expr {
        Expr::Const(Datum::Text(_) | Datum::Null) if ty == Ty::TEXT => {
            Expr::Cast { expr: Box::new(expr), from: ty, to: ty, typmod: -1, explicit: true }
        }
        other => other,
    }
}
