//! Tables, columns, indexes, constraints and sequences by name, as each transaction finds them.
//! Must never hold a row.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::entries::{Beside, Entries, Open};
use super::locks::Oid;
use super::roles::{Acl, Role, Roles, Security};
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
    /// Stands where another open transaction makes one.
    pub fn vacant() -> Index {
        Index {
            name: "".into(),
            parts: Vec::new(),
            unique: false,
            primary: false,
            constraint: false,
            nulls_distinct: true,
            predicate: None,
            includes: Vec::new(),
            dropped: true,
        }
    }

    fn is_vacant(&self) -> bool {
        self.dropped && self.parts.is_empty()
    }

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
    /// In their order the keys that point at a row are checked, and go.
    pub oid: Oid,
    pub name: Arc<str>,
    pub columns: Vec<usize>,
    pub target: Oid,
    pub target_columns: Vec<usize>,
    pub on_delete: Action,
    pub on_update: Action,
    /// Checked at commit.
    pub deferred: bool,
    /// Rows that were there before it have been checked.
    pub validated: bool,
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
    /// Whether a foreign key was ever made on it or pointed at it.
    pub has_triggers: bool,
    pub revision: Revision,
}

/// How often a definition was changed. PostgreSQL keeps it in rows of several catalogues, and who
/// would write one that an open transaction has written waits for it, whatever locks both hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Revision {
    /// Its row in `pg_class`: name, owner, privileges, the numbers of its columns and checks.
    class: u32,
    /// Anything else but indexes, which only the holder of a strong lock changes.
    parts: u32,
    /// Its indexes: how often one was made.
    indexes: u32,
}

/// GRANT locks no table, and CREATE INDEX lets others make indexes: both are done beside what
/// other transactions make of the table.
impl Beside for Table {
    fn is_beside(&self, over: &Table) -> bool {
        self.revision.class == over.revision.class
    }

    fn rebased(&self, over: &Table, settled: &Table) -> Option<Table> {
        let (own, over, after) = (self.revision, over.revision, settled.revision);
        let class = if own.class == over.class { settled } else { self };
        let parts = own.parts != over.parts;
        let mut table = if parts { self.clone() } else { settled.clone() };
        // It stays as much ahead as it was.
        table.revision = Revision {
            class: class.revision.class,
            parts: after.parts + (own.parts - over.parts),
            indexes: after.indexes + (own.indexes - over.indexes),
        };
        if parts || own.indexes != over.indexes {
            table.indexes.clone_from(&self.indexes);
            let added = settled.indexes.len().max(table.indexes.len());
            table.indexes.resize_with(added, Index::vacant);
            for (own, made) in table.indexes.iter_mut().zip(&settled.indexes) {
                if own.is_vacant() {
                    *own = made.clone();
                }
            }
        }
        table.security.acl = class.security.acl.clone();
        table.has_triggers = class.has_triggers;
        Some(table)
    }
}

impl Beside for Sequence {}
impl Beside for Routine {}
impl Beside for Role {}
impl Beside for Acl {}

impl Table {
    /// Its row in `pg_class` is written anew.
    pub fn touch_class(&mut self) {
        self.revision.class += 1;
    }

    /// Anything but its indexes and its row in `pg_class` is.
    pub fn touch_parts(&mut self) {
        self.revision.parts += 1;
    }

    /// One of its indexes is made.
    pub fn touch_indexes(&mut self) {
        self.revision.indexes += 1;
    }

    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| !column.dropped && &*column.name == name)
    }

    /// The position of an index of this name.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.indexes.iter().position(|index| !index.dropped && &*index.name == name)
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

/// What a sequence is declared as. Where it stands is no definition: see [`Counter`].
#[derive(Clone, Debug)]
pub struct Sequence {
    pub name: Arc<str>,
    /// Where it began.
    pub start: i64,
    pub increment: i64,
    pub min: i64,
    pub max: i64,
    pub cycle: bool,
    /// Goes with the table.
    pub owner: Option<Oid>,
    /// Goes with this column of it.
    pub column: usize,
    /// The role whose it is.
    pub role: Arc<str>,
    pub acl: Acl,
}

