//! `seedbed serve`: the very backend of the scenarios, on real sockets and in real time.
//! Must never hold logic of the backend; configuration goes in, one sentence comes out.

use std::fmt::Write as _;
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode};

use super::{Exit, Stop, log, print};
use crate::backend::config::{Database, SeedUser};
use crate::backend::{self, Config};
use crate::env::{Entropy as _, Listener, Net as _, Spawn as _, Tokio};
use crate::world::postgres::{self, Store, Watch};

/// How long start-up keeps trying to reach the database before it gives up.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who can log in to a store that keeps nothing.
const GUESTS: [&str; 2] = ["acme/ana:seedbed", "acme/bob:seedbed"];

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    listen: String,
    /// A PostgreSQL to keep everything in; without one an embedded store is used, which keeps
    /// nothing
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// An account to create unless it exists, `TENANT/USER:PASSWORD`; may be repeated
    #[arg(long, value_name = "ACCOUNT", value_parser = account)]
    user: Vec<SeedUser>,
    /// The key that signs access tokens; a random one by default, so that no token outlives the
    /// process
    #[arg(long, value_name = "KEY", env = "SEEDBED_JWT_KEY", hide_env_values = true)]
    jwt_key: Option<String>,
    /// What is logged to stderr: `info`, `warn`, or directives of tracing's filter
    #[arg(long, value_name = "FILTER", env = "RUST_LOG", default_value = "info")]
    log: String,
}

fn account(text: &str) -> Result<SeedUser, String> {
    let parts =
        text.split_once('/').and_then(|(tenant, rest)| Some((tenant, rest.split_once(':')?)));
    match parts {
        Some((tenant, (user, password))) if ![tenant, user, password].contains(&"") => {
            Ok(SeedUser {
                tenant: tenant.to_owned(),
                user: user.to_owned(),
                password: password.to_owned(),
                roles: vec!["user".to_owned()],
            })
        }
        _ => Err(format!("`{text}` is no account: expected TENANT/USER:PASSWORD")),
    }
}

pub fn run(args: &Args) -> Result<Exit, Stop> {
    log::to_stderr(&args.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime
        .map_err(|error| Stop::usage(format!("error: failed to start the runtime: {error}")))?;
    runtime.block_on(serve(args))
}

async fn serve(args: &Args) -> Result<Exit, Stop> {
    let env = Tokio::new();
    let database = match &args.database_url {
        Some(url) => database_of(url)?,
        None => embedded(&env).await?,
    };
    let kept = args.database_url.is_some();
    let mut users = args.user.clone();
    if users.is_empty() && !kept {
        users.extend(GUESTS.iter().filter_map(|guest| account(guest).ok()));
    }
    let listen = free(&env, &args.listen).await?;
    // Whoever has read the announcement may ask it to stop.
    env.listens_for_stop();
    announce(&listen, kept, &users)?;
    let config = Config {
        listen,
        database,
        jwt_key: jwt_key(args, &env),
        startup_patience: PATIENCE,
        users,
        ..Config::default()
    };
    match backend::serve(env, config).await {
        Ok(()) => Ok(Exit::Held),
        Err(error) => Err(Stop::usage(format!("error: {error}"))),
    }
}

/// The address that `listen` stands for (port 0 is one that is free), if it can be had: before
/// anything else starts.
async fn free(env: &Tokio, listen: &str) -> Result<String, Stop> {
    let bound = env.bind(listen).await.and_then(|listener| Listener::local_addr(&listener));
    let taken = |error| Stop::usage(format!("error: failed to listen on {listen}: {error}"));
    bound.map(|addr| addr.to_string()).map_err(taken)
}

fn announce(listen: &str, kept: bool, users: &[SeedUser]) -> Result<(), Stop> {
    let mut text = format!("seedbed serves on http://{listen}\n");
    if !kept {
        text.push_str(
            "NOTHING IS KEPT: the store is in memory and ends with this process; \
             set DATABASE_URL to keep it\n",
        );
        for user in users {
            let SeedUser { tenant, user, password, .. } = user;
            let _ = writeln!(text, "account {user} of {tenant}, password {password}");
        }
    }
    print(&text)
}

fn jwt_key(args: &Args, env: &Tokio) -> Vec<u8> {
    args.jwt_key.as_ref().map_or_else(
        || {
            let mut key = vec![0; 32];
            env.fill(&mut key);
            key
        },
        |key| key.clone().into_bytes(),
    )
}

/// The store of a process that was given none.
async fn embedded(env: &Tokio) -> Result<Database, Stop> {
    let failed = |error| Stop::usage(format!("error: failed to start the store: {error}"));
    let listener = env.bind("127.0.0.1:0").await.map_err(failed)?;
    let addr = Listener::local_addr(&listener).map_err(failed)?.to_string();
    let serving = postgres::serve_on(env.clone(), listener, Store::default(), Watch::none());
    env.spawn("store", async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the embedded store ended");
        }
    });
    Ok(Database { addr, ..Database::default() })
}

/// The server that a `postgres://` URL names. The URL is never repeated: it holds a password.
fn database_of(url: &str) -> Result<Database, Stop> {
    let wrong = |why: &str| Stop::usage(format!("error: failed to read the database URL: {why}"));
    let parsed: tokio_postgres::Config =
        url.parse().map_err(|error: tokio_postgres::Error| wrong(&error.to_string()))?;
    if parsed.get_ssl_mode() == SslMode::Require {
        return Err(wrong("sslmode=require is not supported"));
    }
    let host = match parsed.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(_)) => return Err(wrong("sockets of the file system are not supported")),
        None => return Err(wrong("it names no host")),
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let port = parsed.get_ports().first().copied().unwrap_or(5432);
    let user = parsed.get_user().ok_or_else(|| wrong("it names no user"))?.to_owned();
    let password = match parsed.get_password().map(|bytes| String::from_utf8(bytes.to_vec())) {
        None => None,
        Some(Ok(password)) => Some(password),
        Some(Err(_)) => return Err(wrong("its password is not UTF-8")),
    };
    let dbname = parsed.get_dbname().unwrap_or(&user).to_owned();
    Ok(Database { addr: format!("{host}:{port}"), user, password, dbname, ..Database::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_url_names_host_port_user_and_database() {
        let database = database_of("postgres://ana:s%40fe@db.example:6000/books").unwrap();
        assert_eq!(database.addr, "db.example:6000");
        assert_eq!((database.user.as_str(), database.dbname.as_str()), ("ana", "books"));
        assert_eq!(database.password.as_deref(), Some("s@fe"));
        let database = database_of("postgres://ana@[::1]").unwrap();
        assert_eq!((database.addr.as_str(), database.dbname.as_str()), ("[::1]:5432", "ana"));
    }

    #[test]
    fn what_is_wrong_with_a_database_url_is_said_without_the_url() {
        for url in ["secret", "postgres://", "postgres://u:secret@h/d?sslmode=require"] {
            let stop = database_of(url).unwrap_err();
            assert_eq!(stop.exit, Exit::Usage);
            assert!(!stop.message.contains("secret"), "{}", stop.message);
        }
    }

    #[test]
    fn an_account_has_a_tenant_a_user_and_a_password() {
        let user = account("acme/ana:a:b").unwrap();
        assert_eq!((user.tenant.as_str(), user.user.as_str()), ("acme", "ana"));
        assert_eq!(user.password, "a:b");
        for wrong in ["ana", "acme/ana", "acme/:x", "/ana:x", "acme/ana:"] {
            assert!(account(wrong).is_err(), "{wrong}");
        }
    }
}
