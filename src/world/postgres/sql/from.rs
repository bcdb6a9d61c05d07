//! FROM: relations, joins, where each condition is tested and which index finds rows.
//! Must never read a row.

use std::ops::Range;
use std::sync::Arc;

use sqlparser::ast;

use super::analyze::{Analyzer, Typed};
use super::functions::SET_FUNCTIONS;
use super::names::{ident, object_name};
use super::plan::{CompareOp, Expr, From, JoinKind, Lookup, OutColumn, Relation, Scan, Source};
use super::query::{rename, split};
use super::scope::{Scope, ScopeColumn, ScopeRelation};
use super::security::filter_scan;
use super::system::System;
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::storage::catalog::Table;
use crate::world::postgres::storage::locks::Mode;
use crate::world::postgres::storage::roles::Privileges;
use crate::world::postgres::types::Ty;

impl Analyzer<'_> {
    pub fn from(
        &self,
        tables: &[ast::TableWithJoins],
        scope: &mut Scope<'_>,
        relations: &mut Vec<Relation>,
        quals: &mut Vec<Arc<Expr>>,
    ) -> Result<From> {
        let mut from = From::Nothing;
        for table in tables {
            let tree = self.joined(table, scope, relations, quals)?;
            from = match from {
                From::Nothing => tree,
                left => join(JoinKind::Inner, left, tree, Vec::new()),
            };
        }
        Ok(from)
    }

    fn joined(
        &self,
        table: &ast::TableWithJoins,
        scope: &mut Scope<'_>,
        relations: &mut Vec<Relation>,
        quals: &mut Vec<Arc<Expr>>,
    ) -> Result<From> {
        let start = scope.relations.len();
        let mut tree = self.factor(&table.relation, scope, relations, quals)?;
        for part in &table.joins {
            let left_end = scope.relations.len();
            let right = self.factor(&part.relation, scope, relations, quals)?;
            let (kind, constraint) = join_kind(&part.join_operator)?;
            let mut on = Vec::new();
            match constraint {
                ast::JoinConstraint::None => {}
                ast::JoinConstraint::On(condition) => {
                    let condition = self.condition(self.expr(condition, scope)?, "JOIN/ON")?;
                    split(condition, &mut on);
                }
                ast::JoinConstraint::Using(names) => {
                    for name in names {
                        on.push(self.using(&object_name(name)?, start..left_end, kind, scope)?);
                    }
                }
                ast::JoinConstraint::Natural => {
                    for name in common_names(&scope.relations, &(start..left_end)) {
                        on.push(self.using(&name, start..left_end, kind, scope)?);
                    }
                }
            }
            if kind == JoinKind::Inner {
                quals.append(&mut on);
            }
            for (at, relation) in scope.relations.iter_mut().enumerate().skip(start) {
                relation.optional |= match kind {
                    JoinKind::Inner => false,
                    JoinKind::Left => at >= left_end,
                    JoinKind::Right => at < left_end,
                    JoinKind::Full => true,
                };
            }
            tree = join(kind, tree, right, on);
        }
        Ok(tree)
    }

    fn using(
        &self,
        name: &str,
        left: Range<usize>,
        kind: JoinKind,
        scope: &mut Scope<'_>,
    ) -> Result<Arc<Expr>> {
        if kind == JoinKind::Full {
            return Err(PgError::unsupported("FULL JOIN with USING"));
        }
        let find = |relations: &[ScopeRelation]| {
            let mut columns = relations.iter().flat_map(|relation| &relation.columns);
            columns.find(|c| *c.name == *name && !c.hidden).cloned()
        };
        let missing = |side: &str| {
            PgError::new(
                "42703",
                format!(
                    "column \"{name}\" specified in USING clause does not exist in {side} table"
                ),
            )
        };
        let on_left = find(&scope.relations[left.clone()]).ok_or_else(|| missing("left"))?;
        let on_right = find(&scope.relations[left.end..]).ok_or_else(|| missing("right"))?;
        for relation in &mut scope.relations[left.end..] {
            for column in relation.columns.iter_mut().filter(|c| c.index == on_right.index) {
                column.hidden = true;
            }
        }
        let merged = if kind == JoinKind::Right { on_right.index } else { on_left.index };
        for relation in &mut scope.relations[left] {
            for column in relation.columns.iter_mut().filter(|c| c.index == on_left.index) {
                column.merged = Some(merged);
            }
        }
        let side = |c: ScopeColumn| Typed {
            expr: Expr::Column { depth: 0, index: c.index },
            ty: c.ty,
            typmod: c.typmod,
            place: None,
        };
        Ok(Arc::new(self.compare(CompareOp::Eq, side(on_left), side(on_right))?))
    }

    fn factor(
        &self,
        factor: &ast::TableFactor,
        scope: &mut Scope<'_>,
        relations: &mut Vec<Relation>,
        quals: &mut Vec<Arc<Expr>>,
    ) -> Result<From> {
        match factor {
            ast::TableFactor::Table { name, alias, args: Some(args), with_ordinality, .. } => {
                let args = &args.args;
                self.function_relation(
                    name,
                    args,
                    alias.as_ref(),
                    *with_ordinality,
                    scope,
                    relations,
                )
            }
            ast::TableFactor::Function { name, args, alias, with_ordinality, .. } => self
                .function_relation(name, args, alias.as_ref(), *with_ordinality, scope, relations),
            ast::TableFactor::Table { sample: Some(_), .. } => {
                Err(PgError::unsupported("TABLESAMPLE"))
            }
            ast::TableFactor::Table { name, alias, .. } => {
                self.named(name, alias.as_ref(), scope, relations)
            }
            ast::TableFactor::Derived { subquery, alias: None, .. } => {
                let values = matches!(*subquery.body, ast::SetExpr::Values(_));
                let (what, form) =
                    if values { ("VALUES", "VALUES ...") } else { ("subquery", "SELECT ...") };
                let message = format!("{what} in FROM must have an alias");
                let hint = format!("For example, FROM ({form}) [AS] foo.");
                Err(PgError::new("42601", message).hint(hint))
            }
            ast::TableFactor::Derived { lateral, subquery, alias, .. } => {
                let lateral = *lateral;
                let query = if lateral {
                    self.query_within(subquery, Some(scope))?.0
                } else {
                    self.query_beside(subquery, scope)?.0
                };
                let mut columns = query.columns.clone();
                rename(&mut columns, alias.as_ref());
                let alias = alias_of(alias.as_ref(), "");
                let source = Source::Query { query: Arc::new(query), lateral };
                Ok(add(source, &alias, columns, scope, relations))
            }
            ast::TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } => {
                let [array] = array_exprs.as_slice() else {
                    return Err(PgError::unsupported("unnest of several arrays"));
                };
                let args = vec![self.expr(array, scope)?];
                self.set_relation(
                    "unnest",
                    args,
                    alias.as_ref(),
                    *with_ordinality,
                    scope,
                    relations,
                )
            }
            ast::TableFactor::NestedJoin { table_with_joins, alias: None } => {
                self.joined(table_with_joins, scope, relations, quals)
            }
            other => Err(PgError::unsupported(format_args!("{other} in FROM"))),
        }
    }

    /// A table or WITH query by its name.
    fn named(
        &self,
        name: &ast::ObjectName,
        alias: Option<&ast::TableAlias>,
        scope: &mut Scope<'_>,
        relations: &mut Vec<Relation>,
    ) -> Result<From> {
        let name_text = object_name(name)?;
        let known = self.ctes.borrow().iter().rev().find(|c| c.name == name_text).cloned();
        if let Some(cte) = known {
            if cte.correlated {
                scope.mark(usize::MAX);
            }
            let mut columns = cte.columns;
            let alias_name = alias_of(alias, &name_text);
            rename(&mut columns, alias);
            return Ok(add(Source::Cte(cte.slot), &alias_name, columns, scope, relations));
        }
        if let Some(system) = System::named(&name_text) {
            let mut columns = system.columns();
            rename(&mut columns, alias);
            let alias = alias_of(alias, &name_text);
            return Ok(add(Source::System(system), &alias, columns, scope, relations));
        }
        let position = name.0.last().and_then(|part| part.as_ident());
        let table = self
            .table(&name_text)
            .map_err(|error| error.at(position.and_then(|ident| self.position(ident.span))))?;
        self.uses(table.oid, Mode::AccessShare);
        self.guard(&table, Privileges::SELECT)?;
        let mut columns = table_columns(&table);
        rename(&mut columns, alias);
        let alias = alias_of(alias, &name_text);
        let mut from = add_table(table.clone(), &alias, columns, scope, relations);
        let at = relations.len() - 1;
        let command = ast::CreatePolicyCommand::Select;
        let filter = self.row_filter(&table, &alias, relations[at].offset, command)?;
        filter_scan(&mut from, at, &filter);
        Ok(from)
    }

    fn function_relation(
        &self,
        name: &ast::ObjectName,
        args: &[ast::FunctionArg],
        alias: Option<&ast::TableAlias>,
        ordinality: bool,
        scope: &mut Scope<'_>,
        relations: &mut Vec<Relation>,
    ) -> Result<From> {
        let mut typed = Vec::new();
        for arg in args {
            let ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) = arg else {
                return Err(PgError::unsupported("an argument of this form"));
            };
            typed.push(self.expr(expr, scope)?);
        }
        self.set_relation(&object_name(name)?, typed, alias, ordinality, scope, relations)
    }

    fn set_relation(
        &self,
        name: &str,
        args: Vec<Typed>,
        alias: Option<&ast::TableAlias>,
        ordinality: bool,
        scope: &mut Scope<'_>,
        relations: &mut Vec<Relation>,
    ) -> Result<From> {
        if !SET_FUNCTIONS.contains(&name) {
            return Err(PgError::unsupported(format_args!("the function {name} in FROM")));
        }
        let (function, args, types, ty) = self.set_call(name, args)?;
        let alias_name = alias_of(alias, name);
        let column =
            |name: &str, ty: Ty| OutColumn { name: name.into(), ty, typmod: -1, origin: None };
        let mut columns = vec![column(if alias.is_some() { &alias_name } else { name }, ty)];
        if ordinality {
            columns.push(column("ordinality", Ty::INT8));
        }
        rename(&mut columns, alias);
        let source = Source::Function { function, args, types, ordinality };
        Ok(add(source, &alias_name, columns, scope, relations))
    }
}

