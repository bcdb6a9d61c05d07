//! The primitives the backend races on: the only way for its tasks to share anything.
//!
//! Every operation awaits a scheduling point of the seam, then makes one atomic step, so that a
//! world that preempts only at awaits can come between any two steps. The steps themselves are in
//! [`cores`], where loom checks them. The names that end in `in_drop` have no scheduling point and
//! are for `Drop` alone. Every wait may be dropped at any time: it leaves its queue at once and
//! passes on what it was granted.
//!
//! Must never hold a lock while a task is woken, nor let a caller hold one across an await.

mod cores;
mod gate;
mod latch;
mod mailbox;
mod once;
mod permits;
mod sequencer;
mod shared;
mod slot;
mod state_cell;

pub use cores::cell::StateAttempt;
pub use cores::gate::{Admission, Entry};
pub use cores::mailbox::Rejected;
pub use cores::slot::Full;
pub use gate::Gate;
pub use latch::Latch;
pub use mailbox::Mailbox;
pub use once::Once;
pub use permits::{Permit, Permits};
pub use sequencer::Sequencer;
pub use shared::Shared;
pub use slot::Slot;
pub use state_cell::StateCell;
