//! SELECT, VALUES and set operations: from the syntax tree to a plan. Must never read a row.

use std::cell::RefCell;
use std::sync::Arc;

use sqlparser::ast::{self, Spanned as _};

use super::aggregates::has_aggregate;
use super::analyze::{Analyzer, Context, Typed, can_group, out_column};
use super::ctes::{inline, refuse_partial};
use super::functions::sort_key;
use super::gates::{canonical, of_groups};
use super::locking::locks;
use super::names::ident;
use super::output::{
    constant, literal_position, no_such_order, order_by, output_position, sorted_for,
};
use super::places::beginning;
use super::placing::place;
use super::plan::{Body, Expr, OutColumn, Query, Relation, Select, SetOp, SortKey, Source};
use super::resolve::{can_cast, common_type};
use super::scope::{Group, Scope};
use super::security::filter_scan;
use super::sink::sink;
use super::subquery::joined;
use crate::world::postgres::error::{PgError, Result, common};
use crate::world::postgres::storage::roles::Privileges;
use crate::world::postgres::types::{Datum, Ty};

impl Analyzer<'_> {
    /// A query and whether it reads a row around it.
    pub fn query_within(
        &self,
        query: &ast::Query,
        parent: Option<&Scope<'_>>,
    ) -> Result<(Query, bool)> {
        let mut scope = Scope::within(parent);
        let mut plan = self.query(query, &mut scope)?;
        sink(&mut plan);
        Ok((plan, scope.correlated.get()))
    }

    /// A query that is part of the one of `scope` and does not see its rows: in FROM, in WITH.
    pub fn query_beside(&self, query: &ast::Query, scope: &Scope<'_>) -> Result<(Query, bool)> {
        let mut own = scope.beside();
        let plan = self.query(query, &mut own)?;
        scope.reads_like(&own);
        Ok((plan, own.correlated.get()))
    }

    pub fn query(&self, query: &ast::Query, scope: &mut Scope<'_>) -> Result<Query> {
        if query.fetch.as_ref().is_some_and(|fetch| fetch.with_ties || fetch.percent) {
            return Err(PgError::unsupported("FETCH FIRST WITH TIES"));
        }
        let resolves = self.resolves.replace(true);
        let visible = self.ctes.borrow().len();
        self.depth.set(self.depth.get() + 1);
        let named = self.reads.borrow().len();
        let ctes = match &query.with {
            Some(with) => self.with(with, scope)?,
            None => Vec::new(),
        };
        let read = self.reads.borrow().len();
        let mut plan = match &*query.body {
            ast::SetExpr::Select(select) => self.select(select, query, scope)?,
            _ if !query.locks.is_empty() => {
                return Err(PgError::unsupported("FOR UPDATE of VALUES or of a set operation"));
            }
            other => {
                self.resolves.set(resolves);
                self.set_query(other, query, scope)?
            }
        };
        self.limits(query, &mut plan, scope)?;
        self.resolved(&mut plan, resolves, &query.body)?;
        self.depth.set(self.depth.get() - 1);
        self.ctes.borrow_mut().truncate(visible);
        plan.ctes.splice(0..0, self.wanted_of_with(ctes, read));
        if query.with.is_some() {
            inline(&mut plan, &self.reads.borrow()[named..]);
            refuse_partial(&plan)?;
        }
        Ok(plan)
    }

    /// Conversions of a query's columns to the types of others.
    pub fn casts(&self, query: &Query, to: &[OutColumn]) -> Result<Vec<Expr>> {
        let cast = |(index, (own, wanted)): (usize, (&OutColumn, &OutColumn))| {
            let typed = Typed::new(Expr::Column { depth: 0, index }, own.ty);
            self.coerce(typed, wanted.ty, -1, Context::Implicit)
        };
        query.columns.iter().zip(to).enumerate().map(cast).collect()
    }

    fn body(&self, body: &ast::SetExpr, scope: &mut Scope<'_>) -> Result<Query> {
        let resolves = self.resolves.replace(true);
        match body {
            ast::SetExpr::Select(select) => {
                let mut query = self.select_parts(select, &[], &RefCell::new(Vec::new()), scope)?;
                self.resolved(&mut query, resolves, body)?;
                Ok(query)
            }
            ast::SetExpr::Query(query) => {
                self.resolves.set(resolves);
                self.query(query, scope)
            }
            ast::SetExpr::Values(values) => self.values(values, scope),
            ast::SetExpr::SetOperation { op, set_quantifier, left, right } => {
                let queries = (self.beside(left, scope)?, self.beside(right, scope)?);
                self.combine(*op, *set_quantifier, queries, (left, right))
            }
            ast::SetExpr::Table(table) => {
                let name = table.table_name.clone().unwrap_or_default();
                Err(PgError::unsupported(format_args!("TABLE {name}")))
            }
            _ => Err(PgError::unsupported("a writing statement within a query")),
        }
    }

    /// A part of the query that has its own names.
    pub fn beside(&self, body: &ast::SetExpr, scope: &Scope<'_>) -> Result<Query> {
        if matches!(body, ast::SetExpr::Query(query) if !query.locks.is_empty()) {
            return Err(PgError::unsupported("FOR UPDATE in a set operation"));
        }
        let mut own = scope.beside();
        self.resolves.set(false);
        let query = self.body(body, &mut own);
        self.resolves.set(true);
        let query = query?;
        scope.reads_like(&own);
        let is_set = matches!(body, ast::SetExpr::SetOperation { .. });
        scope.note_part(&own, &query.columns, is_set);
        Ok(query)
    }

    fn combine(
        &self,
        op: ast::SetOperator,
        quantifier: ast::SetQuantifier,
        (mut left, mut right): (Query, Query),
        bodies: (&ast::SetExpr, &ast::SetExpr),
    ) -> Result<Query> {
        let (op, name) = match op {
            ast::SetOperator::Union => (SetOp::Union, "UNION"),
            ast::SetOperator::Except => (SetOp::Except, "EXCEPT"),
            ast::SetOperator::Intersect => (SetOp::Intersect, "INTERSECT"),
            ast::SetOperator::Minus => return Err(PgError::unsupported("MINUS")),
        };
        if left.columns.len() != right.columns.len() {
            let message = format!("each {name} query must have the same number of columns");
            let first = self.placed(self.item(bodies.1, 0));
            return Err(PgError::new("42601", message).at(first));
        }
        let mut columns = left.columns.clone();
        for (at, column) in columns.iter_mut().enumerate() {
            let other = &right.columns[at];
            if (column.ty, column.typmod) != (other.ty, other.typmod) {
                column.typmod = -1;
            }
            column.ty = common_type(&[column.ty, other.ty], name)
                .map_err(|error| error.at(self.placed(self.item(bodies.1, at))))?;
            self.retype_column(&mut left, at, column.ty, bodies.0)?;
            self.retype_column(&mut right, at, column.ty, bodies.1)?;
            column.origin = None;
            if quantifier != ast::SetQuantifier::All {
                can_group(column.ty, column.typmod)?;
            }
        }
        let (casts_left, casts_right) =
            (self.casts(&left, &columns)?, self.casts(&right, &columns)?);
        let all = quantifier == ast::SetQuantifier::All;
        let (left, right) =
            (Arc::new(left.casted(casts_left)), Arc::new(right.casted(casts_right)));
        Ok(Query::plain(Body::Set { op, all, left, right }, columns))
    }

    fn values(&self, values: &ast::Values, scope: &Scope<'_>) -> Result<Query> {
        let mut rows: Vec<Vec<Typed>> = Vec::with_capacity(values.rows.len());
        for row in &values.rows {
            rows.push(self.in_clause(Some("VALUES"), || self.exprs(&row.content, scope))?);
        }
        let width = rows.first().map_or(0, Vec::len);
        if let Some(at) = rows.iter().position(|row| row.len() != width) {
            let place = values.rows[at].content.first().and_then(beginning);
            let error = PgError::new("42601", "VALUES lists must all be the same length");
            return Err(error.at(self.placed(place)));
        }
        let mut columns = Vec::with_capacity(width);
        let mut unified = vec![Vec::with_capacity(width); rows.len()];
        for at in 0..width {
            let all = rows.iter().map(|row| row[at].clone()).collect();
            let (exprs, ty, typmod) = self.unify(all, "VALUES")?;
            let named = Typed { typmod, ..Typed::new(Expr::NULL, ty) };
            columns.push(out_column(format!("column{}", at + 1), &named));
            unified.iter_mut().zip(exprs).for_each(|(row, expr)| row.push(expr));
        }
        Ok(Query::plain(Body::Values(unified), columns))
    }

    /// VALUES, set operations and nested queries, with ORDER BY over their output.
    fn set_query(
        &self,
        body: &ast::SetExpr,
        query: &ast::Query,
        scope: &mut Scope<'_>,
    ) -> Result<Query> {
        let mut plan = self.body(body, scope)?;
        let keys = order_by(query)?;
        if keys.is_empty() {
            return Ok(plan);
        }
        if !plan.sort.is_empty() || plan.limit.is_some() || plan.output.is_some() {
            return Err(PgError::unsupported("ORDER BY around a sorted query"));
        }
        for key in keys {
            let place = self.position(key.expr.span());
            let position = output_position(&key.expr, None, &plan.columns, "ORDER BY");
            let index = position.map_err(|error| error.at(place))?.ok_or_else(|| {
                match &key.expr {
                    ast::Expr::Identifier(name) => common::no_column(&ident(name)),
                    _ => no_such_order(),
                }
                .at(place)
            })?;
            plan.sort.push(sort_key(Expr::Column { depth: 0, index }, &key.options)?);
        }
        plan.sort_output = true;
        Ok(plan)
    }

    fn select(
        &self,
        select: &ast::Select,
        query: &ast::Query,
        scope: &mut Scope<'_>,
    ) -> Result<Query> {
        let sort = RefCell::new(Vec::new());
        let mut plan = self.select_parts(select, order_by(query)?, &sort, scope)?;
        plan.sort = sort.into_inner();
        plan.locks = locks(self, query, &plan, scope)?;
        self.guard_locks(&mut plan)?;
        Ok(plan)
    }

    /// Locking rows takes the privilege to update them, and shows those only that may be updated.
    fn guard_locks(&self, plan: &mut Query) -> Result<()> {
        let Body::Select(select) = &mut plan.body else { return Ok(()) };
        for lock in &plan.locks {
            let relation = &select.relations[lock.relation];
            let Source::Table(table) = &relation.source else { continue };
            self.locks_rows_of(table.oid);
            self.needs(table, Privileges::UPDATE);
            let (alias, offset) = (&relation.alias, relation.offset);
            let filter = self.row_filter(table, alias, offset, ast::CreatePolicyCommand::Update)?;
            filter_scan(&mut select.from, lock.relation, &filter);
            select.quals.extend(filter);
            let command = ast::CreatePolicyCommand::Select;
            select.quals.extend(self.row_filter(table, alias, offset, command)?);
        }
        Ok(())
    }

    fn select_parts(
        &self,
        select: &ast::Select,
        order: &[ast::OrderByExpr],
        sort: &RefCell<Vec<SortKey>>,
        scope: &mut Scope<'_>,
    ) -> Result<Query> {
        let known = RefCell::new(None);
        let planned = self.in_clause(None, || self.parts(select, (order, sort), scope, &known));
        planned.map_err(|error| {
            let Some(params) = known.into_inner() else { return error };
            self.params.replace(params);
            self.in_clause(None, || self.first_wrong(select, order, scope)).unwrap_or(error)
        })
    }

    /// `known`: once the relations are, the types of parameters by then.
    fn parts(
        &self,
        select: &ast::Select,
        (order, sort): (&[ast::OrderByExpr], &RefCell<Vec<SortKey>>),
        scope: &mut Scope<'_>,
        known: &RefCell<Option<Vec<Ty>>>,
    ) -> Result<Query> {
        refuse_rare(select)?;
        let asked = self.asked.borrow().len();
        let mut relations = Vec::new();
        let mut quals = Vec::new();
        let from = self.from(&select.from, scope, &mut relations, &mut quals)?;
        *known.borrow_mut() = Some(self.params.borrow().clone());
        let width = relations.iter().map(|r: &Relation| r.offset + r.width).max().unwrap_or(0);
        let grouped = self.group(select, order, scope)?;
        let (mut output, expand) = self.unrolled(&select.projection, width, scope)?;
        if let Some(selection) = &select.selection {
            // Groups are made of rows that have met it; parameters have their types by now.
            let group = scope.group.take();
            self.split(self.filter(selection, scope)?, &mut quals);
            scope.group = group;
        }
        let having = self.having(select, scope, &mut quals)?;
        let from = place(from, &relations, &quals);
        let unique = matches!(&select.distinct, Some(ast::Distinct::Distinct));
        let over_output = unique || expand.is_some();
        for key in order {
            let expr = self.sort_expr(&key.expr, &mut output, over_output, scope)?;
            sort.borrow_mut().push(sort_key(expr, &key.options)?);
        }
        let distinct_on = match &select.distinct {
            None | Some(ast::Distinct::All) => Vec::new(),
            Some(ast::Distinct::Distinct) => {
                self.distinct_output(&mut output)?;
                Vec::new()
            }
            Some(ast::Distinct::On(_)) if grouped || expand.is_some() => {
                return Err(PgError::unsupported("DISTINCT ON of groups or of a set"));
            }
            Some(ast::Distinct::On(keys)) => self.distinct_on(keys, &mut output, scope)?,
        };
        sorted_for(&distinct_on, &mut sort.borrow_mut())
            .map_err(|at| self.unsorted(select.distinct.as_ref(), at))?;
        let (keys, aggregates) = match scope.group.take() {
            Some(group) => {
                let keys = group.keys.into_iter().map(|(_, expr, ..)| expr).collect();
                (keys, group.aggregates.into_inner())
            }
            None => (Vec::new(), Vec::new()),
        };
        let select = Select {
            relations,
            width,
            from,
            quals,
            asked: self.asked.borrow_mut().split_off(asked),
            grouped,
            keys,
            aggregates,
            having,
            project: output.exprs,
            distinct: unique,
            distinct_on,
            expand,
        };
        let sort_output = over_output;
        Ok(Query { sort_output, ..Query::plain(Body::Select(Box::new(select)), output.columns) })
    }

    /// What HAVING says of groups; the rest of it is added to the conditions of their rows.
    fn having(
        &self,
        select: &ast::Select,
        scope: &Scope<'_>,
        quals: &mut Vec<Arc<Expr>>,
    ) -> Result<Option<Expr>> {
        let Some(having) = &select.having else { return Ok(None) };
        let mut having = self.condition(self.expr(having, scope)?, "HAVING")?;
        self.ask(canonical(having.clone()), &mut std::iter::once(&mut having));
        let keys = scope.group.iter().flat_map(|group| &group.keys);
        let keys: Vec<Expr> = keys.map(|(_, expr, ..)| expr.clone()).collect();
        Ok(of_groups(having, &keys, quals))
    }

    /// The error of a key of DISTINCT ON that ORDER BY does not begin with.
    fn unsorted(&self, distinct: Option<&ast::Distinct>, at: usize) -> PgError {
        let message = "SELECT DISTINCT ON expressions must match initial ORDER BY expressions";
        let key = match distinct {
            Some(ast::Distinct::On(keys)) => keys.get(at).and_then(beginning),
            _ => None,
        };
        PgError::new("42P10", message).at(self.placed(key))
    }

    /// The condition of WHERE.
    pub fn filter(&self, selection: &ast::Expr, scope: &Scope<'_>) -> Result<Expr> {
        self.condition(self.expr_in("WHERE", selection, scope)?, "WHERE")
    }

    /// Sets the scope up for grouping if the query groups.
    fn group(
        &self,
        select: &ast::Select,
        order: &[ast::OrderByExpr],
        scope: &mut Scope<'_>,
    ) -> Result<bool> {
        let ast::GroupByExpr::Expressions(keys, modifiers) = &select.group_by else {
            return Err(PgError::unsupported("GROUP BY ALL"));
        };
        if !modifiers.is_empty() {
            return Err(PgError::unsupported("a modifier of GROUP BY"));
        }
        let in_output = select.projection.iter().any(|item| match item {
            ast::SelectItem::UnnamedExpr(expr) | ast::SelectItem::ExprWithAlias { expr, .. } => {
                has_aggregate(expr)
            }
            _ => false,
        });
        let in_order = order.iter().any(|key| has_aggregate(&key.expr));
        if keys.is_empty() && !in_output && !in_order && select.having.is_none() {
            return Ok(false);
        }
        let mut group = Group::default();
        for key in keys {
            let place = self.placed(beginning(key));
            let parsed = group_key(key, select, scope).map_err(|error| error.at(place))?;
            if matches!(&parsed, ast::Expr::Tuple(_)) {
                return Err(PgError::unsupported("GROUP BY of a list in parentheses"));
            }
            let typed = self.expr_in("GROUP BY", &parsed, scope)?;
            if typed.ty == Ty::UNKNOWN && matches!(typed.expr, Expr::Param(_)) {
                return Err(PgError::unsupported("GROUP BY of a parameter without a type"));
            }
            let typed = self.settle(typed)?;
            can_group(typed.ty, typed.typmod)
                .map_err(|error| error.at(self.position(key.span())))?;
            group.keys.push((parsed, typed.expr, typed.ty, typed.typmod));
        }
        dependent_keys(&mut group, scope);
        scope.group = Some(group);
        Ok(true)
    }

    fn limits(&self, query: &ast::Query, plan: &mut Query, scope: &Scope<'_>) -> Result<()> {
        let (limit, offset) = match &query.limit_clause {
            None if query.fetch.is_none() => return Ok(()),
            None => (None, None),
            Some(ast::LimitClause::LimitOffset { limit, offset, .. }) => {
                (limit.as_ref(), offset.as_ref())
            }
            Some(ast::LimitClause::OffsetCommaLimit { .. }) => {
                return Err(PgError::unsupported("LIMIT #,#"));
            }
        };
        let fetched = query.fetch.as_ref().map(|fetch| {
            let one = || ast::Expr::value(ast::Value::Number("1".to_owned(), false));
            fetch.quantity.clone().unwrap_or_else(one)
        });
        let limit = limit.or(fetched.as_ref());
        if plan.limit.is_some() || plan.offset.is_some() {
            return Err(PgError::new("42601", "multiple LIMIT clauses not allowed"));
        }
        let count = |expr: &ast::Expr, clause: &'static str| {
            let typed = self.expr_in(clause, expr, scope)?;
            if !can_cast(typed.ty, Ty::INT8, Context::Assignment) {
                let ty = typed.ty.name();
                let message = format!("argument of {clause} must be type bigint, not type {ty}");
                return Err(PgError::new("42804", message).at(self.position(expr.span())));
            }
            if typed.expr.columns().is_none_or(|columns| !columns.is_empty()) {
                let message = format!("argument of {clause} must not contain variables");
                return Err(PgError::new("42P10", message).at(self.placed(beginning(expr))));
            }
            self.coerce(typed, Ty::INT8, -1, Context::Assignment)
        };
        plan.limit = limit.map(|limit| count(limit, "LIMIT")).transpose()?;
        let offset = offset.map(|offset| count(&offset.value, "OFFSET"));
        plan.offset = offset.transpose()?;
        Ok(())
    }
}

