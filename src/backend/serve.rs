//! One life of the gateway process: bind, start, serve, drain.
//! Must never return before the connections have been told.

use std::time::Duration;

use serde_json::json;

use super::config::Config;
use super::events;
use super::gateway::Gateway;
use super::http::server;
use super::ids;
use super::race::{Either, race};
use super::startup::{self, Stage, StartError};
use super::ws::outgoing::Out;
use super::ws::{close, protocol};
use crate::env::{Env, Task};
use crate::sync::Latch;

/// Held clients hear of a failed start before the process ends.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Connections are told to leave within this, each at a moment of its own.
const DRAIN_SPREAD_MS: u64 = 1000;

/// Serves until the process is asked to stop and has drained.
pub async fn serve<E: Env>(env: E, config: Config) -> Result<(), StartError> {
    let listener = env.bind(&config.listen).await.map_err(|error| StartError::Listen {
        addr: config.listen.clone(),
        why: error.to_string(),
    })?;
    let gateway = Gateway::new(&env, config);
    let stop = Latch::new(&env);
    let accepting = env.spawn("accept", server::accept(gateway.clone(), listener, stop.clone()));
    let started = match race(env.stop_requested(), startup::start(&gateway)).await {
        Either::First(()) => None,
        Either::Second(started) => Some(started),
    };
    let end = match started {
        None => Ok(()),
        Some(Ok(())) => {
            env.stop_requested().await;
            Ok(())
        }
        Some(Err(error)) => Err(error),
    };
    if end.is_ok() {
        gateway.gate().publish(Stage::Draining).await;
        events::draining();
    }
    stop.set().await;
    accepting.join().await;
    match &end {
        Ok(()) => drain(&gateway).await,
        Err(_) => env.sleep(LAST_WORDS).await,
    }
    end
}

/// Waits for the runs up to the grace, and sends every connection away.
async fn drain<E: Env>(gateway: &Gateway<E>) {
    let (env, times) = (gateway.env(), &gateway.config().times);
    let Some(services) = gateway.services().await else { return };
    let deadline = env.now() + times.drain_grace;
    for peer in services.registry.all().await {
        let kind = "server.draining";
        let text = protocol::notice(kind, &ids::draw(env, "evt_"), &json!({}));
        peer.queue.push(Out::Frame { kind, text }).await;
    }
    while services.tracker.live().await > 0 && env.now() < deadline {
        env.sleep(Duration::from_millis(50)).await;
    }
    let mut leaving = Vec::new();
    for peer in services.registry.all().await {
        let after = Duration::from_millis(env.below(DRAIN_SPREAD_MS));
        let env = env.clone();
        leaving.push(gateway.env().spawn("drain", async move {
            env.sleep(after).await;
            peer.queue.close(close::DRAINING).await;
        }));
    }
    for task in leaving {
        task.join().await;
    }
    let closed = env.now() + times.close_within;
    while !services.registry.all().await.is_empty() && env.now() < closed {
        env.sleep(Duration::from_millis(10)).await;
    }
    services.pool.close().await;
}
