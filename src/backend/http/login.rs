//! `POST /v1/auth/login`: a password for an access token.
//! Must never say whether it was the user or the password that did not fit.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::super::auth::password;
use super::super::auth::token::Subject;
use super::super::db::{TransactionError, users};
use super::super::gateway::Gateway;
use super::super::ids::{self, RequestId, SessionId};
use super::super::ws::protocol::Problem;
use crate::env::Env;

#[derive(Deserialize)]
pub struct Credentials {
    tenant: String,
    user: String,
    password: String,
}

pub async fn login<E: Env>(
    State(gateway): State<Gateway<E>>,
    body: Result<Json<Credentials>, JsonRejection>,
) -> Response {
    let answer = match body {
        Ok(Json(credentials)) => token(&gateway, credentials).await,
        Err(error) => Err(Problem::new("bad_request", 400, error.body_text())),
    };
    answer.unwrap_or_else(|problem| refuse(&gateway, &problem))
}

async fn token<E: Env>(
    gateway: &Gateway<E>,
    credentials: Credentials,
) -> Result<Response, Problem> {
    let Credentials { tenant, user, password } = credentials;
    let Some(services) = gateway.services().await else { return Err(unavailable("starting")) };
    let stored = users::get(&services.pool, &tenant, &user).await;
    let stored = stored.map_err(|error: TransactionError| unavailable(error.class.name()))?;
    let wrong = || Problem::new("bad_credentials", 401, "user or password is wrong");
    let stored = stored.ok_or_else(wrong)?;
    let env = gateway.env();
    if !password::verify(env, &stored.password_hash, &password).await {
        return Err(wrong());
    }
    let session = SessionId::draw(env).0;
    let subject = Subject { tenant, user, session, roles: stored.roles };
    let (token, claims) = gateway.tokens().issue(subject, ids::draw(env, "jti_"), env.unix_ms());
    let body = json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": claims.exp - claims.iat,
        "tenant_id": claims.tid,
        "user_id": claims.sub,
        "session_id": claims.sid,
    });
    Ok(Json(body).into_response())
}

fn unavailable(why: &str) -> Problem {
    Problem::new("unavailable", 503, why).retry_after_ms(1000)
}

fn refuse<E: Env>(gateway: &Gateway<E>, problem: &Problem) -> Response {
    let request = RequestId::draw(gateway.env());
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = (status, Json(problem.to_json(request.as_str()))).into_response();
    let headers = response.headers_mut();
    headers.insert("content-type", "application/problem+json".parse().expect("a constant"));
    if let Some(ms) = problem.retry_after_ms {
        headers.insert("retry-after", ms.div_ceil(1000).into());
    }
    response
}
