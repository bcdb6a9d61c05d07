//! The rows of the catalogue's views. Must never change what they show.

use crate::world::postgres::sql::System;
use crate::world::postgres::storage::Db;
use crate::world::postgres::storage::catalog::Table;
use crate::world::postgres::storage::locks::{Mode, Pid, Tag};
use crate::world::postgres::types::{Datum, Row};

/// The number that stands for the database.
const DATABASE: i64 = 5;
/// Numbers of indexes are above those of whatever has one of its own.
const INDEXES: i64 = 1 << 30;

/// What stands for an index as a number: later ones of a table have greater ones.
pub fn index_oid(table: &Table, index: usize) -> i64 {
    let (table, index) = (i64::from(table.oid), i64::try_from(index).unwrap_or(0));
    INDEXES + table * 64 + index
}

/// The index that a number stands for.
pub fn index_by_oid(db: &Db, oid: i64) -> Option<&str> {
    let tables = db.catalog.tables.last();
    let mut all = tables.flat_map(|t| t.indexes.iter().enumerate().map(move |(at, i)| (t, at, i)));
    let found = all.find(|(table, at, index)| !index.dropped && index_oid(table, *at) == oid);
    found.map(|(_, _, index)| &*index.name)
}

pub fn rows(db: &Db, view: System) -> Vec<Row> {
    match view {
        System::Locks => locks(db),
        System::Activity => activity(db),
    }
}

fn locks(db: &Db) -> Vec<Row> {
    let mut rows = Vec::new();
    for (tag, lock) in &db.locks.table {
        // A transaction's lock on its own id is listed with the transaction.
        let own = |pid: Pid| matches!(tag, Tag::Transaction(xid) if db.own(pid).contains(xid));
        for (pid, modes) in lock.granted.iter().filter(|(pid, _)| !own(*pid)) {
            let held = Mode::ALL.into_iter().filter(|mode| modes & mode.bit() != 0);
            rows.extend(held.map(|mode| row(*tag, *pid, mode, true)));
        }
        rows.extend(lock.queue.iter().map(|(pid, mode)| row(*tag, *pid, *mode, false)));
    }
    for (pid, proc) in &db.procs {
        let own = proc.txn.iter().flat_map(|txn| &txn.own);
        rows.extend(own.map(|xid| row(Tag::Transaction(*xid), *pid, Mode::Exclusive, true)));
    }
    rows
}

fn row(tag: Tag, pid: Pid, mode: Mode, granted: bool) -> Row {
    let database = Datum::Int(DATABASE);
    let (kind, database, relation) = match tag {
        Tag::Relation(oid) => ("relation", database, Datum::Int(i64::from(oid))),
        Tag::Tuple(oid, _) => ("tuple", database, Datum::Int(i64::from(oid))),
        Tag::Transaction(_) => ("transactionid", Datum::Null, Datum::Null),
        Tag::Speculation(..) => ("spectoken", Datum::Null, Datum::Null),
        Tag::Advisory(..) => ("advisory", database, Datum::Null),
    };
    let mode = Datum::text(mode.name());
    let pid = Datum::Int(i64::from(pid));
    [Datum::text(kind), database, relation, pid, mode, Datum::Bool(granted)].into()
}

fn activity(db: &Db) -> Vec<Row> {
    let state = |proc: &crate::world::postgres::storage::Proc| match &proc.txn {
        _ if proc.snapshot.is_some() || db.locks.waiting.contains_key(&proc.pid) => "active",
        None => "idle",
        Some(txn) if txn.failed => "idle in transaction (aborted)",
        Some(_) => "idle in transaction",
    };
    let row = |proc: &crate::world::postgres::storage::Proc| -> Row {
        [
            Datum::text(&proc.database),
            Datum::Int(i64::from(proc.pid)),
            Datum::text(&proc.user),
            Datum::text(proc.parameter("application_name")),
            Datum::text(state(proc)),
            Datum::text("client backend"),
        ]
        .into()
    };
    db.procs.values().map(row).collect()
}
