//! The database layer: sessions, pool, transactions, and every statement.
//! Must never be held during a model or tool call.

pub mod accept;
pub mod error;
pub mod log;
pub mod migrate;
pub mod nodes;
pub mod pool;
pub mod sql;
pub mod transaction;
pub mod users;

pub use error::{Class, TransactionError};
pub use pool::Pool;
pub use transaction::{Decide, Param, Tx, Work};
