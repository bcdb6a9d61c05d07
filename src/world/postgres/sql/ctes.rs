//! WITH queries: their plans, and which of them are wanted. Must never want one that nobody reads
//! and that writes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use sqlparser::ast;

use super::analyze::{Analyzer, CteScope};
use super::names::{ident, modified_name};
use super::placing::has_whole;
use super::plan::{Body, Cte, From, JoinKind, OutColumn, Plan, Query, Source};
use super::query::rename;
use super::resolve::{common_type, is_of_types};
use super::scope::Scope;
use super::volatility::may_change_query;
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::types::Ty;

impl Analyzer<'_> {
    pub fn with(&self, with: &ast::With, scope: &Scope<'_>) -> Result<Vec<Cte>> {
        let mut ctes = Vec::new();
        let around = self.later.borrow().len();
        let names = with.cte_tables.iter().rev();
        self.later.borrow_mut().extend(names.map(|cte| (ident(&cte.alias.name), with.recursive)));
        for (at, cte) in with.cte_tables.iter().enumerate() {
            let name = ident(&cte.alias.name);
            if with.cte_tables[..at].iter().any(|other| ident(&other.alias.name) == name) {
                let message = format!("WITH query name \"{name}\" specified more than once");
                let place = self.position(cte.alias.name.span);
                return Err(PgError::new("42712", message).at(place));
            }
            let slot = self.new_slot();
            let (read, before) = (self.reads.borrow().len(), self.denied.borrow().len());
            if with.recursive
                && let Some(mut planned) = self.recursive(cte, &name, slot, scope)?
            {
                planned.denied = self.denied.borrow_mut().split_off(before);
                self.later.borrow_mut().truncate(around + with.cte_tables.len() - at - 1);
                ctes.push(planned);
                continue;
            }
            let planned = self.cte_plan(&cte.query, scope);
            let place = self.position(cte.alias.name.span);
            let placed = |error| if is_of_types(&error) { error } else { error.at(place) };
            let (plan, correlated) = planned.map_err(placed)?;
            let mut columns = plan.columns().unwrap_or_default().to_vec();
            let renamed = rename_cte(&mut columns, &cte.alias);
            renamed.map_err(|error| error.at(self.position(cte.alias.name.span)))?;
            let silent = plan.columns().is_none();
            self.later.borrow_mut().truncate(around + with.cte_tables.len() - at - 1);
            self.ctes.borrow_mut().push(CteScope { name, slot, columns, correlated, silent });
            let reads = self.reads.borrow()[read..].to_vec();
            let kept = cte.materialized == Some(ast::CteAsMaterialized::Materialized);
            let denied = self.denied.borrow_mut().split_off(before);
            ctes.push(Cte { slot, plan: Arc::new(plan), reads, recursive: None, kept, denied });
        }
        Ok(ctes)
    }

    /// The WITH queries that are read, those that write, and what these read; the role needs what
    /// they do. `from`: where what was named since begins.
    pub fn wanted_of_with(&self, mut ctes: Vec<Cte>, from: usize) -> Vec<Cte> {
        let writers = ctes.iter().filter(|cte| cte.plan.writes()).map(|cte| cte.slot);
        let mut open: Vec<usize> = self.reads.borrow()[from..].to_vec();
        open.extend(writers);
        let mut wanted = BTreeSet::new();
        while let Some(slot) = open.pop() {
            if wanted.insert(slot) {
                let own = ctes.iter().filter(|cte| cte.slot == slot);
                open.extend(own.flat_map(|cte| &cte.reads));
            }
        }
        ctes.retain(|cte| wanted.contains(&cte.slot));
        let denied = ctes.iter_mut().flat_map(|cte| std::mem::take(&mut cte.denied));
        self.denied.borrow_mut().extend(denied);
        ctes
    }

    fn cte_plan(&self, query: &ast::Query, scope: &Scope<'_>) -> Result<(Plan, bool)> {
        match &*query.body {
            ast::SetExpr::Insert(statement)
            | ast::SetExpr::Update(statement)
            | ast::SetExpr::Delete(statement) => {
                if self.depth.get() > 1 {
                    let message = "WITH clause containing a data-modifying statement must be at \
                                   the top level";
                    return Err(PgError::new("0A000", message));
                }
                Ok((self.statement(statement)?, false))
            }
            _ => {
                let (query, correlated) = self.query_beside(query, scope)?;
                Ok((Plan::Query(Arc::new(query)), correlated))
            }
        }
    }

    /// `WITH RECURSIVE x AS (a UNION [ALL] b)` where b names x.
    fn recursive(
        &self,
        cte: &ast::Cte,
        name: &str,
        slot: usize,
        scope: &Scope<'_>,
    ) -> Result<Option<Cte>> {
        let ast::SetExpr::SetOperation { op, set_quantifier, left, right } = &*cte.query.body
        else {
            return Ok(None);
        };
        if *op != ast::SetOperator::Union || cte.query.with.is_some() {
            return Ok(None);
        }
        let read = self.reads.borrow().len();
        let own = scope.beside();
        let mut base = self.beside(left, &own)?;
        self.resolved(&mut base, true, left)?;
        let mut columns = base.columns.clone();
        let renamed = rename_cte(&mut columns, &cte.alias);
        renamed.map_err(|error| error.at(self.position(cte.alias.name.span)))?;
        let name = name.to_owned();
        let (correlated, silent) = (true, false);
        let scoped = CteScope { name: name.clone(), slot, columns, correlated, silent };
        self.ctes.borrow_mut().push(scoped);
        let around = self.reads.borrow().len();
        let mut step = self.beside(right, &own)?;
        scope.reads_like(&own);
        let named = self.reads.borrow()[around..].iter().filter(|at| **at == slot).count();
        if named > 0 && !cte.query.locks.is_empty() {
            let message = "FOR UPDATE/SHARE in a recursive query is not implemented";
            return Err(PgError::new("0A000", message));
        }
        let plain = cte.query.order_by.is_none()
            && cte.query.limit_clause.is_none()
            && cte.query.fetch.is_none()
            && cte.query.locks.is_empty();
        if named > 0 && !(named == 1 && plain && goes_on(&step, slot)) {
            return Err(PgError::unsupported("a recursive query of this form"));
        }
        let types: Vec<Ty> = base.columns.iter().map(|column| column.ty).collect();
        self.retype(&mut step, &types, right)?;
        for (at, (from, to)) in base.columns.iter().zip(&step.columns).enumerate() {
            settled(&name, at, from, to)?;
        }
        let casts = self.casts(&step, &base.columns)?;
        let all = *set_quantifier == ast::SetQuantifier::All;
        let recursive = Some((Arc::new(step.casted(casts)), all));
        let reads = self.reads.borrow()[read..].to_vec();
        let first = Arc::new(Plan::Query(Arc::new(base)));
        let denied = Vec::new();
        Ok(Some(Cte { slot, plan: first, reads, recursive, kept: true, denied }))
    }
}

