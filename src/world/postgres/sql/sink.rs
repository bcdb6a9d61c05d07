//! Conditions on the rows of a plain query in FROM are tested within it, beside its own: PostgreSQL
//! makes such a query a part of the one around it (`pull_up_subqueries`) or has it test them
//! (`subquery_push_qual`), so that nothing is worked out for rows that they keep out. Must never
//! move one that reads what is not there.

use std::sync::Arc;

use super::gates::is_plain;
use super::inline::parts;
use super::placing::add;
use super::plan::{Body, Expr, From, Plan, Query, Relation, Select, Source};
use super::volatility::is_written_volatile;

pub fn sink(query: &mut Query) {
    for cte in &mut query.ctes {
        if let Plan::Query(query) = Arc::make_mut(&mut cte.plan) {
            sink(Arc::make_mut(query));
        }
    }
    match &mut query.body {
        Body::Values(_) => {}
        Body::Set { left, right, .. } => {
            sink(Arc::make_mut(left));
            sink(Arc::make_mut(right));
        }
        Body::Select(select) => {
            from_scans(&mut select.from, &mut select.relations);
            for relation in &mut select.relations {
                if let Source::Query { query, .. } = &mut relation.source {
                    sink(Arc::make_mut(query));
                }
            }
        }
    }
}

fn from_scans(from: &mut From, relations: &mut [Relation]) {
    match from {
        From::Nothing => {}
        From::Join { left, right, .. } => {
            from_scans(left, relations);
            from_scans(right, relations);
        }
        From::Scan(scan) => {
            let relation = &mut relations[scan.relation];
            let (offset, width) = (relation.offset, relation.width);
            let Source::Query { query, lateral } = &mut relation.source else { return };
            let (Some(select), deeper) = (receiver(query), usize::from(*lateral)) else { return };
            scan.filter.retain(|qual| {
                let Some(inner) = moved(qual, (offset, width), select, deeper) else {
                    return true;
                };
                let inner = Arc::new(inner);
                add(&mut select.from, &inner, &select.relations);
                select.quals.push(inner);
                false
            });
        }
    }
}

/// The query's own rows, if it only reads, joins and tests them.
fn receiver(query: &mut Arc<Query>) -> Option<&mut Select> {
    let Body::Select(select) = &query.body else { return None };
    let fits =
        is_plain(query, select) && query.output.is_none() && !matches!(select.from, From::Nothing);
    match &mut Arc::make_mut(query).body {
        Body::Select(select) if fits => Some(select),
        _ => None,
    }
}

/// The condition over the rows of the query within. `deeper`: how many rows more are around those.
fn moved(
    qual: &Expr,
    (offset, width): (usize, usize),
    select: &Select,
    deeper: usize,
) -> Option<Expr> {
    let has_query = |expr: &Expr| {
        let mut found = false;
        expr.walk(&mut |part| found |= matches!(part, Expr::Sub { .. }));
        found
    };
    let columns = qual.columns()?;
    let own = |column: &usize| (offset..offset + width).contains(column);
    let given = columns.iter().map(|column| select.project.get(column.checked_sub(offset)?));
    let given: Vec<&Expr> = given.collect::<Option<_>>()?;
    if columns.is_empty() || !columns.iter().all(own) || has_query(qual) {
        return None;
    }
    if given.into_iter().any(|expr| has_query(expr) || is_written_volatile(expr)) {
        return None;
    }
    let mut inner = qual.clone();
    replace(&mut inner, offset, &select.project, deeper);
    Some(inner)
}

fn replace(expr: &mut Expr, offset: usize, project: &[Expr], deeper: usize) {
    match expr {
        Expr::Column { depth: 0, index } => *expr = project[*index - offset].clone(),
        Expr::Column { depth, .. } => *depth += deeper,
        _ => parts(expr).into_iter().for_each(|part| replace(part, offset, project, deeper)),
    }
}
