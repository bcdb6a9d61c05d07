//! Connecting and accepting: SYN, backlog, refusal, and what a cancelled attempt leaves.
//! Must never keep a port or a place that its owner gave up.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::super::clock;
use super::super::exec::HostId;
use super::super::native::Native;
use super::fabric::{Arrival, Attempt, BACKLOG, ConnId, Fabric, Failed, Port, PortState};
use super::stream::Socket;

/// A SYN is sent again after 1, 2, 4 … s; after this many Linux gives up (about 127 s).
const SYN_RETRIES: u32 = 6;

impl Fabric {
    fn syn(&mut self, id: u64) {
        let Some(attempt) = self.attempts.get(&id) else { return };
        let at = self.arrival(attempt.from, attempt.to);
        self.schedule(at, Arrival::Syn(id));
    }

    pub(super) fn syn_arrives(&mut self, id: u64) {
        let Some(attempt) = self.attempts.get(&id) else { return };
        let (from, to, port, local) = (attempt.from, attempt.to, attempt.port, attempt.local_port);
        let (tries, cause) = (attempt.tries, attempt.cause);
        let full = self.listeners.get(&(to, port)).is_some_and(|l| l.backlog.len() >= BACKLOG);
        if full || self.is_blocked(from, to) || self.is_blocked(to, from) {
            return self.syn_lost(id, tries);
        }
        if !self.listeners.contains_key(&(to, port)) {
            let at = self.arrival(to, from);
            return self.schedule(at, Arrival::SynRefused(id));
        }
        let conn = self.open((from, local), (to, port));
        let at = self.arrival(to, from);
        self.conn(conn).expect("just opened").pipes[1].last_arrival = at;
        self.schedule(at, Arrival::SynAck(id, conn));
        let listening = self.listeners.get_mut(&(to, port)).expect("just seen");
        listening.backlog.push_back((conn, cause));
        self.woken.extend(listening.sleeper.take());
    }

    fn syn_lost(&mut self, id: u64, tries: u32) {
        if tries >= SYN_RETRIES {
            return self.attempt_ends(id, Err(Failed::TimedOut));
        }
        self.attempts.get_mut(&id).expect("just seen").tries += 1;
        let at = clock::ceil(self.now + Duration::from_secs(1 << tries));
        self.schedule(at, Arrival::Syn(id));
    }

    pub(super) fn syn_ack_arrives(&mut self, id: u64, conn: ConnId) {
        if self.attempts.contains_key(&id) {
            self.attempt_ends(id, Ok(conn));
        } else {
            // Nobody waits for it any more: the connecting kernel answers with a reset.
            self.abandon(conn);
        }
    }

    pub(super) fn attempt_ends(&mut self, id: u64, result: Result<ConnId, Failed>) {
        if let Some(attempt) = self.attempts.get_mut(&id) {
            attempt.result = Some(result);
            self.woken.extend(attempt.sleeper.take());
        }
    }

    /// The accepting end closed its port before it took the connection.
    fn refuse(&mut self, conn: ConnId) {
        if let Some(known) = self.conn(conn) {
            known.ends[1].gone = true;
            let (from, to) = (known.pipes[1].from, known.pipes[1].to);
            let at = self.arrival(from, to);
            self.schedule(at, Arrival::Reset(conn, 0));
        }
    }

    /// The connecting end vanished before it was ever held.
    fn abandon(&mut self, conn: ConnId) {
        if let Some(known) = self.conn(conn) {
            known.ends[0].gone = true;
            let (from, to) = (known.pipes[0].from, known.pipes[0].to);
            let at = self.arrival(from, to);
            self.schedule(at, Arrival::Reset(conn, 1));
        }
    }
}

/// Looks up `name:port`.
fn resolve(fabric: &Fabric, addr: &str) -> io::Result<(HostId, Port)> {
    let unknown =
        || io::Error::new(io::ErrorKind::NotFound, format!("no host answers to `{addr}`"));
    let (name, port) = addr.rsplit_once(':').ok_or_else(unknown)?;
    let port = port.parse().map_err(|_| unknown())?;
    let by_address = name.parse().ok().and_then(|ip: std::net::IpAddr| {
        (0..fabric.host_names.len()).find(|host| Fabric::address(*host, 0).ip() == ip)
    });
    let host = fabric.host(name).or(by_address).ok_or_else(unknown)?;
    Ok((host, port))
}

