//! Our backend as a [`super::System`]: its hosts, its users, its words and what must hold of it.
//! The stages that run and judge know it by nothing else. Must never reach around the seam.

pub mod client;
pub mod events;
pub mod invariants;
pub mod people;
pub mod settings;
pub mod vocabulary;
