//! Running a statement while what it says is sent as it comes, as PostgreSQL sends it.
//! Must never run anything but through the runner.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::begin::How;
use super::connection::Connection;
use super::frame::Out;
use super::run::{Prepared, Runner};
use super::utility::Answer;
use crate::env::Env;
use crate::world::postgres::error::Result;
use crate::world::postgres::sql::OutColumn;
use crate::world::postgres::storage::Said;
use crate::world::postgres::types::Datum;

/// How what is said is written.
#[derive(Default)]
pub struct Speech {
    columns: Option<Arc<[OutColumn]>>,
    /// The formats of the columns, in the extended protocol, where Describe tells the columns.
    formats: Option<Vec<i16>>,
}

impl Speech {
    pub fn of_portal(formats: Vec<i16>) -> Speech {
        Speech { columns: None, formats: Some(formats) }
    }

    pub fn write(&mut self, said: Said, out: &mut Out) {
        match said {
            Said::Notice(notice) => out.error(&notice),
            Said::Columns(columns) => {
                if self.formats.is_none() {
                    out.row_description(&columns, &[]);
                }
                self.columns = Some(columns);
            }
            Said::Row(row) => {
                let columns = self.columns.as_deref().unwrap_or_default();
                out.data_row(&row, columns, self.formats.as_deref().unwrap_or_default());
            }
        }
    }
}

/// Runs a statement; if it has a notice to give while it waits, what it said is sent at once.
pub async fn execute<E: Env>(
    runner: &Runner<E>,
    (connection, speech): (&mut Connection<E::Stream>, &mut Speech),
    prepared: &Prepared,
    params: &[Datum],
    how: How,
) -> Result<Answer> {
    let mut running = pin!(runner.execute(prepared, params, how));
    loop {
        let said = poll_fn(|cx| {
            if let Poll::Ready(outcome) = running.as_mut().poll(cx) {
                return Poll::Ready(Err(outcome));
            }
            let said = runner.store.with(|inner| {
                let proc = inner.db.procs.get_mut(&runner.pid)?;
                let urgent = proc.said.iter().any(|said| matches!(said, Said::Notice(_)));
                urgent.then(|| std::mem::take(&mut proc.said))
            });
            said.map_or(Poll::Pending, |said| Poll::Ready(Ok(said)))
        });
        match said.await {
            Err(outcome) => return outcome,
            Ok(said) => {
                for said in said {
                    speech.write(said, &mut connection.out);
                }
                // A peer that is gone is met again by whoever answers it.
                let _gone = connection.flush().await;
            }
        }
    }
}
