//! The state cell's async face. Must never store without comparing.

use std::sync::Arc;

use super::cores::cell::{self, StateAttempt};
use crate::env::Env;

/// A state and the attempt that owns it, compared and set at once. Clones share it.
#[derive(Clone)]
pub struct StateCell<E> {
    env: E,
    name: &'static str,
    core: Arc<cell::StateCell>,
}

impl<E: Env> StateCell<E> {
    /// Starts in `state`, attempt 1. `name` says what has the state, for traces (`run`).
    pub fn new(env: &E, name: &'static str, state: u8) -> StateCell<E> {
        StateCell { env: env.clone(), name, core: Arc::new(cell::StateCell::new(state)) }
    }

    /// The state and the attempt.
    pub async fn load(&self) -> StateAttempt {
        self.env.point(self.name).await;
        self.core.load()
    }

    /// Moves to `to` if state and attempt are still `from`; else changes nothing and says what is
    /// there instead.
    pub async fn compare_set(&self, from: StateAttempt, to: u8) -> Result<(), StateAttempt> {
        self.env.point(self.name).await;
        self.core.compare_set(from, to)
    }

    /// Fences the attempt of `from` and gives the number of the next, if `from` is still there.
    pub async fn next_attempt(&self, from: StateAttempt) -> Result<u32, StateAttempt> {
        self.env.point(self.name).await;
        self.core.next_attempt(from)
    }
}