/// Columns that a grouped primary key decides are keys too.
fn dependent_keys(group: &mut Group, scope: &Scope<'_>) {
    let is_key = |group: &Group, index: usize| {
        let same = |key: &Expr| matches!(key, Expr::Column { depth: 0, index: at } if *at == index);
        group.keys.iter().any(|(_, key, ..)| same(key))
    };
    for relation in &scope.relations {
        let Some(table) = &relation.table else { continue };
        let Some(primary) =
            table.primary().and_then(super::super::storage::catalog::Index::columns)
        else {
            continue;
        };
        let decided = primary.iter().all(|column| {
            let wanted = &table.columns[*column].name;
            let own = relation.columns.iter().find(|own| own.name == *wanted);
            own.is_some_and(|own| is_key(group, own.index))
        });
        if !decided {
            continue;
        }
        for column in &relation.columns {
            if !is_key(group, column.index) {
                let expr = Expr::Column { depth: 0, index: column.index };
                let nowhere = ast::Expr::Tuple(Vec::new());
                group.keys.push((nowhere, expr, column.ty, column.typmod));
            }
        }
    }
}

/// `GROUP BY 1` and `GROUP BY alias` mean the output column.
fn group_key(key: &ast::Expr, select: &ast::Select, scope: &Scope<'_>) -> Result<ast::Expr> {
    let output = |at: usize| match select.projection.get(at) {
        Some(ast::SelectItem::UnnamedExpr(expr) | ast::SelectItem::ExprWithAlias { expr, .. }) => {
            Some(expr.clone())
        }
        _ => None,
    };
    constant(key, "GROUP BY")?;
    if let Some(position) = literal_position(key) {
        let message = format!("GROUP BY position {position} is not in select list");
        let at = position.wrapping_sub(1);
        return output(at).ok_or_else(|| PgError::new("42P10", message));
    }
    if let ast::Expr::Identifier(name) = key
        && scope.find(None, &ident(name)).is_err()
    {
        let named = select.projection.iter().find_map(|item| match item {
            ast::SelectItem::ExprWithAlias { expr, alias } if ident(alias) == ident(name) => {
                Some(expr.clone())
            }
            _ => None,
        });
        return Ok(named.unwrap_or_else(|| key.clone()));
    }
    Ok(key.clone())
}

