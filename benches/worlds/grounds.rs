//! The grounds a workload runs on: our world, stock `turmoil::Sim` with a tick of 1 ms, and the
//! floor: a paused tokio runtime, in-memory pipes without latency, `tokio::spawn`. Must never
//! give one ground work that the others do not have.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seedbed::env::{Clock, Entropy, Listener, Machine, Moment, Net, Spawn, Task, TaskEnd};
use seedbed::plan::{Engine, NetworkPlan, Plan, Strategy};
use seedbed::seed::{Seed, Stream};
use seedbed::trace::{Event, Observer};
use seedbed::world::{self, Cast, HostSpec, Reason, SimEnv};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

use crate::workloads::{self, Workload};

/// Sees nothing and ends nothing.
pub struct Blind;

impl Observer for Blind {
    fn event(&mut self, _event: &Event) -> bool {
        true
    }

    fn owed(&self) -> bool {
        false
    }
}

pub fn plan(seed: u64) -> Plan {
    Plan {
        scenario: "bench".to_owned(),
        seed: Seed(seed),
        engine: Engine::Native,
        strategy: Strategy::Random,
        plants: Vec::new(),
        settings: BTreeMap::new(),
        users: Vec::new(),
        faults: Vec::new(),
        network: NetworkPlan {
            latency_min: Duration::from_millis(1),
            latency_max: Duration::from_millis(20),
            spike_ppm: 0,
            spike: Duration::ZERO,
            segment_max: 1460,
            chop_ppm: 0,
            stall_ppm: 0,
            stall_max: Duration::ZERO,
        },
        faults_until: Duration::from_secs(3600),
        quiesce: Duration::from_secs(3600),
        steps_max: 10_000_000,
    }
}

/// Our world, native engine.
pub fn native(seed: u64, workload: Workload) {
    let server = HostSpec {
        name: "server".to_owned(),
        start: Arc::new(move |env: SimEnv| {
            Box::pin(async move {
                workloads::server(env, workload).await;
                Ok(())
            })
        }),
    };
    let user = |index: usize| HostSpec {
        name: format!("client/{index}"),
        start: Arc::new(move |env: SimEnv| {
            Box::pin(async move {
                workloads::client(env, workload, index).await;
                Ok(())
            })
        }),
    };
    let users = (0..workload.clients()).map(user).collect();
    let cast = Cast { hosts: vec![server], users };
    let ended = world::run(&plan(seed), cast, &mut Blind, false, Duration::from_secs(600));
    assert_eq!(ended.reason, Reason::Rested);
}

/// Stock turmoil, one host a client, as its documentation has it.
pub fn turmoil_stock(seed: u64, workload: Workload) {
    let mut sim = turmoil::Builder::new()
        .tick_duration(Duration::from_millis(1))
        .simulation_duration(Duration::from_secs(3600))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(20))
        .rng_seed(seed)
        .build();
    sim.host("server", move || async move {
        workloads::server(Stock::<TurmoilNet>::new(seed), workload).await;
        Ok(())
    });
    for index in 0..workload.clients() {
        let env = Stock::<TurmoilNet>::new(seed * 1000 + index as u64);
        sim.client(format!("client{index}"), async move {
            workloads::client(env, workload, index).await;
            Ok(())
        });
    }
    sim.run().expect("every client is served");
}

/// The floor.
pub fn floor(seed: u64, workload: Workload) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    PORT.set(None);
    runtime.block_on(async move {
        tokio::spawn(workloads::server(Stock::<PipeNet>::new(seed), workload));
        let clients: Vec<_> = (0..workload.clients())
            .map(|index| {
                let env = Stock::<PipeNet>::new(seed * 1000 + index as u64);
                tokio::spawn(workloads::client(env, workload, index))
            })
            .collect();
        for client in clients {
            client.await.expect("every client is served");
        }
    });
}

/// tokio with a network of choice.
struct Stock<N> {
    net: std::marker::PhantomData<fn() -> N>,
    entropy: Arc<Mutex<Stream>>,
    origin: tokio::time::Instant,
}

