//! The gateway: what every handler and task of one process shares.
//! Must never be reached but through a clone that was handed down.

use std::sync::Arc;

use super::auth::token::Tokens;
use super::config::Config;
use super::context::Contexts;
use super::db::Pool;
use super::health::Health;
use super::model::scripted::Scripted;
use super::run::tracker::Tracker;
use super::startup::{self, Stage};
use super::ws::registry::Registry;
use crate::env::Env;
use crate::sync::{Gate, Latch, Shared};

/// Clones are the same gateway.
#[derive(Clone)]
pub struct Gateway<E: Env> {
    inner: Arc<Inner<E>>,
}

struct Inner<E: Env> {
    env: E,
    config: Config,
    tokens: Tokens,
    gate: Gate<E, Stage>,
    health: Health<E>,
    services: Shared<E, Option<Services<E>>>,
    /// Set when every connection has to leave.
    leave: Latch<E>,
    /// Connections that are not gone, and upgrades that are not decided about.
    connections: Shared<E, usize>,
    /// Commands that are being made into runs.
    accepting: Shared<E, usize>,
}

/// What start-up builds, once; there when the gate says Ready.
#[derive(Clone)]
pub struct Services<E: Env> {
    pub pool: Pool<E>,
    pub registry: Registry<E>,
    pub contexts: Contexts<E>,
    pub tracker: Tracker<E>,
    pub model: Scripted<E>,
}

impl<E: Env> Gateway<E> {
    pub fn new(env: &E, config: Config) -> Gateway<E> {
        let times = &config.times;
        let tokens = Tokens::new(&config.jwt_key, times.token_lives, times.token_leeway);
        let gate = startup::gate(env, config.limits.held_max);
        let health = Health::new(env, times.probe_cached);
        let services = Shared::new(env, "services", None);
        let (leave, connections) = (Latch::new(env), Shared::new(env, "connections", 0));
        let accepting = Shared::new(env, "accepting", 0);
        let env = env.clone();
        let inner =
            Inner { env, config, tokens, gate, health, services, leave, connections, accepting };
        Gateway { inner: Arc::new(inner) }
    }

    pub fn env(&self) -> &E {
        &self.inner.env
    }

    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    pub fn tokens(&self) -> &Tokens {
        &self.inner.tokens
    }

    pub fn gate(&self) -> &Gate<E, Stage> {
        &self.inner.gate
    }

    /// The services, once start-up has built them.
    pub async fn services(&self) -> Option<Services<E>> {
        self.inner.services.with(|services| services.clone()).await
    }

    pub fn leave(&self) -> &Latch<E> {
        &self.inner.leave
    }

    /// How many connections there are, those included that are still to be admitted.
    pub async fn connections(&self) -> usize {
        self.inner.connections.with(|count| *count).await
    }

    /// Counts a connection until the guard is dropped.
    pub fn connected(&self) -> Counted<E> {
        Counted::one_of(&self.inner.connections)
    }

    /// How many commands are being made into runs.
    pub async fn accepting(&self) -> usize {
        self.inner.accepting.with(|count| *count).await
    }

    /// Counts a command that asks for a run, from before it asks whether the server drains until
    /// the tracker knows the run.
    pub fn accepts(&self) -> Counted<E> {
        Counted::one_of(&self.inner.accepting)
    }

    pub(super) async fn open(&self, services: Services<E>) {
        self.inner.services.with(|slot| *slot = Some(services)).await;
    }

    /// Whether the store answers, as seen at most a second ago; false before it was built.
    pub async fn store_is_up(&self) -> bool {
        match self.services().await {
            Some(services) => self.inner.health.up(&services.pool).await,
            None => false,
        }
    }
}

/// Counts what it stands for, as long as it lasts.
pub struct Counted<E: Env>(Shared<E, usize>);

impl<E: Env> Counted<E> {
    fn one_of(count: &Shared<E, usize>) -> Counted<E> {
        count.with_in_drop(|count| *count += 1);
        Counted(count.clone())
    }
}

impl<E: Env> Drop for Counted<E> {
    fn drop(&mut self) {
        self.0.with_in_drop(|count| *count -= 1);
    }
}
