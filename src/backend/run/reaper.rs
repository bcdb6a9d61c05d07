//! The reaper: declares dead what does not get on, and forgets what ended long ago. It sleeps
//! without a timer while there is nothing to watch. Must never condemn when it was late itself.

use std::time::Duration;

use super::super::events;
use super::super::race::{Either, race};
use super::finish::Ending;
use super::record::Record;
use super::state::State;
use super::tracker::Tracker;
use crate::env::{Env, Moment};
use crate::sync::Mailbox;

#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub every: Duration,
    pub no_progress: Duration,
    pub purge_after: Duration,
}

pub async fn run<E: Env>(tracker: Tracker<E>, nudges: Mailbox<E, ()>, times: Times) {
    let mut last = tracker.env.now();
    while nudges.recv().await.is_some() {
        while let Some(due) = next(&tracker, &times, last).await {
            // A nudge may mean a run to watch while the alarm is set for a purge.
            let first = race(tracker.env.sleep_until(due), nudges.recv()).await;
            if matches!(first, Either::First(())) {
                round(&tracker, &times, due).await;
                last = tracker.env.now();
            }
        }
    }
}

/// When there is something to do: at the next round while a run lives, else when the first record
/// is to be forgotten, and never if there is none.
async fn next<E: Env>(tracker: &Tracker<E>, times: &Times, last: Moment) -> Option<Moment> {
    let round = tracker.env.now().max(last + times.every);
    let mut due = None;
    for record in tracker.all().await {
        let at = record.ended_at().await.map_or(round, |ended| ended + times.purge_after);
        due = Some(due.map_or(at, |due: Moment| due.min(at)));
    }
    due
}

async fn round<E: Env>(tracker: &Tracker<E>, times: &Times, due: Moment) {
    let late = tracker.env.now() - due > times.every / 2;
    for record in tracker.all().await {
        if !late {
            condemn(tracker, record.clone(), times.no_progress).await;
        }
        purge(tracker, &record, times.purge_after).await;
    }
}

/// The end is written by a task of its own: a store that is away holds up no other verdict.
async fn condemn<E: Env>(tracker: &Tracker<E>, record: Record<E>, no_progress: Duration) {
    let works = matches!(record.state().await, State::Starting | State::Running);
    if works && record.is_stuck(no_progress).await {
        let ending = Ending::other(State::Dead, "the run does not get on");
        let end = tracker.clone();
        tracker.env.spawn("burial", async move {
            end.end(&record, ending).await;
        });
    }
}

async fn purge<E: Env>(tracker: &Tracker<E>, record: &Record<E>, after: Duration) {
    let ended = record.ended_at().await;
    if ended.is_some_and(|ended| ended + after <= tracker.env.now()) {
        tracker.remove(&record.origin.run).await;
        events::run_purged(&record.origin.run);
    }
}
