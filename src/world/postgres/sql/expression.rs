//! Expressions of the syntax tree, with names and types resolved. Must never evaluate.

use sqlparser::ast::{self, BinaryOperator, Spanned as _, UnaryOperator, Value};

use super::aggregates::has_aggregate;
use super::analyze::{Analyzer, Context, Typed};
use super::lexical::NAMED;
use super::literals::{number, said};
use super::names::{ident, known_collation, literal_type};
use super::places::{begins_before, called, ends_open, signs_power};
use super::plan::{CompareOp, Expr, SubKind};
use super::resolve::{can_cast, compared};
use super::rows::{array_items, in_one, whole_row, written};
use super::scope::{Group, Scope};
use super::volatility::is_volatile;
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::types::{Datum, Ty};

pub fn compare_op(op: &BinaryOperator) -> Option<CompareOp> {
    if let Some(named) = operator_named(op) {
        let all = [CompareOp::Eq, CompareOp::NotEq, CompareOp::Lt, CompareOp::LtEq];
        let mut all = all.into_iter().chain([CompareOp::Gt, CompareOp::GtEq]);
        return all.find(|op| op.symbol() == symbol_of(named));
    }
    Some(match op {
        BinaryOperator::Eq => CompareOp::Eq,
        BinaryOperator::NotEq => CompareOp::NotEq,
        BinaryOperator::Lt => CompareOp::Lt,
        BinaryOperator::LtEq => CompareOp::LtEq,
        BinaryOperator::Gt => CompareOp::Gt,
        BinaryOperator::GtEq => CompareOp::GtEq,
        _ => return None,
    })
}

/// What `OPERATOR(…)` names: a symbol, perhaps after its schema.
fn operator_named(op: &BinaryOperator) -> Option<&str> {
    let BinaryOperator::Custom(text) = op else { return None };
    text.strip_prefix(NAMED)?.strip_suffix(')')
}

fn symbol_of(named: &str) -> &str {
    named.rsplit_once('.').map_or(named, |(_, symbol)| symbol)
}

fn boxed(expr: Expr) -> Box<Expr> {
    Box::new(expr)
}

/// The one part of a definition that may read no column.
pub const DEFAULT: &str = "DEFAULT expression";

