//! The seam: every source of time, randomness, concurrency and input that the backend may use.
//! [`Tokio`] is the real one; the world has its own. Must never hold logic of either side.

mod events;
mod tokio_env;

pub use events::{EventSpec, TARGET};
pub use tokio_env::Tokio;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::ops::{Add, Sub};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

/// All of the seam at once. Cloning is cheap; a clone stands for the same host.
pub trait Env: Net + Clock + Spawn + Entropy + Machine + Clone + Send + Sync + 'static {}
impl<T: Net + Clock + Spawn + Entropy + Machine + Clone + Send + Sync + 'static> Env for T {}

/// TCP as a process sees it: ordered byte streams by address `host:port`.
pub trait Net {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    type Listener: Listener<Stream = Self::Stream>;

    /// Listens on `addr` (`0.0.0.0:8080`; port 0 picks a free one).
    fn bind(&self, addr: &str) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// Connects to `addr` (`db:5432`). Times out as TCP does; callers set shorter bounds.
    fn connect(&self, addr: &str) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// A bound port. Dropping it closes the port; connections in its backlog are reset.
pub trait Listener: Send + 'static {
    type Stream;

    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// Monotonic time: since the process (or the world) began. Resolution 1 ns, no wrap in 500 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub Duration);

impl Moment {
    pub fn since(self, earlier: Moment) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;
    fn add(self, rhs: Duration) -> Moment {
        Moment(self.0.saturating_add(rhs))
    }
}

impl Sub for Moment {
    type Output = Duration;
    fn sub(self, rhs: Moment) -> Duration {
        self.since(rhs)
    }
}

impl fmt::Display for Moment {
    /// Seconds with three decimals: `3.207s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}s", self.0.as_secs(), self.0.subsec_millis())
    }
}

/// The bound of a [`Clock::timeout`] passed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("deadline has elapsed")]
pub struct Elapsed;

/// Monotonic and wall time, and the only way to wait for either.
pub trait Clock {
    /// hyper's timer demands `Sync`.
    type Sleep: Future<Output = ()> + Send + Sync + 'static;

    fn now(&self) -> Moment;

    /// Wall clock, microseconds since the Unix epoch. It may jump and be skewed per host.
    fn unix_us(&self) -> u64;

    /// The same in milliseconds.
    fn unix_ms(&self) -> u64 {
        self.unix_us() / 1_000
    }

    /// Ends at `deadline` or, as timers have it, up to 1 ms later.
    fn sleep_until(&self, deadline: Moment) -> Self::Sleep;

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.sleep_until(self.now() + duration)
    }

    /// `future`, unless `duration` passes first; a future that is ready at the bound wins.
    fn timeout<F: Future + Send>(
        &self,
        duration: Duration,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Elapsed>> + Send {
        let sleep = self.sleep(duration);
        async move {
            let (mut future, mut sleep) = (std::pin::pin!(future), std::pin::pin!(sleep));
            std::future::poll_fn(|cx| {
                if let std::task::Poll::Ready(out) = future.as_mut().poll(cx) {
                    return std::task::Poll::Ready(Ok(out));
                }
                sleep.as_mut().poll(cx).map(|()| Err(Elapsed))
            })
            .await
        }
    }
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskEnd {
    Finished,
    Aborted,
    /// The panic's message. It is also recorded where the task was spawned.
    Panicked(String),
}

/// A handle on a spawned task. Dropping it lets the task run on.
pub trait Task: Send + Sync + 'static {
    /// Ends the task at its next await; harmless when it has ended.
    fn abort(&self);

    /// Waits until the task has ended and its future is dropped.
    fn join(self) -> impl Future<Output = TaskEnd> + Send;
}

/// Concurrency. Every task of the backend is born here, so that none escapes the world.
pub trait Spawn {
    type Task: Task;

    /// `name` says what the task is (`reader`); it appears in traces and panics.
    fn spawn<F>(&self, name: &'static str, future: F) -> Self::Task
    where
        F: Future<Output = ()> + Send + 'static;

    /// Runs work that blocks (password hashing) where it delays no other task.
    fn blocking<T, F>(&self, work: F) -> impl Future<Output = T> + Send
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static;

    /// A scheduling point: in the world other tasks may run here; free in production.
    /// `what` names the shared thing that is about to be touched.
    fn point(&self, what: &'static str) -> impl Future<Output = ()> + Send;

    /// Tasks spawned and not yet ended.
    fn alive(&self) -> usize;

    /// Tasks that ended by a panic so far.
    fn panicked(&self) -> usize;
}

/// Randomness: ids, salts, jitter.
pub trait Entropy {
    fn fill(&self, bytes: &mut [u8]);

    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Uniform in `0..bound`; 0 when `bound` is 0. (Lemire, "Fast Random Integer Generation in an
    /// Interval", 2019, without the rejection step: the bias is below 2^-32 for bounds below 2^32.)
    fn below(&self, bound: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).expect("the high half of a 128-bit product fits")
    }
}

/// What the operating system tells a process.
pub trait Machine {
    /// Ends when the process is asked to stop (SIGTERM or SIGINT).
    fn stop_requested(&self) -> impl Future<Output = ()> + Send;
}
