//! The states of a connection and their edges, in one table. Must never be applied but by
//! compare-and-set, nor be copied from: the verdict keeps a table of its own.

use crate::env::Env;
use crate::sync::StateCell;

use super::super::events;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    Connecting,
    Accepted,
    Authenticated,
    ServicesReady,
    ProcessingReady,
    Processing,
    Idle,
    Degraded,
    Reconnecting,
    Closing,
    Failed,
    Closed,
}

use State::{
    Accepted, Authenticated, Closed, Closing, Connecting, Degraded, Failed, Idle, Processing,
    ProcessingReady, Reconnecting, ServicesReady,
};

impl State {
    pub const ALL: [State; 12] = [
        Connecting,
        Accepted,
        Authenticated,
        ServicesReady,
        ProcessingReady,
        Processing,
        Idle,
        Degraded,
        Reconnecting,
        Closing,
        Failed,
        Closed,
    ];

    /// Where a state may go; `Closed` absorbs.
    pub fn edges(self) -> &'static [State] {
        match self {
            Connecting => &[Accepted, Closing, Failed],
            Accepted => &[Authenticated, Closing, Failed],
            Authenticated => &[ServicesReady, Degraded, Closing, Failed],
            ServicesReady => &[ProcessingReady, Degraded, Closing, Failed],
            ProcessingReady => &[Processing, Idle, Degraded, Reconnecting, Closing, Failed],
            Processing => &[ProcessingReady, Idle, Degraded, Reconnecting, Closing, Failed],
            Idle => &[Processing, Degraded, Reconnecting, Closing, Failed],
            Degraded => &[ServicesReady, ProcessingReady, Closing, Failed],
            Reconnecting => &[ProcessingReady, Closing, Failed],
            Closing | Failed => &[Closed],
            Closed => &[],
        }
    }

    /// Whether commands other than `connect` are taken up.
    pub fn handles(self) -> bool {
        matches!(self, ProcessingReady | Processing | Idle | Degraded)
    }

    pub fn name(self) -> &'static str {
        match self {
            Connecting => "connecting",
            Accepted => "accepted",
            Authenticated => "authenticated",
            ServicesReady => "services_ready",
            ProcessingReady => "processing_ready",
            Processing => "processing",
            Idle => "idle",
            Degraded => "degraded",
            Reconnecting => "reconnecting",
            Closing => "closing",
            Failed => "failed",
            Closed => "closed",
        }
    }

    fn of(raw: u8) -> State {
        State::ALL[usize::from(raw)]
    }
}

/// A transition that the table does not have; it was not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no edge from {} to {}", from.name(), to.name())]
pub struct Illegal {
    pub from: State,
    pub to: State,
}

/// A connection's state, shared by its tasks.
#[derive(Clone)]
pub struct Life<E: Env> {
    connection: String,
    cell: StateCell<E>,
}

impl<E: Env> Life<E> {
    pub fn new(env: &E, connection: &str) -> Life<E> {
        let cell = StateCell::new(env, "connection.state", State::Connecting as u8);
        Life { connection: connection.to_owned(), cell }
    }

    pub async fn get(&self) -> State {
        State::of(self.cell.load().await.0)
    }

    /// Goes to `to` from wherever it is, if the table allows it.
    pub async fn to(&self, to: State) -> Result<(), Illegal> {
        let mut seen = self.cell.load().await;
        loop {
            let from = State::of(seen.0);
            if !from.edges().contains(&to) {
                return Err(Illegal { from, to });
            }
            match self.cell.compare_set(seen, to as u8).await {
                Ok(()) => {
                    events::conn_state(&self.connection, from.name(), to.name());
                    return Ok(());
                }
                Err(now) => seen = now,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_but_closed_can_end_and_closed_absorbs() {
        for state in State::ALL {
            let ends = state.edges().iter().any(|to| matches!(to, Closing | Failed | Closed));
            assert_eq!(ends, state != Closed, "{}", state.name());
        }
    }

    #[test]
    fn a_state_is_found_again_by_its_number() {
        assert!(State::ALL.iter().all(|state| State::of(*state as u8) == *state));
    }
}
