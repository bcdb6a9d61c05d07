//! Definitions as sessions find and change them: two transactions never change one at a time, and
//! whoever comes second waits for the first. Must never decide what a session may do.

use std::ops::Deref;
use std::sync::Arc;

use super::Db;
use super::catalog::{Change, Sequence, Table, Taken};
use super::entries::Open;
use super::locks::{Oid, Pid, Tag};
use super::roles::{self, Acl, Role};
use super::txn::Undo;
use super::xact::Xid;
use crate::world::postgres::error::{PgError, Result, Step, common};
use crate::world::postgres::sql::{Planned, Routine, Unplanned};

/// What a statement waits for because of what it defines.
#[derive(Debug)]
pub struct Awaited {
    /// The transaction that defines it.
    by: Xid,
    /// What both give a name.
    given: Given,
    /// What is wrong if that one commits.
    error: Option<PgError>,
}

/// What is given a name, whatever becomes of it later in its transaction.
#[derive(Debug)]
enum Given {
    /// It has one already.
    Nothing,
    Relation(String),
    Routine(Routine),
    Role(String),
}

impl Db {
    pub fn table(&self, name: &str, pid: Pid) -> Result<Arc<Table>> {
        let found = self.catalog.table(name, self.own(pid));
        found.cloned().ok_or_else(|| {
            if name.starts_with("pg_") || name.starts_with("information_schema.") {
                return PgError::unsupported(format_args!("the catalogue {name}"));
            }
            if self.catalog.taken(name, self.own(pid)) == Taken::Yes {
                let what = format_args!("this use of {name}, a sequence or index,");
                return PgError::unsupported(what);
            }
            common::no_relation(name)
        })
    }

    /// A table as the session finds it: what another one makes of it beside a lock that lets both
    /// pass, an index or a grant, is not in it.
    pub fn table_by_oid(&self, oid: Oid, pid: Pid) -> Result<Arc<Table>> {
        let found = self.catalog.tables.get(&oid, self.own(pid)).cloned();
        let missing = || format!("could not open relation with OID {oid}");
        found.ok_or_else(|| PgError::new("XX000", missing()))
    }

    /// Every table that the session finds.
    pub fn tables(&self, pid: Pid) -> impl Iterator<Item = &Arc<Table>> {
        self.catalog.tables.seen(self.own(pid)).map(|(_, table)| table)
    }

    /// Every sequence that the session finds.
    pub fn sequences(&self, pid: Pid) -> impl Iterator<Item = (Oid, &Arc<Sequence>)> {
        self.catalog.sequences.seen(self.own(pid)).map(|(oid, sequence)| (*oid, sequence))
    }

    pub fn sequence(&self, oid: Oid, pid: Pid) -> Option<&Arc<Sequence>> {
        self.catalog.sequences.get(&oid, self.own(pid))
    }

    /// Every function that the session finds.
    pub fn routines(&self, pid: Pid) -> impl Iterator<Item = &Arc<Routine>> {
        self.catalog.routines.seen(self.own(pid)).map(|(_, routine)| routine)
    }

    pub fn routine(&self, oid: Oid, pid: Pid) -> Option<&Arc<Routine>> {
        self.catalog.routines.get(&oid, self.own(pid))
    }

