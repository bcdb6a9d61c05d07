//! Functions and operators by name: which one a call means. Must never run one.

use std::sync::Arc;

use sqlparser::ast;

use super::aggregates::{check_distinct, placed};
use super::analyze::{Analyzer, Context, Typed, can_cast, check_times, common_type};
use super::names::{ident, object_name};
use super::plan::{Aggregate, Expr, SortKey, SubKind};
use super::scope::Scope;
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
    exec::functions::time::TABLE,
    exec::functions::json::TABLE,
    exec::functions::json_text::TABLE,
    exec::functions::array::TABLE,
    exec::functions::system::TABLE,
];

pub const AGGREGATES: &[&str] = &[
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "bool_and",
    "bool_or",
    "every",
    "array_agg",
    "string_agg",
    "jsonb_agg",
    "json_agg",
];

/// How well arguments fit a signature: exact matches; `None` if not at all.
fn fit(function: &Function, args: &[Ty]) -> Option<usize> {
    if function.variadic {
        if args.len() + 1 < function.args.len() {
            return None;
        }
    } else if args.len() != function.args.len() {
        return None;
    }
    let last = function.args.last();
    let mut exact = 0;
    let mut element: Option<Ty> = None;
    for (at, arg) in args.iter().enumerate() {
        let wanted = *function.args.get(at).or(last)?;
        if wanted.base == Base::Any {
            if wanted.array != arg.array
                && (wanted.array || function.args.contains(&Ty::ANY_ARRAY))
                && *arg != Ty::UNKNOWN
            {
                return None;
            }
            if arg.array && function.name == "||" && function.args.contains(&Ty::TEXT) {
                return None;
            }
            if *arg != Ty::UNKNOWN && !function.variadic {
                let found = arg.element();
                if element.is_some_and(|element| common_type(&[element, found]).is_err()) {
                    return None;
                }
                element = Some(found);
            }
            continue;
        }
        if *arg == wanted {
            exact += 2;
        } else if *arg == Ty::UNKNOWN {
            exact += usize::from(wanted == Ty::TEXT);
        } else if !can_cast(*arg, wanted, Context::Implicit) {
            return None;
        }
    }
    Some(exact)
}

fn candidates(name: &str) -> impl Iterator<Item = &'static Function> + use<'_> {
    FUNCTION_TABLES.iter().flat_map(|table| table.iter()).filter(move |f| f.name == name)
}

/// Whether every call of a builtin counts, so that none may be made again after a wait.
fn counts(name: &str) -> bool {
    name.starts_with("pg_advisory_")
        || name.starts_with("pg_try_advisory_")
        || matches!(
            name,
            "nextval"
                | "setval"
                | "random"
                | "gen_random_uuid"
                | "pg_sleep"
                | "pg_notify"
                | "set_config"
                | "pg_cancel_backend"
        )
}

/// The best function for these arguments; unknown ones take the type of the others if they can.
fn choose(name: &str, args: &[Ty]) -> Option<&'static Function> {
    let open = |ty: &Ty| *ty == Ty::UNKNOWN;
    if name == "||" && args.iter().any(|ty| ty.array) && args.iter().any(open) {
        let whole = [Ty::ANY_ARRAY, Ty::ANY_ARRAY];
        return candidates(name).find(|function| function.args == whole.as_slice());
    }
    let best = |args: &[Ty]| {
        let mut best: Option<(usize, &'static Function)> = None;
        for function in candidates(name) {
            let Some(score) = fit(function, args) else { continue };
            if best.is_none_or(|(other, _)| score > other) {
                best = Some((score, function));
            }
        }
        best.map(|(_, function)| function)
    };
    let known = args.iter().copied().find(|ty| *ty != Ty::UNKNOWN);
    if let (Some(known), 2) = (known, args.len()) {
        let assumed: Vec<Ty> =
            args.iter().map(|ty| if *ty == Ty::UNKNOWN { known } else { *ty }).collect();
        let exact = candidates(name).find(|function| function.args == assumed.as_slice());
        if exact.is_some() {
            return exact;
        }
    }
    best(args)
}

