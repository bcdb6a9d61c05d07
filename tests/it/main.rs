//! The integration tests, one binary. Must never hold a test itself.
mod ci;
mod invariants;
mod kit;
mod laws_sync;
mod laws_world;
mod plan;
mod scenario;
mod tidy;
mod verdict;
mod world;
