//! FROM: relations, joins, where each condition is tested and which index finds rows.
//! Must never read a row.

use std::ops::Range;
use std::sync::Arc;

use sqlparser::ast::{self, Spanned as _};

use super::analyze::{Analyzer, Typed};
use super::functions::{Builtin, SET_FUNCTIONS};
use super::gates::decide;
use super::names::{ident, object_name};
use super::placing::{within, within_on};
use super::plan::{CompareOp, Expr, From, JoinKind, OutColumn, Relation, Scan, Source};
use super::query::rename;
use super::scope::{Scope, ScopeColumn, ScopeRelation};
use super::security::filter_scan;
use super::system::System;
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::exec::functions::array::side_by_side;
use crate::world::postgres::storage::catalog::Table;
use crate::world::postgres::storage::locks::Mode;
use crate::world::postgres::storage::roles::Privileges;
use crate::world::postgres::types::Ty;

/// Words that are functions unless they stand in quotes.
const SPECIAL: &[&str] = &[
    "current_catalog",
    "current_date",
    "current_role",
    "current_time",
    "current_timestamp",
    "current_user",
    "localtime",
    "localtimestamp",
    "session_user",
    "user",
];

/// Whether it is one word without quotes.
fn bare(name: &ast::ObjectName) -> bool {
    let part = name.0.first().and_then(|part| part.as_ident());
    name.0.len() == 1 && part.is_some_and(|part| part.quote_style.is_none())
}

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
        let (start, columns) = (scope.relations.len(), scope.order.len());
        let around = scope.unseen.clone();
        // Conditions of inner joins: they may be tested late, but not after an outer join that
        // adds rows which do not fulfil them.
        let mut inner = Vec::new();
        let mut tree = self.factor(&table.relation, scope, relations, &mut inner)?;
        for part in &table.joins {
            let sides = start..scope.relations.len();
            let (kind, constraint) = join_kind(&part.join_operator)?;
            if matches!(kind, JoinKind::Right | JoinKind::Full) {
                scope.unseen = sides.clone();
            }
            let mut beside = Vec::new();
            let mut right = self.factor(&part.relation, scope, relations, &mut beside)?;
            // What a condition may read begins with this join.
            scope.unseen = 0..start;
            let mut on = self.on(constraint, (&sides, columns), kind, scope)?;
            scope.unseen = around.clone();
            if matches!(kind, JoinKind::Right | JoinKind::Full) {
                within(&mut tree, &mut inner, relations);
            }
            if matches!(kind, JoinKind::Left | JoinKind::Full) {
                within(&mut right, &mut beside, relations);
            }
            match kind {
                JoinKind::Left => within_on(&mut right, &on, relations),
                JoinKind::Right => within_on(&mut tree, &on, relations),
                JoinKind::Inner | JoinKind::Full => {}
            }
            inner.append(&mut beside);
            if kind == JoinKind::Inner {
                inner.append(&mut on);
            }
            if kind == JoinKind::Full && !on.is_empty() {
                let first = scope.relations[sides.end].columns.first().map_or(0, |c| c.index);
                can_be_full(&on, first)?;
            }
            for (at, relation) in scope.relations.iter_mut().enumerate().skip(start) {
                relation.optional |= match kind {
                    JoinKind::Inner => false,
                    JoinKind::Left => at >= sides.end,
                    JoinKind::Right => at < sides.end,
                    JoinKind::Full => true,
                };
            }
            tree = join(kind, tree, right, on);
        }
        quals.append(&mut inner);
        Ok(tree)
    }

    /// The condition of a join of the relations `left` and those after them; `columns`: where the
    /// columns of the join begin in the order of `*`.
    fn on(
        &self,
        constraint: &ast::JoinConstraint,
        (left, columns): (&Range<usize>, usize),
        kind: JoinKind,
        scope: &mut Scope<'_>,
    ) -> Result<Vec<Arc<Expr>>> {
        let mut on = Vec::new();
        let names: Vec<Arc<str>> = match constraint {
            ast::JoinConstraint::None => Vec::new(),
            ast::JoinConstraint::On(condition) => {
                let condition = self.expr_in("JOIN conditions", condition, scope)?;
                let condition = self.condition(condition, "JOIN/ON")?;
                self.split(condition, &mut on);
                if matches!(kind, JoinKind::Left | JoinKind::Right) {
                    decide(&mut on);
                }
                return Ok(on);
            }
            ast::JoinConstraint::Using(names) => {
                names.iter().map(|name| object_name(name).map(Into::into)).collect::<Result<_>>()?
            }
            ast::JoinConstraint::Natural => common_names(&scope.relations, left),
        };
        for (at, name) in names.iter().enumerate() {
            let (left_column, right_column, equal) = self.using(name, left.clone(), kind, scope)?;
            scope.order.retain(|index| ![left_column, right_column].contains(index));
            scope.order.insert(columns + at, left_column);
            on.push(equal);
        }
        Ok(on)
    }

    /// A column of USING: its places left and right, and that they are equal.
    fn using(
        &self,
        name: &str,
        left: Range<usize>,
        kind: JoinKind,
        scope: &mut Scope<'_>,
    ) -> Result<(usize, usize, Arc<Expr>)> {
        if kind == JoinKind::Full {
            return Err(PgError::unsupported("FULL JOIN with USING"));
        }
        let find = |relations: &[ScopeRelation], side: &str| {
            let columns = relations.iter().flat_map(|relation| &relation.columns);
            let mut named = columns.filter(|c| *c.name == *name && !c.hidden);
            let found = named.next().cloned();
            match named.next() {
                None => Ok(found),
                Some(_) => Err(PgError::new(
                    "42702",
                    format!("common column name \"{name}\" appears more than once in {side} table"),
                )),
            }
        };
        let missing = |side: &str| {
            PgError::new(
                "42703",
                format!(
                    "column \"{name}\" specified in USING clause does not exist in {side} table"
                ),
            )
        };
        let on_left =
            find(&scope.relations[left.clone()], "left")?.ok_or_else(|| missing("left"))?;
        let on_right =
            find(&scope.relations[left.end..], "right")?.ok_or_else(|| missing("right"))?;
        if on_left.ty != on_right.ty {
            return Err(PgError::unsupported("USING with columns of different types"));
        }
        let place = |column: &ScopeColumn| column.merged.unwrap_or(column.index);
        let (from_left, from_right) = (place(&on_left), place(&on_right));
        for relation in &mut scope.relations[left.end..] {
            for column in relation.columns.iter_mut().filter(|c| c.index == on_right.index) {
                column.hidden = true;
            }
        }
        let merged = if kind == JoinKind::Right { from_right } else { from_left };
        for relation in &mut scope.relations[left] {
            for column in relation.columns.iter_mut().filter(|c| c.index == on_left.index) {
                column.merged = Some(merged);
            }
        }
        let side = |c: &ScopeColumn, index: usize| Typed {
            expr: Expr::Column { depth: 0, index },
            ty: c.ty,
            typmod: c.typmod,
            place: None,
        };
        let (left, right) = (side(&on_left, from_left), side(&on_right, from_right));
        let equal = self.compare(CompareOp::Eq, left, right)?;
        Ok((on_left.index, on_right.index, Arc::new(equal)))
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
                let place = self.operator("(", subquery.span());
                Err(PgError::new("42601", message).hint(hint).at(place))
            }
            ast::TableFactor::Derived { lateral, subquery, alias, .. } => {
                let lateral = *lateral;
                let query = if lateral {
                    self.query_within(subquery, Some(scope))?.0
                } else {
                    self.query_beside(subquery, scope)?.0
                };
                let mut columns = query.columns.clone();
                let alias_name = alias_of(alias.as_ref(), "");
                rename(&mut columns, alias.as_ref(), &alias_name)?;
                let source = Source::Query { query: Arc::new(query), lateral };
                add(source, &alias_name, columns, scope, relations)
            }
            ast::TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } => {
                let args = self.exprs(array_exprs, scope)?;
                let ordinality = *with_ordinality;
                self.set_relation("unnest", args, alias.as_ref(), ordinality, scope, relations)
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
        let place = name.0.first().and_then(|part| part.as_ident());
        let place = place.and_then(|first| self.position(first.span));
        let name_text = match object_name(name) {
            Ok(text) => text,
            Err(error) => return Err(self.named_table(name).err().unwrap_or(error)),
        };
        let known = self.ctes.borrow().iter().rev().find(|c| c.name == name_text).cloned();
        if let Some(cte) = known.filter(|_| name.0.len() == 1) {
            if cte.correlated {
                scope.mark(usize::MAX);
            }
            if cte.silent {
                let message =
                    format!("WITH query \"{name_text}\" does not have a RETURNING clause");
                return Err(PgError::new("0A000", message).at(place));
            }
            self.reads.borrow_mut().push(cte.slot);
            let mut columns = cte.columns;
            let alias_name = alias_of(alias, &name_text);
            rename(&mut columns, alias, &alias_name)?;
            return add(Source::Cte(cte.slot), &alias_name, columns, scope, relations);
        }
        if SPECIAL.contains(&name_text.as_str()) && bare(name) {
            return Err(PgError::unsupported(format_args!("{name_text} as a table")));
        }
        if let Some(system) = System::named(&name_text) {
            let mut columns = system.columns();
            let alias_name = alias_of(alias, &name_text);
            rename(&mut columns, alias, &alias_name)?;
            return add(Source::System(system), &alias_name, columns, scope, relations);
        }
        let later = self.later.borrow().iter().find(|(later, _)| *later == name_text).cloned();
        let later = later.filter(|_| name.0.len() == 1);
        if later.as_ref().is_some_and(|(_, recursive)| *recursive) {
            let what = "a recursive query of this form, or one that reads a later one,";
            return Err(PgError::unsupported(what));
        }
        let table = self
            .named_table(name)
            .map_err(|error| if later.is_some() { not_yet(error, &name_text) } else { error })?;
        self.uses(table.oid, Mode::AccessShare);
        self.needs(&table, Privileges::SELECT);
        let mut columns = table_columns(&table);
        let alias_name = alias_of(alias, &name_text);
        rename(&mut columns, alias, &alias_name)?;
        let alias = alias_name;
        let mut from = add_table(table.clone(), &alias, columns, scope, relations)?;
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
            typed.push(self.expr_in("functions in FROM", expr, scope)?);
        }
        let place = name.0.first().and_then(|part| part.as_ident()).map(|first| first.span);
        self.set_relation(&object_name(name)?, typed, alias, ordinality, scope, relations).map_err(
            |error| match error.code() {
                "42883" | "42725" => error.at(place.and_then(|place| self.position(place))),
                _ => error,
            },
        )
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
        if name == "unnest" && args.len() > 1 {
            return self.unnested(args, alias, ordinality, scope, relations);
        }
        if !SET_FUNCTIONS.contains(&name) {
            return Err(PgError::unsupported(format_args!("the function {name} in FROM")));
        }
        let (function, args, types, ty) = self.set_call(name, args)?;
        let alias_name = alias_of(alias, name);
        // Some functions name what they give.
        let called = match name {
            "jsonb_array_elements" | "jsonb_array_elements_text" => "value",
            _ => &alias_name,
        };
        let mut columns = vec![column(called, ty)];
        if ordinality {
            columns.push(column("ordinality", Ty::INT8));
        }
        rename(&mut columns, alias, &alias_name)?;
        let source = Source::Function { function, args, types, ordinality };
        add(source, &alias_name, columns, scope, relations)
    }

    /// `unnest(a, b)`: a column an array.
    fn unnested(
        &self,
        arrays: Vec<Typed>,
        alias: Option<&ast::TableAlias>,
        ordinality: bool,
        scope: &mut Scope<'_>,
        relations: &mut Vec<Relation>,
    ) -> Result<From> {
        let (mut args, mut types, mut columns) = (Vec::new(), Vec::new(), Vec::new());
        for array in arrays {
            let (_, own, own_types, ty) = self.set_call("pg_catalog.unnest", vec![array])?;
            args.extend(own);
            types.extend_from_slice(&own_types);
            columns.push(column("unnest", ty));
        }
        if ordinality {
            columns.push(column("ordinality", Ty::INT8));
        }
        let alias_name = alias_of(alias, "unnest");
        rename(&mut columns, alias, &alias_name)?;
        let (function, types) = (side_by_side as Builtin, types.into());
        let source = Source::Function { function, args, types, ordinality };
        add(source, &alias_name, columns, scope, relations)
    }
}

