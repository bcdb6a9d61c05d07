//! Types: what may be converted to what, and the common type of several expressions.
//! Must never convert at run time.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use sqlparser::ast::{DataType, Spanned as _};
use sqlparser::tokenizer::{Location, Span};

use super::names::data_type;
use super::plan::{Expand, Expr, Kept, OutColumn};
use super::resolve::{can_cast, common_type};
use super::routine::Names;
use super::volatility::may_differ;
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::exec::{holds_constant, is_constant, relation_oid};
use crate::world::postgres::storage::Db;
use crate::world::postgres::storage::catalog::Table;
use crate::world::postgres::storage::locks::{Mode, Oid, Pid};
use crate::world::postgres::types::{Base, Datum, Ty, fit, from_text};

/// An expression with its type.
#[derive(Clone, Debug)]
pub struct Typed {
    pub expr: Expr,
    pub ty: Ty,
    pub typmod: i32,
    /// Where it stands in the text, if an error may have to point at it.
    pub place: Option<Location>,
}

impl Typed {
    pub fn new(expr: Expr, ty: Ty) -> Typed {
        Typed { expr, ty, typmod: -1, place: None }
    }

    #[must_use]
    pub fn at(mut self, span: Span) -> Typed {
        self.place = Some(span.start);
        self
    }
}

/// How willing a place is to convert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Context {
    Implicit,
    Assignment,
    Explicit,
}

/// A WITH query that may be named.
#[derive(Clone, Debug)]
pub struct CteScope {
    pub name: String,
    pub slot: usize,
    pub columns: Vec<OutColumn>,
    /// It reads a row around it: so does whoever reads its rows.
    pub correlated: bool,
    /// It writes and gives no rows.
    pub silent: bool,
}

/// The output of a query, where one function may give a set.
#[derive(Debug)]
pub struct SetPlace {
    /// That of the query.
    pub depth: usize,
    /// Behind the query's row: where an item of the set stands.
    pub index: usize,
    pub expand: Option<Expand>,
}

/// One statement's analysis.
pub struct Analyzer<'a> {
    pub db: &'a Db,
    pub pid: Pid,
    /// The statement's text, for positions.
    pub text: &'a str,
    /// Types of `$1`…; unknown until something fixes them.
    pub params: RefCell<Vec<Ty>>,
    /// How many parameters it may name.
    pub most: usize,
    /// Whether what a query gives of no type is text; otherwise who reads it will say.
    pub resolves: Cell<bool>,
    /// Parameters of which a place took no type, and where it is.
    pub open: RefCell<Vec<(usize, Option<usize>)>>,
    pub slots: Cell<usize>,
    pub caches: Cell<usize>,
    pub ctes: RefCell<Vec<CteScope>>,
    /// Names of WITH queries that are not known yet; `true`: WITH RECURSIVE has them.
    pub later: RefCell<Vec<(String, bool)>>,
    /// The WITH queries that were named, in the order of the analysis.
    pub reads: RefCell<Vec<usize>>,
    /// Tables it names, in the order they are locked, and how.
    pub tables: RefCell<Vec<(Oid, Mode)>>,
    /// The definitions that it went by. For a role that may do everything the plan depends on
    /// nothing else that a cluster has.
    pub definitions: RefCell<Vec<Arc<Table>>>,
    /// What PostgreSQL's rewriter refuses first, once all is analysed.
    pub refused: RefCell<Option<PgError>>,
    /// What its role may not do, in the order of the analysis.
    pub denied: RefCell<Vec<PgError>>,
    /// Something may not be done of a query within an expression.
    pub barred: Cell<bool>,
    /// The conditions that such a query may stand in.
    pub asked: RefCell<Vec<Expr>>,
    /// Tables whose policies are being analysed.
    pub guarding: RefCell<Vec<Oid>>,
    /// Where a function that gives a set may stand.
    pub set: RefCell<Option<SetPlace>>,
    /// How often it may yet be looked for the first of several faults.
    pub looks: Cell<usize>,
    /// How many queries are around the place of the analysis.
    pub depth: Cell<usize>,
    /// Functions of one's own are called, or sequences named.
    pub calls: Cell<bool>,
    /// A part of a definition, in which nothing may be queried: what PostgreSQL calls it.
    pub part: Option<&'static str>,
    /// The clause that it is in, if that may have no aggregates.
    pub clause: Cell<Option<&'static str>>,
    /// Within a function of one's own: what its variables are called.
    pub names: Option<Names<'a>>,
    /// It is a statement's: what it calls may be put in the place of the call.
    pub inlines: Cell<bool>,
}

