//! What all hosts of a run share without knowing it: the ground they stand on, the recorder, the
//! executors; and the life and death of processes. Must never outlive its run.

use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::Duration;

use super::exec::{Exec, HostId};
use super::kernel::Kernel;
use super::native::Native;
use super::record::Recorder;
use super::{HostSpec, SimEnv, events};
use crate::env::Moment;
use crate::plan::Plan;
use crate::seed::Stream;
use crate::trace::Value;

/// The name of a process's first task.
pub const MAIN: &str = "main";

/// What moves bytes and time.
pub enum Ground {
    Native(Arc<Native>),
    /// turmoil lets a host's sockets be touched only while that host runs: what the world does to
    /// a process waits here for its node's next turn.
    Turmoil(Mutex<Vec<Command>>),
}

/// What the world does to a process of the turmoil engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Bury(HostId),
    Start(HostId),
}

impl Command {
    pub fn host(self) -> HostId {
        match self {
            Command::Bury(host) | Command::Start(host) => host,
        }
    }
}

/// What the world knows of a host besides its tasks.
pub struct HostState {
    pub name: Arc<str>,
    pub is_user: bool,
    spec: HostSpec,
    /// Index into the world's executors.
    pub exec: usize,
    pub inner: Mutex<HostInner>,
}

pub struct HostInner {
    pub entropy: Stream,
    pub skew_ms: i64,
    /// Starts so far.
    life: u64,
    running: bool,
    pub stopping: bool,
    pub stop_waiters: Vec<Waker>,
    pub panicked: usize,
}

impl HostState {
    /// A host that has not started yet, living in the executor `exec`.
    pub fn new(plan: &Plan, spec: HostSpec, is_user: bool, exec: usize) -> HostState {
        let inner = HostInner {
            entropy: Stream::joined(plan.seed, &["entropy/", &spec.name]),
            skew_ms: 0,
            life: 0,
            running: false,
            stopping: false,
            stop_waiters: Vec::new(),
            panicked: 0,
        };
        let name = spec.name.as_str().into();
        HostState { name, is_user, spec, exec, inner: Mutex::new(inner) }
    }
}

pub struct World {
    pub ground: Ground,
    pub kernel: Arc<Kernel>,
    pub execs: Vec<Exec>,
    pub hosts: Vec<HostState>,
    pub stalls: Mutex<Stream>,
    pub stall_ppm: u32,
    pub stall_max: Duration,
    /// Processes whose main task has returned and that the engine has not buried yet.
    exits: Mutex<Vec<HostId>>,
}

impl World {
    pub fn new(
        plan: &Plan,
        ground: Ground,
        kernel: &Arc<Kernel>,
        execs: Vec<Exec>,
        hosts: Vec<HostState>,
    ) -> Arc<World> {
        Arc::new(World {
            ground,
            kernel: Arc::clone(kernel),
            execs,
            hosts,
            stalls: Mutex::new(Stream::new(plan.seed, "stall")),
            stall_ppm: plan.network.stall_ppm,
            stall_max: plan.network.stall_max,
            exits: Mutex::default(),
        })
    }

    pub fn exec(&self, host: HostId) -> &Exec {
        &self.execs[self.hosts[host].exec]
    }

    pub fn tell<R>(&self, what: impl FnOnce(&mut Recorder) -> R) -> R {
        self.kernel.tell(what)
    }

    pub fn now(&self) -> Moment {
        self.kernel.glance.now()
    }

    pub fn find(&self, name: &str) -> Option<HostId> {
        self.hosts.iter().position(|host| &*host.name == name)
    }

    pub fn is_running(&self, host: HostId) -> bool {
        self.hosts[host].inner.lock().expect("host").running
    }

    /// Begins a life of the host.
    pub fn start(self: &Arc<World>, host: HostId) {
        self.hosts[host].inner.lock().expect("host").running = true;
        match &self.ground {
            Ground::Native(native) => {
                native.with(|fabric| fabric.dark[host] = false);
                self.start_now(host);
            }
            Ground::Turmoil(commands) => self.command(commands, Command::Start(host)),
        }
    }

    /// Ends the host's process, whatever it is doing.
    pub fn bury(&self, host: HostId) {
        self.hosts[host].inner.lock().expect("host").running = false;
        match &self.ground {
            Ground::Native(_) => self.bury_now(host),
            Ground::Turmoil(commands) => self.command(commands, Command::Bury(host)),
        }
    }

    fn command(&self, commands: &Mutex<Vec<Command>>, command: Command) {
        commands.lock().expect("commands").push(command);
        self.exec(command.host()).wake_outer();
    }

    /// Spawns the main task of a new life.
    pub fn start_now(self: &Arc<World>, host: HostId) {
        let state = &self.hosts[host];
        let life = {
            let mut inner = state.inner.lock().expect("host");
            inner.life += 1;
            inner.stopping = false;
            inner.stop_waiters.clear();
            inner.life
        };
        let name = Value::from(&*state.name);
        self.tell(|recorder| {
            if state.is_user {
                recorder.event(events::USER_STARTED, vec![("user", name)]);
            } else {
                let fields = vec![("host", name), ("life", life.into())];
                recorder.event(events::HOST_STARTED, fields);
            }
        });
        let env = SimEnv { world: Arc::clone(self), host };
        let process = (state.spec.start)(env.clone());
        let world = Arc::clone(self);
        let main = async move {
            let result = process.await;
            world.exited(host, &result);
        };
        self.exec(host).spawn(host, MAIN, env.scheduled(main));
    }

    /// Drops every task of the host; what their destructors say, nobody hears.
    pub fn bury_now(&self, host: HostId) {
        self.tell(|recorder| recorder.mute(true));
        self.exec(host).kill(host);
        self.tell(|recorder| recorder.mute(false));
    }

    /// A process has returned.
    pub fn exited(&self, host: HostId, result: &Result<(), String>) {
        let state = &self.hosts[host];
        let name = Value::from(&*state.name);
        let error = Value::from(result.as_ref().err().cloned().unwrap_or_default());
        let (event, fields) = match (state.is_user, result.is_ok()) {
            (true, true) => (events::USER_FINISHED, vec![("user", name)]),
            (true, false) => (events::USER_FAILED, vec![("user", name), ("error", error)]),
            (false, _) => (events::HOST_EXITED, vec![("host", name), ("error", error)]),
        };
        self.tell(|recorder| recorder.event(event, fields));
        self.exits.lock().expect("exits").push(host);
    }

    /// Processes that returned and were not taken yet.
    pub fn exits(&self) -> std::sync::MutexGuard<'_, Vec<HostId>> {
        self.exits.lock().expect("exits")
    }

    /// Asks the host's process to stop, as SIGTERM does.
    pub fn ask_to_stop(&self, host: HostId) {
        let waiters = {
            let mut inner = self.hosts[host].inner.lock().expect("host");
            inner.stopping = true;
            std::mem::take(&mut inner.stop_waiters)
        };
        waiters.into_iter().for_each(Waker::wake);
    }
}
