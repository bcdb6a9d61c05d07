//! What the tabs of one user share, and what script and tabs tell each other.
//! Must never be shared by two users.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::dial::Account;
use super::wire::Command;
use crate::env::Env;
use crate::plan::Reconnect;
use crate::sync::{Mailbox, Shared};

/// Script to tab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    Send(Command),
    /// The connection breaks without a goodbye, and the server hears of it only after this: a
    /// network that changes leaves the old connection half open.
    Drop {
        heard_after: Duration,
    },
    /// The tab closes for good.
    Leave,
}

/// Tab to script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// `connect` was answered.
    Ready { tab: i64 },
    /// An event that the script awaits somewhere arrived. Whose run it is may become known later,
    /// when the answer takes longer on its tab than the event on this one.
    Event { tab: i64, kind: String, run: String },
    /// The command made this run.
    Run { idem: String, run: String },
    /// The command was refused for good.
    Refused { idem: String, code: String },
    /// The tab is closed for good.
    Gone { tab: i64, why: String, memory: Memory },
}

/// What a tab remembers when it is opened again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Epoch and last `seq` by stream.
    pub positions: BTreeMap<String, (String, i64)>,
    /// Command ids given so far.
    pub ids: u64,
}

/// What the tabs know together.
#[derive(Clone, Debug, Default)]
pub struct Session {
    pub token: Option<String>,
    /// The command that started a run.
    pub idem_of: BTreeMap<String, String>,
    /// How runs ended, as far as any tab knows.
    pub ended: BTreeMap<String, String>,
}

/// Items that wait in one mailbox at most; they count for one byte each.
pub const BACKLOG: usize = 1 << 16;

/// One user's desk: what every tab gets a clone of.
#[derive(Clone)]
pub struct Desk<E> {
    pub env: E,
    pub account: Arc<Account>,
    pub reconnect: Reconnect,
    pub session: Shared<E, Session>,
    pub news: Mailbox<E, News>,
    /// Types of events that the script awaits; others are not told to it.
    pub awaited: Arc<BTreeSet<String>>,
}

impl<E: Env> Desk<E> {
    pub fn new(env: &E, account: Account, reconnect: Reconnect, awaited: BTreeSet<String>) -> Self {
        Desk {
            env: env.clone(),
            account: Arc::new(account),
            reconnect,
            session: Shared::new(env, "session", Session::default()),
            news: Mailbox::new(env, "news", BACKLOG),
            awaited: Arc::new(awaited),
        }
    }

    pub fn user(&self) -> &str {
        &self.account.user
    }

    /// Nobody listens any more once the script is over: then news is lost, as it should be.
    pub async fn tell(&self, news: News) {
        let _unheard = self.news.push(news, 1).await;
    }
}
