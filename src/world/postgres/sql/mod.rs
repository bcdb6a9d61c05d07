//! From SQL text to a plan: parsing, name and type resolution. Must never read a row.

mod aggregates;
mod analyze;
mod body;
mod conditions;
mod conflict;
mod ctes;
mod escapes;
mod expression;
mod first;
mod from;
mod functions;
mod gates;
mod grammar;
mod hints;
mod index_text;
mod inline;
mod insert;
mod keywords;
mod lexical;
mod literals;
mod locking;
mod matching;
mod names;
mod operators;
mod output;
mod parse;
mod places;
mod placing;
mod plan;
mod plpgsql;
mod predicates;
mod query;
mod resolve;
mod routine;
mod rows;
mod scan;
mod scope;
mod security;
mod signatures;
mod sink;
mod statement;
mod subquery;
mod system;
mod tokens;
mod unread;
mod volatility;
mod walk;

pub use analyze::{Analyzer, Context, Typed};
pub use body::{
    Act, Block, Code, Fragment, Handler, IntoVariables, Raise, Routine, Variable, Volatility,
    is_planned,
};
pub use conditions::{means, named};
pub use expression::DEFAULT;
pub use functions::{Builtin, Function};
pub use gates::is_simple;
pub use grammar::{Grammar, Symbol};
pub use index_text::index_text;
pub use inline::{parts, stands_for};
pub use keywords::quoted;
pub use names::{data_type, ident, is_serial, known_collation, modified_name, object_name};
pub use parse::{Parsed, Parses, offset, parse};
pub use plan::{
    Aggregate, Barred, Body, CompareOp, Conflict, Cte, Delete, Expr, From, Insert, JoinKind, Kept,
    Lookup, OutColumn, Plan, Policy, Query, Relation, RowCheck, Scan, Select, SetOp, SortKey,
    Source, SubKind, Update,
};
pub use resolve::can_cast;
pub use routine::{check, check_returned, declared, plan_fragment};
pub use scope::Scope;
pub use security::table_scope;
pub use statement::{Planned, Unplanned, plan_statement};
pub use subquery::has_query;
pub use system::System;
pub use volatility::{is_zoned, may_change, may_differ};
pub use walk::{each_of_plan, each_of_query};
