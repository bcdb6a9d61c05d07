//! Going over the expressions of a plan. Must never change one.

use super::plan::{Body, Cte, Expr, From, Insert, Plan, Query, Select, Source};
use crate::world::postgres::error::Step;
use crate::world::postgres::types::Datum;

/// What is done with each expression; an error ends the walk.
pub type Visit<'v> = &'v mut dyn FnMut(&Expr) -> Step<()>;

/// Visits the expressions of a plan and of the queries in its FROM and WITH, in the order in which
/// PostgreSQL plans them; queries within an expression are the visitor's.
pub fn each_of_plan(plan: &Plan, visit: Visit<'_>) -> Step<()> {
    match plan {
        Plan::Query(query) => each_of_query(query, true, visit),
        Plan::Insert(insert) => each_of_insert(insert, visit),
        Plan::Update(update) => {
            each_of_ctes(&update.ctes, visit)?;
            update.targets.iter().try_for_each(|target| visit(&target.value))?;
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
    insert.values.iter().try_for_each(&mut *visit)?;
    each_of_returning(insert.returning.as_ref(), visit)?;
    if let Some((targets, condition)) = insert.conflict.as_ref().and_then(|c| c.update.as_ref()) {
        targets.iter().try_for_each(|target| visit(&target.value))?;
        condition.iter().try_for_each(&mut *visit)?;
    }
    each_of_query(&insert.source, true, visit)
}

fn each_of_returning<T>(returning: Option<&(Vec<Expr>, T)>, visit: Visit<'_>) -> Step<()> {
    returning.iter().flat_map(|(exprs, _)| exprs).try_for_each(visit)
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
    query.output.iter().flatten().try_for_each(&mut *visit)?;
    query.sort.iter().try_for_each(|key| visit(&key.expr))?;
    query.offset.iter().chain(&query.limit).try_for_each(&mut *visit)?;
    match &query.body {
        Body::Select(select) => each_of_select(select, output, visit),
        Body::Values(rows) => rows.iter().flatten().try_for_each(visit),
        Body::Set { left, right, .. } => {
            each_of_query(left, true, visit)?;
            each_of_query(right, true, visit)
        }
    }
}

fn each_of_select(select: &Select, output: bool, visit: Visit<'_>) -> Step<()> {
    if output {
        select.project.iter().try_for_each(&mut *visit)?;
    }
    select.keys.iter().chain(&select.distinct_on).try_for_each(&mut *visit)?;
    for aggregate in &select.aggregates {
        aggregate.args.iter().chain(&aggregate.filter).try_for_each(&mut *visit)?;
        aggregate.order.iter().try_for_each(|key| visit(&key.expr))?;
    }
    select.expand.iter().flat_map(|expand| &expand.args).try_for_each(&mut *visit)?;
    each_of_from(&select.from, visit)?;
    // What stands after a condition that is never met is left out.
    for qual in &select.quals {
        visit(qual)?;
        if matches!(**qual, Expr::Const(Datum::Bool(false))) {
            break;
        }
    }
    select.having.iter().try_for_each(&mut *visit)?;
    for relation in &select.relations {
        match &relation.source {
            Source::Function { args, .. } => args.iter().try_for_each(&mut *visit)?,
            Source::Query { query, .. } => each_of_query(query, true, visit)?,
            Source::Table(_) | Source::Cte(_) | Source::System(_) => {}
        }
    }
    Ok(())
}

fn each_of_from(from: &From, visit: Visit<'_>) -> Step<()> {
    if let From::Join { left, right, on, .. } = from {
        each_of_from(left, visit)?;
        each_of_from(right, visit)?;
        on.iter().try_for_each(|condition| visit(condition))?;
    }
    Ok(())
}
