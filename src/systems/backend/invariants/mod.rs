//! What holds in every run of the backend (section 10 of its contract): one small checker each,
//! fed event by event. Must never ask the backend anything: they know only what was recorded,
//! and keep their own copies of its tables.

mod admission;
mod answers;
mod deaths;
mod departures;
mod durable;
mod errors;
mod grammar;
mod isolation;
mod leftovers;
mod limits;
mod outcomes;
mod registry;
mod runs;
mod singles;
mod sockets;
mod states;
mod streams;
mod tabs;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{people, settings};
use crate::env::Moment;
use crate::plan::{Plan, Reconnect};
use crate::scenario::Word;
use crate::trace::Event;
use crate::verdict::Invariant;

/// Every invariant that is checked, in the order of the contract.
pub const WORDS: &[Word] = &[
    Word { name: "I1", about: "no upgrade and no frame before the gateway is ready" },
    Word { name: "I2", about: "one terminal event a run, and each run gets it" },
    Word { name: "I3", about: "seq and run_seq step by one at every client, across resumes" },
    Word { name: "I4", about: "tool events match by call id and close before the end" },
    Word { name: "I5", about: "nobody's event, context or marker reaches another user" },
    Word { name: "I6", about: "connection and run states change along the tables' edges only" },
    Word {
        name: "I7",
        about: "no event leaves before its row is committed, nor an end before the run's",
    },
    Word { name: "I8", about: "the outcome a client sees is the one committed, with its message" },
    Word { name: "I9", about: "connections and active runs never exceed their limits" },
    Word { name: "I10", about: "nothing is left of what ended" },
    Word {
        name: "I11",
        about: "every command and held client is answered in time, or its connection closes",
    },
    Word { name: "I12", about: "one run an accepted message, run ids unique" },
    Word { name: "I13", about: "one close frame a connection, and nothing after it" },
    Word { name: "I14", about: "1011 only after an internal fault, which none of the world's is" },
    Word { name: "I15", about: "dead only without progress, and noticed; deadlines are kept" },
    Word { name: "I16", about: "a live connection gets every event of its user" },
    Word { name: "I17", about: "an idempotency key and its run are committed together, once" },
    Word { name: "I18", about: "admission follows the store, as probed a second ago at most" },
    Word { name: "I19", about: "the pool's count is its sessions, never above capacity" },
    Word { name: "I20", about: "the world comes to rest (judged by the runner)" },
    Word { name: "I21", about: "each client sees each run by the grammar" },
    Word { name: "I22", about: "what is single is built once" },
    Word {
        name: "I23",
        about: "the outcome is the truth: a whole answer, or a cause that was there",
    },
    Word { name: "I24", about: "the deltas joined are the final message" },
    Word { name: "I25", about: "each database error has its class, and is retried as that allows" },
];

/// What the checkers know of a run beforehand.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Most live connections a user may have.
    pub connections_max: usize,
    /// Most active runs of a user, and of a tenant.
    pub runs_of_user_max: usize,
    pub runs_of_tenant_max: usize,
    pub run_deadline: Duration,
    /// A finished run may be remembered so long.
    pub purge_after: Duration,
    /// How often a silent connection is asked for a sign of life, and what the gateway gives the
    /// answer, a close, and its runs when it stops.
    pub ping_every: Duration,
    pub pong_within: Duration,
    pub close_within: Duration,
    pub drain_grace: Duration,
    /// Nothing is broken on purpose after this.
    pub calm: Moment,
    /// Users whose client resumes where it was.
    pub resuming: BTreeSet<String>,
    /// Tenant by user.
    pub tenants: BTreeMap<String, &'static str>,
}

impl Facts {
    pub fn of(plan: &Plan) -> Facts {
        let config = settings::config(plan);
        let resuming = plan.users.iter().filter(|user| user.reconnect == Reconnect::Resume);
        Facts {
            connections_max: config.limits.connections_per_user,
            runs_of_user_max: config.limits.runs_per_user,
            runs_of_tenant_max: config.limits.runs_per_tenant,
            run_deadline: config.times.run_deadline,
            purge_after: config.times.purge_after,
            ping_every: config.times.ping_every,
            pong_within: config.times.pong_within,
            close_within: config.times.close_within,
            drain_grace: config.times.drain_grace,
            calm: if plan.faults.is_empty() {
                Moment::default()
            } else {
                Moment(plan.faults_until)
            },
            resuming: resuming.map(|user| user.name.clone()).collect(),
            tenants: plan.users.iter().map(|u| (u.name.clone(), people::tenant(u))).collect(),
        }
    }
}

/// Fresh checkers for one run.
pub fn all(facts: &Facts) -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(admission::ReadyFirst::default()),
        Box::new(runs::OneEnd::default()),
        Box::new(streams::Gapless::new(facts)),
        Box::new(grammar::ToolPairs::new(facts)),
        Box::new(isolation::Isolation::new(facts)),
        Box::new(states::Edges::default()),
        Box::new(durable::CommitFirst::default()),
        Box::new(durable::TrueOutcome::default()),
        Box::new(limits::Limit::new(facts)),
        Box::new(leftovers::NothingLeft::new(facts)),
        Box::new(answers::Answered::new(facts)),
        Box::new(runs::OneRun::default()),
        Box::new(sockets::OneClose::default()),
        Box::new(admission::NoInternalFault),
        Box::new(deaths::Deaths::new(facts)),
        Box::new(registry::NothingLost::new(facts)),
        Box::new(singles::Keys::default()),
        Box::new(admission::AsProbed::default()),
        Box::new(singles::Pool::default()),
        Box::new(grammar::Grammar::new(facts)),
        Box::new(singles::Single::default()),
        Box::new(outcomes::Truth::default()),
        Box::new(text::Joined::new(facts)),
        Box::new(errors::ErrorClasses::default()),
    ]
}

const GATEWAY: &str = "gateway";

/// For tasks that are kept off the processor, on top of what the contract says.
const HELD_UP: Duration = Duration::from_secs(4);

/// States of a run that absorb.
const TERMINAL: &[&str] = &["completed", "failed", "timeout", "dead", "cancelled"];

/// One connection slot of one client: user and tab.
type Tab = (Box<str>, i64);

/// The row that a commit inserted into `table`, by its run.
fn inserted<'e>(event: &'e Event, table: &str) -> Option<&'e str> {
    let here = event.name == "db.commit" && text(event, "table") == table;
    (here && text(event, "op") == "insert").then(|| text(event, "run"))
}

fn text<'e>(event: &'e Event, field: &str) -> &'e str {
    event.text(field).unwrap_or("")
}

fn number(event: &Event, field: &str) -> i64 {
    event.number(field).unwrap_or(0)
}

fn tab(event: &Event) -> Tab {
    (text(event, "user").into(), number(event, "tab"))
}

/// The gateway's process ended: what it held in memory is gone.
fn gateway_lost(event: &Event) -> bool {
    matches!(event.name, "host.crashed" | "host.exited") && text(event, "host") == GATEWAY
}

/// Whether the gateway's process runs, as far as the events say.
#[derive(Debug, Default)]
struct Up(bool);

impl Up {
    fn event(&mut self, event: &Event) {
        if event.name == "host.started" && text(event, "host") == GATEWAY {
            self.0 = true;
        } else if gateway_lost(event) {
            self.0 = false;
        }
    }
}
