//! Functions and operators by name: which one a call means. Must never run one.

use std::sync::Arc;

use sqlparser::ast;

use super::aggregates::{AGGREGATES, check_distinct, misplaced, placed, refuse_absent};
use super::analyze::{Analyzer, Context, Typed, can_compare, can_group, check_times};
use super::names::object_name;
use super::plan::{Aggregate, Expr, SortKey, SubKind};
use super::resolve::{Chosen, Meaning, compared, is_of_types, resolve, signature};
use super::scope::Scope;
use super::signatures::Kind;
use super::volatility::{counts, is_steady, is_volatile};
use crate::world::postgres::error::{PgError, Result, Step, common};
use crate::world::postgres::exec::{self, Cx};
use crate::world::postgres::types::{Base, Datum, Ty};

/// What a call runs: its arguments and their types.
pub type Builtin = fn(&mut Cx<'_>, &[Datum], &[Ty]) -> Step<Datum>;

/// One row of a function table; operators stand under their symbol.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    pub name: &'static str,
    pub args: &'static [Ty],
    pub ret: Ty,
    /// NULL if an argument is.
    pub strict: bool,
    /// Any number of arguments like the last one.
    pub variadic: bool,
    pub run: Builtin,
}

/// Every function and operator.
pub const FUNCTION_TABLES: &[&[Function]] = &[
    exec::functions::number::TABLE,
    exec::functions::text::TABLE,
    exec::functions::like::TABLE,
    exec::functions::time::TABLE,
    exec::functions::to_char::TABLE,
    exec::functions::json::TABLE,
    exec::functions::json_text::TABLE,
    exec::functions::array::TABLE,
    exec::functions::system::TABLE,
];

/// What a name is looked up as, with this number of arguments.
fn kind(name: &str, number: usize) -> Kind {
    match (name.starts_with(|first: char| first.is_alphabetic() || first == '_'), number) {
        (true, _) => Kind::Function,
        (false, 1) => Kind::Prefix,
        _ => Kind::Operator,
    }
}

/// The row that runs what PostgreSQL chose. Its operators for integers of two widths are here those
/// of the wider one.
fn here(name: &str, chosen: &Chosen) -> Option<&'static Function> {
    let declared = chosen.declared.as_slice();
    let runs = |function: &&Function, wanted: &[Ty]| {
        if !function.variadic || !chosen.variadic {
            return function.variadic == chosen.variadic && function.args == wanted;
        }
        let Some((last, first)) = function.args.split_last() else { return false };
        let rest = wanted.strip_prefix(first);
        rest.is_some_and(|rest| !rest.is_empty() && rest.iter().all(|ty| ty == last))
    };
    let exact = candidates(name).find(|function| runs(function, declared));
    exact.or_else(|| {
        let [left, right] = declared else { return None };
        let wider = if left.numeric_rank() > right.numeric_rank() { *left } else { *right };
        let integers = left.is_integer() && right.is_integer() && wider != Ty::OID;
        candidates(name).find(|function| integers && runs(function, &[wider, wider]))
    })
}

fn candidates(name: &str) -> impl Iterator<Item = &'static Function> + use<'_> {
    FUNCTION_TABLES.iter().flat_map(|table| table.iter()).filter(move |f| f.name == name)
}

