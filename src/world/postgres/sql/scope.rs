//! What names mean at a place of a statement. Must never evaluate.

use std::cell::{Cell, RefCell};
use std::iter::successors;
use std::ops::Range;
use std::sync::Arc;

use sqlparser::ast;

use super::hints::hint;
use super::plan::{Aggregate, Expr, OutColumn};
use super::system::TABLES_LACK;
use crate::world::postgres::error::{PgError, Result, common};
use crate::world::postgres::storage::catalog::Table;
use crate::world::postgres::storage::locks::Oid;
use crate::world::postgres::types::Ty;

#[derive(Clone, Debug)]
pub struct ScopeColumn {
    pub name: Arc<str>,
    pub ty: Ty,
    pub typmod: i32,
    /// Place in the query's row.
    pub index: usize,
    pub origin: Option<(Oid, i16)>,
    /// The right twin of a USING column: not found by its bare name, nor by `*`.
    pub hidden: bool,
    /// A USING column: where its bare name and `*` find it, which is the right twin's place if the
    /// left side may be missing.
    pub merged: Option<usize>,
}

#[derive(Clone, Debug)]
pub struct ScopeRelation {
    pub alias: Arc<str>,
    pub columns: Vec<ScopeColumn>,
    /// Columns that PostgreSQL has there and that cannot be read: then neither can `*`.
    pub lacks: &'static [&'static str],
    /// The table it is.
    pub table: Option<Arc<Table>>,
    /// A function that returns no rows of several columns: its alias is its value.
    pub scalar: bool,
    /// An outer join may not find a row of it.
    pub optional: bool,
}

/// After grouping: expressions are over keys and aggregates.
#[derive(Debug, Default)]
pub struct Group {
    pub keys: Vec<(ast::Expr, Expr, Ty, i32)>,
    pub aggregates: RefCell<Vec<Aggregate>>,
    /// Within an aggregate's argument: expressions are over the rows again.
    pub inside: Cell<bool>,
    /// Whether columns may stand in it that are not keys: what comes of it is not read.
    pub loose: bool,
}

#[derive(Debug, Default)]
pub struct Scope<'p> {
    pub parent: Option<&'p Scope<'p>>,
    pub relations: Vec<ScopeRelation>,
    /// The relations that what is analysed now may not read.
    pub unseen: Range<usize>,
    /// Places of columns in the order that `*` gives them.
    pub order: Vec<usize>,
    pub group: Option<Group>,
    /// What it stands beside, in FROM or in an INSERT: nothing there can be read.
    pub beside: Option<&'p Scope<'p>>,
    /// The parts of a set operation, up to the one that is analysed now.
    pub parts: RefCell<Vec<ScopeRelation>>,
    /// Something in this query reads a row around it.
    pub correlated: Cell<bool>,
}

/// A column that a name stands for.
#[derive(Clone, Debug)]
pub struct Found {
    pub depth: usize,
    pub column: ScopeColumn,
}

