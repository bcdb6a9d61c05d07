//! seedbed rehearses a real-time backend inside a deterministic world.
//!
//! ```text
//! scenario file ──▶ plan ──▶ world ══▶ trace ══▶ verdict ──▶ report
//!    (what may         (what this   (what        (what did    (what it   (how it
//!     happen)           seed chose)  acts)        happen)      means)     is told)
//!                         ▲
//!             a System: hosts to start (the backend, or a stranger's; knows none of this)
//! ```
//!
//! Reading order is the order of the modules below; each imports only what stands before it
//! (`backend` only `env` and `sync`). What crosses a boundary is plain data with public fields:
//! `Scenario`, `Plan`, `Trace`, `Outcome`. Must never hold logic itself.

pub mod env;
pub mod sync;

pub mod backend;

pub mod cli;
pub mod plan;
pub mod report;
pub mod scenario;
pub mod search;
pub mod seed;
pub mod systems;
pub mod trace;
pub mod verdict;
pub mod world;
