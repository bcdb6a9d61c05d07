//! A connection from upgrade to end: the reader, its deadlines, and what is cleaned up after it.
//! Must never execute a command (it spawns) nor write to the socket (the writer does).

use std::pin::pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::super::auth::token::Claims;
use super::super::commands;
use super::super::events;
use super::super::gateway::{Gateway, Services};
use super::super::ids::{self, RequestId};
use super::super::race::{Either, race};
use super::attach;
use super::close::{self, Close};
use super::outgoing::{Out, Queue};
use super::protocol::{self, Command, Problem};
use super::registry::Registration;
use super::state::{Life, State};
use super::writer::Writer;
use crate::env::{Env, Moment, Task};

/// Read and write buffers. tungstenite's defaults cost 136 KB a connection.
const BUFFER_BYTES: usize = 4 * 1024;

/// When all have to leave, each does at a moment of its own within this.
pub const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// Whose connection it is, from the token of `connect` or the last `auth.refresh`.
#[derive(Clone, Debug)]
pub struct Session {
    pub claims: Claims,
    /// When the token expires.
    pub expires: Moment,
}

/// What a command's task needs of the connection.
#[derive(Clone)]
pub struct Handle<E: Env> {
    pub gateway: Gateway<E>,
    pub services: Services<E>,
    pub connection: String,
    pub session: Session,
    pub queue: Queue<E>,
}

/// Serves an upgraded stream until it has ended and nothing of it is left.
pub async fn serve<E, S>(gateway: Gateway<E>, connection: String, life: Life<E>, stream: S)
where
    E: Env,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let env = gateway.env().clone();
    let (limits, times) = (&gateway.config().limits, &gateway.config().times);
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_write_buffer_size(4 * limits.message_bytes)
        .max_message_size(Some(limits.message_bytes))
        .max_frame_size(Some(limits.message_bytes));
    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    let (sink, frames) = socket.split();
    let _ = life.to(State::Accepted).await;
    let queue = Queue::new(&env, &connection, limits.queue_bytes);
    let writer = Writer {
        env: env.clone(),
        connection: connection.clone(),
        user: String::new(),
        queue: queue.clone(),
        life: life.clone(),
        sink,
        close_within: times.close_within,
    };
    let (close_within, overdue) = (times.close_within, queue.overdue().clone());
    let writing = env.spawn("writer", writer.run());
    let mut reader = Reader::new(gateway, connection.clone(), life.clone(), queue);
    let close = reader.run(frames).await;
    let user = reader.finish(close).await;
    let mut written = pin!(writing.join());
    if env.timeout(close_within, &mut written).await.is_err() {
        // The client takes neither what is queued nor the close.
        overdue.set().await;
        written.await;
    }
    let _ = life.to(State::Closing).await;
    let _ = life.to(State::Closed).await;
    events::conn_gone(&connection, &user);
}

struct Reader<E: Env> {
    gateway: Gateway<E>,
    connection: String,
    life: Life<E>,
    queue: Queue<E>,
    /// Empty until it is known.
    user: String,
    session: Option<(Session, Services<E>)>,
    registration: Option<(Registration<E>, Services<E>)>,
    bucket: Bucket,
    /// `connect` must come before; later, when the next ping is due.
    alarm: Moment,
    /// A ping was sent and must be answered before the alarm.
    pinged: bool,
    /// When it leaves, once all have to.
    leaves: Option<Moment>,
}

/// How the reader ended.
enum Ended {
    /// We end it, with this code.
    Us(Close),
    /// The queue was closed by others, who said why.
    Others,
    /// The peer's close code; 0 when it went away without a word.
    Peer(u16),
}