    /// The roles that the session finds.
    pub fn roles(&self, pid: Pid) -> roles::View<'_> {
        roles::View { roles: &self.catalog.roles, own: self.own(pid) }
    }

    /// The session's role, unless it may do everything.
    pub fn restricted(&self, pid: Pid) -> Option<&str> {
        if self.catalog.roles.known.is_empty() {
            return None;
        }
        let role = self.proc(pid).role();
        (!self.roles(pid).is_superuser(role)).then_some(role)
    }

    /// Whether a role of this name was created or logged in.
    pub fn knows_role(&self, name: &str, pid: Pid) -> bool {
        self.roles(pid).knows(name) || self.procs.values().any(|proc| proc.user == name)
    }

    pub fn put_table(&mut self, pid: Pid, oid: Oid, table: Option<Table>) -> Step<()> {
        self.define(pid, |by| Change::Table(oid, Some(Open::new(by, table))))
    }

    pub fn put_sequence(&mut self, pid: Pid, oid: Oid, sequence: Option<Sequence>) -> Step<()> {
        self.define(pid, |by| Change::Sequence(oid, Some(Open::new(by, sequence))))
    }

    pub fn put_routine(&mut self, pid: Pid, oid: Oid, routine: Option<Routine>) -> Step<()> {
        self.define(pid, |by| Change::Routine(oid, Some(Open::new(by, routine))))
    }

    pub fn put_role(&mut self, pid: Pid, name: &str, role: Option<Role>) -> Step<()> {
        self.define(pid, |by| Change::Role(name.into(), Some(Open::new(by, role))))
    }

    /// Privileges on the schema.
    pub fn put_schema(&mut self, pid: Pid, acl: Acl) -> Step<()> {
        self.define(pid, |by| Change::Schema(Some(Open::new(by, Some(acl)))))
    }

    /// Changes a definition for the session's transaction. Waits for another one that is changing
    /// it; XX000, as in PostgreSQL, if that one commits.
    fn define(&mut self, pid: Pid, change: impl FnOnce(Xid) -> Change) -> Step<()> {
        self.xid(pid);
        let by = self.txn(pid).top().unwrap_or_default();
        let change = change(by);
        if let Some(other) = self.catalog.in_the_way(&change, by) {
            let error = match (other.drops, change.made().is_some_and(|own| own.drops)) {
                _ if self.catalog.makes_index(&change) => None,
                // Whoever drops it looks for it again.
                (true, true) => None,
                (true, false) if !other.again => Some("tuple concurrently deleted"),
                _ => Some("tuple concurrently updated"),
            };
            let error = error.map(|message| PgError::new("XX000", message));
            return self.await_definer(pid, Awaited { by: other.by, given: Given::Nothing, error });
        }
        let before = self.catalog.change(by, change);
        self.txn_mut(pid).undo.push(Undo::Definition(by, Box::new(before)));
        Ok(())
    }

    /// Locks the tables of a statement that was analysed, as PostgreSQL's analysis does: whoever
    /// changes them is waited for first, also if the statement is wrong.
    pub fn analysed<P: Deref<Target = Planned>>(
        &mut self,
        pid: Pid,
        outcome: Result<P, Unplanned>,
    ) -> Step<P> {
        if !self.txn(pid).queried {
            self.take_snapshot(pid);
        }
        let owner = self.level(pid);
        let tables = match &outcome {
            Ok(planned) => &planned.tables,
            Err(unplanned) => &unplanned.tables[..],
        };
        for (oid, mode) in tables {
            self.lock_once(pid, Tag::Relation(*oid), *mode, owner)?;
        }
        outcome.map_err(|unplanned| unplanned.error.into())
    }

    /// Waits for a transaction that defines what this one would.
    fn await_definer(&mut self, pid: Pid, awaited: Awaited) -> Step<()> {
        let by = awaited.by;
        self.proc_mut(pid).awaited = Some(awaited);
        self.wait_for_writer(pid, by, None, None)
    }

    /// Waits for whoever has the table's row in `pg_class` written anew, before it is overwritten
    /// where it is; XX000 if another version is to be made of it and that one commits.
    pub fn await_class(&mut self, pid: Pid, table: Oid, anew: bool) -> Step<()> {
        let Some(other) = self.catalog.tables.in_the_way(&table, self.own(pid)) else {
            return Ok(());
        };
        let error = anew.then(|| PgError::new("XX000", "tuple concurrently updated"));
        let by = other.by;
        self.await_definer(pid, Awaited { by, given: Given::Nothing, error })
    }

    /// After a wait: fails if what it was for is now what another transaction made of it.
    pub fn check_awaited(&mut self, pid: Pid) -> Result<()> {
        let Some(awaited) = self.proc_mut(pid).awaited.take() else { return Ok(()) };
        let own = self.own(pid);
        let stands = self.xacts.is_committed(awaited.by)
            && match &awaited.given {
                Given::Nothing => true,
                Given::Relation(name) => self.catalog.taken(name, own) == Taken::Yes,
                Given::Routine(routine) => {
                    self.catalog.routines.seen(own).any(|(_, other)| other.is_named_as(routine))
                }
                Given::Role(name) => self.catalog.roles.known.get(name.as_str(), own).is_some(),
            };
        awaited.error.filter(|_| stands).map_or(Ok(()), Err)
    }

    /// Waits for a transaction that gives the name to another table, index or sequence than the
    /// `table` or other thing that is to have it; 23505 if that one commits.
    pub fn claim(&mut self, pid: Pid, name: &str, table: bool) -> Step<()> {
        let (by, both) = match self.catalog.taken(name, self.own(pid)) {
            Taken::Table(by) => (by, table),
            Taken::Other(by) => (by, false),
            Taken::No | Taken::Yes => return Ok(()),
        };
        let (index, key) = if both {
            (("pg_type", "pg_type_typname_nsp_index"), "typname, typnamespace")
        } else {
            (("pg_class", "pg_class_relname_nsp_index"), "relname, relnamespace")
        };
        let error = duplicate(index, key, &format!("{name}, 2200"));
        self.await_definer(
            pid,
            Awaited { by, given: Given::Relation(name.to_owned()), error: Some(error) },
        )
    }

    /// The same for a function: its name and the types it takes.
    pub fn claim_routine(&mut self, pid: Pid, routine: &Routine) -> Step<()> {
        let types = routine.types();
        let mut others = self.catalog.routines.given(self.own(pid));
        let found = others.find(|(_, other)| other.is_named_as(routine)).map(|(by, _)| by);
        drop(others);
        let Some(by) = found else { return Ok(()) };
        let types: Vec<String> = types.iter().map(|ty| ty.oid().to_string()).collect();
        let values = format!("{}, {}, 2200", routine.name, types.join(" "));
        let index = ("pg_proc", "pg_proc_proname_args_nsp_index");
        let key = "proname, proargtypes, pronamespace";
        let error = Some(duplicate(index, key, &values));
        self.await_definer(pid, Awaited { by, given: Given::Routine(routine.clone()), error })
    }

    /// The same for a role.
    pub fn claim_role(&mut self, pid: Pid, name: &str) -> Step<()> {
        let Some(other) = self.catalog.roles.known.in_the_way(name, self.own(pid)) else {
            return Ok(());
        };
        let index = ("pg_authid", "pg_authid_rolname_index");
        let (by, error) = (other.by, Some(duplicate(index, "rolname", name)));
        self.await_definer(pid, Awaited { by, given: Given::Role(name.to_owned()), error })
    }
}

/// As an index of PostgreSQL's catalogue says it.
fn duplicate((table, index): (&str, &str), key: &str, values: &str) -> PgError {
    let message = format!("duplicate key value violates unique constraint \"{index}\"");
    let error = PgError::new("23505", message);
    error
        .detail(format!("Key ({key})=({values}) already exists."))
        .catalogue(table)
        .constraint(index)
}
