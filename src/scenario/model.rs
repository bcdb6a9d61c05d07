//! What a scenario file says, as plain data. Must never say what it means: that is the verdict's.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::grammar::Grammar;
use super::order::Order;
use super::vocabulary::Setting;

/// A place in the source: byte offsets.
pub type Span = Range<usize>;

/// A scenario file, checked: every name in it is known, every range holds something.
#[derive(Clone, Debug, Default)]
pub struct Scenario {
    /// The file's name without `.toml`.
    pub name: String,
    pub path: String,
    pub source: Arc<str>,
    pub title: String,
    /// The system that it is for, by name; `None` when the file names none.
    pub system: Option<String>,
    /// The opening comment: what the file proves.
    pub about: String,
    pub run: Run,
    /// Every setting of the system, those that the file leaves out by their default.
    pub settings: BTreeMap<String, Undrawn>,
    pub users: Vec<UserSpec>,
    pub faults: Vec<FaultSpec>,
    pub network: NetworkSpec,
    /// `[events]`, in the order of the file.
    pub patterns: Vec<Pattern>,
    pub expects: Vec<Expect>,
    pub waivers: Vec<Waiver>,
}

impl Scenario {
    pub fn pattern(&self, name: &str) -> Option<&Pattern> {
        self.patterns.iter().find(|pattern| pattern.name == name)
    }

    /// The names of all users, as the plan will have them: `u/1`, `u/2`, or `u` for a single one.
    pub fn user_names(&self) -> Vec<String> {
        self.users.iter().flat_map(UserSpec::names).collect()
    }
}

/// `[run]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// How many seeds a campaign takes by default, and from how many on it is judged.
    pub seeds: u64,
    pub faults_until: Duration,
    pub quiesce: Duration,
    pub steps_max: u64,
    /// Fixed for every seed; `None` leaves it to the portfolio.
    pub strategy: Option<Strategy>,
}

impl Default for Run {
    fn default() -> Run {
        Run {
            seeds: 200,
            faults_until: Duration::from_secs(10),
            quiesce: Duration::from_mins(1),
            steps_max: 1_000_000,
            strategy: None,
        }
    }
}

/// How the next task is picked. Displayed and parsed as `fifo`, `random`, `pct3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    Fifo,
    Random,
    /// Probabilistic concurrency testing with `depth - 1` priority change points (Burckhardt et
    /// al., ASPLOS 2010). Depth 1 to 9.
    Pct {
        depth: u32,
    },
}

/// What a client does when its connection ends before its steps do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reconnect {
    #[default]
    No,
    Fresh,
    Resume,
}

/// From low to high, both included; never empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Between<T> {
    pub low: T,
    pub high: T,
}

impl<T: Copy> Between<T> {
    pub fn exactly(value: T) -> Between<T> {
        Between { low: value, high: value }
    }
}

/// A value, or the range it is drawn from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undrawn {
    Duration(Between<Duration>),
    Int(Between<i64>),
    Text(String),
    Bool(bool),
}

impl From<&Setting> for Undrawn {
    fn from(setting: &Setting) -> Undrawn {
        match setting {
            Setting::Duration(duration) => Undrawn::Duration(Between::exactly(*duration)),
            Setting::Int(number) => Undrawn::Int(Between::exactly(*number)),
            Setting::Text(text) => Undrawn::Text(text.clone()),
            Setting::Bool(flag) => Undrawn::Bool(*flag),
        }
    }
}

/// `[[user]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSpec {
    pub name: String,
    pub span: Span,
    /// 1 to 1,000.
    pub count: usize,
    pub reconnect: Reconnect,
    pub steps: Vec<StepSpec>,
}

impl UserSpec {
    pub fn names(&self) -> Vec<String> {
        if self.count == 1 {
            return vec![self.name.clone()];
        }
        (1..=self.count).map(|number| format!("{}/{number}", self.name)).collect()
    }
}

