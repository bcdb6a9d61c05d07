//! Whether the store answers: probed when asked, and remembered for a second at most.
//! Must never answer from a probe older than that.

use std::time::Duration;

use super::db::Pool;
use super::events;
use crate::env::{Env, Moment};
use crate::sync::Shared;

/// The last probe: when it ended, and what it found.
type Probe = Option<(Moment, bool)>;

pub struct Health<E: Env> {
    env: E,
    cached: Duration,
    last: Shared<E, Probe>,
}

impl<E: Env> Health<E> {
    pub fn new(env: &E, cached: Duration) -> Health<E> {
        Health { env: env.clone(), cached, last: Shared::new(env, "health", None) }
    }

    pub async fn up(&self, pool: &Pool<E>) -> bool {
        let now = self.env.now();
        let fresh = |(at, up): (Moment, bool)| (now - at <= self.cached).then_some(up);
        if let Some(up) = self.last.with(|last| last.and_then(fresh)).await {
            return up;
        }
        let up = pool.probe().await;
        events::store_probed(up);
        let ended = self.env.now();
        self.last.with(|last| *last = Some((ended, up))).await;
        up
    }
}
