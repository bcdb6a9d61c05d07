//! The writer task of a connection: the only one that touches the sink. It puts events in order,
//! sends one close frame, and nothing after it. Must never wait for a client that is overdue.

use std::time::Duration;

use futures_util::{Sink, SinkExt};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::super::events;
use super::super::race::{Either, race};
use super::close::Close;
use super::merge::{Item, Merge};
use super::outgoing::{Out, Queue};
use super::state::{Life, State};
use crate::env::Env;

/// What the writer writes to, and on whose behalf.
pub struct Writer<E: Env, S> {
    pub env: E,
    pub connection: String,
    /// Empty until the connection is authenticated.
    pub user: String,
    pub queue: Queue<E>,
    pub life: Life<E>,
    pub sink: S,
    pub close_within: Duration,
}

/// Whether the socket takes more.
#[derive(PartialEq, Eq)]
enum Socket {
    Open,
    Gone,
}

impl<E, S> Writer<E, S>
where
    E: Env,
    S: Sink<Message, Error = Error> + Unpin + Send,
{
    /// Runs until the connection has ended.
    pub async fn run(mut self) {
        let mut merge = Merge::default();
        while let Some(out) = self.queue.recv().await {
            let socket = match out {
                Out::Close(close) => return self.close(close).await,
                Out::PeerClosed(code) => return self.answer_close(code).await,
                out => self.write(&mut merge, out).await,
            };
            if socket == Socket::Gone {
                // The end that overtook the frame is in the queue, or the socket failed.
                self.queue.peer_closed(0).await;
            }
        }
        self.ended(0, "gone");
    }

    async fn write(&mut self, merge: &mut Merge, out: Out) -> Socket {
        let items = match out {
            Out::Frame { kind, text } => return self.send(text.into(), kind, "", -1, -1).await,
            Out::Ping => return self.put(Message::Ping(bytes::Bytes::new())).await,
            Out::Event(event) => merge.event(event),
            Out::Delta(delta) => merge.delta(delta),
            Out::Attach(attach) => merge.attach(attach),
            Out::Complete => merge.complete(),
            Out::Whose(user) => {
                self.user = user;
                return Socket::Open;
            }
            Out::Detach(thread) => {
                merge.detach(&thread);
                return Socket::Open;
            }
            Out::Close(_) | Out::PeerClosed(_) => return Socket::Open,
        };
        for item in items {
            let socket = match item {
                Item::Event(event) => {
                    let (run, seq, run_seq) = (&event.origin.run, event.seq, event.run_seq);
                    self.send(event.text.clone(), &event.kind, run, seq, run_seq).await
                }
                Item::Delta(delta) => {
                    let (text, run) = (delta.to_text().into(), &delta.origin.run);
                    self.send(text, "message_delta", run, -1, -1).await
                }
                Item::Snapshot(snapshot) => {
                    let run = &snapshot.origin.run;
                    self.send(snapshot.to_text().into(), "run_state", run, -1, -1).await
                }
            };
            if socket == Socket::Gone {
                return Socket::Gone;
            }
        }
        Socket::Open
    }

    async fn send(
        &mut self,
        text: Utf8Bytes,
        kind: &str,
        run: &str,
        seq: i64,
        run_seq: i64,
    ) -> Socket {
        let socket = self.put(Message::Text(text)).await;
        if socket == Socket::Open {
            events::frame_sent(&self.connection, &self.user, kind, run, seq, run_seq);
        }
        socket
    }

    /// Into the socket, unless the client becomes overdue while it does not take the bytes.
    async fn put(&mut self, message: Message) -> Socket {
        match race(self.sink.send(message), self.queue.overdue().wait()).await {
            Either::First(Ok(())) => Socket::Open,
            Either::First(Err(_)) | Either::Second(()) => Socket::Gone,
        }
    }

    async fn close(mut self, close: Close) {
        let _ = self.life.to(State::Closing).await;
        let reason = Utf8Bytes::from_static(close.reason);
        let frame = CloseFrame { code: close.code.into(), reason };
        let sent = self.sink.send(Message::Close(Some(frame)));
        let sent = self.env.timeout(self.close_within, sent).await;
        let code = if matches!(sent, Ok(Ok(()))) { close.code } else { 0 };
        self.ended(code, close.reason);
    }

    /// tungstenite has the answer to the peer's close frame ready; flushing sends it.
    async fn answer_close(mut self, code: u16) {
        let _ = self.life.to(State::Closing).await;
        let _ = self.env.timeout(self.close_within, self.sink.flush()).await;
        self.ended(code, "peer");
    }

    fn ended(&self, code: u16, reason: &str) {
        events::conn_closed(&self.connection, &self.user, u64::from(code), reason);
    }
}
