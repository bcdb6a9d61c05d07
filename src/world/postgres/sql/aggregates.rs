//! What a call may say about an aggregate, and where one may stand. Must never evaluate.

use sqlparser::ast;

use super::analyze::Typed;
use super::functions::AGGREGATES;
use super::names::object_name;
use super::plan::{Aggregate, SortKey};
use super::signatures::{Kind, has};
use crate::world::postgres::error::{PgError, Result};

/// Refuses aggregates, and words that are functions, that are not here.
pub fn check_call(function: &ast::Function) -> Result<()> {
    let name = object_name(&function.name)?;
    if matches!(function.args, ast::FunctionArguments::None) {
        return match name.as_str() {
            "current_time" | "localtime" => Err(PgError::unsupported(name)),
            _ => Ok(()),
        };
    }
    let aggregate = AGGREGATES.contains(&name.as_str());
    if (has(Kind::Aggregate, &name) || name == "grouping") && !aggregate {
        return Err(PgError::unsupported(format_args!("the function {name}")));
    }
    Ok(())
}

/// With DISTINCT, only what is aggregated has an order.
pub fn check_distinct(distinct: bool, star: bool, args: &[Typed], order: &[SortKey]) -> Result<()> {
    if !distinct {
        return Ok(());
    }
    if star {
        return Err(PgError::new("42601", "syntax error at or near \"*\""));
    }
    let same = |key: &SortKey| {
        let shown = format!("{:?}", key.expr);
        args.iter().any(|arg| format!("{:?}", arg.expr) == shown)
    };
    if order.iter().all(same) {
        return Ok(());
    }
    let message =
        "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list";
    Err(PgError::new("42P10", message))
}

/// Where an aggregate is among the others: the same one is worked out once.
pub fn placed(all: &mut Vec<Aggregate>, aggregate: Aggregate) -> usize {
    let shown = format!("{aggregate:?}");
    let same = all.iter().position(|other| format!("{other:?}") == shown);
    same.unwrap_or_else(|| {
        all.push(aggregate);
        all.len() - 1
    })
}

const HERE: &str = "aggregate functions are not allowed here";

/// The error for an aggregate where none may stand; `part`: of which part of a definition.
pub fn misplaced(part: Option<&str>) -> PgError {
    let error = PgError::new("42803", HERE);
    match part {
        Some(part) => misplaced_in(&format!("{part}s"))(error),
        None => error,
    }
}

/// The same error, once the clause is known that it stands in.
pub fn misplaced_in(clause: &str) -> impl Fn(PgError) -> PgError {
    move |error| match &*error.fields().message {
        HERE => {
            let message = format!("aggregate functions are not allowed in {clause}");
            PgError::new("42803", message)
        }
        _ => error,
    }
}
