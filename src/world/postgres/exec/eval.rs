//! Expressions to values. Must never change a row.

use std::cmp::Ordering;
use std::sync::Arc;

use super::ctes::Run as _;
use super::{Cx, QueryRun, calls, cast};
use crate::world::postgres::error::{PgError, Step};
use crate::world::postgres::sql::{CompareOp, Expr, Kept, Query, SubKind};
use crate::world::postgres::types::{Array, Datum, Record, Row, Ty};

/// The current row and those of the queries around.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub row: &'a [Datum],
    pub outer: Option<&'a Frame<'a>>,
}

impl<'a> Frame<'a> {
    pub const EMPTY: Frame<'static> = Frame { row: &[], outer: None };

    pub fn of(row: &'a [Datum]) -> Frame<'a> {
        Frame { row, outer: None }
    }

    fn column(&self, depth: usize, index: usize) -> Datum {
        let mut frame = self;
        for _ in 0..depth {
            frame = frame.outer.expect("the analysis counted the queries around");
        }
        frame.row.get(index).cloned().unwrap_or_default()
    }
}

/// NULL is not true.
pub fn is_true(expr: &Expr, cx: &mut Cx<'_>, frame: &Frame<'_>) -> Step<bool> {
    Ok(eval(expr, cx, frame)?.as_bool() == Some(true))
}

pub fn eval(expr: &Expr, cx: &mut Cx<'_>, frame: &Frame<'_>) -> Step<Datum> {
    Ok(match expr {
        Expr::Const(datum) => datum.clone(),
        Expr::Param(at) => cx.params.get(*at).cloned().unwrap_or_default(),
        Expr::Column { depth, index } => frame.column(*depth, *index),
        Expr::And(all) => junction(all, false, cx, frame)?,
        Expr::Or(all) => junction(all, true, cx, frame)?,
        Expr::Not(inner) => match eval(inner, cx, frame)?.as_bool() {
            Some(flag) => Datum::Bool(!flag),
            None => Datum::Null,
        },
        Expr::IsNull(inner) => {
            let datum = eval(inner, cx, frame)?;
            let null = match &datum {
                Datum::Record(record) => record.fields.iter().all(|(_, field)| field.is_null()),
                other => other.is_null(),
            };
            Datum::Bool(null)
        }
        Expr::NoneNull(inner) => Datum::Bool(match &eval(inner, cx, frame)? {
            Datum::Record(record) => record.fields.iter().all(|(_, field)| !field.is_null()),
            other => !other.is_null(),
        }),
        Expr::Is(inner, value) => Datum::Bool(eval(inner, cx, frame)?.as_bool() == Some(*value)),
        Expr::Compare(op, left, right) => compare(*op, left, right, cx, frame)?,
        Expr::CompareRows(op, pairs) => compare_rows(*op, pairs, cx, frame)?,
        Expr::NotDistinct(left, right) => {
            Datum::Bool(eval(left, cx, frame)? == eval(right, cx, frame)?)
        }
        Expr::Quantified(op, all, left, right) => {
            let (left, right) = (eval(left, cx, frame)?, eval(right, cx, frame)?);
            match right {
                Datum::Array(array) => quantified(*op, *all, &left, array.items.iter()),
                _ => Datum::Null,
            }
        }
        Expr::Call { function, strict, args, types, .. } => {
            if *strict && args.iter().any(|arg| is_null(arg, cx)) {
                return Ok(Datum::Null);
            }
            let mut values = Vec::with_capacity(args.len());
            for arg in args {
                values.push(eval(arg, cx, frame)?);
            }
            if *strict && values.iter().any(Datum::is_null) {
                return Ok(Datum::Null);
            }
            function(cx, &values, types)?
        }
        Expr::Cast { expr, from, to, typmod, explicit } => {
            let datum = eval(expr, cx, frame)?;
            cast::cast(cx, datum, *from, *to, *typmod, *explicit)?
        }
        other => return compound(other, cx, frame),
    })
}

fn compound(expr: &Expr, cx: &mut Cx<'_>, frame: &Frame<'_>) -> Step<Datum> {
    match expr {
        Expr::Case { whens, otherwise } => {
            for (when, then) in whens {
                if is_true(when, cx, frame)? {
                    return eval(then, cx, frame);
                }
            }
            eval(otherwise, cx, frame)
        }
        Expr::Coalesce(all) => {
            for expr in all {
                let datum = eval(expr, cx, frame)?;
                if !datum.is_null() {
                    return Ok(datum);
                }
            }
            Ok(Datum::Null)
        }
        Expr::Array(items) => {
            let mut values = Vec::with_capacity(items.len());
            for item in items {
                values.push(eval(item, cx, frame)?);
            }
            Ok(Datum::Array(Arc::new(Array { items: values })))
        }
        Expr::Record { names, fields } => {
            let mut values = Vec::with_capacity(fields.len());
            for (ty, field) in fields {
                values.push((*ty, eval(field, cx, frame)?));
            }
            Ok(Datum::Record(Arc::new(Record { names: names.clone(), fields: values })))
        }
        Expr::Sub { query, kind, left, cache, .. } => {
            if let Some(known) = cache.and_then(|at| cx.state.caches[at.0].clone()) {
                return Ok(known);
            }
            let left = match left {
                Some(left) => Some(eval(left, cx, frame)?),
                None => None,
            };
            if let SubKind::Quantified(op, all) = *kind {
                let rows = set(query, *cache, cx, frame)?;
                return Ok(among(op, all, left.as_ref(), &rows));
            }
            let datum = calls::within(cx, |cx: &mut Cx<'_>| subquery(query, *kind, cx, frame))?;
            if let Some(at) = cache {
                cx.state.caches[at.0] = Some(datum.clone());
            }
            Ok(datum)
        }
        Expr::Routine { oid, args, stays, .. } => calls::routine(*oid, args, *stays, cx, frame),
        Expr::Inlined { body, .. } => eval(body, cx, frame),
        Expr::Counted(name, call) => calls::counted(name, call, cx, frame),
        _ => Err(PgError::new("XX000", "unrecognized expression").into()),
    }
}

fn compare(
    op: CompareOp,
    left: &Expr,
    right: &Expr,
    cx: &mut Cx<'_>,
    frame: &Frame<'_>,
) -> Step<Datum> {
    if is_null(left, cx) || is_null(right, cx) {
        return Ok(Datum::Null);
    }
    let (left, right) = (eval(left, cx, frame)?, eval(right, cx, frame)?);
    if left.is_null() || right.is_null() {
        return Ok(Datum::Null);
    }
    Ok(Datum::Bool(op.holds(left.cmp(&right))))
}

/// A constant NULL: what is called with it is never called, and the rest not worked out.
fn is_null(expr: &Expr, cx: &Cx<'_>) -> bool {
    match expr {
        Expr::Const(datum) => datum.is_null(),
        Expr::Param(at) => cx.params.get(*at).is_none_or(Datum::is_null),
        _ => false,
    }
}

/// `<` and its like of two rows: the first fields that are not equal decide, a NULL before them
/// leaves it open (PostgreSQL 15, 9.24.5).
fn compare_rows(
    op: CompareOp,
    pairs: &[(Expr, Expr)],
    cx: &mut Cx<'_>,
    frame: &Frame<'_>,
) -> Step<Datum> {
    let mut order = Ordering::Equal;
    for (left, right) in pairs {
        let (left, right) = (eval(left, cx, frame)?, eval(right, cx, frame)?);
        if left.is_null() || right.is_null() {
            return Ok(Datum::Null);
        }
        order = left.cmp(&right);
        if order != Ordering::Equal {
            break;
        }
    }
    Ok(Datum::Bool(op.holds(order)))
}

/// Whether all fields are equal: not known if it hangs on a NULL.
fn rows_equal(left: &[(Ty, Datum)], right: &[Datum]) -> Option<bool> {
    let mut known = true;
    for ((_, a), b) in left.iter().zip(right) {
        if a.is_null() || b.is_null() {
            known = false;
        } else if a != b {
            return Some(false);
        }
    }
    known.then_some(true)
}

/// AND (`decisive` false) and OR (`decisive` true): NULL unless decided.
fn junction(all: &[Expr], decisive: bool, cx: &mut Cx<'_>, frame: &Frame<'_>) -> Step<Datum> {
    // What decides as it stands there is all that PostgreSQL leaves of it.
    let decides = |expr: &Expr| matches!(expr, Expr::Const(Datum::Bool(flag)) if *flag == decisive);
    if all.iter().any(decides) {
        return Ok(Datum::Bool(decisive));
    }
    let mut unknown = false;
    for expr in all {
        match eval(expr, cx, frame)?.as_bool() {
            Some(flag) if flag == decisive => return Ok(Datum::Bool(decisive)),
            Some(_) => {}
            None => unknown = true,
        }
    }
    Ok(if unknown { Datum::Null } else { Datum::Bool(!decisive) })
}

fn quantified<'a>(
    op: CompareOp,
    all: bool,
    left: &Datum,
    items: impl Iterator<Item = &'a Datum>,
) -> Datum {
    let mut unknown = false;
    for item in items {
        if left.is_null() || item.is_null() {
            unknown = true;
        } else if op.holds(left.cmp(item)) != all {
            return Datum::Bool(!all);
        }
    }
    if unknown { Datum::Null } else { Datum::Bool(all) }
}

/// The rows that a value is compared with.
pub fn set(
    query: &Query,
    cache: Option<Kept>,
    cx: &mut Cx<'_>,
    frame: &Frame<'_>,
) -> Step<Arc<Vec<Row>>> {
    if let Some(known) = cache.and_then(|at| cx.state.sets.get(&at)) {
        return Ok(known.clone());
    }
    let rows = calls::within(cx, |cx: &mut Cx<'_>| {
        let mut run = QueryRun::new(query);
        let mut rows: Vec<Row> = Vec::new();
        while let Some(row) = run.next(cx, Some(frame))? {
            rows.push(row);
        }
        Ok(Arc::new(rows))
    })?;
    if let Some(at) = cache {
        cx.state.sets.insert(at, rows.clone());
    }
    Ok(rows)
}

