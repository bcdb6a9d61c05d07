//! Conditions of no row: tested once, before any row is read. Among them is what follows from two
//! values that the same is equal to (`equivclass.c` of PostgreSQL). Must never test a row.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::inline::parts;
use super::plan::{Body, CompareOp, Expr, From, JoinKind, Query, Relation, Select, Source};
use super::query::split;
use super::unread::reads_row;
use super::volatility::{is_volatile, may_change, may_change_within, may_differ};
use crate::world::postgres::error::Step;
use crate::world::postgres::exec::{Cx, is_constant};

use crate::world::postgres::types::{Base, Datum, Ty};

/// Takes the conditions of no row out of these, and adds what follows from the rest.
pub fn take_gates(quals: &mut Vec<Arc<Expr>>) -> Vec<Arc<Expr>> {
    let mut gates = Vec::new();
    quals.retain(|qual| {
        let gate = !reads_row(qual) && !may_change(qual);
        if gate {
            gates.push(qual.clone());
        }
        !gate
    });
    if quals.iter().any(|qual| is_unknown(qual)) {
        gates.push(Arc::new(Expr::Const(Datum::Bool(false))));
    }
    if quals.iter().any(|qual| is_volatile(qual)) {
        gates.extend(open_parameters(quals));
    }
    // Of what is false anyway nothing is left but that.
    gates.sort_by_key(|gate| !is_constant(gate) || may_differ(gate));
    let (rows, values) = follow(quals).into_iter().partition(|qual| reads_row(qual));
    gates.extend::<Vec<Arc<Expr>>>(values);
    quals.extend::<Vec<Arc<Expr>>>(rows);
    gates
}

/// Whether it is NULL whatever the row is, for a NULL is written in it.
fn is_unknown(expr: &Expr) -> bool {
    match expr {
        Expr::Const(datum) => datum.is_null(),
        Expr::Not(inner) | Expr::Cast { expr: inner, .. } => is_unknown(inner),
        Expr::Compare(_, left, right) => is_unknown(left) || is_unknown(right),
        Expr::Call { strict: true, args, .. } => args.iter().any(is_unknown),
        _ => false,
    }
}

/// Parameters that must not be NULL for the conditions to hold, as PostgreSQL sees when it plans
/// for them.
fn open_parameters(quals: &[Arc<Expr>]) -> Vec<Arc<Expr>> {
    let mut found = BTreeSet::new();
    for qual in quals {
        decisive(qual, &mut found);
    }
    let open = |at: usize| {
        let (args, types) = (vec![Expr::Param(at)], [Ty::ANY].into());
        Arc::new(Expr::Call { function: is_open, strict: false, steady: false, args, types })
    };
    found.into_iter().map(open).collect()
}

/// Whether the parameter is no NULL that is known before: in a function none is.
#[allow(clippy::unnecessary_wraps, reason = "as every function of the tables is")]
fn is_open(cx: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::Bool(cx.state.around.is_some() || !args[0].is_null()))
}

/// Adds the parameters that make it NULL if they are.
fn decisive(expr: &Expr, found: &mut BTreeSet<usize>) {
    match expr {
        Expr::Param(at) => {
            found.insert(*at);
        }
        Expr::Not(inner) | Expr::Cast { expr: inner, .. } => decisive(inner, found),
        Expr::Compare(_, left, right) => [left, right].iter().for_each(|e| decisive(e, found)),
        Expr::Call { strict: true, args, .. } => args.iter().for_each(|arg| decisive(arg, found)),
        _ => {}
    }
}

/// A condition as PostgreSQL brings it into its normal form (`negate_clause`, `canonicalize_qual`):
/// NOT goes down to what is no junction, and NULL is as good as false.
pub fn canonical(condition: Expr) -> Expr {
    let not = |all: Vec<Expr>| all.into_iter().map(negated).collect::<Vec<Expr>>();
    match condition {
        Expr::Not(inner) => match *inner {
            Expr::And(all) => canonical(Expr::Or(not(all))),
            Expr::Or(all) => canonical(Expr::And(not(all))),
            other => Expr::Not(Box::new(other)),
        },
        Expr::And(all) => {
            let parts = |part: Expr| match canonical(part) {
                Expr::And(all) => all,
                one => vec![one],
            };
            let mut all: Vec<Expr> = all.into_iter().flat_map(parts).collect();
            if all.iter().any(is_unknown) {
                all.push(Expr::Const(Datum::Bool(false)));
            }
            Expr::And(all)
        }
        Expr::Or(all) => {
            let mut all: Vec<Expr> = all.into_iter().map(canonical).collect();
            all.retain(|part| !matches!(part, Expr::Const(Datum::Null)));
            Expr::Or(all)
        }
        other => other,
    }
}

