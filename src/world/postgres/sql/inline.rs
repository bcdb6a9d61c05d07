//! Functions in SQL that are one expression: it is put in the place of their call
//! (`inline_function` of PostgreSQL's planner). Must never run one.

use super::analyze::{Analyzer, Context, Typed};
use super::body::{Code, Fragment, Routine, Volatility};
use super::placing::cost;
use super::plan::{Body, Expr, Plan, Query};
use super::routine::Names;
use super::volatility::{may_change, may_differ};
use crate::world::postgres::error::{PgError, Result, common};
use crate::world::postgres::exec::is_constant;
use crate::world::postgres::storage::catalog::IndexPart;
use crate::world::postgres::storage::locks::Oid;
use crate::world::postgres::types::{Datum, Ty};

/// What costs more than ten operators is not worked out twice.
const CHEAP: usize = 20;

impl Analyzer<'_> {
    /// What stands in the place of a call. `around`: the functions whose bodies it stands in.
    pub fn in_place(&self, mut call: Expr, around: &mut Vec<Oid>) -> Result<Expr> {
        if let Expr::Routine { stays, .. } = &mut call {
            *stays = true;
        }
        let Expr::Routine { oid, args, .. } = &call else { return Ok(call) };
        let Some(routine) = self.db.routine(*oid, self.pid) else { return Ok(call) };
        let null = |arg: &Expr| matches!(arg, Expr::Const(Datum::Null));
        if routine.strict && args.iter().any(null) {
            return Ok(Expr::NULL);
        }
        // Of constants alone PostgreSQL calls it while it plans.
        let called = routine.volatility == Volatility::Immutable && args.iter().all(is_constant);
        if called || around.contains(oid) {
            return Ok(call);
        }
        let told = |error: PgError| {
            error.context(&format!("SQL function \"{}\" during inlining", routine.name))
        };
        let body = self.expression(routine).map_err(told)?;
        let Some(mut body) = body.filter(|body| takes(routine, body, args)) else {
            return Ok(call);
        };
        substitute(&mut body, args);
        around.push(*oid);
        self.calls_within(&mut body, around).map_err(told)?;
        around.pop();
        let (name, args, body) = (routine.name.clone(), args.clone(), Box::new(body));
        let (strict, volatility) = (routine.strict, routine.volatility);
        Ok(Expr::Inlined { name, strict, volatility, args, body })
    }

    /// XX000 if an index of a table that is read calls a function that is gone: who drops one does
    /// not wait for who makes such an index.
    pub fn check_indexes(&self, plan: &Plan) -> Result<()> {
        let filled = match plan {
            Plan::Insert(insert) => Some(insert.table.oid),
            _ => None,
        };
        let definitions = self.definitions.borrow();
        for table in definitions.iter().filter(|table| Some(table.oid) != filled) {
            for index in table.indexes.iter().filter(|index| !index.dropped) {
                let keys = index.parts.iter().filter_map(|part| match part {
                    IndexPart::Expression(expr, ..) => Some(expr),
                    IndexPart::Column(_) => None,
                });
                let mut gone = None;
                for expr in keys.chain(&index.predicate) {
                    expr.walk(&mut |part| match part {
                        Expr::Routine { oid, .. } if self.db.routine(*oid, self.pid).is_none() => {
                            gone = gone.or(Some(*oid));
                        }
                        _ => {}
                    });
                }
                if let Some(oid) = gone {
                    return Err(common::function_gone(oid));
                }
            }
        }
        Ok(())
    }

    /// An expression of a definition, as PostgreSQL plans it.
    pub fn as_planned(&self, expr: &Expr) -> Result<Expr> {
        let mut expr = expr.clone();
        self.calls_within(&mut expr, &mut Vec::new())?;
        Ok(expr)
    }

    fn calls_within(&self, expr: &mut Expr, around: &mut Vec<Oid>) -> Result<()> {
        parts(expr).into_iter().try_for_each(|part| self.calls_within(part, around))?;
        if let Expr::Routine { .. } = expr {
            *expr = self.in_place(std::mem::replace(expr, Expr::NULL), around)?;
        }
        Ok(())
    }

    /// What a function comes to, over its arguments as parameters, if it may stand for its calls.
    fn expression(&self, routine: &Routine) -> Result<Option<Expr>> {
        let Code::Sql(fragments) = &routine.body else { return Ok(None) };
        let [fragment @ Fragment { simple: true, .. }] = fragments.as_slice() else {
            return Ok(None);
        };
        let mut inner = Analyzer::new(self.db, self.pid, fragment.own(), &routine.types());
        inner.names = Some(Names { routine, seen: &fragment.seen });
        inner.most = routine.args.len();
        let plan =
            inner.statement(&fragment.statement).map_err(|error| fragment.shown(error, 0))?;
        let Some(body) = stands_for(routine, &plan, &|oid| self.is_strict(oid)) else {
            return Ok(None);
        };
        let own = plan.columns().map_or(routine.ret, |columns| columns[0].ty);
        if own == routine.ret {
            return Ok(Some(body.clone()));
        }
        let typed = Typed::new(body.clone(), own);
        Ok(self.coerce(typed, routine.ret, -1, Context::Assignment).ok())
    }

    fn is_strict(&self, oid: Oid) -> bool {
        self.db.routine(oid, self.pid).is_some_and(|routine| routine.strict)
    }
}

