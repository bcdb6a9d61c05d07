//! A deterministic PostgreSQL: the real protocol, SQL, and PostgreSQL's row versions and locks,
//! over any [`Env`](crate::env::Env), so that it serves in the world and on real sockets.
//! Must never draw time, randomness or concurrency from anywhere but its environment.
//!
//! Reading order: `serve` (connections), `protocol` (messages, sessions), `sql` (text to plan),
//! `exec` (plan to rows), `storage` (versions, locks, transactions), `types` (values).
//!
//! What is there: READ COMMITTED and REPEATABLE READ, four row lock strengths, FIFO queues,
//! deadlock detection, savepoints, foreign keys, advisory locks, LISTEN and NOTIFY. What is not
//! is refused with 0A000: SERIALIZABLE, COPY, views, functions, triggers, window functions,
//! time zones but UTC, regular expressions, arrays of arrays, temporary tables.

mod error;
mod exec;
mod injection;
mod protocol;
mod serve;
mod sql;
mod storage;
mod store;
mod types;
mod watch;

pub use error::PgError;
pub use injection::{Injected, Injection};
pub use serve::{serve, serve_on};
pub use storage::Isolation;
pub use store::{Settings, Store};
pub use watch::{Change, Op, STRUCK, Watch, Written};
