//! The loop of the native engine: poll the task that the strategy picks until none can run, then
//! advance to the next instant. Knows when a run is over; must never know what a host does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::budget::Budget;
use super::exec::{Exec, HostId, Panic, Step};
use super::native::Native;
use super::net::Fabric;
use super::record::Recorder;
use super::sim_env::{Ground, MAIN, World};
use super::{Cast, Ended, HostSpec, Reason, events, layer, strategy};
use crate::env::Moment;
use crate::plan::{Engine, Fault, Plan};
use crate::seed::Stream;
use crate::trace::{Event, Observer, Value};
use crate::verdict::End;

/// Virtual time between the last user's end and the end of a run that owes nothing.
const SETTLE: Duration = Duration::from_millis(200);
/// How long after an unasked exit a process is started again, as a supervisor would.
const SUPERVISOR_DELAY: Duration = Duration::from_secs(1);

/// Runs `plan` with `cast` until it ends. `wall_max` bounds real time. The trace keeps its events
/// and choices only if `record`; digest, steps and end are always there.
pub fn run(
    plan: &Plan,
    cast: Cast,
    observer: &mut dyn Observer,
    record: bool,
    wall_max: Duration,
) -> Ended {
    let recorder = Arc::new(Mutex::new(Recorder::new(record)));
    let budget = Budget::new(plan.steps_max, wall_max);
    layer::recording(&recorder, || match plan.engine {
        Engine::Native => Life::new(plan, cast, &recorder).run(observer, &budget),
        Engine::Turmoil => super::turmoil::run(plan, cast, &recorder, observer, &budget),
    })
}

/// What the world itself does at an instant.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Fault(Fault),
    Restart(HostId),
    Resume(HostId),
    Unblock { from: String, to: String },
    Heal,
    Settle,
}

/// One run from its first step to its last.
pub(super) struct Life<'a> {
    pub(super) plan: &'a Plan,
    pub(super) world: Arc<World>,
    pub(super) native: Arc<Native>,
    exec: Arc<Exec>,
    specs: Vec<HostSpec>,
    /// How many of `specs` are hosts; the rest are users.
    hosts: usize,
    users_left: usize,
    settled: bool,
    acts: BTreeMap<(Moment, u64), Act>,
    next_act: u64,
    /// Hosts that were asked to stop, and how long after their exit they are started again.
    pub(super) stopping: BTreeMap<HostId, Option<Duration>>,
    fresh: Vec<Event>,
}

