//! Output columns: what a select list gives, what it is called, what ORDER BY means by a name.
//! Must never read a row.

use sqlparser::ast::{self, Spanned as _};
use sqlparser::tokenizer::Location;

use super::analyze::{Analyzer, Context, SetPlace, Typed, can_compare, can_group, out_column};
use super::names::{ident, object_name};
use super::places::beginning;
use super::plan::{Body, Expand, Expr, OutColumn, Query, SortKey};
use super::scope::{Scope, ScopeColumn, ScopeRelation};
use super::volatility::is_volatile;
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::types::Ty;

/// A select list.
pub struct Output<'a> {
    pub items: &'a [ast::SelectItem],
    pub exprs: Vec<Expr>,
    pub columns: Vec<OutColumn>,
}

impl Analyzer<'_> {
    pub fn projection(
        &self,
        items: &[ast::SelectItem],
        scope: &Scope<'_>,
    ) -> Result<(Vec<Expr>, Vec<OutColumn>)> {
        let mut exprs = Vec::new();
        let mut columns = Vec::new();
        for item in items {
            match item {
                ast::SelectItem::UnnamedExpr(expr)
                | ast::SelectItem::ExprWithAlias { expr, .. } => {
                    let name = match item {
                        ast::SelectItem::ExprWithAlias { alias, .. } => ident(alias),
                        _ => output_name(expr),
                    };
                    let typed = self.expr(expr, scope)?;
                    let mut column = out_column(name, &typed);
                    column.origin = origin(&typed.expr, scope);
                    columns.push(column);
                    exprs.push(typed.expr);
                }
                ast::SelectItem::Wildcard(options) => {
                    let place = self.position(options.wildcard_token.0.span);
                    star(None, scope, &mut exprs, &mut columns).map_err(|error| error.at(place))?;
                }
                ast::SelectItem::QualifiedWildcard(
                    ast::SelectItemQualifiedWildcardKind::ObjectName(name),
                    _,
                ) => {
                    let place = self.position(name.span());
                    let last = || name.0.last().and_then(|part| part.as_ident()).map(ident);
                    object_name(name)
                        .map_err(|error| match error.code() {
                            "3F000" => scope.elsewhere(&last().unwrap_or_default()),
                            _ => error,
                        })
                        .and_then(|name| star(Some(&name), scope, &mut exprs, &mut columns))
                        .map_err(|error| error.at(place))?;
                }
                _ => return Err(PgError::unsupported("this item of a select list")),
            }
        }
        Ok((exprs, columns))
    }

    /// What is sorted or grouped is text if it is of no type (`addTargetToSortList`).
    pub fn as_text(&self, output: &mut Output<'_>, at: usize) -> Result<()> {
        if output.columns[at].ty == Ty::UNKNOWN {
            let place = self.item_of(output.items, at);
            output.exprs[at] = self.typed_as(&output.exprs[at], Ty::TEXT, place)?;
            output.columns[at].ty = Ty::TEXT;
        }
        Ok(())
    }

    /// Literals and parameters in a select list take the type that is wanted of their column.
    pub fn retype(&self, query: &mut Query, wanted: &[Ty], items: &ast::SetExpr) -> Result<()> {
        let mut all = wanted.iter().enumerate();
        all.try_for_each(|(at, ty)| self.retype_column(query, at, *ty, items))
    }

    pub fn retype_column(
        &self,
        query: &mut Query,
        at: usize,
        ty: Ty,
        items: &ast::SetExpr,
    ) -> Result<()> {
        let Body::Select(select) = &mut query.body else { return Ok(()) };
        if let (Some(expr), Some(column)) = (select.project.get_mut(at), query.columns.get_mut(at))
            && column.ty == Ty::UNKNOWN
        {
            let place = self.item(items, at);
            *expr = self.typed_as(expr, ty, place)?;
            column.ty = ty;
        }
        Ok(())
    }

    /// An item of no type, as one of this.
    fn typed_as(&self, expr: &Expr, ty: Ty, place: Option<Location>) -> Result<Expr> {
        let typed = Typed { place, ..Typed::new(expr.clone(), Ty::UNKNOWN) };
        self.coerce(typed, ty, -1, Context::Implicit)
    }

    /// What a query gives of no type is text, unless who reads it says otherwise
    /// (`resolveTargetListUnknowns`).
    pub fn resolved(&self, query: &mut Query, resolves: bool, items: &ast::SetExpr) -> Result<()> {
        let texts = vec![Ty::TEXT; if resolves { query.columns.len() } else { 0 }];
        self.retype(query, &texts, items)
    }

    /// A select list, and the set that it is unrolled by.
    pub fn unrolled<'a>(
        &self,
        items: &'a [ast::SelectItem],
        width: usize,
        scope: &Scope<'_>,
    ) -> Result<(Output<'a>, Option<Expand>)> {
        let place = SetPlace { depth: self.depth.get(), index: width, expand: None };
        let around = self.set.replace(Some(place));
        let (exprs, columns) = self.projection(items, scope)?;
        let expand = self.set.replace(around).and_then(|place| place.expand);
        if expand.is_some() && scope.group.is_some() {
            return Err(PgError::unsupported("a set-returning function over groups"));
        }
        Ok((Output { items, exprs, columns }, expand))
    }

    /// Where no call may give a set.
    pub fn without_sets<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let around = self.set.replace(None);
        let done = work();
        self.set.replace(around);
        done
    }

    /// A call that gives a set, within a select list.
    pub fn set_item(&self, name: &str, args: Vec<Typed>) -> Result<Typed> {
        let (function, args, types, ty) = self.set_call(name, args)?;
        let mut place = self.set.borrow_mut();
        let Some(place) = place.as_mut().filter(|place| place.depth == self.depth.get()) else {
            let message = "set-returning functions are not allowed here";
            return Err(PgError::new("0A000", message));
        };
        if place.expand.is_some() {
            return Err(PgError::unsupported("a second set-returning function in a select list"));
        }
        place.expand = Some(Expand { function, args, types });
        Ok(Typed::new(Expr::Column { depth: 0, index: place.index }, ty))
    }

    pub fn sort_expr(
        &self,
        key: &ast::Expr,
        output: &mut Output<'_>,
        over_output: bool,
        scope: &Scope<'_>,
    ) -> Result<Expr> {
        let position = output_position(key, Some(&output.exprs), &output.columns, "ORDER BY");
        let position = position.map_err(|error| error.at(self.position(key.span())))?;
        if let Some(index) = position {
            self.as_text(output, index)?;
            can_compare(output.columns[index].ty, true)
                .map_err(|error| error.at(self.position(key.span())))?;
            let expr = &output.exprs[index];
            if !over_output && is_volatile(expr) {
                return Err(PgError::unsupported("ORDER BY a volatile expression"));
            }
            let column = Expr::Column { depth: 0, index };
            return Ok(if over_output { column } else { expr.clone() });
        }
        if over_output {
            let typed = self.expr(key, scope)?;
            let shown = format!("{:?}", typed.expr);
            let same = output.exprs.iter().position(|expr| format!("{expr:?}") == shown);
            let index = same.ok_or_else(|| {
                PgError::new(
                    "42P10",
                    "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
                )
                .at(self.placed(beginning(key)))
            })?;
            return Ok(Expr::Column { depth: 0, index });
        }
        let typed = self.sort_key(key, output, scope)?;
        can_compare(typed.ty, true).map_err(|error| error.at(self.position(key.span())))?;
        Ok(typed.expr)
    }
}

