//! The fabric: every connection, port and packet of the world, and the agenda of arrivals.
//! Never wakes anybody: who is to be woken is collected and handed to the caller.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::super::clock;
use super::super::exec::HostId;
use super::super::record::Sleeper;
use super::agenda::Agenda;
use super::pipe::{Dead, Pipe};
use crate::env::Moment;
use crate::plan::NetworkPlan;
use crate::seed::{Seed, Stream};
use crate::trace::EventIndex;

/// Position in the fabric's table, which only grows: a run opens few connections.
pub type ConnId = usize;
pub type Port = u16;

/// First retransmission time-out; it doubles (RFC 6298, whose floor is 1 s; Linux uses 200 ms).
pub const RTO_FIRST: Duration = Duration::from_millis(200);
/// A segment that was not acknowledged for this long ends its connection.
pub const TCP_TIMEOUT: Duration = Duration::from_secs(100);
/// Connections that wait to be accepted.
pub const BACKLOG: usize = 128;
/// First port of the range that connecting sockets take.
const EPHEMERAL: Port = 32768;

/// One end of a connection, as its socket sees it.
pub struct End {
    pub port: Port,
    /// The socket was dropped, or its host lost power.
    pub gone: bool,
}

/// A connection: end 0 connected, end 1 accepted. `pipes[i]` carries what end `i` sends.
pub struct Conn {
    pub ends: [End; 2],
    pub pipes: [Pipe; 2],
    /// What each end gets to see of a dead connection.
    pub dead: [Option<Dead>; 2],
}

/// An attempt to connect.
pub struct Attempt {
    pub from: HostId,
    pub to: HostId,
    pub port: Port,
    pub local_port: Port,
    pub tries: u32,
    pub sleeper: Option<Sleeper>,
    pub result: Option<Result<ConnId, Failed>>,
    pub cause: Option<EventIndex>,
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    Refused,
    TimedOut,
}

/// A bound port: who waits to be accepted, who waits to accept.
#[derive(Default)]
pub struct PortState {
    pub backlog: VecDeque<(ConnId, Option<EventIndex>)>,
    pub sleeper: Option<Sleeper>,
}

/// What arrives.
#[derive(Clone, Copy, Debug)]
pub enum Arrival {
    Syn(u64),
    SynAck(u64, ConnId),
    SynRefused(u64),
    /// The head of pipe `.1` of the connection.
    Segment(ConnId, usize),
    /// A reset reaches end `.1`.
    Reset(ConnId, usize),
}

pub struct Fabric {
    pub manners: NetworkPlan,
    seed: Seed,
    pub host_names: Vec<String>,
    pub now: Moment,
    agenda: Agenda<Arrival>,
    conns: Vec<Option<Conn>>,
    pub attempts: BTreeMap<u64, Attempt>,
    pub next_attempt: u64,
    pub listeners: BTreeMap<(HostId, Port), PortState>,
    next_port: BTreeMap<HostId, Port>,
    /// Links that carry nothing: from, to, until when.
    pub blocked: BTreeMap<(HostId, HostId), Moment>,
    /// Hosts without power.
    pub dark: Vec<bool>,
    /// By sender, then receiver; most never meet.
    latency: Vec<Option<Box<Stream>>>,
    pub segments: Stream,
    pub faults: Stream,
    /// Choices made since the recorder last asked: stream, among, chosen.
    pub choices: Vec<(&'static str, u64, u64)>,
    /// To be woken, in this order.
    pub woken: Vec<Sleeper>,
}

impl Fabric {
    pub fn new(seed: Seed, manners: NetworkPlan, host_names: Vec<String>) -> Fabric {
        Fabric {
            manners,
            seed,
            dark: vec![false; host_names.len()],
            now: Moment::default(),
            agenda: Agenda::default(),
            conns: Vec::new(),
            attempts: BTreeMap::new(),
            next_attempt: 0,
            listeners: BTreeMap::new(),
            next_port: BTreeMap::new(),
            blocked: BTreeMap::new(),
            latency: vec![None; host_names.len() * host_names.len()],
            host_names,
            segments: Stream::new(seed, "segment"),
            faults: Stream::new(seed, "fault/connection"),
            choices: Vec::new(),
            woken: Vec::new(),
        }
    }