impl<'p> Scope<'p> {
    pub fn within(parent: Option<&'p Scope<'p>>) -> Scope<'p> {
        Scope { parent, ..Scope::default() }
    }

    /// Within the same as this one.
    pub fn beside(&'p self) -> Scope<'p> {
        Scope { parent: self.parent, beside: Some(self), ..Scope::default() }
    }

    pub fn find(&self, qualifier: Option<&str>, name: &str) -> Result<Found> {
        let mut scope = Some(self);
        let mut depth = 0;
        while let Some(here) = scope {
            if let Some(column) = here.find_here(qualifier, name)? {
                self.mark(depth);
                return Ok(Found { depth, column });
            }
            scope = here.parent;
            depth += 1;
        }
        Err(self.no_column(qualifier, name))
    }

    fn no_column(&self, qualifier: Option<&str>, name: &str) -> PgError {
        let entries = self.entries();
        let hinted = |error: PgError| match hint(&entries, qualifier, name) {
            Some(hint) => error.hint(hint),
            None => error,
        };
        let Some(qualifier) = qualifier else { return hinted(common::no_column(name)) };
        if self.relation(qualifier).is_some() {
            let message = format!("column {qualifier}.{name} does not exist");
            return hinted(PgError::new("42703", message));
        }
        let table = |entry: &ScopeRelation| entry.table.as_ref().map(|table| table.name.clone());
        let named = |entry: &&ScopeRelation| {
            *entry.alias == *qualifier || table(entry).is_some_and(|name| *name == *qualifier)
        };
        let Some(entry) = entries.iter().find(named) else {
            let message = format!("missing FROM-clause entry for table \"{qualifier}\"");
            return PgError::new("42P01", message);
        };
        let alias = &entry.alias;
        let message = format!("invalid reference to FROM-clause entry for table \"{qualifier}\"");
        PgError::new("42P01", message).hint(if self.relation(alias).is_some() {
            format!("Perhaps you meant to reference the table alias \"{alias}\".")
        } else {
            format!(
                "There is an entry for table \"{alias}\", but it cannot be referenced from this \
                 part of the query."
            )
        })
    }

    /// All that it is looked for in when a name is not found (`searchRangeTableForCol`).
    fn entries(&self) -> Vec<ScopeRelation> {
        let all = successors(Some(self), |scope| scope.beside.or(scope.parent));
        all.flat_map(|scope| [scope.relations.clone(), scope.parts.borrow().clone()].concat())
            .collect()
    }

    /// Notes a part of a set operation that has been analysed: those behind it are told of its
    /// columns, as of a table's.
    pub fn note_part(&self, part: &Scope<'_>, columns: &[OutColumn], is_set: bool) {
        let mut parts = self.parts.borrow_mut();
        if is_set {
            parts.extend(part.parts.take());
            return;
        }
        let alias = format!("*SELECT* {}", parts.len() + 1).into();
        let column = |column: &OutColumn| ScopeColumn {
            name: column.name.clone(),
            ty: column.ty,
            typmod: column.typmod,
            index: 0,
            origin: None,
            hidden: false,
            merged: None,
        };
        parts.push(ScopeRelation {
            alias,
            columns: columns.iter().map(column).collect(),
            lacks: &[],
            table: None,
            scalar: false,
            optional: false,
        });
    }

    /// 42P01 for a table of another schema.
    pub fn elsewhere(&self, qualifier: &str) -> PgError {
        if self.relation(qualifier).is_none() {
            let message = format!("missing FROM-clause entry for table \"{qualifier}\"");
            return PgError::new("42P01", message);
        }
        let message = format!("invalid reference to FROM-clause entry for table \"{qualifier}\"");
        PgError::new("42P01", message).hint(format!(
            "There is an entry for table \"{qualifier}\", but it cannot be referenced from this \
             part of the query."
        ))
    }

    fn find_here(&self, qualifier: Option<&str>, name: &str) -> Result<Option<ScopeColumn>> {
        let mut found: Option<ScopeColumn> = None;
        for relation in self.seen() {
            if qualifier.is_some_and(|qualifier| *qualifier != *relation.alias) {
                continue;
            }
            for column in &relation.columns {
                if *column.name != *name || (qualifier.is_none() && column.hidden) {
                    continue;
                }
                if found.is_some() {
                    let message = format!("column reference \"{name}\" is ambiguous");
                    return Err(PgError::new("42702", message));
                }
                let mut column = column.clone();
                if qualifier.is_none() {
                    column.index = column.merged.unwrap_or(column.index);
                }
                found = Some(column);
            }
        }
        Ok(found)
    }

    /// Whether PostgreSQL would know a name that is not known here.
    pub fn lacks(&self, qualifier: Option<&str>, name: &str) -> bool {
        let mut all = self
            .relations
            .iter()
            .filter(|relation| qualifier.is_none_or(|qualifier| *relation.alias == *qualifier));
        all.any(|relation| relation.lacks.contains(&name) || TABLES_LACK.contains(&name))
            || self.parent.is_some_and(|parent| parent.lacks(qualifier, name))
    }

    fn seen(&self) -> impl Iterator<Item = &ScopeRelation> {
        let all = self.relations.iter().enumerate();
        all.filter(|(at, _)| !self.unseen.contains(at)).map(|(_, relation)| relation)
    }

    /// The query `depth` out.
    pub fn around(&self, depth: usize) -> Option<&Scope<'p>> {
        (0..depth).try_fold(self, |scope, _| scope.parent)
    }

    /// Whether there is a relation of this name, but not for what is analysed now.
    /// The relation with this alias, here or around, and how far out.
    pub fn relation(&self, alias: &str) -> Option<(usize, &ScopeRelation)> {
        let here = self.seen().find(|relation| &*relation.alias == alias);
        if let Some(relation) = here {
            return Some((0, relation));
        }
        let (depth, relation) = self.parent?.relation(alias)?;
        Some((depth + 1, relation))
    }

    /// A query beside this one, with the same ones around it and run as part of this one: if it
    /// reads a row around, so does this one.
    pub fn reads_like(&self, part: &Scope<'_>) {
        if part.correlated.get() {
            self.correlated.set(true);
        }
    }

    /// Notes that this query and those up to `depth` out read a row around them.
    pub fn mark(&self, depth: usize) {
        let mut scope = Some(self);
        for _ in 0..depth {
            let Some(here) = scope else { return };
            here.correlated.set(true);
            scope = here.parent;
        }
    }
}