impl<'a> Life<'a> {
    fn new(plan: &'a Plan, cast: Cast, recorder: &Arc<Mutex<Recorder>>) -> Life<'a> {
        let (hosts, users_left) = (cast.hosts.len(), cast.users.len());
        let specs: Vec<HostSpec> = cast.hosts.into_iter().chain(cast.users).collect();
        let names: Vec<Arc<str>> = specs.iter().map(|spec| spec.name.as_str().into()).collect();
        let fabric_names = specs.iter().map(|spec| spec.name.clone()).collect();
        let fabric = Fabric::new(plan.seed, plan.network.clone(), fabric_names);
        let native = Native::new(fabric, Arc::clone(recorder));
        let mut stream = Stream::new(plan.seed, "schedule");
        let strategy = strategy::of(plan.strategy, &mut stream);
        let exec = Exec::new(strategy, stream, Arc::clone(recorder), names.clone());
        let ground = Ground::Native(Arc::clone(&native));
        let placed = names.into_iter().map(|name| (name, 0)).collect();
        let world = World::new(plan, ground, recorder, vec![Arc::clone(&exec)], placed);
        let mut life = Life {
            plan,
            world,
            native,
            exec,
            specs,
            hosts,
            users_left,
            settled: false,
            acts: BTreeMap::new(),
            next_act: 0,
            stopping: BTreeMap::new(),
            fresh: Vec::new(),
        };
        for fault in &plan.faults {
            life.act_at(Moment(fault.at), Act::Fault(fault.what.clone()));
        }
        life.act_at(Moment(plan.faults_until), Act::Heal);
        life
    }

    pub(super) fn act_at(&mut self, at: Moment, act: Act) {
        self.next_act += 1;
        self.acts.insert((at, self.next_act), act);
    }

    pub(super) fn now(&self) -> Moment {
        self.world.now()
    }

    pub(super) fn host(&self, name: &str) -> Option<HostId> {
        self.specs.iter().position(|spec| spec.name == name)
    }

    pub(super) fn is_user(&self, host: HostId) -> bool {
        host >= self.hosts
    }

    fn run(mut self, observer: &mut dyn Observer, budget: &Budget) -> Ended {
        for host in 0..self.specs.len() {
            self.start(host);
        }
        if self.users_left == 0 {
            self.act_at(self.now() + SETTLE, Act::Settle);
        }
        let reason = loop {
            if let Err(reason) = self.run_instant(observer, budget) {
                break reason;
            }
            if let Err(reason) = self.next_instant(observer) {
                break reason;
            }
        };
        self.finish(reason)
    }

    /// Lets tasks run until none can.
    fn run_instant(&mut self, observer: &mut dyn Observer, budget: &Budget) -> Result<(), Reason> {
        loop {
            match self.exec.step() {
                Step::Idle => return self.show(observer),
                Step::Ran => {}
                Step::Panicked(panic) => self.panicked(&panic)?,
            }
            self.show(observer)?;
            self.handle_exits();
            if let Some(reason) = budget.cut(self.world.tell(|recorder| recorder.steps())) {
                return Err(reason);
            }
        }
    }

    /// Advances to the next instant at which anything happens, unless the run is over.
    fn next_instant(&mut self, observer: &dyn Observer) -> Result<(), Reason> {
        if self.settled && !observer.owed() && self.native.quiet() {
            return Err(Reason::Rested);
        }
        let bound = Moment(self.plan.faults_until + self.plan.quiesce);
        let act = self.acts.first_key_value().map(|(key, _)| key.0);
        let next = [act, self.native.next_instant()].into_iter().flatten().min();
        let Some(next) = next.filter(|next| *next <= bound) else {
            let end = bound.max(self.now());
            self.world.tell(|recorder| recorder.advance(end));
            return Err(Reason::QuiesceOver);
        };
        let next = next.max(self.now());
        self.native.advance(next);
        while let Some(entry) = self.acts.first_entry()
            && entry.key().0 <= next
        {
            let act = entry.remove();
            self.apply(act);
            // What the world does by itself is nobody's doing.
            self.world.tell(Recorder::leave);
        }
        Ok(())
    }

    fn apply(&mut self, act: Act) {
        match act {
            Act::Fault(fault) => self.strike(fault),
            Act::Restart(host) if !self.world.is_running(host) => self.start(host),
            Act::Restart(_) => {}
            Act::Resume(host) => self.exec.resume(host),
            Act::Unblock { from, to } => self.unblocked(&from, &to),
            Act::Heal => self.heal(),
            Act::Settle => self.settled = true,
        }
    }

    pub(super) fn start(&mut self, host: HostId) {
        self.stopping.remove(&host);
        self.native.with(|fabric| fabric.dark[host] = false);
        self.world.start(host, &self.specs[host], self.is_user(host));
    }

    pub(super) fn exec(&self) -> &Exec {
        &self.exec
    }

    /// Faults are over: everything that is broken is mended, and from now on schedules are fair.
    fn heal(&mut self) {
        self.native.with(Fabric::heal);
        for host in 0..self.specs.len() {
            self.exec.resume(host);
            if !self.is_user(host) && !self.world.is_running(host) {
                self.start(host);
            }
        }
        self.exec.be_fair();
        self.world.tell(|recorder| recorder.event(events::FAULTS_OVER, Vec::new()));
    }

    fn handle_exits(&mut self) {
        for host in self.world.take_exits() {
            self.world.bury(host);
            if self.is_user(host) {
                self.users_left -= 1;
                if self.users_left == 0 {
                    self.act_at(self.now() + SETTLE, Act::Settle);
                }
                continue;
            }
            let delay = self.stopping.remove(&host).unwrap_or(Some(SUPERVISOR_DELAY));
            if let Some(delay) = delay {
                self.act_at(self.now() + delay, Act::Restart(host));
            }
        }
    }

    fn panicked(&mut self, panic: &Panic) -> Result<(), Reason> {
        let host = &self.world.hosts[panic.host].name;
        if is_escape(&panic.message) {
            let (task, location) = (panic.task, &panic.location);
            let text = format!("task `{task}` of {host} left the world at {location}");
            return Err(Reason::Escaped(text));
        }
        self.world.hosts[panic.host].inner.lock().expect("host").panicked += 1;
        let fields = vec![
            ("host", Value::from(&**host)),
            ("task", panic.task.into()),
            ("message", panic.message.as_str().into()),
            ("location", panic.location.as_str().into()),
        ];
        self.world.tell(|recorder| recorder.event(events::TASK_PANICKED, fields));
        if panic.task == MAIN {
            self.world.exited(panic.host, self.is_user(panic.host), Err("panicked".to_owned()));
        }
        Ok(())
    }

    /// Shows the observer what is new.
    fn show(&mut self, observer: &mut dyn Observer) -> Result<(), Reason> {
        self.world.tell(|recorder| recorder.take_fresh(&mut self.fresh));
        if self.fresh.is_empty() {
            return Ok(());
        }
        let goes_on = self.fresh.iter().all(|event| observer.event(event));
        self.world.tell(|recorder| recorder.keep(&mut self.fresh));
        if goes_on { Ok(()) } else { Err(Reason::Stopped) }
    }

    fn finish(self, reason: Reason) -> Ended {
        let census = self.exec.census();
        let left =
            census.into_iter().filter(|((host, name), _)| *host < self.hosts && *name != MAIN);
        let left = left.map(|((host, name), n)| (self.specs[host].name.clone(), name, n)).collect();
        for host in 0..self.specs.len() {
            self.world.bury(host);
        }
        let (at, step) = self.world.tell(|recorder| (recorder.now(), recorder.steps()));
        Ended {
            trace: self.world.tell(Recorder::finish),
            reason,
            end: End { at, step, left },
            left_out: Vec::new(),
        }
    }
}

/// tokio's own words when its time, network or tasks are used where no tokio runs.
fn is_escape(message: &str) -> bool {
    message.contains("there is no reactor running")
        || message.contains("must be called from the context of a Tokio")
        || message.contains("no timer running")
}