fn negated(expr: Expr) -> Expr {
    match expr {
        Expr::Const(Datum::Bool(flag)) => Expr::Const(Datum::Bool(!flag)),
        Expr::Const(Datum::Null) => Expr::NULL,
        Expr::Not(inner) => *inner,
        other => Expr::Not(Box::new(other)),
    }
}

/// Has the conditions of an outer join that never hold decide before its other side is read.
pub fn decide(on: &mut Vec<Arc<Expr>>) {
    let never =
        |part: &Arc<Expr>| is_unknown(part) || matches!(**part, Expr::Const(Datum::Bool(false)));
    if on.iter().any(never) {
        let never = Expr::Const(Datum::Bool(false));
        let mut all: Vec<Expr> = on.drain(..).map(Arc::unwrap_or_clone).collect();
        all.push(never.clone());
        on.extend([Arc::new(never), Arc::new(Expr::And(all))]);
    }
    if on.iter().any(|part| is_volatile(part)) {
        on.splice(0..0, open_parameters(on));
    }
}

/// Of `k = a AND k = b` that `a = b`, if neither reads the row.
pub fn implied(quals: &[Arc<Expr>]) -> Vec<Arc<Expr>> {
    let mut all = follow(quals);
    all.retain(|qual| !reads_row(qual));
    all
}

/// Whether it says that two values of the row are the same, or one and another that is there.
pub fn is_equality(qual: &Expr) -> bool {
    match qual {
        Expr::Compare(CompareOp::Eq, left, right) => {
            !same(plain(left), plain(right)) && !may_change(qual) && reads_row(qual)
        }
        _ => false,
    }
}

/// What follows of conditions for all that is equal to what is there before any row.
pub fn follow(quals: &[Arc<Expr>]) -> Vec<Arc<Expr>> {
    let mut classes: Vec<Vec<&Expr>> = Vec::new();
    for qual in quals {
        let Expr::Compare(CompareOp::Eq, left, right) = &**qual else { continue };
        let pair = [plain(left), plain(right)];
        if !is_equality(qual) {
            continue;
        }
        let mut members: Vec<&Expr> = Vec::new();
        for side in pair {
            let known = |class: &Vec<&Expr>| class.iter().any(|member| same(member, side));
            match classes.iter().position(known) {
                Some(at) => members.extend(classes.remove(at)),
                None if !members.iter().any(|member| same(member, side)) => members.push(side),
                None => {}
            }
        }
        classes.push(members);
    }
    classes.iter().filter(|class| class.len() > 2).flat_map(|class| of_class(class)).collect()
}

/// Each member of a class but one is equal to that: a constant, if there is one.
fn of_class(class: &[&Expr]) -> Vec<Arc<Expr>> {
    let fixed = |member: &&&Expr| !reads_row(member);
    let constant = class.iter().filter(fixed).find(|member| is_constant(member));
    let Some(best) = constant.or_else(|| class.iter().rfind(fixed)) else { return Vec::new() };
    let others = class.iter().filter(|member| !std::ptr::eq(**member, *best));
    let equal = |other: &&Expr| {
        let (other, best) = (Box::new((*other).clone()), Box::new((*best).clone()));
        Arc::new(Expr::Compare(CompareOp::Eq, other, best))
    };
    others.map(equal).collect()
}

/// Without conversions between types that PostgreSQL compares as they are.
pub fn plain(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast { expr, from, to, typmod: -1, .. } if is_wider(*from, *to) => plain(expr),
        other => other,
    }
}

fn is_wider(from: Ty, to: Ty) -> bool {
    let width = |ty: Ty| match ty.base {
        Base::Int2 if !ty.array => 1,
        Base::Int4 if !ty.array => 2,
        Base::Int8 if !ty.array => 3,
        _ => 0,
    };
    (width(from) > 0 && width(from) <= width(to)) || from == Ty::VARCHAR && to == Ty::TEXT
}

/// `k = k`: PostgreSQL only asks whether it is NULL.
pub fn is_itself(qual: &Expr) -> bool {
    matches!(qual, Expr::Compare(CompareOp::Eq, left, right) if same(left, right))
}

fn same(a: &Expr, b: &Expr) -> bool {
    let all =
        |a: &[Expr], b: &[Expr]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b));
    match (a, b) {
        (Expr::Const(a), Expr::Const(b)) => a == b,
        (Expr::Param(a), Expr::Param(b)) => a == b,
        (Expr::Column { depth, index }, Expr::Column { depth: out, index: at }) => {
            (depth, index) == (out, at)
        }
        (
            Expr::Cast { expr: a, from, to, typmod, .. },
            Expr::Cast { expr: b, from: other, to: wanted, typmod: own, .. },
        ) => (from, to, typmod) == (other, wanted, own) && same(a, b),
        (
            Expr::Call { function, args, steady: true, .. },
            Expr::Call { function: other, args: given, .. },
        ) => std::ptr::fn_addr_eq(*function, *other) && all(args, given),
        _ => false,
    }
}