impl<N> Clone for Stock<N> {
    fn clone(&self) -> Stock<N> {
        Stock { net: self.net, entropy: Arc::clone(&self.entropy), origin: self.origin }
    }
}

impl<N> Stock<N> {
    fn new(seed: u64) -> Stock<N> {
        let entropy = Arc::new(Mutex::new(Stream::new(Seed(seed), "bench")));
        Stock { net: std::marker::PhantomData, entropy, origin: tokio::time::Instant::now() }
    }
}

impl<N: 'static> Clock for Stock<N> {
    type Sleep = tokio::time::Sleep;

    fn now(&self) -> Moment {
        Moment(self.origin.elapsed())
    }

    fn unix_us(&self) -> u64 {
        0
    }

    fn sleep_until(&self, deadline: Moment) -> tokio::time::Sleep {
        tokio::time::sleep_until(self.origin + deadline.0)
    }
}

struct StockTask(tokio::task::JoinHandle<()>);

impl Task for StockTask {
    fn abort(&self) {
        self.0.abort();
    }

    async fn join(self) -> TaskEnd {
        if self.0.await.is_ok() { TaskEnd::Finished } else { TaskEnd::Aborted }
    }
}

impl<N: 'static> Spawn for Stock<N> {
    type Task = StockTask;

    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, _: &'static str, f: F) -> StockTask {
        StockTask(tokio::spawn(f))
    }

    async fn blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(&self, work: F) -> T {
        work()
    }

    fn point(&self, _what: &'static str) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    fn alive(&self) -> usize {
        0
    }

    fn panicked(&self) -> usize {
        0
    }
}

impl<N> Entropy for Stock<N> {
    fn fill(&self, bytes: &mut [u8]) {
        let mut stream = self.entropy.lock().expect("one thread");
        bytes.fill_with(|| u8::try_from(stream.below(256)).expect("below 256"));
    }
}

impl<N> Machine for Stock<N> {
    fn stop_requested(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

struct TurmoilNet;

impl Net for Stock<TurmoilNet> {
    type Stream = turmoil::net::TcpStream;
    type Listener = TurmoilListener;

    async fn bind(&self, addr: &str) -> io::Result<TurmoilListener> {
        turmoil::net::TcpListener::bind(addr).await.map(TurmoilListener)
    }

    async fn connect(&self, addr: &str) -> io::Result<turmoil::net::TcpStream> {
        turmoil::net::TcpStream::connect(addr).await
    }
}

struct TurmoilListener(turmoil::net::TcpListener);

impl Listener for TurmoilListener {
    type Stream = turmoil::net::TcpStream;

    async fn accept(&mut self) -> io::Result<(turmoil::net::TcpStream, SocketAddr)> {
        self.0.accept().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

struct PipeNet;

type Port = mpsc::UnboundedSender<DuplexStream>;

thread_local! {
    /// The one port of the floor.
    static PORT: RefCell<Option<Port>> = const { RefCell::new(None) };
}

impl Net for Stock<PipeNet> {
    type Stream = DuplexStream;
    type Listener = PipeListener;

    async fn bind(&self, _addr: &str) -> io::Result<PipeListener> {
        let (sender, receiver) = mpsc::unbounded_channel();
        PORT.set(Some(sender));
        Ok(PipeListener(receiver))
    }

    async fn connect(&self, _addr: &str) -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let sent = PORT.with_borrow(|port| port.as_ref().is_some_and(|p| p.send(theirs).is_ok()));
        if sent { Ok(ours) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
    }
}

struct PipeListener(mpsc::UnboundedReceiver<DuplexStream>);

impl Listener for PipeListener {
    type Stream = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, SocketAddr)> {
        let stream = self.0.recv().await.ok_or(io::ErrorKind::NotConnected)?;
        Ok((stream, SocketAddr::from(([127, 0, 0, 1], 7))))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::from(([127, 0, 0, 1], 7)))
    }
}
