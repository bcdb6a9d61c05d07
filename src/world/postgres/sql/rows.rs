//! Rows and arrays as values: `ROW(…)`, a table's alias, how they are compared. Must never
//! evaluate.

use sqlparser::ast::{self, Spanned};

use super::analyze::{Analyzer, Context, Typed};
use super::names::ident;
use super::plan::{CompareOp, Expr};
use super::resolve::common_type;
use super::scope::{Scope, ScopeRelation};
use super::volatility::is_volatile;
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::types::{Datum, Names, Ty};

/// What stands in a row that is written as one: `(a, b)`, `ROW(a, b)`.
pub fn written(parsed: &ast::Expr) -> Option<Vec<&ast::Expr>> {
    match parsed {
        ast::Expr::Tuple(items) => Some(items.iter().collect()),
        ast::Expr::Nested(inner) => written(inner),
        ast::Expr::Function(function) => {
            let [ast::ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else {
                return None;
            };
            let ast::FunctionArguments::List(list) = &function.args else { return None };
            if name.quote_style.is_some() || ident(name) != "row" {
                return None;
            }
            let items = list.args.iter().map(|arg| match arg {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(item)) => Some(item),
                _ => None,
            });
            items.collect()
        }
        _ => None,
    }
}

/// What stands in `ARRAY[…]`.
pub fn array_items(parsed: &ast::Expr) -> Option<&[ast::Expr]> {
    match parsed {
        ast::Expr::Nested(inner) => array_items(inner),
        ast::Expr::Array(array) => Some(&array.elem),
        _ => None,
    }
}

