//! One life of the gateway process: bind, start, serve, drain.
//! Must never return before the connections have been told.

use std::pin::pin;
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
use super::ws::{connection, protocol};
use crate::env::{Env, Task};
use crate::sync::Latch;

/// Held clients hear why they are not admitted before the process ends.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Serves until the process is asked to stop and has drained.
pub async fn serve<E: Env>(env: E, config: Config) -> Result<(), StartError> {
    let listener = env.bind(&config.listen).await.map_err(|error| StartError::Listen {
        addr: config.listen.clone(),
        why: error.to_string(),
    })?;
    let gateway = Gateway::new(&env, config);
    let stop = Latch::new(&env);
    let accepting = env.spawn("accept", server::accept(gateway.clone(), listener, stop.clone()));
    let mut asked = pin!(env.stop_requested());
    let started = match race(asked.as_mut(), startup::start(&gateway)).await {
        Either::First(()) => None,
        Either::Second(started) => Some(started),
    };
    let end = match started {
        None => Ok(()),
        Some(Ok(())) => {
            asked.await;
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
    if end.is_ok() {
        drain(&gateway).await;
    }
    dismiss(&gateway).await;
    env.sleep(LAST_WORDS).await;
    end
}

/// Says that the end is near, and waits for the runs up to the grace.
async fn drain<E: Env>(gateway: &Gateway<E>) {
    let (env, times) = (gateway.env(), &gateway.config().times);
    let Some(services) = gateway.services().await else { return };
    let deadline = env.now() + times.drain_grace;
    for peer in services.registry.all().await {
        let kind = "server.draining";
        let text = protocol::notice(kind, &ids::draw(env, "evt_"), &json!({}));
        peer.queue.push(Out::Frame { kind, text }).await;
    }
    // In this order: a command that is no longer being accepted has made its run.
    let busy = async || gateway.accepting().await > 0 || services.tracker.live().await > 0;
    while busy().await && env.now() < deadline {
        env.sleep(Duration::from_millis(50)).await;
    }
}

/// Sends every connection away, and waits for those who are just being admitted or refused.
async fn dismiss<E: Env>(gateway: &Gateway<E>) {
    let (env, times) = (gateway.env(), &gateway.config().times);
    gateway.leave().set().await;
    let closed = env.now() + connection::LEAVE_WITHIN + 2 * times.close_within;
    while gateway.connections().await > 0 && env.now() < closed {
        env.sleep(Duration::from_millis(10)).await;
    }
    if let Some(services) = gateway.services().await {
        services.pool.close().await;
    }
}
