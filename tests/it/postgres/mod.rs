//! The simulated PostgreSQL as clients see it, beside a real one. Must never reach inside it.

mod answers;
mod blocking;
mod calls;
mod driver;
mod drivers;
mod faults;
mod fuzz;
mod grammar;
mod isolation;
mod malformed;
mod messages;
mod raw;
mod refused;
mod same;
mod slt;
mod timing;
mod watch;

use std::net::SocketAddr;
use std::time::Duration;

use seedbed::env::{Env, Net, Tokio};
use seedbed::world::postgres::{Settings, Store, Watch, serve_on};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::pg_server;

/// Serves a new cluster on a free port for as long as the runtime lives.
pub async fn ours(settings: Settings, watch: Watch) -> (String, Store) {
    let env = Tokio::new();
    let listener = env.bind("127.0.0.1:0").await.expect("a free port");
    let addr: SocketAddr = listener.local_addr().expect("it is bound");
    let store = Store::new(settings);
    let served = store.clone();
    tokio::spawn(async move { serve_on(env, listener, served, watch).await });
    (addr.to_string(), store)
}

pub async fn client(addr: &str) -> Client {
    try_client(addr).await.expect("start-up")
}

pub async fn try_client(addr: &str) -> Result<Client, tokio_postgres::Error> {
    let stream = connect(&Tokio::new(), addr).await;
    let mut config = tokio_postgres::Config::new();
    config.user(pg_server::USER).dbname(pg_server::DATABASE);
    let (client, connection) = config.connect_raw(stream, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn connect<E: Env>(env: &E, addr: &str) -> E::Stream {
    env.connect(addr).await.expect("the server listens")
}

pub fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

/// Long enough for anything that is not blocked.
pub const SOON: Duration = Duration::from_secs(10);

/// What a simple query answers, as lines: rows, tags with counts, or the error.
pub async fn answer(client: &Client, sql: &str) -> String {
    match client.simple_query(sql).await {
        Ok(messages) => {
            let lines: Vec<String> = messages.iter().filter_map(line).collect();
            lines.join("\n")
        }
        Err(error) => match error.as_db_error() {
            Some(error) => {
                let mut text = format!("{}: {}", error.code().code(), error.message());
                if let Some(detail) = error.detail().filter(|detail| !detail.contains("Process")) {
                    text = format!("{text} / {detail}");
                }
                if let Some(constraint) = error.constraint() {
                    text = format!("{text} / {constraint}");
                }
                text
            }
            None => format!("lost: {error}"),
        },
    }
}

fn line(message: &SimpleQueryMessage) -> Option<String> {
    match message {
        SimpleQueryMessage::Row(row) => {
            let cells = (0..row.len()).map(|at| row.get(at).unwrap_or("NULL").to_owned());
            Some(cells.collect::<Vec<String>>().join("|"))
        }
        SimpleQueryMessage::CommandComplete(rows) => Some(format!("ok {rows}")),
        SimpleQueryMessage::RowDescription(columns) => {
            let names: Vec<&str> = columns.iter().map(tokio_postgres::SimpleColumn::name).collect();
            Some(format!("[{}]", names.join("|")))
        }
        _ => None,
    }
}
