//! Draws a [`Plan`] from a scenario and a seed, each kind of choice from its own stream.

use super::{Engine, Plan, Strategy};
use crate::scenario::Scenario;
use crate::seed::Seed;

/// What the command line fixes instead of leaving it to the seed. It enters the token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    pub engine: Option<Engine>,
    pub strategy: Option<Strategy>,
    pub plants: Vec<String>,
}

pub fn draw(_scenario: &Scenario, _seed: Seed, _overrides: &Overrides) -> Plan {
    unreachable!("written by the scenario stage")
}
