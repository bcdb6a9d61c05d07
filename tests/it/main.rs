//! The integration tests, one binary. Must never hold a test itself.
mod ci;
mod counter;
mod invariants;
mod kit;
mod laws_sync;
mod laws_verdict;
mod laws_world;
mod pg_server;
mod plan;
mod report;
mod scenario;
mod search;
mod serve_real;
mod tidy;
mod token;
mod verdict;
mod world;
