//! Draws a [`Plan`] from a scenario and a seed, each kind of choice from its own stream, so that
//! taking one user or fault out of a file does not shift what is drawn for the others.
//! Must never read anything but scenario, seed and overrides.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Engine, Fault, FaultPlan, NetworkPlan, Plan, Setting, StepPlan, Strategy, UserPlan};
use crate::scenario::{Between, FaultKind, FaultSpec, Lost, NetworkSpec, Scenario, Undrawn};
use crate::seed::{Seed, Stream};

/// What the command line fixes instead of leaving it to the seed. It enters the token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    pub engine: Option<Engine>,
    pub strategy: Option<Strategy>,
    pub plants: Vec<String>,
}

/// The plan of one seed. It holds also the faults that its engine cannot do: the engine leaves
/// them out and lists them.
pub fn draw(scenario: &Scenario, seed: Seed, overrides: &Overrides) -> Plan {
    let mut plants = overrides.plants.clone();
    plants.sort();
    plants.dedup();
    let chosen = overrides.strategy.or(scenario.run.strategy);
    Plan {
        scenario: scenario.name.clone(),
        seed,
        engine: overrides.engine.unwrap_or_default(),
        strategy: chosen.unwrap_or_else(|| portfolio(&scenario.name, seed)),
        plants,
        settings: values(&scenario.settings, |key| Stream::new(seed, &format!("setting {key}"))),
        users: users(scenario, seed),
        faults: faults(scenario, seed),
        network: network(&scenario.network, seed),
        faults_until: scenario.run.faults_until,
        quiesce: scenario.run.quiesce,
        steps_max: scenario.run.steps_max,
    }
}

/// Random walk and PCT find different races and none wins everywhere, so both get about half of
/// the seeds; one in twenty runs in plain order, as a check that the test itself makes sense.
fn portfolio(scenario: &str, seed: Seed) -> Strategy {
    let mut stream = Stream::new(seed, &format!("strategy {scenario}"));
    match stream.below(20) {
        0 => Strategy::Fifo,
        1..=9 => Strategy::Random,
        10..=12 => Strategy::Pct { depth: 2 },
        13..=15 => Strategy::Pct { depth: 3 },
        16..=17 => Strategy::Pct { depth: 4 },
        _ => Strategy::Pct { depth: 5 },
    }
}

fn values(
    undrawn: &BTreeMap<String, Undrawn>,
    mut stream: impl FnMut(&str) -> Stream,
) -> BTreeMap<String, Setting> {
    let one = |(key, value): (&String, &Undrawn)| (key.clone(), value_of(value, &mut stream(key)));
    undrawn.iter().map(one).collect()
}

fn value_of(undrawn: &Undrawn, stream: &mut Stream) -> Setting {
    match undrawn {
        Undrawn::Duration(range) => Setting::Duration(duration(*range, stream)),
        Undrawn::Int(range) => Setting::Int(int(*range, stream)),
        Undrawn::Text(text) => Setting::Text(text.clone()),
        Undrawn::Bool(flag) => Setting::Bool(*flag),
    }
}

fn duration(range: Between<Duration>, stream: &mut Stream) -> Duration {
    stream.duration(range.low, range.high)
}

fn int(range: Between<i64>, stream: &mut Stream) -> i64 {
    // The width of a range of i64 may need all 64 bits; only the full one does not fit plus one.
    let width = range.high.wrapping_sub(range.low).cast_unsigned();
    let offset = match width.checked_add(1) {
        Some(bound) => stream.below(bound),
        None => stream.next_u64(),
    };
    range.low.wrapping_add(offset.cast_signed())
}

fn users(scenario: &Scenario, seed: Seed) -> Vec<UserPlan> {
    let mut all = Vec::new();
    for spec in &scenario.users {
        for name in spec.names() {
            let steps = spec.steps.iter().enumerate().map(|(number, step)| StepPlan {
                word: step.word.clone(),
                params: values(&step.params, |key| {
                    Stream::new(seed, &format!("user {name} step {number} {key}"))
                }),
            });
            let (steps, index) = (steps.collect(), all.len());
            all.push(UserPlan { name, index, reconnect: spec.reconnect, steps });
        }
    }
    all
}

/// Swarm testing: a kind of fault is possible at all only in some seeds, and likelier in those,
/// so that every combination of kinds occurs, also none. The chance of each fault over all seeds
/// stays what the file says.
fn faults(scenario: &Scenario, seed: Seed) -> Vec<FaultPlan> {
    let mut all = Vec::new();
    let mut numbers: BTreeMap<&str, u32> = BTreeMap::new();
    for spec in &scenario.faults {
        let kind = spec.what.word();
        let number = numbers.entry(kind).or_default();
        *number += 1;
        let swarm = Stream::new(seed, &format!("swarm {kind}")).below(1_000_000);
        let possible = u64::from(spec.chance_ppm.max(500_000));
        if swarm >= possible {
            continue;
        }
        let chance = u64::from(spec.chance_ppm) * 1_000_000 / possible;
        let chance = u32::try_from(chance).expect("a chance is at most a million");
        for time in 0..spec.times {
            let mut stream = Stream::new(seed, &format!("fault {kind} {number} {time}"));
            if stream.chance_ppm(chance) {
                all.push(fault(spec, &mut stream));
            }
        }
    }
    // Stable: of two faults at one instant, the file's order decides.
    all.sort_by_key(|fault| fault.at);
    all
}

