//! CREATE FUNCTION and DROP FUNCTION. Must never run one.

use std::sync::Arc;

use sqlparser::ast;

use super::ddl::notice;
use super::drops::dropped_name;
use super::{Cx, cast, policies, roles};
use crate::world::postgres::error::{PgError, Result, Step};
use crate::world::postgres::sql::{
    Analyzer, Context, Expr, Routine, Variable, can_cast, check, data_type, declared, may_differ,
};
use crate::world::postgres::storage::catalog::{IndexPart, Table};
use crate::world::postgres::storage::locks::Oid;
use crate::world::postgres::types::{Datum, Ty, from_text, to_text};

pub fn create_function(cx: &mut Cx<'_>, create: &ast::CreateFunction) -> Step<()> {
    let mut routine = declared(&cx.state.text, create)?;
    roles::require_create(cx)?;
    routine.owner = cx.db.proc(cx.pid).role().into();
    let before = find(cx, &routine.name, &routine.args);
    if let Some(before) = &before {
        if !create.or_replace {
            let name = &routine.name;
            let message = format!("function \"{name}\" already exists with same argument types");
            return Err(PgError::new("42723", message).into());
        }
        require_owner(cx, before)?;
        if before.ret != routine.ret {
            let message = "cannot change return type of existing function";
            return Err(unlike(before, message).into());
        }
        let named = before.args.iter().zip(&routine.args);
        let other =
            |(old, new): &(&Variable, &Variable)| !old.name.is_empty() && old.name != new.name;
        if let Some((old, _)) = named.into_iter().find(other) {
            let message = format!("cannot change name of input parameter \"{}\"", old.name);
            return Err(unlike(before, &message).into());
        }
    }
    routine.oid = if let Some(before) = &before {
        before.oid
    } else {
        cx.db.claim_routine(cx.pid, &routine)?;
        cx.db.catalog.new_oid()
    };
    cx.db.put_routine(cx.pid, routine.oid, Some(routine.clone()))?;
    Ok(check(cx.db, cx.pid, &routine, &cx.state.text, create)?)
}

fn require_owner(cx: &Cx<'_>, routine: &Routine) -> Result<()> {
    let role = cx.db.proc(cx.pid).role();
    if cx.db.roles(cx.pid).owns(role, &routine.owner) {
        return Ok(());
    }
    Err(PgError::new("42501", format!("must be owner of function {}", routine.name)))
}

fn named<'c>(cx: &'c Cx<'_>, name: &str) -> impl Iterator<Item = &'c Arc<Routine>> {
    cx.db.routines(cx.pid).filter(move |routine| *routine.name == *name)
}

fn find(cx: &Cx<'_>, name: &str, args: &[Variable]) -> Option<Arc<Routine>> {
    let types = |all: &[Variable]| all.iter().map(|arg| arg.ty).collect::<Vec<Ty>>();
    let wanted = types(args);
    named(cx, name).find(|routine| types(&routine.args) == wanted).cloned()
}

/// What a function may not become while it is there.
fn unlike(before: &Routine, message: &str) -> PgError {
    let hint = format!("Use DROP FUNCTION {} first.", plain_signature(before));
    PgError::new("42P13", message).hint(hint)
}

pub fn drop_function(cx: &mut Cx<'_>, drop: &ast::DropFunction) -> Step<()> {
    for described in &drop.func_desc {
        let Some(name) = dropped_name(cx, &described.name, drop.if_exists)? else { continue };
        let Some(routine) = described_as(cx, &name, described.args.as_deref(), drop.if_exists)?
        else {
            continue;
        };
        require_owner(cx, &routine)?;
        let cascade = drop.drop_behavior == Some(ast::DropBehavior::Cascade);
        refuse_used(cx, &routine, cascade)?;
        cx.db.put_routine(cx.pid, routine.oid, None)?;
    }
    Ok(())
}

/// The function that is to go; `None` if it need not be there and is not.
fn described_as(
    cx: &mut Cx<'_>,
    name: &str,
    args: Option<&[ast::OperateFunctionArg]>,
    if_exists: bool,
) -> Result<Option<Arc<Routine>>> {
    let (found, shown) = if let Some(given) = args {
        let variable = |arg: &ast::OperateFunctionArg| {
            let (ty, typmod) = data_type(&arg.data_type)?;
            Ok(Variable { name: "".into(), ty, typmod })
        };
        let args = given.iter().map(variable).collect::<Result<Vec<Variable>>>()?;
        let types: Vec<String> = args.iter().map(|arg| arg.ty.name()).collect();
        let message = if if_exists {
            let written: Vec<String> = given.iter().map(|arg| written(&arg.data_type)).collect();
            format!("function {name}({}) does not exist", written.join(","))
        } else {
            format!("function {name}({}) does not exist", types.join(", "))
        };
        (find(cx, name, &args), message)
    } else {
        if named(cx, name).nth(1).is_some() {
            let hint = "Specify the argument list to select the function unambiguously.";
            let message = format!("function name \"{name}\" is not unique");
            return Err(PgError::new("42725", message).hint(hint));
        }
        let only = named(cx, name).next().cloned();
        let message = if if_exists {
            format!("function {name}() does not exist")
        } else {
            format!("could not find a function named \"{name}\"")
        };
        (only, message)
    };
    if found.is_none() && !if_exists {
        return Err(PgError::new("42883", shown));
    }
    if found.is_none() {
        notice(cx, "00000", format!("{shown}, skipping"));
    }
    Ok(found)
}