/// One step, its parameters still ranges. A bare value stands under the key `value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepSpec {
    pub word: String,
    pub span: Span,
    pub params: BTreeMap<String, Undrawn>,
}

/// `[[fault]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultSpec {
    pub span: Span,
    /// Parts in a million of seeds in which it happens, drawn anew for each of `times`.
    pub chance_ppm: u32,
    pub times: u32,
    pub at: Between<Duration>,
    pub what: FaultKind,
}

/// When a COMMIT loses its connection: before it is applied, after, or either by the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    Before,
    After,
    Either,
}

/// What goes wrong. Where there are several hosts, one of them is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    Crash {
        hosts: Vec<String>,
        restart_after: Option<Between<Duration>>,
    },
    PowerLoss {
        hosts: Vec<String>,
        restart_after: Option<Between<Duration>>,
    },
    Stop {
        hosts: Vec<String>,
        restart_after: Option<Between<Duration>>,
    },
    Partition {
        from: Vec<String>,
        to: Vec<String>,
        one_way: bool,
        for_: Between<Duration>,
    },
    Reset {
        hosts: Vec<String>,
    },
    Stall {
        hosts: Vec<String>,
        for_: Between<Duration>,
    },
    Pause {
        hosts: Vec<String>,
        for_: Between<Duration>,
    },
    ClockJump {
        hosts: Vec<String>,
        by_ms: Between<i64>,
    },
    /// The next statement whose text holds `matching` is slow, and fails with the SQLSTATE.
    Statement {
        hosts: Vec<String>,
        matching: String,
        slow: Option<Between<Duration>>,
        sqlstate: Option<String>,
    },
    /// The next COMMIT loses its connection.
    Commit {
        hosts: Vec<String>,
        lost: Lost,
    },
    /// Only so many connections are let in.
    Connections {
        hosts: Vec<String>,
        most: Between<i64>,
        for_: Between<Duration>,
    },
}

impl FaultKind {
    /// The word of the scenario file.
    pub fn word(&self) -> &'static str {
        match self {
            FaultKind::Crash { .. } => "crash",
            FaultKind::PowerLoss { .. } => "power_loss",
            FaultKind::Stop { .. } => "stop",
            FaultKind::Partition { .. } => "partition",
            FaultKind::Reset { .. } => "reset",
            FaultKind::Stall { .. } => "stall",
            FaultKind::Pause { .. } => "pause",
            FaultKind::ClockJump { .. } => "clock_jump",
            FaultKind::Statement { .. } => "statement",
            FaultKind::Commit { .. } => "commit",
            FaultKind::Connections { .. } => "connections",
        }
    }
}

/// `[network]`: the widest manners that a seed may draw; a seed draws narrower ones inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkSpec {
    /// One way, a segment.
    pub latency: Between<Duration>,
    /// Most parts in a million of segments that are late by `spike` more.
    pub spike_ppm: u32,
    pub spike: Between<Duration>,
    /// Largest segment, bytes.
    pub segment: Between<i64>,
    /// Most parts in a million of writes that are cut besides.
    pub chop_ppm: u32,
    /// Most parts in a million of scheduling points and wake-ups at which a task waits for a
    /// processor, up to `stall`.
    pub stall_ppm: u32,
    pub stall: Between<Duration>,
}

impl Default for NetworkSpec {
    fn default() -> NetworkSpec {
        let ms = Duration::from_millis;
        NetworkSpec {
            latency: Between { low: Duration::from_micros(200), high: ms(40) },
            spike_ppm: 20_000,
            spike: Between { low: ms(20), high: ms(400) },
            segment: Between { low: 64, high: 16_384 },
            chop_ppm: 500_000,
            stall_ppm: 20_000,
            stall: Between { low: ms(1), high: ms(300) },
        }
    }
}

/// A name in `[events]` and the events that it stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    pub name: String,
    pub span: Span,
    /// The event's name: `gateway.accepted`.
    pub on: String,
    pub wheres: Vec<Where>,
}

