//! One direction of a connection: bytes in flight, bytes that arrived, and who waits for either.
//! Must never reorder, lose or double a byte.

use std::collections::VecDeque;
use std::io;

use crate::env::Moment;
use crate::trace::EventIndex;

use super::super::exec::HostId;
use super::super::record::Sleeper;

/// Bytes sent and not yet read: send and receive buffer together.
pub const WINDOW: usize = 128 * 1024;

/// What travels in one piece.
pub struct Segment {
    pub arrives: Moment,
    /// What is not read of it.
    length: usize,
    /// The sender's end of stream.
    fin: bool,
    /// What the sender knew when it sent this.
    cause: Option<EventIndex>,
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
    /// What has arrived, and behind it what is in flight.
    bytes: VecDeque<u8>,
    /// Those that have arrived and are not read to their ends, and behind them those in flight.
    segments: VecDeque<Segment>,
    arrived: usize,
    /// A delivery of the head of what is in flight is on the agenda.
    pub scheduled: bool,
    /// Bytes sent and not read.
    pub unread: usize,
    pub last_arrival: Moment,
    pub fin_sent: bool,
    pub fin_arrived: bool,
    /// Nothing is delivered before this.
    pub stalled_until: Moment,
    /// Retransmissions of the head so far, and when the first attempt failed.
    pub retries: u32,
    pub first_loss: Option<Moment>,
    pub reader: Option<Sleeper>,
    pub writer: Option<Sleeper>,
}

impl Pipe {
    pub fn new(from: HostId, to: HostId, now: Moment) -> Pipe {
        Pipe {
            from,
            to,
            bytes: VecDeque::new(),
            segments: VecDeque::new(),
            arrived: 0,
            scheduled: false,
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
        let (mut total, mut room) = (0, buf.remaining());
        while room > 0
            && self.arrived > 0
            && let Some(segment) = self.segments.front_mut()
        {
            let taken = room.min(segment.length);
            cause = cause.max(segment.cause);
            segment.length -= taken;
            (total, room) = (total + taken, room - taken);
            if segment.length == 0 {
                self.segments.pop_front();
                self.arrived -= 1;
            }
        }
        let (first, second) = self.bytes.as_slices();
        let cut = total.min(first.len());
        buf.put_slice(&first[..cut]);
        buf.put_slice(&second[..total - cut]);
        if total == self.bytes.len() {
            self.bytes.clear();
        } else {
            self.bytes.drain(..total);
        }
        self.unread -= total;
        cause
    }

    pub fn has_arrived(&self) -> bool {
        self.arrived > 0
    }

    /// The first of what is in flight.
    pub fn head(&self) -> Option<&Segment> {
        self.segments.get(self.arrived)
    }

    /// Bytes leave; they arrive at `arrives`.
    pub fn send(&mut self, bytes: &[u8], arrives: Moment, fin: bool, cause: Option<EventIndex>) {
        self.last_arrival = arrives;
        self.unread += bytes.len();
        self.bytes.extend(bytes);
        self.segments.push_back(Segment { arrives, length: bytes.len(), fin, cause });
    }

    /// What is in flight is lost.
    pub fn lose_in_flight(&mut self) {
        let lost: usize = self.segments.drain(self.arrived..).map(|segment| segment.length).sum();
        self.bytes.truncate(self.bytes.len() - lost);
    }

    /// The head arrives.
    pub fn deliver(&mut self) {
        let segment = self.head().expect("a delivery has a segment");
        let (fin, empty) = (segment.fin, segment.length == 0);
        (self.retries, self.first_loss) = (0, None);
        self.fin_arrived |= fin;
        if empty {
            self.segments.remove(self.arrived);
        } else {
            self.arrived += 1;
        }
    }

    pub fn clear(&mut self) {
        self.segments.clear();
        self.arrived = 0;
        self.bytes.clear();
        self.unread = 0;
    }

    pub fn take_sleepers(&mut self, into: &mut Vec<Sleeper>) {
        into.extend(self.reader.take());
        into.extend(self.writer.take());
    }
}
