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
use crate::sync::{Gate, Shared};

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
        let env = env.clone();
        Gateway { inner: Arc::new(Inner { env, config, tokens, gate, health, services }) }
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