/// Refuses a call that its literals without a type do not settle: PostgreSQL has rules for them.
fn refuse_open(name: &str, args: &[Ty]) -> Result<()> {
    let open = |ty: &Ty| *ty == Ty::UNKNOWN;
    if !args.iter().any(open) || matches!(name, "greatest" | "least") {
        return Ok(());
    }
    let fitting: Vec<&Function> = candidates(name).filter(|f| fit(f, args).is_some()).collect();
    let any = |ty: &Ty| ty.base == Base::Any;
    let poly = |f: &Function| {
        let mut places = f.args.iter().zip(args).filter(|(wanted, _)| any(wanted)).peekable();
        !f.variadic && places.peek().is_some() && places.all(|(_, arg)| open(arg))
    };
    let text = |f: &&Function| f.args.iter().all(|ty| *ty == Ty::TEXT);
    let plain: Vec<&&Function> = fitting.iter().filter(|f| !poly(f)).collect();
    let unsettled = match (plain.as_slice(), fitting.len()) {
        (_, 0) | ([_], _) => false,
        ([], _) => true,
        _ if name == "+" && args.contains(&Ty::DATE) => true,
        (several, _) => args.iter().all(open) && !several.iter().any(|f| text(f)),
    };
    if unsettled {
        return Err(PgError::unsupported(format_args!("{name} of literals without a type")));
    }
    Ok(())
}

impl Analyzer<'_> {
    /// A call of a function or operator with arguments that are not aggregates' own.
    pub fn call(&self, name: &str, args: Vec<Typed>) -> Result<Typed> {
        let types: Vec<Ty> = args.iter().map(|arg| arg.ty).collect();
        if name == "substring" && types.get(1) == Some(&Ty::UNKNOWN) {
            return Err(PgError::unsupported("substring by a pattern"));
        }
        refuse_open(name, &types)?;
        let Some(function) = choose(name, &types) else {
            let own = self.routine(name, &args)?;
            return own.ok_or_else(|| unknown_function(name, &types));
        };
        let element = types
            .iter()
            .enumerate()
            .filter(|(at, ty)| **ty != Ty::UNKNOWN && wanted(function, *at).base == Base::Any)
            .map(|(_, ty)| ty.element())
            .collect::<Vec<Ty>>();
        let element = common_type(&element).unwrap_or(Ty::TEXT);
        let mut exprs = Vec::with_capacity(args.len());
        let mut settled = Vec::with_capacity(args.len());
        for (at, arg) in args.into_iter().enumerate() {
            let mut ty = wanted(function, at);
            if ty.base == Base::Any {
                ty = match (function.variadic, arg.ty) {
                    (true, Ty::UNKNOWN) => Ty::TEXT,
                    (true, own) => own,
                    _ => Ty { array: ty.array || arg.ty.array, ..element },
                };
            }
            check_times(self.db, self.pid, ty)?;
            settled.push(ty);
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
            args: exprs,
            types: settled.into(),
        };
        let expr =
            if counts(function.name) { Expr::Counted(function.name, Box::new(expr)) } else { expr };
        Ok(Typed::new(expr, ret))
    }

    pub fn function(&self, function: &ast::Function, scope: &Scope<'_>) -> Result<Typed> {
        let name = object_name(&function.name)?;
        if function.over.is_some() {
            return Err(PgError::unsupported("a window function"));
        }
        let list = match &function.args {
            ast::FunctionArguments::None => return self.call(&name, Vec::new()),
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
        let mut args = Vec::with_capacity(list.args.len());
        for arg in &list.args {
            match arg {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => {
                    args.push(self.expr(expr, scope)?);
                }
                _ => return Err(PgError::unsupported("an argument of this form")),
            }
        }
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
                let (all, ty) = self.unify(args, "COALESCE")?;
                Ok(Typed::new(Expr::Coalesce(all), ty))
            }
            "greatest" | "least" => {
                let (all, ty) = self.unify(args, &name.to_uppercase())?;
                let args = all.into_iter().map(|expr| Typed::new(expr, ty)).collect();
                Ok(Typed { ty, ..self.call(&name, args)? })
            }
            "nullif" => self.nullif(args),
            "row" => self.row(args),
            _ => {
                let set = SET_FUNCTIONS.contains(&name.as_str());
                let call = if set { self.set_item(&name, args) } else { self.call(&name, args) };
                let span = function.name.0.first().and_then(|part| part.as_ident()).map(|i| i.span);
                call.map_err(|error| error.at(span.and_then(|span| self.position(span))))
            }
        }
    }

    fn nullif(&self, args: Vec<Typed>) -> Result<Typed> {
        let [a, b] = <[Typed; 2]>::try_from(args)
            .map_err(|_| PgError::new("42601", "NULLIF takes two arguments"))?;
        if is_volatile(&a.expr) {
            return Err(PgError::unsupported("NULLIF of a volatile expression"));
        }
        let (ty, typmod) = (a.ty, a.typmod);
        let integers = a.ty.is_integer() && b.ty.is_integer();
        let kept = a.expr.clone();
        let same = self.compare(super::plan::CompareOp::Eq, a, b.clone())?;
        let typed = Typed { typmod, ..Typed::new(kept, ty) };
        // The type is that of the left side of the operator.
        let (kept, ty) = match ty {
            _ if integers => (typed.expr, ty),
            Ty::VARCHAR => (typed.expr, Ty::TEXT),
            _ => {
                let (mut both, ty) = self.unify(vec![typed, b], "NULLIF")?;
                let ty = if ty == Ty::UNKNOWN || ty == Ty::VARCHAR { Ty::TEXT } else { ty };
                (both.swap_remove(0), ty)
            }
        };
        let whens = vec![(same, Expr::NULL)];
        let expr = Expr::Case { whens, otherwise: Box::new(kept) };
        Ok(Typed { typmod: if integers { typmod } else { -1 }, ..Typed::new(expr, ty) })
    }

    fn aggregate(
        &self,
        name: &str,
        function: &ast::Function,
        list: &ast::FunctionArgumentList,
        scope: &Scope<'_>,
    ) -> Result<Typed> {
        let Some(group) = &scope.group else {
            let parts = self.aggregate_parts(name, function, list, scope);
            if parts.is_ok_and(|parts| only_outer(&parts, scope.parent.is_some())) {
                return Err(PgError::unsupported("an aggregate of a query around"));
            }
            return Err(super::aggregates::misplaced(self.part));
        };
        if group.inside.replace(true) {
            let span = function.name.0.first().and_then(|part| part.as_ident()).map(|i| i.span);
            let error = PgError::new("42803", "aggregate function calls cannot be nested");
            return Err(error.at(span.and_then(|span| self.position(span))));
        }
        let analyzed = self.aggregate_parts(name, function, list, scope);
        group.inside.set(false);
        let span = function.name.0.first().and_then(|part| part.as_ident()).map(|i| i.span);
        let analyzed = analyzed.map_err(|error| match error.code() {
            "42883" | "42809" => error.at(span.and_then(|span| self.position(span))),
            _ => error,
        });
        let aggregate = analyzed?;
        if only_outer(&aggregate, scope.parent.is_some()) {
            return Err(PgError::unsupported("an aggregate of a query around"));
        }
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
                    let arg = self.settle(self.expr(expr, scope)?)?;
                    args.push(match arg.ty {
                        // A text: the blanks at its end are gone.
                        Ty::BPCHAR if name == "string_agg" => {
                            let expr = self.coerce(arg, Ty::TEXT, -1, Context::Implicit)?;
                            Typed::new(expr, Ty::TEXT)
                        }
                        _ => arg,
                    });
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
                order.push(sort_key(typed.expr, &key.options)?);
            }
        }
        let filter = match &function.filter {
            Some(filter) if has_aggregate(filter) => {
                let message = "aggregate functions are not allowed in FILTER";
                return Err(PgError::new("42803", message));
            }
            Some(filter) => Some(self.condition(self.expr(filter, scope)?, "FILTER")?),
            None => None,
        };
        let star = list
            .args
            .iter()
            .any(|arg| matches!(arg, ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Wildcard)));
        check_arguments(name, &args, star)?;
        let arg_ty = args.first().map_or(Ty::ANY, |arg| arg.ty);
        let (name, ty) = aggregate_type(name, arg_ty)?;
        let distinct = list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct);
        check_distinct(distinct, star, &args, &order)?;
        let args = args.into_iter().map(|arg| arg.expr).collect();
        Ok(Aggregate { name, args, ty, arg_ty, distinct, filter, order })
    }
}

