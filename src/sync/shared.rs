//! Any state, touched in whole steps. Must never let a step await.

use std::sync::Arc;

use super::cores::waiters::Guarded;
use crate::env::Env;

/// A value shared by tasks. Clones share it.
pub struct Shared<E, T> {
    env: E,
    name: &'static str,
    core: Arc<Guarded<T>>,
}

impl<E: Clone, T> Clone for Shared<E, T> {
    fn clone(&self) -> Self {
        Shared { env: self.env.clone(), name: self.name, core: Arc::clone(&self.core) }
    }
}

impl<E: Env, T: Send> Shared<E, T> {
    /// `name` says what is shared, for traces (`sessions`).
    pub fn new(env: &E, name: &'static str, value: T) -> Shared<E, T> {
        Shared { env: env.clone(), name, core: Arc::new(Guarded::new(value)) }
    }

    /// One step: nothing else touches the value while `f` runs. `f` must not touch it again
    /// through a clone.
    pub async fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        self.env.point(self.name).await;
        self.with_in_drop(f)
    }

    /// [`Shared::with`] without a scheduling point: for `Drop` alone.
    pub fn with_in_drop<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        self.core.step(|value, _| f(value))
    }
}
