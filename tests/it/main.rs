//! The integration tests, one binary. Must never hold a test itself.
mod invariants;
mod kit;
mod laws_world;
mod plan;
mod scenario;
mod tidy;
mod verdict;
mod world;
