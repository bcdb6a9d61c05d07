//! Messages as bytes. Must never trust a length, nor panic on what a peer sends.

use std::ffi::CStr;
use std::fmt::Write as _;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::world::postgres::error::{PgError, Result, common};
use crate::world::postgres::sql::OutColumn;
use crate::world::postgres::types::{Datum, put_sized, put_text};

/// What a client says after start-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Front {
    Query(String),
    Parse {
        name: String,
        text: String,
        types: Vec<u32>,
    },
    Bind {
        portal: String,
        statement: String,
        formats: Vec<i16>,
        values: Vec<Option<Bytes>>,
        results: Vec<i16>,
    },
    /// `true`: a portal.
    Describe {
        portal: bool,
        name: String,
    },
    Execute {
        portal: String,
        max: u32,
    },
    Close {
        portal: bool,
        name: String,
    },
    Sync,
    Flush,
    Terminate,
    /// COPY data and the like: ignored outside COPY.
    Ignored,
    FunctionCall,
}

/// What a client says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Startup {
    /// SSL or GSS encryption, which is answered `N`.
    Encryption,
    Cancel {
        pid: i32,
        secret: i32,
    },
    /// Parameters in the order sent, and the minor version asked for.
    Session(Vec<(String, String)>, u16),
}

const LENGTH_MAX: usize = 0x3fff_ffff;
const STARTUP_MAX: usize = 10_000;

/// Reads the parts of a message's body.
struct Body(Bytes);

fn short() -> PgError {
    common::protocol("insufficient data left in message")
}

impl Body {
    fn u8(&mut self) -> Result<u8> {
        if self.0.is_empty() { Err(short()) } else { Ok(self.0.get_u8()) }
    }

    fn i16(&mut self) -> Result<i16> {
        if self.0.len() < 2 { Err(short()) } else { Ok(self.0.get_i16()) }
    }

    fn i32(&mut self) -> Result<i32> {
        if self.0.len() < 4 { Err(short()) } else { Ok(self.0.get_i32()) }
    }

    fn text(&mut self) -> Result<String> {
        let text = CStr::from_bytes_until_nul(&self.0);
        let text = text.map_err(|_| common::protocol("invalid string in message"))?;
        let (text, bytes) = (text.to_str().map(str::to_owned), text.to_bytes_with_nul().len());
        let text = text.map_err(|_| common::not_utf8(&self.0[..bytes - 1]))?;
        self.0.advance(bytes);
        Ok(text)
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Body) -> Result<T>) -> Result<Vec<T>> {
        let count = self.i16()?.cast_unsigned();
        // Each item takes two bytes at least.
        let mut items = Vec::with_capacity(usize::from(count).min(self.0.len() / 2));
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn value(&mut self) -> Result<Option<Bytes>> {
        let length = self.i32()?;
        if length < 0 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| short())?;
        if length > self.0.len() {
            return Err(short());
        }
        Ok(Some(self.0.split_to(length)))
    }

    fn end(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(common::protocol("invalid message format")) }
    }
}

/// The next whole message, if it is there.
pub fn decode(buffer: &mut BytesMut) -> Result<Option<Front>> {
    let Some(kind) = buffer.first().copied() else { return Ok(None) };
    if !b"QPBDECSHXdcfFp".contains(&kind) {
        return Err(common::protocol(&format!("invalid frontend message type {kind}")));
    }
    let Some(header) = buffer.get(1..5) else { return Ok(None) };
    let length = u32::from_be_bytes(header.try_into().expect("four bytes"));
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if !(4..=LENGTH_MAX).contains(&length) {
        return Err(common::protocol("invalid message length"));
    }
    if buffer.len() < length + 1 {
        return Ok(None);
    }
    buffer.advance(5);
    decode_body(kind, Body(buffer.split_to(length - 4).freeze())).map(Some)
}

fn decode_body(kind: u8, mut body: Body) -> Result<Front> {
    let front = match kind {
        b'Q' => Front::Query(body.text()?),
        b'P' => {
            let (name, text) = (body.text()?, body.text()?);
            let types = body.list(|body| body.i32().map(i32::cast_unsigned))?;
            Front::Parse { name, text, types }
        }
        b'B' => {
            let (portal, statement) = (body.text()?, body.text()?);
            let formats = body.list(Body::i16)?;
            let values = body.list(Body::value)?;
            let results = body.list(Body::i16)?;
            Front::Bind { portal, statement, formats, values, results }
        }
        b'D' | b'C' => {
            let portal = match body.u8()? {
                b'S' => false,
                b'P' => true,
                other => {
                    let what = if kind == b'D' { "DESCRIBE" } else { "CLOSE" };
                    return Err(common::protocol(&format!(
                        "invalid {what} message subtype {other}"
                    )));
                }
            };
            let name = body.text()?;
            if kind == b'D' {
                Front::Describe { portal, name }
            } else {
                Front::Close { portal, name }
            }
        }
        b'E' => {
            Front::Execute { portal: body.text()?, max: u32::try_from(body.i32()?).unwrap_or(0) }
        }
        b'S' => Front::Sync,
        b'H' => Front::Flush,
        b'X' => return Ok(Front::Terminate),
        b'F' => return Ok(Front::FunctionCall),
        _ => return Ok(Front::Ignored),
    };
    body.end()?;
    Ok(front)
}