impl Analyzer<'_> {
    /// A call of a function or operator with arguments that are not aggregates' own. The name is
    /// preceded by `pg_catalog.` where PostgreSQL's grammar makes the call.
    pub fn call(&self, name: &str, args: Vec<Typed>) -> Result<Typed> {
        let types: Vec<Ty> = args.iter().map(|arg| arg.ty).collect();
        // No function of PostgreSQL's stands in `public`, and none of its tables says so.
        let plain = name.strip_prefix("pg_catalog.").unwrap_or(name);
        let kind = kind(plain, types.len());
        let mine = plain.strip_prefix("public.").unwrap_or(plain);
        let own = if kind == Kind::Function { self.routines(mine) } else { Vec::new() };
        let taken: Vec<Vec<Ty>> = own.iter().map(|routine| routine.types()).collect();
        match resolve(kind, plain, &types, &taken) {
            Meaning::Own(at) => self.routine(own[at], args),
            Meaning::Builtin(chosen) => match here(plain, &chosen) {
                Some(function) => self.builtin(function, &chosen.resolved, args),
                None => Err(PgError::unsupported(signature(kind, plain, &types))),
            },
            other => Err(other.error(kind, name, &types)),
        }
    }

    /// A call of a function or operator that is here.
    fn builtin(&self, function: &Function, resolved: &[Ty], args: Vec<Typed>) -> Result<Typed> {
        let mut exprs = Vec::with_capacity(args.len());
        let mut settled = Vec::with_capacity(args.len());
        let mut element = Ty::TEXT;
        for (at, arg) in args.into_iter().enumerate() {
            let mut ty = function.args.get(at).or(function.args.last()).copied();
            if ty.is_none_or(|ty| ty.base == Base::Any) {
                ty = resolved.get(at).copied();
                if arg.ty.base == Base::Regclass && function.name != "pg_typeof" {
                    return Err(PgError::unsupported(format_args!(
                        "{} of regclass",
                        function.name
                    )));
                }
                element = ty.map_or(element, Ty::element);
            }
            let ty = ty.unwrap_or(Ty::TEXT);
            settled.push(ty);
            let ty = if ty == Ty::UNKNOWN { Ty::TEXT } else { ty };
            check_times(self.db, self.pid, ty)?;
            if settled.last() == Some(&Ty::UNKNOWN) && self.leaves_open(&arg) {
                exprs.push(arg.expr);
                continue;
            }
            exprs.push(self.coerce(arg, ty, -1, Context::Implicit)?);
        }
        let ret = if function.ret.base == Base::Any {
            Ty { array: function.ret.array, ..element }
        } else {
            function.ret
        };
        let expr = Expr::Call {
            function: function.run,
            strict: function.strict,
            steady: is_steady(function, &settled),
            args: exprs,
            types: settled.into(),
        };
        let expr =
            if counts(function.name) { Expr::Counted(function.name, Box::new(expr)) } else { expr };
        Ok(Typed::new(expr, ret))
    }

    /// A call that only PostgreSQL's grammar can make: of the one function of this name here.
    pub fn grammar(&self, name: &str, args: Vec<Typed>) -> Result<Typed> {
        let types: Vec<Ty> = args.iter().map(|arg| arg.ty).collect();
        let function = candidates(name).next();
        let function = function.ok_or_else(|| PgError::unsupported(name))?;
        self.builtin(function, &types, args)
    }

    fn arguments(&self, list: &ast::FunctionArgumentList, scope: &Scope<'_>) -> Result<Vec<Typed>> {
        let argument = |arg: &ast::FunctionArg| match arg {
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => self.expr(expr, scope),
            _ => Err(PgError::unsupported("an argument of this form")),
        };
        list.args.iter().map(argument).collect()
    }

    pub fn function(&self, function: &ast::Function, scope: &Scope<'_>) -> Result<Typed> {
        let first = function.name.0.first().and_then(|part| part.as_ident());
        let place = first.and_then(|first| self.position(first.span));
        let name = object_name(&function.name).map_err(|error| error.at(place))?;
        refuse_absent(&name)?;
        if let Some(own) = self.special_name(&name, function, scope)? {
            return Ok(own);
        }
        if function.over.is_some() {
            return Err(PgError::unsupported("a window function"));
        }
        let list = match &function.args {
            ast::FunctionArguments::None => return self.grammar(&name, Vec::new()),
            ast::FunctionArguments::Subquery(query) if name == "array" => {
                return self.subquery(query, SubKind::Array, scope);
            }
            ast::FunctionArguments::Subquery(_) => {
                return Err(PgError::unsupported("a query as the argument of a function"));
            }
            ast::FunctionArguments::List(list) => list,
        };
        if AGGREGATES.contains(&name.as_str()) {
            return self.aggregate(&name, function, list, scope);
        }
        self.plain_call(&name, function, list)?;
        let args = match name.as_str() {
            "coalesce" => self.without_sets(|| self.arguments(list, scope))?,
            _ => self.arguments(list, scope)?,
        };
        let few = match name.as_str() {
            "concat" => 1,
            "concat_ws" => 2,
            _ => 0,
        };
        if args.len() < few {
            let types: Vec<String> = args.iter().map(|arg| arg.ty.name()).collect();
            return Err(common::no_function(&format!("{name}({})", types.join(", "))));
        }
        if args.is_empty() && matches!(name.as_str(), "coalesce" | "greatest" | "least") {
            return Err(PgError::new("42601", "syntax error at or near \")\""));
        }
        match name.as_str() {
            "coalesce" => {
                let (all, ty, typmod) = self.unify(args, "COALESCE")?;
                Ok(Typed { typmod, ..Typed::new(Expr::Coalesce(all), ty) })
            }
            "greatest" | "least" => {
                let (all, ty, typmod) = self.unify(args, &name.to_uppercase())?;
                if ty == Ty::JSON {
                    let why = "could not identify a comparison function for type json";
                    return Err(PgError::new("42883", why));
                }
                let args = all.into_iter().map(|expr| Typed::new(expr, ty)).collect();
                Ok(Typed { ty, typmod, ..self.grammar(&name, args)? })
            }
            "nullif" => self.nullif(args),
            "row" => self.row(args),
            _ => {
                let set = SET_FUNCTIONS.contains(&name.as_str());
                let call = if set { self.set_item(&name, args) } else { self.call(&name, args) };
                call.map_err(|error| if is_of_types(&error) { error } else { error.at(place) })
            }
        }
    }

    fn nullif(&self, args: Vec<Typed>) -> Result<Typed> {
        let near = if args.len() < 2 { ")" } else { "," };
        let [a, b] = <[Typed; 2]>::try_from(args)
            .map_err(|_| PgError::new("42601", format!("syntax error at or near \"{near}\"")))?;
        if is_volatile(&a.expr) {
            return Err(PgError::unsupported("NULLIF of a volatile expression"));
        }
        // The type is that of the left side of the operator.
        let ([ty, _], _) = compared("=", a.ty, b.ty)?;
        let typmod = if a.ty == ty { a.typmod } else { -1 };
        let kept = self.coerce(a.clone(), ty, -1, Context::Implicit)?;
        let same = self.compare(super::plan::CompareOp::Eq, a, b)?;
        let whens = vec![(same, Expr::nothing(ty))];
        let expr = Expr::Case { whens, otherwise: Box::new(kept) };
        Ok(Typed { typmod, ..Typed::new(expr, ty) })
    }

    fn aggregate(
        &self,
        name: &str,
        function: &ast::Function,
        list: &ast::FunctionArgumentList,
        scope: &Scope<'_>,
    ) -> Result<Typed> {
        let span = function.name.0.first().and_then(|part| part.as_ident()).map(|i| i.span);
        let place = || span.and_then(|span| self.position(span));
        let parts = || {
            let parts = self.aggregate_parts(name, function, list, scope);
            let parts = parts.map_err(|error| match error.code() {
                "42883" | "42809" | "42725" => error.at(place()),
                _ => error,
            })?;
            if only_outer(&parts, scope.parent.is_some()) {
                return Err(PgError::unsupported("an aggregate of a query around"));
            }
            Ok(parts)
        };
        if let Some(clause) = self.clause.get() {
            // That of the clause itself, within its own parts too.
            parts()?;
            let message = format!("aggregate functions are not allowed in {clause}");
            return Err(PgError::new("42803", message).at(place()));
        }
        let Some(group) = &scope.group else {
            parts()?;
            return Err(misplaced(self.part));
        };
        if group.inside.replace(true) {
            parts()?;
            let error = PgError::new("42803", "aggregate function calls cannot be nested");
            return Err(error.at(place()));
        }
        let aggregate = parts();
        group.inside.set(false);
        let aggregate = aggregate?;
        let ty = aggregate.ty;
        let index = group.keys.len() + placed(&mut group.aggregates.borrow_mut(), aggregate);
        Ok(Typed::new(Expr::Column { depth: 0, index }, ty))
    }

    fn aggregate_parts(
        &self,
        name: &str,
        function: &ast::Function,
        list: &ast::FunctionArgumentList,
        scope: &Scope<'_>,
    ) -> Result<Aggregate> {
        let mut args = Vec::new();
        for arg in &list.args {
            match arg {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => {
                    args.push(self.expr(expr, scope)?);
                }
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Wildcard) => {}
                _ => return Err(PgError::unsupported("an argument of this form")),
            }
        }
        let mut order = Vec::new();
        for clause in &list.clauses {
            let ast::FunctionArgumentClause::OrderBy(keys) = clause else {
                return Err(PgError::unsupported("this clause of an aggregate"));
            };
            for key in keys {
                let typed = self.settle(self.expr(&key.expr, scope)?)?;
                can_compare(typed.ty, true)?;
                order.push(sort_key(typed.expr, &key.options)?);
            }
        }
        let filter = match &function.filter {
            Some(filter) => Some(self.condition(self.expr_in("FILTER", filter, scope)?, "FILTER")?),
            None => None,
        };
        let star = list
            .args
            .iter()
            .any(|arg| matches!(arg, ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Wildcard)));
        if name == "count" && args.is_empty() && !star {
            let message = "count(*) must be used to call a parameterless aggregate function";
            return Err(PgError::new("42809", message));
        }
        let types: Vec<Ty> = args.iter().map(|arg| arg.ty).collect();
        let chosen = match resolve(Kind::Aggregate, name, &types, &[]) {
            Meaning::Builtin(chosen) => chosen,
            other => return Err(other.error(Kind::Aggregate, name, &types)),
        };
        let (name, ty) = aggregate_type(name, &chosen)
            .ok_or_else(|| PgError::unsupported(signature(Kind::Aggregate, name, &types)))?;
        let resolved = chosen.resolved.iter();
        let settled: Vec<Ty> =
            resolved.map(|ty| if *ty == Ty::UNKNOWN { Ty::TEXT } else { *ty }).collect();
        let arg_ty = settled.first().copied().unwrap_or(Ty::ANY);
        let distinct = list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct);
        check_distinct(distinct, star, &args, &order)?;
        if distinct {
            args.iter().try_for_each(|arg| can_group(arg.ty, arg.typmod))?;
        }
        let args = args.into_iter().zip(settled.iter().zip(&chosen.resolved));
        let args = args.map(|(arg, (ty, resolved))| {
            if *resolved == Ty::UNKNOWN && self.leaves_open(&arg) {
                return Ok(arg.expr);
            }
            self.coerce(arg, *ty, -1, Context::Implicit)
        });
        let args = args.collect::<Result<_>>()?;
        Ok(Aggregate { name, args, ty, arg_ty, distinct, filter, order })
    }
}

