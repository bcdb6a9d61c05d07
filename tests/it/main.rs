//! The integration tests, one binary. Must never hold a test itself.
mod invariants;
mod laws_world;
mod tidy;
mod world;