/// The first message, which has no type.
pub fn decode_startup(buffer: &mut BytesMut) -> Result<Option<Startup>> {
    let Some(header) = buffer.get(..4) else { return Ok(None) };
    let length = u32::from_be_bytes(header.try_into().expect("four bytes"));
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if !(8..=STARTUP_MAX).contains(&length) {
        return Err(common::protocol("invalid length of startup packet"));
    }
    if buffer.len() < length {
        return Ok(None);
    }
    buffer.advance(4);
    let mut body = Body(buffer.split_to(length - 4).freeze());
    let code = body.i32()?;
    match (code >> 16, code & 0xffff) {
        (1234, 5679 | 5680) => Ok(Some(Startup::Encryption)),
        (1234, 5678) => Ok(Some(Startup::Cancel { pid: body.i32()?, secret: body.i32()? })),
        (3, minor) => {
            let mut parameters = Vec::new();
            loop {
                let name = body.text()?;
                if name.is_empty() {
                    break;
                }
                parameters.push((name, body.text()?));
            }
            Ok(Some(Startup::Session(parameters, u16::try_from(minor).unwrap_or(0))))
        }
        (major, minor) => Err(PgError::fatal(
            "0A000",
            format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.0"),
        )),
    }
}

/// What the server says, put together.
#[derive(Debug, Default)]
pub struct Out(pub BytesMut);

impl Out {
    fn message(&mut self, kind: u8, body: impl FnOnce(&mut BytesMut)) {
        self.0.put_u8(kind);
        let at = self.0.len();
        self.0.put_u32(0);
        body(&mut self.0);
        let length = u32::try_from(self.0.len() - at).unwrap_or(u32::MAX);
        self.0[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }

    pub fn authentication_ok(&mut self) {
        self.message(b'R', |body| body.put_i32(0));
    }

    pub fn negotiate_version(&mut self) {
        self.message(b'v', |body| {
            body.put_i32(0);
            body.put_i32(0);
        });
    }

    pub fn parameter_status(&mut self, name: &str, value: &str) {
        self.message(b'S', |body| {
            put_cstr(body, name);
            put_cstr(body, value);
        });
    }

    pub fn backend_key(&mut self, pid: i32, secret: i32) {
        self.message(b'K', |body| {
            body.put_i32(pid);
            body.put_i32(secret);
        });
    }

    /// `I`, `T` or `E`.
    pub fn ready(&mut self, status: u8) {
        self.message(b'Z', |body| body.put_u8(status));
    }

    pub fn empty(&mut self, kind: u8) {
        self.message(kind, |_| {});
    }

    /// Some tags end in a number.
    pub fn command_complete(&mut self, tag: &str, count: Option<u64>) {
        self.message(b'C', |body| {
            body.put_slice(tag.as_bytes());
            if let Some(count) = count {
                write!(body, " {count}").expect("a buffer takes all");
            }
            body.put_u8(0);
        });
    }

    pub fn parameter_description(&mut self, oids: impl ExactSizeIterator<Item = u32>) {
        self.message(b't', |body| {
            body.put_u16(u16::try_from(oids.len()).unwrap_or(u16::MAX));
            oids.for_each(|oid| body.put_u32(oid));
        });
    }

    pub fn row_description(&mut self, columns: &[OutColumn], formats: &[i16]) {
        self.message(b'T', |body| {
            body.put_u16(u16::try_from(columns.len()).unwrap_or(u16::MAX));
            for (at, column) in columns.iter().enumerate() {
                put_cstr(body, &column.name);
                let (table, number) = column.origin.unwrap_or((0, 0));
                body.put_u32(table);
                body.put_i16(number);
                body.put_u32(column.ty.oid());
                body.put_i16(column.ty.size());
                body.put_i32(column.typmod);
                body.put_i16(format_of(formats, at));
            }
        });
    }

    pub fn data_row(&mut self, row: &[Datum], columns: &[OutColumn], formats: &[i16]) {
        self.message(b'D', |body| {
            body.put_u16(u16::try_from(columns.len()).unwrap_or(u16::MAX));
            for (at, (datum, column)) in row.iter().zip(columns).enumerate() {
                match format_of(formats, at) {
                    0 => put_text(datum, column.ty, body),
                    _ => put_sized(datum, column.ty, body),
                }
            }
        });
    }

    pub fn notification(&mut self, pid: i32, channel: &str, payload: &str) {
        self.message(b'A', |body| {
            body.put_i32(pid);
            put_cstr(body, channel);
            put_cstr(body, payload);
        });
    }

    /// An error, or by its severity a notice.
    pub fn error(&mut self, error: &PgError) {
        let fields = error.fields();
        let notice = !matches!(fields.severity, "ERROR" | "FATAL" | "PANIC");
        self.message(if notice { b'N' } else { b'E' }, |body| {
            let position = fields.position.map(|position| position.to_string());
            let all = [
                (b'S', Some(fields.severity)),
                (b'V', Some(fields.severity)),
                (b'C', Some(&*fields.code)),
                (b'M', Some(fields.message.as_str())),
                (b'D', fields.detail.as_deref()),
                (b'H', fields.hint.as_deref()),
                (b'P', position.as_deref().filter(|_| fields.query.is_none())),
                (b'p', position.as_deref().filter(|_| fields.query.is_some())),
                (b'q', fields.query.as_deref()),
                (b'W', fields.context.as_deref()),
                (b's', fields.schema),
                (b't', fields.table.as_deref()),
                (b'c', fields.column.as_deref()),
                (b'n', fields.constraint.as_deref()),
            ];
            for (kind, value) in all {
                if let Some(value) = value {
                    body.put_u8(kind);
                    put_cstr(body, value);
                }
            }
            body.put_u8(0);
        });
    }
}

/// One format for all, one each, or text.
pub fn format_of(formats: &[i16], at: usize) -> i16 {
    match formats {
        [] => 0,
        [all] => *all,
        each => each.get(at).copied().unwrap_or(0),
    }
}

fn put_cstr(body: &mut BytesMut, text: &str) {
    body.put_slice(text.as_bytes());
    body.put_u8(0);
}
