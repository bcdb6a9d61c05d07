//! Where in its text an error of an expression points, as PostgreSQL has it: at the operator, the
//! name or the key word. Must never change what the error says.

use std::ops::ControlFlow;
use std::sync::Arc;

use sqlparser::ast::{self, BinaryOperator, Expr, Spanned as _, UnaryOperator};
use sqlparser::tokenizer::{Location, Span};

use super::analyze::{Analyzer, Typed};
use super::lexical::NAMED;
use super::names::{ident, object_name};
use super::parse::offset;
use super::resolve::is_of_types;
use super::subquery::NO_SUBQUERY;
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
        | Expr::Function(_)
        | Expr::Case { .. }) => Some(first.span().start),
        Expr::TypedString(typed) => Some(typed.value.span.start),
        Expr::Interval(interval) => beginning(&interval.value),
        _ => None,
    }
}

fn unnested(parsed: &Expr) -> &Expr {
    if let Expr::Nested(inner) = parsed { unnested(inner) } else { parsed }
}

/// Whether it begins before what stands in it: with a sign, or a query's parenthesis.
pub fn begins_before(parsed: &Expr) -> bool {
    matches!(parsed, Expr::UnaryOp { .. })
        || matches!(parsed, Expr::Nested(_)) && matches!(unnested(parsed), Expr::Subquery(_))
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
        | Expr::CompoundFieldAccess { root: inner, .. }
        | Expr::Like { expr: inner, .. }
        | Expr::ILike { expr: inner, .. }
        | Expr::InList { expr: inner, .. }
        | Expr::InSubquery { expr: inner, .. }
        | Expr::Between { expr: inner, .. } => match unnested(inner) {
            // Rows that are compared are taken apart.
            Expr::Tuple(items) if !items.is_empty() => leftmost(&items[0]),
            _ => leftmost(inner),
        },
        // The parentheses of a query belong to it.
        Expr::Nested(inner) if !matches!(unnested(inner), Expr::Subquery(_)) => leftmost(inner),
        other => other,
    }
}

/// Whether what is cast is a literal with its type before it.
fn is_typed(expr: &Expr, text: &str) -> bool {
    let end = match expr {
        Expr::Value(value) => offset(text, value.span.end),
        _ => None,
    };
    let behind = |end: usize| text.chars().skip(end - 1).find(|c| !c.is_whitespace());
    end.is_some_and(|end| behind(end) != Some(':'))
}

/// How many casts are written as `::` in it; a literal may have its type before it.
fn casts(parsed: &Expr, text: &str) -> usize {
    struct Counter<'a>(&'a str, usize);
    impl ast::Visitor for Counter<'_> {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            let Expr::Cast { kind: ast::CastKind::DoubleColon, expr, .. } = expr else {
                return ControlFlow::Continue(());
            };
            let written = !is_typed(expr, self.0);
            self.1 += usize::from(written);
            ControlFlow::Continue(())
        }
    }
    let mut counter = Counter(text, 0);
    let _all = ast::Visit::visit(parsed, &mut counter);
    counter.1
}

