//! Runs: from an accepted command to the one terminal event.
//! Must never depend on the connection that asked: a run belongs to the server.

pub mod agent;
pub mod append;
pub mod finish;
pub mod reaper;
pub mod record;
pub mod slots;
pub mod state;
pub mod tracker;
