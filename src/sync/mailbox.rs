//! The mailbox's async face. Must never make a producer wait: who is slow is the receiver.

use std::collections::VecDeque;
use std::sync::Arc;

use super::cores::mailbox::{self, Received, Rejected};
use crate::env::Env;

/// A queue bounded in bytes, from many to one. Clones share it.
pub struct Mailbox<E, T> {
    env: E,
    name: &'static str,
    core: Arc<mailbox::Mailbox<T>>,
}

impl<E: Clone, T> Clone for Mailbox<E, T> {
    fn clone(&self) -> Self {
        Mailbox { env: self.env.clone(), name: self.name, core: Arc::clone(&self.core) }
    }
}

impl<E: Env, T: Send> Mailbox<E, T> {
    /// `name` says whose it is, for traces (`outgoing`).
    pub fn new(env: &E, name: &'static str, bytes_max: usize) -> Mailbox<E, T> {
        Mailbox { env: env.clone(), name, core: Arc::new(mailbox::Mailbox::new(bytes_max)) }
    }

    /// Queues an item that counts for `bytes`.
    pub async fn push(&self, item: T, bytes: usize) -> Result<(), Rejected<T>> {
        self.env.point(self.name).await;
        self.core.push(item, bytes)
    }

    /// Lets `f` edit the queue, each item with its bytes, front first: to coalesce and push in one
    /// step. What it leaves beyond the bound is cut off at the back, which is `Full`; on a closed
    /// mailbox it does not run.
    pub async fn push_with<R>(
        &self,
        f: impl FnOnce(&mut VecDeque<(T, usize)>) -> R,
    ) -> Result<R, Rejected<()>> {
        self.env.point(self.name).await;
        self.core.push_with(f)
    }

    /// The next item, or `None` once the mailbox is closed and drained.
    pub async fn recv(&self) -> Option<T> {
        self.env.point(self.name).await;
        loop {
            let more = match self.core.receive() {
                Received::Item(item) => return Some(item),
                Received::End => return None,
                Received::Waits(more) => more,
            };
            more.await;
        }
    }

    pub async fn try_recv(&self) -> Option<T> {
        self.env.point(self.name).await;
        self.core.try_receive()
    }

    /// Accepts nothing more; what was accepted can still be received.
    pub async fn close(&self) {
        self.env.point(self.name).await;
        self.core.close();
    }

    /// Drops every item.
    pub async fn clear(&self) {
        self.env.point(self.name).await;
        drop(self.core.clear());
    }

    /// Bytes queued.
    pub async fn used(&self) -> usize {
        self.env.point(self.name).await;
        self.core.used()
    }

    /// [`Mailbox::close`] without a scheduling point: for `Drop` alone.
    pub fn close_in_drop(&self) {
        self.core.close();
    }
}
