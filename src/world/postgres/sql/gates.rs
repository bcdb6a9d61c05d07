//! Conditions of no row: tested once, before any row is read. Among them is what follows from two
//! values that the same is equal to (`equivclass.c` of PostgreSQL). Must never test a row.

use std::sync::Arc;

use super::inline::parts;
use super::plan::{Body, CompareOp, Expr, From, JoinKind, Query, Relation, Select, Source};
use super::query::split;
use super::unread::reads_row;
use super::volatility::{may_change, may_change_within, may_differ};
use crate::world::postgres::exec::is_constant;
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

/// Whether it only reads, joins and tests rows (`is_simple_subquery`).
fn is_simple(query: &Query, select: &Select) -> bool {
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
        && !select.project.iter().any(may_change_within)
}

/// What of HAVING is about groups; what asks for no aggregate is a condition of their rows, and
/// without keys it is both.
pub fn of_groups(having: Expr, keys: &[Expr], quals: &mut Vec<Arc<Expr>>) -> Option<Expr> {
    let mut conditions = Vec::new();
    split(having, &mut conditions);
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
