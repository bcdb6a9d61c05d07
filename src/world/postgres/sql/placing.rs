//! Where conditions are tested, and which indexes find their rows. Must never test a condition
//! where it would see other rows than PostgreSQL tests it on.

use std::ops::Range;
use std::sync::Arc;

use super::gates::{gated, implied, is_equality, is_itself, plain, pulled_up, take_gates};
use super::plan::{CompareOp, Expr, From, JoinKind, Lookup, Relation, Scan, Source};
use super::volatility::{is_volatile, may_change, may_differ};
use crate::world::postgres::exec::is_constant;
use crate::world::postgres::storage::catalog::Table;
use crate::world::postgres::types::Datum;

/// Tests each condition as early as its columns are there, and finds rows by index.
pub fn place(mut from: From, relations: &[Relation], quals: &[Arc<Expr>]) -> From {
    let mut quals = quals.to_vec();
    let (mut gates, implied) = pulled_up(&from, relations);
    gates.extend(take_gates(&mut quals));
    gates.extend(implied);
    if matches!(from, From::Nothing) {
        gates.append(&mut quals);
        return gated(from, gates);
    }
    for qual in &quals {
        push_whole(&mut from, qual, relations);
    }
    order(&mut from);
    choose_lookups(&mut from, relations);
    if !matches!(first(&from).map(|at| &relations[at].source), Some(Source::Cte(_))) {
        whole_ctes(&mut from, relations);
    }
    gated(from, gates)
}

