//! Tables, columns, indexes, constraints and sequences by name. Must never hold a row.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::locks::Oid;
use super::roles::{Acl, Roles, Security};
use super::xact::Xid;
use crate::world::postgres::sql::{Expr, Routine};
use crate::world::postgres::types::Ty;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    Always,
    ByDefault,
}

#[derive(Clone, Debug)]
pub struct Column {
    pub name: Arc<str>,
    pub ty: Ty,
    /// The type's modifier, -1 for none.
    pub typmod: i32,
    pub not_null: bool,
    pub default: Option<Arc<Expr>>,
    pub identity: Option<Identity>,
    /// `GENERATED ALWAYS AS (…) STORED`, over the row.
    pub generated: Option<Arc<Expr>>,
    /// Its place stays when a column is dropped.
    pub dropped: bool,
}

#[derive(Clone, Debug)]
pub enum IndexPart {
    Column(usize),
    /// With its type, and as it was written.
    Expression(Arc<Expr>, Ty, Arc<str>),
}

#[allow(clippy::struct_excessive_bools, reason = "independent properties of a definition")]
#[derive(Clone, Debug)]
pub struct Index {
    pub name: Arc<str>,
    pub parts: Vec<IndexPart>,
    pub unique: bool,
    pub primary: bool,
    /// Declared as a constraint, not by CREATE INDEX.
    pub constraint: bool,
    pub nulls_distinct: bool,
    pub predicate: Option<Arc<Expr>>,
    /// Columns that it only carries along.
    pub includes: Vec<usize>,
    /// Gone, but its position stays.
    pub dropped: bool,
}

impl Index {
    /// Its columns, if it is on columns only.
    pub fn columns(&self) -> Option<Vec<usize>> {
        let column = |part: &IndexPart| match part {
            IndexPart::Column(column) => Some(*column),
            IndexPart::Expression(..) => None,
        };
        self.parts.iter().map(column).collect()
    }

    /// Whether it is made of the column in any way.
    pub fn reads(&self, at: usize) -> bool {
        let reads = |expr: &Expr| expr.columns().is_none_or(|columns| columns.contains(&at));
        let part = |part: &IndexPart| match part {
            IndexPart::Column(column) => *column == at,
            IndexPart::Expression(expr, ..) => reads(expr),
        };
        self.parts.iter().any(part)
            || self.predicate.as_deref().is_some_and(reads)
            || self.includes.contains(&at)
    }
}

#[derive(Clone, Debug)]
pub struct Check {
    pub name: Arc<str>,
    pub expr: Arc<Expr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Nothing,
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignKey {
    pub name: Arc<str>,
    pub columns: Vec<usize>,
    pub target: Oid,
    pub target_columns: Vec<usize>,
    pub on_delete: Action,
    pub on_update: Action,
    /// Checked at commit.
    pub deferred: bool,
}

#[derive(Clone, Debug)]
pub struct Table {
    pub oid: Oid,
    pub name: Arc<str>,
    pub columns: Vec<Column>,
    pub indexes: Vec<Index>,
    pub checks: Vec<Check>,
    pub foreign_keys: Vec<ForeignKey>,
    pub security: Security,
    /// The transaction that creates it, until it commits: nobody else finds it by name.
    pub creator: Option<Xid>,
    /// The transaction that drops it, until it commits: only that one finds it no more.
    pub dropper: Option<Xid>,
}

impl Table {
    /// Whether a transaction with these ids finds it.
    fn is_there(&self, own: &[Xid]) -> bool {
        let created = self.creator.is_none_or(|creator| own.contains(&creator));
        created && !self.dropper.is_some_and(|dropper| own.contains(&dropper))
    }

    /// Whether everybody finds it.
    pub fn is_settled(&self) -> bool {
        self.creator.is_none() && self.dropper.is_none()
    }

    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| !column.dropped && &*column.name == name)
    }

    pub fn primary(&self) -> Option<&Index> {
        self.indexes.iter().find(|index| index.primary && !index.dropped)
    }

    /// Whether a change of the column needs the strongest row lock.
    pub fn is_key_column(&self, column: usize) -> bool {
        let has = |part: &IndexPart| matches!(part, IndexPart::Column(own) if *own == column);
        let plain = |part: &IndexPart| matches!(part, IndexPart::Column(_));
        self.indexes.iter().any(|index| {
            index.unique
                && !index.dropped
                && index.predicate.is_none()
                && index.parts.iter().any(has)
                && index.parts.iter().all(plain)
        })
    }

    /// Columns whose change needs the strongest row lock: those of unique indexes without
    /// predicate or expression, which a foreign key could point at.
    pub fn key_columns(&self) -> Vec<usize> {
        let unique =
            self.indexes.iter().filter(|i| i.unique && !i.dropped && i.predicate.is_none());
        let mut columns: Vec<usize> = unique.filter_map(Index::columns).flatten().collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    }
}