impl Analyzer<'_> {
    /// What is sorted by, which may be in the select list (`findTargetlistEntrySQL99`).
    fn sort_key(
        &self,
        key: &ast::Expr,
        output: &mut Output<'_>,
        scope: &Scope<'_>,
    ) -> Result<Typed> {
        let typed = self.expr(key, scope)?;
        if let (Ty::UNKNOWN, Expr::Param(at)) = (typed.ty, &typed.expr) {
            let same = |expr: &Expr| matches!(expr, Expr::Param(other) if other == at);
            if let Some(index) = output.exprs.iter().position(same) {
                self.as_text(output, index)?;
            }
        }
        self.settle(typed)
    }

    /// What DISTINCT compares: the whole row.
    pub fn distinct_output(&self, output: &mut Output<'_>) -> Result<()> {
        for at in 0..output.columns.len() {
            self.as_text(output, at)?;
            can_group(output.columns[at].ty, output.columns[at].typmod)?;
        }
        Ok(())
    }

    /// What DISTINCT ON compares.
    pub fn distinct_on(
        &self,
        keys: &[ast::Expr],
        output: &mut Output<'_>,
        scope: &Scope<'_>,
    ) -> Result<Vec<Expr>> {
        let key = |key: &ast::Expr| {
            let position =
                output_position(key, Some(&output.exprs), &output.columns, "DISTINCT ON");
            match position.map_err(|error| error.at(self.position(key.span())))? {
                Some(index) => {
                    self.as_text(output, index)?;
                    Ok(output.exprs[index].clone())
                }
                None => Ok(self.sort_key(key, output, scope)?.expr),
            }
        };
        keys.iter().map(key).collect()
    }
}

