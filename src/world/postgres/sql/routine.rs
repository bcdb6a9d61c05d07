//! Functions of one's own: what a call means, what their declaration says, and the plans of the
//! SQL in them. Must never run one.

use sqlparser::ast;

use super::analyze::{Analyzer, Context, Typed};
use super::body::{Code, Fragment, Routine, Variable, Volatility, is_planned};
use super::names::{data_type, ident, object_name};
use super::plan::Expr;
use super::plpgsql::procedural;
use super::resolve::can_cast;
use super::scope::Scope;
use super::statement::{Planned, Unplanned, plan_named};
use super::tokens::fragment;
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::storage::Db;
use crate::world::postgres::storage::locks::Pid;
use crate::world::postgres::types::Ty;

/// Names that stand for parameters: those of a function's variables.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    pub routine: &'a Routine,
    pub seen: &'a [usize],
}

impl Names<'_> {
    fn find(&self, name: &str) -> Option<(usize, &Variable)> {
        let variables = self.routine.variables();
        let found = self.seen.iter().rev().find(|at| &*variables[**at].name == name);
        found.map(|at| (*at, &variables[*at]))
    }
}

impl Analyzer<'_> {
    /// A variable of the function whose statement this is; its own name may stand before it.
    pub fn variable(&self, qualifier: Option<&str>, name: &str) -> Option<Typed> {
        let names = self.names.as_ref()?;
        if qualifier.is_some_and(|qualifier| qualifier != &*names.routine.name) {
            return None;
        }
        let (at, variable) = names.find(name)?;
        let typed = Typed::new(Expr::Param(at), variable.ty);
        Some(Typed { typmod: variable.typmod, ..typed })
    }

    /// PL/pgSQL takes no side when a name may be a column and a variable.
    pub fn refuse_both(&self, qualifier: Option<&str>, name: &str) -> Result<()> {
        let sql = |names: &Names<'_>| matches!(names.routine.body, Code::Sql(_));
        if self.names.as_ref().is_none_or(sql) || self.variable(qualifier, name).is_none() {
            return Ok(());
        }
        let whole = qualifier.map_or(name.to_owned(), |qualifier| format!("{qualifier}.{name}"));
        let message = format!("column reference \"{whole}\" is ambiguous");
        let detail = "It could refer to either a PL/pgSQL variable or a table column.";
        Err(PgError::new("42702", message).detail(detail))
    }

    /// A call of `public.f`, which can be nothing but a function of one's own. Some words are no
    /// functions at all.
    pub fn special_name(
        &self,
        name: &str,
        call: &ast::Function,
        scope: &Scope<'_>,
    ) -> Result<Option<Typed>> {
        if matches!(name, "localtime" | "current_time" | "grouping") {
            return Err(PgError::unsupported(name));
        }
        let [ast::ObjectNamePart::Identifier(schema), _] = call.name.0.as_slice() else {
            return Ok(None);
        };
        if ident(schema) != "public" {
            return Ok(None);
        }
        let list = match &call.args {
            ast::FunctionArguments::List(list) => list.args.as_slice(),
            _ => &[],
        };
        let mut args = Vec::with_capacity(list.len());
        for arg in list {
            if let ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) = arg {
                args.push(self.expr(expr, scope)?);
            }
        }
        let name = format!("public.{name}");
        self.call(&name, args).map(Some).map_err(|error| error.at(self.position(schema.span)))
    }

    /// The functions of one's own of this name.
    pub fn routines(&self, name: &str) -> Vec<&Routine> {
        let all = self.db.routines(self.pid).map(|routine| &**routine);
        all.filter(|routine| &*routine.name == name).collect()
    }

    /// A call of a function of one's own that takes these arguments.
    pub fn routine(&self, routine: &Routine, args: Vec<Typed>) -> Result<Typed> {
        let mut exprs = Vec::with_capacity(args.len());
        for (arg, wanted) in args.into_iter().zip(&routine.args) {
            exprs.push(self.coerce(arg, wanted.ty, -1, Context::Implicit)?);
        }
        self.calls.set(true);
        let (oid, volatility) = (routine.oid, routine.volatility);
        let mut expr = Expr::Routine { oid, args: exprs, volatility, stays: false };
        if self.inlines.get() {
            expr = self.in_place(expr, &mut Vec::new())?;
        }
        Ok(Typed::new(expr, routine.ret))
    }
}

