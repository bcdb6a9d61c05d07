//! The budgets that cut a run: scheduler steps and real time. The only real clock in the world:
//! must never be seen by a host.

use std::time::{Duration, Instant};

use super::Reason;

/// Steps between two looks at the real clock.
const WALL_CHECK_STEPS: u64 = 256;

pub struct Budget {
    steps_max: u64,
    started: Instant,
    wall_max: Duration,
}

impl Budget {
    pub fn new(steps_max: u64, wall_max: Duration) -> Budget {
        Budget { steps_max, started: Instant::now(), wall_max }
    }

    /// Why the run must be cut at this step, if it must.
    pub fn cut(&self, steps: u64) -> Option<Reason> {
        if steps >= self.steps_max {
            return Some(Reason::StepBudget);
        }
        let look = steps.is_multiple_of(WALL_CHECK_STEPS);
        (look && self.started.elapsed() > self.wall_max).then_some(Reason::WallBudget)
    }
}
