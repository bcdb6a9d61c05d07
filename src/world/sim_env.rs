//! One host's view of the world: the simulated environment behind the seam's traits.
//! Must never offer a host more than a process has.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::clock::{self, TimerKey};
use super::exec::{HostId, SimTask, TaskFuture};
use super::native::Native;
use super::net::{self, Acceptor, Socket};
use super::shared::{Ground, World};
use crate::env::{Clock, Entropy, Listener, Machine, Moment, Net, Spawn};

/// A process in the world. Clones are the same process.
#[derive(Clone)]
pub struct SimEnv {
    pub(super) world: Arc<World>,
    pub(super) host: HostId,
}

impl SimEnv {
    /// The host's name.
    pub fn host(&self) -> &str {
        &self.world.hosts[self.host].name
    }
}

/// A connection of either engine.
pub enum SimStream {
    Native(Socket),
    Turmoil(Box<turmoil::net::TcpStream>),
}

impl AsyncRead for SimStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            SimStream::Native(socket) => Pin::new(socket).poll_read(cx, buf),
            SimStream::Turmoil(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            SimStream::Native(socket) => Pin::new(socket).poll_write(cx, bytes),
            SimStream::Turmoil(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            SimStream::Native(socket) => Pin::new(socket).poll_flush(cx),
            SimStream::Turmoil(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            SimStream::Native(socket) => Pin::new(socket).poll_shutdown(cx),
            SimStream::Turmoil(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// A bound port of either engine.
pub enum SimListener {
    Native(Acceptor),
    Turmoil(turmoil::net::TcpListener),
}

impl Listener for SimListener {
    type Stream = SimStream;

    async fn accept(&mut self) -> io::Result<(SimStream, SocketAddr)> {
        match self {
            SimListener::Native(acceptor) => {
                let (socket, peer) = acceptor.accept().await?;
                Ok((SimStream::Native(socket), peer))
            }
            SimListener::Turmoil(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((SimStream::Turmoil(Box::new(stream)), peer))
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            SimListener::Native(acceptor) => Ok(acceptor.local_addr()),
            SimListener::Turmoil(listener) => listener.local_addr(),
        }
    }
}

impl Net for SimEnv {
    type Stream = SimStream;
    type Listener = SimListener;

    async fn bind(&self, addr: &str) -> io::Result<SimListener> {
        match &self.world.ground {
            Ground::Native(native) => {
                Acceptor::bind(Arc::clone(native), self.host, addr).map(SimListener::Native)
            }
            Ground::Turmoil(_) => {
                turmoil::net::TcpListener::bind(addr).await.map(SimListener::Turmoil)
            }
        }
    }

    async fn connect(&self, addr: &str) -> io::Result<SimStream> {
        match &self.world.ground {
            Ground::Native(native) => {
                let connecting = net::connect(Arc::clone(native), self.host, addr.to_owned());
                connecting.await.map(SimStream::Native)
            }
            Ground::Turmoil(_) => {
                let stream = turmoil::net::TcpStream::connect(addr).await?;
                Ok(SimStream::Turmoil(Box::new(stream)))
            }
        }
    }
}

/// A sleep of either engine.
pub enum SimSleep {
    Native { native: Arc<Native>, deadline: Moment, key: Option<TimerKey> },
    Turmoil(Pin<Box<tokio::time::Sleep>>),
}

impl Future for SimSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.get_mut() {
            SimSleep::Native { native, deadline, key } => {
                if native.now() >= *deadline {
                    return Poll::Ready(());
                }
                native.set_timer(key, *deadline, cx.waker());
                Poll::Pending
            }
            SimSleep::Turmoil(sleep) => sleep.as_mut().poll(cx),
        }
    }
}

impl Drop for SimSleep {
    fn drop(&mut self) {
        if let SimSleep::Native { native, key: Some(key), .. } = self {
            native.clear_timer(*key);
        }
    }
}

impl Clock for SimEnv {
    type Sleep = SimSleep;

    fn now(&self) -> Moment {
        self.world.now()
    }

    fn unix_us(&self) -> u64 {
        let skew = self.world.hosts[self.host].inner.lock().expect("host").skew_ms;
        let elapsed = u64::try_from(self.now().0.as_micros()).unwrap_or(u64::MAX);
        (clock::EPOCH_UNIX_MS * 1_000 + elapsed).saturating_add_signed(skew * 1_000)
    }

    fn sleep_until(&self, deadline: Moment) -> SimSleep {
        let deadline = clock::ceil(deadline);
        match &self.world.ground {
            Ground::Native(native) => {
                SimSleep::Native { native: Arc::clone(native), deadline, key: None }
            }
            Ground::Turmoil(_) => {
                let left = deadline.since(self.now());
                SimSleep::Turmoil(Box::pin(tokio::time::sleep(left)))
            }
        }
    }
}

/// A scheduling point: others may run here; sometimes the task is descheduled for a while.
enum Point {
    Fresh,
    Yielded,
    Stalled(SimSleep),
}

impl Spawn for SimEnv {
    type Task = SimTask;

    fn spawn<F>(&self, name: &'static str, future: F) -> SimTask
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.world.exec(self.host).spawn(self.host, name, self.scheduled(future))
    }

    async fn blocking<T, F>(&self, work: F) -> T
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.point("blocking").await;
        work()
    }

    fn point(&self, _what: &'static str) -> impl Future<Output = ()> + Send {
        let mut point = Point::Fresh;
        std::future::poll_fn(move |cx| match &mut point {
            Point::Fresh => {
                if let Some(mut sleep) = self.stall() {
                    if Pin::new(&mut sleep).poll(cx).is_ready() {
                        return Poll::Ready(());
                    }
                    point = Point::Stalled(sleep);
                    return Poll::Pending;
                }
                if !self.world.exec(self.host).gives_way() {
                    return Poll::Ready(());
                }
                point = Point::Yielded;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Point::Yielded => Poll::Ready(()),
            Point::Stalled(sleep) => Pin::new(sleep).poll(cx),
        })
    }

    fn alive(&self) -> usize {
        self.world.exec(self.host).alive(self.host)
    }

    fn panicked(&self) -> usize {
        self.world.hosts[self.host].inner.lock().expect("host").panicked
    }
}

impl SimEnv {
    /// A task as a process has it: once woken it may have to wait for a processor, and much can
    /// change meanwhile.
    pub(super) fn scheduled<F>(&self, task: F) -> TaskFuture
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if self.world.stall_ppm == 0 {
            return Box::pin(task);
        }
        // Boxed before it is wrapped: a block that takes it in would hold it twice.
        let (env, mut task, mut waits) = (self.clone(), Box::pin(task), None);
        Box::pin(std::future::poll_fn(move |cx| {
            if waits.is_none() {
                waits = env.stall();
            }
            if let Some(sleep) = &mut waits {
                ready!(Pin::new(sleep).poll(cx));
                waits = None;
            }
            task.as_mut().poll(cx)
        }))
    }

    /// Whether the operating system gives the processor to others here, and for how long.
    fn stall(&self) -> Option<SimSleep> {
        let World { stall_ppm, stall_max, stalls, .. } = &*self.world;
        if *stall_ppm == 0 {
            return None;
        }
        let mut stream = stalls.lock().expect("stalls");
        if !stream.chance_ppm(*stall_ppm) {
            return None;
        }
        let longest = u64::try_from(stall_max.as_millis()).unwrap_or(u64::MAX).max(1);
        let ms = 1 + stream.below(longest);
        drop(stream);
        self.world.tell(|recorder| recorder.choice("stall", longest, ms));
        Some(self.sleep(Duration::from_millis(ms)))
    }
}

impl Entropy for SimEnv {
    fn fill(&self, bytes: &mut [u8]) {
        let mut host = self.world.hosts[self.host].inner.lock().expect("host");
        for chunk in bytes.chunks_mut(8) {
            let drawn = host.entropy.next_u64().to_le_bytes();
            chunk.copy_from_slice(&drawn[..chunk.len()]);
        }
    }
}

impl Machine for SimEnv {
    fn stop_requested(&self) -> impl Future<Output = ()> + Send {
        std::future::poll_fn(|cx| {
            let mut host = self.world.hosts[self.host].inner.lock().expect("host");
            if host.stopping {
                return Poll::Ready(());
            }
            if !host.stop_waiters.iter().any(|known| known.will_wake(cx.waker())) {
                host.stop_waiters.push(cx.waker().clone());
            }
            Poll::Pending
        })
    }
}