impl Analyzer<'_> {
    /// A row of these values; PostgreSQL calls its fields f1, f2, …
    pub fn row(&self, items: Vec<Typed>) -> Result<Typed> {
        let fields = items.into_iter().map(|item| {
            let item = if self.leaves_open(&item) { item } else { self.settle(item)? };
            Ok((item.ty, item.expr))
        });
        let fields = fields.collect::<Result<_>>()?;
        Ok(Typed::new(Expr::Record { names: None, fields }, Ty::RECORD))
    }

    /// ARRAY[…].
    pub fn array(&self, items: &[ast::Expr], scope: &Scope<'_>) -> Result<Typed> {
        if items.is_empty() {
            let hint = "Explicitly cast to the desired type, for example ARRAY[]::integer[].";
            let error = PgError::new("42P18", "cannot determine type of empty array");
            return Err(error.hint(hint));
        }
        let (items, ty, typmod) = self.unify(self.exprs(items, scope)?, "ARRAY")?;
        if ty.array {
            return Err(PgError::unsupported("an array of more than one dimension"));
        }
        Ok(Typed { typmod, ..Typed::new(Expr::Array(items), Ty { array: true, ..ty }) })
    }

    /// The same with a cast around it: each item is cast.
    pub fn array_of(
        &self,
        items: &[ast::Expr],
        ty: Ty,
        typmod: i32,
        scope: &Scope<'_>,
    ) -> Result<Typed> {
        let items = self.exprs(items, scope)?;
        if items.iter().any(|item| item.ty.array) {
            return Err(PgError::unsupported("an array of more than one dimension"));
        }
        let cast = |item| self.coerce(item, ty.element(), typmod, Context::Explicit);
        let items = items.into_iter().map(cast).collect::<Result<_>>()?;
        Ok(Typed { typmod, ..Typed::new(Expr::Array(items), ty) })
    }

    /// What of a list an IN compares with, one condition an item.
    pub fn in_list(
        &self,
        left: &ast::Expr,
        list: &[ast::Expr],
        scope: &Scope<'_>,
    ) -> Result<Vec<Expr>> {
        if written(left).is_some() || list.iter().any(|item| written(item).is_some()) {
            let parts = list.iter();
            return parts
                .map(|item| self.compare_parsed(CompareOp::Eq, left, item, scope))
                .collect();
        }
        let mut left = self.expr(left, scope)?;
        if list.len() > 1 && is_volatile(&left.expr) {
            return Err(PgError::unsupported("IN of a volatile expression"));
        }
        let mut items =
            list.iter().map(|item| self.expr(item, scope)).collect::<Result<Vec<_>>>()?;
        // Several that read no row are brought to one type first, as items of an array are.
        let mut plain: Vec<&mut Typed> = items.iter_mut().filter(|item| !reads(item)).collect();
        let types: Vec<Ty> =
            [left.ty].into_iter().chain(plain.iter().map(|item| item.ty)).collect();
        let common = common_type(&types, "IN").ok().filter(|ty| !ty.array && *ty != Ty::RECORD);
        if let (Some(common), 2..) = (common, plain.len()) {
            if left.ty == Ty::UNKNOWN && matches!(left.expr, Expr::Param(_)) {
                let place = left.place;
                let expr = self.coerce(left, common, -1, Context::Implicit)?;
                left = Typed { place, ..Typed::new(expr, common) };
            }
            for item in &mut plain {
                let expr = self.coerce(item.clone(), common, -1, Context::Implicit)?;
                **item = Typed { place: item.place, ..Typed::new(expr, common) };
            }
        }
        items.into_iter().map(|item| self.compare(CompareOp::Eq, left.clone(), item)).collect()
    }

    /// Two sides of a comparison. Rows that are written out are compared field by field
    /// (PostgreSQL 15, 9.24.5), all others as values.
    pub fn compare_parsed(
        &self,
        op: CompareOp,
        left: &ast::Expr,
        right: &ast::Expr,
        scope: &Scope<'_>,
    ) -> Result<Expr> {
        let (Some(lefts), Some(rights)) = (written(left), written(right)) else {
            let query = |side: &ast::Expr| matches!(side, ast::Expr::Subquery(_));
            if (written(left).is_some() && query(right))
                || (query(left) && written(right).is_some())
            {
                return Err(PgError::unsupported("comparing a row with a subquery"));
            }
            return self.compare(op, self.expr(left, scope)?, self.expr(right, scope)?);
        };
        let place = self.operator(op.symbol(), right.span());
        same_length(&lefts, &rights).map_err(|error| error.at(place))?;
        let sides = [lefts, rights].map(|side| self.sides(&side, scope));
        let [lefts, rights] = sides;
        let pairs = lefts?.into_iter().zip(rights?);
        let parts = pairs.map(|(a, b)| self.compare(op, a, b).map_err(|error| error.at(place)));
        match op {
            CompareOp::Eq => Ok(Expr::And(parts.collect::<Result<_>>()?)),
            CompareOp::NotEq => Ok(Expr::Or(parts.collect::<Result<_>>()?)),
            _ => {
                let pairs = parts.map(|part| match part? {
                    Expr::Compare(_, a, b) => Ok((*a, *b)),
                    _ => Err(PgError::unsupported("the order of these values in rows")),
                });
                Ok(Expr::CompareRows(op, pairs.collect::<Result<_>>()?))
            }
        }
    }

    /// The parts of a row that is compared with another. Rows among them would be values.
    fn sides(&self, parts: &[&ast::Expr], scope: &Scope<'_>) -> Result<Vec<Typed>> {
        if parts.iter().any(|part| written(part).is_some()) {
            return Err(PgError::unsupported("comparing rows within rows"));
        }
        parts.iter().map(|part| self.expr(part, scope)).collect()
    }

    /// IS NOT DISTINCT FROM.
    pub fn not_distinct(
        &self,
        left: &ast::Expr,
        right: &ast::Expr,
        scope: &Scope<'_>,
    ) -> Result<Expr> {
        if let (Some(lefts), Some(rights)) = (written(left), written(right)) {
            same_length(&lefts, &rights)?;
            let [lefts, rights] = [lefts, rights].map(|side| self.sides(&side, scope));
            let pairs = lefts?.into_iter().zip(rights?);
            let parts = pairs.map(|(a, b)| self.distinct_values(a, b));
            return Ok(Expr::And(parts.collect::<Result<_>>()?));
        }
        self.distinct_values(self.expr(left, scope)?, self.expr(right, scope)?)
    }

    fn distinct_values(&self, left: Typed, right: Typed) -> Result<Expr> {
        match self.compare(CompareOp::Eq, left, right)? {
            Expr::Compare(_, a, b) => Ok(Expr::NotDistinct(a, b)),
            _ => Err(PgError::unsupported("IS DISTINCT FROM between these rows")),
        }
    }
}

