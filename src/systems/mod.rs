//! What runs in the world: [`System`], the trait, and our backend and a ledger as two. The stages
//! before this one know a system only as hosts to start and words for scenario files. Must never
//! let a system reach into the world but through its environment.

pub mod backend;
pub mod database;
pub mod ledger;

use crate::plan::{Plan, UserPlan};
use crate::scenario::Vocabulary;
use crate::verdict::Invariant;
use crate::world::{HostFuture, HostSpec, SimEnv};

/// A system under test: which hosts to start, what its users do, what can be seen and planted.
pub trait System: Send + Sync {
    /// `backend`: what a scenario calls it, under `name` in its `[system]`.
    fn name(&self) -> &'static str;

    /// The words it adds to scenario files.
    fn vocabulary(&self) -> Vocabulary;

    /// Fresh hosts for one run; nothing may be shared with another run.
    fn hosts(&self, plan: &Plan) -> Vec<HostSpec>;

    /// One user's whole script. `Err` is a failed step (an await that timed out): a violation.
    fn user(&self, env: SimEnv, user: &UserPlan, plan: &Plan) -> HostFuture;

    /// Fresh checkers for one run.
    fn invariants(&self, plan: &Plan) -> Vec<Box<dyn Invariant>>;
}
