//! Slots: how many runs of a user and of a tenant may be active. Waited for in order of arrival,
//! freed when the guard is dropped, however the run ends. Must never be counted anywhere else.

use std::collections::BTreeMap;

use super::super::config::Limits;
use super::super::events;
use super::super::ws::protocol::Origin;
use crate::env::Env;
use crate::sync::{Permit, Permits, Shared};

type Key = (String, String);

#[derive(Clone)]
pub struct Slots<E: Env> {
    env: E,
    user_max: usize,
    tenant_max: usize,
    /// By tenant and user; the tenant's own under the empty user.
    permits: Shared<E, BTreeMap<Key, Permits<E>>>,
    active: Shared<E, BTreeMap<Key, u64>>,
}

/// A run's place among the active ones.
#[must_use = "dropping it frees the slot"]
pub struct Slot<E: Env> {
    key: Key,
    run: String,
    active: Shared<E, BTreeMap<Key, u64>>,
    _user: Permit,
    _tenant: Permit,
}

impl<E: Env> Slots<E> {
    pub fn new(env: &E, limits: &Limits) -> Slots<E> {
        let permits = Shared::new(env, "slots", BTreeMap::new());
        let active = Shared::new(env, "slots.active", BTreeMap::new());
        let (user_max, tenant_max) = (limits.runs_per_user, limits.runs_per_tenant);
        Slots { env: env.clone(), user_max, tenant_max, permits, active }
    }

    pub async fn take(&self, origin: &Origin) -> Slot<E> {
        let key = (origin.tenant.clone(), origin.user.clone());
        let user = self.permits(key.clone(), "slots.user", self.user_max).await.acquire().await;
        let tenant = (origin.tenant.clone(), String::new());
        let tenant = self.permits(tenant, "slots.tenant", self.tenant_max).await.acquire().await;
        self.active
            .with(|active| {
                let count = active.entry(key.clone()).or_default();
                *count += 1;
                events::run_slot(&origin.run, &origin.user, true, *count);
            })
            .await;
        let (run, active) = (origin.run.clone(), self.active.clone());
        Slot { key, run, active, _user: user, _tenant: tenant }
    }

    async fn permits(&self, key: Key, name: &'static str, max: usize) -> Permits<E> {
        let make = || Permits::new(&self.env, name, max);
        self.permits.with(|permits| permits.entry(key).or_insert_with(make).clone()).await
    }
}

impl<E: Env> Drop for Slot<E> {
    fn drop(&mut self) {
        self.active.with_in_drop(|active| {
            let count = active.entry(self.key.clone()).or_default();
            *count -= 1;
            events::run_slot(&self.run, &self.key.1, false, *count);
            if *count == 0 {
                active.remove(&self.key);
            }
        });
    }
}
