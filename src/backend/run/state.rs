//! The nine states of a run and their edges. Terminal states absorb.
//! Must never be applied but by compare-and-set under the attempt that is current.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    Pending,
    Starting,
    Running,
    Completing,
    Completed,
    Failed,
    Timeout,
    Dead,
    Cancelled,
}

use State::{Cancelled, Completed, Completing, Dead, Failed, Pending, Running, Starting, Timeout};

impl State {
    pub const ALL: [State; 9] =
        [Pending, Starting, Running, Completing, Completed, Failed, Timeout, Dead, Cancelled];

    pub fn edges(self) -> &'static [State] {
        match self {
            Pending => &[Starting, Cancelled, Timeout],
            Starting => &[Running, Failed, Timeout, Dead, Cancelled],
            Running => &[Completing, Failed, Timeout, Dead, Cancelled],
            Completing => &[Completed, Failed, Timeout, Dead],
            Completed | Failed | Timeout | Dead | Cancelled => &[],
        }
    }

    pub fn is_terminal(self) -> bool {
        self.edges().is_empty()
    }

    pub fn name(self) -> &'static str {
        match self {
            Pending => "pending",
            Starting => "starting",
            Running => "running",
            Completing => "completing",
            Completed => "completed",
            Failed => "failed",
            Timeout => "timeout",
            Dead => "dead",
            Cancelled => "cancelled",
        }
    }

    /// What `agent_completed` says of a run that ended so; `None` while it has not.
    pub fn outcome(self) -> Option<&'static str> {
        match self {
            Completed => Some("success"),
            Failed => Some("failed"),
            Timeout => Some("timeout"),
            Dead => Some("dead"),
            Cancelled => Some("cancelled"),
            Pending | Starting | Running | Completing => None,
        }
    }

    /// The terminal state that an outcome stands for.
    pub fn of_outcome(outcome: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.outcome() == Some(outcome))
    }

    pub fn of(raw: u8) -> State {
        State::ALL[usize::from(raw)]
    }
}
