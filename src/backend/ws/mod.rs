//! WebSocket connections: what is said, by whom it is read and written, and who is connected.
//! Must never execute a command inside the reader.

pub mod attach;
pub mod close;
pub mod connection;
pub mod merge;
pub mod outgoing;
pub mod protocol;
pub mod registry;
pub mod state;
pub mod writer;
