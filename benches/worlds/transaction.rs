//! A small transaction over the real driver, in the world's network: BEGIN, INSERT, UPDATE by key,
//! COMMIT, one after the other. The floor is as many round trips of as many bytes, echoed by a host
//! of the same world. Must never leave out of the floor what any server would pay.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use seedbed::env::{Listener as _, Net as _, Spawn as _};
use seedbed::world::postgres::{Store, Watch, serve};
use seedbed::world::{self, Cast, HostFuture, HostSpec, Part, Reason, SimEnv, metered};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config, NoTls};

use crate::grounds::{Blind, plan};
use crate::{cost, median, ratio, tenths};

const TRANSACTIONS: u64 = 2_000;
const ROUND_TRIPS: u64 = 4;
const WALL_MAX: Duration = Duration::from_secs(600);

/// How a client sends its statements.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// Prepared once, as most services do.
    Prepared,
    /// Parsed each time, as the backend does.
    Typed,
}

/// Bytes that a client sent and was sent.
#[derive(Default)]
struct Traffic {
    sent: AtomicU64,
    received: AtomicU64,
}

/// A stream that counts.
struct Counted<S>(S, Arc<Traffic>);

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.0).poll_read(cx, buf);
        self.1.received.fetch_add((buf.filled().len() - before) as u64, Relaxed);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.0).poll_write(cx, buf);
        if let Poll::Ready(Ok(bytes)) = &written {
            self.1.sent.fetch_add(*bytes as u64, Relaxed);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

async fn connected(env: &SimEnv, traffic: &Arc<Traffic>) -> Client {
    let stream = env.connect("server:5432").await.expect("it listens");
    let config = Config::new().user("bench").dbname("bench").to_owned();
    let stream = Counted(stream, traffic.clone());
    let (client, connection) = config.connect_raw(stream, NoTls).await.expect("a session");
    env.spawn("connection", async move {
        let _ = connection.await;
    });
    client
}

const INSERT: &str = "INSERT INTO account (id, balance) VALUES ($1, $2)";
const UPDATE: &str = "UPDATE account SET balance = balance + $2 WHERE id = $1";

async fn transact(env: SimEnv, manner: Manner, count: u64, traffic: Arc<Traffic>) {
    let client = connected(&env, &traffic).await;
    let table = "CREATE TABLE account (id BIGINT PRIMARY KEY, balance BIGINT NOT NULL)";
    client.batch_execute(table).await.expect("a table");
    let insert = client.prepare(INSERT).await.expect("prepared");
    let update = client.prepare(UPDATE).await.expect("prepared");
    traffic.sent.store(0, Relaxed);
    traffic.received.store(0, Relaxed);
    for id in 0..count {
        let (id, amount) = (i64::try_from(id).expect("few"), 1_i64);
        client.batch_execute("BEGIN").await.expect("begun");
        for (text, statement) in [(INSERT, &insert), (UPDATE, &update)] {
            let changed = match manner {
                Manner::Prepared => client.execute(statement, &[&id, &amount]).await,
                Manner::Typed => {
                    let typed = [(&id as _, Type::INT8), (&amount as _, Type::INT8)];
                    client.execute_typed(text, &typed).await
                }
            };
            assert_eq!(changed.expect("done"), 1);
        }
        client.batch_execute("COMMIT").await.expect("committed");
    }
}

/// Takes `sent` bytes and gives `received` back, for ever.
async fn echo(env: SimEnv, sent: usize, received: usize) {
    let mut listener = env.bind("0.0.0.0:5432").await.expect("a free port");
    let (mut stream, _) = listener.accept().await.expect("a client");
    let (mut request, answer) = (vec![0; sent], vec![0; received]);
    while stream.read_exact(&mut request).await.is_ok() {
        stream.write_all(&answer).await.expect("the client listens");
    }
}

async fn exchange(env: SimEnv, sent: usize, received: usize) {
    let mut stream = env.connect("server:5432").await.expect("it listens");
    let (request, mut answer) = (vec![0; sent], vec![0; received]);
    for _ in 0..TRANSACTIONS * ROUND_TRIPS {
        stream.write_all(&request).await.expect("the server listens");
        stream.read_exact(&mut answer).await.expect("an answer");
    }
}

fn host(name: &str, start: impl Fn(SimEnv) -> HostFuture + Send + Sync + 'static) -> HostSpec {
    HostSpec { name: name.to_owned(), start: Arc::new(start) }
}

fn run(seed: u64, server: HostSpec, client: HostSpec) {
    let cast = Cast { hosts: vec![server], users: vec![client] };
    let ended = world::run(&plan(seed), cast, &mut Blind, false, WALL_MAX);
    assert_eq!(ended.reason, Reason::Rested);
}

fn ours(seed: u64, manner: Manner, count: u64, traffic: &Arc<Traffic>) {
    let (store, traffic) = (Store::default(), traffic.clone());
    let server = host("server", move |env| {
        let serving = serve(env, "0.0.0.0:5432", store.clone(), Watch::none());
        Box::pin(async move { serving.await.map_err(|error| error.to_string()) })
    });
    let client = host("client", move |env| {
        let transacting = transact(env, manner, count, traffic.clone());
        Box::pin(async move {
            transacting.await;
            Ok(())
        })
    });
    run(seed, server, client);
}

fn floor(seed: u64, sent: usize, received: usize) {
    let server = host("server", move |env| {
        let echoing = echo(env, sent, received);
        Box::pin(async move {
            echoing.await;
            Ok(())
        })
    });
    let client = host("client", move |env| {
        let exchanging = exchange(env, sent, received);
        Box::pin(async move {
            exchanging.await;
            Ok(())
        })
    });
    run(seed, server, client);
}

fn compare(manner: Manner, repetitions: u64) {
    let traffic = Arc::<Traffic>::default();
    ours(0, manner, 1, &traffic);
    let each = |bytes: &AtomicU64| {
        usize::try_from(bytes.load(Relaxed) / ROUND_TRIPS).expect("a few hundred")
    };
    let (sent, received) = (each(&traffic.sent), each(&traffic.received));
    let (mut own, mut bottom, mut share) = (Vec::new(), Vec::new(), Vec::new());
    for seed in 0..repetitions {
        bottom.push(cost(1, |_| floor(seed, sent, received)) / TRANSACTIONS);
        own.push(cost(1, |_| ours(seed, manner, TRANSACTIONS, &traffic)) / TRANSACTIONS);
        let ((), shares) = metered(|| ours(seed, manner, TRANSACTIONS, &traffic));
        let server = shares.get(&Part::Host(0)).copied().unwrap_or_default();
        share.push(u64::try_from(server.as_nanos()).expect("short") / TRANSACTIONS / 100);
    }
    let (own, bottom, share) = (median(own), median(bottom), median(share));
    println!(
        "{manner:?} {:>8}  floor {:>6}  of floor {:>5}  PostgreSQL's own {:>6}",
        tenths(own),
        tenths(bottom),
        ratio(own, bottom),
        tenths(share),
    );
}

pub fn transactions(repetitions: u64) {
    println!("CPU µs a transaction (BEGIN, INSERT, UPDATE by key, COMMIT) with tokio-postgres");
    compare(Manner::Prepared, repetitions);
    compare(Manner::Typed, repetitions);
}
