//! Subqueries within expressions: scalars, rows, arrays, EXISTS, IN, ANY and ALL. Must never decide
//! when one is evaluated.

use std::ops::ControlFlow;
use std::sync::Arc;

use sqlparser::ast::{self, BinaryOperator, Spanned as _};

use super::analyze::{Analyzer, Context, Typed};
use super::expression::compare_op;
use super::inline::parts;
use super::placing::whole_ctes;
use super::plan::{Barred, Body, CompareOp, Expr, OutColumn, Query, Relation, Source, SubKind};
use super::query::split;
use super::resolve::compared;
use super::rows::written;
use super::scope::Scope;
use super::unread::prune;
use super::volatility::is_written_volatile;
use super::walk::each_of_query;
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::exec::is_constant;
use crate::world::postgres::types::Ty;

/// What a part of a definition says of a query in it.
pub const NO_SUBQUERY: &str = "cannot use subquery in ";

/// A part of a condition, with the mark of those that PostgreSQL makes joins of: EXISTS and NOT
/// EXISTS of a query that reads the row, IN and ANY of one that does not (`pull_up_sublinks` of its
/// planner).
pub fn joined(mut condition: Expr) -> Expr {
    let sub = match &mut condition {
        Expr::Not(inner) if matches!(**inner, Expr::Sub { kind: SubKind::Exists, .. }) => inner,
        other => other,
    };
    if let Expr::Sub { query, kind, left, cache, joins, .. } = sub {
        *joins = match (kind, left) {
            (SubKind::Exists, _) => cache.is_none() && can_join(query),
            (SubKind::Quantified(_, false), Some(left)) => {
                cache.is_some() && left.columns() != Some(Vec::new()) && !is_written_volatile(left)
            }
            _ => false,
        };
        if *joins {
            read_whole(query);
        }
    }
    condition
}

/// What is joined by equality is hashed before: a WITH query in it is run to its end.
fn read_whole(query: &mut Arc<Query>) {
    let Body::Select(select) = &query.body else { return };
    let equal = |qual: &Arc<Expr>| matches!(**qual, Expr::Compare(CompareOp::Eq, ..));
    let cte = |relation: &Relation| matches!(relation.source, Source::Cte(_));
    if !select.relations.iter().any(cte) || !select.quals.iter().any(equal) {
        return;
    }
    if let Body::Select(select) = &mut Arc::make_mut(query).body {
        whole_ctes(&mut select.from, &select.relations);
    }
}

/// Adds how far around the query are the rows that an expression reads, which stands `level`
/// queries deep in it.
fn read_around(expr: &Expr, level: usize, found: &mut Vec<usize>) {
    expr.walk(&mut |part| match part {
        Expr::Column { depth, .. } if *depth > level => found.push(depth - level),
        Expr::Sub { query, .. } => {
            let _never_stops = each_of_query(query, true, &mut |expr| {
                read_around(expr, level + 1, found);
                Ok(false)
            });
        }
        _ => {}
    });
}

fn can_join(query: &Query) -> bool {
    let Body::Select(select) = &query.body else { return false };
    let mut around = Vec::new();
    select.quals.iter().for_each(|qual| read_around(qual, 0, &mut around));
    around.dedup();
    !select.grouped
        && select.having.is_none()
        && select.expand.is_none()
        && query.ctes.is_empty()
        && query.locks.is_empty()
        && query.offset.is_none()
        && query.limit.as_ref().is_none_or(is_constant)
        // It is joined with one of the rows around it.
        && around.len() == 1
        && !select.quals.iter().any(|qual| is_written_volatile(qual))
}

