//! What one seed chose: every choice that is made up front, as printable data.
//! Must never hold what is decided during the run (schedule, latency of one packet).

mod draw;
mod show;

pub use draw::{Overrides, draw};
pub use show::EngineError;

use std::collections::BTreeMap;
use std::time::Duration;

pub use crate::scenario::{Reconnect, Setting, Strategy, StrategyError};
use crate::seed::Seed;

/// A run, before it runs. Durations are virtual and counted from the start of the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The scenario's name: its file name without `.toml`.
    pub scenario: String,
    pub seed: Seed,
    pub engine: Engine,
    pub strategy: Strategy,
    /// Plants switched on, by id (`H01`), sorted.
    pub plants: Vec<String>,
    /// Settings of the system by table and key: `gateway.startup.database`. Ranges are drawn.
    pub settings: BTreeMap<String, Setting>,
    pub users: Vec<UserPlan>,
    /// Sorted by time.
    pub faults: Vec<FaultPlan>,
    pub network: NetworkPlan,
    /// When faults stop and the network heals.
    pub faults_until: Duration,
    /// Bound on the liveness phase after that.
    pub quiesce: Duration,
    /// Scheduler steps after which the run is cut.
    pub steps_max: u64,
}

/// Which world runs the plan. Displayed and parsed as `native`, `turmoil`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    #[default]
    Native,
    Turmoil,
}

/// One simulated user: a host of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserPlan {
    /// The host's name: `u/3` is the third of the user table `u`; `u` when its count is 1.
    pub name: String,
    /// 0-based position among all users of the plan.
    pub index: usize,
    pub reconnect: Reconnect,
    pub steps: Vec<StepPlan>,
}

/// One step of a user: the word of the scenario and its drawn parameters. The word's bare value
/// (`{ ask = "How…" }`) stands under the key `value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepPlan {
    pub word: String,
    pub params: BTreeMap<String, Setting>,
}

impl StepPlan {
    pub fn text(&self, key: &str) -> Option<&str> {
        if let Some(Setting::Text(text)) = self.params.get(key) { Some(text) } else { None }
    }

    pub fn duration(&self, key: &str) -> Option<Duration> {
        if let Some(Setting::Duration(d)) = self.params.get(key) { Some(*d) } else { None }
    }

    pub fn int(&self, key: &str) -> Option<i64> {
        if let Some(Setting::Int(n)) = self.params.get(key) { Some(*n) } else { None }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultPlan {
    pub at: Duration,
    pub what: Fault,
}

/// What goes wrong. Hosts by name; `for_` is how long it lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The host's process dies: its tasks are dropped in spawn order, its sockets close.
    Crash { host: String, restart_after: Option<Duration> },
    /// The host vanishes without a goodbye: its sockets say nothing.
    PowerLoss { host: String, restart_after: Option<Duration> },
    /// The process is asked to stop (SIGTERM).
    Stop { host: String, restart_after: Option<Duration> },
    /// No packet passes from `from` to `to`; both ways unless `one_way`.
    Partition { from: String, to: String, one_way: bool, for_: Duration },
    /// One connection of the host, drawn among those open then, is reset.
    Reset { host: String },
    /// One connection of the host delivers nothing for a while.
    Stall { host: String, for_: Duration },
    /// None of the host's tasks run for a while.
    Pause { host: String, for_: Duration },
    /// The host's wall clock jumps by so many milliseconds.
    ClockJump { host: String, ms: i64 },
    /// The next statement on a database whose text holds `matching` takes `slow` longer and then
    /// fails if there is an SQLSTATE.
    Statement { host: String, matching: String, slow: Duration, sqlstate: Option<String> },
    /// The next COMMIT on a database loses its connection, applied or not.
    Commit { host: String, applied: bool },
    /// A database lets no more than so many connections in.
    Connections { host: String, most: usize, for_: Duration },
}

impl Fault {
    /// The word of scenario files: `crash`.
    pub fn word(&self) -> &'static str {
        match self {
            Fault::Crash { .. } => "crash",
            Fault::PowerLoss { .. } => "power_loss",
            Fault::Stop { .. } => "stop",
            Fault::Partition { .. } => "partition",
            Fault::Reset { .. } => "reset",
            Fault::Stall { .. } => "stall",
            Fault::Pause { .. } => "pause",
            Fault::ClockJump { .. } => "clock_jump",
            Fault::Statement { .. } => "statement",
            Fault::Commit { .. } => "commit",
            Fault::Connections { .. } => "connections",
        }
    }
}

/// The network's manners in this run. Latency is one way, drawn per segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkPlan {
    pub latency_min: Duration,
    pub latency_max: Duration,
    /// Parts in a million of segments that are delayed by `spike` more (never reordered).
    pub spike_ppm: u32,
    pub spike: Duration,
    /// Largest segment, bytes; writes are cut there.
    pub segment_max: usize,
    /// Parts in a million of writes that are cut at drawn places besides.
    pub chop_ppm: u32,
    /// Parts in a million of scheduling points and of wake-ups at which the task waits for a
    /// processor for a drawn time up to `stall_max`, as an operating system makes it.
    pub stall_ppm: u32,
    pub stall_max: Duration,
}
