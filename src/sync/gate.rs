//! The admission gate's async face. Must never decide: the core does.

use std::sync::Arc;
use std::time::Duration;

use super::cores::gate::{self, Admission, Asked, Entry};
use crate::env::Env;

/// Holds whoever comes early until the state `S` decides about them. Clones share it.
#[derive(Clone)]
pub struct Gate<E, S> {
    env: E,
    core: Arc<gate::Gate<S>>,
}

impl<E: Env, S: Clone + Send> Gate<E, S> {
    /// Holds at most `capacity` at a time.
    pub fn new(env: &E, state: S, capacity: usize, verdict: fn(&S) -> Admission) -> Gate<E, S> {
        Gate { env: env.clone(), core: Arc::new(gate::Gate::new(state, capacity, verdict)) }
    }

    pub async fn state(&self) -> S {
        self.env.point("gate").await;
        self.core.state()
    }

    /// Replaces the state; those held are answered by it, in order of arrival, in the same step.
    pub async fn publish(&self, state: S) {
        self.update(|old| *old = state).await;
    }

    /// As [`Gate::publish`], by the state that is there.
    pub async fn update<R>(&self, f: impl FnOnce(&mut S) -> R) -> R {
        self.env.point("gate").await;
        self.core.update(f)
    }

    /// Enters, held for up to `limit` if the state says so.
    pub async fn enter(&self, limit: Duration) -> Entry {
        self.env.point("gate").await;
        let now = self.env.now();
        match self.core.ask(now.0, (now + limit).0) {
            Asked::Answered(entry) => entry,
            Asked::Waits(held) => self.env.timeout(limit, held).await.unwrap_or(Entry::TimedOut),
        }
    }

    /// How many are held now.
    pub async fn held(&self) -> usize {
        self.env.point("gate").await;
        self.core.held()
    }

    /// The first state seen that satisfies `wanted`. A state that is replaced before this task
    /// runs again is not seen.
    pub async fn wait_until(&self, mut wanted: impl FnMut(&S) -> bool) -> S {
        loop {
            self.env.point("gate").await;
            let changed = match self.core.watch(&mut wanted) {
                Asked::Answered(state) => return state,
                Asked::Waits(changed) => changed,
            };
            changed.await;
        }
    }
}
