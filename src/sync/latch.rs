//! The latch's async face. Must never be unset.

use std::sync::Arc;

use super::cores::latch;
use crate::env::Env;

/// A flag that is set once: a stop signal, a "done". Clones share it.
#[derive(Clone)]
pub struct Latch<E> {
    env: E,
    core: Arc<latch::Latch>,
}

impl<E: Env> Latch<E> {
    pub fn new(env: &E) -> Latch<E> {
        Latch { env: env.clone(), core: Arc::new(latch::Latch::new()) }
    }

    pub async fn set(&self) {
        self.env.point("latch").await;
        self.core.set();
    }

    pub async fn is_set(&self) -> bool {
        self.env.point("latch").await;
        self.core.is_set()
    }

    /// Ends when the flag is set.
    pub async fn wait(&self) {
        self.env.point("latch").await;
        if let Some(set) = self.core.wait() {
            set.await;
        }
    }

    /// [`Latch::set`] without a scheduling point: for `Drop` alone.
    pub fn set_in_drop(&self) {
        self.core.set();
    }
}
