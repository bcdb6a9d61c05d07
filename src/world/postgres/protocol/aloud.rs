//! Running a statement while what it says is sent as it comes, as PostgreSQL sends it.
//! Must never run anything but through the runner.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use super::connection::Connection;
use super::frame::Out;
use super::run::Runner;
use super::utility::Answer;
use crate::env::Env;
use crate::world::postgres::error::Result;
use crate::world::postgres::sql::OutColumn;
use crate::world::postgres::storage::{Part, Said};

/// How what is said is written.
#[derive(Default)]
pub struct Speech {
    columns: Option<Arc<[OutColumn]>>,
    /// The formats of the columns, in the extended protocol, where Describe tells the columns.
    formats: Option<Vec<i16>>,
}

impl Speech {
    pub fn of_portal(columns: Option<Arc<[OutColumn]>>, formats: Vec<i16>) -> Speech {
        Speech { columns, formats: Some(formats) }
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

/// Runs a statement, to its end or, in parts, until it has given what is wanted: then `None`. If it
/// has a notice to give while it waits, what it said is sent at once.
pub async fn run<E: Env>(
    runner: &Runner<E>,
    (connection, speech): (&mut Connection<E::Stream>, &mut Speech),
    mut running: Pin<&mut (impl Future<Output = Result<Answer>> + ?Sized)>,
) -> Result<Option<Answer>> {
    enum Heard {
        End(Result<Answer>),
        Pause,
        Notices(Vec<Said>),
    }
    loop {
        let heard = poll_fn(|cx| {
            if let Poll::Ready(outcome) = running.as_mut().poll(cx) {
                return Poll::Ready(Heard::End(outcome));
            }
            let heard = runner.store.with(|inner| {
                let proc = inner.db.procs.get_mut(&runner.pid)?;
                if proc.part == Part::Given {
                    proc.part = Part::Runs;
                    return Some(Heard::Pause);
                }
                let urgent = proc.said.iter().any(|said| matches!(said, Said::Notice(_)));
                urgent.then(|| Heard::Notices(std::mem::take(&mut proc.said)))
            });
            heard.map_or(Poll::Pending, Poll::Ready)
        });
        match heard.await {
            Heard::End(outcome) => return outcome.map(Some),
            Heard::Pause => return Ok(None),
            Heard::Notices(said) => {
                for said in said {
                    speech.write(said, &mut connection.out);
                }
                // A peer that is gone is met again by whoever answers it.
                let _gone = connection.flush().await;
            }
        }
    }
}