impl Sequence {
    /// Where it stands at first.
    pub fn first(&self) -> Counter {
        Counter { next: self.start, called: false }
    }
}

/// Where a sequence stands: what it hands out is handed out, whatever becomes of the transaction.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    pub next: i64,
    /// Whether `next` has been handed out before.
    pub called: bool,
}

/// A definition, and what an open transaction makes of it.
#[derive(Debug)]
pub enum Change {
    Table(Oid, Option<Open<Table>>),
    Sequence(Oid, Option<Open<Sequence>>),
    Routine(Oid, Option<Open<Routine>>),
    Role(Arc<str>, Option<Open<Role>>),
    /// Privileges on the schema `public`.
    Schema(Option<Open<Acl>>),
}

impl Change {
    /// The transaction and whether it drops the thing.
    pub fn made(&self) -> Option<Changer> {
        match self {
            Change::Table(_, open) => open.as_ref().map(changer),
            Change::Sequence(_, open) => open.as_ref().map(changer),
            Change::Routine(_, open) => open.as_ref().map(changer),
            Change::Role(_, open) => open.as_ref().map(changer),
            Change::Schema(open) => open.as_ref().map(changer),
        }
    }
}

/// A transaction that changes something, and whether it drops it, and changed it before.
#[derive(Clone, Copy, Debug)]
pub struct Changer {
    pub by: Xid,
    pub drops: bool,
    pub again: bool,
}

fn changer<T>(open: &Open<T>) -> Changer {
    Changer { by: open.by, drops: open.now.is_none(), again: open.again }
}

/// Whether something has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    No,
    Yes,
    /// Another open transaction gives it to a table, or to an index or a sequence.
    Table(Xid),
    Other(Xid),
}

#[derive(Debug, Default)]
pub struct Catalog {
    pub tables: Entries<Oid, Table>,
    pub sequences: Entries<Oid, Sequence>,
    pub routines: Entries<Oid, Routine>,
    pub roles: Roles,
    /// Tables by every name that a transaction may find them by.
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

    /// Whether an open transaction changes anything: until it ends, sessions see different things.
    pub fn is_open(&self) -> bool {
        self.tables.is_open()
            || self.sequences.is_open()
            || self.routines.is_open()
            || self.roles.known.is_open()
            || self.roles.schema.is_open()
    }

    pub fn table(&self, name: &str, own: &[Xid]) -> Option<&Arc<Table>> {
        let oids = self.names.get(name)?.iter();
        let mut found = oids.filter_map(|oid| self.tables.get(oid, own));
        found.find(|table| &*table.name == name)
    }

    pub fn sequence(&self, name: &str, own: &[Xid]) -> Option<Oid> {
        let mut all = self.sequences.seen(own);
        all.find(|(_, sequence)| &*sequence.name == name).map(|(oid, _)| *oid)
    }

    /// The table and position of an index.
    pub fn index(&self, name: &str, own: &[Xid]) -> Option<(Oid, usize)> {
        self.tables.seen(own).rev().find_map(|(oid, table)| Some((*oid, table.index(name)?)))
    }

    /// Whether a table, index or sequence has this name.
    pub fn taken(&self, name: &str, own: &[Xid]) -> Taken {
        if self.table(name, own).is_some()
            || self.sequence(name, own).is_some()
            || self.index(name, own).is_some()
        {
            return Taken::Yes;
        }
        for (by, table) in self.tables.given(own) {
            if &*table.name == name {
                return Taken::Table(by);
            }
            if table.index(name).is_some() {
                return Taken::Other(by);
            }
        }
        let mut sequences = self.sequences.given(own);
        let found = sequences.find(|(_, sequence)| &*sequence.name == name);
        found.map_or(Taken::No, |(by, _)| Taken::Other(by))
    }

