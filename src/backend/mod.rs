//! The full backend. Imports `env`, `sync` and libraries, nothing else of this crate.
//!
//! A request's way: [`http`] admits it (the gate of [`startup`]), [`ws`] reads its commands,
//! [`commands`] turns one into a run, [`run`] works on it with [`model`] and writes the log in
//! [`db`], and the log's events go to every connection of the user in [`ws`]. [`serve()`] is one
//! life of the process. Must never touch time, randomness, tasks or sockets but through the seam.

pub mod auth;
pub mod commands;
pub mod config;
pub mod context;
pub mod db;
pub mod events;
pub mod gateway;
pub mod health;
pub mod http;
pub mod ids;
pub mod model;
pub mod plants;
mod race;
pub mod run;
mod serve;
pub mod startup;
pub mod ws;

pub use config::Config;
pub use plants::{Plant, Plants};
pub use serve::serve;
pub use startup::{Phase, StartError};