/// How many arguments an aggregate takes, and which `string_agg` does.
fn check_arguments(name: &str, args: &[Typed], star: bool) -> Result<()> {
    if name == "count" && args.is_empty() && !star {
        let message = "count(*) must be used to call a parameterless aggregate function";
        return Err(PgError::new("42809", message));
    }
    let (wanted, texts) = match name {
        "count" if star => (0, true),
        "string_agg" => (2, args.iter().all(|arg| arg.ty.is_text())),
        _ => (1, true),
    };
    if args.len() == wanted && texts {
        return Ok(());
    }
    let types: Vec<String> = args.iter().map(|arg| arg.ty.name()).collect();
    let signature = format!("{name}({})", types.join(", "));
    match name {
        "string_agg" if args.iter().any(|arg| arg.ty == Ty::BYTEA) => {
            Err(PgError::unsupported(signature))
        }
        _ => Err(common::no_function(&signature)),
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

/// Whether to evaluate it twice may give two values.
pub fn is_volatile(expr: &Expr) -> bool {
    let mut volatile = false;
    expr.walk(&mut |part| volatile |= matches!(part, Expr::Counted(..) | Expr::Routine { .. }));
    volatile
}

fn wanted(function: &Function, at: usize) -> Ty {
    function.args.get(at).or(function.args.last()).copied().unwrap_or(Ty::ANY)
}

/// The result type of an aggregate over values of one type.
fn aggregate_type(name: &str, arg: Ty) -> Result<(&'static str, Ty)> {
    let known = AGGREGATES.iter().find(|known| **known == name).expect("the caller looked it up");
    let missing = || common::no_function(&format!("{name}({})", arg.name()));
    let ty = match *known {
        "count" => Ty::INT8,
        "sum" => match arg.base {
            _ if arg.array => return Err(missing()),
            Base::Int2 | Base::Int4 => Ty::INT8,
            Base::Int8 | Base::Numeric => Ty::NUMERIC,
            Base::Float4 => Ty::FLOAT4,
            Base::Float8 => Ty::FLOAT8,
            Base::Interval => Ty::INTERVAL,
            _ => return Err(missing()),
        },
        "avg" => match arg.base {
            _ if arg.array => return Err(missing()),
            Base::Int2 | Base::Int4 | Base::Int8 | Base::Numeric => Ty::NUMERIC,
            Base::Float4 | Base::Float8 => Ty::FLOAT8,
            Base::Interval => return Err(PgError::unsupported("avg(interval)")),
            _ => return Err(missing()),
        },
        "min" | "max" if matches!(arg.base, Base::Bool | Base::Json | Base::Jsonb | Base::Uuid) => {
            return Err(missing());
        }
        "min" | "max" if matches!(arg.base, Base::Bytea | Base::Record | Base::Regtype) => {
            return Err(missing());
        }
        "min" | "max" if arg == Ty::VARCHAR => Ty::TEXT,
        "min" | "max" => arg,
        "bool_and" | "bool_or" | "every" if arg == Ty::TEXT => {
            return Err(PgError::unsupported(format_args!("{name} of a text or a NULL")));
        }
        "bool_and" | "bool_or" | "every" if arg != Ty::BOOL => return Err(missing()),
        "array_agg" if arg.array => {
            return Err(PgError::unsupported("an array of more than one dimension"));
        }
        "bool_and" | "bool_or" | "every" => Ty::BOOL,
        "array_agg" => Ty { array: true, ..arg },
        "string_agg" => Ty::TEXT,
        "json_agg" => Ty::JSON,
        _ => Ty::JSONB,
    };
    Ok((known, ty))
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

/// Names of PostgreSQL's own functions and operators (`pg_proc`, `pg_operator` of version 15): what
/// is among them and not here is refused, and does not count as missing.
const KNOWN: &str = include_str!("known_functions.txt");
const KNOWN_OPERATORS: &str = "!! !~ !~* !~~ !~~* # #- #> #>> % & && * + - -> ->> / < << <= <> <@ \
    = > >= >> ? ?& ?- ?| @ @-@ @> @? @@ ^ ^@ | |/ || ||/ ~ ~* ~~ ~~*";

fn unknown_function(name: &str, args: &[Ty]) -> PgError {
    if candidates(name).next().is_none() {
        if KNOWN.lines().any(|known| known == name) {
            return PgError::unsupported(format_args!("the function {name}"));
        }
        if KNOWN_OPERATORS.split_whitespace().any(|known| known == name) {
            return PgError::unsupported(format_args!("the operator {name}"));
        }
    }
    let names: Vec<String> = args.iter().map(|ty| ty.name()).collect();
    let operator = !name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    match (operator, names.as_slice()) {
        (true, [left, right]) => common::no_operator(&format!("{left} {name} {right}")),
        (true, [only]) => common::no_operator(&format!("{name} {only}")),
        _ => common::no_function(&format!("{name}({})", names.join(", "))),
    }
}

/// Whether an expression of the syntax tree calls an aggregate of its own query.
pub fn has_aggregate(parsed: &ast::Expr) -> bool {
    use std::ops::ControlFlow;
    struct Finder {
        depth: usize,
    }
    impl ast::Visitor for Finder {
        type Break = ();
        fn pre_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
            self.depth += 1;
            ControlFlow::Continue(())
        }
        fn post_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }
        fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
            let ast::Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
            let name = function.name.0.last().and_then(|part| part.as_ident()).map(ident);
            let aggregate = name.is_some_and(|name| AGGREGATES.contains(&name.as_str()));
            if self.depth == 0 && aggregate {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        }
    }
    ast::Visit::visit(parsed, &mut Finder { depth: 0 }).is_break()
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
        if name == "generate_series" && args.iter().any(|arg| arg.ty == Ty::DATE) {
            return Err(PgError::unsupported("generate_series of dates"));
        }
        let typed = self.call(name, args)?;
        let item = typed.ty.element();
        match typed.expr {
            Expr::Call { function, args, types, .. } => Ok((function, args, types, item)),
            _ => Err(PgError::unsupported(format_args!("{name} as a set"))),
        }
    }
}
