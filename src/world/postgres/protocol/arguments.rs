//! What SQL's EXECUTE gives a prepared statement. Must never plan anything.

use sqlparser::ast::{Expr, Value};

use super::run::Prepared;
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::types::{Datum, from_text};

/// The arguments of SQL's EXECUTE: constants.
pub fn argument_values(name: &str, parameters: &[Expr], prepared: &Prepared) -> Result<Vec<Datum>> {
    let (given, wanted) = (parameters.len(), prepared.params.len());
    if given != wanted {
        let message = format!("wrong number of parameters for prepared statement \"{name}\"");
        let detail = format!("Expected {wanted} parameters but got {given}.");
        return Err(PgError::new("42601", message).detail(detail));
    }
    let mut values = Vec::with_capacity(parameters.len());
    for (parameter, ty) in parameters.iter().zip(&prepared.params) {
        let value = match parameter {
            Expr::Value(value) => value.value.clone(),
            other => {
                let text = other.to_string();
                values.push(from_text(&text, *ty, -1)?);
                continue;
            }
        };
        values.push(match value {
            Value::Null => Datum::Null,
            Value::SingleQuotedString(text) => from_text(&text, *ty, -1)?,
            other => from_text(&other.to_string(), *ty, -1)?,
        });
    }
    Ok(values)
}
