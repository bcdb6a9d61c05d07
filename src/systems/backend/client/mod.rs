//! A user: one account, its tabs, and the script that moves them; over the seam, so that the same
//! client runs in the world and against a live deployment. Must never know what is simulated.

mod desk;
mod dial;
mod hear;
mod policy;
mod script;
mod tab;
mod talk;
mod wire;

pub use dial::Account;
pub use script::play;
