//! Tests that are written with words: IS, BETWEEN, LIKE. Must never evaluate.

use sqlparser::ast::{self, Spanned as _, Value};

use super::analyze::{Analyzer, Typed};
use super::expression::negate;
use super::plan::{CompareOp, Expr};
use super::scope::Scope;
use crate::world::postgres::error::{PgError, Result, common};
use crate::world::postgres::types::Ty;

impl Analyzer<'_> {
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
        // Beside a NULL that is written out it asks for no equality.
        let same = match other {
            Some(other) => Expr::IsNull(Box::new(self.expr(other, scope)?.expr)),
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
        if let (Ty::UNKNOWN, Expr::Param(at)) = (typed.ty, &typed.expr) {
            self.open.borrow_mut().push((*at, self.position(inner.span())));
        }
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

    pub fn like(
        &self,
        name: &str,
        negated: bool,
        expr: &ast::Expr,
        pattern: &ast::Expr,
        scope: &Scope<'_>,
    ) -> Result<Typed> {
        if let ast::Expr::Function(all) = pattern
            && matches!(all.name.to_string().to_lowercase().as_str(), "all" | "any" | "some")
        {
            return Err(PgError::unsupported("LIKE ALL"));
        }
        let args = vec![self.expr(expr, scope)?, self.expr(pattern, scope)?];
        let (left, right) = (args[0].ty.name(), args[1].ty.name());
        let called = self.call(name, args).map_err(|error| match error.code() {
            "42883" if negated => common::no_operator(&format!("{left} !{name} {right}")),
            _ => error,
        });
        Ok(negate(called?, negated))
    }
}
