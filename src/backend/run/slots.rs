//! Slots: how many runs of a user and of a tenant may be active. Waited for in order of arrival,
//! freed when the guard is dropped, however the run ends. Must never be counted anywhere else:
//! what is told is what the permits say.

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
}

/// A run's place among the active ones, or in the line for one.
#[must_use = "dropping it frees the slot"]
pub struct Slot<E: Env> {
    run: String,
    user: String,
    of_user: Permits<E>,
    of_tenant: Permits<E>,
    taken: Vec<Permit>,
}

impl<E: Env> Slots<E> {
    pub fn new(env: &E, limits: &Limits) -> Slots<E> {
        let permits = Shared::new(env, "slots", BTreeMap::new());
        let (user_max, tenant_max) = (limits.runs_per_user, limits.runs_per_tenant);
        Slots { env: env.clone(), user_max, tenant_max, permits }
    }

    pub async fn take(&self, origin: &Origin) -> Slot<E> {
        let key = (origin.tenant.clone(), origin.user.clone());
        let of_user = self.permits(key, "slots.user", self.user_max).await;
        let key = (origin.tenant.clone(), String::new());
        let of_tenant = self.permits(key, "slots.tenant", self.tenant_max).await;
        let (run, user) = (origin.run.clone(), origin.user.clone());
        // There before the waits, so that whoever leaves the line tells what is free after it.
        let mut slot = Slot { run, user, of_user, of_tenant, taken: Vec::new() };
        let of_user = slot.of_user.acquire().await;
        slot.taken.push(of_user);
        let of_tenant = slot.of_tenant.acquire().await;
        slot.taken.push(of_tenant);
        slot.tell(true);
        slot
    }

    async fn permits(&self, key: Key, name: &'static str, max: usize) -> Permits<E> {
        let make = || Permits::new(&self.env, name, max);
        self.permits.with(|permits| permits.entry(key).or_insert_with(make).clone()).await
    }
}

impl<E: Env> Slot<E> {
    fn tell(&self, taken: bool) {
        let in_use = |permits: &Permits<E>| permits.in_use_in_drop() as u64;
        let (of_user, of_tenant) = (in_use(&self.of_user), in_use(&self.of_tenant));
        events::run_slot(&self.run, &self.user, taken, of_user, of_tenant);
    }
}

impl<E: Env> Drop for Slot<E> {
    fn drop(&mut self) {
        self.taken.clear();
        self.tell(false);
    }
}