impl<'a> Analyzer<'a> {
    pub fn new(db: &'a Db, pid: Pid, text: &'a str, params: &[Ty]) -> Analyzer<'a> {
        Analyzer {
            db,
            pid,
            text,
            params: params.to_vec().into(),
            most: 0,
            resolves: true.into(),
            open: Vec::new().into(),
            slots: 0.into(),
            caches: 0.into(),
            ctes: Vec::new().into(),
            later: Vec::new().into(),
            reads: Vec::new().into(),
            tables: Vec::new().into(),
            definitions: Vec::new().into(),
            refused: None.into(),
            denied: Vec::new().into(),
            barred: false.into(),
            asked: Vec::new().into(),
            guarding: Vec::new().into(),
            set: None.into(),
            depth: 0.into(),
            looks: 32.into(),
            calls: false.into(),
            part: None,
            clause: None.into(),
            names: None,
            inlines: false.into(),
        }
    }

    /// The table of this name.
    pub fn table(&self, name: &str) -> Result<Arc<Table>> {
        let table = self.db.table(name, self.pid)?;
        let mut definitions = self.definitions.borrow_mut();
        if !definitions.iter().any(|known| Arc::ptr_eq(known, &table)) {
            definitions.push(table.clone());
        }
        Ok(table)
    }

    /// Notes a table that must be locked before the statement runs.
    pub fn uses(&self, table: Oid, mode: Mode) {
        let mut tables = self.tables.borrow_mut();
        if !tables.contains(&(table, mode)) {
            tables.push((table, mode));
        }
    }

    /// A table that was noted to be read has rows locked.
    pub fn locks_rows_of(&self, table: Oid) {
        let mut tables = self.tables.borrow_mut();
        match tables.iter().rposition(|known| *known == (table, Mode::AccessShare)) {
            Some(at) => tables[at].1 = Mode::RowShare,
            None => tables.push((table, Mode::RowShare)),
        }
    }
}

/// Where a value of this type would be read, written or worked with: whether the session has dates
/// and times as they are here. A row may hold some.
pub fn check_times(db: &Db, pid: Pid, ty: Ty) -> Result<()> {
    use Base::{Date, Interval, Record, Timestamp, Timestamptz};
    match &db.proc(pid).parameters.asked().foreign_times {
        Some(why) if matches!(ty.base, Date | Interval | Record | Timestamp | Timestamptz) => {
            Err(PgError::unsupported(format_args!("a date or time under {why}")))
        }
        _ => Ok(()),
    }
}

