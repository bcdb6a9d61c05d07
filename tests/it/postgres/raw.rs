//! A client that speaks the protocol by itself: any message, also a broken one, and every answer
//! as text. Must never repair what it is told to send.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::pg_server;

/// One message of the server.
pub struct Back {
    pub kind: u8,
    pub body: Vec<u8>,
}

impl Back {
    /// The field of an error or notice.
    pub fn field(&self, wanted: u8) -> Option<&str> {
        let fields = self.body.split(|byte| *byte == 0);
        let mut found = fields.filter(|field| field.first() == Some(&wanted));
        found.next().and_then(|field| std::str::from_utf8(&field[1..]).ok())
    }

    /// Name, type and length of each column.
    pub fn columns(&self) -> String {
        let (mut rest, mut all) = (&self.body[2..], Vec::new());
        while let Some(end) = rest.iter().position(|byte| *byte == 0) {
            let (name, after) = rest.split_at(end);
            let four = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|byte| after[at + byte]));
            let (kind, length) = (four(7), four(13).cast_signed());
            all.push(format!("{} {kind} {length}", String::from_utf8_lossy(name)));
            rest = &after[19..];
        }
        format!("[{}]", all.join("|"))
    }

    /// The cells of a data row.
    pub fn cells(&self) -> Vec<Option<String>> {
        let number = |at: usize| {
            let bytes = self.body[at..at + 4].try_into().expect("four bytes");
            i32::from_be_bytes(bytes)
        };
        let count = i16::from_be_bytes([self.body[0], self.body[1]]);
        let (mut at, mut cells) = (2, Vec::new());
        for _ in 0..count {
            let length = usize::try_from(number(at)).ok();
            at += 4;
            cells.push(length.map(|length| {
                at += length;
                String::from_utf8_lossy(&self.body[at - length..at]).into_owned()
            }));
        }
        cells
    }
}

/// Kind, length and body.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("a short message");
    [&[kind], &length.to_be_bytes()[..], body].concat()
}

/// A simple query.
pub fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &[sql.as_bytes(), b"\0"].concat())
}

/// The same through Parse, Bind, Describe and Execute.
pub fn pipeline(sql: &str) -> Vec<u8> {
    let parse = message(b'P', &[b"\0", sql.as_bytes(), b"\0\0\0"].concat());
    let bind = message(b'B', &[0; 8]);
    let describe = message(b'D', b"P\0");
    let execute = message(b'E', &[0; 5]);
    [parse, bind, describe, execute, message(b'S', &[])].concat()
}

pub struct Raw {
    stream: TcpStream,
}

impl Raw {
    /// A session after start-up.
    pub async fn connect(addr: &str) -> Raw {
        Raw::connect_with(addr, "").await
    }

    /// A session with options such as `-c name=value`.
    pub async fn connect_with(addr: &str, options: &str) -> Raw {
        let mut raw = Raw { stream: TcpStream::connect(addr).await.expect("it listens") };
        raw.stream.set_nodelay(true).expect("a socket has this option");
        let (user, database) = (pg_server::USER, pg_server::DATABASE);
        let parameters = format!("user\0{user}\0database\0{database}\0options\0{options}\0\0");
        let length = u32::try_from(parameters.len() + 8).expect("short");
        let version = 0x0003_0000_u32.to_be_bytes();
        let start = [&length.to_be_bytes()[..], &version, parameters.as_bytes()].concat();
        raw.send(&start).await;
        raw.until_ready().await.expect("start-up");
        raw
    }

    /// A server that hung up hears no more: that is no failure of the client.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _gone = self.stream.write_all(bytes).await;
    }

    pub async fn finish(&mut self) {
        let _gone = self.stream.shutdown().await;
    }

    /// The next message; `None` after the last one.
    pub async fn next(&mut self) -> Option<Back> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let length = usize::try_from(length).ok()?.checked_sub(4).expect("a length holds itself");
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.ok()?;
        Some(Back { kind: head[0], body })
    }

    /// Everything up to `ReadyForQuery`; `None` if the session ended before.
    pub async fn until_ready(&mut self) -> Option<Vec<Back>> {
        let mut all = Vec::new();
        loop {
            let back = self.next().await?;
            if back.kind == b'Z' {
                return Some(all);
            }
            all.push(back);
        }
    }

    /// A simple query.
    pub async fn simple(&mut self, sql: &str) -> Vec<Back> {
        self.send(&query(sql)).await;
        self.until_ready().await.expect("the session goes on")
    }

    /// The same through Parse, Bind, Describe and Execute.
    pub async fn extended(&mut self, sql: &str) -> Vec<Back> {
        self.send(&pipeline(sql)).await;
        self.until_ready().await.expect("the session goes on")
    }
}