/// DISTINCT ON keeps the first row of those in order: its keys come first in it. The first that
/// does not is what this fails with.
pub fn sorted_for(distinct_on: &[Expr], sort: &mut Vec<SortKey>) -> std::result::Result<(), usize> {
    let shown = |expr: &Expr| format!("{expr:?}");
    let mut missing: Vec<&Expr> = distinct_on.iter().collect();
    for key in &*sort {
        if missing.is_empty() {
            break;
        }
        let key = shown(&key.expr);
        if !distinct_on.iter().any(|expr| shown(expr) == key) {
            let is_missing = |expr: &Expr| shown(expr) == shown(missing[0]);
            return Err(distinct_on.iter().position(is_missing).unwrap_or(0));
        }
        missing.retain(|expr| shown(expr) != key);
    }
    let key = |expr: &Expr| SortKey { expr: expr.clone(), descending: false, nulls_first: false };
    sort.extend(missing.into_iter().map(key));
    Ok(())
}

fn star(
    alias: Option<&str>,
    scope: &Scope<'_>,
    exprs: &mut Vec<Expr>,
    columns: &mut Vec<OutColumn>,
) -> Result<()> {
    let wanted = |relation: &&ScopeRelation| alias.is_none_or(|alias| *alias == *relation.alias);
    let found = scope.relations.iter().any(|relation| wanted(&relation));
    if let Some(view) = scope.relations.iter().filter(wanted).find(|r| !r.lacks.is_empty()) {
        return Err(PgError::unsupported(format_args!("the column {}", view.lacks[0])));
    }
    let relations = scope.relations.iter().filter(wanted);
    let mut all: Vec<(&ScopeRelation, &ScopeColumn)> = relations
        .flat_map(|relation| relation.columns.iter().map(move |c| (relation, c)))
        .collect();
    if alias.is_none() {
        let place = |index: usize| scope.order.iter().position(|at| *at == index);
        all.retain(|(_, column)| !column.hidden);
        all.sort_by_key(|(_, column)| place(column.index));
    }
    for (relation, column) in all {
        let own = column.merged.filter(|_| alias.is_none());
        let mut index = own.unwrap_or(column.index);
        if let Some(group) = &scope.group {
            let own = |key: &Expr| key.is_column(index);
            index = group.keys.iter().position(|(_, key, ..)| own(key)).ok_or_else(|| {
                PgError::new(
                    "42803",
                    format!(
                        "column \"{}.{}\" must appear in the GROUP BY clause or be used in an \
                         aggregate function",
                        relation.alias, column.name
                    ),
                )
            })?;
        }
        exprs.push(Expr::Column { depth: 0, index });
        let (ty, typmod, origin) = (column.ty, column.typmod, column.origin);
        columns.push(OutColumn { name: column.name.clone(), ty, typmod, origin });
    }
    match (found, alias) {
        (true, _) => Ok(()),
        (false, Some(alias)) => {
            Err(PgError::new("42P01", format!("missing FROM-clause entry for table \"{alias}\"")))
        }
        (false, None) => {
            Err(PgError::new("42601", "SELECT * with no tables specified is not valid"))
        }
    }
}

