//! The sequencer's async face. Must never be read to guess the next number: take it.

use std::sync::Arc;

use super::cores::sequence::Sequence;
use crate::env::Env;

/// Numbers, each once, in steps of one. Clones share it.
#[derive(Clone)]
pub struct Sequencer<E> {
    env: E,
    name: &'static str,
    core: Arc<Sequence>,
}

impl<E: Env> Sequencer<E> {
    /// Gives `last + 1` first. `name` says what is numbered, for traces (`connection`).
    pub fn new(env: &E, name: &'static str, last: u64) -> Sequencer<E> {
        Sequencer { env: env.clone(), name, core: Arc::new(Sequence::new(last)) }
    }

    pub async fn next(&self) -> u64 {
        self.env.point(self.name).await;
        self.core.next()
    }

    /// The number given last.
    pub async fn last(&self) -> u64 {
        self.env.point(self.name).await;
        self.core.last()
    }
}
