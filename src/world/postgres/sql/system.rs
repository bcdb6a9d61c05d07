//! The catalogue's views that can be read, and which of their columns. Must never make a row.

use super::plan::OutColumn;
use crate::world::postgres::types::Ty;

/// A view of what the cluster does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// `pg_locks`
    Locks,
    /// `pg_stat_activity`
    Activity,
}

const LOCKS: &[(&str, Ty)] = &[
    ("locktype", Ty::TEXT),
    ("database", Ty::OID),
    ("relation", Ty::OID),
    ("pid", Ty::INT4),
    ("mode", Ty::TEXT),
    ("granted", Ty::BOOL),
];

const ACTIVITY: &[(&str, Ty)] = &[
    ("datname", Ty::NAME),
    ("pid", Ty::INT4),
    ("usename", Ty::NAME),
    ("application_name", Ty::TEXT),
    ("state", Ty::TEXT),
    ("backend_type", Ty::TEXT),
];

/// Columns that PostgreSQL has there and that cannot be read here.
const LOCKS_LACK: &[&str] = &[
    "page",
    "tuple",
    "virtualxid",
    "transactionid",
    "classid",
    "objid",
    "objsubid",
    "virtualtransaction",
    "fastpath",
    "waitstart",
];
const ACTIVITY_LACKS: &[&str] = &[
    "datid",
    "leader_pid",
    "usesysid",
    "client_addr",
    "client_hostname",
    "client_port",
    "backend_start",
    "xact_start",
    "query_start",
    "state_change",
    "wait_event_type",
    "wait_event",
    "backend_xid",
    "backend_xmin",
    "query_id",
    "query",
];

/// Columns that every table of PostgreSQL has and that cannot be read here.
pub const TABLES_LACK: &[&str] = &["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"];

impl System {
    pub fn named(name: &str) -> Option<System> {
        match name {
            "pg_locks" => Some(System::Locks),
            "pg_stat_activity" => Some(System::Activity),
            _ => None,
        }
    }

    pub fn lacks(self) -> &'static [&'static str] {
        match self {
            System::Locks => LOCKS_LACK,
            System::Activity => ACTIVITY_LACKS,
        }
    }

    pub fn columns(self) -> Vec<OutColumn> {
        let columns = match self {
            System::Locks => LOCKS,
            System::Activity => ACTIVITY,
        };
        let column = |(name, ty): &(&str, Ty)| OutColumn {
            name: (*name).into(),
            ty: *ty,
            typmod: -1,
            origin: None,
        };
        columns.iter().map(column).collect()
    }
}
