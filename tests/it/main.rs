//! The integration tests, one binary. Must never hold a test itself.
mod tidy;
mod world;