impl<E: Env> Reader<E> {
    fn new(gateway: Gateway<E>, connection: String, life: Life<E>, queue: Queue<E>) -> Reader<E> {
        let now = gateway.env().now();
        let alarm = now + gateway.config().times.connect_wait;
        let limits = &gateway.config().limits;
        let bucket = Bucket::new(limits.commands_per_second, limits.commands_burst, now);
        let (session, registration, pinged) = (None, None, false);
        Reader {
            gateway,
            connection,
            life,
            queue,
            user: String::new(),
            session,
            registration,
            bucket,
            alarm,
            pinged,
            leaves: None,
        }
    }

    async fn run<S>(&mut self, mut frames: S) -> Ended
    where
        S: Stream<Item = Result<Message, Error>> + Unpin + Send,
    {
        let id = ids::draw(self.gateway.env(), "evt_");
        self.tell("connection_established", &id, json!({ "connection_id": self.connection })).await;
        let env = self.gateway.env().clone();
        loop {
            let ending = self.queue.ending().clone();
            let (leave, alarm) = (self.leave(), env.sleep_until(self.alarm));
            let next = race(race(ending.wait(), leave), race(frames.next(), alarm)).await;
            let ended = match next {
                Either::First(Either::First(())) => {
                    return drain(frames, Ended::Others, &self.gateway).await;
                }
                Either::First(Either::Second(())) => self.left(),
                Either::Second(Either::First(frame)) => self.frame(frame).await,
                Either::Second(Either::Second(())) => self.alarmed().await,
            };
            match ended {
                None => {}
                Some(Ended::Us(close)) => {
                    if close == close::NO_PONG {
                        // Whoever is gone without a word takes nothing any more.
                        self.queue.end_now(close).await;
                    } else {
                        self.queue.close(close).await;
                    }
                    return drain(frames, Ended::Others, &self.gateway).await;
                }
                Some(ended) => return ended,
            }
        }
    }

    /// Waits until it has to leave: first for the word, then for its own moment.
    fn leave(&self) -> impl Future<Output = ()> + Send + use<E> {
        let (gateway, leaves) = (self.gateway.clone(), self.leaves);
        async move {
            match leaves {
                None => gateway.leave().wait().await,
                Some(at) => gateway.env().sleep_until(at).await,
            }
        }
    }

    fn left(&mut self) -> Option<Ended> {
        if self.leaves.is_some() {
            return Some(Ended::Us(close::DRAINING));
        }
        let env = self.gateway.env();
        let spread = u64::try_from(LEAVE_WITHIN.as_millis()).unwrap_or(u64::MAX);
        self.leaves = Some(env.now() + Duration::from_millis(env.below(spread)));
        None
    }

