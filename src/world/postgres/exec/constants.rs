//! What PostgreSQL works out while it plans, before it reads a row: an expression of constants that
//! fails, fails although no row may ever need it (`eval_const_expressions` of its planner). Only
//! the failure counts: the values are worked out again, but for those of functions of one's own,
//! which are kept for the statement. Must never change a plan.

use super::calls::Call;
use super::{Cx, Frame, eval};
use crate::world::postgres::error::{Step, Stop};
use crate::world::postgres::sql::{
    Analyzer, Barred, Expr, Plan, SubKind, Volatility, each_of_plan, each_of_query, is_zoned, parts,
};
use crate::world::postgres::storage::locks::Oid;
use crate::world::postgres::types::{Datum, Ty};

/// Fails as a constant of the plan does. `bound`: parameters are constants too.
pub fn check(plan: &Plan, cx: &mut Cx<'_>, bound: bool) -> Step<()> {
    // A check that had to wait begins anew.
    cx.state.denied.take();
    each_of_plan(plan, &mut |expr| is_false(expr, cx, bound))
}

/// The same of an expression of a definition.
pub fn check_one(expr: &Expr, cx: &mut Cx<'_>) -> Step<()> {
    let planned = Analyzer::new(cx.db, cx.pid, "", &[]).as_planned(expr)?;
    fold(&planned, cx, false).map(drop)
}

/// Whether a plan has anything to work out.
pub fn has_any(plan: &Plan) -> bool {
    let mut found = false;
    let _never_stops = each_of_plan(plan, &mut |expr| {
        found = found || holds_constant(expr);
        Ok(false)
    });
    found
}

/// Whether a call or a conversion of nothing but constants and parameters is within.
pub fn holds_constant(expr: &Expr) -> bool {
    let mut found = false;
    expr.walk(&mut |part| {
        found = found
            || match part {
                Expr::Call { steady: true, .. }
                | Expr::Cast { .. }
                | Expr::Routine { volatility: Volatility::Immutable, .. } => is_constant(part),
                Expr::Inlined { args, .. } => args.iter().any(holds_constant),
                Expr::Sub { query, .. } => has_any(&Plan::Query(query.clone())),
                _ => false,
            }
    });
    found
}

/// Whether nothing of a row is within, nor what must not be worked out once.
pub fn is_constant(expr: &Expr) -> bool {
    let mut constant = true;
    expr.walk(&mut |part| {
        constant &= !matches!(part, Expr::Column { .. } | Expr::Sub { .. } | Expr::Counted(..));
    });
    constant
}

/// Whether it is known to be false.
fn is_false(expr: &Expr, cx: &mut Cx<'_>, bound: bool) -> Step<bool> {
    Ok(fold(expr, cx, bound)?.is_some_and(|value| value.as_bool() == Some(false)))
}

/// The value of an expression that has the same one for every row, as far as PostgreSQL sees it.
pub fn fold(expr: &Expr, cx: &mut Cx<'_>, bound: bool) -> Step<Option<Datum>> {
    let known = match expr {
        Expr::Const(datum) => return Ok(Some(datum.clone())),
        Expr::Param(at) => return Ok(cx.params.get(*at).filter(|_| bound).cloned()),
        Expr::Column { .. } => false,
        Expr::And(all) => return junction(all, false, cx, bound),
        Expr::Or(all) => return junction(all, true, cx, bound),
        Expr::Case { whens, otherwise } => return case(whens, otherwise, cx, bound),
        Expr::Coalesce(all) => return coalesce(all, cx, bound),
        Expr::IsNull(inner) | Expr::NoneNull(inner) if matches!(**inner, Expr::Record { .. }) => {
            return fields(expr, inner, cx, bound);
        }
        Expr::Not(inner) | Expr::IsNull(inner) | Expr::NoneNull(inner) | Expr::Is(inner, _) => {
            fold(inner, cx, bound)?.is_some()
        }
        Expr::Compare(_, left, right) => return compared(expr, left, right, cx, bound),
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
            let before = cx.state.denied.open.clone();
            let (known, null) = every(args, cx, bound)?;
            if *strict && null {
                cx.state.denied.open = before;
                return Ok(Some(Datum::Null));
            }
            known && *steady
        }
        Expr::Array(items) => every(items, cx, bound)?.0,
        Expr::Routine { oid, args, .. } => return call(expr, *oid, args, cx, bound),
        Expr::Inlined { .. } => return inlined(expr, cx, bound),
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
        Expr::Sub { left, .. } => {
            let left = left.as_ref().map(|left| fold(left, cx, bound));
            left.transpose()?;
            within(expr, cx, bound)?;
            false
        }
    };
    if known { value(expr, cx, bound).map(Some) } else { Ok(None) }
}