/// The whole has the type of the part that does not repeat, with its modifier.
fn settled(name: &str, at: usize, from: &OutColumn, to: &OutColumn) -> Result<()> {
    let ty = common_type(&[from.ty, to.ty], "UNION")?;
    let typmod = if from.typmod == to.typmod && from.ty == to.ty { from.typmod } else { -1 };
    if (ty, typmod) == (from.ty, from.typmod) {
        return Ok(());
    }
    let message = format!(
        "recursive query \"{name}\" column {} has type {} in non-recursive term but type {} \
         overall",
        at + 1,
        modified_name(from.ty, from.typmod),
        modified_name(ty, typmod)
    );
    let hint = "Cast the output of the non-recursive term to the correct type.";
    Err(PgError::new("42804", message).hint(hint))
}

/// Whether the repeated part reads its own rows as PostgreSQL allows: plainly, in its FROM, on a
/// side that no outer join may leave out.
fn goes_on(step: &Query, slot: usize) -> bool {
    fn reads(from: &From, relation: usize) -> bool {
        match from {
            From::Scan(scan) => scan.relation == relation,
            From::Join { kind: JoinKind::Inner, left, right, .. } => {
                reads(left, relation) || reads(right, relation)
            }
            From::Join { kind: JoinKind::Left, left, .. } => reads(left, relation),
            From::Join { kind: JoinKind::Right, right, .. } => reads(right, relation),
            From::Nothing | From::Join { .. } => false,
        }
    }
    let Body::Select(select) = &step.body else { return false };
    let own =
        select.relations.iter().position(|r| matches!(r.source, Source::Cte(at) if at == slot));
    let plain = !select.grouped && select.expand.is_none() && step.limit.is_none();
    plain && step.sort.is_empty() && own.is_some_and(|own| reads(&select.from, own))
}