fn column(name: &str, ty: Ty) -> OutColumn {
    OutColumn { name: name.into(), ty, typmod: -1, origin: None }
}

/// A table that is not there is a WITH query that comes later.
fn not_yet(error: PgError, name: &str) -> PgError {
    let detail = format!(
        "There is a WITH item named \"{name}\", but it cannot be referenced from this part of the \
         query."
    );
    let hint = "Use WITH RECURSIVE, or re-order the WITH items to remove forward references.";
    error.detail(detail).hint(hint)
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
) -> Result<From> {
    let dropped: Vec<bool> = table.columns.iter().map(|column| column.dropped).collect();
    let from = add(Source::Table(table), alias, columns, scope, relations)?;
    if let Some(relation) = scope.relations.last_mut() {
        let mut gone = dropped.into_iter();
        relation.columns.retain(|_| !gone.next().unwrap_or(false));
    }
    Ok(from)
}

/// Adds a relation to the query's row and its names.
pub fn add(
    source: Source,
    alias: &str,
    columns: Vec<OutColumn>,
    scope: &mut Scope<'_>,
    relations: &mut Vec<Relation>,
) -> Result<From> {
    if scope.relations.iter().any(|known| *known.alias == *alias) {
        let message = format!("table name \"{alias}\" specified more than once");
        return Err(PgError::new("42712", message));
    }
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
    scope.order.extend(offset..offset + width);
    let columns = columns.into_iter().enumerate().map(place).collect();
    let lacks = match &source {
        Source::System(system) => system.lacks(),
        _ => &[],
    };
    scope.relations.push(ScopeRelation {
        alias: alias.clone(),
        columns,
        lacks,
        table: if let Source::Table(table) = &source { Some(table.clone()) } else { None },
        scalar: width == 1 && matches!(source, Source::Function { ordinality: false, .. }),
        optional: false,
    });
    relations.push(Relation { source, alias, offset, width });
    let relation = relations.len() - 1;
    Ok(From::Scan(Scan {
        relation,
        filter: Vec::new(),
        lookup: None,
        bounds: Vec::new(),
        whole: false,
    }))
}

/// PostgreSQL finds the pairs of a FULL JOIN by sorting or hashing, for which a column of each side
/// must be equal; `first`: where the columns of the right side begin.
fn can_be_full(on: &[Arc<Expr>], first: usize) -> Result<()> {
    let reads = |expr: &Expr, right: bool| {
        let columns = expr.columns().filter(|columns| !columns.is_empty());
        columns.is_some_and(|columns| columns.iter().all(|column| (*column >= first) == right))
    };
    let sides = |condition: &Arc<Expr>| match &**condition {
        Expr::Compare(CompareOp::Eq, a, b) => {
            reads(a, false) && reads(b, true) || reads(a, true) && reads(b, false)
        }
        Expr::Const(_) => true,
        _ => false,
    };
    if on.iter().any(sides) {
        return Ok(());
    }
    let message =
        "FULL JOIN is only supported with merge-joinable or hash-joinable join conditions";
    Err(PgError::new("0A000", message))
}
