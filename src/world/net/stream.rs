//! A socket of the world: one end of a connection, as `AsyncRead` and `AsyncWrite`.
//! Must never let what is drawn depend on the size of a read.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::native::Native;
use super::fabric::{Conn, ConnId, Fabric};

/// Dropping it closes the connection.
pub struct Socket {
    net: Arc<Native>,
    conn: ConnId,
    end: usize,
}

impl Socket {
    pub fn new(net: Arc<Native>, conn: ConnId, end: usize) -> Socket {
        Socket { net, conn, end }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let cause = self.net.cause();
        self.net.with(|fabric| fabric.close(self.conn, self.end, cause));
    }
}

/// The connection, unless this end knows that it is dead.
fn living(fabric: &mut Fabric, conn: ConnId, end: usize) -> io::Result<&mut Conn> {
    let conn = fabric.conn(conn).ok_or(io::ErrorKind::ConnectionReset)?;
    match conn.dead[end] {
        Some(dead) => Err(dead.into()),
        None => Ok(conn),
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Socket { net, conn, end } = &*self;
        let (polled, cause) = net.with(|fabric| {
            let living = match living(fabric, *conn, *end) {
                Ok(living) => living,
                Err(error) => return (Poll::Ready(Err(error)), None),
            };
            let pipe = &mut living.pipes[1 - *end];
            if !pipe.has_arrived() {
                if pipe.fin_arrived {
                    return (Poll::Ready(Ok(())), None);
                }
                pipe.reader = Some(net.sleeper(cx.waker()));
                return (Poll::Pending, None);
            }
            let cause = pipe.read(buf);
            let writer = pipe.writer.take();
            fabric.woken.extend(writer);
            (Poll::Ready(Ok(())), cause)
        });
        if cause.is_some() {
            net.learn(cause);
        }
        polled
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Socket { net, conn, end } = &*self;
        let cause = net.cause();
        net.with(|fabric| {
            let living = match living(fabric, *conn, *end) {
                Ok(living) => living,
                Err(error) => return Poll::Ready(Err(error)),
            };
            let pipe = &mut living.pipes[*end];
            if pipe.fin_sent {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let taken = bytes.len().min(pipe.room());
            if taken == 0 && !bytes.is_empty() {
                pipe.writer = Some(net.sleeper(cx.waker()));
                return Poll::Pending;
            }
            send_cut(fabric, *conn, *end, &bytes[..taken], cause);
            Poll::Ready(Ok(taken))
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Socket { net, conn, end } = &*self;
        let cause = net.cause();
        net.with(|fabric| {
            let living = match living(fabric, *conn, *end) {
                Ok(living) => living,
                Err(error) => return Poll::Ready(Err(error)),
            };
            let pipe = &mut living.pipes[*end];
            if !pipe.fin_sent {
                pipe.fin_sent = true;
                fabric.send(*conn, *end, &[], true, cause);
            }
            Poll::Ready(Ok(()))
        })
    }
}

/// Cuts a write into segments: at the largest size, and in some writes at drawn places besides.
fn send_cut(fabric: &mut Fabric, conn: ConnId, end: usize, mut bytes: &[u8], cause: Option<u32>) {
    let (largest, chop) = (fabric.manners.segment_max.max(1), fabric.manners.chop_ppm);
    let mut chopping = chop > 0 && fabric.segments.chance_ppm(chop);
    while !bytes.is_empty() {
        let mut length = bytes.len().min(largest);
        if chopping && length > 1 {
            let drawn = fabric.segments.below(length as u64);
            fabric.choices.push(("segment", length as u64, drawn));
            length = usize::try_from(drawn).expect("below a length") + 1;
            // A write in hundreds of pieces is a different write: two cuts at the most.
            chopping = fabric.segments.below(2) == 0;
        }
        let (head, rest) = bytes.split_at(length);
        fabric.send(conn, end, head, false, cause);
        bytes = rest;
    }
}
