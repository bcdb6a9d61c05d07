//! Start-up: phases in order, each published when it has finished; and the state that admission
//! asks. Must never publish Ready before everything that an upgrade needs is there.

use std::time::Duration;

use super::auth::password;
use super::config::SeedUser;
use super::context::Contexts;
use super::db::users::{self, Stored};
use super::db::{Pool, TransactionError, migrate, nodes};
use super::events;
use super::gateway::{Gateway, Services};
use super::model::scripted::Scripted;
use super::plants::Plant;
use super::run::tracker::Tracker;
use super::ws::registry::Registry;
use crate::env::Env;
use crate::sync::{Admission, Gate};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Init,
    Dependencies,
    Database,
    Cache,
    Services,
    Websocket,
    Finalize,
    Ready,
}

impl Phase {
    pub const ALL: [Phase; 8] = [
        Phase::Init,
        Phase::Dependencies,
        Phase::Database,
        Phase::Cache,
        Phase::Services,
        Phase::Websocket,
        Phase::Finalize,
        Phase::Ready,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Phase::Init => "init",
            Phase::Dependencies => "dependencies",
            Phase::Database => "database",
            Phase::Cache => "cache",
            Phase::Services => "services",
            Phase::Websocket => "websocket",
            Phase::Finalize => "finalize",
            Phase::Ready => "ready",
        }
    }
}

/// The state of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The phase that finished last; `None` before the first has.
    Starting(Option<Phase>),
    Ready,
    Draining,
    Failed(String),
}

impl Stage {
    pub fn name(&self) -> &'static str {
        match self {
            Stage::Starting(phase) => phase.map_or("starting", Phase::name),
            Stage::Ready => "ready",
            Stage::Draining => "draining",
            Stage::Failed(_) => "failed",
        }
    }
}

/// Holds upgrades while the process starts.
pub fn gate<E: Env>(env: &E, held_max: usize) -> Gate<E, Stage> {
    Gate::new(env, Stage::Starting(None), held_max, |stage| match stage {
        Stage::Starting(_) => Admission::Hold,
        Stage::Ready => Admission::Admit,
        Stage::Draining | Stage::Failed(_) => Admission::Refuse,
    })
}

/// Why the process could not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {addr}: {why}")]
    Listen { addr: String, why: String },
    #[error("cannot use the database at {addr}: {error}")]
    Database { addr: String, error: TransactionError },
    #[error("cannot hash passwords at the configured cost")]
    PasswordCost,
}

/// Runs every phase. Ends with Ready or Failed published.
pub async fn start<E: Env>(gateway: &Gateway<E>) -> Result<(), StartError> {
    match phases(gateway).await {
        Ok(()) => Ok(()),
        Err(error) => {
            gateway.gate().publish(Stage::Failed(error.to_string())).await;
            events::failed(&error.to_string());
            Err(error)
        }
    }
}

async fn phases<E: Env>(gateway: &Gateway<E>) -> Result<(), StartError> {
    let (env, config) = (gateway.env(), gateway.config());
    let times = &config.times;
    finish(gateway, Phase::Init).await;
    let pool = Pool::new(env, config.database.clone(), times.pool_wait, times.statement_within);
    events::built("pool");
    patiently(gateway, || reach(&pool)).await?;
    finish(gateway, Phase::Dependencies).await;
    patiently(gateway, || migrate::migrate(&pool)).await?;
    finish(gateway, Phase::Database).await;
    for user in &config.users {
        let stored = patiently(gateway, || users::get(&pool, &user.tenant, &user.user)).await?;
        if stored.is_none() {
            seed(gateway, &pool, user).await?;
        }
    }
    finish(gateway, Phase::Cache).await;
    let registry = Registry::new(env, config.limits.connections_per_user, config.plants);
    events::built("registry");
    let model = Scripted::new(env, config.model.clone());
    events::built("provider");
    let life = patiently(gateway, || nodes::begin(&pool, &config.node)).await?;
    let tracker = Tracker::new(env, config, pool.clone(), registry.clone(), life);
    events::built("tracker");
    finish(gateway, Phase::Services).await;
    patiently(gateway, || tracker.recover()).await?;
    tracker.start_reaper();
    finish(gateway, Phase::Websocket).await;
    let contexts = Contexts::new(env, &config.limits);
    finish(gateway, Phase::Finalize).await;
    if config.plants.has(Plant::H02) {
        // Planted H02: Ready as soon as its phase begins; the handlers are still missing.
        gateway.gate().publish(Stage::Ready).await;
    }
    linger(gateway, Phase::Ready).await;
    gateway.open(Services { pool, registry, contexts, tracker, model }).await;
    gateway.gate().publish(Stage::Ready).await;
    events::phase(Phase::Ready.name());
    events::ready();
    Ok(())
}

/// Publishes the phase, now that its work is done.
async fn finish<E: Env>(gateway: &Gateway<E>, phase: Phase) {
    linger(gateway, phase).await;
    gateway.gate().publish(Stage::Starting(Some(phase))).await;
    events::phase(phase.name());
}

/// The time that a phase is configured to take beside its work.
async fn linger<E: Env>(gateway: &Gateway<E>, phase: Phase) {
    if let Some(extra) = gateway.config().startup.get(&phase) {
        gateway.env().sleep(*extra).await;
    }
}

/// The first session.
async fn reach<E: Env>(pool: &Pool<E>) -> Result<(), TransactionError> {
    pool.get().await?.release().await;
    Ok(())
}

/// Tries a step again for as long as the start may take: the store may still be starting, or
/// hold what an earlier life of this node left.
async fn patiently<E, T, F>(
    gateway: &Gateway<E>,
    mut step: impl FnMut() -> F + Send,
) -> Result<T, StartError>
where
    E: Env,
    F: Future<Output = Result<T, TransactionError>> + Send,
{
    const PAUSE: Duration = Duration::from_millis(200);
    let env = gateway.env();
    let deadline = env.now() + gateway.config().startup_patience;
    loop {
        match step().await {
            Ok(done) => return Ok(done),
            Err(error) if env.now() + PAUSE > deadline => return Err(unusable(gateway, error)),
            Err(_) => env.sleep(PAUSE).await,
        }
    }
}

async fn seed<E: Env>(
    gateway: &Gateway<E>,
    pool: &Pool<E>,
    seed: &SeedUser,
) -> Result<(), StartError> {
    let cost = gateway.config().password_cost;
    let hashed = password::hash(gateway.env(), cost, &seed.password).await;
    let password_hash = hashed.map_err(|_| StartError::PasswordCost)?;
    let stored = Stored { password_hash, roles: seed.roles.clone() };
    patiently(gateway, || users::create(pool, &seed.tenant, &seed.user, &stored)).await
}

fn unusable<E: Env>(gateway: &Gateway<E>, error: TransactionError) -> StartError {
    StartError::Database { addr: gateway.config().database.addr.clone(), error }
}