/// The one expression that a query is.
fn only(query: &Query) -> Option<&Expr> {
    let Body::Select(select) = &query.body else { return None };
    let plain = select.relations.is_empty()
        && select.quals.is_empty()
        && !select.grouped
        && select.having.is_none()
        && select.expand.is_none()
        && !select.distinct
        && select.distinct_on.is_empty()
        && query.sort.is_empty()
        && query.limit.is_none()
        && query.offset.is_none()
        && query.ctes.is_empty()
        && query.output.is_none();
    match select.project.as_slice() {
        [only] if plain => Some(only),
        _ => None,
    }
}

/// The expression that may stand for the calls of a function: it keeps what that promises.
pub fn stands_for<'p>(
    routine: &Routine,
    plan: &'p Plan,
    is_strict: &dyn Fn(Oid) -> bool,
) -> Option<&'p Expr> {
    let (Code::Sql(_), Plan::Query(query)) = (&routine.body, plan) else { return None };
    let body = only(query)?;
    if routine.ret == Ty::VOID && query.columns[0].ty != Ty::VOID {
        return None;
    }
    let mut lax = false;
    let mut query = false;
    let mut named = vec![false; routine.args.len()];
    body.walk(&mut |part| match part {
        Expr::Param(at) => named[*at] = true,
        Expr::Sub { .. } => query = true,
        Expr::And(_)
        | Expr::Or(_)
        | Expr::IsNull(_)
        | Expr::NoneNull(_)
        | Expr::Is(..)
        | Expr::NotDistinct(..)
        | Expr::CompareRows(..)
        | Expr::Case { .. }
        | Expr::Coalesce(_)
        | Expr::Array(_)
        | Expr::Record { .. } => lax = true,
        Expr::Call { strict, .. } => lax |= !*strict,
        Expr::Routine { oid, .. } => lax |= !is_strict(*oid),
        _ => {}
    });
    let kept = match routine.volatility {
        Volatility::Immutable => !may_differ(body),
        Volatility::Stable => !may_change(body),
        Volatility::Volatile => true,
    };
    (kept && !query && !(routine.strict && (lax || named.contains(&false)))).then_some(body)
}

/// Whether the arguments may stand as often as they are named.
fn takes(routine: &Routine, body: &Expr, args: &[Expr]) -> bool {
    let mut uses = vec![0; routine.args.len()];
    body.walk(&mut |part| {
        if let Expr::Param(at) = part {
            uses[*at] += 1;
        }
    });
    let fits = |(uses, arg): (&usize, &Expr)| {
        let mut query = false;
        arg.walk(&mut |part| query |= matches!(part, Expr::Sub { .. }));
        *uses < 2 || !query && !may_change(arg) && cost(arg) <= CHEAP
    };
    uses.iter().zip(args).all(fits)
}

fn substitute(expr: &mut Expr, args: &[Expr]) {
    if let Expr::Param(at) = expr {
        *expr = args[*at].clone();
        return;
    }
    for part in parts(expr) {
        substitute(part, args);
    }
}

/// The expressions right below one, of the same query.
pub fn parts(expr: &mut Expr) -> Vec<&mut Expr> {
    match expr {
        Expr::Const(_) | Expr::Param(_) | Expr::Column { .. } => Vec::new(),
        Expr::And(all) | Expr::Or(all) | Expr::Coalesce(all) | Expr::Array(all) => {
            all.iter_mut().collect()
        }
        Expr::Call { args, .. } | Expr::Routine { args, .. } => args.iter_mut().collect(),
        Expr::Inlined { args, body, .. } => args.iter_mut().chain([&mut **body]).collect(),
        Expr::Record { fields, .. } => fields.iter_mut().map(|(_, field)| field).collect(),
        Expr::Not(inner)
        | Expr::IsNull(inner)
        | Expr::NoneNull(inner)
        | Expr::Is(inner, _)
        | Expr::Counted(_, inner)
        | Expr::Cast { expr: inner, .. } => vec![inner],
        Expr::Compare(_, a, b) | Expr::NotDistinct(a, b) | Expr::Quantified(_, _, a, b) => {
            vec![a, b]
        }
        Expr::CompareRows(_, pairs) => pairs.iter_mut().flat_map(|(a, b)| [a, b]).collect(),
        Expr::Case { whens, otherwise } => {
            let whens = whens.iter_mut().flat_map(|(when, then)| [when, then]);
            whens.chain([&mut **otherwise]).collect()
        }
        Expr::Sub { left, .. } => left.iter_mut().map(|left| &mut **left).collect(),
    }
}
