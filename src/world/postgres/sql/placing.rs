//! Where conditions are tested, and which indexes find their rows. Must never test a condition
//! where it would see other rows than PostgreSQL tests it on.

use std::ops::Range;
use std::sync::Arc;

use super::plan::{CompareOp, Expr, From, JoinKind, Lookup, Relation, Scan, Source};
use super::volatility::is_volatile;
use crate::world::postgres::exec::is_constant;
use crate::world::postgres::storage::catalog::Table;
use crate::world::postgres::types::Datum;

/// Tests each condition as early as its columns are there, and finds rows by index.
pub fn place(mut from: From, relations: &[Relation], quals: &[Arc<Expr>]) -> From {
    if matches!(from, From::Nothing) {
        if quals.is_empty() {
            return from;
        }
        let (left, right) = (Box::new(From::Nothing), Box::new(From::Nothing));
        let filter = quals.to_vec();
        return From::Join { kind: JoinKind::Inner, left, right, on: Vec::new(), filter };
    }
    for qual in quals {
        let needed = needed(qual, relations);
        push(&mut from, qual, needed.as_deref());
    }
    order(&mut from);
    choose_lookups(&mut from, relations);
    if !matches!(first(&from).map(|at| &relations[at].source), Some(Source::Cte(_))) {
        whole_ctes(&mut from, relations);
    }
    from
}

/// The relation that is read first.
fn first(from: &From) -> Option<usize> {
    match from {
        From::Nothing => None,
        From::Scan(scan) => Some(scan.relation),
        From::Join { left, right, .. } => first(left).or_else(|| first(right)),
    }
}

/// WITH queries are run to their end before they are joined: PostgreSQL reads them first.
pub fn whole_ctes(from: &mut From, relations: &[Relation]) {
    match from {
        From::Nothing => {}
        From::Scan(scan) => {
            scan.whole = matches!(relations[scan.relation].source, Source::Cte(_));
        }
        From::Join { left, right, .. } => {
            whole_ctes(left, relations);
            whole_ctes(right, relations);
        }
    }
}

/// Whether one of them is.
pub fn has_whole(from: &From) -> bool {
    match from {
        From::Nothing => false,
        From::Scan(scan) => scan.whole,
        From::Join { left, right, .. } => has_whole(left) || has_whole(right),
    }
}

/// Conditions of one place are tested in PostgreSQL's order: those of no row first, then the cheap
/// ones, and of equal ones the first written (`order_qual_clauses`).
fn order(from: &mut From) {
    let key = |qual: &Arc<Expr>| {
        let of_rows = qual.columns().is_none_or(|columns| !columns.is_empty()) || is_volatile(qual);
        (of_rows, cost(qual))
    };
    match from {
        From::Nothing => {}
        From::Scan(scan) => scan.filter.sort_by_cached_key(key),
        From::Join { left, right, filter, .. } => {
            order(left);
            order(right);
            filter.sort_by_cached_key(key);
        }
    }
}

/// What an expression costs, in halves of an operator (`cost_qual_eval`, `procost`).
fn cost(expr: &Expr) -> usize {
    let all = |parts: &[Expr]| parts.iter().map(cost).sum::<usize>();
    if is_constant(expr) && !is_volatile(expr) {
        return 0;
    }
    match expr {
        Expr::Const(_) | Expr::Param(_) | Expr::Column { .. } => 0,
        Expr::And(parts) | Expr::Or(parts) | Expr::Coalesce(parts) | Expr::Array(parts) => {
            all(parts)
        }
        Expr::Not(inner) | Expr::IsNull(inner) | Expr::NoneNull(inner) | Expr::Is(inner, _) => {
            cost(inner)
        }
        Expr::Counted(_, call) => match &**call {
            Expr::Call { args, .. } => 2 + all(args),
            other => cost(other),
        },
        Expr::Compare(_, left, right) | Expr::NotDistinct(left, right) => {
            2 + cost(left) + cost(right)
        }
        Expr::CompareRows(_, pairs) => {
            pairs.iter().map(|(left, right)| 2 + cost(left) + cost(right)).sum()
        }
        Expr::Quantified(_, _, left, right) => {
            let number = match &**right {
                Expr::Const(Datum::Array(array)) => array.items.len(),
                Expr::Array(items) => items.len(),
                _ => 10,
            };
            number + cost(left) + cost(right)
        }
        Expr::Call { args, .. } => 2 + all(args),
        Expr::Routine { args, .. } => 200 + all(args),
        Expr::Cast { expr, from, to, .. } if from == to => cost(expr),
        Expr::Cast { expr, .. } => 2 + cost(expr),
        Expr::Case { whens, otherwise } => {
            whens.iter().map(|(when, then)| cost(when) + cost(then)).sum::<usize>()
                + cost(otherwise)
        }
        Expr::Record { fields, .. } => fields.iter().map(|(_, field)| cost(field)).sum(),
        Expr::Sub { left, .. } => 2_000 + left.as_ref().map_or(0, |left| cost(left)),
    }
}