/// Adds a condition to those that are placed.
pub fn add(from: &mut From, qual: &Arc<Expr>, relations: &[Relation]) {
    push_whole(from, qual, relations);
    order(from);
    choose_lookups(from, relations);
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
        (of_rows, cost(qual), is_equality(qual))
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
pub fn cost(expr: &Expr) -> usize {
    let all = |parts: &[Expr]| parts.iter().map(cost).sum::<usize>();
    if is_constant(expr) && !may_differ(expr) {
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
        other if is_itself(other) => 0,
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
        Expr::Inlined { body, .. } => cost(body),
        Expr::Cast { expr, from, to, .. } if from == to => cost(expr),
        Expr::Cast { expr, .. } => 2 + cost(expr),
        Expr::Case { whens, otherwise } => {
            whens.iter().map(|(when, then)| cost(when) + cost(then)).sum::<usize>()
                + cost(otherwise)
        }
        Expr::Record { fields, .. } => fields.iter().map(|(_, field)| cost(field)).sum(),
        Expr::Sub { left: None, cache: Some(_), .. } => 0,
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

/// Puts a condition at the lowest place where all it reads is known; what reads nothing, and is to
/// be worked out each time, is tested of the rows as they are joined.
fn push_whole(from: &mut From, qual: &Arc<Expr>, relations: &[Relation]) {
    let needed = needed(qual, relations);
    match from {
        From::Join { filter, .. } if needed.as_ref().is_some_and(Vec::is_empty) => {
            filter.push(qual.clone());
        }
        _ => push(from, qual, needed.as_deref()),
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
        From::Scan(scan) => {
            scan.lookup = lookup(scan, relations, &[]);
            scan.bounds = bounds(scan, relations);
        }
        From::Join { left, right, on, kind, .. } => {
            choose_lookups(left, relations);
            choose_lookups(right, relations);
            if let (From::Scan(scan), JoinKind::Left) = (&mut **right, *kind) {
                scan.lookup = lookup(scan, relations, on);
            }
        }
    }
}

/// What an index would be asked for that finds rows by order, and not by their keys.
fn bounds(scan: &Scan, relations: &[Relation]) -> Vec<Expr> {
    let relation = &relations[scan.relation];
    let own = relation.offset..relation.offset + relation.width;
    match &relation.source {
        Source::Table(table) if scan.lookup.is_none() => {
            scan.filter.iter().filter_map(|qual| bound(qual, table, &own)).collect()
        }
        _ => Vec::new(),
    }
}

/// The index with the longest prefix of columns that conditions fix.
fn lookup(scan: &Scan, relations: &[Relation], on: &[Arc<Expr>]) -> Option<Lookup> {
    let relation = &relations[scan.relation];
    let Source::Table(table) = &relation.source else { return None };
    let own = relation.offset..relation.offset + relation.width;
    let fixed = |column: usize| {
        let quals = scan.filter.iter().chain(on);
        let mut all = quals.filter_map(|qual| fixed_by(qual, own.start + column, &own));
        let first = all.next()?;
        let early = |expr: &Expr| expr.columns().is_some_and(|columns| columns.is_empty());
        Some(if early(&first) { first } else { all.find(early).unwrap_or(first) })
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
            if left.is_column(own.start + first) && is_outside(array, own) {
                return Some(Lookup { index, prefix: Vec::new(), any: Some((**array).clone()) });
            }
        }
    }
    None
}

/// The other side of `column = other`, if the other side does not read this relation.
fn fixed_by(qual: &Expr, column: usize, own: &Range<usize>) -> Option<Expr> {
    let Expr::Compare(CompareOp::Eq, left, right) = qual else { return None };
    for (own_side, other) in [(left, right), (right, left)] {
        if plain(own_side).is_column(column) && is_outside(other, own) {
            return Some((**other).clone());
        }
    }
    None
}

/// What a column that an index begins with is less or greater than, if it is to be worked out.
fn bound(qual: &Expr, table: &Table, own: &Range<usize>) -> Option<Expr> {
    let Expr::Compare(op, left, right) = qual else { return None };
    let first = |expr: &Expr| {
        let mut indexes = table.indexes.iter().filter(|i| !i.dropped && i.predicate.is_none());
        indexes.any(|index| {
            let columns = index.columns();
            let first = columns.and_then(|columns| columns.first().copied());
            first.is_some_and(|first| plain(expr).is_column(own.start + first))
        })
    };
    if matches!(op, CompareOp::Eq | CompareOp::NotEq) {
        return None;
    }
    let mut sides = [(left, right), (right, left)].into_iter();
    let found = sides.find(|(side, other)| {
        first(side)
            && !is_constant(other)
            && other.columns().is_some_and(|all| all.is_empty())
            && is_outside(other, own)
    });
    found.map(|(_, other)| (**other).clone())
}

/// Whether a value is there before the relation is read, the same for each of its rows.
fn is_outside(expr: &Expr, own: &Range<usize>) -> bool {
    let Some(columns) = expr.columns() else { return false };
    if columns.is_empty() {
        return !may_change(expr);
    }
    let mut steady = true;
    expr.walk(&mut |part| {
        steady &= !matches!(
            part,
            Expr::Sub { .. } | Expr::Call { .. } | Expr::Routine { .. } | Expr::Counted(..)
        );
    });
    steady && columns.iter().all(|column| *column < own.start)
}

/// Puts conditions into the part of a join that they belong to.
pub fn within(part: &mut From, conditions: &mut Vec<Arc<Expr>>, relations: &[Relation]) {
    let gates = take_gates(conditions);
    for condition in conditions.drain(..) {
        push_whole(part, &condition, relations);
    }
    gate(part, gates);
}

/// What follows from the conditions of an outer join that only read its optional side is tested
/// before that is read, and what is known before.
pub fn within_on(part: &mut From, on: &[Arc<Expr>], relations: &[Relation]) {
    let own = |condition: &&Arc<Expr>| {
        let needed = needed(condition, relations);
        needed.is_some_and(|needed| needed.iter().all(|relation| holds(part, *relation)))
    };
    let own: Vec<Arc<Expr>> = on.iter().filter(own).cloned().collect();
    let known = |condition: &&Arc<Expr>| is_constant(condition) && !may_differ(condition);
    let mut gates = implied(&own);
    gates.extend(on.iter().filter(known).cloned());
    gate(part, gates);
}

fn gate(part: &mut From, gates: Vec<Arc<Expr>>) {
    *part = gated(std::mem::replace(part, From::Nothing), gates);
}
