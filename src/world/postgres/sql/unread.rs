//! Columns of a query in FROM that nobody reads are not worked out, as in PostgreSQL
//! (`remove_unused_subquery_outputs`, and what it pulls up). Must never leave out what counts.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::plan::{Body, Expr, From, Plan, Query, Select, Source};
use super::volatility::may_change_within;

pub fn leave_out_unread(plan: &mut Plan) {
    match plan {
        Plan::Query(query) => prune(Arc::make_mut(query)),
        Plan::Insert(insert) => prune(Arc::make_mut(&mut insert.source)),
        Plan::Update(_) | Plan::Delete(_) => {}
    }
}

/// The same of a query that stands within an expression.
pub fn prune(query: &mut Query) {
    for cte in &mut query.ctes {
        leave_out_unread(Arc::make_mut(&mut cte.plan));
    }
    let read = read_of_row(query);
    match &mut query.body {
        Body::Values(_) => {}
        Body::Set { left, right, .. } => {
            prune(Arc::make_mut(left));
            prune(Arc::make_mut(right));
        }
        Body::Select(select) => {
            for relation in &mut select.relations {
                if let Source::Query { query, .. } = &mut relation.source {
                    let query = Arc::make_mut(query);
                    let offset = relation.offset;
                    drop_columns(query, &|at| !read.contains(&(offset + at)));
                    prune(query);
                }
            }
        }
    }
}

/// Replaces what is not read with NULL.
fn drop_columns(query: &mut Query, unread: &dyn Fn(usize) -> bool) {
    let Body::Select(select) = &mut query.body else { return };
    if select.distinct || select.expand.is_some() || query.output.is_some() || query.sort_output {
        return;
    }
    for (at, expr) in select.project.iter_mut().enumerate() {
        if unread(at) && !may_change_within(expr) {
            *expr = Expr::NULL;
        }
    }
    if !select.grouped {
        return;
    }
    let mut read = BTreeSet::new();
    let given = select.project.iter().chain(&select.having);
    given.chain(query.sort.iter().map(|key| &key.expr)).for_each(|expr| note(expr, 0, &mut read));
    let first = select.keys.len();
    for (at, aggregate) in select.aggregates.iter_mut().enumerate() {
        if !read.contains(&(first + at)) && !aggregate.args.iter().any(may_change_within) {
            aggregate.args.fill(Expr::NULL);
            (aggregate.filter, aggregate.distinct) = (None, false);
            aggregate.order.clear();
        }
    }
}

/// The places of the query's own row that it reads.
fn read_of_row(query: &Query) -> BTreeSet<usize> {
    let mut read = BTreeSet::new();
    let Body::Select(select) = &query.body else { return read };
    of_select(select, 0, &mut read);
    if !select.grouped && !query.sort_output {
        query.sort.iter().for_each(|key| note(&key.expr, 0, &mut read));
    }
    read
}

/// Whether an expression reads the row of its own query, a query within it too.
pub fn reads_row(expr: &Expr) -> bool {
    let mut read = BTreeSet::new();
    note(expr, 0, &mut read);
    !read.is_empty()
}

/// Notes which places of the row `depth` queries out an expression reads.
fn note(expr: &Expr, depth: usize, read: &mut BTreeSet<usize>) {
    expr.walk(&mut |part| match part {
        Expr::Column { depth: out, index } if *out == depth => {
            read.insert(*index);
        }
        Expr::Sub { query, .. } => of_query(query, depth + 1, read),
        _ => {}
    });
}

fn of_query(query: &Query, depth: usize, read: &mut BTreeSet<usize>) {
    for cte in &query.ctes {
        if let Plan::Query(query) = &*cte.plan {
            of_query(query, depth, read);
        }
        if let Some((query, _)) = &cte.recursive {
            of_query(query, depth, read);
        }
    }
    let own = query.sort.iter().map(|key| &key.expr).chain(&query.limit).chain(&query.offset);
    own.chain(query.output.iter().flatten()).for_each(|expr| note(expr, depth, read));
    match &query.body {
        Body::Select(select) => of_select(select, depth, read),
        Body::Values(rows) => rows.iter().flatten().for_each(|expr| note(expr, depth, read)),
        Body::Set { left, right, .. } => {
            of_query(left, depth, read);
            of_query(right, depth, read);
        }
    }
}

fn of_select(select: &Select, depth: usize, read: &mut BTreeSet<usize>) {
    let mut note = |expr: &Expr| note(expr, depth, read);
    // With groups, what follows reads them and not the row.
    if depth > 0 || !select.grouped {
        select.project.iter().chain(&select.having).for_each(&mut note);
    }
    select.keys.iter().chain(&select.distinct_on).for_each(&mut note);
    for aggregate in &select.aggregates {
        aggregate.args.iter().chain(&aggregate.filter).for_each(&mut note);
        aggregate.order.iter().for_each(|key| note(&key.expr));
    }
    select.expand.iter().flat_map(|expand| &expand.args).for_each(&mut note);
    select.quals.iter().for_each(|qual| note(qual));
    of_from(&select.from, &mut note);
    for relation in &select.relations {
        if let Source::Function { args, .. } = &relation.source {
            args.iter().for_each(&mut note);
        }
    }
    for relation in &select.relations {
        match &relation.source {
            Source::Query { query, lateral: true } => of_query(query, depth + 1, read),
            Source::Query { query, lateral: false } if depth > 0 => of_query(query, depth, read),
            _ => {}
        }
    }
}

fn of_from(from: &From, note: &mut dyn FnMut(&Expr)) {
    match from {
        From::Nothing => {}
        From::Scan(scan) => {
            scan.filter.iter().for_each(|filter| note(filter));
            if let Some(lookup) = &scan.lookup {
                lookup.prefix.iter().chain(&lookup.any).for_each(note);
            }
        }
        From::Join { left, right, on, filter, .. } => {
            of_from(left, note);
            of_from(right, note);
            on.iter().chain(filter).for_each(|condition| note(condition));
        }
    }
}