/// Whether an aggregate reads rows of the queries around only, and so is one of theirs.
fn only_outer(aggregate: &Aggregate, within: bool) -> bool {
    let (mut own, mut outer) = (false, false);
    for expr in aggregate.args.iter().chain(&aggregate.filter) {
        expr.walk(&mut |part| match part {
            Expr::Column { depth: 0, .. } => own = true,
            // What a subquery reads is not looked at.
            Expr::Column { .. } | Expr::Sub { .. } => outer = true,
            _ => {}
        });
    }
    within && outer && !own
}

/// The result type of an aggregate; `None` if it is not here.
fn aggregate_type(name: &str, chosen: &Chosen) -> Option<(&'static str, Ty)> {
    let known = AGGREGATES.iter().find(|known| **known == name)?;
    let (declared, arg) = (chosen.declared.first(), chosen.resolved.first());
    let arg = arg.copied().unwrap_or(Ty::ANY);
    let ty = match *known {
        "count" => Ty::INT8,
        "sum" | "avg" if arg.array => return None,
        "sum" => match arg.base {
            Base::Int2 | Base::Int4 => Ty::INT8,
            Base::Int8 | Base::Numeric => Ty::NUMERIC,
            Base::Float4 | Base::Float8 | Base::Interval => arg,
            _ => return None,
        },
        "avg" => match arg.base {
            Base::Int2 | Base::Int4 | Base::Int8 | Base::Numeric => Ty::NUMERIC,
            Base::Float4 | Base::Float8 => Ty::FLOAT8,
            _ => return None,
        },
        "min" | "max" => arg,
        "bool_and" | "bool_or" | "every" => Ty::BOOL,
        "array_agg" if declared == Some(&Ty::ANY_ARRAY) => return None,
        "array_agg" => Ty { array: true, ..arg },
        "string_agg" if arg == Ty::TEXT => Ty::TEXT,
        "json_agg" => Ty::JSON,
        "jsonb_agg" => Ty::JSONB,
        _ => return None,
    };
    Some((known, ty))
}

