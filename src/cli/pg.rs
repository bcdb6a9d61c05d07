//! `seedbed pg`: the world's PostgreSQL on a real socket, for `psql`, drivers and test programs.
//! Must never keep anything: the store ends with the process.

use super::{Exit, Stop, log, print};
use crate::env::{Listener, Machine as _, Net as _, Spawn as _, Tokio};
use crate::world::postgres::{self, Store, Watch};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen; port 0 picks a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5432")]
    listen: String,
    /// What is logged to stderr: `info`, `warn`, or directives of tracing's filter
    #[arg(long, value_name = "FILTER", env = "RUST_LOG", default_value = "info")]
    log: String,
}

pub fn run(args: &Args) -> Result<Exit, Stop> {
    log::to_stderr(&args.log)?;
    // One thread: the sessions share one lock, and a second thread would only wait for it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime
        .map_err(|error| Stop::usage(format!("error: failed to start the runtime: {error}")))?;
    runtime.block_on(serve(args))
}

async fn serve(args: &Args) -> Result<Exit, Stop> {
    let env = Tokio::new();
    let failed =
        |error| Stop::usage(format!("error: failed to listen on {}: {error}", args.listen));
    let listener = env.bind(&args.listen).await.map_err(failed)?;
    let addr = Listener::local_addr(&listener).map_err(failed)?;
    // Whoever has read the announcement may ask it to stop.
    let stop = env.stop_requested();
    print(&format!("seedbed's PostgreSQL listens on {addr}; NOTHING IS KEPT\n"))?;
    let serving = postgres::serve_on(env.clone(), listener, Store::default(), Watch::none());
    env.spawn("pg-listener", async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the listener ended");
        }
    });
    stop.await;
    Ok(Exit::Held)
}
