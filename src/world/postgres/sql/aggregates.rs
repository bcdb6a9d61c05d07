//! What a call may say about an aggregate, and where one may stand. Must never evaluate.

use std::ops::ControlFlow;

use sqlparser::ast::{self, Expr, Spanned as _};

use super::analyze::{Analyzer, Typed};
use super::names::ident;
use super::plan::{Aggregate, SortKey};
use super::scope::Scope;
use super::signatures::{Kind, has};
use crate::world::postgres::error::{PgError, Result};

pub const AGGREGATES: &[&str] = &[
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "bool_and",
    "bool_or",
    "every",
    "array_agg",
    "string_agg",
    "jsonb_agg",
    "json_agg",
];

/// Refuses an aggregate that is not here, whatever it is of.
pub fn refuse_absent(name: &str) -> Result<()> {
    if has(Kind::Aggregate, name) && !AGGREGATES.contains(&name) {
        return Err(PgError::unsupported(format_args!("the function {name}")));
    }
    Ok(())
}

impl Analyzer<'_> {
    /// Only an aggregate takes DISTINCT, ORDER BY and FILTER.
    pub fn plain_call(
        &self,
        name: &str,
        call: &ast::Function,
        list: &ast::FunctionArgumentList,
    ) -> Result<()> {
        let sorts = |clause: &ast::FunctionArgumentClause| {
            matches!(clause, ast::FunctionArgumentClause::OrderBy(_))
        };
        let distinct = list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct);
        let said = [
            (distinct, "DISTINCT"),
            (list.clauses.iter().any(sorts), "ORDER BY"),
            (call.filter.is_some(), "FILTER"),
        ];
        let known = has(Kind::Function, name) || !self.routines(name).is_empty();
        let Some((_, what)) = said.iter().find(|(there, _)| *there && known) else {
            return Ok(());
        };
        let message = format!("{what} specified, but {name} is not an aggregate function");
        Err(PgError::new("42809", message).at(self.position(call.name.span())))
    }

    /// An expression of a clause that may have no aggregates.
    pub fn expr_in(&self, clause: &'static str, parsed: &Expr, scope: &Scope<'_>) -> Result<Typed> {
        self.in_clause(Some(clause), || self.expr(parsed, scope))
    }

    /// What is analysed within a clause that may have none; `None`: within a query of its own.
    pub fn in_clause<T>(&self, clause: Option<&'static str>, work: impl FnOnce() -> T) -> T {
        let around = self.clause.replace(clause);
        let done = work();
        self.clause.set(around);
        done
    }
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

/// The error for an aggregate where none may stand; `part`: of which part of a definition.
pub fn misplaced(part: Option<&str>) -> PgError {
    let place = part.map_or_else(|| "here".to_owned(), |part| format!("in {part}s"));
    PgError::new("42803", format!("aggregate functions are not allowed {place}"))
}

/// Whether an expression of the syntax tree calls an aggregate of its own query.
pub fn has_aggregate(parsed: &ast::Expr) -> bool {
    struct Finder {
        depth: usize,
    }
    impl ast::Visitor for Finder {
        type Break = ();
        fn pre_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
            self.depth += 1;
            ControlFlow::Continue(())
        }
        fn post_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }
        fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
            let ast::Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
            let name = function.name.0.last().and_then(|part| part.as_ident()).map(ident);
            let aggregate = name.is_some_and(|name| AGGREGATES.contains(&name.as_str()));
            if self.depth == 0 && aggregate && function.over.is_none() {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        }
    }
    ast::Visit::visit(parsed, &mut Finder { depth: 0 }).is_break()
}
