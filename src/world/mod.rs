//! The deterministic world: scheduler, virtual clock, network, faults, hosts.
//! Must never know what its hosts do.

pub mod events;
mod hosts;

pub use hosts::{Cast, Ended, HostFuture, HostSpec, Reason, run};

/// One host's view of the world: the simulated environment.
#[derive(Clone, Debug)]
pub struct SimEnv;