impl Pattern {
    /// The field that `$variable` binds.
    pub fn field_of(&self, variable: &str) -> Option<&str> {
        let bound = |w: &&Where| matches!(&w.test, Test::Bind(name) if name == variable);
        self.wheres.iter().find(bound).map(|w| w.field.as_str())
    }

    /// Its variables, each once, in the order of the file.
    pub fn variables(&self) -> Vec<&str> {
        let mut all = Vec::new();
        for w in &self.wheres {
            if let Test::Bind(name) = &w.test
                && !all.contains(&name.as_str())
            {
                all.push(name);
            }
        }
        all
    }
}

/// One condition on one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Where {
    pub field: String,
    pub test: Test,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    Is(Literal),
    /// `"!text"`: the field's value, printed, is another.
    Not(String),
    /// `"$x"`: the value goes by the name x; the same name twice in a pattern must be equal.
    Bind(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    Text(String),
    Int(i64),
    Bool(bool),
}

/// `[[expect]]`
#[derive(Clone, Debug)]
pub struct Expect {
    pub id: String,
    /// The line that states it, for the report to point at.
    pub span: Span,
    /// The variables whose values split the trace: `per`, or what `for_each` shares with the rest.
    pub key: Vec<String>,
    pub for_each: Option<ForEach>,
    /// A pattern; the key in which it has occurred is excused from then on.
    pub unless: Option<String>,
    /// Why it may stay without a single case over a whole campaign.
    pub may_be_vacuous: Option<String>,
    pub claim: Claim,
}

/// What obliges a key, whether or not anything else is seen of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForEach {
    /// Each match of the pattern.
    Match(String),
    /// Each user of the plan.
    User,
}

/// What must be seen. Patterns by name.
#[derive(Clone, Debug)]
pub enum Claim {
    Order {
        order: Order,
        both: bool,
    },
    Response {
        when: String,
        then: String,
        within: Option<Duration>,
    },
    Count {
        of: String,
        at_least: u64,
        at_most: Option<u64>,
    },
    Sequence {
        of: String,
        field: String,
        from: Option<i64>,
    },
    Never {
        what: String,
        scope: Scope,
    },
    Eventually {
        what: String,
        within: Option<Duration>,
    },
    Matches(Box<Matches>),
    /// Orders that must hold, with all their events, in some runs; at least in one when 0 ppm.
    Sometimes {
        orders: Vec<Order>,
        at_least_ppm: u32,
    },
}

impl Claim {
    /// The names of `[events]` that it speaks of; the stream of `matches` has none.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Claim::Order { order, .. } => order.atoms().map(|atom| atom.name.as_str()).collect(),
            Claim::Response { when, then, .. } => vec![when, then],
            Claim::Count { of, .. } | Claim::Sequence { of, .. } => vec![of],
            Claim::Never { what, scope } => {
                let mut names = vec![what.as_str()];
                match scope {
                    Scope::Always => {}
                    Scope::Between(left, right) => names.extend([left.as_str(), right]),
                    Scope::After(one) | Scope::Before(one) => names.push(one),
                }
                names
            }
            Claim::Eventually { what, .. } => vec![what],
            Claim::Matches(_) => Vec::new(),
            Claim::Sometimes { orders, .. } => {
                orders.iter().flat_map(Order::atoms).map(|atom| atom.name.as_str()).collect()
            }
        }
    }
}

/// The part of a key's trace in which `never` holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    Always,
    /// From each left one, included, to the next right one, excluded, or to the end.
    Between(String, String),
    /// From the first one, included.
    After(String),
    /// Up to the first one, excluded.
    Before(String),
}

/// `matches`: the names of a stream are a word of a language.
#[derive(Clone, Debug)]
pub struct Matches {
    pub stream: Pattern,
    /// The field of the stream that holds the name.
    pub names: String,
    pub alphabet: Vec<String>,
    pub ignore: Vec<String>,
    pub grammar: Grammar,
}

/// An invariant switched off, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiver {
    pub invariant: String,
    pub why: String,
    pub span: Span,
}