fn origin(expr: &Expr, scope: &Scope<'_>) -> Option<(u32, i16)> {
    let Expr::Column { depth: 0, index } = expr else { return None };
    if scope.group.is_some() {
        return None;
    }
    let mut columns = scope.relations.iter().flat_map(|relation| &relation.columns);
    columns.find(|column| column.index == *index)?.origin
}

pub fn order_by(query: &ast::Query) -> Result<&[ast::OrderByExpr]> {
    match &query.order_by {
        None => Ok(&[]),
        Some(ast::OrderBy { kind: ast::OrderByKind::Expressions(keys), .. }) => Ok(keys),
        Some(_) => Err(PgError::unsupported("ORDER BY ALL")),
    }
}

pub fn literal_position(expr: &ast::Expr) -> Option<usize> {
    let ast::Expr::Value(value) = expr else { return None };
    let ast::Value::Number(text, _) = &value.value else { return None };
    text.parse().ok()
}

/// A constant that is no position means nothing in these clauses.
pub fn constant(key: &ast::Expr, clause: &str) -> Result<()> {
    let message = match key {
        ast::Expr::Value(value) if matches!(value.value, ast::Value::Placeholder(_)) => {
            return Ok(());
        }
        ast::Expr::Value(_) if literal_position(key).is_none() => {
            return Err(PgError::new("42601", format!("non-integer constant in {clause}")));
        }
        ast::Expr::UnaryOp { op: ast::UnaryOperator::Minus, expr } => {
            match literal_position(expr) {
                Some(position) => format!("{clause} position -{position} is not in select list"),
                None => return Ok(()),
            }
        }
        _ => return Ok(()),
    };
    Err(PgError::new("42P10", message))
}

/// `ORDER BY 2` and `ORDER BY name` mean an output column; `project`: what the columns are.
pub fn output_position(
    key: &ast::Expr,
    project: Option<&[Expr]>,
    columns: &[OutColumn],
    clause: &str,
) -> Result<Option<usize>> {
    constant(key, clause)?;
    if let Some(position) = literal_position(key) {
        let message = format!("{clause} position {position} is not in select list");
        return match position {
            1.. if position <= columns.len() => Ok(Some(position - 1)),
            _ => Err(PgError::new("42P10", message)),
        };
    }
    let ast::Expr::Identifier(name) = key else { return Ok(None) };
    let wanted = ident(name);
    let shown = |index: usize| project.map(|project| format!("{:?}", project[index]));
    let mut named = (0..columns.len()).filter(|index| *columns[*index].name == *wanted);
    let first = named.next();
    let same = |index: usize| project.is_some() && shown(index) == first.and_then(shown);
    if named.any(|index| !same(index)) {
        return Err(PgError::new("42702", format!("{clause} \"{wanted}\" is ambiguous")));
    }
    Ok(first)
}