/// The relations a condition reads; `None` if that cannot be told.
fn needed(qual: &Expr, relations: &[Relation]) -> Option<Vec<usize>> {
    let columns = qual.columns()?;
    let of = |column: &usize| {
        relations.iter().position(|r| (r.offset..r.offset + r.width).contains(column))
    };
    columns.iter().map(of).collect()
}

fn holds(from: &From, relation: usize) -> bool {
    match from {
        From::Nothing => false,
        From::Scan(scan) => scan.relation == relation,
        From::Join { left, right, .. } => holds(left, relation) || holds(right, relation),
    }
}

/// Puts a condition at the lowest place where all it reads is known.
fn push(from: &mut From, qual: &Arc<Expr>, needed: Option<&[usize]>) {
    match from {
        From::Nothing => {}
        From::Scan(scan) => scan.filter.push(qual.clone()),
        From::Join { kind, left, right, filter, .. } => {
            let Some(needed) = needed else {
                filter.push(qual.clone());
                return;
            };
            let in_left = needed.iter().all(|relation| holds(left, *relation));
            let in_right = needed.iter().any(|relation| holds(right, *relation));
            match kind {
                JoinKind::Inner | JoinKind::Left if in_left => push(left, qual, Some(needed)),
                // The right side is read row by row beside the left one: its columns are there.
                JoinKind::Inner if in_right && matches!(**right, From::Scan(_)) => {
                    push(right, qual, Some(needed));
                }
                JoinKind::Inner if needed.iter().all(|relation| holds(right, *relation)) => {
                    push(right, qual, Some(needed));
                }
                _ => filter.push(qual.clone()),
            }
        }
    }
}

fn choose_lookups(from: &mut From, relations: &[Relation]) {
    match from {
        From::Nothing => {}
        From::Scan(scan) => scan.lookup = lookup(scan, relations, &[]),
        From::Join { left, right, on, kind, .. } => {
            choose_lookups(left, relations);
            choose_lookups(right, relations);
            if let (From::Scan(scan), JoinKind::Left) = (&mut **right, *kind) {
                scan.lookup = lookup(scan, relations, on);
            }
        }
    }
}

/// The index with the longest prefix of columns that conditions fix.
fn lookup(scan: &Scan, relations: &[Relation], on: &[Arc<Expr>]) -> Option<Lookup> {
    let relation = &relations[scan.relation];
    let Source::Table(table) = &relation.source else { return None };
    let own = relation.offset..relation.offset + relation.width;
    let fixed = |column: usize| {
        scan.filter.iter().chain(on).find_map(|qual| fixed_by(qual, own.start + column, &own))
    };
    let mut best: Option<Lookup> = None;
    for (index, definition) in table.indexes.iter().enumerate() {
        if definition.dropped || definition.predicate.is_some() {
            continue;
        }
        let Some(columns) = definition.columns() else { continue };
        let prefix: Vec<Expr> = columns.iter().map_while(|column| fixed(*column)).collect();
        let longest = best.as_ref().map_or(0, |best| best.prefix.len());
        if prefix.len() > longest {
            best = Some(Lookup { index, prefix, any: None });
        }
    }
    best.or_else(|| any_lookup(scan, table, &own))
}

/// `column = ANY (array)` on the first column of an index.
fn any_lookup(scan: &Scan, table: &Table, own: &Range<usize>) -> Option<Lookup> {
    for (index, definition) in table.indexes.iter().enumerate() {
        if definition.dropped || definition.predicate.is_some() {
            continue;
        }
        let Some(first) = definition.columns().and_then(|columns| columns.first().copied()) else {
            continue;
        };
        for qual in &scan.filter {
            let Expr::Quantified(CompareOp::Eq, false, left, array) = &**qual else { continue };
            let same =
                matches!(**left, Expr::Column { depth: 0, index: at } if at == own.start + first);
            if same && is_outside(array, own) {
                return Some(Lookup { index, prefix: Vec::new(), any: Some((**array).clone()) });
            }
        }
    }
    None
}

/// The other side of `column = other`, if the other side does not read this relation.
fn fixed_by(qual: &Expr, column: usize, own: &Range<usize>) -> Option<Expr> {
    let Expr::Compare(CompareOp::Eq, left, right) = qual else { return None };
    let is_column =
        |expr: &Expr| matches!(expr, Expr::Column { depth: 0, index } if *index == column);
    for (own_side, other) in [(left, right), (right, left)] {
        if is_column(own_side) && is_outside(other, own) {
            return Some((**other).clone());
        }
    }
    None
}

/// Whether a value is there before the relation is read, the same for each of its rows.
fn is_outside(expr: &Expr, own: &Range<usize>) -> bool {
    let mut steady = true;
    expr.walk(&mut |part| {
        if matches!(
            part,
            Expr::Sub { .. } | Expr::Call { .. } | Expr::Routine { .. } | Expr::Counted(..)
        ) {
            steady = false;
        }
    });
    steady && expr.columns().is_some_and(|columns| columns.iter().all(|c| *c < own.start))
}

/// Puts conditions into the part of a join that they belong to.
pub fn within(part: &mut From, conditions: &mut Vec<Arc<Expr>>, relations: &[Relation]) {
    for condition in conditions.drain(..) {
        let needed = needed(&condition, relations);
        push(part, &condition, needed.as_deref());
    }
}
