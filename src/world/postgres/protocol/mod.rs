//! The wire protocol, version 3: messages, and a session's course. Must never know a table.

mod connection;
mod frame;
mod run;
mod session;
mod transaction;
mod utility;
mod wait;

pub use session::session;
