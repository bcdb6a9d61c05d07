//! Waiting: for a lock, for time to pass; bounded by time-outs, ended by cancels and deadlocks.
//! Must never hold the cluster's mutex while it waits.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::run::Runner;
use crate::env::{Env, Moment};
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::storage::locks::Pid;
use crate::world::postgres::store::{Store, gone};

/// What ends a wait next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Bell {
    Deadlock,
    LockTimeout,
    StatementTimeout,
    Awake,
}

fn millis(ms: u64) -> Option<Duration> {
    (ms > 0).then(|| Duration::from_millis(ms))
}

/// Waits until what the session asked for is there.
pub async fn wait<E: Env>(env: &E, store: &Store, pid: Pid) -> Result<()> {
    let now = env.now();
    let mut bells = store.with(|inner| {
        let proc = inner.db.procs.get(&pid).ok_or_else(gone)?;
        let mut bells: Vec<(Moment, Bell)> = Vec::new();
        bells.extend(proc.ends.map(|at| (at, Bell::StatementTimeout)));
        if let Some(until) = proc.sleep_until {
            bells.push((until, Bell::Awake));
        } else {
            let deadlock = proc.timeout_ms("deadlock_timeout");
            bells.push((now + Duration::from_millis(deadlock), Bell::Deadlock));
            let lock = millis(proc.timeout_ms("lock_timeout"));
            bells.extend(lock.map(|limit| (now + limit, Bell::LockTimeout)));
        }
        Ok(bells)
    })?;
    bells.sort_unstable();
    let mut bells = bells.into_iter();
    loop {
        let next = bells.next();
        match until(env, store, pid, next).await? {
            None => return Ok(()),
            Some(bell) => ring(store, pid, bell)?,
        }
        if next.is_some_and(|(_, bell)| bell == Bell::Awake) {
            return Ok(());
        }
    }
}

/// Waits for the lock or for the bell, whichever comes first.
async fn until<E: Env>(
    env: &E,
    store: &Store,
    pid: Pid,
    bell: Option<(Moment, Bell)>,
) -> Result<Option<Bell>> {
    let asleep = bell.is_some_and(|(_, bell)| bell == Bell::Awake);
    let done = |cx: &mut std::task::Context<'_>| {
        store.with(|inner| {
            let waiting = inner.db.locks.waiting.contains_key(&pid);
            let Some(proc) = inner.db.procs.get_mut(&pid) else { return Some(Err(gone())) };
            if let Some(interrupt) = proc.interrupt.take() {
                return Some(Err(interrupt));
            }
            if !waiting && proc.sleep_until.is_none() && !asleep {
                return Some(Ok(()));
            }
            proc.park(cx.waker());
            None
        })
    };
    let outcome = match bell {
        None => {
            poll_fn(|cx| done(cx).map_or(Poll::Pending, |end| Poll::Ready(end.map(|()| None))))
                .await
        }
        Some((at, bell)) => {
            let mut sleep = pin!(env.sleep_until(at));
            poll_fn(|cx| {
                if let Some(end) = done(cx) {
                    return Poll::Ready(end.map(|()| None));
                }
                sleep.as_mut().poll(cx).map(|()| Ok(Some(bell)))
            })
            .await
        }
    };
    if outcome.is_err() {
        store.with(|inner| inner.db.give_up(pid));
    }
    outcome
}

fn ring(store: &Store, pid: Pid, bell: Bell) -> Result<()> {
    store.with(|inner| {
        let rung = match bell {
            Bell::Deadlock => inner.db.check_deadlock(pid),
            Bell::LockTimeout => {
                Err(PgError::new("55P03", "canceling statement due to lock timeout"))
            }
            Bell::StatementTimeout => Err(timed_out()),
            Bell::Awake => Ok(()),
        };
        if rung.is_err() {
            inner.db.give_up(pid);
        }
        rung
    })
}

pub fn timed_out() -> PgError {
    PgError::new("57014", "canceling statement due to statement timeout")
}

/// `statement_timeout` (PostgreSQL 15, chapter 20.11.1): from the first message of a command, or
/// from a statement of a simple query, to its end.
impl<E: Env> Runner<E> {
    /// The time of a command begins, unless it has begun.
    pub fn start_clock(&self) {
        let now = self.env.now();
        self.store.with(|inner| {
            if let Some(proc) = inner.db.procs.get_mut(&self.pid) {
                let limit = millis(proc.parameters.asked().command_ms);
                proc.ends = limit.map(|limit| proc.ends.unwrap_or(now + limit));
            }
        });
    }

    /// When a client that says no more has been silent for too long, and what comes of it. `idle`:
    /// since when it may begin a command; none within one.
    pub fn silence(&self, idle: Option<Moment>) -> Option<(Moment, PgError)> {
        self.store.with(|inner| {
            let proc = inner.db.procs.get(&self.pid)?;
            let Some(idle) = idle else { return proc.ends.map(|ends| (ends, timed_out())) };
            let asked = proc.parameters.asked();
            let (limit, code, place) = match proc.txn {
                Some(_) => (asked.idle_ms, "25P03", "idle-in-transaction"),
                None => (asked.idle_session_ms, "57P05", "idle-session"),
            };
            let message = || format!("terminating connection due to {place} timeout");
            millis(limit).map(|limit| (idle + limit, PgError::fatal(code, message())))
        })
    }

    /// A command is through. What a commit waits for is no part of it.
    pub fn stop_clock(&self) {
        self.store.with(|inner| {
            if let Some(proc) = inner.db.procs.get_mut(&self.pid) {
                proc.ends = None;
            }
        });
    }
}
