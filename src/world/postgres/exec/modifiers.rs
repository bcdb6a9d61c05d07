//! Modifiers of types (`numeric(8,2)`) that PostgreSQL finds while it plans: of CASE and COALESCE
//! what is left once their constants are known, through the queries that it makes a part of the one
//! around them. Must never change a plan.

use std::sync::Arc;

use super::Cx;
use super::constants::fold;
use crate::world::postgres::error::Step;
use crate::world::postgres::sql::{
    Body, Cte, Expr, OutColumn, Plan, Query, Relation, Select, SetOp, Source, is_simple,
};
use crate::world::postgres::storage::catalog::Table;
use crate::world::postgres::types::{Base, Datum};

/// No modifier.
const NONE: i32 = -1;

/// What an expression reads.
#[derive(Clone, Copy)]
enum Row<'a> {
    Nothing,
    Table(&'a Table),
    /// The relations of a query, its groups, or what it gives.
    Relations(Around<'a>),
    Groups(Around<'a>),
    Output(Around<'a>),
}

/// A query with its WITH queries. `bare`: nothing is done with its rows.
#[derive(Clone, Copy)]
struct Around<'a> {
    select: &'a Select,
    ctes: &'a [Cte],
    bare: bool,
}

struct Finder<'f, 'a> {
    cx: &'f mut Cx<'a>,
    bound: bool,
}

/// Whether planning may find a modifier of one of these columns.
pub fn may_be_found(plan: &Plan) -> bool {
    let open = |column: &OutColumn| {
        let modified = matches!(column.ty.base, Base::Numeric | Base::Varchar | Base::Bpchar);
        modified && column.typmod == NONE
    };
    let simple = |query: &Query| match &query.body {
        Body::Select(select) => select
            .project
            .iter()
            .all(|expr| matches!(expr, Expr::Call { .. } | Expr::Const(_) | Expr::Param(_))),
        _ => false,
    };
    plan.columns().is_some_and(|columns| columns.iter().any(open))
        && !matches!(plan, Plan::Query(query) if simple(query))
}

/// The columns of a plan with the modifiers that their constants leave. `bound`: parameters are
/// constants too.
pub fn columns(plan: &Plan, cx: &mut Cx<'_>, bound: bool) -> Step<Option<Arc<[OutColumn]>>> {
    let Some(columns) = plan.columns() else { return Ok(None) };
    let mut finder = Finder { cx, bound };
    let mut found = columns.to_vec();
    for (at, column) in found.iter_mut().enumerate() {
        if column.typmod == NONE {
            column.typmod = match plan {
                Plan::Query(query) => finder.of_query(query, at)?,
                Plan::Insert(insert) => {
                    finder.returned(insert.returning.as_ref(), at, Row::Table(&insert.table))?
                }
                Plan::Update(update) => {
                    let (select, ctes) = (&update.source, &update.ctes[..]);
                    let row = Row::Relations(Around { select, ctes, bare: false });
                    finder.returned(update.returning.as_ref(), at, row)?
                }
                Plan::Delete(delete) => {
                    let (select, ctes) = (&delete.source, &delete.ctes[..]);
                    let row = Row::Relations(Around { select, ctes, bare: false });
                    finder.returned(delete.returning.as_ref(), at, row)?
                }
            };
        }
    }
    Ok(Some(found.into()))
}

impl Finder<'_, '_> {
    fn returned<T>(
        &mut self,
        returning: Option<&(Vec<Expr>, T)>,
        at: usize,
        row: Row<'_>,
    ) -> Step<i32> {
        returning.map_or(Ok(NONE), |(exprs, _)| self.of(&exprs[at], row))
    }

    /// Of a column of a query.
    fn of_query(&mut self, query: &Query, at: usize) -> Step<i32> {
        let known = query.columns[at].typmod;
        if known != NONE {
            return Ok(known);
        }
        match &query.body {
            Body::Select(select) => {
                let (ctes, bare) = (&query.ctes[..], is_bare(query, select));
                let around = Around { select, ctes, bare };
                match query.output.as_ref() {
                    Some(output) => self.of(&output[at], Row::Output(around)),
                    None => self.projected(at, around),
                }
            }
            Body::Values(rows) => match &rows[..] {
                [only] => self.of(&only[at], Row::Nothing),
                _ => Ok(NONE),
            },
            Body::Set { op: SetOp::Union, all: true, .. } => Ok(NONE),
            Body::Set { left, right, .. } => {
                let (left, right) = (self.of_query(left, at)?, self.of_query(right, at)?);
                Ok(if left == right { left } else { NONE })
            }
        }
    }

    fn projected(&mut self, at: usize, around: Around<'_>) -> Step<i32> {
        let row = if around.select.grouped { Row::Groups } else { Row::Relations };
        around.select.project.get(at).map_or(Ok(NONE), |expr| self.of(expr, row(around)))
    }

    fn of(&mut self, expr: &Expr, row: Row<'_>) -> Step<i32> {
        match expr {
            Expr::Column { depth: 0, index } => self.of_column(*index, row),
            Expr::Cast { typmod, .. } => Ok(*typmod),
            Expr::Case { whens, otherwise } if whens.iter().all(|(_, then)| then.is_nothing()) => {
                self.of(otherwise, row)
            }
            Expr::Case { whens, otherwise } => {
                let mut left = Vec::new();
                for (when, then) in whens {
                    match fold(when, self.cx, self.bound)?.map(|value| value.as_bool()) {
                        None => left.push(then),
                        Some(Some(true)) => {
                            left.push(then);
                            return self.common(&left, row);
                        }
                        Some(_) => {}
                    }
                }
                left.push(otherwise);
                self.common(&left, row)
            }
            Expr::Coalesce(all) => {
                let mut left = Vec::new();
                for expr in all {
                    match fold(expr, self.cx, self.bound)? {
                        Some(Datum::Null) => {}
                        Some(_) => {
                            left.push(expr);
                            break;
                        }
                        None => left.push(expr),
                    }
                }
                self.common(&left, row)
            }
            Expr::Array(items) => self.common(&items.iter().collect::<Vec<_>>(), row),
            Expr::Sub { query, .. } if query.columns.len() == 1 => self.of_query(query, 0),
            _ => Ok(NONE),
        }
    }

    /// What all of them have.
    fn common(&mut self, all: &[&Expr], row: Row<'_>) -> Step<i32> {
        let Some((first, others)) = all.split_first() else { return Ok(NONE) };
        let found = self.of(first, row)?;
        for other in others {
            if self.of(other, row)? != found {
                return Ok(NONE);
            }
        }
        Ok(found)
    }

    fn of_column(&mut self, index: usize, row: Row<'_>) -> Step<i32> {
        match row {
            Row::Nothing => Ok(NONE),
            Row::Table(table) => Ok(table.columns.get(index).map_or(NONE, |column| column.typmod)),
            Row::Output(around) => self.projected(index, around),
            Row::Groups(around) => match around.select.keys.get(index) {
                Some(key) => self.of(key, Row::Relations(around)),
                None => Ok(NONE),
            },
            Row::Relations(around) => {
                let holds = |of: &&Relation| (of.offset..of.offset + of.width).contains(&index);
                match around.select.relations.iter().find(holds) {
                    Some(relation) => self.of_source(relation, index - relation.offset, around),
                    None => Ok(NONE),
                }
            }
        }
    }

    /// Of a column of FROM: of a query that is a part of the one around it or is all of that, what
    /// planning finds, and else what analysis did.
    fn of_source(&mut self, relation: &Relation, at: usize, around: Around<'_>) -> Step<i32> {
        let query = match &relation.source {
            Source::Table(table) => return self.of_column(at, Row::Table(table)),
            Source::Query { query, .. } => query,
            Source::Cte(slot) => match around.ctes.iter().find(|cte| cte.slot == *slot) {
                Some(cte) => match &*cte.plan {
                    Plan::Query(query) if is_inlined(cte, around) => query,
                    plan => {
                        let columns = plan.columns().unwrap_or_default();
                        return Ok(columns.get(at).map_or(NONE, |column| column.typmod));
                    }
                },
                None => return Ok(NONE),
            },
            Source::System(_) | Source::Function { .. } => return Ok(NONE),
        };
        let part = matches!(&query.body, Body::Select(select) if is_simple(query, select));
        if part || is_all(around, query) {
            return self.of_query(query, at);
        }
        Ok(query.columns.get(at).map_or(NONE, |column| column.typmod))
    }
}

/// Whether a WITH query becomes a query in FROM: one relation alone reads it.
fn is_inlined(cte: &Cte, around: Around<'_>) -> bool {
    let reads = |relation: &&Relation| matches!(relation.source, Source::Cte(of) if of == cte.slot);
    !cte.kept
        && cte.recursive.is_none()
        && around.select.relations.iter().filter(reads).count() == 1
        && !around.ctes.iter().any(|other| other.reads.contains(&cte.slot))
}

fn is_bare(query: &Query, select: &Select) -> bool {
    query.sort.is_empty()
        && query.limit.is_none()
        && query.offset.is_none()
        && query.locks.is_empty()
        && !select.distinct
        && select.distinct_on.is_empty()
}

/// Whether a query gives just what its only query in FROM does (`trivial_subqueryscan`).
fn is_all(around: Around<'_>, query: &Query) -> bool {
    let select = around.select;
    around.bare
        && !select.grouped
        && select.relations.len() == 1
        && select.quals.is_empty()
        && select.project.len() == query.columns.len()
        && select.project.iter().enumerate().all(|(at, expr)| expr.is_column(at))
}
