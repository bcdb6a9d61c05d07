//! The deterministic world: scheduler, virtual clock, network, faults, hosts.
//! Must never know what its hosts do.

mod budget;
mod clock;
pub mod events;
mod exec;
mod hosts;
mod kernel;
mod layer;
mod meter;
mod native;
mod net;
pub mod postgres;
mod record;
mod run;
mod shared;
mod sim_env;
pub mod strategy;
mod strike;
mod turmoil;

pub use hosts::{Cast, Ended, HostFuture, HostSpec, Reason};
pub use meter::{Part, Shares, metered};
pub use run::run;
pub use sim_env::{SimEnv, SimListener, SimSleep, SimStream};
