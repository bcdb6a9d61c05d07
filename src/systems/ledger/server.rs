//! The ledger's process: requests as lines over TCP, one answer each. `transfer KEY FROM TO CENTS`
//! and `deposit KEY TO CENTS` are answered `done`, `refused`, or `again` when nobody can tell or
//! another try may fare better. Must never book a request that it cannot read.

use std::io;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::books::{self, Outcome, Request};
use crate::backend::config::Database;
use crate::backend::db::Pool;
use crate::env::{Env, Listener as _};

const LISTEN: &str = "0.0.0.0:7000";
const POOL_WAIT: Duration = Duration::from_secs(5);
const STATEMENT_WITHIN: Duration = Duration::from_secs(5);
/// Between attempts to open the books of a database that is not there yet.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
pub struct Config {
    pub database: Database,
    /// Opened at the start, each with so many cents.
    pub accounts: Vec<String>,
    pub opening: i64,
    /// The plant.
    pub weak: bool,
}

/// Serves until the process is asked to stop.
pub async fn serve<E: Env>(env: E, config: Config) -> io::Result<()> {
    let pool = Pool::new(&env, config.database.clone(), POOL_WAIT, STATEMENT_WITHIN);
    let stop = env.clone();
    let (stop, serving) = (pin!(stop.stop_requested()), pin!(accept(env, pool, config)));
    match select(stop, serving).await {
        Either::Left(((), _)) => Ok(()),
        Either::Right((ended, _)) => ended,
    }
}

async fn accept<E: Env>(env: E, pool: Pool<E>, config: Config) -> io::Result<()> {
    // What failed is an event of the database layer.
    while books::open(&pool, &config.accounts, config.opening).await.is_err() {
        env.sleep(PAUSE).await;
    }
    let mut listener = env.bind(LISTEN).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        env.spawn("ledger-client", converse(stream, pool.clone(), config.weak));
    }
}

/// Answers one line after the other until the client leaves.
async fn converse<E: Env>(stream: E::Stream, pool: Pool<E>, weak: bool) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while matches!(stream.read_line(&mut line).await, Ok(read) if read > 0) {
        let answer = match read(&line, weak) {
            Some(request) => match pool.transact(&request).await {
                Ok(Outcome::Done) => "done\n",
                Ok(Outcome::Refused) => "refused\n",
                Err(_) => "again\n",
            },
            None => "refused\n",
        };
        // A client that has gone asks again on another connection.
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        line.clear();
    }
}

fn read(line: &str, weak: bool) -> Option<Request> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (key, from, to, cents) = match words[..] {
        ["transfer", key, from, to, cents] => (key, Some(from.to_owned()), to, cents),
        ["deposit", key, to, cents] => (key, None, to, cents),
        _ => return None,
    };
    let cents = cents.parse().ok().filter(|cents| *cents > 0)?;
    Some(Request { key: key.to_owned(), from, to: to.to_owned(), cents, weak })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_request_or_nothing() {
        let transfer = read("transfer k a b 5\n", false).expect("a request");
        assert_eq!((transfer.from.as_deref(), transfer.to.as_str()), (Some("a"), "b"));
        assert_eq!(read("deposit k b 5\n", false).expect("a request").from, None);
        for wrong in ["", "transfer k a b", "deposit k b -5", "deposit k b x", "withdraw k b 5"] {
            assert_eq!(read(wrong, false), None, "{wrong}");
        }
    }
}
