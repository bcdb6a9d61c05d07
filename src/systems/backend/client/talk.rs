//! One connection of a tab, from its first frame to its last. Must never leave a connection
//! without telling how it ended.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::super::events;
use super::desk::Order;
use super::dial;
use super::policy::Ending;
use super::tab::Tab;
use super::wire::Command;
use crate::env::{Env, Moment};
use crate::plan::Reconnect;

/// Silence after which a client asks for a sign of life, and after which it takes its connection
/// for dead: a server that lost its power says no goodbye.
const PING_AFTER: Duration = Duration::from_secs(10);
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// For a frame to go into the socket, and for the rest of a connection after a close frame.
const SEND_WITHIN: Duration = Duration::from_secs(10);
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// An open connection.
pub struct Line<E: Env> {
    socket: WebSocketStream<E::Stream>,
    /// Id of the `connect` command.
    pub connect: String,
    pub ready: bool,
    heard: Moment,
    /// A ping was sent since.
    pinged: bool,
    /// Of the close frame that came.
    reason: String,
    /// How long the socket stays open after the client has left it.
    linger: Duration,
}

enum Wake {
    Frame(Option<Message>),
    Order(Option<Order>),
    Time,
}

impl<E: Env> Tab<E> {
    /// Talks until the connection ends; what was sent and not answered will be sent again.
    pub async fn talk(&mut self, socket: WebSocketStream<E::Stream>) -> Ending {
        for asked in &mut self.unanswered {
            asked.sent_as = None;
        }
        let heard = self.desk.env.now();
        let (connect, reason) = (String::new(), String::new());
        let linger = Duration::ZERO;
        let (ready, pinged) = (false, false);
        let mut line = Line { socket, connect, ready, heard, pinged, reason, linger };
        let ending = match self.open(&mut line).await {
            Ok(()) => self.converse(&mut line).await,
            Err(ending) => ending,
        };
        let code = match ending {
            Ending::Left => self.say_goodbye(&mut line).await,
            Ending::Closed(code) => {
                self.read_out(&mut line).await;
                code
            }
            Ending::Lost | Ending::Refused(..) => 0,
        };
        let tab = self.number.cast_unsigned();
        events::closed(self.desk.user(), tab, u64::from(code), &line.reason);
        if !line.linger.is_zero() {
            self.abandon(line);
        }
        ending
    }

    /// Sends `connect`, with a token that may have to be fetched first.
    async fn open(&mut self, line: &mut Line<E>) -> Result<(), Ending> {
        let token = match self.desk.session.with(|session| session.token.clone()).await {
            Some(token) => token,
            None => self.login().await?,
        };
        let resume = match self.desk.reconnect {
            Reconnect::Resume => self.positions(),
            Reconnect::No | Reconnect::Fresh => Vec::new(),
        };
        let params = json!({ "token": token, "resume": resume });
        let command = Command { method: "connect", idem: String::new(), params };
        line.connect = self.send(line, &command).await?;
        Ok(())
    }

    async fn login(&mut self) -> Result<String, Ending> {
        let desk = self.desk.clone();
        match self.unless_left(dial::login(&desk.env, &desk.account)).await {
            Some(Ok(token)) => {
                let kept = token.clone();
                desk.session.with(|session| session.token = Some(kept)).await;
                Ok(token)
            }
            Some(Err(refusal)) => {
                self.refused(&refusal);
                Err(refusal.ending)
            }
            None => Err(Ending::Left),
        }
    }

    async fn converse(&mut self, line: &mut Line<E>) -> Ending {
        let (env, orders) = (self.desk.env.clone(), self.orders.clone());
        let mut order = Box::pin(orders.recv());
        let mut alarm_at = line.heard + PING_AFTER;
        let mut alarm = Box::pin(env.sleep_until(alarm_at));
        loop {
            let step = match wake(&mut line.socket, order.as_mut(), alarm.as_mut()).await {
                Wake::Frame(frame) => {
                    (line.heard, line.pinged) = (env.now(), false);
                    self.heard(line, frame).await
                }
                Wake::Order(None | Some(Order::Leave)) => Err(Ending::Left),
                Wake::Order(Some(Order::Drop { heard_after })) => {
                    line.linger = heard_after;
                    Err(Ending::Lost)
                }
                Wake::Order(Some(Order::Send(command))) => {
                    order = Box::pin(orders.recv());
                    self.keep(command);
                    Ok(())
                }
                Wake::Time => {
                    alarm_at = Moment(Duration::MAX);
                    self.silent(line).await
                }
            };
            let step = match step {
                Ok(()) => self.send_due(line).await,
                ended => ended,
            };
            if let Err(ending) = step {
                return ending;
            }
            let next = self.alarm(line);
            if next < alarm_at {
                alarm_at = next;
                alarm = Box::pin(env.sleep_until(next));
            }
        }
    }

