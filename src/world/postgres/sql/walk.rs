//! Going over the expressions of a plan. Must never change one.

use std::sync::Arc;

use super::plan::{Body, Cte, Expr, From, Insert, Plan, Query, Select, Source};
use crate::world::postgres::error::Step;

/// What is done with each expression; an error ends the walk. It says whether that is known to be
/// false.
pub type Visit<'v> = &'v mut dyn FnMut(&Expr) -> Step<bool>;

fn each<'e>(mut exprs: impl Iterator<Item = &'e Expr>, visit: Visit<'_>) -> Step<()> {
    exprs.try_for_each(|expr| visit(expr).map(drop))
}

/// Visits the expressions of a plan and of the queries in its FROM and WITH, in the order in which
/// PostgreSQL plans them; queries within an expression are the visitor's.
pub fn each_of_plan(plan: &Plan, visit: Visit<'_>) -> Step<()> {
    match plan {
        Plan::Query(query) => each_of_query(query, true, visit),
        Plan::Insert(insert) => each_of_insert(insert, visit),
        Plan::Update(update) => {
            each_of_ctes(&update.ctes, visit)?;
            each(update.targets.iter().map(|target| &target.value), visit)?;
            each_of_returning(update.returning.as_ref(), visit)?;
            each_of_select(&update.source, false, visit)
        }
        Plan::Delete(delete) => {
            each_of_ctes(&delete.ctes, visit)?;
            each_of_returning(delete.returning.as_ref(), visit)?;
            each_of_select(&delete.source, false, visit)
        }
    }
}

fn each_of_insert(insert: &Insert, visit: Visit<'_>) -> Step<()> {
    each_of_ctes(&insert.ctes, visit)?;
    each(insert.values.iter(), visit)?;
    each_of_returning(insert.returning.as_ref(), visit)?;
    if let Some((targets, condition)) = insert.conflict.as_ref().and_then(|c| c.update.as_ref()) {
        each(targets.iter().map(|target| &target.value).chain(condition), visit)?;
    }
    each_of_query(&insert.source, true, visit)
}

fn each_of_returning<T>(returning: Option<&(Vec<Expr>, T)>, visit: Visit<'_>) -> Step<()> {
    each(returning.iter().flat_map(|(exprs, _)| exprs), visit)
}

fn each_of_ctes(ctes: &[Cte], visit: Visit<'_>) -> Step<()> {
    for cte in ctes {
        each_of_plan(&cte.plan, visit)?;
        if let Some((query, _)) = &cte.recursive {
            each_of_query(query, true, visit)?;
        }
    }
    Ok(())
}

/// The same of a query. `output`: what it gives is asked for, not only whether it gives a row.
pub fn each_of_query(query: &Query, output: bool, visit: Visit<'_>) -> Step<()> {
    each_of_ctes(&query.ctes, visit)?;
    each(query.output.iter().flatten(), visit)?;
    each(query.sort.iter().map(|key| &key.expr), visit)?;
    each(query.offset.iter().chain(&query.limit), visit)?;
    match &query.body {
        Body::Select(select) => each_of_select(select, output, visit),
        Body::Values(rows) => each(rows.iter().flatten(), visit),
        Body::Set { left, right, .. } => {
            each_of_query(left, true, visit)?;
            each_of_query(right, true, visit)
        }
    }
}

fn each_of_select(select: &Select, output: bool, visit: Visit<'_>) -> Step<()> {
    if output {
        each(select.project.iter(), visit)?;
    }
    each(select.keys.iter().chain(&select.distinct_on), visit)?;
    for aggregate in &select.aggregates {
        each(aggregate.args.iter().chain(&aggregate.filter), visit)?;
        each(aggregate.order.iter().map(|key| &key.expr), visit)?;
    }
    each(select.expand.iter().flat_map(|expand| &expand.args), visit)?;
    each_of_from(&select.from, &select.quals, visit)?;
    // What stands after a condition that is never met is left out.
    for qual in &select.quals {
        if visit(qual)? {
            break;
        }
    }
    each(select.having.iter().chain(&select.asked), visit)?;
    for relation in &select.relations {
        match &relation.source {
            Source::Function { args, .. } => each(args.iter(), visit)?,
            Source::Query { query, .. } => each_of_query(query, true, visit)?,
            Source::Table(_) | Source::Cte(_) | Source::System(_) => {}
        }
    }
    Ok(())
}

/// `quals`: what WHERE says, which has its turn behind FROM although it is tested within it.
fn each_of_from(from: &From, quals: &[Arc<Expr>], visit: Visit<'_>) -> Step<()> {
    let (on, filter) = match from {
        From::Nothing => return Ok(()),
        From::Scan(scan) => (&[][..], &scan.filter),
        From::Join { left, right, on, filter, .. } => {
            each_of_from(left, quals, visit)?;
            each_of_from(right, quals, visit)?;
            (&on[..], filter)
        }
    };
    // What an inner join below an outer one asks for is tested where its rows are read.
    let own = |condition: &&Arc<Expr>| !quals.iter().any(|qual| Arc::ptr_eq(qual, condition));
    for condition in on.iter().chain(filter.iter().filter(own)) {
        if visit(condition)? {
            break;
        }
    }
    Ok(())
}