pub fn sort_key(expr: Expr, options: &ast::OrderByOptions) -> Result<SortKey> {
    let descending = match &options.sort {
        None | Some(ast::OrderBySort::Asc) => false,
        Some(ast::OrderBySort::Desc) => true,
        Some(ast::OrderBySort::Using(_)) => return Err(PgError::unsupported("ORDER BY USING")),
    };
    let nulls_first = options.nulls_first.unwrap_or(descending);
    Ok(SortKey { expr, descending, nulls_first })
}

/// A call that gives a set, as it stands in FROM or in the output.
pub type SetCall = (super::functions::Builtin, Vec<Expr>, Arc<[Ty]>, Ty);

/// Functions that give one row per item: they return an array, which is unrolled.
pub const SET_FUNCTIONS: &[&str] = &[
    "generate_series",
    "unnest",
    "jsonb_array_elements",
    "jsonb_array_elements_text",
    "pg_blocking_pids_set",
    "regexp_split_to_table",
    "jsonb_object_keys",
];

impl Analyzer<'_> {
    /// The function, its arguments, and the type of an item.
    pub fn set_call(&self, name: &str, args: Vec<Typed>) -> Result<SetCall> {
        let typed = self.call(name, args)?;
        let item = typed.ty.element();
        match typed.expr {
            Expr::Call { function, args, types, .. } => Ok((function, args, types, item)),
            _ => Err(PgError::unsupported(format_args!("{name} as a set"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls that only the grammar makes: no function of PostgreSQL has such a name.
    const GRAMMAR: &[&str] = &[
        "array_item",
        "like_any",
        "greatest",
        "least",
        "current_timestamp",
        "localtimestamp",
        "current_date",
        "user",
        "current_role",
        "current_catalog",
    ];

    #[test]
    fn every_row_is_a_function_or_operator_of_postgresql() {
        for function in FUNCTION_TABLES.iter().flat_map(|table| table.iter()) {
            let poly = |ty: &Ty| match *ty {
                Ty::ANY => Ty::INT4,
                Ty::ANY_ARRAY => Ty { array: true, ..Ty::INT4 },
                ty => ty,
            };
            let args: Vec<Ty> = function.args.iter().map(poly).collect();
            let kind = kind(function.name, args.len());
            let found = match resolve(kind, function.name, &args, &[]) {
                Meaning::Builtin(chosen) => here(function.name, &chosen),
                _ => None,
            };
            let same = found.is_some_and(|found| found.args == function.args);
            let known = same || GRAMMAR.contains(&function.name);
            assert!(known, "{} {:?} {found:?}", function.name, function.args);
        }
    }
}
