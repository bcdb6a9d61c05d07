//! The semaphore's async face. Must never hand out a permit that its drop does not give back.

use std::sync::Arc;

use super::cores::permits;
use crate::env::Env;

/// A counting semaphore, first come first served. Clones share it.
#[derive(Clone)]
pub struct Permits<E> {
    env: E,
    name: &'static str,
    core: Arc<permits::Permits>,
}

impl<E: Env> Permits<E> {
    /// `name` says what is counted, for traces (`pool`).
    pub fn new(env: &E, name: &'static str, capacity: usize) -> Permits<E> {
        Permits { env: env.clone(), name, core: Arc::new(permits::Permits::new(capacity)) }
    }

    /// Waits for its turn; never fails. Bound it with `Clock::timeout`.
    pub async fn acquire(&self) -> Permit {
        self.env.point(self.name).await;
        if let Some(turn) = self.core.acquire() {
            turn.await;
        }
        Permit { core: Arc::clone(&self.core) }
    }

    /// A permit, if one is free now.
    pub async fn try_acquire(&self) -> Option<Permit> {
        self.env.point(self.name).await;
        self.core.try_acquire().then(|| Permit { core: Arc::clone(&self.core) })
    }

    /// Permits out, those on their way to a waiter included.
    pub async fn in_use(&self) -> usize {
        self.env.point(self.name).await;
        self.core.in_use()
    }

    /// [`Permits::in_use`] without a scheduling point: for `Drop`, and for who has just got one.
    pub fn in_use_in_drop(&self) -> usize {
        self.core.in_use()
    }

    /// Callers in line.
    pub async fn waiting(&self) -> usize {
        self.env.point(self.name).await;
        self.core.waiting()
    }

    pub fn capacity(&self) -> usize {
        self.core.capacity()
    }

    /// Whether there is another clone of them, or one of them is out.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.core) > 1
    }
}

/// One of [`Permits`]; dropping it gives it back, to the first in line.
#[must_use = "dropping it gives it back"]
pub struct Permit {
    core: Arc<permits::Permits>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.core.release();
    }
}
