//! Running a statement while its notices are sent as they come, as PostgreSQL sends them.
//! Must never run anything but through the runner.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;

use super::begin::Begun;
use super::connection::Connection;
use super::run::{Prepared, Runner};
use super::utility::Answer;
use crate::env::Env;
use crate::world::postgres::error::Result;
use crate::world::postgres::types::Datum;

/// Runs a statement; what it has to say while it waits is sent at once.
pub async fn execute<E: Env>(
    runner: &Runner<E>,
    connection: &mut Connection<E::Stream>,
    prepared: &Prepared,
    params: &[Datum],
    begun: Option<Begun>,
) -> Result<Answer> {
    let mut running = pin!(runner.execute(prepared, params, begun));
    loop {
        let notices = poll_fn(|cx| {
            if let Poll::Ready(outcome) = running.as_mut().poll(cx) {
                return Poll::Ready(Err(outcome));
            }
            let notices = runner.store.with(|inner| {
                let proc = inner.db.procs.get_mut(&runner.pid);
                proc.map(|proc| std::mem::take(&mut proc.notices)).unwrap_or_default()
            });
            if notices.is_empty() { Poll::Pending } else { Poll::Ready(Ok(notices)) }
        });
        match notices.await {
            Err(outcome) => return outcome,
            Ok(notices) => {
                for notice in notices {
                    connection.out.error(&notice);
                }
                // A peer that is gone is met again by whoever answers it.
                let _gone = connection.flush().await;
            }
        }
    }
}
