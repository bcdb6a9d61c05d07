//! From SQL text to a plan: parsing, name and type resolution. Must never read a row.

mod analyze;
mod conflict;
mod expression;
mod from;
mod functions;
mod insert;
mod names;
mod output;
mod parse;
mod plan;
mod query;
mod scope;
mod security;
mod statement;
mod subquery;

pub use analyze::{Analyzer, Context, Typed, can_cast};
pub use functions::{Builtin, Function};
pub use names::{data_type, ident, is_serial, object_name};
pub use parse::{Parsed, Parses, offset, parse};
pub use plan::{
    Aggregate, Body, CompareOp, Conflict, Cte, Delete, Expr, From, Insert, JoinKind, Lookup,
    OutColumn, Plan, Policy, Query, Relation, RowCheck, Scan, Select, SetOp, SortKey, Source,
    SubKind, Update,
};
pub use scope::Scope;
pub use security::table_scope;
pub use statement::{Planned, plan_statement};
