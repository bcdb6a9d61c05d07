//! Functions of one's own, as they were declared: signature and body. Must never run one.

use std::ops::Range;
use std::sync::Arc;

use sqlparser::ast::{self, Statement};

use crate::world::postgres::error::PgError;
use crate::world::postgres::storage::locks::Oid;
use crate::world::postgres::types::Ty;

/// An argument or a declared variable. Its place in the list is that of its value.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Empty for an argument that has no name.
    pub name: Arc<str>,
    pub ty: Ty,
    pub typmod: i32,
}

/// What a function promises about what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Volatility {
    Immutable,
    Stable,
    Volatile,
}

/// A function.
#[derive(Clone, Debug)]
pub struct Routine {
    pub oid: Oid,
    pub name: Arc<str>,
    pub args: Vec<Variable>,
    pub ret: Ty,
    pub volatility: Volatility,
    /// NULL if an argument is.
    pub strict: bool,
    pub body: Code,
    pub owner: Arc<str>,
}

impl Routine {
    /// What it takes.
    pub fn types(&self) -> Vec<Ty> {
        self.args.iter().map(|arg| arg.ty).collect()
    }

    /// Whether there may be one of them only.
    pub fn is_named_as(&self, other: &Routine) -> bool {
        self.name == other.name && self.types() == other.types()
    }

    /// `f(integer, text)`
    pub fn signature(&self) -> String {
        let types: Vec<String> = self.args.iter().map(|arg| arg.ty.name()).collect();
        format!("{}({})", self.name, types.join(", "))
    }

    /// Every variable: the arguments, then those that the body declares.
    pub fn variables(&self) -> &[Variable] {
        match &self.body {
            Code::Sql(_) => &self.args,
            Code::Procedural { variables, .. } => variables,
        }
    }
}

impl Fragment {
    /// As it is run.
    pub fn own(&self) -> &str {
        &self.text[self.part.clone()]
    }

    /// An error of what is run, as one of the text that is shown; `shift`: what was put before.
    pub fn shown(&self, error: PgError, shift: usize) -> PgError {
        let before = self.text[..self.part.start].chars().count();
        let place = |place: usize| place.checked_sub(shift).filter(|place| *place > 0);
        error.moved(|found| place(found).map(|found| found + before)).within(&self.text)
    }

    /// An error of the conversion of its value to that of the variable which it is assigned to:
    /// PostgreSQL has converted a constant before, and takes a literal as one of that type.
    pub fn converted(&self, error: PgError) -> PgError {
        let output = match &*self.statement {
            Statement::Query(query) => query.body.as_select().map(|s| s.projection.as_slice()),
            _ => None,
        };
        let Some([ast::SelectItem::UnnamedExpr(value)]) = output else { return error };
        let fits = ["22001", "22003"].contains(&error.code());
        match value {
            ast::Expr::Value(value)
                if !fits && matches!(value.value, ast::Value::SingleQuotedString(_)) =>
            {
                self.shown(error.at(Some(1)), 0)
            }
            value if is_constant(value) => error.context(&self.called()),
            _ => error,
        }
    }

    /// What PostgreSQL calls it where it is run, or planned, as a query of its own.
    pub fn called(&self) -> String {
        let kind = match self.expression {
            false => "SQL statement",
            true if self.part.start > 0 => "PL/pgSQL assignment",
            true => "SQL expression",
        };
        format!("{kind} \"{}\"", self.text)
    }

    /// Whether it is a query.
    pub fn reads(&self) -> bool {
        matches!(&*self.statement, Statement::Query(_))
    }

    /// Whether it says how many rows it found.
    pub fn counts(&self) -> bool {
        is_planned(&self.statement)
    }
}

fn is_constant(expr: &ast::Expr) -> bool {
    match expr {
        ast::Expr::Value(value) => !matches!(value.value, ast::Value::Placeholder(_)),
        ast::Expr::TypedString(_) => true,
        ast::Expr::Nested(expr)
        | ast::Expr::Cast { expr, .. }
        | ast::Expr::UnaryOp { expr, .. } => is_constant(expr),
        ast::Expr::BinaryOp { left, right, .. } => is_constant(left) && is_constant(right),
        _ => false,
    }
}

/// Whether a statement is planned, not run as it stands.
pub fn is_planned(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Query(_) | Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_)
    )
}

#[derive(Clone, Debug)]
pub enum Code {
    /// LANGUAGE sql: one statement after the other.
    Sql(Vec<Fragment>),
    /// LANGUAGE plpgsql.
    Procedural { variables: Vec<Variable>, block: Block },
}

/// A piece of SQL within a body.
#[derive(Clone, Debug)]
pub struct Fragment {
    /// As errors show it, and the part of it that is run.
    pub text: Arc<str>,
    pub part: Range<usize>,
    pub statement: Arc<Statement>,
    /// An expression, as against a statement: its text is run behind `SELECT `.
    pub expression: bool,
    /// It reads no table and has no subquery: PostgreSQL works it out without a query of its own.
    pub simple: bool,
    /// It is what PERFORM runs.
    pub is_perform: bool,
    /// Variables that can be seen there.
    pub seen: Arc<[usize]>,
}

/// `DECLARE … BEGIN … EXCEPTION … END`
#[derive(Clone, Debug)]
pub struct Block {
    pub label: Option<String>,
    /// Variables to begin with: which, what with, and on which line it is said.
    pub declared: Vec<(usize, Option<Fragment>, usize)>,
    pub acts: Vec<(usize, Act)>,
    pub handlers: Vec<Handler>,
    /// Where the text of the error that is handled stands: SQLSTATE and SQLERRM.
    pub caught: Option<(usize, usize)>,
}

/// `WHEN condition OR … THEN …`
#[derive(Clone, Debug)]
pub struct Handler {
    /// SQLSTATEs; one that ends in `000` stands for its class, an empty one for OTHERS.
    pub conditions: Vec<String>,
    pub acts: Vec<(usize, Act)>,
}

/// A statement of a procedural body; its line stands beside it.
#[derive(Clone, Debug)]
pub enum Act {
    Block(Block),
    Assign(usize, Fragment),
    If {
        arms: Vec<(Fragment, Vec<(usize, Act)>)>,
        otherwise: Vec<(usize, Act)>,
    },
    Loop {
        label: Option<String>,
        condition: Option<Fragment>,
        acts: Vec<(usize, Act)>,
    },
    /// EXIT, or CONTINUE if `again`.
    Leave {
        label: Option<String>,
        condition: Option<Fragment>,
        again: bool,
    },
    Raise(Raise),
    Perform(Fragment),
    Return(Option<Fragment>),
    Sql {
        fragment: Fragment,
        into: Option<IntoVariables>,
    },
    Nothing,
}

/// The variables that a statement's first row goes to.
#[derive(Clone, Debug)]
pub struct IntoVariables {
    pub variables: Vec<usize>,
    pub strict: bool,
}

#[derive(Clone, Debug)]
pub struct Raise {
    /// `NOTICE`, `EXCEPTION`; empty: the error that is handled, again.
    pub level: &'static str,
    pub code: Option<String>,
    /// What was said instead of a format.
    pub condition: Option<String>,
    pub format: Option<String>,
    pub args: Vec<Fragment>,
    /// `USING option = expression`.
    pub options: Vec<(String, Fragment)>,
}
