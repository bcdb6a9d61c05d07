//! The database layer: sessions, pool, transactions, and every statement.
//! Must never be held during a model or tool call.

pub mod sql;
