//! What the cores stand on: std's here, loom's when `tests/loom.rs` includes the same cores.
//! Must never hold anything of our own.

pub use std::sync::Mutex;
pub use std::sync::atomic::{AtomicU64, Ordering};