/// Removes the attempt when the caller stops waiting.
struct Pending {
    net: Arc<Native>,
    id: u64,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.net.with(|fabric| {
            if let Some(attempt) = fabric.attempts.remove(&self.id)
                && let Some(Ok(conn)) = attempt.result
            {
                fabric.abandon(conn);
            }
        });
    }
}

/// Connects `from` to `addr`.
pub async fn connect(net: Arc<Native>, from: HostId, addr: String) -> io::Result<Socket> {
    let cause = net.cause();
    let id = net.with(|fabric| {
        let (to, port) = resolve(fabric, &addr)?;
        let local_port = fabric.free_port(from);
        fabric.next_attempt += 1;
        let id = fabric.next_attempt;
        let attempt =
            Attempt { from, to, port, local_port, tries: 0, sleeper: None, result: None, cause };
        fabric.attempts.insert(id, attempt);
        fabric.syn(id);
        io::Result::Ok(id)
    })?;
    let pending = Pending { net: Arc::clone(&net), id };
    let result = std::future::poll_fn(|cx| {
        pending.net.with(|fabric| {
            let attempt = fabric.attempts.get_mut(&id).expect("its guard is alive");
            if let Some(result) = attempt.result.take() {
                Poll::Ready(result)
            } else {
                attempt.sleeper = Some(pending.net.sleeper(cx.waker()));
                Poll::Pending
            }
        })
    })
    .await;
    match result {
        Ok(conn) => Ok(Socket::new(net, conn, 0)),
        Err(Failed::Refused) => Err(io::ErrorKind::ConnectionRefused.into()),
        Err(Failed::TimedOut) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// A bound port. Dropping it closes the port and resets what waits in its backlog.
pub struct Acceptor {
    net: Arc<Native>,
    host: HostId,
    port: Port,
}

impl Acceptor {
    /// Binds `addr` (`0.0.0.0:8080`); only its port matters, and 0 takes a free one.
    pub fn bind(net: Arc<Native>, host: HostId, addr: &str) -> io::Result<Acceptor> {
        let port = addr.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let port: Port = port.ok_or(io::ErrorKind::InvalidInput)?;
        let port = net.with(|fabric| {
            let port = if port == 0 { fabric.free_port(host) } else { port };
            match fabric.listeners.entry((host, port)) {
                std::collections::btree_map::Entry::Occupied(_) => {
                    Err(io::Error::from(io::ErrorKind::AddrInUse))
                }
                std::collections::btree_map::Entry::Vacant(free) => {
                    free.insert(PortState::default());
                    Ok(port)
                }
            }
        })?;
        Ok(Acceptor { net, host, port })
    }

    pub fn local_addr(&self) -> SocketAddr {
        Fabric::address(self.host, self.port)
    }

    pub async fn accept(&mut self) -> io::Result<(Socket, SocketAddr)> {
        let (conn, cause, peer) = std::future::poll_fn(|cx| {
            self.net.with(|fabric| {
                let Some(state) = fabric.listeners.get_mut(&(self.host, self.port)) else {
                    return Poll::Ready(Err(io::Error::from(io::ErrorKind::NotConnected)));
                };
                let Some((conn, cause)) = state.backlog.pop_front() else {
                    state.sleeper = Some(self.net.sleeper(cx.waker()));
                    return Poll::Pending;
                };
                let known = fabric.conn(conn).expect("nobody held it yet");
                let peer = Fabric::address(known.pipes[0].from, known.ends[0].port);
                Poll::Ready(Ok((conn, cause, peer)))
            })
        })
        .await?;
        self.net.learn(cause);
        Ok((Socket::new(Arc::clone(&self.net), conn, 1), peer))
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.net.with(|fabric| {
            let state = fabric.listeners.remove(&(self.host, self.port));
            for (conn, _) in state.into_iter().flat_map(|state| state.backlog) {
                fabric.refuse(conn);
            }
        });
    }
}