/// A type as it is named before it is looked for: the words of the standard have other names.
fn written(parsed: &ast::DataType) -> String {
    let text = parsed.to_string().to_lowercase();
    let name = match text.as_str() {
        "int" | "integer" => "int4",
        "smallint" => "int2",
        "bigint" => "int8",
        "boolean" => "bool",
        "real" => "float4",
        "double precision" => "float8",
        "character varying" | "varchar" => "varchar",
        "char" | "character" => "bpchar",
        "decimal" | "numeric" => "numeric",
        "time" | "timestamp" | "interval" => text.as_str(),
        other => return other.to_owned(),
    };
    format!("pg_catalog.{name}")
}

fn calls(expr: &Expr, oid: Oid) -> bool {
    let mut found = false;
    expr.walk(&mut |part| {
        found |= matches!(part, Expr::Routine { oid: own, .. } if *own == oid);
    });
    found
}

/// 2BP01 if a table's definition calls it.
fn refuse_used(cx: &Cx<'_>, routine: &Routine, cascade: bool) -> Result<()> {
    let mut why = Vec::new();
    let mut guards = Vec::new();
    for table in cx.db.tables(cx.pid) {
        why.extend(used_by(table, routine.oid));
        let policies = policies::of_routine(cx, table, routine)?;
        guards.extend(policies.iter().map(|name| format!("policy {name} on table {}", table.name)));
    }
    if !guards.is_empty() && guards.len() + why.len() > 1 {
        return Err(PgError::unsupported("DROP FUNCTION of what a policy and others call"));
    }
    why.extend(guards);
    if why.is_empty() {
        return Ok(());
    }
    if cascade {
        return Err(PgError::unsupported("DROP FUNCTION CASCADE of what others call"));
    }
    let signature = plain_signature(routine);
    let lines: Vec<String> =
        why.iter().map(|what| format!("{what} depends on function {signature}")).collect();
    let message = format!("cannot drop function {signature} because other objects depend on it");
    let hint = "Use DROP ... CASCADE to drop the dependent objects too.";
    Err(PgError::new("2BP01", message).detail(lines.join("\n")).hint(hint))
}

fn plain_signature(routine: &Routine) -> String {
    routine.signature().replace(", ", ",")
}

fn used_by(table: &Table, oid: Oid) -> Vec<String> {
    let mut all = Vec::new();
    let relation = &table.name;
    for column in table.columns.iter().filter(|column| !column.dropped) {
        let name = &column.name;
        if column.default.as_ref().is_some_and(|expr| calls(expr, oid)) {
            all.push(format!("default value for column {name} of table {relation}"));
        }
        if column.generated.as_ref().is_some_and(|expr| calls(expr, oid)) {
            all.push(format!("column {name} of table {relation}"));
        }
    }
    for index in table.indexes.iter().filter(|index| !index.dropped) {
        let part = |part: &IndexPart| match part {
            IndexPart::Expression(expr, ..) => calls(expr, oid),
            IndexPart::Column(_) => false,
        };
        let predicate = index.predicate.as_ref().is_some_and(|expr| calls(expr, oid));
        if predicate || index.parts.iter().any(part) {
            all.push(format!("index {}", index.name));
        }
    }
    for check in table.checks.iter().filter(|check| calls(&check.expr, oid)) {
        all.push(format!("constraint {} on table {relation}", check.name));
    }
    all
}

/// 42P17 if an expression that must always give the same calls what may not.
pub fn require_steady(cx: &Cx<'_>, expr: &Expr, message: &str) -> Result<()> {
    if may_differ(&Analyzer::new(cx.db, cx.pid, "", &[]).as_planned(expr)?) {
        return Err(PgError::new("42P17", message));
    }
    Ok(())
}

/// The same for an index.
pub fn require_immutable(cx: &Cx<'_>, expr: &Expr, what: &str) -> Result<()> {
    require_steady(cx, expr, &format!("functions in {what} must be marked IMMUTABLE"))
}

/// A value for a variable of another type; through its text if there is no cast.
pub fn assigned(cx: &mut Cx<'_>, datum: Datum, from: Ty, to: Ty, typmod: i32) -> Step<Datum> {
    if datum.is_null() || to == Ty::VOID || (from == to && typmod < 0) {
        return Ok(datum);
    }
    if from == to || can_cast(from, to, Context::Assignment) {
        return cast::cast(cx, datum, from, to, typmod, false);
    }
    Ok(from_text(&to_text(&datum, from), to, typmod)?)
}
