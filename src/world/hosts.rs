//! Hosts: processes that the world starts, crashes and starts again, and how a run of them ends.
//! Must never say what a process does.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::SimEnv;
use crate::plan::FaultPlan;
use crate::trace::Trace;
use crate::verdict::End;

/// A future that lives in the world.
pub type HostFuture = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// A process of the world.
#[derive(Clone)]
pub struct HostSpec {
    /// Also its DNS name: peers connect to `name:port`.
    pub name: String,
    /// Runs one life of the process. Called at the start and after each crash. What must survive
    /// a crash (a disk) is captured by the closure. `Ok` is a clean exit, `Err` a failed one.
    pub start: Arc<dyn Fn(SimEnv) -> HostFuture + Send + Sync>,
}

/// Everybody in a run. Users run once, are never restarted, and end the run when all are done.
#[derive(Clone, Default)]
pub struct Cast {
    pub hosts: Vec<HostSpec>,
    pub users: Vec<HostSpec>,
}

impl Cast {
    /// Hosts, then users.
    pub fn specs(&self) -> impl Iterator<Item = &HostSpec> {
        self.hosts.iter().chain(&self.users)
    }

    /// Hosts, then users, each with whether it is a user.
    pub fn into_specs(self) -> impl Iterator<Item = (HostSpec, bool)> {
        let hosts = self.hosts.into_iter().map(|host| (host, false));
        hosts.chain(self.users.into_iter().map(|user| (user, true)))
    }
}

/// Why a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Users are done, faults are over, nothing is owed, nothing moves.
    Rested,
    /// The observer asked to stop (a violation).
    Stopped,
    /// The bound of the liveness phase passed first.
    QuiesceOver,
    /// Tasks never rested within the step budget.
    StepBudget,
    /// The wall-clock budget cut the run.
    WallBudget,
    /// A task escaped the world (called `tokio::spawn`, or slept on a real clock): who and where.
    Escaped(String),
}

/// A finished run.
#[derive(Clone, Debug)]
pub struct Ended {
    pub trace: Trace,
    pub reason: Reason,
    pub end: End,
    /// Faults of the plan that the engine cannot do, and did not.
    pub left_out: Vec<FaultPlan>,
}
