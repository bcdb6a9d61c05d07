//! The loop of the native engine: poll the task that the strategy picks until none can run, then
//! advance to the next instant. Knows when a run is over; must never know what a host does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::budget::Budget;
use super::exec::{self, Exec, HostId, Panic, Step};
use super::kernel::Kernel;
use super::meter::{Part, charge};
use super::native::Native;
use super::net::Fabric;
use super::record::Recorder;
use super::shared::{Ground, HostState, MAIN, World};
use super::{Cast, Ended, Reason, events, layer};
use crate::env::Moment;
use crate::plan::{Engine, Fault, FaultPlan, Plan};
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
    exec::silence_panics();
    let names = cast.specs().map(|spec| spec.name.as_str().into()).collect();
    let streams = match plan.engine {
        Engine::Native => vec!["schedule".to_owned()],
        Engine::Turmoil => super::turmoil::schedule_streams(&cast),
    };
    let kernel = Kernel::new(plan, Recorder::new(record, names), &streams);
    let budget = Budget::new(plan.steps_max, wall_max);
    layer::recording(&kernel, || match plan.engine {
        Engine::Native => native_life(plan, cast, &kernel).run(observer, &budget),
        Engine::Turmoil => super::turmoil::run(plan, cast, &kernel, observer, &budget),
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

/// A life on the native engine: one executor for all hosts.
fn native_life<'a>(plan: &'a Plan, cast: Cast, kernel: &Arc<Kernel>) -> Life<'a> {
    let names = cast.specs().map(|spec| spec.name.clone()).collect();
    let fabric = Fabric::new(plan.seed, plan.network.clone(), names);
    let native = Native::new(fabric, Arc::clone(kernel));
    let exec = Exec::new(kernel, 0);
    let state = |(spec, is_user)| HostState::new(plan, spec, is_user, 0);
    let hosts = cast.into_specs().map(state).collect();
    let world = World::new(plan, Ground::Native(native), kernel, vec![exec], hosts);
    Life::new(plan, world, plan.faults.clone())
}

/// One run from its first step to its last.
pub(super) struct Life<'a> {
    pub(super) plan: &'a Plan,
    pub(super) world: Arc<World>,
    users_left: usize,
    settled: bool,
    acts: BTreeMap<(Moment, u64), Act>,
    next_act: u64,
    /// Hosts that were asked to stop, and how long after their exit they are started again.
    pub(super) stopping: BTreeMap<HostId, Option<Duration>>,
    fresh: Vec<Event>,
}