/// Reads what stands there only if these conditions hold.
pub fn gated(from: From, gates: Vec<Arc<Expr>>) -> From {
    if gates.is_empty() {
        return from;
    }
    let inner = |left: From, right: From, filter: Vec<Arc<Expr>>| {
        let (kind, left, right) = (JoinKind::Inner, Box::new(left), Box::new(right));
        From::Join { kind, left, right, on: Vec::new(), filter }
    };
    let once = inner(From::Nothing, From::Nothing, gates);
    if matches!(from, From::Nothing) { once } else { inner(once, from, Vec::new()) }
}

/// The gates of queries that PostgreSQL makes a part of the one around them: they are tested before
/// anything of that is read. Those that follow from others come last.
pub fn pulled_up(from: &From, relations: &[Relation]) -> (Vec<Arc<Expr>>, Vec<Arc<Expr>>) {
    let mut all = (Vec::new(), Vec::new());
    match from {
        From::Nothing => {}
        From::Scan(scan) => {
            if let Source::Query { query, lateral: false } = &relations[scan.relation].source
                && let Body::Select(select) = &query.body
                && is_simple(query, select)
            {
                let written = |gate: &&Arc<Expr>| select.quals.iter().any(|q| Arc::ptr_eq(q, gate));
                return gates_of(&select.from).iter().cloned().partition(|gate| written(&gate));
            }
        }
        From::Join { kind, left, right, .. } => {
            let sides = [(left, JoinKind::Left), (right, JoinKind::Right)];
            for (side, own) in sides {
                if *kind == JoinKind::Inner || *kind == own {
                    let (written, implied) = pulled_up(side, relations);
                    all.0.extend(written);
                    all.1.extend(implied);
                }
            }
        }
    }
    all
}

fn gates_of(from: &From) -> &[Arc<Expr>] {
    let nothing = |from: &From| matches!(from, From::Nothing);
    match from {
        From::Join { left, right, filter, .. } if nothing(left) && nothing(right) => filter,
        From::Join { left, .. } => match &**left {
            From::Join { left, right, filter, .. } if nothing(left) && nothing(right) => filter,
            _ => &[],
        },
        _ => &[],
    }
}

/// Whether it is made a part of the query around it (`is_simple_subquery`).
pub fn is_simple(query: &Query, select: &Select) -> bool {
    is_plain(query, select) && !select.project.iter().any(may_change_within)
}

/// Whether it only reads, joins and tests rows.
pub fn is_plain(query: &Query, select: &Select) -> bool {
    !select.grouped
        && select.having.is_none()
        && !select.distinct
        && select.distinct_on.is_empty()
        && select.expand.is_none()
        && query.sort.is_empty()
        && query.limit.is_none()
        && query.offset.is_none()
        && query.locks.is_empty()
        && query.ctes.is_empty()
}

/// What of HAVING is about groups; what asks for no aggregate is a condition of their rows, and
/// without keys it is both.
pub fn of_groups(having: Expr, keys: &[Expr], quals: &mut Vec<Arc<Expr>>) -> Option<Expr> {
    let mut conditions = Vec::new();
    split(having, &mut conditions);
    if conditions.iter().any(|condition| is_unknown(condition)) {
        conditions.push(Arc::new(Expr::Const(Datum::Bool(false))));
    }
    if conditions.iter().chain(&*quals).any(|condition| is_volatile(condition)) {
        conditions.extend(open_parameters(&conditions));
    }
    conditions.retain(|condition| {
        let columns = condition.columns();
        let of_rows = columns.is_some_and(|all| all.iter().all(|column| *column < keys.len()));
        let mut query = false;
        condition.walk(&mut |part| {
            query |= matches!(part, Expr::Sub { cache: None, .. });
        });
        if !of_rows || query || may_change(condition) || keys.iter().any(may_change) {
            return true;
        }
        let mut early = (**condition).clone();
        over_rows(&mut early, keys);
        quals.push(Arc::new(early));
        keys.is_empty()
    });
    let mut all: Vec<Expr> = conditions.into_iter().map(Arc::unwrap_or_clone).collect();
    match all.len() {
        0 => None,
        1 => all.pop(),
        _ => Some(Expr::And(all)),
    }
}

fn over_rows(expr: &mut Expr, keys: &[Expr]) {
    if let Expr::Column { depth: 0, index } = expr {
        *expr = keys[*index].clone();
        return;
    }
    for part in parts(expr) {
        over_rows(part, keys);
    }
}
