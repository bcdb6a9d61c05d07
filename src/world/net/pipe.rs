//! One direction of a connection: bytes in flight, bytes that arrived, and who waits for either.
//! Must never reorder, lose or double a byte.

use std::collections::VecDeque;
use std::io;
use std::task::Waker;

use crate::env::Moment;
use crate::trace::EventIndex;

use super::super::exec::HostId;

/// Bytes sent and not yet read: send and receive buffer together.
pub const WINDOW: usize = 128 * 1024;

/// What travels in one piece.
pub struct Segment {
    pub arrives: Moment,
    pub bytes: Vec<u8>,
    /// The sender's end of stream.
    pub fin: bool,
    /// What the sender knew when it sent this.
    pub cause: Option<EventIndex>,
}

/// Why a direction is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dead {
    Reset,
    TimedOut,
}

impl From<Dead> for io::Error {
    fn from(dead: Dead) -> io::Error {
        match dead {
            Dead::Reset => io::ErrorKind::ConnectionReset.into(),
            Dead::TimedOut => io::ErrorKind::TimedOut.into(),
        }
    }
}

pub struct Pipe {
    pub from: HostId,
    pub to: HostId,
    pub in_flight: VecDeque<Segment>,
    /// A delivery of the head of `in_flight` is on the agenda.
    pub scheduled: bool,
    pub arrived: VecDeque<Segment>,
    /// How far the head of `arrived` has been read.
    pub read_offset: usize,
    /// Bytes in flight and arrived.
    pub unread: usize,
    pub last_arrival: Moment,
    pub fin_sent: bool,
    pub fin_arrived: bool,
    /// Nothing is delivered before this.
    pub stalled_until: Moment,
    /// Retransmissions of the head so far, and when the first attempt failed.
    pub retries: u32,
    pub first_loss: Option<Moment>,
    pub reader: Option<Waker>,
    pub writer: Option<Waker>,
}

impl Pipe {
    pub fn new(from: HostId, to: HostId, now: Moment) -> Pipe {
        Pipe {
            from,
            to,
            in_flight: VecDeque::new(),
            scheduled: false,
            arrived: VecDeque::new(),
            read_offset: 0,
            unread: 0,
            last_arrival: now,
            fin_sent: false,
            fin_arrived: false,
            stalled_until: Moment::default(),
            retries: 0,
            first_loss: None,
            reader: None,
            writer: None,
        }
    }

    pub fn room(&self) -> usize {
        WINDOW.saturating_sub(self.unread)
    }

    /// Takes what has arrived into `buf`; the latest cause of the bytes taken.
    pub fn read(&mut self, buf: &mut tokio::io::ReadBuf<'_>) -> Option<EventIndex> {
        let mut cause = None;
        while buf.remaining() > 0
            && let Some(head) = self.arrived.front()
        {
            let rest = &head.bytes[self.read_offset..];
            let taken = rest.len().min(buf.remaining());
            buf.put_slice(&rest[..taken]);
            cause = cause.max(head.cause);
            self.unread -= taken;
            self.read_offset += taken;
            if self.read_offset == head.bytes.len() {
                self.read_offset = 0;
                self.arrived.pop_front();
            }
        }
        cause
    }

    /// The head arrives.
    pub fn deliver(&mut self) {
        let segment = self.in_flight.pop_front().expect("a delivery has a segment");
        (self.retries, self.first_loss) = (0, None);
        self.fin_arrived |= segment.fin;
        if !segment.bytes.is_empty() {
            self.arrived.push_back(segment);
        }
    }

    pub fn clear(&mut self) {
        self.in_flight.clear();
        self.arrived.clear();
        (self.read_offset, self.unread) = (0, 0);
    }

    pub fn take_wakers(&mut self, into: &mut Vec<Waker>) {
        into.extend(self.reader.take());
        into.extend(self.writer.take());
    }
}