/// The column names that both sides of a join have, in the order of the left one.
fn common_names(relations: &[ScopeRelation], left: &Range<usize>) -> Vec<Arc<str>> {
    let names = |side: &[ScopeRelation]| -> Vec<Arc<str>> {
        let columns = side.iter().flat_map(|relation| &relation.columns);
        columns.filter(|column| !column.hidden).map(|column| column.name.clone()).collect()
    };
    let right = names(&relations[left.end..]);
    names(&relations[left.clone()]).into_iter().filter(|name| right.contains(name)).collect()
}

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
    choose_lookups(&mut from, relations);
    from
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

fn join(kind: JoinKind, left: From, right: From, on: Vec<Arc<Expr>>) -> From {
    From::Join { kind, left: Box::new(left), right: Box::new(right), on, filter: Vec::new() }
}

fn join_kind(operator: &ast::JoinOperator) -> Result<(JoinKind, &ast::JoinConstraint)> {
    use ast::JoinOperator as Op;
    Ok(match operator {
        Op::Join(constraint) | Op::Inner(constraint) | Op::CrossJoin(constraint) => {
            (JoinKind::Inner, constraint)
        }
        Op::Left(constraint) | Op::LeftOuter(constraint) => (JoinKind::Left, constraint),
        Op::Right(constraint) | Op::RightOuter(constraint) => (JoinKind::Right, constraint),
        Op::FullOuter(constraint) => (JoinKind::Full, constraint),
        _ => return Err(PgError::unsupported("this kind of join")),
    })
}

