//! The synchronous cores: each operation is one atomic step. loom checks these very files.
//! Must never import more than [`primitives`] and what std has besides threads and time.

pub mod cell;
pub mod gate;
pub mod latch;
pub mod mailbox;
pub mod once;
pub mod permits;
pub mod primitives;
pub mod sequence;
pub mod slot;
pub mod waiters;