    async fn silent(&self, line: &mut Line<E>) -> Result<(), Ending> {
        let silence = self.desk.env.now().since(line.heard);
        if silence >= SILENCE_MAX {
            return Err(Ending::Lost);
        }
        if silence >= PING_AFTER && !line.pinged {
            line.pinged = true;
            return self.put(line, Message::Ping(bytes::Bytes::new())).await;
        }
        Ok(())
    }

    async fn heard(&mut self, line: &mut Line<E>, frame: Option<Message>) -> Result<(), Ending> {
        match frame {
            None => Err(Ending::Lost),
            Some(Message::Text(text)) => self.frame(line, &text).await,
            Some(Message::Close(close)) => {
                let close = close.unwrap_or(NO_STATUS);
                close.reason.as_str().clone_into(&mut line.reason);
                Err(Ending::Closed(close.code.into()))
            }
            Some(_) => Ok(()),
        }
    }

    /// Sends every command that is due, once the server has taken the connection.
    async fn send_due(&mut self, line: &mut Line<E>) -> Result<(), Ending> {
        let now = self.desk.env.now();
        for index in 0..self.unanswered.len() {
            let asked = &self.unanswered[index];
            if line.ready && asked.sent_as.is_none() && asked.not_before <= now {
                let command = asked.command.clone();
                self.unanswered[index].sent_as = Some(self.send(line, &command).await?);
            }
        }
        Ok(())
    }

    fn alarm(&self, line: &Line<E>) -> Moment {
        let waiting = self.unanswered.iter().filter(|asked| asked.sent_as.is_none());
        let due = waiting.map(|asked| asked.not_before).min().filter(|_| line.ready);
        let patience = if line.pinged { SILENCE_MAX } else { PING_AFTER };
        due.unwrap_or(Moment(Duration::MAX)).min(line.heard + patience)
    }

    /// Puts a command into the socket under a fresh id.
    async fn send(&mut self, line: &mut Line<E>, command: &Command) -> Result<String, Ending> {
        self.memory.ids += 1;
        let (tab, id) =
            (self.number.cast_unsigned(), format!("c{}-{}", self.number, self.memory.ids));
        let run = command.params.get("run_id").and_then(serde_json::Value::as_str);
        let (user, idem) = (self.desk.user(), &command.idem);
        events::sent(user, tab, command.method, &id, idem, run.unwrap_or_default());
        self.put(line, Message::text(command.to_text(&id))).await.map(|()| id)
    }

    async fn put(&self, line: &mut Line<E>, message: Message) -> Result<(), Ending> {
        match self.desk.env.timeout(SEND_WITHIN, line.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Ending::Lost),
        }
    }

    /// Closes as RFC 6455 has it; gives the code that the server answered with, 0 for none.
    async fn say_goodbye(&self, line: &mut Line<E>) -> u16 {
        let close = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let goodbye = async {
            line.socket.close(Some(close)).await.ok()?;
            while let Some(message) = line.socket.next().await {
                if let Message::Close(close) = message.ok()? {
                    return Some(close.unwrap_or(NO_STATUS).code.into());
                }
            }
            None
        };
        let answer = self.desk.env.timeout(CLOSE_WITHIN, goodbye).await;
        answer.ok().flatten().unwrap_or(0)
    }

    /// Keeps a socket that nobody reads any more open for a while.
    fn abandon(&self, line: Line<E>) {
        let sleep = self.desk.env.sleep(line.linger);
        self.desk.env.spawn("abandoned", async move {
            sleep.await;
            drop(line);
        });
    }

    /// Lets the answer to a close frame leave, and the server end the connection.
    async fn read_out(&self, line: &mut Line<E>) {
        let rest = async { while line.socket.next().await.is_some_and(|rest| rest.is_ok()) {} };
        let _slow = self.desk.env.timeout(CLOSE_WITHIN, rest).await;
    }
}

/// RFC 6455: a close frame without a code counts as 1005.
const NO_STATUS: CloseFrame = CloseFrame {
    code: CloseCode::Status,
    reason: tokio_tungstenite::tungstenite::Utf8Bytes::from_static(""),
};

/// What comes first; frames before orders before time, when several have come.
async fn wake<S, O, T>(
    socket: &mut WebSocketStream<S>,
    mut order: Pin<&mut O>,
    mut alarm: Pin<&mut T>,
) -> Wake
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    O: Future<Output = Option<Order>>,
    T: Future<Output = ()>,
{
    poll_fn(|cx| {
        if let Poll::Ready(frame) = socket.poll_next_unpin(cx) {
            return Poll::Ready(Wake::Frame(frame.and_then(Result::ok)));
        }
        if let Poll::Ready(order) = order.as_mut().poll(cx) {
            return Poll::Ready(Wake::Order(order));
        }
        alarm.as_mut().poll(cx).map(|()| Wake::Time)
    })
    .await
}