fn fault(spec: &FaultSpec, stream: &mut Stream) -> FaultPlan {
    let at = duration(spec.at, stream);
    let what = match &spec.what {
        FaultKind::Crash { hosts, restart_after } => {
            let (host, restart_after) = death(hosts, *restart_after, stream);
            Fault::Crash { host, restart_after }
        }
        FaultKind::PowerLoss { hosts, restart_after } => {
            let (host, restart_after) = death(hosts, *restart_after, stream);
            Fault::PowerLoss { host, restart_after }
        }
        FaultKind::Stop { hosts, restart_after } => {
            let (host, restart_after) = death(hosts, *restart_after, stream);
            Fault::Stop { host, restart_after }
        }
        FaultKind::Partition { from, to, one_way, for_ } => Fault::Partition {
            from: one(from, stream),
            to: one(to, stream),
            one_way: *one_way,
            for_: duration(*for_, stream),
        },
        FaultKind::Reset { hosts } => Fault::Reset { host: one(hosts, stream) },
        FaultKind::Stall { hosts, for_ } => {
            Fault::Stall { host: one(hosts, stream), for_: duration(*for_, stream) }
        }
        FaultKind::Pause { hosts, for_ } => {
            Fault::Pause { host: one(hosts, stream), for_: duration(*for_, stream) }
        }
        FaultKind::ClockJump { hosts, by_ms } => {
            Fault::ClockJump { host: one(hosts, stream), ms: int(*by_ms, stream) }
        }
        FaultKind::Statement { hosts, matching, slow, sqlstate } => Fault::Statement {
            host: one(hosts, stream),
            matching: matching.clone(),
            slow: slow.map_or(Duration::ZERO, |range| duration(range, stream)),
            sqlstate: sqlstate.clone(),
        },
        FaultKind::Commit { hosts, lost } => Fault::Commit {
            host: one(hosts, stream),
            applied: match lost {
                Lost::Before => false,
                Lost::After => true,
                Lost::Either => stream.chance_ppm(500_000),
            },
        },
        FaultKind::Connections { hosts, most, for_ } => Fault::Connections {
            host: one(hosts, stream),
            most: usize::try_from(int(*most, stream)).expect("the loader lets no less than 0 pass"),
            for_: duration(*for_, stream),
        },
    };
    FaultPlan { at, what }
}

fn death(
    hosts: &[String],
    restart_after: Option<Between<Duration>>,
    stream: &mut Stream,
) -> (String, Option<Duration>) {
    let host = one(hosts, stream);
    (host, restart_after.map(|range| duration(range, stream)))
}

fn one(hosts: &[String], stream: &mut Stream) -> String {
    hosts[stream.index(hosts.len())].clone()
}

/// The network's manners, each from its own stream: a window of latency inside the file's, and
/// each disturbance absent in half of the seeds.
fn network(spec: &NetworkSpec, seed: Seed) -> NetworkPlan {
    let stream = |name: &str| Stream::new(seed, &format!("network {name}"));
    let mut latency = stream("latency");
    let (one, other) = (duration(spec.latency, &mut latency), duration(spec.latency, &mut latency));
    let sometimes = |most: u32, name: &str| {
        let mut stream = stream(name);
        let on = stream.chance_ppm(500_000);
        let ppm = stream.below(u64::from(most) + 1);
        if on { u32::try_from(ppm).expect("at most the most") } else { 0 }
    };
    NetworkPlan {
        latency_min: one.min(other),
        latency_max: one.max(other),
        spike_ppm: sometimes(spec.spike_ppm, "spike chance"),
        spike: duration(spec.spike, &mut stream("spike")),
        segment_max: segment(spec.segment, &mut stream("segment")),
        chop_ppm: sometimes(spec.chop_ppm, "chop chance"),
        stall_ppm: sometimes(spec.stall_ppm, "stall chance"),
        stall_max: duration(spec.stall, &mut stream("stall")),
    }
}

/// Half of the seeds have whole segments, the others cut at a drawn size.
fn segment(range: Between<i64>, stream: &mut Stream) -> usize {
    let whole = stream.chance_ppm(500_000);
    let drawn = int(range, stream);
    let bytes = if whole { range.high } else { drawn };
    usize::try_from(bytes).expect("the loader lets only sizes from 1 pass")
}
