//! Tests that are written with words: IS, BETWEEN, LIKE. Must never evaluate.

use sqlparser::ast::{self, Value};

use super::analyze::{Analyzer, Typed};
use super::expression::negate;
use super::plan::{CompareOp, Expr, SubKind};
use super::scope::Scope;
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::types::{Datum, Ty};

impl Analyzer<'_> {
    /// AND, or OR.
    pub fn junction(&self, and: bool, left: Expr, right: Expr) -> Expr {
        let parts = |side: Expr| match (and, side) {
            (true, Expr::And(all)) | (false, Expr::Or(all)) => all,
            (_, one) => vec![one],
        };
        let mut all = parts(left);
        for part in parts(right) {
            // What is known before any row decides, or PostgreSQL leaves it out: it is looked at
            // first, unless it would keep what comes before it from failing.
            let unknown = |other: &Expr| !self.is_known(other);
            let first = if unknown(&part) { None } else { all.iter().position(unknown) };
            let passes = |at: &usize| !all[*at..].iter().any(|other| self.may_be_known(other));
            let at = first.filter(passes).unwrap_or(all.len());
            all.insert(at, part);
        }
        if and { Expr::And(all) } else { Expr::Or(all) }
    }

    /// IS [NOT] DISTINCT FROM.
    pub fn distinct(
        &self,
        a: &ast::Expr,
        b: &ast::Expr,
        distinct: bool,
        scope: &Scope<'_>,
    ) -> Result<Typed> {
        let null = |side: &ast::Expr| match side {
            ast::Expr::Value(value) => matches!(value.value, Value::Null),
            _ => false,
        };
        let other = if null(b) { Some(a) } else { Some(b).filter(|_| null(a)) };
        // Beside a NULL that is written out it asks for no equality; no row is one.
        let same = match other {
            Some(other) => {
                let other = self.expr(other, scope)?;
                self.leaves_open(&other);
                Expr::NotDistinct(Box::new(other.expr), Box::new(Expr::NULL))
            }
            None => self.not_distinct(a, b, scope)?,
        };
        Ok(negate(Typed::new(same, Ty::BOOL), distinct))
    }

    /// IS TRUE, IS NULL and their like; `None` if it is none of them.
    pub fn truth(&self, parsed: &ast::Expr, scope: &Scope<'_>) -> Option<Result<Typed>> {
        Some(match parsed {
            ast::Expr::IsTrue(inner) => self.is(inner, Some(true), "IS TRUE", scope),
            ast::Expr::IsNotTrue(inner) => self.is(inner, Some(true), "IS NOT TRUE", scope),
            ast::Expr::IsFalse(inner) => self.is(inner, Some(false), "IS FALSE", scope),
            ast::Expr::IsNotFalse(inner) => self.is(inner, Some(false), "IS NOT FALSE", scope),
            ast::Expr::IsUnknown(inner) => self.is(inner, None, "IS UNKNOWN", scope),
            ast::Expr::IsNotUnknown(inner) => self.is(inner, None, "IS NOT UNKNOWN", scope),
            ast::Expr::IsNull(inner) => self.is_null(inner, false, scope),
            ast::Expr::IsNotNull(inner) => self.is_null(inner, true, scope),
            _ => return None,
        })
    }

    fn is(
        &self,
        inner: &ast::Expr,
        value: Option<bool>,
        what: &str,
        scope: &Scope<'_>,
    ) -> Result<Typed> {
        let condition = Box::new(self.condition(self.expr(inner, scope)?, what)?);
        let test = match value {
            Some(value) => Expr::Is(condition, value),
            None => Expr::IsNull(condition),
        };
        Ok(negate(Typed::new(test, Ty::BOOL), what.contains("NOT")))
    }

    fn is_null(&self, inner: &ast::Expr, negated: bool, scope: &Scope<'_>) -> Result<Typed> {
        let typed = self.expr(inner, scope)?;
        self.leaves_open(&typed);
        let inner = Box::new(typed.expr);
        let test = match (negated, typed.ty) {
            (true, Ty::RECORD) => Expr::NoneNull(inner),
            (true, _) => Expr::Not(Box::new(Expr::IsNull(inner))),
            (false, _) => Expr::IsNull(inner),
        };
        Ok(Typed::new(test, Ty::BOOL))
    }

    pub fn between(
        &self,
        negated: bool,
        expr: &ast::Expr,
        [low, high]: [&ast::Expr; 2],
        scope: &Scope<'_>,
    ) -> Result<Typed> {
        let ops = if negated {
            [CompareOp::Lt, CompareOp::Gt]
        } else {
            [CompareOp::GtEq, CompareOp::LtEq]
        };
        let side = |op: CompareOp, bound: &ast::Expr| {
            self.compare(op, self.expr(expr, scope)?, self.expr(bound, scope)?)
        };
        let both = vec![side(ops[0], low)?, side(ops[1], high)?];
        let both = if negated { Expr::Or(both) } else { Expr::And(both) };
        Ok(Typed::new(both, Ty::BOOL))
    }

    /// LIKE and ILIKE, by their operator.
    pub fn like(
        &self,
        operator: &str,
        expr: &ast::Expr,
        (any, pattern): (bool, &ast::Expr),
        escape: Option<&ast::Expr>,
        scope: &Scope<'_>,
    ) -> Result<Typed> {
        let left = self.expr(expr, scope)?;
        if let Some((all, patterns)) = quantified(any, pattern) {
            return self.like_any(operator, left, all, self.expr(patterns, scope)?);
        }
        let mut right = self.expr(pattern, scope)?;
        if let Some(escape) = escape {
            let escape = self.expr(escape, scope)?;
            right = self.call("pg_catalog.like_escape", vec![right, escape])?;
        }
        self.call(operator, vec![left, right])
    }

    /// LIKE ANY and LIKE ALL of an array.
    fn like_any(&self, operator: &str, left: Typed, all: bool, patterns: Typed) -> Result<Typed> {
        if matches!(patterns.expr, Expr::Sub { kind: SubKind::Scalar, .. }) {
            return Err(PgError::unsupported("LIKE ANY or ALL of a query"));
        }
        if patterns.ty != Ty::UNKNOWN && !patterns.ty.array {
            return Err(PgError::new("42809", "op ANY/ALL (array) requires array on right side"));
        }
        // What PostgreSQL says of the operator itself.
        let item = Typed::new(Expr::NULL, patterns.ty.element());
        self.call(operator, vec![left.clone(), item])?;
        let operator = Typed::new(Expr::Const(Datum::text(operator)), Ty::TEXT);
        let all = Typed::new(Expr::Const(Datum::Bool(all)), Ty::BOOL);
        self.grammar("like_any", vec![left, patterns, operator, all])
    }
}

/// The patterns after ANY or ALL, if a pattern is that (`true`: ALL); the parser takes ALL for a
/// function.
fn quantified(any: bool, pattern: &ast::Expr) -> Option<(bool, &ast::Expr)> {
    if any {
        return Some((false, pattern));
    }
    let ast::Expr::Function(function) = pattern else { return None };
    let all = match function.name.to_string().to_lowercase().as_str() {
        "all" => true,
        "some" => false,
        _ => return None,
    };
    match &function.args {
        ast::FunctionArguments::List(list) => match list.args.as_slice() {
            [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(only))] => Some((all, only)),
            _ => None,
        },
        _ => None,
    }
}
