//! The full backend. Imports `env`, `sync` and libraries, nothing else of this crate.

pub mod db;
pub mod events;