/// Plans a piece of SQL in a function; errors point into its own text. `runs`: it is not only held
/// against what there is.
pub fn plan_fragment(
    db: &Db,
    pid: Pid,
    routine: &Routine,
    fragment: &Fragment,
    runs: bool,
) -> Result<Planned, Unplanned> {
    let types: Vec<Ty> = routine.variables().iter().map(|variable| variable.ty).collect();
    let names = Names { routine, seen: &fragment.seen };
    let (shift, text) = if fragment.expression {
        ("SELECT ".len(), format!("SELECT {}", fragment.own()))
    } else {
        (0, fragment.own().to_owned())
    };
    let planned = plan_named(db, pid, &text, &fragment.statement, &types, Some(names), runs);
    planned.map_err(|Unplanned { error, tables }| Unplanned {
        error: fragment.shown(error, shift),
        tables,
    })
}

/// What CREATE FUNCTION declares, without a number and an owner.
/// `statement` is its text: errors in the body point into it.
pub fn declared(statement: &str, create: &ast::CreateFunction) -> Result<Routine> {
    refuse_rare(create)?;
    let name = object_name(&create.name)?;
    let mut args = Vec::new();
    for arg in create.args.as_deref().unwrap_or_default() {
        let arg = argument(arg)?;
        let twice = |other: &Variable| !arg.name.is_empty() && other.name == arg.name;
        if args.iter().any(twice) {
            let message = format!("parameter name \"{}\" used more than once", arg.name);
            return Err(PgError::new("42P13", message));
        }
        args.push(arg);
    }
    let ret = match &create.return_type {
        Some(ast::FunctionReturnType::DataType(ty)) => returned(ty)?,
        Some(ast::FunctionReturnType::SetOf(_)) => {
            return Err(PgError::unsupported("a function that returns a set"));
        }
        None => {
            return Err(PgError::new("42P13", "function result type must be specified"));
        }
    };
    let language = create.language.as_ref().map(ident);
    let language = language.ok_or_else(|| PgError::new("42P13", "no language specified"))?;
    let (text, begins) = body_text(create, statement)?;
    let moved = |error: PgError| match begins {
        Some(begins) => error.moved(|place| Some(begins + place)),
        None => error.moved(|_| None),
    };
    let volatility = match create.behavior {
        Some(ast::FunctionBehavior::Immutable) => Volatility::Immutable,
        Some(ast::FunctionBehavior::Stable) => Volatility::Stable,
        None | Some(ast::FunctionBehavior::Volatile) => Volatility::Volatile,
    };
    let strict = matches!(
        create.called_on_null,
        Some(ast::FunctionCalledOnNull::Strict | ast::FunctionCalledOnNull::ReturnsNullOnNullInput)
    );
    let body = match language.as_str() {
        "sql" => sql_body(&text, args.len()).map_err(moved)?,
        "plpgsql" => procedural(&name, &text, &args, ret).map_err(moved)?,
        "c" | "internal" => {
            return Err(PgError::unsupported(format_args!("a function in language {language}")));
        }
        other => {
            return Err(PgError::new("42704", format!("language \"{other}\" does not exist")));
        }
    };
    let (oid, owner) = (0, "".into());
    let name = name.into();
    Ok(Routine { oid, name, args, ret, volatility, strict, body, owner })
}

/// Fails if a body in SQL is wrong; the function is there already, for it may call itself.
pub fn check(
    db: &Db,
    pid: Pid,
    routine: &Routine,
    statement: &str,
    create: &ast::CreateFunction,
) -> Result<()> {
    let Code::Sql(fragments) = &routine.body else { return Ok(()) };
    let (_, begins) = body_text(create, statement)?;
    check_sql(db, pid, routine, fragments).map_err(|error| {
        match (begins, error.fields().position) {
            (Some(begins), Some(_)) => error.moved(|place| Some(begins + place)).without_query(),
            _ => error.context(&format!("SQL function \"{}\"", routine.name)),
        }
    })
}

fn refuse_rare(create: &ast::CreateFunction) -> Result<()> {
    let definer = matches!(create.security, Some(ast::FunctionSecurity::Definer));
    let rare = [
        (definer, "SECURITY DEFINER"),
        (!create.set_params.is_empty(), "SET in CREATE FUNCTION"),
        (create.temporary, "a temporary function"),
    ];
    match rare.iter().find(|(there, _)| *there) {
        Some((_, what)) => Err(PgError::unsupported(what)),
        None => Ok(()),
    }
}

