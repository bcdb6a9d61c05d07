//! Which calls and conversions depend on more than their arguments, and which must not be made
//! twice (PostgreSQL 15, chapter 38.7). Must never make one.

use super::body::Volatility;
use super::functions::Function;
use super::plan::{Expr, Query};
use super::walk::each_of_query;
use crate::world::postgres::types::Ty;

/// Functions whose result depends on more than their arguments.
const UNSTEADY: &[&str] = &[
    "age",
    "array_to_json",
    "array_to_string",
    "concat",
    "concat_ws",
    "current_catalog",
    "current_database",
    "current_date",
    "current_role",
    "current_schema",
    "current_setting",
    "current_time",
    "current_timestamp",
    "current_user",
    "currval",
    "format",
    "format_type",
    "json_build_array",
    "json_build_object",
    "jsonb_build_array",
    "jsonb_build_object",
    "lastval",
    "localtime",
    "localtimestamp",
    "now",
    "pg_backend_pid",
    "pg_current_xact_id",
    "pg_get_serial_sequence",
    "pg_is_in_recovery",
    "pg_typeof",
    "row_to_json",
    "session_user",
    "statement_timestamp",
    "to_char",
    "to_json",
    "to_jsonb",
    "transaction_timestamp",
    "txid_current",
    "user",
    "version",
];

/// Those for which the time zone of a TIMESTAMPTZ matters.
const ZONED: &[&str] = &["date_part", "date_trunc", "extract", "generate_series"];

/// Whether a conversion goes by the session's time zone or date style (`provolatile` of
/// PostgreSQL's function for it).
pub fn is_zoned(from: Ty, to: Ty) -> bool {
    let dated = [Ty::DATE, Ty::TIMESTAMP, Ty::TIMESTAMPTZ];
    let text = |ty: Ty| ty.is_text();
    (dated.contains(&from) && text(to))
        || (text(from) && dated.contains(&to))
        || (from == Ty::TIMESTAMPTZ) != (to == Ty::TIMESTAMPTZ)
}

/// Whether a call always gives the same: IMMUTABLE. `types`: those of its arguments.
pub fn is_steady(function: &Function, types: &[Ty]) -> bool {
    let zoned = types.contains(&Ty::TIMESTAMPTZ)
        && (types.contains(&Ty::INTERVAL) || ZONED.contains(&function.name));
    // Text and anything: as it is written.
    let written = function.name == "||"
        && function.args.contains(&Ty::ANY)
        && types.iter().any(|ty| is_zoned(*ty, Ty::TEXT));
    !zoned && !written && !counts(function.name) && !UNSTEADY.contains(&function.name)
}

/// Whether every call of a builtin counts, so that none may be made again after a wait.
pub fn counts(name: &str) -> bool {
    name.starts_with("pg_advisory_")
        || name.starts_with("pg_try_advisory_")
        || matches!(
            name,
            "nextval"
                | "setval"
                | "random"
                | "clock_timestamp"
                | "gen_random_uuid"
                | "pg_sleep"
                | "pg_notify"
                | "set_config"
                | "pg_cancel_backend"
        )
}

/// Whether an expression must be worked out exactly as often as it stands there.
pub fn is_volatile(expr: &Expr) -> bool {
    let mut volatile = false;
    expr.walk(&mut |part| volatile |= matches!(part, Expr::Counted(..) | Expr::Routine { .. }));
    volatile
}

/// Whether it calls what is VOLATILE (`contain_volatile_functions` of PostgreSQL).
pub fn may_change(expr: &Expr) -> bool {
    let mut volatile = false;
    expr.walk(&mut |part| {
        volatile |= match part {
            Expr::Counted(..) => true,
            Expr::Routine { volatility, .. } => *volatility == Volatility::Volatile,
            _ => false,
        }
    });
    volatile
}

/// Whether it calls or converts by what is not IMMUTABLE (`contain_mutable_functions`).
pub fn may_differ(expr: &Expr) -> bool {
    let mut mutable = false;
    expr.walk(&mut |part| {
        mutable |= match part {
            Expr::Counted(..) => true,
            Expr::Call { steady, .. } => !*steady,
            Expr::Cast { from, to, .. } => is_zoned(*from, *to),
            Expr::Routine { volatility, .. } => *volatility != Volatility::Immutable,
            _ => false,
        }
    });
    mutable
}

/// The same as [`may_change`], of the calls as they were written.
pub fn is_written_volatile(expr: &Expr) -> bool {
    let mut volatile = may_change(expr);
    expr.walk(&mut |part| {
        if let Expr::Inlined { volatility, args, .. } = part {
            volatile = volatile
                || *volatility == Volatility::Volatile
                || args.iter().any(is_written_volatile);
        }
    });
    volatile
}

/// The same, of the queries within too.
pub fn may_change_within(expr: &Expr) -> bool {
    let mut volatile = is_written_volatile(expr);
    expr.walk(&mut |part| {
        if let Expr::Sub { query, .. } = part {
            volatile = volatile || may_change_query(query);
        }
    });
    volatile
}

/// The same of a query.
pub fn may_change_query(query: &Query) -> bool {
    let mut volatile = false;
    let _never_stops = each_of_query(query, true, &mut |expr| {
        volatile = volatile || may_change_within(expr);
        Ok(false)
    });
    volatile
}