fn alias_of(alias: Option<&ast::TableAlias>, otherwise: &str) -> String {
    alias.map_or_else(|| otherwise.to_owned(), |alias| ident(&alias.name))
}

/// A table's columns as a query sees them; dropped ones keep their place and have no name.
pub fn table_columns(table: &Table) -> Vec<OutColumn> {
    let column = |(at, column): (usize, &crate::world::postgres::storage::catalog::Column)| {
        let number = i16::try_from(at + 1).unwrap_or(i16::MAX);
        let (name, ty, typmod) = (column.name.clone(), column.ty, column.typmod);
        OutColumn { name, ty, typmod, origin: Some((table.oid, number)) }
    };
    table.columns.iter().enumerate().map(column).collect()
}

pub fn add_table(
    table: Arc<Table>,
    alias: &str,
    columns: Vec<OutColumn>,
    scope: &mut Scope<'_>,
    relations: &mut Vec<Relation>,
) -> From {
    let dropped: Vec<bool> = table.columns.iter().map(|column| column.dropped).collect();
    let from = add(Source::Table(table), alias, columns, scope, relations);
    if let Some(relation) = scope.relations.last_mut() {
        let mut gone = dropped.into_iter();
        relation.columns.retain(|_| !gone.next().unwrap_or(false));
    }
    from
}

/// Adds a relation to the query's row and its names.
pub fn add(
    source: Source,
    alias: &str,
    columns: Vec<OutColumn>,
    scope: &mut Scope<'_>,
    relations: &mut Vec<Relation>,
) -> From {
    let offset = relations.last().map_or(0, |last| last.offset + last.width);
    let width = columns.len();
    let alias: Arc<str> = alias.into();
    let place = |(at, column): (usize, OutColumn)| ScopeColumn {
        name: column.name,
        ty: column.ty,
        typmod: column.typmod,
        index: offset + at,
        origin: column.origin,
        hidden: false,
        merged: None,
    };
    let columns = columns.into_iter().enumerate().map(place).collect();
    let lacks = match &source {
        Source::System(system) => system.lacks(),
        _ => &[],
    };
    scope.relations.push(ScopeRelation {
        alias: alias.clone(),
        columns,
        qualified_only: false,
        lacks,
        table: if let Source::Table(table) = &source { Some(table.clone()) } else { None },
        scalar: matches!(source, Source::Function { ordinality: false, .. }),
        optional: false,
    });
    relations.push(Relation { source, alias, offset, width });
    From::Scan(Scan { relation: relations.len() - 1, filter: Vec::new(), lookup: None })
}