/// A query within an expression, and what the role may not do of it.
fn within(expr: &Expr, cx: &mut Cx<'_>, bound: bool) -> Step<()> {
    let Expr::Sub { query, kind, joins, barred, .. } = expr else { return Ok(()) };
    let before = std::mem::take(&mut cx.state.denied);
    if let Barred::By(denied) = barred {
        cx.state.denied.open = Some((**denied).clone());
    }
    let output = *kind != SubKind::Exists;
    each_of_query(query, output, &mut |expr| is_false(expr, cx, bound))?;
    let found = std::mem::replace(&mut cx.state.denied, before).take();
    let denied = &mut cx.state.denied;
    match barred {
        Barred::Apart => {}
        _ if *joins => denied.joined = denied.joined.take().or(found),
        _ => denied.open = denied.open.take().or(found),
    }
    Ok(())
}

/// A comparison, which NULL decides.
fn compared(
    expr: &Expr,
    left: &Expr,
    right: &Expr,
    cx: &mut Cx<'_>,
    bound: bool,
) -> Step<Option<Datum>> {
    let before = cx.state.denied.open.clone();
    match both(left, right, cx, bound)? {
        (Some(Datum::Null), _) | (_, Some(Datum::Null)) => {
            cx.state.denied.open = before;
            Ok(Some(Datum::Null))
        }
        (Some(_), Some(_)) => value(expr, cx, bound).map(Some),
        _ => Ok(None),
    }
}

/// IS NULL and IS NOT NULL of a row, which a field that is known to be otherwise decides.
fn fields(expr: &Expr, row: &Expr, cx: &mut Cx<'_>, bound: bool) -> Step<Option<Datum>> {
    let Expr::Record { fields, .. } = row else { return Ok(None) };
    let before = cx.state.denied.open.clone();
    let (mut known, mut decided) = (true, false);
    for (_, field) in fields {
        match fold(field, cx, bound)? {
            Some(value) => decided |= value.is_null() != matches!(expr, Expr::IsNull(_)),
            None => known = false,
        }
    }
    if decided {
        cx.state.denied.open = before;
    }
    Ok((known || decided).then_some(Datum::Bool(!decided)))
}

/// The value of an expression whose parts are known.
fn value(expr: &Expr, cx: &mut Cx<'_>, bound: bool) -> Step<Datum> {
    if is_constant(expr) {
        return eval(expr, cx, &Frame::EMPTY);
    }
    // What decides a junction within may stand beside what reads a row.
    let mut settled = expr.clone();
    for part in parts(&mut settled) {
        if let Some(value) = fold(part, cx, bound)? {
            *part = Expr::Const(value);
        }
    }
    eval(&settled, cx, &Frame::EMPTY)
}

/// What stands in the place of a call, once the arguments are known.
fn inlined(expr: &Expr, cx: &mut Cx<'_>, bound: bool) -> Step<Option<Datum>> {
    let Expr::Inlined { name, strict, args, body, .. } = expr else { return Ok(None) };
    if every(args, cx, bound)?.1 && *strict {
        return Ok(Some(Datum::Null));
    }
    let folded = fold(body, cx, bound);
    folded.map_err(|stop| {
        let line = format!("SQL function \"{name}\" during inlining");
        match stop {
            Stop::Error(error) => error.context(&line).into(),
            Stop::Call(call) => {
                cx.state.inlining.push(line);
                Stop::Call(call)
            }
            Stop::Wait => Stop::Wait,
        }
    })
}

/// A call of a function of one's own that is IMMUTABLE and takes constants is made now.
fn call(expr: &Expr, oid: Oid, args: &[Expr], cx: &mut Cx<'_>, bound: bool) -> Step<Option<Datum>> {
    let mut values = Vec::with_capacity(args.len());
    for arg in args {
        values.push(fold(arg, cx, bound)?);
    }
    let Some(routine) = cx.db.routine(oid, cx.pid) else { return Ok(None) };
    if routine.strict && values.contains(&Some(Datum::Null)) {
        return Ok(Some(Datum::Null));
    }
    let values: Option<Vec<Datum>> = values.into_iter().collect();
    let Some(values) = values.filter(|_| routine.volatility == Volatility::Immutable) else {
        return Ok(None);
    };
    let result = eval(expr, cx, &Frame::EMPTY)?;
    cx.state.calls.keep(Call::Routine(oid, values), result.clone());
    Ok(Some(result))
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

/// AND (`decisive` false) and OR (`decisive` true): what stands behind one that decides is left
/// out.
fn junction(all: &[Expr], decisive: bool, cx: &mut Cx<'_>, bound: bool) -> Step<Option<Datum>> {
    let (mut known, mut null) = (true, false);
    let before = cx.state.denied.open.clone();
    for expr in all {
        match fold(expr, cx, bound)? {
            Some(value) => match value.as_bool() {
                Some(flag) if flag == decisive => {
                    cx.state.denied.open = before;
                    return Ok(Some(value));
                }
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
    if let [Expr::Or(list)] = all {
        // What IN says of several values: none decides before all are known.
        let (known, _) = every(list, cx, bound)?;
        return if known { junction(list, true, cx, bound) } else { Ok(None) };
    }
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