impl Analyzer<'_> {
    /// A query within an expression, whether it reads a row around it, and what the role may not
    /// do of it: PostgreSQL asks for that only if it plans it.
    fn query_apart(&self, query: &ast::Query, scope: &Scope<'_>) -> Result<(Query, bool, Barred)> {
        let before = self.denied.borrow().len();
        if let Some(part) = self.part {
            return Err(PgError::new("0A000", format!("{NO_SUBQUERY}{part}")));
        }
        let (mut query, correlated) = self.query_within(query, Some(scope))?;
        prune(&mut query);
        let denied = self.denied.borrow_mut().split_off(before).into_iter().next();
        self.barred.set(self.barred.get() || denied.is_some());
        let barred = denied.map_or(Barred::No, |denied| Barred::By(Arc::new(denied)));
        Ok((query, correlated, barred))
    }

    /// The parts of a condition, which is kept as a whole if it may have a query that is barred.
    pub fn split(&self, condition: Expr, quals: &mut Vec<Arc<Expr>>) {
        let before = quals.len();
        split(condition, quals);
        if self.barred.get() {
            let mut parts: Vec<Expr> =
                quals[before..].iter().map(|part| (**part).clone()).collect();
            // A join is made before it is known what is left out.
            parts.sort_by_key(|part| !is_join(part));
            self.ask(Expr::And(parts), &mut quals[before..].iter_mut().map(Arc::make_mut));
        }
    }

    /// Keeps a condition for its privileges, which `parts` then do not tell.
    pub fn ask(&self, condition: Expr, parts: &mut dyn Iterator<Item = &mut Expr>) {
        if self.barred.get() {
            self.asked.borrow_mut().push(is_met(condition));
            parts.for_each(set_apart);
        }
    }

    pub fn subquery(&self, query: &ast::Query, kind: SubKind, scope: &Scope<'_>) -> Result<Typed> {
        let (mut query, correlated, barred) = self.query_apart(query, scope)?;
        if kind == SubKind::Exists {
            only_rows(&mut query);
        }
        let ty = match kind {
            SubKind::Exists => Ty::BOOL,
            _ if query.columns.len() != 1 => {
                return Err(PgError::new("42601", "subquery must return only one column"));
            }
            SubKind::Array if query.columns[0].ty.array => {
                return Err(PgError::unsupported("an array of more than one dimension"));
            }
            SubKind::Array => Ty { array: true, ..query.columns[0].ty },
            _ => query.columns[0].ty,
        };
        let typmod = match (kind, query.columns.first()) {
            (SubKind::Scalar | SubKind::Array, Some(column)) => column.typmod,
            _ => -1,
        };
        let cache = (!correlated).then(|| self.new_cache());
        let query = Arc::new(query);
        Ok(Typed {
            typmod,
            ..Typed::new(Expr::Sub { query, kind, left: None, cache, joins: false, barred }, ty)
        })
    }

    /// A subquery that gives several columns, one expression for each.
    pub fn row_query(&self, query: &ast::Query, scope: &Scope<'_>) -> Result<Vec<Typed>> {
        let body = &query.body;
        let (query, correlated, barred) = self.query_apart(query, scope)?;
        let field = |(index, column): (usize, &OutColumn)| {
            let cache = (!correlated).then(|| self.new_cache());
            let query = Arc::new(query.clone().casted(vec![Expr::Column { depth: 0, index }]));
            let kind = SubKind::Scalar;
            let barred = barred.clone();
            let sub = Expr::Sub { query, kind, left: None, cache, joins: false, barred };
            Typed { place: self.item(body, index), ..Typed::new(sub, column.ty) }
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
        let (mut query, correlated, barred) = self.query_apart(query, scope)?;
        let fields: Vec<Typed> = match written(left) {
            Some(fields) => {
                fields.into_iter().map(|f| self.expr(f, scope)).collect::<Result<_>>()?
            }
            None => vec![self.expr(left, scope)?],
        };
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
            if ty == Ty::BPCHAR && (field.typmod == -1 || field.typmod != column.typmod) {
                return Err(PgError::unsupported("characters of another length in a subquery"));
            }
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
        let query = Arc::new(query);
        Ok(Typed::new(Expr::Sub { query, kind, left, cache, joins: false, barred }, Ty::BOOL))
    }

    /// `op ANY (array)` and ALL, or of a query.
    pub fn quantified(
        &self,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
        all: bool,
        scope: &Scope<'_>,
    ) -> Result<Typed> {
        let op = compare_op(op)
            .ok_or_else(|| PgError::unsupported(format_args!("{op} with ANY or ALL")))?;
        let right = if let ast::Expr::Nested(inner) = right { inner } else { right };
        let span = right.span();
        if let ast::Expr::Subquery(query) = right {
            return self.in_query(left, query, op, all, scope);
        }
        let (left, right) = (self.expr(left, scope)?, self.expr(right, scope)?);
        if right.ty != Ty::UNKNOWN && !right.ty.array {
            let message = "op ANY/ALL (array) requires array on right side";
            return Err(PgError::new("42809", message).at(self.operator(op.symbol(), span)));
        }
        let element = if right.ty.array { right.ty.element() } else { left.ty };
        let (types, ty) = compared(op.symbol(), left.ty, element)
            .map_err(|error| error.at(self.operator(op.symbol(), span)))?;
        if ty == Ty::BPCHAR || ty.array {
            let name = ty.name();
            return Err(PgError::unsupported(format_args!("{name} op ANY or ALL of an array")));
        }
        let array = Ty { array: true, ..ty };
        let left = self.coerce(left, types[0], -1, Context::Implicit)?;
        let left = self.coerce(Typed::new(left, types[0]), ty, -1, Context::Implicit)?;
        let right = self.coerce(right, array, -1, Context::Implicit)?;
        Ok(Typed::new(Expr::Quantified(op, all, Box::new(left), Box::new(right)), Ty::BOOL))
    }
}

fn is_join(part: &Expr) -> bool {
    match part {
        Expr::Not(inner) => is_join(inner),
        other => matches!(other, Expr::Sub { joins: true, .. }),
    }
}

/// A condition of which NULL is as good as false.
fn is_met(condition: Expr) -> Expr {
    match condition {
        Expr::And(all) => Expr::And(all.into_iter().map(is_met).collect()),
        Expr::Or(all) => Expr::Or(all.into_iter().map(is_met).collect()),
        other => Expr::Is(Box::new(other), true),
    }
}

fn set_apart(expr: &mut Expr) {
    if let Expr::Sub { barred, .. } = expr {
        *barred = Barred::Apart;
    }
    parts(expr).into_iter().for_each(set_apart);
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

/// Whether there is a query in the expression.
pub fn has_query(expr: &ast::Expr) -> bool {
    struct Queries(bool);
    impl ast::Visitor for Queries {
        type Break = ();
        fn pre_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
            self.0 = true;
            ControlFlow::Break(())
        }
    }
    let mut found = Queries(false);
    let _first = ast::Visit::visit(expr, &mut found);
    found.0
}