impl Analyzer<'_> {
    pub fn expr(&self, parsed: &ast::Expr, scope: &Scope<'_>) -> Result<Typed> {
        let typed = self.analyzed(parsed, scope);
        let typed = typed.map_err(|error| self.placed_error(error, parsed))?;
        let known = typed.place.filter(|_| !begins_before(parsed));
        Ok(Typed { place: known.or_else(|| self.beginning(parsed)), ..typed })
    }

    fn analyzed(&self, parsed: &ast::Expr, scope: &Scope<'_>) -> Result<Typed> {
        if let Some(group) = scope.group.as_ref().filter(|group| !group.inside.get())
            && let Some(at) = self.grouped(group, parsed, scope)
        {
            let (_, _, ty, typmod) = &group.keys[at];
            let expr = Expr::Column { depth: 0, index: at };
            return Ok(Typed { typmod: *typmod, ..Typed::new(expr, *ty) });
        }
        match parsed {
            ast::Expr::Nested(inner) => self.expr(inner, scope),
            ast::Expr::Identifier(name) => self.column(None, name, scope),
            ast::Expr::CompoundIdentifier(parts) => self.compound(parts, scope),
            ast::Expr::Value(value) => Ok(self.value(&value.value)?.at(value.span)),
            ast::Expr::TypedString(typed) => {
                let (ty, typmod) = literal_type(&typed.data_type)?;
                let literal = self.value(&typed.value.value)?.at(typed.value.span);
                let expr = self.coerce(literal, ty, typmod, Context::Explicit)?;
                Ok(Typed { typmod, ..Typed::new(said(expr, ty), ty) })
            }
            ast::Expr::Interval(interval) => self.interval(interval, scope),
            ast::Expr::BinaryOp { left, op, right } => self.binary(left, op, right, scope),
            ast::Expr::UnaryOp { op, expr } => self.unary(*op, expr, scope),
            ast::Expr::Cast {
                kind: kind @ (ast::CastKind::Cast | ast::CastKind::DoubleColon),
                expr,
                data_type: ty,
                ..
            } => {
                let (ty, typmod) = self.data_type(ty)?;
                if let (true, Some(items)) = (ty.array, array_items(expr)) {
                    return self.array_of(items, ty, typmod, scope);
                }
                let inner = self.expr(expr, scope)?;
                // A literal fails where it stands, a conversion where that is asked for.
                let begins = inner.place;
                let place = begins.filter(|_| inner.ty == Ty::UNKNOWN);
                let inner = Typed { place, ..inner };
                let expr = self.coerce(inner, ty, typmod, Context::Explicit)?;
                let stays = *kind == ast::CastKind::Cast && !matches!(expr, Expr::Cast { .. });
                let place = begins.filter(|_| stays);
                Ok(Typed { typmod, place, ..Typed::new(said(expr, ty), ty) })
            }
            ast::Expr::Function(function) => self.function(function, scope),
            ast::Expr::Case { operand, conditions, else_result, .. } => self.without_sets(|| {
                self.case(operand.as_deref(), conditions, else_result.as_deref(), scope)
            }),
            ast::Expr::Subquery(query) => self.subquery(query, SubKind::Scalar, scope),
            ast::Expr::Exists { subquery, negated } => {
                let typed = self.subquery(subquery, SubKind::Exists, scope)?;
                Ok(negate(typed, *negated))
            }
            ast::Expr::Array(array) => self.array(&array.elem, scope),
            ast::Expr::Tuple(items) => self.row(self.exprs(items, scope)?),
            other => self.predicate(other, scope),
        }
    }

    /// What is written with words: IS, IN, BETWEEN, LIKE, ANY.
    fn predicate(&self, parsed: &ast::Expr, scope: &Scope<'_>) -> Result<Typed> {
        match parsed {
            ast::Expr::IsDistinctFrom(a, b) => self.distinct(a, b, true, scope),
            ast::Expr::IsNotDistinctFrom(a, b) => self.distinct(a, b, false, scope),
            ast::Expr::InList { expr, list, negated } => {
                let any = in_one(self.in_list(expr, list, scope)?);
                Ok(negate(Typed::new(any, Ty::BOOL), *negated))
            }
            ast::Expr::InSubquery { expr, subquery, negated } => {
                let typed = self.in_query(expr, subquery, CompareOp::Eq, false, scope)?;
                Ok(negate(typed, *negated))
            }
            ast::Expr::Between { expr, negated, low, high } => {
                self.between(*negated, expr, [low, high], scope)
            }
            ast::Expr::Like { negated, any, expr, pattern, escape_char } => {
                let operator = if *negated { "!~~" } else { "~~" };
                self.like(operator, expr, (*any, pattern), escape_char.as_deref(), scope)
            }
            ast::Expr::ILike { negated, any, expr, pattern, escape_char } => {
                let operator = if *negated { "!~~*" } else { "~~*" };
                self.like(operator, expr, (*any, pattern), escape_char.as_deref(), scope)
            }
            ast::Expr::AnyOp { left, compare_op, right, .. } => {
                self.quantified(left, compare_op, right, false, scope)
            }
            ast::Expr::AllOp { left, compare_op, right } => {
                self.quantified(left, compare_op, right, true, scope)
            }
            other => match self.truth(other, scope) {
                Some(test) => test,
                None => self.special(other, scope),
            },
        }
    }

    /// Functions with a syntax of their own.
    fn special(&self, parsed: &ast::Expr, scope: &Scope<'_>) -> Result<Typed> {
        match parsed {
            ast::Expr::Extract { field, expr, .. } => {
                let field = field.to_string().trim_matches('\'').to_lowercase();
                let field = Expr::Const(Datum::text(field));
                let from = self.expr(expr, scope)?;
                self.call("pg_catalog.extract", vec![Typed::new(field, Ty::UNKNOWN), from])
            }
            ast::Expr::AtTimeZone { timestamp, time_zone } => {
                let args = vec![self.expr(time_zone, scope)?, self.expr(timestamp, scope)?];
                self.call("pg_catalog.timezone", args)
            }
            ast::Expr::Ceil { expr, field } => self.rounded("ceil", expr, field, scope),
            ast::Expr::Floor { expr, field } => self.rounded("floor", expr, field, scope),
            ast::Expr::Position { expr, r#in } => {
                let args = vec![self.expr(r#in, scope)?, self.expr(expr, scope)?];
                self.call("pg_catalog.position", args)
            }
            ast::Expr::Substring { expr, substring_from, substring_for, special, shorthand } => {
                let name = match (shorthand, special) {
                    (true, _) => "substr",
                    (false, true) => "substring",
                    _ if substring_from.is_none() && substring_for.is_none() => "substring",
                    _ => "pg_catalog.substring",
                };
                let mut args = vec![self.expr(expr, scope)?];
                if let (None, Some(length)) = (substring_from, substring_for) {
                    // A length alone is made an integer.
                    args.push(Typed::new(Expr::Const(Datum::Int(1)), Ty::INT4));
                    let length = self.expr(length, scope)?;
                    let length = self.coerce(length, Ty::INT4, -1, Context::Explicit)?;
                    args.push(Typed::new(length, Ty::INT4));
                } else {
                    for part in [substring_from, substring_for].into_iter().flatten() {
                        args.push(self.expr(part, scope)?);
                    }
                }
                self.call(name, args)
            }
            ast::Expr::Trim { trim_where, trim_what, expr, trim_characters: None } => {
                let name = match trim_where {
                    Some(ast::TrimWhereField::Leading) => "pg_catalog.ltrim",
                    Some(ast::TrimWhereField::Trailing) => "pg_catalog.rtrim",
                    _ => "pg_catalog.btrim",
                };
                let mut args = vec![self.expr(expr, scope)?];
                if let Some(what) = trim_what {
                    args.push(self.expr(what, scope)?);
                }
                self.call(name, args)
            }
            ast::Expr::CompoundFieldAccess { root, access_chain } => {
                self.subscripts(root, access_chain, scope)
            }
            ast::Expr::Collate { expr, collation } => {
                known_collation(collation)?;
                let typed = self.expr(expr, scope)?;
                self.collatable(&typed, collation)?;
                Ok(typed)
            }
            other => Err(PgError::unsupported(format_args!("the expression {other}"))),
        }
    }

    /// The key of the group that the expression is: the same text, or the same once analysed.
    fn grouped(&self, group: &Group, parsed: &ast::Expr, scope: &Scope<'_>) -> Option<usize> {
        let same = group.keys.iter().position(|(key, ..)| key == parsed);
        let plain = matches!(
            parsed,
            ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_) | ast::Expr::Value(_)
        );
        let computed = |(_, key, ..): &(_, Expr, _, _)| !matches!(key, Expr::Column { .. });
        if same.is_some() || plain || !group.keys.iter().any(computed) || has_aggregate(parsed) {
            return same;
        }
        group.inside.set(true);
        let typed = self.expr(parsed, scope);
        group.inside.set(false);
        let shown = format!("{:?}", typed.ok()?.expr);
        group.keys.iter().position(|(_, key, ..)| format!("{key:?}") == shown)
    }

    pub fn exprs(&self, parsed: &[ast::Expr], scope: &Scope<'_>) -> Result<Vec<Typed>> {
        parsed.iter().map(|expr| self.expr(expr, scope)).collect()
    }

    fn column(
        &self,
        qualifier: Option<&ast::Ident>,
        name: &ast::Ident,
        scope: &Scope<'_>,
    ) -> Result<Typed> {
        let wanted = ident(name);
        let place = qualifier.unwrap_or(name).span;
        let qualifier = qualifier.map(ident);
        let qualifier = qualifier.as_deref();
        if self.part == Some(DEFAULT) && self.bare_word(name).is_none() {
            let message = format!("cannot use column reference in {DEFAULT}");
            return Err(PgError::new("0A000", message).at(self.position(place)));
        }
        let found = match scope.find(qualifier, &wanted) {
            Ok(found) => {
                self.refuse_both(qualifier, &wanted).map_err(|e| e.at(self.position(place)))?;
                found
            }
            Err(error) if qualifier.is_none() && error.code() == "42703" => {
                let row = whole_row(&wanted, scope);
                let row = row.map_err(|error| error.at(self.position(place)))?;
                if row.is_some() {
                    self.refuse_both(None, &wanted).map_err(|e| e.at(self.position(place)))?;
                } else if scope.lacks(None, &wanted) {
                    return Err(PgError::unsupported(format_args!("the column {wanted}")));
                }
                let other =
                    row.or_else(|| self.variable(None, &wanted)).or_else(|| self.bare_word(name));
                return other.ok_or_else(|| error.at(self.position(place)));
            }
            Err(_) if self.variable(qualifier, &wanted).is_some() => {
                let variable = self.variable(qualifier, &wanted);
                return Ok(variable.expect("just found"));
            }
            Err(error) if error.code() == "42703" && scope.lacks(qualifier, &wanted) => {
                return Err(PgError::unsupported(format_args!("the column {wanted}")));
            }
            Err(error) => return Err(error.at(self.position(place))),
        };
        let (ty, typmod) = (found.column.ty, found.column.typmod);
        let mut index = found.column.index;
        let home = scope.around(found.depth).unwrap_or(scope);
        if let Some(group) = home.group.as_ref().filter(|group| !group.inside.get() && !group.loose)
        {
            let key = group.keys.iter().position(
                |(_, key, ..)| matches!(key, Expr::Column { depth: 0, index: at } if *at == index),
            );
            index = key.ok_or_else(|| {
                let shown =
                    home.relations.iter().find(|r| r.columns.iter().any(|c| c.index == index));
                let relation = shown.map_or("", |relation| &*relation.alias);
                let message = match found.depth {
                    0 => format!(
                        "column \"{relation}.{wanted}\" must appear in the GROUP BY clause \
                         or be used in an aggregate function"
                    ),
                    _ => format!(
                        "subquery uses ungrouped column \"{relation}.{wanted}\" from outer query"
                    ),
                };
                PgError::new("42803", message).at(self.position(place))
            })?;
        }
        let expr = Expr::Column { depth: found.depth, index };
        Ok(Typed { typmod, ..Typed::new(expr, ty).at(place) })
    }

    /// The parser takes these two for calls of its own, with a scale.
    fn rounded(
        &self,
        name: &str,
        expr: &ast::Expr,
        field: &ast::CeilFloorKind,
        scope: &Scope<'_>,
    ) -> Result<Typed> {
        let mut args = vec![self.expr(expr, scope)?];
        match field {
            ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime) => {}
            ast::CeilFloorKind::DateTimeField(_) => {
                return Err(PgError::new("42601", "syntax error at or near \"to\""));
            }
            ast::CeilFloorKind::Scale(scale) => {
                args.push(self.expr(&ast::Expr::Value(scale.clone()), scope)?);
            }
        }
        self.call(name, args)
    }

    /// Words that are functions without parentheses, unless they stand in quotes.
    fn bare_word(&self, name: &ast::Ident) -> Option<Typed> {
        let name = ident(name.quote_style.is_none().then_some(name)?);
        let function = match name.as_str() {
            "current_timestamp" | "localtimestamp" | "current_date" | "current_user"
            | "session_user" | "user" | "current_role" | "current_catalog" | "current_schema" => {
                name.as_str()
            }
            _ => return None,
        };
        self.grammar(function, Vec::new()).ok()
    }

    fn compound(&self, parts: &[ast::Ident], scope: &Scope<'_>) -> Result<Typed> {
        match parts {
            [qualifier, name] => self.column(Some(qualifier), name, scope),
            [schema, qualifier, name] if ident(schema) == "public" => {
                self.column(Some(qualifier), name, scope)
            }
            [first, qualifier, _] => {
                Err(scope.elsewhere(&ident(qualifier)).at(self.position(first.span)))
            }
            _ => Err(PgError::unsupported("a column name of this many parts")),
        }
    }

    fn binary(
        &self,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
        scope: &Scope<'_>,
    ) -> Result<Typed> {
        let named = operator_named(op);
        let place = |name: &str| match named {
            Some(_) => self.operator("operator", right.span()),
            None => self.operator(name, right.span()),
        };
        let unknown = |error: PgError, name: &str| match (named, error.code()) {
            (Some(named), "42883") => called(error, name, named).at(place(name)),
            (_, "42883" | "42725") => error.at(place(name)),
            _ => error,
        };
        // Long AND chains come nested to the left.
        if matches!(op, BinaryOperator::And | BinaryOperator::Or) {
            let and = *op == BinaryOperator::And;
            let name = if and { "AND" } else { "OR" };
            let left = self.condition(self.expr(left, scope)?, name)?;
            let right = self.condition(self.expr(right, scope)?, name)?;
            return Ok(Typed::new(self.junction(and, left, right), Ty::BOOL));
        }
        match op {
            BinaryOperator::Overlaps => return Err(PgError::unsupported("OVERLAPS")),
            BinaryOperator::Assignment => return Err(PgError::unsupported("a named argument")),
            BinaryOperator::PGExp if signs_power(right) => {
                return Err(PgError::unsupported("a power with a sign of a power"));
            }
            BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
            | BinaryOperator::PGExp
                if ends_open(left) =>
            {
                return Err(PgError::unsupported("an operator before a calculation"));
            }
            _ => {}
        }
        if let Some(op) = compare_op(op) {
            let compared = self.compare_parsed(op, left, right, scope);
            let expr = compared.map_err(|error| unknown(error, op.symbol()))?;
            return Ok(Typed::new(expr, Ty::BOOL));
        }
        if written(left).is_some() && written(right).is_some() {
            return Err(PgError::unsupported(format_args!("{op} of rows")));
        }
        let (left, right) = (self.expr(left, scope)?, self.expr(right, scope)?);
        let name = match (named, op) {
            (Some(named), _) => symbol_of(named).to_owned(),
            (None, BinaryOperator::PGExp) => "^".to_owned(),
            (None, other) => other.to_string(),
        };
        self.call(&name, vec![left, right]).map_err(|error| unknown(error, &name))
    }

    /// Rows are compared part by part: each part has types of its own.
    pub fn compare(&self, op: CompareOp, left: Typed, right: Typed) -> Result<Expr> {
        let symbol = op.symbol();
        let (types, ty) = compared(symbol, left.ty, right.ty)?;
        if ty == (Ty { array: true, ..Ty::BPCHAR }) {
            return Err(PgError::unsupported("a comparison of arrays of characters"));
        }
        let side = |typed: Typed, own: Ty| {
            // All integers have one form: no conversion is needed to compare them.
            if ty.is_integer() && typed.ty.is_integer() {
                return Ok(typed.expr);
            }
            let expr = self.coerce(typed, own, -1, Context::Implicit)?;
            let expr = self.coerce(Typed::new(expr, own), ty, -1, Context::Implicit)?;
            // Blanks at the end of a `char` do not count.
            let padded = Typed::new(expr, ty);
            let text = if ty == Ty::BPCHAR { Ty::TEXT } else { ty };
            self.coerce(padded, text, -1, Context::Implicit)
        };
        Ok(Expr::Compare(op, boxed(side(left, types[0])?), boxed(side(right, types[1])?)))
    }

    fn unary(&self, op: UnaryOperator, inner: &ast::Expr, scope: &Scope<'_>) -> Result<Typed> {
        if op == UnaryOperator::Minus
            && let Some((text, negated)) = literal_number(inner)
        {
            return if negated { number(text) } else { number(&format!("-{text}")) };
        }
        // `-a ^ b` is the power of -a.
        if let (UnaryOperator::Minus, ast::Expr::BinaryOp { left, op: power, right }) = (op, inner)
            && matches!(power, BinaryOperator::PGExp)
        {
            let expr = left.clone();
            let left = ast::Expr::UnaryOp { op: UnaryOperator::Minus, expr };
            return self.binary(&left, power, right, scope);
        }
        let typed = self.expr(inner, scope)?;
        match op {
            UnaryOperator::Not => {
                let condition = self.condition(typed, "NOT")?;
                Ok(Typed::new(Expr::Not(boxed(condition)), Ty::BOOL))
            }
            UnaryOperator::Plus if typed.ty.is_number() => Ok(typed),
            other => self.call(&other.to_string(), vec![typed]).map_err(|error| {
                let missing = error.code() == "42883";
                let hint = "No operator matches the given name and argument type. \
                            You might need to add an explicit type cast.";
                if missing { error.hint(hint) } else { error }
            }),
        }
    }

    fn case(
        &self,
        operand: Option<&ast::Expr>,
        conditions: &[ast::CaseWhen],
        otherwise: Option<&ast::Expr>,
        scope: &Scope<'_>,
    ) -> Result<Typed> {
        let mut whens = Vec::with_capacity(conditions.len());
        // The type is sought from ELSE on, which is read last.
        let mut results = Vec::with_capacity(conditions.len() + 1);
        for when in conditions {
            let operand = operand.map(|operand| self.expr(operand, scope)).transpose()?;
            let operand = operand.map(|operand| self.settle(operand)).transpose()?;
            let condition = self.expr(&when.condition, scope)?;
            whens.push(match operand {
                Some(operand) => {
                    if conditions.len() > 1 && is_volatile(&operand.expr) {
                        return Err(PgError::unsupported("CASE of a volatile expression"));
                    }
                    let place = || self.operator("when", when.condition.span());
                    self.compare(CompareOp::Eq, operand, condition)
                        .map_err(|error| error.at(place()))?
                }
                None => self.condition(condition, "CASE/WHEN")?,
            });
            results.push(self.expr(&when.result, scope)?);
        }
        let otherwise = match otherwise {
            Some(otherwise) => self.expr(otherwise, scope)?,
            None => Typed::new(Expr::NULL, Ty::UNKNOWN),
        };
        results.insert(0, otherwise);
        let (mut results, ty, typmod) = self.unify(results, "CASE")?;
        let otherwise = boxed(results.remove(0));
        let whens = whens.into_iter().zip(results).collect();
        Ok(Typed { typmod, ..Typed::new(Expr::Case { whens, otherwise }, ty) })
    }

    fn subscripts(
        &self,
        root: &ast::Expr,
        chain: &[ast::AccessExpr],
        scope: &Scope<'_>,
    ) -> Result<Typed> {
        let subscript = |access: &ast::AccessExpr| {
            matches!(access, ast::AccessExpr::Subscript(ast::Subscript::Index { .. }))
        };
        if !chain.iter().all(subscript) {
            return Err(PgError::unsupported("this access to a field"));
        }
        let typed = self.expr(root, scope)?;
        if typed.ty == Ty::JSONB {
            return Err(PgError::unsupported("a subscript of jsonb"));
        }
        if !typed.ty.array {
            let name = typed.ty.name();
            let why = "because it does not support subscripting";
            let message = format!("cannot subscript type {name} {why}");
            return Err(PgError::new("42804", message).at(self.placed(typed.place)));
        }
        let (ty, typmod) = (typed.ty.element(), typed.typmod);
        let mut args = vec![typed];
        for access in chain {
            let ast::AccessExpr::Subscript(ast::Subscript::Index { index }) = access else {
                continue;
            };
            let index = self.expr(index, scope)?;
            if index.ty != Ty::UNKNOWN && !can_cast(index.ty, Ty::INT4, Context::Assignment) {
                let error = PgError::new("42804", "array subscript must have type integer");
                return Err(error.at(self.placed(index.place)));
            }
            let index = self.coerce(index, Ty::INT4, -1, Context::Assignment)?;
            args.push(Typed::new(index, Ty::INT4));
        }
        let dimensions = chain.len();
        if dimensions > 6 {
            let message = "number of array dimensions";
            let message = format!("{message} ({dimensions}) exceeds the maximum allowed (6)");
            return Err(PgError::new("54000", message));
        }
        Ok(Typed { ty, typmod, ..self.grammar("array_item", args)? })
    }
}

/// A number as it is written, and whether a minus is before it.
fn literal_number(parsed: &ast::Expr) -> Option<(&str, bool)> {
    match parsed {
        ast::Expr::Value(value) => match &value.value {
            Value::Number(text, _) => Some((text, false)),
            _ => None,
        },
        ast::Expr::Nested(inner) => literal_number(inner),
        ast::Expr::UnaryOp { op: UnaryOperator::Minus, expr } => {
            literal_number(expr).map(|(text, negated)| (text, !negated))
        }
        _ => None,
    }
}

pub fn negate(typed: Typed, negated: bool) -> Typed {
    if negated { Typed::new(Expr::Not(boxed(typed.expr)), Ty::BOOL) } else { typed }
}