/// A query that is named once is read where it is named, as in PostgreSQL: as far as it is asked
/// for, and without what nobody reads. Unless it is MATERIALIZED, calls what counts or locks rows.
/// `named`: every slot as often as it is named.
pub fn inline(plan: &mut Query, named: &[usize]) {
    for at in (0..plan.ctes.len()).rev() {
        let cte = &plan.ctes[at];
        let once = named.iter().filter(|slot| **slot == cte.slot).count() == 1;
        let Plan::Query(query) = &*cte.plan else { continue };
        let (slot, query) = (cte.slot, query.clone());
        if cte.kept
            || cte.recursive.is_some()
            || !once
            || !query.locks.is_empty()
            || may_change_query(&query)
        {
            continue;
        }
        let source = Source::Query { query, lateral: false };
        let mut later = plan.ctes[at + 1..].iter_mut();
        let placed = place(&mut plan.body, slot, &source)
            || later.any(|cte| match Arc::make_mut(&mut cte.plan) {
                Plan::Query(query) => place(&mut Arc::make_mut(query).body, slot, &source),
                _ => false,
            });
        if placed {
            plan.ctes.remove(at);
        }
    }
}

/// Where PostgreSQL would read a WITH query before what stands before it, it runs it as far as its
/// rows are asked for, which shows if it calls what counts or locks rows.
pub fn refuse_partial(plan: &Query) -> Result<()> {
    let Body::Select(select) = &plan.body else { return Ok(()) };
    let whole = select.grouped || !plan.sort.is_empty();
    let shows = |cte: &Cte| match &*cte.plan {
        Plan::Query(query) => !query.locks.is_empty() || may_change_query(query),
        _ => false,
    };
    if plan.limit.is_some() && !whole && has_whole(&select.from) && plan.ctes.iter().any(shows) {
        let what = "LIMIT over what is joined with a WITH query that calls a volatile function";
        return Err(PgError::unsupported(what));
    }
    Ok(())
}

/// Puts a query in the place of its name, where the same rows are around it.
fn place(body: &mut Body, slot: usize, source: &Source) -> bool {
    match body {
        Body::Values(_) => false,
        Body::Set { left, right, .. } => {
            place(&mut Arc::make_mut(left).body, slot, source)
                || place(&mut Arc::make_mut(right).body, slot, source)
        }
        Body::Select(select) => {
            select.relations.iter_mut().any(|relation| match &mut relation.source {
                Source::Cte(named) if *named == slot => {
                    relation.source = source.clone();
                    true
                }
                Source::Query { query, lateral: false } => {
                    place(&mut Arc::make_mut(query).body, slot, source)
                }
                _ => false,
            })
        }
    }
}

fn rename_cte(columns: &mut [OutColumn], alias: &ast::TableAlias) -> Result<()> {
    let called = ident(&alias.name);
    rename(columns, Some(alias), &called).map_err(|_| {
        let (there, given) = (columns.len(), alias.columns.len());
        let message = format!(
            "WITH query \"{called}\" has {there} columns available but {given} columns specified"
        );
        PgError::new("42P10", message)
    })
}