/// A relation's alias as a value: its row, or what a function in FROM returned.
pub fn whole_row(alias: &str, scope: &Scope<'_>) -> Result<Option<Typed>> {
    let Some((depth, relation)) = scope.relation(alias) else { return Ok(None) };
    scope.mark(depth);
    let home = scope.around(depth).unwrap_or(scope);
    if home.group.as_ref().is_some_and(|group| !group.inside.get()) {
        return Err(PgError::unsupported("the whole row of a table in a grouped query"));
    }
    if !relation.lacks.is_empty() {
        return Err(PgError::unsupported("the whole row of a system table"));
    }
    if relation.scalar {
        let column = &relation.columns[0];
        let expr = Expr::Column { depth, index: column.index };
        return Ok(Some(Typed { typmod: column.typmod, ..Typed::new(expr, column.ty) }));
    }
    let columns = relation.columns.iter();
    let fields = columns.map(|c| (c.ty, Expr::Column { depth, index: c.index })).collect();
    let row = Expr::Record { names: Some(names(relation)), fields };
    if !relation.optional {
        return Ok(Some(Typed::new(row, Ty::RECORD)));
    }
    // A row that the join did not find is NULL, not a row of NULLs.
    let never_null = never_null(relation).ok_or_else(|| {
        PgError::unsupported(
            "as a value, a row that an outer join may leave out, of a relation without a \
             column NOT NULL,",
        )
    })?;
    let missing = Expr::IsNull(Box::new(Expr::Column { depth, index: never_null }));
    let row = Expr::Case { whens: vec![(missing, Expr::NULL)], otherwise: Box::new(row) };
    Ok(Some(Typed::new(row, Ty::RECORD)))
}

fn same_length(left: &[&ast::Expr], right: &[&ast::Expr]) -> Result<()> {
    if left.len() == right.len() {
        return Ok(());
    }
    Err(PgError::new("42601", "unequal number of entries in row expressions"))
}

/// A table's rows carry the names of its columns, whatever its alias calls them here.
fn names(relation: &ScopeRelation) -> Names {
    match &relation.table {
        Some(table) => {
            let columns = table.columns.iter().filter(|column| !column.dropped);
            columns.map(|column| column.name.clone()).collect()
        }
        None => relation.columns.iter().map(|column| column.name.clone()).collect(),
    }
}

/// A column that tells a row of a table from a row that is missing.
fn never_null(relation: &ScopeRelation) -> Option<usize> {
    let table = relation.table.as_ref()?;
    let columns = table.columns.iter().filter(|column| !column.dropped);
    let mut pairs = columns.zip(&relation.columns);
    pairs.find(|(column, _)| column.not_null).map(|(_, place)| place.index)
}

/// Whether a value depends on a row; a subquery may.
fn reads(item: &Typed) -> bool {
    let mut reads = false;
    item.expr.walk(&mut |part| reads |= matches!(part, Expr::Column { .. } | Expr::Sub { .. }));
    reads
}

/// What IN says. To PostgreSQL several values are an array: neither does a NULL among them decide,
/// nor is a query left out because another value does, so that they are no junction.
pub fn in_one(any: Vec<Expr>) -> Expr {
    let open = |part: &Expr| {
        let mut found = false;
        part.walk(&mut |e| {
            found |= matches!(e, Expr::Const(Datum::Null) | Expr::Param(_) | Expr::Sub { .. });
        });
        found
    };
    let several = any.len() > 1 && any.iter().any(open);
    let any = Expr::Or(any);
    if several { Expr::Coalesce(vec![any]) } else { any }
}
