//! Where in its text an error of an expression points, as PostgreSQL has it: at the operator, the
//! name or the key word. Must never change what the error says.

use std::sync::Arc;

use sqlparser::ast::{self, BinaryOperator, Expr, Spanned as _, UnaryOperator};
use sqlparser::tokenizer::{Location, Span};

use super::analyze::{Analyzer, Typed};
use super::lexical::NAMED;
use super::names::{ident, object_name};
use super::resolve::is_of_types;
use crate::world::postgres::error::{PgError, Result, common};
use crate::world::postgres::storage::catalog::Table;
use crate::world::postgres::types::{Base, Ty};

const NO_OPERATOR: &str = "operator does not exist: ";

/// The error of an operator that is not there, called as the statement calls it.
pub fn called(error: PgError, symbol: &str, name: &str) -> PgError {
    match error.fields().message.strip_prefix(NO_OPERATOR) {
        Some(signature) if error.fields().position.is_none() => {
            let signature = signature.replacen(&format!(" {symbol} "), &format!(" {name} "), 1);
            common::no_operator(&signature)
        }
        _ => error,
    }
}

/// A place in a text by its characters, from 1.
fn location(text: &str, place: usize) -> Location {
    let before: Vec<char> = text.chars().take(place - 1).collect();
    let lines = before.iter().filter(|c| **c == '\n').count();
    let column = before.iter().rev().take_while(|c| **c != '\n').count();
    Location::new(lines as u64 + 1, column as u64 + 1)
}

/// Whether a sign stands before a power that the parser takes to be of what follows the sign.
pub fn signs_power(parsed: &Expr) -> bool {
    let Expr::UnaryOp { op: UnaryOperator::Plus | UnaryOperator::Minus, expr } = parsed else {
        return false;
    };
    matches!(**expr, Expr::BinaryOp { op: BinaryOperator::PGExp, .. }) || signs_power(expr)
}

/// Whether a sign before a value stands at the end of this operand, other than plus and minus: it
/// would take what follows for its own, where the parser does not.
pub fn ends_open(parsed: &Expr) -> bool {
    match parsed {
        Expr::BinaryOp { right, .. } => ends_open(right),
        Expr::UnaryOp { op: UnaryOperator::Plus | UnaryOperator::Minus, expr } => ends_open(expr),
        Expr::UnaryOp { op, .. } => *op != UnaryOperator::Not,
        _ => false,
    }
}

/// Where an expression begins, if what it begins with has a place in the syntax tree.
pub fn beginning(parsed: &Expr) -> Option<Location> {
    match leftmost(parsed) {
        first @ (Expr::Identifier(_)
        | Expr::CompoundIdentifier(_)
        | Expr::Value(_)
        | Expr::Function(_)) => Some(first.span().start),
        _ => None,
    }
}

fn unnested(parsed: &Expr) -> &Expr {
    if let Expr::Nested(inner) = parsed { unnested(inner) } else { parsed }
}