impl Analyzer<'_> {
    /// The same, and where a sign before a value stands, or a query's parenthesis.
    pub fn beginning(&self, parsed: &Expr) -> Option<Location> {
        let place = match leftmost(parsed) {
            Expr::Array(array) => self.operator("array", self.start(array.elem.first()?)),
            Expr::Tuple(items) => self.operator("(", self.start(items.first()?)),
            Expr::Ceil { expr, .. } => self.either("ceil", "ceiling", expr),
            Expr::Floor { expr, .. } => self.operator("floor", self.start(expr)),
            first => match beginning(first) {
                None => self.error_place(first),
                known => return known,
            },
        };
        place.map(|place| location(self.text, place))
    }

    /// Where an expression begins in the text, with the type of a literal.
    pub fn raw_beginning(&self, parsed: &Expr) -> Option<usize> {
        let (word, right) = match parsed {
            Expr::Cast { kind: ast::CastKind::Cast, expr, .. } => ("cast".to_owned(), expr.span()),
            Expr::Cast { expr, data_type, .. } if is_typed(expr, self.text) => {
                (data_type.to_string(), expr.span())
            }
            Expr::Interval(interval) => ("interval".to_owned(), interval.value.span()),
            Expr::TypedString(typed) => (typed.data_type.to_string(), typed.value.span),
            _ => return self.placed(self.beginning(parsed)),
        };
        self.operator(word.split([' ', '(']).next()?, right)
    }

    /// Where an expression begins, as a span.
    fn start(&self, parsed: &Expr) -> Span {
        let start = self.beginning(parsed).unwrap_or(parsed.span().start);
        Span { start, end: start }
    }

    fn either(&self, one: &str, other: &str, right: &Expr) -> Option<usize> {
        let places = [one, other].map(|name| self.operator(name, self.start(right)));
        places.into_iter().max().flatten()
    }

    /// Where the item of a select list stands, of the first select of a query.
    pub fn item(&self, body: &ast::SetExpr, at: usize) -> Option<Location> {
        match body {
            ast::SetExpr::Select(select) => self.item_of(&select.projection, at),
            ast::SetExpr::SetOperation { left, .. } => self.item(left, at),
            ast::SetExpr::Query(query) => self.item(&query.body, at),
            _ => None,
        }
    }

    /// The same of a list, up to its first `*`.
    pub fn item_of(&self, items: &[ast::SelectItem], at: usize) -> Option<Location> {
        let star = |item: &ast::SelectItem| {
            matches!(item, ast::SelectItem::Wildcard(_) | ast::SelectItem::QualifiedWildcard(..))
        };
        if items.iter().take(at).any(star) {
            return None;
        }
        Some(match items.get(at)? {
            ast::SelectItem::UnnamedExpr(expr) | ast::SelectItem::ExprWithAlias { expr, .. } => {
                self.start(expr).start
            }
            other => other.span().start,
        })
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
        let analysed = code.starts_with("42") && code != "42501" && !is_of_types(&error)
            || error.fields().message.starts_with(NO_SUBQUERY);
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
            Expr::UnaryOp { op, expr } => self.operator(&op.to_string(), self.start(expr)),
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
                // Spans end before the name of a type: those within are counted.
                let mut place = self.placed(Some(self.start(expr).start))? - 1;
                for _ in 0..casts(expr, self.text) {
                    place = self.following("::", place)? + 1;
                }
                self.following("::", place)
            }
            Expr::Cast { expr, .. } => self.operator("cast", expr.span()),
            Expr::AtTimeZone { time_zone, .. } => self.operator("at", time_zone.span()),
            Expr::Extract { expr, .. } => self.operator("extract", self.start(expr)),
            Expr::Substring { expr, shorthand, .. } => {
                self.operator(if *shorthand { "substr" } else { "substring" }, self.start(expr))
            }
            Expr::Position { expr, .. } => self.operator("position", self.start(expr)),
            Expr::Overlay { expr, .. } => self.operator("overlay", self.start(expr)),
            Expr::Trim { expr, trim_what, .. } => {
                self.operator("trim", trim_what.as_ref().unwrap_or(expr).span())
            }
            Expr::Exists { negated: true, subquery } => self.operator("not", subquery.span()),
            Expr::Exists { subquery, .. } => self.operator("exists", subquery.span()),
            Expr::Subquery(query) => self.outer_parenthesis(query),
            Expr::Nested(inner) if matches!(unnested(inner), Expr::Subquery(_)) => {
                let start = location(self.text, self.error_place(inner)?);
                self.operator("(", Span { start, end: start })
            }
            _ => self.placed(beginning(parsed)),
        }
    }

    /// That of a query that may stand in several.
    fn outer_parenthesis(&self, query: &ast::Query) -> Option<usize> {
        let mut place = self.operator("(", query.span())?;
        let mut body = &query.body;
        while let ast::SetExpr::Query(inner) = &**body {
            let start = location(self.text, place);
            place = self.operator("(", Span { start, end: start })?;
            body = &inner.body;
        }
        Some(place)
    }

    fn negatable(&self, word: &str, negated: bool, right: Span) -> Option<usize> {
        self.operator(if negated { "not" } else { word }, right)
    }

    /// Where a sign stands that comes after as many characters.
    fn following(&self, sign: &str, end: usize) -> Option<usize> {
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
