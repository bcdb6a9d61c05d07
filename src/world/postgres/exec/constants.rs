//! What PostgreSQL works out while it plans, before it reads a row: an expression of constants that
//! fails, fails although no row may ever need it (`eval_const_expressions` of its planner). Only
//! the failure counts: the values are worked out again. Must never change a plan.

use super::{Cx, Frame, eval};
use crate::world::postgres::error::Step;
use crate::world::postgres::sql::{
    Body, Cte, Expr, From, Insert, Plan, Query, Select, Source, SubKind, is_zoned,
};
use crate::world::postgres::types::{Datum, Ty};

/// Fails as a constant of the plan does. `bound`: parameters are constants too.
pub fn check(plan: &Plan, cx: &mut Cx<'_>, bound: bool) -> Step<()> {
    each_of_plan(plan, &mut |expr| fold(expr, cx, bound).map(drop))
}

/// Whether a plan has anything to work out.
pub fn has_any(plan: &Plan) -> bool {
    let mut found = false;
    let _never_stops = each_of_plan(plan, &mut |expr| {
        found = found || holds_constant(expr);
        Ok(())
    });
    found
}

/// Whether a call or a conversion of nothing but constants and parameters is within.
fn holds_constant(expr: &Expr) -> bool {
    let mut found = false;
    expr.walk(&mut |part| {
        found = found
            || match part {
                Expr::Call { steady: true, .. } | Expr::Cast { .. } => is_constant(part),
                Expr::Sub { query, .. } => has_any(&Plan::Query(query.clone())),
                _ => false,
            }
    });
    found
}

fn is_constant(expr: &Expr) -> bool {
    let mut constant = true;
    expr.walk(&mut |part| {
        constant &= !matches!(
            part,
            Expr::Column { .. } | Expr::Sub { .. } | Expr::Routine { .. } | Expr::Counted(..)
        );
    });
    constant
}

type Visit<'v> = &'v mut dyn FnMut(&Expr) -> Step<()>;

fn each_of_plan(plan: &Plan, visit: Visit<'_>) -> Step<()> {
    match plan {
        Plan::Query(query) => each_of_query(query, true, visit),
        Plan::Insert(insert) => each_of_insert(insert, visit),
        Plan::Update(update) => {
            each_of_ctes(&update.ctes, &update.after, visit)?;
            update.targets.iter().try_for_each(|target| visit(&target.value))?;
            each_of_returning(update.returning.as_ref(), visit)?;
            each_of_select(&update.source, false, visit)
        }
        Plan::Delete(delete) => {
            each_of_ctes(&delete.ctes, &delete.after, visit)?;
            each_of_returning(delete.returning.as_ref(), visit)?;
            each_of_select(&delete.source, false, visit)
        }
    }
}

