//! The reaper: declares dead what does not get on, and forgets what ended long ago. It sleeps
//! without a timer while there is nothing to watch. Must never condemn when it was late itself.

use std::time::Duration;

use super::super::events;
use super::finish::Ending;
use super::record::Record;
use super::state::State;
use super::tracker::Tracker;
use crate::env::Env;
use crate::sync::Mailbox;

#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub every: Duration,
    pub no_progress: Duration,
    pub purge_after: Duration,
}

pub async fn run<E: Env>(tracker: Tracker<E>, nudges: Mailbox<E, ()>, times: Times) {
    while nudges.recv().await.is_some() {
        nudges.clear().await;
        loop {
            let due = tracker.env.now() + times.every;
            tracker.env.sleep_until(due).await;
            let late = tracker.env.now() - due > times.every / 2;
            let records = tracker.all().await;
            if records.is_empty() {
                break;
            }
            for record in records {
                if !late {
                    condemn(&tracker, &record, times.no_progress).await;
                }
                purge(&tracker, &record, times.purge_after).await;
            }
        }
    }
}

async fn condemn<E: Env>(tracker: &Tracker<E>, record: &Record<E>, no_progress: Duration) {
    let works = matches!(record.state().await, State::Starting | State::Running);
    if works && record.is_stuck(no_progress).await {
        let ending = Ending::other(State::Dead, "the run does not get on");
        tracker.end(record, ending).await;
    }
}

async fn purge<E: Env>(tracker: &Tracker<E>, record: &Record<E>, after: Duration) {
    let now = tracker.env.now();
    let Some(before) = now.0.checked_sub(after) else { return };
    if record.ended_before(crate::env::Moment(before)).await {
        tracker.remove(&record.origin.run).await;
        events::run_purged(&record.origin.run);
    }
}
