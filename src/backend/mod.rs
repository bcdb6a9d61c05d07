//! The full backend. Imports `env`, `sync` and libraries, and must never import
//! anything else of this crate.

pub mod db;
pub mod events;
