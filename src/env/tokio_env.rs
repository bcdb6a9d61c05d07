//! The real seam: tokio, the operating system's clocks and randomness.
//! Must never do more than forward: a wrapper returns the inner future instead of awaiting it.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Clock, Entropy, Listener, Machine, Moment, Net, Spawn, Task, TaskEnd};

/// The environment of a served process. Clones share the counters.
#[derive(Clone, Debug)]
pub struct Tokio {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    origin: Instant,
    alive: AtomicUsize,
    panicked: AtomicUsize,
    /// Signals that the next `stop_requested` waits for.
    listening: Mutex<Option<(Signal, Signal)>>,
}

impl Tokio {
    #[allow(clippy::new_without_default, reason = "a second origin is a second clock")]
    pub fn new() -> Tokio {
        let (alive, panicked) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (origin, listening) = (Instant::now(), Mutex::new(None));
        Tokio { inner: Arc::new(Inner { origin, alive, panicked, listening }) }
    }

    /// From now on the process is not ended by SIGTERM and SIGINT: the next `stop_requested` has
    /// them, those included that come before it is called.
    pub fn listens_for_stop(&self) {
        *self.inner.listening.lock().expect("no panic under it") = signals();
    }
}

impl Net for Tokio {
    type Stream = TcpStream;
    type Listener = TcpListener;

    fn bind(&self, addr: &str) -> impl Future<Output = io::Result<TcpListener>> + Send {
        TcpListener::bind(addr.to_owned())
    }

    fn connect(&self, addr: &str) -> impl Future<Output = io::Result<TcpStream>> + Send {
        let addr = addr.to_owned();
        async move {
            let stream = TcpStream::connect(addr).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        }
    }
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = TcpListener::accept(self).await?;
        stream.set_nodelay(true)?;
        Ok((stream, peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        TcpListener::local_addr(self)
    }
}

impl Clock for Tokio {
    type Sleep = tokio::time::Sleep;

    fn now(&self) -> Moment {
        Moment(self.inner.origin.elapsed())
    }

    fn unix_us(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    fn sleep_until(&self, deadline: Moment) -> tokio::time::Sleep {
        tokio::time::sleep(deadline.since(self.now()))
    }
}

/// A tokio task behind the seam's handle.
#[derive(Debug)]
pub struct TokioTask(tokio::task::JoinHandle<()>);

impl Task for TokioTask {
    fn abort(&self) {
        self.0.abort();
    }

    async fn join(self) -> TaskEnd {
        match self.0.await {
            Ok(()) => TaskEnd::Finished,
            Err(error) if error.is_cancelled() => TaskEnd::Aborted,
            Err(error) => TaskEnd::Panicked(message_of(error.into_panic().as_ref())),
        }
    }
}

fn message_of(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// Counts one task for as long as its future lives.
struct Alive {
    env: Tokio,
    name: &'static str,
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.env.inner.alive.fetch_sub(1, Ordering::Relaxed);
        if std::thread::panicking() {
            self.env.inner.panicked.fetch_add(1, Ordering::Relaxed);
            tracing::error!(task = self.name, "a task panicked");
        }
    }
}

impl Spawn for Tokio {
    type Task = TokioTask;

    fn spawn<F>(&self, name: &'static str, future: F) -> TokioTask
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.inner.alive.fetch_add(1, Ordering::Relaxed);
        let alive = Alive { env: self.clone(), name };
        TokioTask(tokio::spawn(async move {
            let _alive = alive;
            future.await;
        }))
    }

    async fn blocking<T, F>(&self, work: F) -> T
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        match tokio::task::spawn_blocking(work).await {
            Ok(value) => value,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn point(&self, _what: &'static str) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    fn alive(&self) -> usize {
        self.inner.alive.load(Ordering::Relaxed)
    }

    fn panicked(&self) -> usize {
        self.inner.panicked.load(Ordering::Relaxed)
    }
}

impl Entropy for Tokio {
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives randomness");
    }
}

impl Machine for Tokio {
    /// Listens from the call on, or from [`Tokio::listens_for_stop`].
    fn stop_requested(&self) -> impl Future<Output = ()> + Send {
        let listening = self.inner.listening.lock().expect("no panic under it").take();
        let signals = listening.or_else(signals);
        async move {
            let Some((mut term, mut int)) = signals else { return std::future::pending().await };
            poll_fn(|cx| match term.poll_recv(cx) {
                Poll::Pending => int.poll_recv(cx),
                Poll::Ready(asked) => Poll::Ready(asked),
            })
            .await;
        }
    }
}

/// SIGTERM and SIGINT as they come from now on.
fn signals() -> Option<(Signal, Signal)> {
    Some((signal(SignalKind::terminate()).ok()?, signal(SignalKind::interrupt()).ok()?))
}
