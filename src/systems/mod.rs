//! What runs in the world: [`System`], the trait, and our backend as one. The stages before this
//! one know a system only as hosts to start and words for scenario files.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::plan::{Plan, UserPlan};
use crate::scenario::Vocabulary;
use crate::verdict::Invariant;
use crate::world::SimEnv;

/// A future that lives in the world.
pub type HostFuture = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// A host of a system: a process that the world starts, crashes and starts again.
#[derive(Clone)]
pub struct HostSpec {
    /// Also its DNS name: peers connect to `name:port`.
    pub name: String,
    /// Runs one life of the process. Called at the start and after each crash. What must survive
    /// a crash (a disk) is captured by the closure. `Ok` is a clean exit, `Err` a failed one.
    pub start: Arc<dyn Fn(SimEnv) -> HostFuture + Send + Sync>,
}

/// A system under test: which hosts to start, what its users do, what can be seen and planted.
pub trait System: Send + Sync {
    /// `backend`
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
