//! The three workloads, generic over the seam: the same lines run on every ground. They
//! must never know which one.

use std::time::Duration;

use seedbed::env::{Env, Listener};
use seedbed::sync::Latch;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Five clients meet a server that is still starting.
    W1,
    /// The same, with a minute of silence and a heartbeat every ten seconds in the middle.
    W2,
    /// Fifty clients with twenty requests each.
    W3,
}

impl Workload {
    /// Seeds a repetition: on our world and the floor, and on stock turmoil, which is slower.
    pub fn seeds(self) -> (u64, u64) {
        match self {
            Workload::W1 => (1000, 30),
            Workload::W2 => (500, 1),
            Workload::W3 => (100, 1),
        }
    }

    pub fn clients(self) -> usize {
        if self == Workload::W3 { 50 } else { 5 }
    }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Listens at once, is ready after 200 ms; accepted connections wait for that.
pub async fn server<E: Env>(env: E, workload: Workload) {
    let mut listener = env.bind("0.0.0.0:7").await.expect("the port is free");
    let ready = Latch::new(&env);
    let (starting, started) = (env.clone(), ready.clone());
    env.spawn("startup", async move {
        starting.sleep(ms(200)).await;
        started.set().await;
    });
    while let Ok((stream, _)) = listener.accept().await {
        let (inner, ready) = (env.clone(), ready.clone());
        env.spawn("connection", async move {
            ready.wait().await;
            if workload == Workload::W3 {
                echo(stream).await;
            } else {
                five_lines(inner, stream).await;
            }
        });
    }
}

async fn echo<S: AsyncReadExt + AsyncWriteExt + Unpin>(stream: S) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).await.is_ok_and(|n| n > 0) {
        if stream.write_all(line.as_bytes()).await.is_err() {
            return;
        }
        line.clear();
    }
}

/// Takes one line; a task of its own answers five, 10 ms apart. Further lines are heartbeats.
async fn five_lines<E: Env>(env: E, stream: E::Stream) {
    let (reading, mut writing) = tokio::io::split(stream);
    let mut reading = BufReader::new(reading);
    let mut line = String::new();
    if reading.read_line(&mut line).await.is_err() {
        return;
    }
    let inner = env.clone();
    env.spawn("answer", async move {
        for n in 0..5 {
            let text = format!("{} {n}\n", line.trim_end());
            if writing.write_all(text.as_bytes()).await.is_err() {
                return;
            }
            inner.sleep(ms(10)).await;
        }
    });
    let mut rest = String::new();
    while reading.read_line(&mut rest).await.is_ok_and(|n| n > 0) {
        rest.clear();
    }
}

pub async fn client<E: Env>(env: E, workload: Workload, index: usize) {
    env.sleep(ms(env.below(101))).await;
    let stream = env.connect("server:7").await.expect("the server listens");
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    if workload == Workload::W3 {
        for n in 0..20 {
            let sent = format!("client {index} request {n}\n");
            stream.write_all(sent.as_bytes()).await.expect("the server reads");
            line.clear();
            stream.read_line(&mut line).await.expect("the server answers");
            assert_eq!(line, sent);
        }
        return;
    }
    stream.write_all(format!("client {index}\n").as_bytes()).await.expect("the server reads");
    for n in 0..5 {
        line.clear();
        stream.read_line(&mut line).await.expect("the server answers");
        assert_eq!(line, format!("client {index} {n}\n"));
    }
    if workload == Workload::W2 {
        for _ in 0..6 {
            env.sleep(ms(10_000)).await;
            stream.write_all(b"heartbeat\n").await.expect("the server reads");
        }
    }
}
