//! One tab: a connection, and another one when it ends, as the policy says; it keeps its place in
//! the streams and its unanswered commands in between. Must never give up before the policy does.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio_tungstenite::WebSocketStream;

use super::super::events;
use super::desk::{BACKLOG, Desk, Memory, News, Order};
use super::dial::{self, Refusal};
use super::policy::{BackOff, Ending, Next, next};
use super::wire::{Command, Position};
use crate::env::{Env, Moment};
use crate::plan::Reconnect;
use crate::sync::Mailbox;

/// A command without a reply.
#[derive(Clone, Debug)]
pub struct Asked {
    pub command: Command,
    /// The id under which it went into the present connection.
    pub sent_as: Option<String>,
    /// The server asked not to be asked again before this.
    pub not_before: Moment,
}

pub struct Tab<E> {
    pub desk: Desk<E>,
    pub number: i64,
    pub orders: Mailbox<E, Order>,
    pub unanswered: Vec<Asked>,
    pub memory: Memory,
    /// What this tab knows of [`super::desk::Session::idem_of`].
    pub idem_of: BTreeMap<String, String>,
    pub back_off: BackOff,
}

impl<E: Env> Tab<E> {
    pub fn new(desk: &Desk<E>, number: i64, memory: Memory) -> Tab<E> {
        Tab {
            desk: desk.clone(),
            number,
            orders: Mailbox::new(&desk.env, "orders", BACKLOG),
            unanswered: Vec::new(),
            memory,
            idem_of: BTreeMap::new(),
            back_off: BackOff::default(),
        }
    }

    /// Lives until it is told to leave or the policy says stop.
    pub async fn run(mut self) {
        let why = self.live().await;
        let Tab { desk, number: tab, memory, .. } = self;
        desk.tell(News::Gone { tab, why, memory }).await;
    }

    async fn live(&mut self) -> String {
        loop {
            let ending = match self.dial().await {
                Ok(socket) => self.talk(socket).await,
                Err(ending) => ending,
            };
            let next = match self.desk.reconnect {
                Reconnect::No => Next::Stop,
                Reconnect::Fresh | Reconnect::Resume => next(ending),
            };
            let pause = match next {
                Next::Stop => return format!("{ending:?}"),
                Next::AtOnce => Duration::ZERO,
                Next::Later(least) => self.back_off.delay(&self.desk.env).max(least),
                Next::LogIn => {
                    self.desk.session.with(|session| session.token = None).await;
                    self.back_off.delay(&self.desk.env)
                }
            };
            if self.desk.reconnect == Reconnect::Fresh {
                self.memory.positions.clear();
            }
            let sleep = self.desk.env.sleep(pause);
            if self.unless_left(sleep).await.is_none() {
                return format!("{:?}", Ending::Left);
            }
        }
    }

    async fn dial(&mut self) -> Result<WebSocketStream<E::Stream>, Ending> {
        let desk = self.desk.clone();
        let tab = self.number.cast_unsigned();
        events::connecting(desk.user(), tab);
        let opened = self.unless_left(dial::upgrade(&desk.env, &desk.account)).await;
        let refusal = match opened {
            Some(Ok(socket)) => {
                events::connected(desk.user(), tab);
                return Ok(socket);
            }
            Some(Err(refusal)) => refusal,
            None => Refusal { ending: Ending::Left, error: "called off".to_owned() },
        };
        self.refused(&refusal);
        Err(refusal.ending)
    }

    pub fn refused(&self, refusal: &Refusal) {
        let status = match refusal.ending {
            Ending::Refused(status, _) => u64::from(status),
            _ => 0,
        };
        let tab = self.number.cast_unsigned();
        events::refused(self.desk.user(), tab, status, &refusal.error);
    }

    /// The output of `future`, or `None` when the script wants the tab closed first. Commands
    /// that come meanwhile are kept.
    pub async fn unless_left<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let orders = self.orders.clone();
        let mut order = Box::pin(orders.recv());
        loop {
            let ordered = poll_fn(|cx| {
                if let Poll::Ready(out) = future.as_mut().poll(cx) {
                    return Poll::Ready(Ok(out));
                }
                order.as_mut().poll(cx).map(Err)
            });
            match ordered.await {
                Ok(out) => return Some(out),
                Err(None | Some(Order::Leave)) => return None,
                Err(Some(Order::Send(command))) => self.keep(command),
                Err(Some(Order::Drop { .. })) => {}
            }
            order = Box::pin(orders.recv());
        }
    }

    pub fn keep(&mut self, command: Command) {
        let not_before = Moment::default();
        self.unanswered.push(Asked { command, sent_as: None, not_before });
    }

    pub fn positions(&self) -> Vec<Position> {
        let position = |(stream, (epoch, seq)): (&String, &(String, i64))| Position {
            stream: stream.clone(),
            epoch: epoch.clone(),
            seq: *seq,
        };
        self.memory.positions.iter().map(position).collect()
    }
}
