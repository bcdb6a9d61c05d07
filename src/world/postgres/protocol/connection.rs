//! A session's socket: whole messages in, buffered answers out. Must never interpret a message.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};

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
        let mut chunk = [0_u8; CHUNK];
        let mut buffer = ReadBuf::new(&mut chunk);
        match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {
                self.input.extend_from_slice(buffer.filled());
                Poll::Ready(Ok(buffer.filled().len()))
            }
        }
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
