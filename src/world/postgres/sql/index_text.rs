//! How PostgreSQL writes an expression of an index: casts shown, constants with their types.
//! Must never guess: a form that is not known here has no text.

use sqlparser::ast::{self, BinaryOperator as Op};

use super::keywords::quoted;
use super::names::{ident, object_name};
use super::plan::Expr;
use crate::world::postgres::types::{Datum, Ty};

/// The text of the expression as it was parsed, and as it was analysed.
pub fn index_text(parsed: &ast::Expr, typed: &Expr, ty: Ty) -> Option<String> {
    let text = text(parsed, typed, Some(ty))?;
    Some(if is_call(parsed) { text } else { format!("({text})") })
}

fn is_call(parsed: &ast::Expr) -> bool {
    match parsed {
        ast::Expr::Nested(inner) => is_call(inner),
        ast::Expr::Function(_) | ast::Expr::Trim { .. } => true,
        _ => false,
    }
}

/// `ty`: the type that is wanted of it, if that is known.
fn text(parsed: &ast::Expr, typed: &Expr, ty: Option<Ty>) -> Option<String> {
    match (parsed, typed) {
        (ast::Expr::Nested(inner), _) => text(inner, typed, ty),
        (ast::Expr::Cast { expr, .. }, Expr::Cast { expr: inner, to, typmod: -1, .. }) => {
            Some(format!("{}::{}", operand(expr, inner)?, to.name()))
        }
        (ast::Expr::Cast { .. }, _) => None,
        // What analysis added.
        (_, Expr::Cast { expr, to, typmod: -1, explicit: false, .. }) => {
            Some(format!("{}::{}", operand(parsed, expr)?, to.name()))
        }
        (ast::Expr::Identifier(name), Expr::Column { depth: 0, .. }) => Some(quoted(&ident(name))),
        (ast::Expr::CompoundIdentifier(parts), Expr::Column { depth: 0, .. }) => {
            Some(quoted(&ident(parts.last()?)))
        }
        (ast::Expr::Function(function), Expr::Call { args, types, .. }) => {
            let name = object_name(&function.name).ok()?;
            let name = match name.as_str() {
                "greatest" | "least" => name.to_uppercase(),
                _ => quoted(&name),
            };
            Some(format!("{name}({})", arguments(function, args, types)?))
        }
        (ast::Expr::Function(function), Expr::Routine { args, .. }) => {
            let name = quoted(&object_name(&function.name).ok()?);
            Some(format!("{name}({})", arguments(function, args, &[])?))
        }
        (ast::Expr::Function(function), Expr::Coalesce(args)) => {
            Some(format!("COALESCE({})", arguments(function, args, &vec![ty?; args.len()])?))
        }
        (ast::Expr::BinaryOp { left, op, right }, Expr::Call { args, types, .. }) => {
            let ([a, b], [first, second]) = (args.as_slice(), &**types) else { return None };
            let left = side(left, a, *first, low(op).map(|low| (low, false)))?;
            let right = side(right, b, *second, low(op).map(|low| (low, true)))?;
            Some(format!("{left} {op} {right}"))
        }
        (ast::Expr::IsNull(parsed), Expr::IsNull(typed)) => {
            Some(format!("{} IS NULL", operand(parsed, typed)?))
        }
        (ast::Expr::IsNotNull(parsed), Expr::Not(not)) => match &**not {
            Expr::IsNull(typed) => Some(format!("{} IS NOT NULL", operand(parsed, typed)?)),
            _ => None,
        },
        (ast::Expr::IsNotNull(parsed), Expr::NoneNull(typed)) => {
            Some(format!("{} IS NOT NULL", operand(parsed, typed)?))
        }
        (
            ast::Expr::Trim { expr, trim_where: None, trim_what: None, trim_characters: None },
            Expr::Call { args, types, .. },
        ) => {
            let ([arg], [ty]) = (args.as_slice(), &**types) else { return None };
            Some(format!("TRIM(BOTH FROM {})", text(expr, arg, Some(*ty))?))
        }
        _ => None,
    }
}

fn arguments(function: &ast::Function, args: &[Expr], types: &[Ty]) -> Option<String> {
    let ast::FunctionArguments::List(list) = &function.args else { return None };
    if list.args.len() != args.len() || !list.clauses.is_empty() {
        return None;
    }
    let mut all = Vec::with_capacity(args.len());
    for (at, (parsed, typed)) in list.args.iter().zip(args).enumerate() {
        let ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(parsed)) = parsed else {
            return None;
        };
        let ty = types.get(at).copied();
        all.push(match typed {
            Expr::Const(datum) => constant(datum, ty)?,
            other => text(parsed, other, ty)?,
        });
    }
    Some(all.join(", "))
}

/// A constant with its type, where it is not that of the number alone.
fn constant(datum: &Datum, ty: Option<Ty>) -> Option<String> {
    match (datum, ty) {
        (Datum::Int(number @ 0..), Some(Ty::INT4) | None) => Some(number.to_string()),
        (Datum::Text(text), Some(ty)) if ty.is_text() => {
            Some(format!("'{}'::{}", text.replace('\'', "''"), ty.name()))
        }
        _ => None,
    }
}

/// Whether an operator of arithmetic binds less than the others; `None` for all else.
fn low(op: &Op) -> Option<bool> {
    match op {
        Op::Plus | Op::Minus => Some(true),
        Op::Multiply | Op::Divide | Op::Modulo => Some(false),
        _ => None,
    }
}

/// A side of an operator; `around`: whether that one is a low one, and this its right side.
fn side(parsed: &ast::Expr, typed: &Expr, ty: Ty, around: Option<(bool, bool)>) -> Option<String> {
    if let Expr::Const(datum) = typed {
        return constant(datum, Some(ty));
    }
    // Arithmetic takes integers of two sizes as they are.
    let typed = match typed {
        Expr::Cast { expr, from, to, explicit: false, .. }
            if around.is_some() && from.is_integer() && to.is_integer() =>
        {
            &**expr
        }
        _ => typed,
    };
    if let Expr::Const(datum) = typed {
        return constant(datum, None);
    }
    let text = text(parsed, typed, Some(ty))?;
    let mut inner = parsed;
    while let ast::Expr::Nested(within) = inner {
        inner = within;
    }
    let ast::Expr::BinaryOp { op, .. } = inner else { return Some(text) };
    let bare = match (around, low(op)) {
        _ if matches!(typed, Expr::Cast { .. }) => true,
        (Some((around, right)), Some(own)) => !own && around || own == around && !right,
        _ => false,
    };
    Some(if bare { text } else { format!("({text})") })
}

/// What a cast is of.
fn operand(parsed: &ast::Expr, typed: &Expr) -> Option<String> {
    match (parsed, typed) {
        (_, Expr::Const(Datum::Int(number @ 0..))) => Some(number.to_string()),
        (ast::Expr::Nested(inner), _) => operand(inner, typed),
        (ast::Expr::BinaryOp { .. }, Expr::Call { .. }) => {
            Some(format!("({})", text(parsed, typed, None)?))
        }
        _ => text(parsed, typed, None),
    }
}
