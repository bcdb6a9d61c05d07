//! The deterministic world: scheduler, virtual clock, network, faults, hosts.

pub mod events;

/// One host's view of the world: the simulated environment.
#[derive(Clone, Debug)]
pub struct SimEnv;
