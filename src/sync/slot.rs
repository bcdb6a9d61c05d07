//! The registry slot's async face. Must never remove by less than the generation.

use std::sync::Arc;

use super::cores::slot::{self, Full};
use crate::env::Env;

/// What one user has registered, at most `limit` at a time. Clones share it. Generations are the
/// slot's own: whoever cleans up later keeps its clone of the slot beside its generation.
#[derive(Clone)]
pub struct Slot<E, V> {
    env: E,
    core: Arc<slot::Slot<V>>,
}

impl<E: Env, V: Clone + Send> Slot<E, V> {
    pub fn new(env: &E, limit: usize) -> Slot<E, V> {
        Slot { env: env.clone(), core: Arc::new(slot::Slot::new(limit)) }
    }

    /// Checks the limit and registers in one step; the generation that removes it again.
    pub async fn register(&self, value: V) -> Result<u64, Full> {
        self.env.point("slot").await;
        self.core.register(value)
    }

    /// [`Slot::register`], and how many are registered after it.
    pub async fn register_counted(&self, value: V) -> Result<(u64, usize), Full> {
        self.env.point("slot").await;
        let generation = self.core.register(value)?;
        Ok((generation, self.core.len()))
    }

    /// [`Slot::remove`], and how many are registered after it.
    pub async fn remove_counted(&self, generation: u64) -> Option<(V, usize)> {
        self.env.point("slot").await;
        let value = self.core.remove(generation)?;
        Some((value, self.core.len()))
    }

    /// Removes that registration and no other; `None` if it is gone.
    pub async fn remove(&self, generation: u64) -> Option<V> {
        self.env.point("slot").await;
        self.core.remove(generation)
    }

    /// Registrations by generation, oldest first.
    pub async fn list(&self) -> Vec<(u64, V)> {
        self.env.point("slot").await;
        self.core.list()
    }

    pub async fn len(&self) -> usize {
        self.env.point("slot").await;
        self.core.len()
    }

    pub async fn is_empty(&self) -> bool {
        self.len().await == 0
    }

    /// [`Slot::remove`] without a scheduling point: for `Drop` alone.
    pub fn remove_in_drop(&self, generation: u64) -> Option<V> {
        self.core.remove(generation)
    }
}
