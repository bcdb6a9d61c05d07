//! The plan's faults, applied: crash, power loss, stop, partition, reset, stall, pause, clock jump.
//! A fault that finds nothing to strike (a host that is down already) does nothing. Must
//! never draw: the plan has chosen.

use std::time::Duration;

use super::events;
use super::exec::HostId;
use super::run::{Act, Life};
use crate::plan::Fault;
use crate::trace::Value;

impl Life<'_> {
    pub(super) fn strike(&mut self, fault: Fault) {
        match fault {
            Fault::Crash { host, restart_after } => self.crash(&host, false, restart_after),
            Fault::PowerLoss { host, restart_after } => self.crash(&host, true, restart_after),
            Fault::Stop { host, restart_after } => self.stop(&host, restart_after),
            Fault::Partition { from, to, one_way, for_ } => self.cut(&from, &to, one_way, for_),
            Fault::Reset { host } => self.reset(&host),
            Fault::Stall { host, for_ } => self.stall(&host, for_),
            Fault::Pause { host, for_ } => self.pause(&host, for_),
            Fault::ClockJump { host, ms } => self.jump(&host, ms),
            // The database was given these with the plan: it knows when they are due.
            Fault::Statement { .. } | Fault::Commit { .. } | Fault::Connections { .. } => {}
        }
    }

    fn tell(&self, name: &'static str, fields: Vec<(&'static str, Value)>) {
        self.world.tell(|recorder| recorder.event(name, fields));
    }

    fn running(&self, name: &str) -> Option<HostId> {
        self.world.find(name).filter(|host| self.world.is_running(*host))
    }

    fn crash(&mut self, name: &str, power_loss: bool, restart_after: Option<Duration>) {
        let Some(host) = self.running(name) else { return };
        if power_loss && let Some(native) = self.native() {
            native.with(|fabric| fabric.darken(host));
        }
        self.world.bury(host);
        let kind = if power_loss { "power_loss" } else { "crash" };
        self.tell(events::HOST_CRASHED, vec![("host", name.into()), ("kind", kind.into())]);
        if self.world.hosts[host].is_user {
            // Users run once: whoever is gone is gone.
            self.user_left();
        } else if let Some(delay) = restart_after {
            self.act_at(self.now() + delay, Act::Restart(host));
        }
    }

    fn stop(&mut self, name: &str, restart_after: Option<Duration>) {
        let Some(host) = self.running(name) else { return };
        self.tell(events::HOST_STOPPING, vec![("host", name.into())]);
        self.stopping.insert(host, restart_after);
        self.world.ask_to_stop(host);
    }

    fn cut(&mut self, from: &str, to: &str, one_way: bool, for_: Duration) {
        let Some(native) = self.native() else { return };
        let (Some(a), Some(b)) = (self.world.find(from), self.world.find(to)) else { return };
        let until = self.now() + for_;
        native.with(|fabric| {
            fabric.block(a, b, until);
            if !one_way {
                fabric.block(b, a, until);
            }
        });
        let fields = vec![("from", from.into()), ("to", to.into()), ("one_way", one_way.into())];
        self.tell(events::NET_PARTITION, fields);
        let (from, to) = (from.to_owned(), to.to_owned());
        self.act_at(until, Act::Unblock { from, to });
    }

    /// A partition's time is over: the fabric knows by its own clock; this tells it.
    pub(super) fn unblocked(&self, from: &str, to: &str) {
        self.tell(events::NET_HEALED, vec![("from", from.into()), ("to", to.into())]);
    }

    fn peer_name(&self, peer: HostId) -> Value {
        Value::from(&*self.world.hosts[peer].name)
    }

    fn reset(&mut self, name: &str) {
        let Some(host) = self.running(name) else { return };
        let Some(native) = self.native() else { return };
        if let Some(peer) = native.with(|fabric| fabric.reset_one(host)) {
            let fields = vec![("host", name.into()), ("peer", self.peer_name(peer))];
            self.tell(events::NET_RESET, fields);
        }
    }

    fn stall(&mut self, name: &str, for_: Duration) {
        let Some(host) = self.running(name) else { return };
        let until = self.now() + for_;
        let Some(native) = self.native() else { return };
        if let Some(peer) = native.with(|fabric| fabric.stall_one(host, until)) {
            let fields =
                vec![("host", name.into()), ("peer", self.peer_name(peer)), ("ms", ms(for_))];
            self.tell(events::NET_STALLED, fields);
        }
    }

    fn pause(&mut self, name: &str, for_: Duration) {
        let Some(host) = self.running(name) else { return };
        self.world.exec(host).pause(host);
        self.tell(events::HOST_PAUSED, vec![("host", name.into()), ("ms", ms(for_))]);
        self.act_at(self.now() + for_, Act::Resume(host));
    }

    fn jump(&mut self, name: &str, by_ms: i64) {
        let Some(host) = self.world.find(name) else { return };
        self.world.hosts[host].inner.lock().expect("host").skew_ms += by_ms;
        self.tell(events::CLOCK_JUMPED, vec![("host", name.into()), ("ms", by_ms.into())]);
    }
}

fn ms(duration: Duration) -> Value {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).into()
}