fn each_of_insert(insert: &Insert, visit: Visit<'_>) -> Step<()> {
    each_of_ctes(&insert.ctes, &insert.after, visit)?;
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

fn each_of_ctes(before: &[Cte], after: &[Cte], visit: Visit<'_>) -> Step<()> {
    for cte in before.iter().chain(after) {
        each_of_plan(&cte.plan, visit)?;
        if let Some((query, _)) = &cte.recursive {
            each_of_query(query, true, visit)?;
        }
    }
    Ok(())
}

/// `output`: what it gives is asked for, not only whether it gives a row.
fn each_of_query(query: &Query, output: bool, visit: Visit<'_>) -> Step<()> {
    each_of_ctes(&query.ctes, &query.after, visit)?;
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

/// The value of an expression that has the same one for every row, as far as PostgreSQL sees it.
fn fold(expr: &Expr, cx: &mut Cx<'_>, bound: bool) -> Step<Option<Datum>> {
    let known = match expr {
        Expr::Const(datum) => return Ok(Some(datum.clone())),
        Expr::Param(at) => return Ok(cx.params.get(*at).filter(|_| bound).cloned()),
        Expr::Column { .. } => false,
        Expr::And(all) => return junction(all, false, cx, bound),
        Expr::Or(all) => return junction(all, true, cx, bound),
        Expr::Case { whens, otherwise } => return case(whens, otherwise, cx, bound),
        Expr::Coalesce(all) => return coalesce(all, cx, bound),
        Expr::Not(inner) | Expr::IsNull(inner) | Expr::NoneNull(inner) | Expr::Is(inner, _) => {
            fold(inner, cx, bound)?.is_some()
        }
        Expr::Compare(_, left, right) => match both(left, right, cx, bound)? {
            (Some(Datum::Null), _) | (_, Some(Datum::Null)) => return Ok(Some(Datum::Null)),
            (left, right) => left.is_some() && right.is_some(),
        },
        Expr::NotDistinct(left, right) | Expr::Quantified(_, _, left, right) => {
            let (left, right) = both(left, right, cx, bound)?;
            left.is_some() && right.is_some()
        }
        Expr::CompareRows(_, pairs) => {
            for (left, right) in pairs {
                both(left, right, cx, bound)?;
            }
            false
        }
        Expr::Call { strict, steady, args, .. } => {
            let (known, null) = every(args, cx, bound)?;
            if *strict && null {
                return Ok(Some(Datum::Null));
            }
            known && *steady
        }
        Expr::Array(items) => every(items, cx, bound)?.0,
        Expr::Routine { args, .. } => {
            every(args, cx, bound)?;
            false
        }
        Expr::Record { fields, .. } => {
            for (_, field) in fields {
                fold(field, cx, bound)?;
            }
            false
        }
        Expr::Counted(_, call) => {
            fold(call, cx, bound)?;
            false
        }
        Expr::Cast { expr, from, to, .. } => match fold(expr, cx, bound)? {
            Some(Datum::Null) => return Ok(Some(Datum::Null)),
            Some(_) => !is_zoned(*from, *to) && *from != Ty::REGCLASS && *to != Ty::REGCLASS,
            None => false,
        },
        Expr::Sub { query, kind, left, .. } => {
            if let Some(left) = left {
                fold(left, cx, bound)?;
            }
            let output = *kind != SubKind::Exists;
            each_of_query(query, output, &mut |expr| fold(expr, cx, bound).map(drop))?;
            false
        }
    };
    if !known {
        return Ok(None);
    }
    eval(expr, cx, &Frame::EMPTY).map(Some)
}

fn both(
    left: &Expr,
    right: &Expr,
    cx: &mut Cx<'_>,
    bound: bool,
) -> Step<(Option<Datum>, Option<Datum>)> {
    Ok((fold(left, cx, bound)?, fold(right, cx, bound)?))
}

/// Whether all are known, and whether one is known to be NULL.
fn every(all: &[Expr], cx: &mut Cx<'_>, bound: bool) -> Step<(bool, bool)> {
    let (mut known, mut null) = (true, false);
    for expr in all {
        let value = fold(expr, cx, bound)?;
        known &= value.is_some();
        null |= value.is_some_and(|value| value.is_null());
    }
    Ok((known, null))
}

/// AND (`decisive` false) and OR (`decisive` true): what stands behind one that decides is left out.
fn junction(
    all: &[Expr],
    decisive: bool,
    cx: &mut Cx<'_>,
    bound: bool,
) -> Step<Option<Datum>> {
    let (mut known, mut null) = (true, false);
    for expr in all {
        match fold(expr, cx, bound)? {
            Some(value) => match value.as_bool() {
                Some(flag) if flag == decisive => return Ok(Some(value)),
                Some(_) => {}
                None => null = true,
            },
            None => known = false,
        }
    }
    let value = if null { Datum::Null } else { Datum::Bool(!decisive) };
    Ok(known.then_some(value))
}

/// What no row can reach by its constant conditions is left out; the rest is not.
fn case(
    whens: &[(Expr, Expr)],
    otherwise: &Expr,
    cx: &mut Cx<'_>,
    bound: bool,
) -> Step<Option<Datum>> {
    let mut open = false;
    for (when, then) in whens {
        match fold(when, cx, bound)?.map(|value| value.as_bool() == Some(true)) {
            Some(false) => {}
            Some(true) => return Ok(fold(then, cx, bound)?.filter(|_| !open)),
            None => {
                fold(then, cx, bound)?;
                open = true;
            }
        }
    }
    Ok(fold(otherwise, cx, bound)?.filter(|_| !open))
}

fn coalesce(all: &[Expr], cx: &mut Cx<'_>, bound: bool) -> Step<Option<Datum>> {
    let mut open = false;
    for expr in all {
        match fold(expr, cx, bound)? {
            Some(Datum::Null) => {}
            Some(value) => return Ok(Some(value).filter(|_| !open)),
            None => open = true,
        }
    }
    Ok((!open).then_some(Datum::Null))
}
