//! The execution tracker: the runs of this process, and the one way to end one.
//! Must never end a run but by winning its transition.

use std::collections::BTreeMap;

use super::super::config::Config;
use super::super::context::UserExecutionContext;
use super::super::db::{Pool, TransactionError};
use super::super::plants::{Plant, Plants};
use super::super::ws::protocol::Snapshot;
use super::super::ws::registry::Registry;
use super::append::Log;
use super::finish::{Ending, Guards};
use super::reaper;
use super::record::Record;
use super::slots::Slots;
use super::state::State;
use crate::env::Env;
use crate::sync::{Mailbox, Shared};

/// Clones are the same tracker.
#[derive(Clone)]
pub struct Tracker<E: Env> {
    pub env: E,
    pub log: Log<E>,
    pub slots: Slots<E>,
    pub plants: Plants,
    /// Planted H26 only: the supervisor that all runs share, with the context it saw last.
    pub supervisor: Shared<E, Option<UserExecutionContext>>,
    /// Of this node; runs are accepted in it alone.
    pub life: i64,
    node: String,
    records: Shared<E, BTreeMap<String, Record<E>>>,
    /// Wakes the reaper when there is something to watch.
    nudges: Mailbox<E, ()>,
    reaping: reaper::Times,
}

impl<E: Env> Tracker<E> {
    pub fn new(
        env: &E,
        config: &Config,
        pool: Pool<E>,
        registry: Registry<E>,
        life: i64,
    ) -> Tracker<E> {
        let times = &config.times;
        Tracker {
            env: env.clone(),
            log: Log { env: env.clone(), pool, registry },
            slots: Slots::new(env, &config.limits),
            plants: config.plants,
            supervisor: Shared::new(env, "supervisor", None),
            node: config.node.clone(),
            life,
            records: Shared::new(env, "runs", BTreeMap::new()),
            nudges: Mailbox::new(env, "reaper", usize::MAX),
            reaping: reaper::Times {
                every: times.reaper_every,
                no_progress: times.no_progress,
                purge_after: times.purge_after,
            },
        }
    }

    /// Ends what the last life of this node left.
    pub async fn recover(&self) -> Result<(), TransactionError> {
        self.log.bury(&self.node).await
    }

    pub fn start_reaper(&self) {
        let (tracker, nudges) = (self.clone(), self.nudges.clone());
        self.env.spawn("reaper", reaper::run(tracker, nudges, self.reaping));
    }

    pub async fn insert(&self, record: Record<E>) {
        let run = record.origin.run.clone();
        self.records.with(|records| records.insert(run, record)).await;
        let _ = self.nudges.push((), 0).await;
    }

    pub async fn get(&self, run: &str) -> Option<Record<E>> {
        self.records.with(|records| records.get(run).cloned()).await
    }

    pub async fn all(&self) -> Vec<Record<E>> {
        self.records.with(|records| records.values().cloned().collect()).await
    }

    pub async fn remove(&self, run: &str) {
        self.records.with(|records| records.remove(run)).await;
    }

    /// Runs that have not ended.
    pub async fn live(&self) -> usize {
        let mut live = 0;
        for record in self.all().await {
            live += usize::from(record.ended_at().await.is_none());
        }
        live
    }

    /// Brings the run to its terminal state, unless somebody else has; then writes and tells it.
    /// Whether this call won.
    pub async fn end(&self, record: &Record<E>, ending: Ending) -> bool {
        if self.plants.has(Plant::H22) && ending.state == State::Completed {
            self.end_twice(record, ending).await;
            return true;
        }
        let won = if ending.state == State::Completed {
            record.to(State::Completing).await && record.to(State::Completed).await
        } else {
            record.to(ending.state).await
        };
        // Planted H24: the completion does not ask whether the run was ended meanwhile.
        let ignores = self.plants.has(Plant::H24) && ending.state == State::Completed;
        if !won && !ignores {
            return false;
        }
        if ending.state != State::Completed {
            record.stop.set().await;
        }
        let commit_first = !self.plants.has(Plant::H34);
        let guards = Guards { fenced: !ignores, commit_first };
        self.log.finish(record, ending, guards, &self.node).await;
        true
    }

    /// Planted H22: the agent and a bridge both tell the end; each asks first, then acts.
    async fn end_twice(&self, record: &Record<E>, ending: Ending) {
        let (bridge, other, same) = (self.clone(), record.clone(), ending.clone());
        self.env.spawn("bridge", async move { bridge.end_if_not_ended(&other, same).await });
        self.end_if_not_ended(record, ending).await;
    }

    async fn end_if_not_ended(&self, record: &Record<E>, ending: Ending) {
        if record.state().await.is_terminal() {
            return;
        }
        record.to(State::Completing).await;
        record.to(State::Completed).await;
        let guards = Guards { fenced: false, commit_first: true };
        self.log.finish(record, ending, guards, &self.node).await;
    }

    pub async fn snapshot(&self, run: &str) -> Option<Snapshot> {
        self.get(run).await?.snapshot().await
    }
}
