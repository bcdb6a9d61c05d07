//! `GET /v1/ws`: admission, then the upgrade. Early upgrades are held by the gate; who is refused
//! is told so over HTTP. Must never admit while what the connection needs is not there.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use super::super::events;
use super::super::gateway::{Counted, Gateway};
use super::super::ids::ConnectionId;
use super::super::plants::Plant;
use super::super::startup::Stage;
use super::super::ws::connection;
use super::super::ws::state::{Life, State as ConnectionState};
use crate::env::Env;
use crate::sync::Entry;

/// Seconds after which a refused client may try again.
const RETRY_AFTER: &str = "1";

/// Why an upgrade is not admitted.
struct Refusal {
    status: StatusCode,
    reason: &'static str,
}

const fn unavailable(reason: &'static str) -> Refusal {
    Refusal { status: StatusCode::SERVICE_UNAVAILABLE, reason }
}

pub async fn upgrade<E: Env>(State(gateway): State<Gateway<E>>, request: Request) -> Response {
    let connection = ConnectionId::draw(gateway.env()).0;
    let connected = gateway.connected();
    let mut held = None;
    let admitted = admit(&gateway, &connection, request.headers(), &mut held).await;
    held.into_iter().for_each(Held::decided);
    match admitted {
        Ok(()) => switch(gateway, connection, connected, request),
        Err(refusal) => refuse(&connection, &refusal),
    }
}

async fn admit<E: Env>(
    gateway: &Gateway<E>,
    connection: &str,
    headers: &HeaderMap,
    held: &mut Option<Held>,
) -> Result<(), Refusal> {
    let (config, plants) = (gateway.config(), gateway.config().plants);
    let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    let known = |origin: &str| config.origins.iter().any(|allowed| allowed == origin);
    if !config.origins.is_empty() && origin.is_some_and(|origin| !known(origin)) {
        return Err(Refusal { status: StatusCode::FORBIDDEN, reason: "origin" });
    }
    let early = matches!(gateway.gate().state().await, Stage::Starting(_));
    // Planted H01: an early upgrade does not wait for the services.
    if early && plants.has(Plant::H01) {
        return Ok(());
    }
    if early {
        let waiting = gateway.gate().held().await as u64;
        events::held(connection, waiting + 1);
        *held = Some(Held(connection.to_owned()));
    }
    // Planted H03: the guard gives up early, and the code goes on.
    let hasty = plants.has(Plant::H03);
    let wait = if hasty { Duration::from_millis(250) } else { config.times.admission_wait };
    let refused = match gateway.gate().enter(wait).await {
        Entry::Admitted => None,
        Entry::Refused => Some("not accepting connections"),
        Entry::TimedOut => Some("still starting"),
        Entry::Full => Some("too many early connections"),
    };
    match refused {
        Some(reason) if !hasty => return Err(unavailable(reason)),
        _ => {}
    }
    if !hasty && !gateway.store_is_up().await {
        return Err(unavailable("store"));
    }
    // The probe may have taken its time.
    if !hasty && gateway.gate().state().await != Stage::Ready {
        return Err(unavailable("not accepting connections"));
    }
    Ok(())
}

/// A held client, until it is decided about: one whose handler is dropped before has left.
struct Held(String);

impl Held {
    fn decided(mut self) {
        self.0.clear();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            events::left(&self.0);
        }
    }
}

/// Answers 101 and serves the connection in a task of its own.
fn switch<E: Env>(
    gateway: Gateway<E>,
    connection: String,
    connected: Counted<E>,
    request: Request,
) -> Response {
    let (mut parts, _) = request.into_parts();
    let Some(upgrade) = parts.extensions.remove::<hyper::upgrade::OnUpgrade>() else {
        let refusal = Refusal { status: StatusCode::UPGRADE_REQUIRED, reason: "no upgrade" };
        return refuse(&connection, &refusal);
    };
    let request = Request::from_parts(parts, ());
    let Ok(response) = create_response_with_body(&request, Body::empty) else {
        let refusal = Refusal { status: StatusCode::BAD_REQUEST, reason: "no handshake" };
        return refuse(&connection, &refusal);
    };
    events::accepted(&connection);
    let env = gateway.env().clone();
    env.spawn("connection", async move {
        let _connected = connected;
        let life = Life::new(gateway.env(), &connection);
        match upgrade.await {
            Ok(stream) => {
                connection::serve(gateway, connection, life, TokioIo::new(stream)).await;
            }
            Err(_) => never_began(&connection, &life).await,
        }
    });
    response
}

/// The client left before the answer reached it.
async fn never_began<E: Env>(connection: &str, life: &Life<E>) {
    let _ = life.to(ConnectionState::Failed).await;
    let _ = life.to(ConnectionState::Closed).await;
    events::conn_closed(connection, "", 0, "never began");
    events::conn_gone(connection, "");
}

fn refuse(connection: &str, refusal: &Refusal) -> Response {
    events::refused(connection, u64::from(refusal.status.as_u16()), refusal.reason);
    let mut response = (refusal.status, refusal.reason).into_response();
    if refusal.status == StatusCode::SERVICE_UNAVAILABLE {
        let after = header::HeaderValue::from_static(RETRY_AFTER);
        response.headers_mut().insert(header::RETRY_AFTER, after);
    }
    response
}