impl<'a> Life<'a> {
    pub(super) fn new(plan: &'a Plan, world: Arc<World>, faults: Vec<FaultPlan>) -> Life<'a> {
        let users_left = world.hosts.iter().filter(|host| host.is_user).count();
        let mut life = Life {
            plan,
            world,
            users_left,
            settled: false,
            acts: BTreeMap::new(),
            next_act: 0,
            stopping: BTreeMap::new(),
            fresh: Vec::new(),
        };
        for fault in faults {
            life.act_at(Moment(fault.at), Act::Fault(fault.what));
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

    /// The native network, when that is the engine.
    pub(super) fn native(&self) -> Option<&Arc<Native>> {
        if let Ground::Native(native) = &self.world.ground { Some(native) } else { None }
    }

    /// Where all runs begin: every host and user starts at time 0.
    pub(super) fn begin(&mut self) {
        for host in 0..self.world.hosts.len() {
            self.world.start(host);
        }
        self.settle_if_alone();
    }

    fn run(mut self, observer: &mut dyn Observer, budget: &Budget) -> Ended {
        self.begin();
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
        self.show(observer)?;
        loop {
            match self.world.execs[0].step(|steps| budget.cut(steps).is_none()) {
                Step::Idle => return Ok(()),
                Step::Ran { steps, fresh } => {
                    if fresh {
                        // A process that returned has said so by an event.
                        self.show(observer)?;
                        self.handle_exits();
                    }
                    if let Some(reason) = budget.cut(steps) {
                        return Err(reason);
                    }
                }
                Step::Panicked(panic) => {
                    self.panicked(&panic)?;
                    self.show(observer)?;
                    self.handle_exits();
                }
            }
        }
    }

    /// Advances to the next instant at which anything happens, unless the run is over.
    fn next_instant(&mut self, observer: &dyn Observer) -> Result<(), Reason> {
        let native = Arc::clone(self.native().expect("the loop of the native engine"));
        if self.rests(observer) && native.quiet() {
            return Err(Reason::Rested);
        }
        let bound = Moment(self.plan.faults_until + self.plan.quiesce);
        let act = self.acts.first_key_value().map(|(key, _)| key.0);
        let next = [act, native.next_instant()].into_iter().flatten().min();
        let Some(next) = next.filter(|next| *next <= bound) else {
            let end = bound.max(self.now());
            self.world.tell(|recorder| recorder.advance(end));
            return Err(Reason::QuiesceOver);
        };
        let next = next.max(self.now());
        native.advance(next);
        self.act_until(next);
        Ok(())
    }

    /// Whether nothing is owed and everybody has gone home.
    pub(super) fn rests(&self, observer: &dyn Observer) -> bool {
        self.settled && !observer.owed()
    }

    /// Does what the world does by itself up to `now`.
    pub(super) fn act_until(&mut self, now: Moment) {
        while let Some(entry) = self.acts.first_entry()
            && entry.key().0 <= now
        {
            let act = entry.remove();
            self.apply(act);
            // What the world does by itself is nobody's doing.
            self.world.tell(Recorder::leave);
        }
    }

    fn apply(&mut self, act: Act) {
        match act {
            Act::Fault(fault) => self.strike(fault),
            Act::Restart(host) if !self.world.is_running(host) => self.world.start(host),
            Act::Restart(_) => {}
            Act::Resume(host) => self.world.exec(host).resume(host),
            Act::Unblock { from, to } => self.unblocked(&from, &to),
            Act::Heal => self.heal(),
            Act::Settle => self.settled = true,
        }
    }

    /// Faults are over: everything that is broken is mended, and from now on schedules are fair.
    fn heal(&mut self) {
        if let Some(native) = self.native() {
            native.with(Fabric::heal);
        }
        for (host, state) in self.world.hosts.iter().enumerate() {
            self.world.exec(host).resume(host);
            if !state.is_user && !self.world.is_running(host) {
                self.world.start(host);
            }
        }
        self.world.execs.iter().for_each(super::exec::Exec::be_fair);
        self.world.tell(|recorder| recorder.event(events::FAULTS_OVER, Vec::new()));
    }

    pub(super) fn handle_exits(&mut self) {
        let exits = std::mem::take(&mut *self.world.exits());
        for host in exits {
            self.world.bury(host);
            if self.world.hosts[host].is_user {
                self.user_left();
                continue;
            }
            let delay = self.stopping.remove(&host).unwrap_or(Some(SUPERVISOR_DELAY));
            if let Some(delay) = delay {
                self.act_at(self.now() + delay, Act::Restart(host));
            }
        }
    }

    /// A user has done its script, or crashed.
    pub(super) fn user_left(&mut self) {
        self.users_left -= 1;
        self.settle_if_alone();
    }

    fn settle_if_alone(&mut self) {
        if self.users_left == 0 {
            self.act_at(self.now() + SETTLE, Act::Settle);
        }
    }

    pub(super) fn panicked(&self, panic: &Panic) -> Result<(), Reason> {
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
            self.world.exited(panic.host, &Err("panicked".to_owned()));
        }
        Ok(())
    }

    /// Shows the observer what is new.
    pub(super) fn show(&mut self, observer: &mut dyn Observer) -> Result<(), Reason> {
        self.world.tell(|recorder| recorder.take_fresh(&mut self.fresh));
        if self.fresh.is_empty() {
            return Ok(());
        }
        let fresh = &self.fresh;
        let goes_on = charge(Part::Observer, || fresh.iter().all(|event| observer.event(event)));
        self.world.tell(|recorder| recorder.keep(&mut self.fresh));
        if goes_on { Ok(()) } else { Err(Reason::Stopped) }
    }

    fn finish(self, reason: Reason) -> Ended {
        let left = self.census();
        for host in 0..self.world.hosts.len() {
            self.world.bury(host);
        }
        self.ended(reason, left, Vec::new())
    }

    /// Tasks of hosts that are alive, main tasks aside.
    pub(super) fn census(&self) -> Vec<(String, &'static str, usize)> {
        let all = self.world.execs.iter().flat_map(super::exec::Exec::census);
        let of_hosts =
            all.filter(|((host, name), _)| !self.world.hosts[*host].is_user && *name != MAIN);
        of_hosts
            .map(|((host, name), n)| (self.world.hosts[host].name.to_string(), name, n))
            .collect()
    }

    pub(super) fn ended(
        &self,
        reason: Reason,
        left: Vec<(String, &'static str, usize)>,
        left_out: Vec<FaultPlan>,
    ) -> Ended {
        let (at, step) = self.world.tell(|recorder| (recorder.now(), recorder.steps()));
        let trace = self.world.tell(Recorder::finish);
        Ended { trace, reason, end: End { at, step, left }, left_out }
    }
}

/// tokio's own words when its time, network or tasks are used where no tokio runs.
fn is_escape(message: &str) -> bool {
    message.contains("there is no reactor running")
        || message.contains("must be called from the context of a Tokio")
        || message.contains("no timer running")
}