fn refuse_rare(select: &ast::Select) -> Result<()> {
    let rare = [
        (select.into.is_some(), "SELECT INTO"),
        (select.top.is_some(), "TOP"),
        (!select.named_window.is_empty(), "WINDOW"),
        (select.qualify.is_some(), "QUALIFY"),
        (!select.lateral_views.is_empty(), "LATERAL VIEW"),
    ];
    match rare.iter().find(|(there, _)| *there) {
        Some((_, what)) => Err(PgError::unsupported(what)),
        None => Ok(()),
    }
}

fn is_one(expr: &Expr) -> bool {
    !matches!(expr, Expr::And(_) | Expr::Or(_))
}

/// The parts of a conjunction.
pub fn split(condition: Expr, parts: &mut Vec<Arc<Expr>>) {
    match condition {
        Expr::And(all) => all.into_iter().for_each(|part| split(part, parts)),
        Expr::Const(Datum::Bool(true)) => {}
        Expr::Or(_) | Expr::Not(_) if !matches!(&condition, Expr::Not(inner) if is_one(inner)) => {
            match canonical(condition) {
                Expr::And(all) => parts.extend(all.into_iter().map(Arc::new)),
                other => parts.push(Arc::new(other)),
            }
        }
        other => parts.push(Arc::new(joined(other))),
    }
}

/// Gives the columns the names that an alias lists; `called`: what the relation is called.
pub fn rename(
    columns: &mut [OutColumn],
    alias: Option<&ast::TableAlias>,
    called: &str,
) -> Result<()> {
    let Some(alias) = alias else { return Ok(()) };
    let (there, given) = (columns.len(), alias.columns.len());
    if given > there {
        let message = format!(
            "table \"{called}\" has {there} columns available but {given} columns specified"
        );
        return Err(PgError::new("42P10", message));
    }
    for (column, name) in columns.iter_mut().zip(&alias.columns) {
        column.name = ident(&name.name).into();
    }
    Ok(())
}
