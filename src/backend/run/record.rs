//! A run as this process knows it: its state, what it has told so far, when it last got on.
//! Must never change state but by an edge of the table, under the attempt that is current.

use std::sync::Arc;
use std::time::Duration;

use super::super::events;
use super::super::ws::protocol::{Origin, Snapshot};
use super::state::State;
use crate::env::{Env, Moment};
use crate::sync::{Latch, Shared, StateCell};

/// Clones are the same record.
#[derive(Clone)]
pub struct Record<E: Env> {
    pub env: E,
    pub origin: Arc<Origin>,
    pub deadline: Moment,
    cell: StateCell<E>,
    /// The run has ended by another's hand: its task must stop.
    pub stop: Latch<E>,
    live: Shared<E, Live>,
}

struct Live {
    epoch: String,
    /// The text told so far, and the number of its next piece.
    text: String,
    next_delta_seq: i64,
    /// The last event of the log that was told.
    last_seq: i64,
    /// When it last got on; until `patience` it waits for a call that has its own bound.
    progress: Moment,
    patience: Moment,
    ended: Option<Moment>,
}

impl<E: Env> Record<E> {
    pub fn new(env: &E, origin: Arc<Origin>, deadline: Moment) -> Record<E> {
        let now = env.now();
        let live = Live {
            epoch: String::new(),
            text: String::new(),
            next_delta_seq: 1,
            last_seq: 0,
            progress: now,
            patience: now,
            ended: None,
        };
        Record {
            env: env.clone(),
            origin,
            deadline,
            cell: StateCell::new(env, "run.state", State::Pending as u8),
            stop: Latch::new(env),
            live: Shared::new(env, "run", live),
        }
    }

    pub async fn state(&self) -> State {
        State::of(self.cell.load().await.0)
    }

    /// Whether this call, and no other, brought the run to `to`.
    pub async fn to(&self, to: State) -> bool {
        let mut seen = self.cell.load().await;
        loop {
            let (from, attempt) = (State::of(seen.0), seen.1);
            if attempt != self.origin.attempt || !from.edges().contains(&to) {
                return false;
            }
            match self.cell.compare_set(seen, to as u8).await {
                Ok(()) => {
                    let run = &self.origin.run;
                    events::run_state(run, u64::from(attempt), from.name(), to.name());
                    return true;
                }
                Err(now) => seen = now,
            }
        }
    }

    /// The run got on, and waits for no call any more.
    pub async fn progressed(&self) {
        self.waits(Duration::ZERO).await;
    }

    /// The run waits for a call that ends within `bound`.
    pub async fn waits(&self, bound: Duration) {
        let now = self.env.now();
        self.live.with(|live| (live.progress, live.patience) = (now, now + bound)).await;
    }

    /// Whether it has not got on for `limit`, nor waits for a call.
    pub async fn is_stuck(&self, limit: Duration) -> bool {
        let now = self.env.now();
        self.live.with(|live| now > live.progress + limit && now > live.patience).await
    }

    /// A piece of the text: its number and the event it follows.
    pub async fn tell_text(&self, text: &str) -> (i64, i64, String) {
        let now = self.env.now();
        self.live
            .with(|live| {
                live.text.push_str(text);
                live.progress = now;
                live.next_delta_seq += 1;
                (live.next_delta_seq - 1, live.last_seq, live.epoch.clone())
            })
            .await
    }

    pub async fn text(&self) -> String {
        self.live.with(|live| live.text.clone()).await
    }

    /// An event of the log is about to be told. Whether it is the first time.
    pub async fn tell_event(&self, seq: i64, epoch: &str) -> bool {
        let now = self.env.now();
        self.live
            .with(|live| {
                live.progress = now;
                epoch.clone_into(&mut live.epoch);
                let new = seq > live.last_seq;
                live.last_seq = live.last_seq.max(seq);
                new
            })
            .await
    }

    /// Where it is, if it has told any text. That it has ended is for the log to say.
    pub async fn snapshot(&self) -> Option<Snapshot> {
        let state = self.state().await;
        let state = if state.is_terminal() { State::Completing.name() } else { state.name() };
        let origin = self.origin.clone();
        self.live
            .with(|live| {
                let (epoch, text) = (live.epoch.clone(), live.text.clone());
                let next_delta_seq = live.next_delta_seq;
                let snapshot = Snapshot { origin, epoch, state, text, next_delta_seq };
                Some(snapshot).filter(|snapshot| snapshot.next_delta_seq > 1)
            })
            .await
    }

    pub async fn ended(&self) {
        let now = self.env.now();
        self.live.with(|live| live.ended = Some(now)).await;
    }

    /// When its end had been written and told.
    pub async fn ended_at(&self) -> Option<Moment> {
        self.live.with(|live| live.ended).await
    }
}