    async fn frame(&mut self, frame: Option<Result<Message, Error>>) -> Option<Ended> {
        let message = match frame {
            None => return Some(Ended::Peer(0)),
            Some(Err(error)) => return Some(broken(&error)),
            Some(Ok(message)) => message,
        };
        self.heard();
        match message {
            Message::Text(text) => self.text(&text).await,
            Message::Binary(_) => Some(Ended::Us(close::BAD_DATA)),
            Message::Close(frame) => {
                Some(Ended::Peer(frame.map_or(1005, |frame| frame.code.into())))
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => None,
        }
    }

    /// Any sign of life answers a ping.
    fn heard(&mut self) {
        if self.session.is_some() {
            if self.pinged {
                events::conn_heard(&self.connection);
            }
            self.pinged = false;
            self.alarm = self.next_ping();
        }
    }

    fn next_ping(&self) -> Moment {
        let every = self.gateway.config().times.ping_every;
        // No draw per frame: the jitter is the connection's own.
        let jitter = self.connection.bytes().map(u32::from).sum::<u32>() % 20;
        let early = every * jitter / 100;
        self.gateway.env().now() + every.saturating_sub(early)
    }

    async fn alarmed(&mut self) -> Option<Ended> {
        if self.session.is_none() {
            return Some(Ended::Us(close::NO_CONNECT));
        }
        if self.pinged {
            return Some(Ended::Us(close::NO_PONG));
        }
        let times = &self.gateway.config().times;
        let (grace, pong) = (times.token_grace, times.pong_within);
        if self.gateway.env().now() > self.session.as_ref()?.0.expires + grace {
            return Some(Ended::Us(close::TOKEN_EXPIRED));
        }
        self.queue.push(Out::Ping).await;
        events::conn_pinged(&self.connection);
        self.pinged = true;
        self.alarm = self.gateway.env().now() + pong;
        None
    }

    async fn text(&mut self, text: &str) -> Option<Ended> {
        let Ok(command) = serde_json::from_str::<Command>(text) else {
            return Some(Ended::Us(close::BAD_PROTOCOL));
        };
        if command.v != protocol::VERSION {
            return Some(Ended::Us(close::BAD_PROTOCOL));
        }
        if !self.bucket.take(self.gateway.env().now()) {
            return Some(Ended::Us(close::RATE));
        }
        let (connection, user) = (&self.connection, &self.user);
        events::frame_handled(connection, user, &command.method, &command.id);
        match (command.method.as_str(), &self.session) {
            ("connect", None) => self.connect(command).await.err().map(Ended::Us),
            (_, None) => Some(Ended::Us(close::BAD_PROTOCOL)),
            ("auth.refresh", Some(_)) => {
                let result = self.refresh(&command);
                self.answer(&command.id, result).await;
                None
            }
            ("ping", Some(_)) => {
                self.answer(&command.id, Ok(json!({}))).await;
                None
            }
            (_, Some((session, services))) => {
                let (session, services) = (session.clone(), services.clone());
                self.execute(command, session, services).await;
                None
            }
        }
    }

    /// The command runs in a task of its own: pings, cancel and close do not wait for it.
    async fn execute(&mut self, command: Command, session: Session, services: Services<E>) {
        let expired = self.gateway.env().now() >= session.expires;
        if expired {
            let problem = Problem::new("auth_expired", 401, "the token has expired");
            return self.answer(&command.id, Err(problem)).await;
        }
        if !self.life.get().await.handles() {
            let problem = Problem::new("insufficient_state", 409, "the connection is not ready");
            return self.answer(&command.id, Err(problem)).await;
        }
        let handle = Handle {
            gateway: self.gateway.clone(),
            services,
            connection: self.connection.clone(),
            session,
            queue: self.queue.clone(),
        };
        self.gateway.env().spawn("command", commands::execute(handle, command));
    }

    /// The first frame: whose connection it is; then its place in the registry, then history.
    async fn connect(&mut self, command: Command) -> Result<(), Close> {
        let Some(services) = self.gateway.services().await else {
            return Err(close::INTERNAL); // admitted before Ready: a fault of ours
        };
        let session = match self.authenticate(command.text("token").unwrap_or_default()) {
            Ok(session) => session,
            Err(problem) => {
                self.answer(&command.id, Err(problem)).await;
                return Err(close::INVALID_TOKEN);
            }
        };
        let Claims { tid, sub, sid, .. } = session.claims.clone();
        self.user.clone_from(&sub);
        self.queue.push(Out::Whose(sub.clone())).await;
        events::conn_authenticated(&self.connection, &tid, &sub, &sid);
        self.step(State::Authenticated).await?;
        self.step(State::ServicesReady).await?;
        let handle = Handle {
            gateway: self.gateway.clone(),
            services: services.clone(),
            connection: self.connection.clone(),
            session: session.clone(),
            queue: self.queue.clone(),
        };
        let registration = attach::connect(&handle, &command).await?;
        self.registration = Some((registration, services.clone()));
        self.step(State::ProcessingReady).await?;
        self.session = Some((session, services));
        self.alarm = self.next_ping();
        Ok(())
    }

    async fn step(&self, to: State) -> Result<(), Close> {
        self.life.to(to).await.map_err(|_| close::INTERNAL)
    }

    fn authenticate(&self, token: &str) -> Result<Session, Problem> {
        let (env, tokens) = (self.gateway.env(), self.gateway.tokens());
        let (unix_ms, now) = (env.unix_ms(), env.now());
        let claims = tokens
            .verify(token, unix_ms)
            .map_err(|error| Problem::new("invalid_token", 401, error.to_string()))?;
        let left_ms = (claims.exp * 1000).saturating_sub(unix_ms);
        let leeway = self.gateway.config().times.token_leeway;
        let expires = now + Duration::from_millis(left_ms) + leeway;
        Ok(Session { claims, expires })
    }

    fn refresh(&mut self, command: &Command) -> Result<serde_json::Value, Problem> {
        let fresh = self.authenticate(command.text("token").unwrap_or_default())?;
        let Some((session, _)) = &mut self.session else {
            return Err(Problem::new("insufficient_state", 409, "not connected"));
        };
        let same =
            (&fresh.claims.tid, &fresh.claims.sub) == (&session.claims.tid, &session.claims.sub);
        if !same {
            return Err(Problem::new("forbidden", 403, "the token is another user's"));
        }
        *session = fresh;
        Ok(json!({ "expires": session.claims.exp }))
    }

    async fn answer(&self, id: &str, result: Result<serde_json::Value, Problem>) {
        let request = RequestId::draw(self.gateway.env());
        let text = protocol::reply(id, &result, request.as_str());
        self.queue.push(Out::Frame { kind: "reply", text }).await;
    }

    async fn tell(&self, kind: &'static str, id: &str, data: serde_json::Value) {
        let text = protocol::notice(kind, id, &data);
        self.queue.push(Out::Frame { kind, text }).await;
    }

    /// Leaves the registry first: nobody queues for a connection that has ended. Whose it was.
    async fn finish(mut self, ended: Ended) -> String {
        let _ = self.life.to(State::Closing).await;
        if let Some((registration, services)) = self.registration.take() {
            services.registry.remove(registration).await;
        }
        match ended {
            Ended::Us(close) => self.queue.close(close).await,
            Ended::Peer(code) => self.queue.peer_closed(code).await,
            Ended::Others => {}
        }
        self.user
    }
}

/// After we decided to end it: reads until the peer has answered, so that the answer's bytes do
/// not meet a closed socket, but no longer than the close may take.
async fn drain<E, S>(mut frames: S, ended: Ended, gateway: &Gateway<E>) -> Ended
where
    E: Env,
    S: Stream<Item = Result<Message, Error>> + Unpin + Send,
{
    let within = gateway.config().times.close_within;
    let answered = async { while let Some(Ok(_)) = frames.next().await {} };
    let _ = gateway.env().timeout(within, answered).await;
    ended
}

/// What an error of the socket means for the peer.
fn broken(error: &Error) -> Ended {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Ended::Us(close::TOO_BIG),
        Error::Utf8(_) => Ended::Us(close::BAD_DATA),
        Error::Protocol(_) => Ended::Us(close::PROTOCOL),
        _ => Ended::Peer(0),
    }
}

/// Commands a connection may send: a bucket that fills with time.
struct Bucket {
    per_second: u64,
    burst: u64,
    /// In thousandths of a command.
    level: u64,
    filled: Moment,
}

impl Bucket {
    fn new(per_second: u64, burst: u64, now: Moment) -> Bucket {
        Bucket { per_second, burst, level: burst * 1000, filled: now }
    }

    fn take(&mut self, now: Moment) -> bool {
        let ms = u64::try_from((now - self.filled).as_millis()).unwrap_or(u64::MAX);
        let filled = self.level.saturating_add(ms.saturating_mul(self.per_second));
        self.level = filled.min(self.burst * 1000);
        self.filled = now;
        let enough = self.level >= 1000;
        self.level -= if enough { 1000 } else { 0 };
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let at = |ms| Moment(Duration::from_millis(ms));
        let mut bucket = Bucket::new(20, 40, at(0));
        assert_eq!((0..50).filter(|_| bucket.take(at(0))).count(), 40);
        assert!(!bucket.take(at(49)));
        assert!(bucket.take(at(50)));
    }
}
