//! What goes wrong with the network: resets, stalls, partitions, darkness.
//! Must never choose when: it is told.

use super::super::exec::HostId;
use super::fabric::{ConnId, Fabric};
use super::pipe::Dead;
use crate::env::Moment;

impl Fabric {
    /// Connections of `host` that both ends still hold, in the order they were opened.
    fn open_of(&self, host: HostId) -> Vec<ConnId> {
        let of_host = |conn: &super::fabric::Conn| {
            conn.ends.iter().all(|end| !end.gone) && conn.pipes.iter().any(|pipe| pipe.from == host)
        };
        self.conns().filter(|(_, conn)| of_host(conn)).map(|(id, _)| id).collect()
    }

    fn draw_open(&mut self, host: HostId) -> Option<ConnId> {
        let open = self.open_of(host);
        if open.is_empty() {
            return None;
        }
        let index = self.faults.index(open.len());
        self.choices.push(("fault", open.len() as u64, index as u64));
        Some(open[index])
    }

    fn peer_of(&mut self, conn: ConnId, host: HostId) -> HostId {
        let pipe = &self.conn(conn).expect("an open connection").pipes[0];
        if pipe.from == host { pipe.to } else { pipe.from }
    }

    /// Resets one open connection of `host`; the peer it had.
    pub fn reset_one(&mut self, host: HostId) -> Option<HostId> {
        let conn = self.draw_open(host)?;
        self.kill(conn, 0, Dead::Reset);
        self.kill(conn, 1, Dead::Reset);
        Some(self.peer_of(conn, host))
    }

    /// One open connection of `host` delivers nothing until `until`; the peer it has.
    pub fn stall_one(&mut self, host: HostId, until: Moment) -> Option<HostId> {
        let conn = self.draw_open(host)?;
        for pipe in &mut self.conn(conn).expect("just drawn").pipes {
            pipe.stalled_until = until;
        }
        Some(self.peer_of(conn, host))
    }

    /// Nothing passes from `from` to `to` until `until`.
    pub fn block(&mut self, from: HostId, to: HostId, until: Moment) {
        let known = self.blocked.entry((from, to)).or_insert(until);
        *known = (*known).max(until);
    }

    /// The host has no power: its sockets and ports are gone without a word.
    pub fn darken(&mut self, host: HostId) {
        self.dark[host] = true;
        for conn in self.conns_mut() {
            for end in 0..2 {
                if conn.pipes[end].from == host {
                    conn.ends[end].gone = true;
                    conn.pipes[end].lose_in_flight();
                }
            }
        }
        self.listeners.retain(|(owner, _), _| *owner != host);
    }

    /// Faults are over: links carry, stalls end, everything has power.
    pub fn heal(&mut self) {
        self.blocked.clear();
        self.dark.fill(false);
        let now = self.now;
        for conn in self.conns_mut() {
            for pipe in &mut conn.pipes {
                pipe.stalled_until = pipe.stalled_until.min(now);
            }
        }
    }
}