    pub fn address(host: HostId, port: Port) -> SocketAddr {
        let [high, low] = u16::try_from(host + 1).expect("fewer than 65,535 hosts").to_be_bytes();
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, high, low)), port)
    }

    pub fn host(&self, name: &str) -> Option<HostId> {
        self.host_names.iter().position(|known| known == name)
    }

    pub fn free_port(&mut self, host: HostId) -> Port {
        let next = self.next_port.entry(host).or_insert(EPHEMERAL);
        let port = *next;
        *next = if port == Port::MAX { EPHEMERAL } else { port + 1 };
        port
    }

    /// When what leaves now arrives. A host reaches itself at once.
    pub fn arrival(&mut self, from: HostId, to: HostId) -> Moment {
        if from == to {
            return self.now;
        }
        let NetworkPlan { latency_min, latency_max, spike_ppm, spike, .. } = self.manners;
        let (seed, names) = (self.seed, &self.host_names);
        let stream = self.latency[from * names.len() + to].get_or_insert_with(|| {
            Box::new(Stream::joined(seed, &["latency/", &names[from], "/", &names[to]]))
        });
        let span = u64::try_from(latency_max.checked_sub(latency_min).unwrap().as_micros())
            .unwrap_or(u64::MAX)
            + 1;
        let drawn = stream.below(span);
        let mut latency = latency_min + Duration::from_micros(drawn);
        if spike_ppm > 0 && stream.chance_ppm(spike_ppm) {
            latency += spike;
        }
        self.choices.push(("latency", span, drawn));
        clock::ceil(self.now + latency)
    }

    pub fn schedule(&mut self, at: Moment, arrival: Arrival) {
        self.agenda.push(at, arrival);
    }

    pub fn next_arrival(&self) -> Option<Moment> {
        self.agenda.next()
    }

    /// Whether anything is on its way.
    pub fn quiet(&self) -> bool {
        self.agenda.is_empty()
    }

    /// Lets everything arrive that is due.
    pub fn arrive_due(&mut self) {
        while let Some(arrival) = self.agenda.pop_due(self.now) {
            match arrival {
                Arrival::Syn(attempt) => self.syn_arrives(attempt),
                Arrival::SynAck(attempt, conn) => self.syn_ack_arrives(attempt, conn),
                Arrival::SynRefused(attempt) => self.attempt_ends(attempt, Err(Failed::Refused)),
                Arrival::Segment(conn, side) => self.segment_arrives(conn, side),
                Arrival::Reset(conn, end) => self.reset_arrives(conn, end),
            }
        }
    }

    pub fn is_blocked(&self, from: HostId, to: HostId) -> bool {
        self.dark[to] || self.blocked.get(&(from, to)).is_some_and(|until| *until > self.now)
    }

    pub fn open(&mut self, from: (HostId, Port), to: (HostId, Port)) -> ConnId {
        let end = |port| End { port, gone: false };
        let conn = Conn {
            ends: [end(from.1), end(to.1)],
            pipes: [Pipe::new(from.0, to.0, self.now), Pipe::new(to.0, from.0, self.now)],
            dead: [None, None],
        };
        self.conns.push(Some(conn));
        self.conns.len() - 1
    }

    /// The connection, while either end holds it or anything travels on it.
    pub fn conn(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns[id].as_mut()
    }

    pub fn conns(&self) -> impl Iterator<Item = (ConnId, &Conn)> {
        self.conns.iter().enumerate().filter_map(|(id, conn)| Some((id, conn.as_ref()?)))
    }

    pub fn conns_mut(&mut self) -> impl Iterator<Item = &mut Conn> {
        self.conns.iter_mut().flatten()
    }

    /// Sends `segments` of end `side`; each arrives in its own time, none before an earlier one.
    pub fn send(
        &mut self,
        id: ConnId,
        side: usize,
        bytes: &[u8],
        fin: bool,
        cause: Option<EventIndex>,
    ) {
        let Some(conn) = &self.conns[id] else { return };
        let pipe = &conn.pipes[side];
        let (from, to, last) = (pipe.from, pipe.to, pipe.last_arrival);
        let arrives = self.arrival(from, to).max(last);
        let pipe = &mut self.conns[id].as_mut().expect("just seen").pipes[side];
        pipe.send(bytes, arrives, fin, cause);
        if !pipe.scheduled {
            pipe.scheduled = true;
            let at = arrives.max(pipe.stalled_until);
            self.schedule(at, Arrival::Segment(id, side));
        }
    }

    fn segment_arrives(&mut self, id: ConnId, side: usize) {
        let Some(conn) = &self.conns[id] else { return };
        let pipe = &conn.pipes[side];
        let nobody = conn.ends[1 - side].gone || conn.dead[1 - side].is_some();
        if pipe.head().is_none() {
            return self.nothing_arrives(id, side);
        }
        if nobody && !self.dark[pipe.to] {
            return self.answer_with_reset(id, side);
        }
        if self.is_blocked(pipe.from, pipe.to) {
            return self.lose(id, side);
        }
        let now = self.now;
        let pipe = &mut self.conns[id].as_mut().expect("just seen").pipes[side];
        if pipe.stalled_until > now {
            let at = pipe.stalled_until;
            return self.schedule(at, Arrival::Segment(id, side));
        }
        while pipe.head().is_some_and(|segment| segment.arrives <= now) {
            pipe.deliver();
        }
        self.woken.extend(pipe.reader.take());
        let next = pipe.head().map(|segment| segment.arrives);
        pipe.scheduled = next.is_some();
        if let Some(at) = next {
            self.schedule(at, Arrival::Segment(id, side));
        }
        self.forget_if_over(id);
    }

    /// What was on its way was taken back.
    fn nothing_arrives(&mut self, id: ConnId, side: usize) {
        self.conns[id].as_mut().expect("just seen").pipes[side].scheduled = false;
        self.forget_if_over(id);
    }

    /// The head is lost on a dead link: TCP sends it again, ever more slowly, and gives up at last.
    fn lose(&mut self, id: ConnId, side: usize) {
        let now = self.now;
        let pipe = &mut self.conns[id].as_mut().expect("just seen").pipes[side];
        let since = *pipe.first_loss.get_or_insert(now);
        if now.since(since) >= TCP_TIMEOUT {
            pipe.lose_in_flight();
            pipe.scheduled = false;
            return self.kill(id, side, Dead::TimedOut);
        }
        let wait = RTO_FIRST * 2_u32.pow(pipe.retries.min(6));
        pipe.retries += 1;
        self.schedule(clock::ceil(now + wait), Arrival::Segment(id, side));
    }

    /// Bytes for a socket that is no more: the peer's kernel answers with a reset.
    fn answer_with_reset(&mut self, id: ConnId, side: usize) {
        let pipe = &mut self.conns[id].as_mut().expect("just seen").pipes[side];
        pipe.lose_in_flight();
        pipe.scheduled = false;
        let (from, to) = (pipe.to, pipe.from);
        if self.conns[id].as_ref().expect("just seen").ends[side].gone {
            return self.forget_if_over(id);
        }
        let at = self.arrival(from, to);
        self.schedule(at, Arrival::Reset(id, side));
    }

    fn reset_arrives(&mut self, id: ConnId, end: usize) {
        let Some(conn) = &self.conns[id] else { return };
        let (from, to) = (conn.pipes[1 - end].from, conn.pipes[1 - end].to);
        if self.is_blocked(from, to) {
            // The reset is lost; the end learns of it from its next segment, or never.
            return;
        }
        self.kill(id, end, Dead::Reset);
        self.forget_if_over(id);
    }

    /// End `end` learns that its connection is dead.
    pub fn kill(&mut self, id: ConnId, end: usize, dead: Dead) {
        let Some(conn) = &mut self.conns[id] else { return };
        if conn.dead[end].is_none() {
            conn.dead[end] = Some(dead);
        }
        conn.pipes[1 - end].clear();
        let [a, b] = &mut conn.pipes;
        a.take_sleepers(&mut self.woken);
        b.take_sleepers(&mut self.woken);
    }

    /// The socket of end `end` is dropped: FIN, or RST when it leaves bytes unread (RFC 1122,
    /// 4.2.2.13).
    pub fn close(&mut self, id: ConnId, end: usize, cause: Option<EventIndex>) {
        let Some(conn) = &mut self.conns[id] else { return };
        if conn.ends[end].gone {
            return;
        }
        conn.ends[end].gone = true;
        let unread = conn.pipes[1 - end].has_arrived();
        let (from, to) = (conn.pipes[end].from, conn.pipes[end].to);
        if unread && conn.dead[end].is_none() {
            conn.pipes[end].lose_in_flight();
            let at = self.arrival(from, to);
            self.schedule(at, Arrival::Reset(id, 1 - end));
        } else if !conn.pipes[end].fin_sent && conn.dead[end].is_none() {
            conn.pipes[end].fin_sent = true;
            self.send(id, end, &[], true, cause);
        }
        self.forget_if_over(id);
    }

    /// A connection that nobody holds and on which nothing travels is no more.
    fn forget_if_over(&mut self, id: ConnId) {
        if let Some(conn) = &self.conns[id]
            && conn.ends.iter().all(|end| end.gone)
            && conn.pipes.iter().all(|pipe| !pipe.scheduled)
        {
            self.conns[id] = None;
        }
    }
}