#[derive(Clone, Debug)]
pub struct Sequence {
    pub name: Arc<str>,
    /// Where it began.
    pub start: i64,
    pub next: i64,
    pub increment: i64,
    pub min: i64,
    pub max: i64,
    pub cycle: bool,
    /// Whether `next` has been handed out before.
    pub called: bool,
    /// Goes with the table.
    pub owner: Option<Oid>,
    /// Goes with this column of it.
    pub column: usize,
    /// The role whose it is.
    pub role: Arc<str>,
    pub acl: Acl,
}

#[derive(Debug, Default)]
pub struct Catalog {
    pub tables: BTreeMap<Oid, Arc<Table>>,
    pub sequences: BTreeMap<Oid, Sequence>,
    pub routines: BTreeMap<Oid, Arc<Routine>>,
    pub roles: Roles,
    names: BTreeMap<Arc<str>, Vec<Oid>>,
    next: Oid,
    /// Changes with every definition; plans made before are stale.
    pub version: u64,
}

impl Catalog {
    pub fn new_oid(&mut self) -> Oid {
        self.next = self.next.max(16_383) + 1;
        self.next
    }

    /// A table that this transaction may see.
    pub fn table(&self, name: &str, own: &[Xid]) -> Option<&Arc<Table>> {
        self.names
            .get(name)?
            .iter()
            .rev()
            .filter_map(|oid| self.tables.get(oid))
            .find(|table| table.is_there(own))
    }

    pub fn sequence(&self, name: &str) -> Option<Oid> {
        self.sequences.iter().find(|(_, sequence)| &*sequence.name == name).map(|(oid, _)| *oid)
    }

    /// Whether a table, index or sequence has this name, but for those that `own` drops.
    pub fn is_taken(&self, name: &str, own: &[Xid]) -> bool {
        let stays = |oid: &Oid| {
            let dropper = self.tables.get(oid).and_then(|table| table.dropper);
            !dropper.is_some_and(|dropper| own.contains(&dropper))
        };
        let sequence = || {
            let oid = self.sequence(name)?;
            self.sequences[&oid].owner.is_none_or(|owner| stays(&owner)).then_some(())
        };
        self.names.get(name).is_some_and(|oids| oids.iter().any(stays))
            || sequence().is_some()
            || self.index(name).is_some_and(|(oid, _)| stays(&oid))
    }

    /// The table and position of an index.
    pub fn index(&self, name: &str) -> Option<(Oid, usize)> {
        self.tables.values().rev().find_map(|table| {
            let at = table.indexes.iter().position(|i| !i.dropped && &*i.name == name)?;
            Some((table.oid, at))
        })
    }

    /// Adds a table or replaces its definition.
    pub fn put(&mut self, table: Arc<Table>) {
        self.version += 1;
        if let Some(old) = self.tables.get(&table.oid).cloned() {
            self.forget_name(&old);
        }
        self.names.entry(table.name.clone()).or_default().push(table.oid);
        self.tables.insert(table.oid, table);
    }

    pub fn remove(&mut self, oid: Oid) -> Option<Arc<Table>> {
        self.version += 1;
        let table = self.tables.remove(&oid)?;
        self.forget_name(&table);
        Some(table)
    }

    fn forget_name(&mut self, table: &Table) {
        if let Some(oids) = self.names.get_mut(&table.name) {
            oids.retain(|oid| *oid != table.oid);
        }
    }

    /// Adds a function, replaces it, or with `None` removes it. Plans name functions by number and
    /// choose among them by type: those made before are stale.
    pub fn put_routine(&mut self, oid: Oid, routine: Option<Arc<Routine>>) {
        self.version += 1;
        match routine {
            Some(routine) => self.routines.insert(oid, routine),
            None => self.routines.remove(&oid),
        };
    }

    /// Foreign keys that point at a table: the pointing table and the constraint's position.
    /// A table that is about to vanish points at nothing.
    pub fn referrers(&self, target: Oid) -> Vec<(Arc<Table>, usize)> {
        let pointing = |table: &Arc<Table>| -> Vec<(Arc<Table>, usize)> {
            let keys = table.foreign_keys.iter().enumerate();
            keys.filter(|(_, key)| key.target == target)
                .map(|(at, _)| (table.clone(), at))
                .collect()
        };
        self.tables.values().filter(|table| table.dropper.is_none()).flat_map(pointing).collect()
    }
}
