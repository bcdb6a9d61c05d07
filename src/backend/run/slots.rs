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
    book: Shared<E, Book<E>>,
}

/// Whom permits were made for, until nobody holds or awaits them any more.
struct Book<E> {
    /// By tenant and user; the tenant's own under the empty user.
    permits: BTreeMap<Key, Permits<E>>,
    /// Entries at which the unused ones go: so rarely that it costs each entry little.
    full_at: usize,
}

const FULL_AT_LEAST: usize = 64;

impl<E: Env> Book<E> {
    fn of(&mut self, key: Key, make: impl FnOnce() -> Permits<E>) -> Permits<E> {
        if self.permits.len() >= self.full_at {
            self.permits.retain(|_, permits| permits.is_shared());
            self.full_at = FULL_AT_LEAST.max(self.permits.len() * 2);
        }
        self.permits.entry(key).or_insert_with(make).clone()
    }
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
        let book = Book { permits: BTreeMap::new(), full_at: FULL_AT_LEAST };
        let book = Shared::new(env, "slots", book);
        let (user_max, tenant_max) = (limits.runs_per_user, limits.runs_per_tenant);
        Slots { env: env.clone(), user_max, tenant_max, book }
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
        self.book.with(|book| book.of(key, make)).await
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Tokio;

    fn permits(env: &Tokio) -> Permits<Tokio> {
        Permits::new(env, "slots.user", 1)
    }

    #[tokio::test]
    async fn the_book_forgets_whom_nobody_waits_for_and_keeps_the_others() {
        let env = Tokio::new();
        let mut book = Book { permits: BTreeMap::new(), full_at: FULL_AT_LEAST };
        let key = |n: usize| ("t".to_owned(), format!("u{n}"));
        let kept = book.of(key(0), || permits(&env));
        let permit = kept.acquire().await;
        drop(kept);
        for n in 1..10_000 {
            drop(book.of(key(n), || permits(&env)));
        }
        assert!(book.permits.len() <= 2 * FULL_AT_LEAST, "{}", book.permits.len());
        let again = book.of(key(0), || permits(&env));
        assert_eq!(again.in_use().await, 1, "whose permit is out is not forgotten");
        drop(permit);
        assert_eq!(again.in_use().await, 0);
    }
}
