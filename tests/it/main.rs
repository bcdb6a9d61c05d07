//! The integration tests, one binary. Must never hold a test itself.
mod invariants;
mod tidy;
mod world;
