//! The queue of one connection's writer: bounded in bytes. When it is full, deltas are joined
//! first; then the client is too slow and the connection ends with 4102.
//! Must never make a producer wait: a slow client delays nobody else.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::events;
use super::close::{self, Close};
use super::protocol::{Delta, Event, Snapshot};
use crate::env::Env;
use crate::sync::{Latch, Mailbox, Rejected};

/// A stream's history, to be told before its live events.
#[derive(Clone, Debug)]
pub struct Attach {
    pub thread: String,
    /// The client knows everything up to here.
    pub after: i64,
    /// The last event of `replay`, or `after`.
    pub through: i64,
    pub replay: Vec<Arc<Event>>,
    pub snapshot: Option<Snapshot>,
}

/// What the writer is told.
#[derive(Clone, Debug)]
pub enum Out {
    /// Whose connection it is, once that is known.
    Whose(String),
    /// A frame that belongs to no stream.
    Frame {
        kind: &'static str,
        text: String,
    },
    Event(Arc<Event>),
    Delta(Delta),
    Attach(Attach),
    Detach(String),
    /// Every stream is attached.
    Complete,
    /// A ping of the WebSocket protocol.
    Ping,
    Close(Close),
    /// The peer closed with this code; 0 when it went away without a word.
    PeerClosed(u16),
}

impl Out {
    /// What it counts for in the queue: about its length on the wire.
    fn bytes(&self) -> usize {
        const ENVELOPE: usize = 400;
        match self {
            Out::Frame { text, .. } => text.len(),
            Out::Event(event) => ENVELOPE + event.data_bytes,
            Out::Delta(delta) => ENVELOPE + delta.text.len(),
            Out::Attach(attach) => ENVELOPE * (1 + attach.replay.len()),
            _ => 0,
        }
    }
}

#[derive(Clone)]
pub struct Queue<E: Env> {
    connection: String,
    mailbox: Mailbox<E, Out>,
    /// Set when the connection has to end: the reader takes up no command after it.
    ending: Latch<E>,
    /// Set when the writer must not wait for the client any longer.
    overdue: Latch<E>,
}

impl<E: Env> Queue<E> {
    pub fn new(env: &E, connection: &str, bytes_max: usize) -> Queue<E> {
        let mailbox = Mailbox::new(env, "outgoing", bytes_max);
        let (ending, overdue) = (Latch::new(env), Latch::new(env));
        Queue { connection: connection.to_owned(), mailbox, ending, overdue }
    }

    /// Queues `out`; on a connection that has ended it is dropped.
    pub async fn push(&self, out: Out) {
        let bytes = out.bytes();
        let Err(Rejected::Full(out)) = self.mailbox.push(out, bytes).await else { return };
        let joined = self.mailbox.push_with(|items| join_and_push(items, out, bytes)).await;
        if joined.is_err() {
            events::frame_dropped(&self.connection, "", "*", "slow consumer");
            self.end_now(close::SLOW).await;
        }
    }

    /// Ends the connection after what is queued.
    pub async fn close(&self, close: Close) {
        self.ending.set().await;
        self.push(Out::Close(close)).await;
        self.mailbox.close().await;
    }

    /// Ends the connection before what is queued.
    pub async fn end_now(&self, close: Close) {
        self.ending.set().await;
        let replaced = self.mailbox.push_with(|items| {
            items.clear();
            items.push_back((Out::Close(close), 0));
        });
        let _ = replaced.await;
        self.mailbox.close().await;
        self.overdue.set().await;
    }

    /// The peer ended it: what is queued has no reader.
    pub async fn peer_closed(&self, code: u16) {
        self.ending.set().await;
        let replaced = self.mailbox.push_with(|items| {
            items.clear();
            items.push_back((Out::PeerClosed(code), 0));
        });
        let _ = replaced.await;
        self.mailbox.close().await;
        self.overdue.set().await;
    }

    pub async fn recv(&self) -> Option<Out> {
        self.mailbox.recv().await
    }

    pub fn ending(&self) -> &Latch<E> {
        &self.ending
    }

    pub fn overdue(&self) -> &Latch<E> {
        &self.overdue
    }
}

/// Joins neighbouring deltas of a run, then queues `out`; an excess is cut by the mailbox.
fn join_and_push(items: &mut VecDeque<(Out, usize)>, out: Out, bytes: usize) {
    let mut joined: VecDeque<(Out, usize)> = VecDeque::with_capacity(items.len());
    for (item, bytes) in items.drain(..).chain([(out, bytes)]) {
        let merged = match (joined.back_mut(), &item) {
            (Some((Out::Delta(last), size)), Out::Delta(next)) => join(last, next, size),
            _ => false,
        };
        if !merged {
            joined.push_back((item, bytes));
        }
    }
    *items = joined;
}

fn join(last: &mut Delta, next: &Delta, size: &mut usize) -> bool {
    let follows = last.origin.run == next.origin.run
        && last.after_seq == next.after_seq
        && last.delta_seq + last.pieces == next.delta_seq;
    if follows {
        last.text.push_str(&next.text);
        last.pieces += next.pieces;
        *size += next.text.len();
    }
    follows
}