    /// Another open transaction that changes what this would change.
    pub fn in_the_way(&self, change: &Change, by: Xid) -> Option<Changer> {
        let own = &[by];
        match change {
            Change::Table(oid, open) => {
                let now = open.as_ref().and_then(|open| open.now.as_ref());
                let beside = self.tables.get(oid, own).zip(now);
                let beside = beside.is_some_and(|(over, now)| now.is_beside(over));
                let other = self.tables.in_the_way(oid, own).map(changer);
                other.filter(|_| !beside || self.makes_index(change))
            }
            Change::Sequence(oid, _) => self.sequences.in_the_way(oid, own).map(changer),
            Change::Routine(oid, _) => self.routines.in_the_way(oid, own).map(changer),
            Change::Role(name, _) => self.roles.known.in_the_way(name, own).map(changer),
            Change::Schema(_) => self.roles.schema.in_the_way(&(), own).map(changer),
        }
    }

    /// Whether the change makes an index, which waits for others but contradicts none.
    pub fn makes_index(&self, change: &Change) -> bool {
        let Change::Table(oid, Some(Open { by, now: Some(now), .. })) = change else {
            return false;
        };
        let made = |over: &Arc<Table>| now.revision.indexes != over.revision.indexes;
        self.tables.get(oid, &[*by]).is_some_and(made)
    }

    /// Puts a change in force for its transaction; gives back what takes it back.
    pub fn change(&mut self, by: Xid, change: Change) -> Change {
        self.version += 1;
        match change {
            Change::Table(oid, open) => {
                self.forget_names(oid);
                let before = self.tables.change(&oid, by, open);
                self.keep_names(oid);
                Change::Table(oid, before)
            }
            Change::Sequence(oid, open) => {
                Change::Sequence(oid, self.sequences.change(&oid, by, open))
            }
            Change::Routine(oid, open) => {
                Change::Routine(oid, self.routines.change(&oid, by, open))
            }
            Change::Role(name, open) => {
                let before = self.roles.known.change(&name, by, open);
                Change::Role(name, before)
            }
            Change::Schema(open) => Change::Schema(self.roles.schema.change(&(), by, open)),
        }
    }

    /// What a transaction made of it is committed.
    pub fn settle(&mut self, by: Xid, change: &Change) {
        self.version += 1;
        match change {
            Change::Table(oid, _) => {
                self.forget_names(*oid);
                self.tables.settle(oid, by);
                self.keep_names(*oid);
            }
            Change::Sequence(oid, _) => self.sequences.settle(oid, by),
            Change::Routine(oid, _) => self.routines.settle(oid, by),
            Change::Role(name, _) => self.roles.known.settle(name, by),
            Change::Schema(_) => self.roles.schema.settle(&(), by),
        }
    }

    fn names_of(&self, oid: Oid) -> Vec<Arc<str>> {
        let both = [self.tables.settled(&oid), self.tables.latest(&oid)];
        both.into_iter().flatten().map(|table| table.name.clone()).collect()
    }

    fn forget_names(&mut self, oid: Oid) {
        for name in self.names_of(oid) {
            if let Some(oids) = self.names.get_mut(&name) {
                oids.retain(|own| *own != oid);
            }
        }
    }

    fn keep_names(&mut self, oid: Oid) {
        for name in self.names_of(oid) {
            self.names.entry(name).or_default().push(oid);
        }
    }

    /// Where an index that is made now stands among those of its table: behind those that other
    /// open transactions make.
    pub fn next_index(&self, oid: Oid) -> usize {
        let indexes = |table: &Arc<Table>| table.indexes.len();
        let others = self.tables.others(&[]).filter(|(_, table)| table.oid == oid);
        let settled = self.tables.settled(&oid).map_or(0, indexes);
        others.map(|(_, table)| indexes(table)).max().unwrap_or(0).max(settled)
    }

    /// Foreign keys that point at a table: the pointing table and the constraint's position.
    /// A table that is about to vanish points at nothing.
    pub fn referrers(&self, target: Oid, own: &[Xid]) -> Vec<(Arc<Table>, usize)> {
        let pointing = |table: &Arc<Table>| -> Vec<(Arc<Table>, usize)> {
            let keys = table.foreign_keys.iter().enumerate();
            keys.filter(|(_, key)| key.target == target)
                .map(|(at, _)| (table.clone(), at))
                .collect()
        };
        let mut all: Vec<_> = self.tables.seen(own).flat_map(|(_, t)| pointing(t)).collect();
        all.sort_by_key(|(table, key)| table.foreign_keys[*key].oid);
        all
    }
}