fn argument(arg: &ast::OperateFunctionArg) -> Result<Variable> {
    if arg.mode.as_ref().is_some_and(|mode| !matches!(mode, ast::ArgMode::In)) {
        return Err(PgError::unsupported("an argument that is not IN"));
    }
    if arg.default_expr.is_some() {
        return Err(PgError::unsupported("a default of an argument"));
    }
    let name = arg.name.as_ref().map(ident).unwrap_or_default();
    // A function knows of no modifier.
    let ty = value_type(&arg.data_type)?;
    Ok(Variable { name: name.into(), ty, typmod: -1 })
}

fn value_type(parsed: &ast::DataType) -> Result<Ty> {
    let text = parsed.to_string().to_lowercase();
    if text.starts_with("any") || text == "trigger" || text == "record" {
        return Err(PgError::unsupported(format_args!("a function of type {text}")));
    }
    Ok(data_type(parsed)?.0)
}

fn returned(parsed: &ast::DataType) -> Result<Ty> {
    if parsed.to_string().eq_ignore_ascii_case("void") {
        return Ok(Ty::VOID);
    }
    if matches!(parsed, ast::DataType::Table(_)) {
        return Err(PgError::unsupported("a function that returns a set"));
    }
    value_type(parsed)
}

/// The body, and how many characters of the statement stand before it, if it stands there as it is.
fn body_text(create: &ast::CreateFunction, statement: &str) -> Result<(String, Option<usize>)> {
    let body = match &create.function_body {
        Some(ast::CreateFunctionBody::AsBeforeOptions { body, link_symbol: None }) => body,
        Some(_) => return Err(PgError::unsupported("a body that is no text")),
        None => return Err(PgError::new("42P13", "no function body specified")),
    };
    match body {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::DollarQuotedString(quoted) => {
                let tag = quoted.tag.as_ref().map_or(0, |tag| tag.chars().count()) + 2;
                let begins = super::parse::offset(statement, value.span.start);
                Ok((quoted.value.clone(), begins.map(|at| at - 1 + tag)))
            }
            ast::Value::SingleQuotedString(text) => {
                let begins = super::parse::offset(statement, value.span.start);
                Ok((text.clone(), begins.filter(|_| !text.contains('\''))))
            }
            _ => Err(PgError::unsupported("a body that is no text")),
        },
        _ => Err(PgError::unsupported("a body that is no text")),
    }
}

fn sql_body(text: &str, args: usize) -> Result<Code> {
    let seen: std::sync::Arc<[usize]> = (0..args).collect();
    let whole: std::sync::Arc<str> = text.into();
    let fragments = super::parse::split(text)?.into_iter().map(|part| {
        let own = fragment(&text[part.clone()], false, seen.clone())?;
        Ok(Fragment { text: whole.clone(), part, ..own })
    });
    Ok(Code::Sql(fragments.collect::<Result<_>>()?))
}

/// The statements must be right when the function is made, and the last give what it returns.
fn check_sql(db: &Db, pid: Pid, routine: &Routine, fragments: &[Fragment]) -> Result<()> {
    let mut last = None;
    for fragment in fragments {
        if !is_planned(&fragment.statement) {
            last = None;
            continue;
        }
        let planned = plan_fragment(db, pid, routine, fragment, false);
        let planned = planned.map_err(|unplanned| unplanned.error)?;
        last = Some(
            planned
                .plan
                .columns()
                .map(|columns| columns.iter().map(|column| column.ty).collect::<Vec<Ty>>()),
        );
    }
    check_returned(routine, last.flatten().as_deref())
}

/// What the last statement gives must be what the function returns.
pub fn check_returned(routine: &Routine, given: Option<&[Ty]>) -> Result<()> {
    if routine.ret == Ty::VOID {
        return Ok(());
    }
    let wrong = |detail: String| {
        let message =
            format!("return type mismatch in function declared to return {}", routine.ret.name());
        PgError::new("42P13", message).detail(detail)
    };
    match given {
        None => {
            let detail = "Function's final statement must be SELECT or INSERT/UPDATE/DELETE \
                          RETURNING.";
            Err(wrong(detail.to_owned()))
        }
        Some([only]) => {
            if *only == routine.ret || can_cast(*only, routine.ret, Context::Assignment) {
                return Ok(());
            }
            Err(wrong(format!("Actual return type is {}.", only.name())))
        }
        Some(_) => Err(wrong("Final statement must return exactly one column.".to_owned())),
    }
}
