//! The turmoil engine: `turmoil::Sim` as an independent model of network and time, with our
//! scheduler nested in each of its hosts so that tasks are permuted there too. All users share
//! one of its hosts. Must never do what turmoil cannot: such faults are left out, and listed.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use super::budget::Budget;
use super::clock::{EPOCH_UNIX_MS, TICK};
use super::exec::{Exec, Panic, Step};
use super::kernel::Kernel;
use super::record::Recorder;
use super::run::Life;
use super::shared::{Command, Ground, HostState, World};
use super::{Cast, Ended, Reason};
use crate::env::Moment;
use crate::plan::{Fault, FaultPlan, Plan};
use crate::trace::Observer;

/// The turmoil host in which all users live.
const USERS: &str = "users";
/// Segments that a receiver holds before turmoil gives up on it.
const TCP_CAPACITY: usize = 1 << 16;

/// turmoil knows no retransmission (a partition hangs TCP for ever), no reset of one connection,
/// no stall, and says goodbye for a host without power.
fn can_do(fault: &FaultPlan) -> bool {
    !matches!(
        fault.what,
        Fault::PowerLoss { .. }
            | Fault::Partition { .. }
            | Fault::Reset { .. }
            | Fault::Stall { .. }
    )
}

/// What the nodes tell the loop outside.
#[derive(Default)]
struct Reports {
    panics: Vec<Panic>,
    escaped: Option<String>,
}

pub fn run(
    plan: &Plan,
    cast: Cast,
    kernel: &Arc<Kernel>,
    observer: &mut dyn Observer,
    budget: &Budget,
) -> Ended {
    let (faults, left_out) = plan.faults.iter().cloned().partition(can_do);
    let world = build_world(plan, cast, kernel);
    let reports: Arc<Mutex<Reports>> = Arc::default();
    let mut life = Life::new(plan, Arc::clone(&world), faults);
    let mut sim = build_sim(plan, &world, &reports);
    life.begin();
    let reason = loop {
        if let Err(reason) = tick(&mut sim, &mut life, &reports, observer, budget) {
            break reason;
        }
    };
    let left = life.census();
    for host in 0..world.hosts.len() {
        world.bury(host);
    }
    // The nodes carry the burials out in their own context; what they say then is not heard.
    world.tell(super::record::Recorder::close);
    let _ = sim.step();
    life.ended(reason, left, left_out)
}

/// The streams that the nodes' strategies draw from: one for each host, one for all users.
pub fn schedule_streams(cast: &Cast) -> Vec<String> {
    let hosts = cast.hosts.iter().map(|host| host.name.as_str());
    hosts.chain([USERS]).map(|node| format!("schedule/{node}")).collect()
}

fn build_world(plan: &Plan, cast: Cast, kernel: &Arc<Kernel>) -> Arc<World> {
    let nodes = cast.hosts.len();
    let execs = (0..=nodes).map(|node| Exec::new(kernel, node)).collect();
    let state = |(index, (spec, is_user)): (usize, _)| {
        HostState::new(plan, spec, is_user, index.min(nodes))
    };
    let hosts = cast.into_specs().enumerate().map(state).collect();
    World::new(plan, Ground::Turmoil(Mutex::default()), kernel, execs, hosts)
}