/// `left op ANY (rows)` or ALL.
pub fn among(op: CompareOp, all: bool, left: Option<&Datum>, rows: &[Row]) -> Datum {
    match left {
        Some(Datum::Record(record)) if record.fields.len() == 1 => {
            let items = rows.iter().filter_map(|row| row.first());
            quantified(op, all, &record.fields[0].1, items)
        }
        Some(Datum::Record(record)) => {
            let mut known = true;
            for row in rows {
                match rows_equal(&record.fields, row) {
                    Some(true) => return Datum::Bool(!all),
                    Some(false) => {}
                    None => known = false,
                }
            }
            if known { Datum::Bool(all) } else { Datum::Null }
        }
        _ => Datum::Null,
    }
}

fn subquery(query: &Query, kind: SubKind, cx: &mut Cx<'_>, frame: &Frame<'_>) -> Step<Datum> {
    let mut run = QueryRun::new(query);
    let mut rows: Vec<Row> = Vec::new();
    while let Some(row) = run.next(cx, Some(frame))? {
        if kind == SubKind::Exists {
            return Ok(Datum::Bool(true));
        }
        rows.push(row);
    }
    let first = |row: &Row| row.first().cloned().unwrap_or_default();
    match kind {
        SubKind::Exists => Ok(Datum::Bool(false)),
        SubKind::Scalar => match rows.as_slice() {
            [] => Ok(Datum::Null),
            [row] => Ok(first(row)),
            _ => Err(PgError::new(
                "21000",
                "more than one row returned by a subquery used as an expression",
            )
            .into()),
        },
        SubKind::Array => {
            let items = rows.iter().map(first).collect();
            Ok(Datum::Array(Arc::new(Array { items })))
        }
        SubKind::Quantified(..) => Ok(Datum::Null),
    }
}
