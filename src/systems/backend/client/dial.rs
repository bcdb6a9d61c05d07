//! Opening things: an HTTP login and a WebSocket over the seam's streams. Must never keep
//! anything between two calls.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::policy::Ending;
use super::wire;
use crate::env::{Entropy, Env};

/// Longer than a gateway may hold an upgrade.
const UPGRADE_WITHIN: Duration = Duration::from_secs(40);
const LOGIN_WITHIN: Duration = Duration::from_secs(10);
/// Read and write buffers; the defaults are 128 KiB each.
const BUFFER_BYTES: usize = 4096;

/// Who logs in, and where.
#[derive(Clone, Debug)]
pub struct Account {
    /// `gateway:8080`
    pub gateway: String,
    pub tenant: String,
    pub user: String,
    pub password: String,
}

/// Why there is no connection: how it ended, and a word for people.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub ending: Ending,
    pub error: String,
}

impl Refusal {
    #[allow(clippy::needless_pass_by_value, reason = "a map_err passes its error by value")]
    fn lost(error: impl ToString) -> Refusal {
        Refusal { ending: Ending::Lost, error: error.to_string() }
    }

    fn answered<B>(response: &Response<B>) -> Refusal {
        let after = response.headers().get(header::RETRY_AFTER);
        let after = after.and_then(|value| value.to_str().ok()?.parse().ok());
        let status = response.status().as_u16();
        let ending = Ending::Refused(status, after.map(Duration::from_secs));
        Refusal { ending, error: response.status().to_string() }
    }
}

/// Logs in over a connection of its own; gives the access token.
pub async fn login<E: Env>(env: &E, account: &Account) -> Result<String, Refusal> {
    let within = env.timeout(LOGIN_WITHIN, post_login(env, account));
    within.await.unwrap_or_else(|elapsed| Err(Refusal::lost(elapsed)))
}

async fn post_login<E: Env>(env: &E, account: &Account) -> Result<String, Refusal> {
    let stream = env.connect(&account.gateway).await.map_err(Refusal::lost)?;
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(Refusal::lost)?;
    // It ends when `sender` is dropped or the peer goes away.
    env.spawn("http", async move {
        let _ended = connection.await;
    });
    let response = sender.send_request(login_request(account)).await.map_err(Refusal::lost)?;
    if response.status() != StatusCode::OK {
        return Err(Refusal::answered(&response));
    }
    let body = response.into_body().collect().await.map_err(Refusal::lost)?.to_bytes();
    let token: wire::Token = serde_json::from_slice(&body).map_err(Refusal::lost)?;
    Ok(token.access_token)
}

fn login_request(account: &Account) -> Request<Full<Bytes>> {
    let Account { tenant, user, password, .. } = account;
    let body = serde_json::to_vec(&wire::Login { tenant, user, password });
    Request::post("/v1/auth/login")
        .header(header::HOST, &account.gateway)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from(body.expect("a login is plain data")))
        .expect("a constant request with a valid host")
}

/// Opens a WebSocket; waits as long as a gateway may hold it.
pub async fn upgrade<E: Env>(
    env: &E,
    account: &Account,
) -> Result<WebSocketStream<E::Stream>, Refusal> {
    let within = env.timeout(UPGRADE_WITHIN, open(env, account));
    within.await.unwrap_or_else(|elapsed| Err(Refusal::lost(elapsed)))
}

async fn open<E: Env>(env: &E, account: &Account) -> Result<WebSocketStream<E::Stream>, Refusal> {
    let stream = env.connect(&account.gateway).await.map_err(Refusal::lost)?;
    let request = upgrade_request(env, &account.gateway);
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_write_buffer_size(1 << 20);
    let opened = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await;
    match opened {
        Ok((socket, _response)) => Ok(socket),
        Err(WsError::Http(response)) => Err(Refusal::answered(&response)),
        Err(error) => Err(Refusal::lost(error)),
    }
}

/// The library would draw the key from the operating system; ours comes from the seam.
fn upgrade_request<E: Entropy>(env: &E, gateway: &str) -> Request<()> {
    let uri: Uri = format!("ws://{gateway}/v1/ws").parse().expect("a host makes a URI");
    let mut request = uri.into_client_request().expect("a WebSocket URI");
    let mut nonce = [0; 16];
    env.fill(&mut nonce);
    let key = base64(&nonce).parse().expect("base64 is a header value");
    request.headers_mut().insert(header::SEC_WEBSOCKET_KEY, key);
    request
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let three = [0, 1, 2].map(|i| u32::from(chunk.get(i).copied().unwrap_or(0)));
        let bits = three[0] << 16 | three[1] << 8 | three[2];
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads_as_rfc_4648_does() {
        for (plain, encoded) in [("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("", "")] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }
}