impl Analyzer<'_> {
    pub fn coerce(&self, typed: Typed, to: Ty, typmod: i32, context: Context) -> Result<Expr> {
        let place = typed.place;
        self.converted(typed, to, typmod, context).map_err(|error| error.at(self.placed(place)))
    }

    fn converted(&self, typed: Typed, to: Ty, typmod: i32, context: Context) -> Result<Expr> {
        let from = typed.ty;
        if from == Ty::UNKNOWN && to != Ty::UNKNOWN {
            return self.coerce_unknown(typed.expr, to, typmod, context);
        }
        if from == to && (typmod < 0 || typmod == typed.typmod) {
            return Ok(typed.expr);
        }
        check_times(self.db, self.pid, from)?;
        check_times(self.db, self.pid, to)?;
        if !can_cast(from, to, context) {
            return Err(PgError::new(
                "42846",
                format!("cannot cast type {} to {}", from.name(), to.name()),
            ));
        }
        let explicit = context == Context::Explicit;
        Ok(Expr::Cast { expr: Box::new(typed.expr), from, to, typmod, explicit })
    }

    fn coerce_unknown(&self, expr: Expr, to: Ty, typmod: i32, context: Context) -> Result<Expr> {
        if !matches!(expr, Expr::Const(Datum::Null)) {
            check_times(self.db, self.pid, to)?;
        }
        match expr {
            // Whatever becomes of its name, this one is meant: the plan is good for this cluster.
            Expr::Const(Datum::Text(text)) if to == Ty::REGCLASS => {
                self.calls.set(true);
                Ok(Expr::Const(Datum::Int(relation_oid(self.db, self.pid, &text)?)))
            }
            Expr::Const(Datum::Text(text)) => {
                let explicit = context == Context::Explicit;
                let datum = from_text(&text, to, -1)?;
                // What does not fit fails where it would be worked out.
                match fit(datum.clone(), to, typmod, explicit) {
                    Ok(fitting) if !explicit || typmod < 0 => Ok(Expr::Const(fitting)),
                    _ => {
                        let expr = Box::new(Expr::Const(datum));
                        Ok(Expr::Cast { expr, from: to, to, typmod, explicit })
                    }
                }
            }
            Expr::Const(Datum::Null) => Ok(Expr::NULL),
            Expr::Param(at) => {
                let known = std::mem::replace(&mut self.params.borrow_mut()[at], to);
                if ![Ty::UNKNOWN, to].contains(&known) {
                    let message = format!("inconsistent types deduced for parameter ${}", at + 1);
                    let detail = format!("{} versus {}", known.name(), to.name());
                    return Err(PgError::new("42P08", message).detail(detail));
                }
                if typmod < 0 {
                    return Ok(Expr::Param(at));
                }
                let (expr, explicit) = (Box::new(Expr::Param(at)), context == Context::Explicit);
                Ok(Expr::Cast { expr, from: to, to, typmod, explicit })
            }
            other => {
                let explicit = context == Context::Explicit;
                Ok(Expr::Cast { expr: Box::new(other), from: Ty::TEXT, to, typmod, explicit })
            }
        }
    }

    /// As a boolean, for WHERE and its like.
    pub fn condition(&self, typed: Typed, place: &str) -> Result<Expr> {
        if typed.ty != Ty::BOOL && typed.ty != Ty::UNKNOWN {
            let name = typed.ty.name();
            let message = format!("argument of {place} must be type boolean, not type {name}");
            return Err(PgError::new("42804", message).at(self.placed(typed.place)));
        }
        self.coerce(typed, Ty::BOOL, -1, Context::Implicit)
    }

    /// For a column of this type: what an INSERT or UPDATE stores.
    pub fn assign(&self, typed: Typed, ty: Ty, typmod: i32, column: &str) -> Result<Expr> {
        if typed.ty != Ty::UNKNOWN && !can_cast(typed.ty, ty, Context::Assignment) {
            let message = format!(
                "column \"{column}\" is of type {} but expression is of type {}",
                ty.name(),
                typed.ty.name()
            );
            let hint = "You will need to rewrite or cast the expression.";
            return Err(PgError::new("42804", message).hint(hint).at(self.placed(typed.place)));
        }
        self.coerce(typed, ty, typmod, Context::Assignment)
    }

    /// Brings several expressions to one type; `place` names them in the error.
    pub fn unify(&self, all: Vec<Typed>, place: &str) -> Result<(Vec<Expr>, Ty, i32)> {
        let types: Vec<Ty> = all.iter().map(|typed| typed.ty).collect();
        let ty = common_type(&types, place).map_err(|error| {
            // The first that does not go with those before it.
            let wrong = (1..types.len()).find(|at| common_type(&types[..=*at], place).is_err());
            error.at(wrong.and_then(|at| self.placed(all[at].place)))
        })?;
        let first = all.first().map_or(-1, |typed| typed.typmod);
        let same = all.iter().all(|typed| (typed.ty, typed.typmod) == (ty, first));
        let coerced = all.into_iter().map(|typed| self.coerce(typed, ty, -1, Context::Implicit));
        Ok((coerced.collect::<Result<_>>()?, ty, if same { first } else { -1 }))
    }

    /// Unknown literals in the output are texts.
    pub fn settle(&self, typed: Typed) -> Result<Typed> {
        if typed.ty == Ty::UNKNOWN {
            let place = typed.place;
            let expr = self.coerce(typed, Ty::TEXT, -1, Context::Implicit)?;
            return Ok(Typed { place, ..Typed::new(expr, Ty::TEXT) });
        }
        Ok(typed)
    }

    /// Notes a parameter that stays without a type where it may have any; whether it is one.
    pub fn leaves_open(&self, typed: &Typed) -> bool {
        let (Ty::UNKNOWN, Expr::Param(at)) = (typed.ty, &typed.expr) else { return false };
        self.open.borrow_mut().push((*at, self.placed(typed.place)));
        true
    }

    /// Whether PostgreSQL knows its value when it plans.
    pub fn is_known(&self, expr: &Expr) -> bool {
        is_constant(expr) && !may_differ(expr) && !self.has_variable(expr)
    }

    /// Whether it may be known, or fail, where it is planned: the variables of a function may be.
    pub fn may_be_known(&self, expr: &Expr) -> bool {
        holds_constant(expr) || self.has_variable(expr)
    }

    fn has_variable(&self, expr: &Expr) -> bool {
        let mut found = false;
        if self.names.is_some() {
            expr.walk(&mut |part| found |= matches!(part, Expr::Param(_)));
        }
        found
    }

    pub fn new_cache(&self) -> Kept {
        let cache = self.caches.get();
        self.caches.set(cache + 1);
        Kept(cache)
    }

    pub fn new_slot(&self) -> usize {
        let slot = self.slots.get();
        self.slots.set(slot + 1);
        slot
    }

    /// A parameter, by the number after `$`.
    pub fn param(&self, text: &str) -> Result<Typed> {
        let number: usize = text
            .strip_prefix('$')
            .and_then(|digits| digits.parse().ok())
            .filter(|number| (1..=self.most).contains(number))
            .ok_or_else(|| PgError::new("42P02", format!("there is no parameter {text}")))?;
        let mut params = self.params.borrow_mut();
        if params.len() < number {
            params.resize(number, Ty::UNKNOWN);
        }
        Ok(Typed::new(Expr::Param(number - 1), params[number - 1]))
    }

    /// Where an identifier stands in the text: characters, from 1.
    pub fn position(&self, span: Span) -> Option<usize> {
        self.placed(Some(span.start))
    }

    /// The type and its modifier; one that is not there fails where it stands.
    pub fn data_type(&self, parsed: &DataType) -> Result<(Ty, i32)> {
        data_type(parsed).map_err(|error| match parsed {
            DataType::Custom(name, _) => error.at(self.position(name.span())),
            _ => error,
        })
    }

    /// Where the operator stands that comes before this operand.
    pub fn operator(&self, name: &str, right: Span) -> Option<usize> {
        let end = self.position(right)?.checked_sub(1)?;
        let before: String = self.text.chars().take(end).collect();
        let lower = before.to_ascii_lowercase();
        let name = name.to_ascii_lowercase();
        let other = if name == "<>" { lower.rfind("!=") } else { None };
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let whole = |at: &usize| {
            let (left, right) = (&lower[..*at], &lower[at + name.len()..]);
            !name.starts_with(word) || !(left.ends_with(word) || right.starts_with(word))
        };
        let found = lower.rmatch_indices(&name).map(|(at, _)| at).find(whole);
        let at = found.max(other)?;
        Some(before[..at].chars().count() + 1)
    }

    /// The same, of a place that may not be known.
    pub fn placed(&self, place: Option<Location>) -> Option<usize> {
        super::parse::offset(self.text, place?)
    }
}

/// Refuses to sort or to find equals by a type that has no such operators.
pub fn can_compare(ty: Ty, order: bool) -> Result<()> {
    if ty.base != Base::Json {
        return Ok(());
    }
    let what = if order { "an ordering" } else { "an equality" };
    let message = format!("could not identify {what} operator for type {}", ty.name());
    let error = PgError::new("42883", message);
    let hint = "Use an explicit ordering operator or modify the query.";
    Err(if order { error.hint(hint) } else { error })
}

/// The same for what is grouped by its values: padded ones are equal to others that are not the
/// same.
pub fn can_group(ty: Ty, typmod: i32) -> Result<()> {
    can_compare(ty, false)?;
    if ty.base == Base::Bpchar && typmod == -1 {
        return Err(PgError::unsupported("equals among characters of no length"));
    }
    Ok(())
}

/// A plan's column, named and typed.
pub fn out_column(name: impl Into<Arc<str>>, typed: &Typed) -> OutColumn {
    OutColumn { name: name.into(), ty: typed.ty, typmod: typed.typmod, origin: None }
}
