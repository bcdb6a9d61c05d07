//! The routes, and what asks for no identity: health and metrics.
//! Must never answer ready when an upgrade would not be admitted.

use std::fmt::Write;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};

use super::super::events;
use super::super::gateway::Gateway;
use super::super::startup::Stage;
use super::{login, upgrade};
use crate::env::Env;

pub fn router<E: Env>(gateway: Gateway<E>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok"))
        .route("/startupz", get(startupz::<E>))
        .route("/readyz", get(readyz::<E>))
        .route("/metrics", get(metrics::<E>))
        .route("/v1/auth/login", post(login::login::<E>))
        .route("/v1/ws", get(upgrade::upgrade::<E>))
        .with_state(gateway)
}

fn status(ok: bool) -> StatusCode {
    if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn startupz<E: Env>(State(gateway): State<Gateway<E>>) -> (StatusCode, &'static str) {
    let stage = gateway.gate().state().await;
    let started = matches!(stage, Stage::Ready | Stage::Draining);
    (status(started), stage.name())
}

async fn readyz<E: Env>(State(gateway): State<Gateway<E>>) -> (StatusCode, &'static str) {
    let store = gateway.store_is_up().await;
    let stage = gateway.gate().state().await;
    let ready = stage == Stage::Ready && store;
    events::probed(ready, stage.name(), store);
    (status(ready), stage.name())
}

/// Prometheus' text format.
async fn metrics<E: Env>(State(gateway): State<Gateway<E>>) -> String {
    let mut text = String::new();
    let mut gauge = |name: &str, value: usize| {
        let _ = writeln!(text, "# TYPE {name} gauge\n{name} {value}");
    };
    gauge("seedbed_upgrades_held", gateway.gate().held().await);
    gauge("seedbed_tasks", gateway.env().alive());
    gauge("seedbed_tasks_panicked", gateway.env().panicked());
    if let Some(services) = gateway.services().await {
        gauge("seedbed_connections", services.registry.all().await.len());
        gauge("seedbed_contexts", services.contexts.live().await);
        gauge("seedbed_runs", services.tracker.live().await);
    }
    text
}