/// What an expression begins with.
fn leftmost(parsed: &Expr) -> &Expr {
    match parsed {
        Expr::BinaryOp { left: inner, .. }
        | Expr::AnyOp { left: inner, .. }
        | Expr::AllOp { left: inner, .. }
        | Expr::Cast { kind: ast::CastKind::DoubleColon, expr: inner, .. }
        | Expr::IsNull(inner)
        | Expr::IsNotNull(inner)
        | Expr::IsTrue(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsNotFalse(inner)
        | Expr::IsUnknown(inner)
        | Expr::IsNotUnknown(inner)
        | Expr::IsDistinctFrom(inner, _)
        | Expr::IsNotDistinctFrom(inner, _)
        | Expr::Collate { expr: inner, .. }
        | Expr::AtTimeZone { timestamp: inner, .. }
        | Expr::Like { expr: inner, .. }
        | Expr::ILike { expr: inner, .. }
        | Expr::InList { expr: inner, .. }
        | Expr::InSubquery { expr: inner, .. }
        | Expr::Between { expr: inner, .. } => leftmost(inner),
        // The parentheses of a query belong to it.
        Expr::Nested(inner) if !matches!(unnested(inner), Expr::Subquery(_)) => leftmost(inner),
        other => other,
    }
}

impl Analyzer<'_> {
    /// The same, and where a sign before a value stands, or a query's parenthesis.
    pub fn beginning(&self, parsed: &Expr) -> Option<Location> {
        let place = match leftmost(parsed) {
            first @ (Expr::UnaryOp { .. } | Expr::Subquery(_) | Expr::Nested(_)) => {
                self.error_place(first)
            }
            Expr::Array(array) => self.operator("array", array.elem.first()?.span()),
            first => return beginning(first),
        };
        place.map(|place| location(self.text, place))
    }

    /// Refuses COLLATE of what has no collation.
    pub fn collatable(&self, typed: &Typed, collation: &ast::ObjectName) -> Result<()> {
        let texts = typed.ty.element().is_text() || typed.ty == Ty::UNKNOWN;
        let named = typed.ty.base == Base::Name;
        if texts || named {
            return Ok(());
        }
        let name = typed.ty.name();
        let message = format!("collations are not supported by type {name}");
        Err(PgError::new("42804", message).at(self.operator("collate", collation.span())))
    }

    /// The error of this expression, with its place unless that is known or is none of the text.
    pub fn placed_error(&self, error: PgError, parsed: &Expr) -> PgError {
        if error.fields().position.is_some() {
            return error;
        }
        let error = match (error.fields().message.strip_prefix(NO_OPERATOR), parsed) {
            // NOT IN is said to be written with `<>`.
            (Some(signature), Expr::InList { negated: true, .. }) => {
                common::no_operator(&signature.replacen(" = ", " <> ", 1))
            }
            _ => error,
        };
        let code = error.code();
        let analysed = code.starts_with("42") && code != "42501" && !is_of_types(&error);
        if analysed { error.at(self.error_place(parsed)) } else { error }
    }

    fn error_place(&self, parsed: &Expr) -> Option<usize> {
        match parsed {
            Expr::BinaryOp { op, right, .. } => {
                let symbol = match op {
                    BinaryOperator::PGExp => "^".to_owned(),
                    BinaryOperator::Custom(text) if text.starts_with(NAMED) => {
                        "operator".to_owned()
                    }
                    other => other.to_string(),
                };
                self.operator(&symbol, right.span())
            }
            Expr::UnaryOp { op, expr } => self.operator(&op.to_string(), expr.span()),
            Expr::AnyOp { compare_op, right, .. } | Expr::AllOp { compare_op, right, .. } => {
                self.operator(&compare_op.to_string(), right.span())
            }
            Expr::Like { negated, pattern, .. } => self.negatable("like", *negated, pattern.span()),
            Expr::ILike { negated, pattern, .. } => {
                self.negatable("ilike", *negated, pattern.span())
            }
            Expr::InList { negated, list, .. } => {
                let first = list.first()?;
                let start = self.beginning(first).unwrap_or(first.span().start);
                self.negatable("in", *negated, Span { start, end: start })
            }
            Expr::InSubquery { negated, subquery, .. } => {
                self.negatable("in", *negated, subquery.span())
            }
            Expr::Between { negated, low, .. } => self.negatable("between", *negated, low.span()),
            Expr::IsDistinctFrom(_, right) | Expr::IsNotDistinctFrom(_, right) => {
                self.operator("is", right.span())
            }
            Expr::Cast { kind: ast::CastKind::DoubleColon, expr, .. } => {
                self.following("::", expr.span())
            }
            Expr::Cast { expr, .. } => self.operator("cast", expr.span()),
            Expr::AtTimeZone { time_zone, .. } => self.operator("at", time_zone.span()),
            Expr::Extract { expr, .. } => self.operator("extract", expr.span()),
            Expr::Substring { expr, .. } => self.operator("substring", expr.span()),
            Expr::Position { expr, .. } => self.operator("position", expr.span()),
            Expr::Overlay { expr, .. } => self.operator("overlay", expr.span()),
            Expr::Trim { expr, trim_what, .. } => {
                self.operator("trim", trim_what.as_ref().unwrap_or(expr).span())
            }
            Expr::Subquery(query) => self.operator("(", query.span()),
            Expr::Nested(inner) if matches!(unnested(inner), Expr::Subquery(_)) => {
                let start = location(self.text, self.error_place(inner)?);
                self.operator("(", Span { start, end: start })
            }
            _ => self.placed(beginning(parsed)),
        }
    }

    fn negatable(&self, word: &str, negated: bool, right: Span) -> Option<usize> {
        self.operator(if negated { "not" } else { word }, right)
    }

    /// Where a sign stands that comes after this.
    fn following(&self, sign: &str, left: Span) -> Option<usize> {
        let end = self.placed(Some(left.end))?.checked_sub(1)?;
        let after: String = self.text.chars().skip(end).collect();
        Some(end + after[..after.find(sign)?].chars().count() + 1)
    }

    /// The table that is named, with its schema if that is written.
    pub fn named_table(&self, name: &ast::ObjectName) -> Result<Arc<Table>> {
        let place = name.0.first().and_then(|part| part.as_ident()).map(|first| first.span);
        let system =
            name.0.len() == 2 && name.to_string().to_lowercase().starts_with("pg_catalog.");
        let found = object_name(name).and_then(|known| match known {
            known if system && !known.starts_with("pg_") => Err(common::no_relation(&known)),
            known => self.table(&known),
        });
        found.map_err(|error| {
            let parts: Vec<String> =
                name.0.iter().filter_map(|part| part.as_ident()).map(ident).collect();
            let missing = ["42P01", "3F000"].contains(&error.code()) && parts.len() > 1;
            let error = if missing {
                let message = format!("relation \"{}\" does not exist", parts.join("."));
                PgError::new("42P01", message)
            } else {
                error
            };
            error.at(place.and_then(|place| self.position(place)))
        })
    }
}
