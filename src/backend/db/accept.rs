//! TX1: a command becomes a run. Thread get-or-create, idempotency row, the thread's one active
//! run, user message and run, all or nothing. Must never run outside one transaction.

use futures_util::future::try_join;

use super::error::{Class, TransactionError};
use super::transaction::{Decide, Tx, Work, params};
use super::{nodes, sql};
use crate::env::Env;

/// The thread that a command names: by its id, or by a key that the user chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ThreadName {
    Id(String),
    Key(String),
}

/// TX1's parameters. The ids are drawn before, so that a second try is the same run.
#[derive(Clone, Debug)]
pub struct Accept {
    pub tenant: String,
    pub user: String,
    pub thread: ThreadName,
    pub new_thread: String,
    pub new_epoch: String,
    pub run: String,
    pub message: String,
    pub text: String,
    pub agent: String,
    pub node: String,
    pub life: i64,
    pub method: String,
    pub idem: String,
    pub params_hash: String,
    pub now_ms: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    New {
        thread: String,
    },
    /// The key was used before, with the same parameters.
    Again {
        run: String,
        thread: String,
    },
    /// The key was used before, with others.
    OtherParams,
    /// Another run works in the thread.
    Busy,
    NoThread,
}

impl<E: Env> Work<E> for Accept {
    type Out = Accepted;

    fn name(&self) -> &'static str {
        "tx1.commit"
    }

    async fn run(&self, tx: &Tx<E>) -> Result<Decide<Accepted>, TransactionError> {
        let check = nodes::check(tx, &self.node, self.life);
        let ((), thread) = try_join(check, self.thread(tx)).await?;
        let Some(thread) = thread else {
            return Ok(Decide::Rollback(Accepted::NoThread));
        };
        if !self.claim(tx, &thread).await? {
            return Ok(Decide::Rollback(self.earlier(tx).await?));
        }
        let params = params![&self.tenant, &thread, &self.run, 1];
        let activate = tx.execute("stream.activate", sql::STREAM_ACTIVATE, params);
        let (activated, ()) = try_join(activate, self.write(tx, &thread)).await?;
        if activated == 0 {
            return Ok(Decide::Rollback(Accepted::Busy));
        }
        Ok(Decide::Commit(Accepted::New { thread }))
    }
}

impl Accept {
    async fn thread<E: Env>(&self, tx: &Tx<E>) -> Result<Option<String>, TransactionError> {
        let key = match &self.thread {
            ThreadName::Key(key) => key,
            ThreadName::Id(id) => {
                let params = params![&self.tenant, &self.user, id];
                let rows = tx.query("thread.of_user", sql::THREAD_OF_USER, params).await?;
                return Ok(rows.first().map(|row| row.get(0)));
            }
        };
        let params = params![&self.tenant, &self.new_thread, &self.user, key, self.now_ms];
        let made = tx.query("thread.create", sql::THREAD_CREATE, params).await?;
        if let Some(row) = made.first() {
            let params = params![&self.tenant, &self.new_thread, &self.user, &self.new_epoch];
            tx.execute("stream.create", sql::STREAM_CREATE, params).await?;
            return Ok(Some(row.get(0)));
        }
        let params = params![&self.tenant, &self.user, key];
        let rows = tx.query("thread.by_key", sql::THREAD_BY_KEY, params).await?;
        Ok(rows.first().map(|row| row.get(0)))
    }

    /// Whether the key is ours. Waits for a transaction that is about to use it.
    async fn claim<E: Env>(&self, tx: &Tx<E>, thread: &str) -> Result<bool, TransactionError> {
        let params = params![
            &self.tenant,
            &self.user,
            &self.method,
            &self.idem,
            &self.params_hash,
            &self.run,
            thread,
            self.now_ms,
        ];
        Ok(!tx.query("idem.claim", sql::IDEM_CLAIM, params).await?.is_empty())
    }

    async fn earlier<E: Env>(&self, tx: &Tx<E>) -> Result<Accepted, TransactionError> {
        let params = params![&self.tenant, &self.user, &self.method, &self.idem];
        let rows = tx.query("idem.get", sql::IDEM_GET, params).await?;
        let Some(row) = rows.first() else {
            // Removed between the two statements; a fresh transaction claims it.
            return Err(TransactionError::new("idem.get", Class::Serialization, "key vanished"));
        };
        let (hash, run, thread): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        let same = hash == self.params_hash;
        Ok(if same { Accepted::Again { run, thread } } else { Accepted::OtherParams })
    }

    async fn write<E: Env>(&self, tx: &Tx<E>, thread: &str) -> Result<(), TransactionError> {
        let params = params![
            &self.tenant,
            &self.message,
            thread,
            &self.run,
            &self.user,
            "user",
            &self.text,
            self.now_ms,
        ];
        let message = tx.execute("message.create", sql::MESSAGE_CREATE, params);
        let params = params![
            &self.tenant,
            thread,
            &self.run,
            &self.user,
            &self.node,
            &self.agent,
            "pending",
            1,
            self.now_ms,
        ];
        let run = tx.execute("run.create", sql::RUN_CREATE, params);
        try_join(message, run).await.map(|_| ())
    }
}
