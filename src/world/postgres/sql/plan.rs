//! Plans: what a statement will do, with names and types resolved. Must never hold state of a run.

use std::fmt;
use std::sync::Arc;

use super::body::Volatility;
use super::functions::Builtin;
use super::system::System;
use crate::world::postgres::error::PgError;
use crate::world::postgres::storage::catalog::Table;
use crate::world::postgres::storage::heap::Strength;
use crate::world::postgres::storage::locks::Oid;
use crate::world::postgres::types::{Datum, Names, Ty};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareOp {
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
}

impl CompareOp {
    pub fn symbol(self) -> &'static str {
        match self {
            CompareOp::Eq => "=",
            CompareOp::NotEq => "<>",
            CompareOp::Lt => "<",
            CompareOp::LtEq => "<=",
            CompareOp::Gt => ">",
            CompareOp::GtEq => ">=",
        }
    }

    pub fn holds(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            CompareOp::Eq => ordering.is_eq(),
            CompareOp::NotEq => ordering.is_ne(),
            CompareOp::Lt => ordering.is_lt(),
            CompareOp::LtEq => ordering.is_le(),
            CompareOp::Gt => ordering.is_gt(),
            CompareOp::GtEq => ordering.is_ge(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubKind {
    Scalar,
    Exists,
    Array,
    /// `left op ANY (query)`; `true` for ALL.
    Quantified(CompareOp, bool),
}

/// A place for a query's result among those that are kept while a statement runs. Expressions that
/// differ in nothing else are the same (they are compared as `Debug` shows them).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kept(pub usize);

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}

/// An expression over the current row and the rows around it.
#[derive(Clone, Debug)]
pub enum Expr {
    Const(Datum),
    /// From 0.
    Param(usize),
    /// A column of the row `depth` queries out.
    Column {
        depth: usize,
        index: usize,
    },
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    /// NULL, or a row of NULLs.
    IsNull(Box<Expr>),
    /// IS NOT NULL of a row: none of its fields is.
    NoneNull(Box<Expr>),
    /// `IS [NOT] TRUE`, `FALSE`: never NULL.
    Is(Box<Expr>, bool),
    Compare(CompareOp, Box<Expr>, Box<Expr>),
    /// `<`, `<=`, `>`, `>=` of two rows, field by field.
    CompareRows(CompareOp, Vec<(Expr, Expr)>),
    NotDistinct(Box<Expr>, Box<Expr>),
    /// `left op ANY (array)`; `true` for ALL.
    Quantified(CompareOp, bool, Box<Expr>, Box<Expr>),
    /// `strict`: NULL if an argument is. `steady`: the same arguments always give the same.
    Call {
        function: Builtin,
        strict: bool,
        steady: bool,
        args: Vec<Expr>,
        types: Arc<[Ty]>,
    },
    /// A call of a function of one's own.
    Routine {
        oid: Oid,
        args: Vec<Expr>,
        volatility: Volatility,
        /// Nothing may stand in its place, with these arguments.
        stays: bool,
    },
    /// What stands in the place of a call of a function in SQL, with the arguments of the call.
    /// `strict`: NULL if one of them is. `volatility`: as the function was declared.
    Inlined {
        name: Arc<str>,
        strict: bool,
        volatility: Volatility,
        args: Vec<Expr>,
        body: Box<Expr>,
    },
    /// A call that happens once although its step is taken again.
    Counted(&'static str, Box<Expr>),
    Cast {
        expr: Box<Expr>,
        from: Ty,
        to: Ty,
        typmod: i32,
        explicit: bool,
    },
    Case {
        whens: Vec<(Expr, Expr)>,
        otherwise: Box<Expr>,
    },
    Coalesce(Vec<Expr>),
    Array(Vec<Expr>),
    Record {
        names: Option<Names>,
        fields: Vec<(Ty, Expr)>,
    },
    /// `cache`: a place for the result of a query that does not depend on the row. `joins`:
    /// PostgreSQL joins with it instead of running it for each row.
    Sub {
        query: Arc<Query>,
        kind: SubKind,
        left: Option<Box<Expr>>,
        cache: Option<Kept>,
        joins: bool,
        barred: Barred,
    },
}

/// What a role may not do of a query within an expression, which matters unless it is left out.
#[derive(Clone, Debug, PartialEq)]
pub enum Barred {
    No,
    By(Arc<PgError>),
    /// It is told by the condition that it stands in, which is in [`Select::asked`].
    Apart,
}

impl Expr {
    pub const NULL: Expr = Expr::Const(Datum::Null);

    /// The NULL of NULLIF, which is no CASE for who asks after its type.
    pub fn nothing(ty: Ty) -> Expr {
        let (expr, from, to) = (Box::new(Expr::NULL), ty, ty);
        Expr::Cast { expr, from, to, typmod: -1, explicit: false }
    }

    pub fn is_nothing(&self) -> bool {
        matches!(self, Expr::Cast { expr, from, to, typmod: -1, explicit: false }
            if from == to && matches!(**expr, Expr::Const(Datum::Null)))
    }

    /// Whether it is this column of the innermost row.
    pub fn is_column(&self, wanted: usize) -> bool {
        matches!(self, Expr::Column { depth: 0, index } if *index == wanted)
    }

    /// Calls `visit` with every expression within this one that belongs to the same query.
    pub fn walk(&self, visit: &mut dyn FnMut(&Expr)) {
        visit(self);
        match self {
            Expr::Const(_) | Expr::Param(_) | Expr::Column { .. } => {}
            Expr::And(all) | Expr::Or(all) | Expr::Coalesce(all) | Expr::Array(all) => {
                for expr in all {
                    expr.walk(visit);
                }
            }
            Expr::Call { args, .. } | Expr::Routine { args, .. } => {
                for expr in args {
                    expr.walk(visit);
                }
            }
            Expr::Record { fields, .. } => {
                for (_, expr) in fields {
                    expr.walk(visit);
                }
            }
            Expr::Not(expr)
            | Expr::IsNull(expr)
            | Expr::NoneNull(expr)
            | Expr::Is(expr, _)
            | Expr::Counted(_, expr)
            | Expr::Inlined { body: expr, .. }
            | Expr::Cast { expr, .. } => expr.walk(visit),
            Expr::Compare(_, a, b) | Expr::NotDistinct(a, b) | Expr::Quantified(_, _, a, b) => {
                a.walk(visit);
                b.walk(visit);
            }
            Expr::CompareRows(_, pairs) => {
                for (a, b) in pairs {
                    a.walk(visit);
                    b.walk(visit);
                }
            }
            Expr::Case { whens, otherwise } => {
                for (when, then) in whens {
                    when.walk(visit);
                    then.walk(visit);
                }
                otherwise.walk(visit);
            }
            Expr::Sub { left, .. } => {
                if let Some(left) = left {
                    left.walk(visit);
                }
            }
        }
    }

    /// The columns of the innermost row that it reads; `None` if a subquery may read any.
    pub fn columns(&self) -> Option<Vec<usize>> {
        let mut columns = Vec::new();
        let mut opaque = false;
        self.walk(&mut |expr| match expr {
            Expr::Column { depth: 0, index } => columns.push(*index),
            Expr::Sub { cache: None, .. } => opaque = true,
            _ => {}
        });
        (!opaque).then_some(columns)
    }
}

#[derive(Clone, Debug)]
pub struct OutColumn {
    pub name: Arc<str>,
    pub ty: Ty,
    pub typmod: i32,
    /// The table's OID and the column's number from 1, when it is a plain column.
    pub origin: Option<(Oid, i16)>,
}

#[derive(Clone, Debug)]
pub struct SortKey {
    pub expr: Expr,
    pub descending: bool,
    pub nulls_first: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
}

/// How to find rows by the key of an index.
#[derive(Clone, Debug)]
pub struct Lookup {
    pub index: usize,
    /// Equal to the first columns of the index.
    pub prefix: Vec<Expr>,
    pub any: Option<Expr>,
}

#[derive(Clone, Debug)]
pub struct Scan {
    /// Position among the query's relations.
    pub relation: usize,
    pub filter: Vec<Arc<Expr>>,
    pub lookup: Option<Lookup>,
    /// Worked out before a row is read: if one is NULL there is none.
    pub bounds: Vec<Expr>,
    /// A WITH query is run to its end before its first row is read.
    pub whole: bool,
}

/// The tree of FROM. All its nodes fill their part of one row.
#[derive(Clone, Debug)]
pub enum From {
    /// One row without columns.
    Nothing,
    Scan(Scan),
    Join {
        kind: JoinKind,
        left: Box<From>,
        right: Box<From>,
        on: Vec<Arc<Expr>>,
        filter: Vec<Arc<Expr>>,
    },
}

#[derive(Clone, Debug)]
pub enum Source {
    Table(Arc<Table>),
    /// `lateral`: it reads the row of what stands before it.
    Query {
        query: Arc<Query>,
        lateral: bool,
    },
    Cte(usize),
    System(System),
    /// A function that gives a set, `unnest` or `generate_series`.
    Function {
        function: Builtin,
        args: Vec<Expr>,
        types: Arc<[Ty]>,
        ordinality: bool,
    },
}

/// One entry of FROM with its place in the row.
#[derive(Clone, Debug)]
pub struct Relation {
    pub source: Source,
    pub alias: Arc<str>,
    pub offset: usize,
    pub width: usize,
}

#[derive(Clone, Debug)]
pub struct Aggregate {
    pub name: &'static str,
    pub args: Vec<Expr>,
    pub ty: Ty,
    pub arg_ty: Ty,
    pub distinct: bool,
    pub filter: Option<Expr>,
    pub order: Vec<SortKey>,
}

/// A call that gives a set, in a select list.
#[derive(Clone, Debug)]
pub struct Expand {
    pub function: Builtin,
    pub args: Vec<Expr>,
    pub types: Arc<[Ty]>,
}

#[derive(Clone, Debug)]
pub struct Select {
    pub relations: Vec<Relation>,
    pub width: usize,
    pub from: From,
    /// Every condition of WHERE and inner ON: what must hold again after a wait.
    pub quals: Vec<Arc<Expr>>,
    /// Conditions with queries that the role may not run, as they are written: what is left out of
    /// one of them is not asked for.
    pub asked: Vec<Expr>,
    /// Conditions on no column: tested once.
    pub grouped: bool,
    pub keys: Vec<Expr>,
    pub aggregates: Vec<Aggregate>,
    pub having: Option<Expr>,
    /// Over the row, or if `grouped` over keys and aggregates.
    pub project: Vec<Expr>,
    pub distinct: bool,
    pub distinct_on: Vec<Expr>,
    pub expand: Option<Expand>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOp {
    Union,
    Except,
    Intersect,
}

#[derive(Clone, Debug)]
pub enum Body {
    Select(Box<Select>),
    Values(Vec<Vec<Expr>>),
    Set { op: SetOp, all: bool, left: Arc<Query>, right: Arc<Query> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    Wait,
    Fail,
    Skip,
}

#[derive(Clone, Copy, Debug)]
pub struct LockRows {
    pub relation: usize,
    pub strength: Strength,
    pub policy: Policy,
}

#[derive(Clone, Debug)]
pub struct Cte {
    /// Its place among the statement's results.
    pub slot: usize,
    pub plan: Arc<Plan>,
    /// The WITH queries whose rows it reads.
    pub reads: Vec<usize>,
    /// The part of a recursive one that is repeated, and whether duplicates stay.
    pub recursive: Option<(Arc<Query>, bool)>,
    /// Its rows are kept, however often it is read.
    pub kept: bool,
    /// What the role may not do of it: that matters once it is wanted.
    pub denied: Vec<PgError>,
}

#[derive(Clone, Debug)]
pub struct Query {
    pub ctes: Vec<Cte>,
    pub body: Body,
    pub columns: Vec<OutColumn>,
    pub sort: Vec<SortKey>,
    /// The sort keys read output columns.
    pub sort_output: bool,
    pub limit: Option<Expr>,
    pub offset: Option<Expr>,
    pub locks: Vec<LockRows>,
    /// Over the rows so far, when their types must be others.
    pub output: Option<Vec<Expr>>,
}

impl Query {
    /// Neither sorted, nor limited, nor with WITH queries.
    pub fn plain(body: Body, columns: Vec<OutColumn>) -> Query {
        Query {
            ctes: Vec::new(),
            body,
            columns,
            sort: Vec::new(),
            sort_output: false,
            limit: None,
            offset: None,
            locks: Vec::new(),
            output: None,
        }
    }

    /// The query with its columns converted.
    #[must_use]
    pub fn casted(mut self, casts: Vec<Expr>) -> Query {
        let plain = casts
            .iter()
            .enumerate()
            .all(|(at, cast)| matches!(cast, Expr::Column { depth: 0, index } if *index == at));
        if !plain {
            self.output = Some(casts);
        }
        self
    }
}

/// Where a written column's value comes from.
#[derive(Clone, Debug)]
pub struct Target {
    pub column: usize,
    pub value: Expr,
}

/// What a policy demands of a row that is written.
#[derive(Clone, Debug)]
pub struct RowCheck {
    /// A restrictive policy is named when it refuses a row.
    pub policy: Option<Arc<str>>,
    pub expr: Arc<Expr>,
    /// It is about the row that ON CONFLICT found, not about the new one.
    pub existing: bool,
}

#[derive(Clone, Debug)]
pub struct Conflict {
    /// Indexes that arbitrate; empty for all.
    pub arbiters: Vec<usize>,
    /// `DO UPDATE`: over the existing row followed by the proposed one.
    pub update: Option<(Vec<Target>, Option<Expr>)>,
    pub checks: Vec<RowCheck>,
}

impl Conflict {
    /// The columns that DO UPDATE writes.
    pub fn targets(&self) -> impl Iterator<Item = usize> {
        self.update.iter().flat_map(|(targets, _)| targets.iter().map(|target| target.column))
    }

    pub fn arbitrates(&self, index: usize) -> bool {
        self.arbiters.is_empty() || self.arbiters.contains(&index)
    }
}

#[derive(Clone, Debug)]
pub struct Insert {
    pub ctes: Vec<Cte>,
    pub table: Arc<Table>,
    /// One row of its output makes one row of the table.
    pub source: Arc<Query>,
    /// Over the source's row; all columns of the table in order.
    pub values: Vec<Expr>,
    /// The columns that it names, those of DO UPDATE too.
    pub named: Arc<[usize]>,
    pub conflict: Option<Conflict>,
    pub checks: Vec<RowCheck>,
    pub returning: Option<(Vec<Expr>, Vec<OutColumn>)>,
}

#[derive(Clone, Debug)]
pub struct Update {
    pub ctes: Vec<Cte>,
    pub table: Arc<Table>,
    /// Relation 0 is the table.
    pub source: Select,
    pub targets: Vec<Target>,
    /// The columns of the targets.
    pub named: Arc<[usize]>,
    pub checks: Vec<RowCheck>,
    pub returning: Option<(Vec<Expr>, Vec<OutColumn>)>,
    /// A key column may change.
    pub strength: Strength,
}

#[derive(Clone, Debug)]
pub struct Delete {
    pub ctes: Vec<Cte>,
    pub table: Arc<Table>,
    pub source: Select,
    pub returning: Option<(Vec<Expr>, Vec<OutColumn>)>,
}

#[derive(Clone, Debug)]
pub enum Plan {
    Query(Arc<Query>),
    Insert(Box<Insert>),
    Update(Box<Update>),
    Delete(Box<Delete>),
}

impl Plan {
    /// What the statement gives back; `None` for no rows at all.
    pub fn columns(&self) -> Option<&[OutColumn]> {
        let returning = match self {
            Plan::Query(query) => return Some(&query.columns),
            Plan::Insert(insert) => &insert.returning,
            Plan::Update(update) => &update.returning,
            Plan::Delete(delete) => &delete.returning,
        };
        returning.as_ref().map(|(_, columns)| columns.as_slice())
    }

    /// Whether it or a WITH query of it writes rows.
    pub fn writes(&self) -> bool {
        match self {
            Plan::Query(query) => query.ctes.iter().any(|cte| cte.plan.writes()),
            Plan::Insert(_) | Plan::Update(_) | Plan::Delete(_) => true,
        }
    }

    /// What a read-only transaction refuses it as; `None` if it may run there.
    pub fn refused_as(&self) -> Option<&'static str> {
        match self {
            Plan::Query(query) => match query.locks.first() {
                Some(lock) => Some(match lock.strength {
                    Strength::KeyShare => "SELECT FOR KEY SHARE",
                    Strength::Share => "SELECT FOR SHARE",
                    Strength::NoKeyUpdate => "SELECT FOR NO KEY UPDATE",
                    Strength::Update => "SELECT FOR UPDATE",
                }),
                None => self.writes().then_some("SELECT"),
            },
            Plan::Insert(_) => Some("INSERT"),
            Plan::Update(_) => Some("UPDATE"),
            Plan::Delete(_) => Some("DELETE"),
        }
    }
}
