//! What is tested again of a row that is newer than the statement's snapshot (`EvalPlanQual` of
//! PostgreSQL): the row it was joined with stays the same one. Must never find another partner.

use std::sync::Arc;

use super::eval::{among, set};
use super::scan::{Node, Tuple};
use super::{Cx, Frame, calls, eval, is_true};
use crate::world::postgres::error::Step;
use crate::world::postgres::sql::{Body, Expr, Query, SubKind};
use crate::world::postgres::types::{Datum, Row};

/// Whether what held of the `old` row holds of the `new` one.
pub fn still_true(
    quals: &[Arc<Expr>],
    cx: &mut Cx<'_>,
    old: &Frame<'_>,
    new: &Frame<'_>,
) -> Step<bool> {
    for qual in quals {
        let holds = match &**qual {
            Expr::Sub { query, kind: SubKind::Exists, joins: true, .. } => {
                calls::within(cx, |cx: &mut Cx<'_>| with_partner(query, cx, old, new))?
            }
            Expr::Sub {
                query,
                kind: SubKind::Quantified(op, _),
                left: Some(left),
                cache,
                joins: true,
                ..
            } => {
                let rows = set(query, *cache, cx, new)?;
                let (old, new) = (eval(left, cx, old)?, eval(left, cx, new)?);
                let fits = |left: &Datum, row: &Row| {
                    among(*op, false, Some(left), std::slice::from_ref(row)).as_bool() == Some(true)
                };
                rows.iter().find(|row| fits(&old, row)).is_some_and(|row| fits(&new, row))
            }
            // It was joined with no row, and none is looked for.
            Expr::Not(inner) if matches!(**inner, Expr::Sub { joins: true, .. }) => true,
            other => is_true(other, cx, new)?,
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the first row of the query that `old` was joined with can be joined with `new`.
fn with_partner(query: &Query, cx: &mut Cx<'_>, old: &Frame<'_>, new: &Frame<'_>) -> Step<bool> {
    let Body::Select(select) = &query.body else { return Ok(false) };
    let (mut node, mut partner) = (Node::new(&select.from, select), Tuple::new(select));
    if !node.next(&mut partner, cx, Some(old))? {
        return Ok(false);
    }
    let over = |outer| Frame { row: &partner.values, outer: Some(outer) };
    still_true(&select.quals, cx, &over(old), &over(new))
}
