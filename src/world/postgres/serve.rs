//! The listener: one task a connection. Must never keep a connection's state.

use std::io;

use super::protocol::session;
use super::store::Store;
use super::watch::{Change, Watch};
use crate::env::{Env, Listener as _};

/// Serves `store` on `addr` until the listener fails.
pub async fn serve<E: Env>(env: E, addr: &str, store: Store, watch: Watch) -> io::Result<()> {
    let listener = env.bind(addr).await?;
    serve_on(env, listener, store, watch).await
}

/// Serves `store` on a bound port until the listener fails.
pub async fn serve_on<E: Env>(
    env: E,
    mut listener: E::Listener,
    store: Store,
    watch: Watch,
) -> io::Result<()> {
    for pid in store.crashed() {
        watch.tell(&Change::Crash { pid });
    }
    loop {
        let (stream, _) = listener.accept().await?;
        env.spawn("pg-session", session(env.clone(), stream, store.clone(), watch.clone()));
    }
}
