//! Who is connected: user to a set of (connection, generation). The limit is checked in the step
//! that registers; removal names the generation, so that an old connection's clean-up never
//! touches a newer one. Must never be locked while a frame is queued.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::events;
use super::super::plants::{Plant, Plants};
use super::outgoing::{Out, Queue};
use crate::env::Env;
use crate::sync::{Full, Shared, Slot};

/// Planted H10 only.
const CLEAN_UP_AFTER: Duration = Duration::from_millis(250);

/// A registered connection.
#[derive(Clone)]
pub struct Peer<E: Env> {
    pub connection: String,
    pub tenant: String,
    pub user: String,
    pub queue: Queue<E>,
}

type Slots<E> = BTreeMap<(String, String), Slot<E, Peer<E>>>;

#[derive(Clone)]
pub struct Registry<E: Env> {
    env: E,
    limit: usize,
    slots: Shared<E, Slots<E>>,
    plants: Plants,
}

/// What a connection needs to remove itself.
pub struct Registration<E: Env> {
    slot: Slot<E, Peer<E>>,
    generation: u64,
    peer: Peer<E>,
}

impl<E: Env> Registry<E> {
    pub fn new(env: &E, limit: usize, plants: Plants) -> Registry<E> {
        let slots = Shared::new(env, "registry", BTreeMap::new());
        Registry { env: env.clone(), limit, slots, plants }
    }

    pub async fn register(&self, peer: Peer<E>) -> Result<Registration<E>, Full> {
        let slot = self.slot(&peer.tenant, &peer.user).await;
        // Planted H09: asked in one step, registered in another.
        if self.plants.has(Plant::H09) && slot.len().await >= self.limit {
            return Err(Full);
        }
        let (generation, live) = slot.register_counted(peer.clone()).await?;
        events::registered(&peer.user, &peer.connection, generation, live as u64);
        Ok(Registration { slot, generation, peer })
    }

    /// Removes exactly what `registration` registered.
    pub async fn remove(&self, registration: Registration<E>) {
        let Registration { slot, generation, peer } = registration;
        if self.plants.has(Plant::H10) {
            // Planted H10: the clean-up is put off and knows the user only, so that it finds
            // whoever has registered meanwhile.
            let newest = async || slot.list().await.last().map_or(generation, |entry| entry.0);
            let before = newest().await;
            self.env.sleep(CLEAN_UP_AFTER).await;
            let now = newest().await;
            let found = if now > before { now } else { generation };
            remove_one(&slot, found, &peer).await;
        } else if self.plants.has(Plant::H11) {
            // Planted H11: one tab's end un-indexes them all.
            for (generation, peer) in slot.list().await {
                remove_one(&slot, generation, &peer).await;
            }
        } else {
            remove_one(&slot, generation, &peer).await;
        }
    }

    /// The user's connections, oldest first.
    pub async fn peers(&self, tenant: &str, user: &str) -> Vec<Peer<E>> {
        let key = (tenant.to_owned(), user.to_owned());
        let slot = self.slots.with(|slots| slots.get(&key).cloned()).await;
        let Some(slot) = slot else { return Vec::new() };
        slot.list().await.into_iter().map(|(_, peer)| peer).collect()
    }

    /// Every connection.
    pub async fn all(&self) -> Vec<Peer<E>> {
        let slots: Vec<_> = self.slots.with(|slots| slots.values().cloned().collect()).await;
        let mut all = Vec::new();
        for slot in slots {
            all.extend(slot.list().await.into_iter().map(|(_, peer)| peer));
        }
        all
    }

    /// Queues `out` on every connection of the user.
    pub async fn tell(&self, tenant: &str, user: &str, out: &Out) {
        for peer in self.peers(tenant, user).await {
            peer.queue.push(out.clone()).await;
        }
    }

    async fn slot(&self, tenant: &str, user: &str) -> Slot<E, Peer<E>> {
        let key = (tenant.to_owned(), user.to_owned());
        let limit = if self.plants.has(Plant::H09) { usize::MAX } else { self.limit };
        let make = || Slot::new(&self.env, limit);
        self.slots.with(|slots| slots.entry(key).or_insert_with(make).clone()).await
    }
}

async fn remove_one<E: Env>(slot: &Slot<E, Peer<E>>, generation: u64, ended: &Peer<E>) {
    if let Some((peer, live)) = slot.remove_counted(generation).await {
        debug_assert_eq!(peer.user, ended.user, "a slot is one user's");
        events::removed(&peer.user, &peer.connection, generation, live as u64);
    }
}
