//! A session's socket: whole messages in, buffered answers out. Must never interpret a message.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::frame::Out;

pub struct Connection<S> {
    stream: S,
    pub input: BytesMut,
    pub out: Out,
}

const CHUNK: usize = 4_096;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub fn new(stream: S) -> Connection<S> {
        Connection { stream, input: BytesMut::new(), out: Out::default() }
    }

    /// Reads what there is; 0 at the end of the stream.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.reserve(CHUNK);
        pin!(self.stream.read_buf(&mut self.input)).poll(cx)
    }

    pub async fn fill(&mut self) -> io::Result<usize> {
        poll_fn(|cx| self.poll_fill(cx)).await
    }

    pub async fn flush(&mut self) -> io::Result<()> {
        if self.out.0.is_empty() {
            return Ok(());
        }
        self.stream.write_all(&self.out.0).await?;
        self.out.0.clear();
        self.stream.flush().await
    }

    /// Sends what is left and closes.
    pub async fn close(&mut self) {
        // A peer that is gone already has nothing more to hear.
        if self.flush().await.is_ok() {
            let _gone = self.stream.shutdown().await;
        }
    }

    pub async fn send_byte(&mut self, byte: u8) -> io::Result<()> {
        self.stream.write_all(&[byte]).await?;
        self.stream.flush().await
    }
}