fn build_sim(
    plan: &Plan,
    world: &Arc<World>,
    reports: &Arc<Mutex<Reports>>,
) -> turmoil::Sim<'static> {
    let steps_max = plan.steps_max;
    let mut sim = turmoil::Builder::new()
        .epoch(UNIX_EPOCH + Duration::from_millis(EPOCH_UNIX_MS))
        .simulation_duration(Duration::from_secs(1 << 32))
        .tick_duration(TICK)
        .min_message_latency(plan.network.latency_min)
        .max_message_latency(plan.network.latency_max)
        .tcp_capacity(TCP_CAPACITY)
        .rng_seed(plan.seed.0)
        .build();
    for node in 0..world.execs.len() {
        let of_node = world.hosts.iter().find(|host| host.exec == node && !host.is_user);
        let name = of_node.map_or(USERS.to_owned(), |host| host.name.to_string());
        let (world, reports) = (Arc::clone(world), Arc::clone(reports));
        sim.host(name, move || {
            let (world, reports) = (Arc::clone(&world), Arc::clone(&reports));
            let node_task = poll_fn(move |cx| {
                let spent = world.tell(|recorder| recorder.steps() >= steps_max);
                // A node that never rests would never give the loop outside its turn.
                if spent { Poll::Pending } else { turn(&world, node, &reports, cx) }
            });
            tokio::task::coop::unconstrained(node_task)
        });
    }
    sim
}

/// One turn of a node: one step of its executor. It returns to tokio after every step, or tokio's
/// own wake-ups would come late and orders would go missing.
fn turn(
    world: &Arc<World>,
    node: usize,
    reports: &Mutex<Reports>,
    cx: &mut Context<'_>,
) -> Poll<turmoil::Result> {
    let exec = &world.execs[node];
    exec.nest_in(cx.waker());
    let now = Moment(turmoil::sim_elapsed().expect("a node runs inside the simulation"));
    world.tell(|recorder| recorder.advance(now.max(recorder.now())));
    obey(world, node);
    let stepped = exec.step(|_| false);
    let exited: Vec<_> =
        world.exits().iter().copied().filter(|host| world.hosts[*host].exec == node).collect();
    for host in exited {
        world.bury_now(host);
    }
    if tokio::runtime::Handle::current().metrics().num_alive_tasks() > 0 {
        let text = format!("a task of `{}` was spawned past the seam", node_name(world, node));
        reports.lock().expect("reports").escaped.get_or_insert(text);
    }
    match stepped {
        Step::Idle => return Poll::Pending,
        Step::Ran { .. } => {}
        Step::Panicked(panic) => reports.lock().expect("reports").panics.push(panic),
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

fn node_name(world: &World, node: usize) -> &str {
    let host = world.hosts.iter().find(|host| host.exec == node);
    host.map_or(USERS, |host| &host.name)
}

/// Carries out what the world does to processes of this node.
fn obey(world: &Arc<World>, node: usize) {
    let Ground::Turmoil(commands) = &world.ground else { return };
    let mut mine = Vec::new();
    commands.lock().expect("commands").retain(|command| {
        let of_node = world.hosts[command.host()].exec == node;
        if of_node {
            mine.push(*command);
        }
        !of_node
    });
    for command in mine {
        match command {
            Command::Bury(host) => world.bury_now(host),
            Command::Start(host) => world.start_now(host),
        }
        world.tell(Recorder::leave);
    }
}

fn tick(
    sim: &mut turmoil::Sim<'_>,
    life: &mut Life<'_>,
    reports: &Mutex<Reports>,
    observer: &mut dyn Observer,
    budget: &Budget,
) -> Result<(), Reason> {
    sim.step().expect("nodes never end");
    let Reports { panics, escaped } = std::mem::take(&mut *reports.lock().expect("reports"));
    for panic in panics {
        life.panicked(&panic)?;
    }
    life.show(observer)?;
    if let Some(text) = escaped {
        return Err(Reason::Escaped(text));
    }
    life.handle_exits();
    if let Some(reason) = budget.cut(life.world.tell(|recorder| recorder.steps())) {
        return Err(reason);
    }
    let now = Moment(sim.elapsed());
    life.world.tell(|recorder| recorder.advance(now.max(recorder.now())));
    life.act_until(now);
    life.show(observer)?;
    if life.rests(observer) {
        return Err(Reason::Rested);
    }
    let bound = Moment(life.plan.faults_until + life.plan.quiesce);
    if now >= bound { Err(Reason::QuiesceOver) } else { Ok(()) }
}
