//! Subqueries within expressions: scalars, rows, arrays, EXISTS, IN, ANY and ALL. Must never decide
//! when one is evaluated.

use std::sync::Arc;

use sqlparser::ast::{self, Spanned as _};

use super::analyze::{Analyzer, Context, Typed};
use super::plan::{Body, CompareOp, Expr, OutColumn, Query, SubKind};
use super::resolve::compared;
use super::rows::written;
use super::scope::Scope;
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::types::Ty;

impl Analyzer<'_> {
    pub fn subquery(&self, query: &ast::Query, kind: SubKind, scope: &Scope<'_>) -> Result<Typed> {
        if let Some(part) = self.part {
            let message = format!("cannot use subquery in {part}");
            // The parenthesis before it.
            let place = self.position(query.span()).map(|place| place - 1);
            return Err(PgError::new("0A000", message).at(place));
        }
        let (mut query, correlated) = self.query_within(query, Some(scope))?;
        if kind == SubKind::Exists {
            only_rows(&mut query);
        }
        let ty = match kind {
            SubKind::Exists => Ty::BOOL,
            _ if query.columns.len() != 1 => {
                return Err(PgError::new("42601", "subquery must return only one column"));
            }
            SubKind::Array => Ty { array: true, ..query.columns[0].ty },
            _ => query.columns[0].ty,
        };
        let cache = (!correlated).then(|| self.new_cache());
        let query = Arc::new(query);
        Ok(Typed::new(Expr::Sub { query, kind, left: None, cache }, ty))
    }

    /// A subquery that gives several columns, one expression for each.
    pub fn row_query(&self, query: &ast::Query, scope: &Scope<'_>) -> Result<Vec<Typed>> {
        let (query, correlated) = self.query_within(query, Some(scope))?;
        let field = |(index, column): (usize, &OutColumn)| {
            let cache = (!correlated).then(|| self.new_cache());
            let query = Arc::new(query.clone().casted(vec![Expr::Column { depth: 0, index }]));
            let kind = SubKind::Scalar;
            Typed::new(Expr::Sub { query, kind, left: None, cache }, column.ty)
        };
        Ok(query.columns.iter().enumerate().map(field).collect())
    }

    pub fn in_query(
        &self,
        left: &ast::Expr,
        query: &ast::Query,
        op: CompareOp,
        all: bool,
        scope: &Scope<'_>,
    ) -> Result<Typed> {
        let fields = match written(left) {
            Some(fields) => {
                fields.into_iter().map(|f| self.expr(f, scope)).collect::<Result<_>>()?
            }
            None => vec![self.expr(left, scope)?],
        };
        let (mut query, correlated) = self.query_within(query, Some(scope))?;
        if fields.len() != query.columns.len() {
            let few = if fields.len() < query.columns.len() { "many" } else { "few" };
            return Err(PgError::new("42601", format!("subquery has too {few} columns")));
        }
        if fields.len() > 1
            && !matches!((op, all), (CompareOp::Eq, false) | (CompareOp::NotEq, true))
        {
            let (word, op) = (if all { "ALL" } else { "ANY" }, op.symbol());
            return Err(PgError::unsupported(format_args!("a row {op} {word} of a subquery")));
        }
        let mut lefts = Vec::new();
        let mut casts = Vec::new();
        for (index, (field, column)) in fields.into_iter().zip(&query.columns).enumerate() {
            let (types, ty) = compared(op.symbol(), field.ty, column.ty)?;
            let field = self.coerce(field, types[0], -1, Context::Implicit)?;
            let field = Typed::new(field, types[0]);
            lefts.push((ty, self.coerce(field, ty, -1, Context::Implicit)?));
            let own = Typed::new(Expr::Column { depth: 0, index }, column.ty);
            let own = self.coerce(own, types[1], -1, Context::Implicit)?;
            casts.push(self.coerce(Typed::new(own, types[1]), ty, -1, Context::Implicit)?);
        }
        query = query.casted(casts);
        let kind = SubKind::Quantified(op, all);
        let left = Some(Box::new(Expr::Record { names: None, fields: lefts }));
        let cache = (!correlated).then(|| self.new_cache());
        Ok(Typed::new(Expr::Sub { query: Arc::new(query), kind, left, cache }, Ty::BOOL))
    }
}

/// EXISTS asks for rows and never for what is in them.
fn only_rows(query: &mut Query) {
    let Body::Select(select) = &mut query.body else { return };
    let whole = select.grouped || select.distinct || !select.distinct_on.is_empty();
    if whole || select.expand.is_some() || query.output.is_some() || query.sort_output {
        return;
    }
    select.project.clear();
    query.columns.clear();
    query.sort.clear();
}