/// What PostgreSQL calls an output column that has no alias.
pub fn output_name(expr: &ast::Expr) -> String {
    match expr {
        ast::Expr::Identifier(name) => ident(name),
        ast::Expr::CompoundIdentifier(parts) => parts.last().map(ident).unwrap_or_default(),
        ast::Expr::Function(function) => {
            object_name(&function.name).unwrap_or_else(|_| "?column?".to_owned())
        }
        ast::Expr::Cast { expr, .. } if !is_weak(expr) => output_name(expr),
        ast::Expr::Cast { data_type, .. } => super::data_type(data_type)
            .map(|(ty, _)| internal_name(ty).to_owned())
            .unwrap_or_default(),
        ast::Expr::TypedString(typed) => super::data_type(&typed.data_type)
            .map(|(ty, _)| internal_name(ty).to_owned())
            .unwrap_or_default(),
        ast::Expr::Value(value) if matches!(value.value, ast::Value::NationalStringLiteral(_)) => {
            "bpchar".to_owned()
        }
        ast::Expr::Nested(inner) => output_name(inner),
        ast::Expr::Case { else_result: Some(other), .. } if !is_weak(other) => output_name(other),
        ast::Expr::Case { .. } => "case".to_owned(),
        ast::Expr::Exists { negated: false, .. } => "exists".to_owned(),
        ast::Expr::Collate { expr, .. } => output_name(expr),
        ast::Expr::Array(_) => "array".to_owned(),
        ast::Expr::Tuple(_) => "row".to_owned(),
        ast::Expr::Interval(_) => "interval".to_owned(),
        ast::Expr::Extract { .. } => "extract".to_owned(),
        ast::Expr::Substring { shorthand: true, .. } => "substr".to_owned(),
        ast::Expr::Substring { .. } => "substring".to_owned(),
        ast::Expr::Trim { trim_where: Some(ast::TrimWhereField::Leading), .. } => {
            "ltrim".to_owned()
        }
        ast::Expr::Trim { trim_where: Some(ast::TrimWhereField::Trailing), .. } => {
            "rtrim".to_owned()
        }
        ast::Expr::Trim { .. } => "btrim".to_owned(),
        ast::Expr::Position { .. } => "position".to_owned(),
        ast::Expr::Ceil { .. } => "ceil".to_owned(),
        ast::Expr::Floor { .. } => "floor".to_owned(),
        ast::Expr::AtTimeZone { .. } => "timezone".to_owned(),
        ast::Expr::CompoundFieldAccess { root, .. } => output_name(root),
        ast::Expr::Subquery(query) => match &*query.body {
            ast::SetExpr::Select(select) => match select.projection.first() {
                Some(ast::SelectItem::UnnamedExpr(expr)) => output_name(expr),
                Some(ast::SelectItem::ExprWithAlias { alias, .. }) => ident(alias),
                _ => "?column?".to_owned(),
            },
            _ => "?column?".to_owned(),
        },
        _ => "?column?".to_owned(),
    }
}

/// Whether a name that an expression has gives way to that of a cast around it.
fn is_weak(expr: &ast::Expr) -> bool {
    match expr {
        ast::Expr::Nested(inner) => is_weak(inner),
        ast::Expr::Cast { expr, .. } | ast::Expr::Collate { expr, .. } => is_weak(expr),
        ast::Expr::CompoundFieldAccess { root, .. } => is_weak(root),
        ast::Expr::TypedString(_) | ast::Expr::Interval(_) => true,
        ast::Expr::Subquery(_) => false,
        ast::Expr::Case { else_result, .. } => else_result.as_deref().is_none_or(is_weak),
        other => output_name(other) == "?column?",
    }
}

/// A type's name in the catalogue.
fn internal_name(ty: Ty) -> &'static str {
    use crate::world::postgres::types::Base;
    match ty.base {
        Base::Bool => "bool",
        Base::Int2 => "int2",
        Base::Int4 => "int4",
        Base::Int8 => "int8",
        Base::Float4 => "float4",
        Base::Float8 => "float8",
        Base::Bpchar => "bpchar",
        Base::Varchar => "varchar",
        Base::Timestamp => "timestamp",
        Base::Timestamptz => "timestamptz",
        Base::Time => "time",
        Base::Text => "text",
        Base::Bytea => "bytea",
        Base::Numeric => "numeric",
        Base::Uuid => "uuid",
        Base::Json => "json",
        Base::Jsonb => "jsonb",
        Base::Date => "date",
        Base::Interval => "interval",
        Base::Regclass => "regclass",
        Base::Regtype => "regtype",
        Base::Oid => "oid",
        Base::Name => "name",
        Base::Void | Base::Unknown | Base::Record | Base::Any => "?column?",
    }
}

/// ORDER BY of a set operation knows its output only.
pub fn no_such_order() -> PgError {
    PgError::new("0A000", "invalid UNION/INTERSECT/EXCEPT ORDER BY clause")
        .detail("Only result column names can be used, not expressions or functions.")
        .hint("Add the expression/function to every SELECT, or move the UNION into a FROM clause.")
}
