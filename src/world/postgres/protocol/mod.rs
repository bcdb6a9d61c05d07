//! The wire protocol, version 3: messages, and a session's course. Must never know a table.
//!
//! The codec is our own: those that exist panic on malformed bytes, and here a session that is sent
//! such bytes ends with 08P01 while the others live on.

mod acts;
mod aloud;
mod arguments;
mod begin;
mod call;
mod connection;
mod extended;
mod frame;
mod parts;
mod run;
mod session;
mod transaction;
mod unasked;
mod utility;
mod wait;

pub use session::session;
