//! The full stack on `cold_start`: seeds a second, and where the time goes. Must never leave out
//! what a campaign does for a seed: plan, hosts, users, judge.

use std::sync::Arc;
use std::time::{Duration, Instant};

use seedbed::plan::{self, Overrides};
use seedbed::scenario::{self, Scenario};
use seedbed::search::Runner;
use seedbed::seed::Seed;
use seedbed::systems::System as _;
use seedbed::systems::backend::Backend;
use seedbed::verdict::{Judge, Outcome};
use seedbed::world::{Part, Shares, metered, run};

use crate::{median, thread_cpu};

const SEEDS: u64 = 400;
const WALL_MAX: Duration = Duration::from_secs(60);

fn load(name: &str) -> Arc<Scenario> {
    let path = format!("{}/scenarios/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let source = std::fs::read_to_string(&path).expect("a shipped scenario");
    let (scenario, found) = scenario::parse(name, &path, &source, &Backend.vocabulary());
    assert!(found.is_empty(), "{name}: {found:?}");
    Arc::new(scenario.expect("a scenario without diagnostics"))
}

/// Seeds a second, as a campaign runs them: each on a thread of its own, one after the other.
pub fn throughput(repetitions: u64) {
    let (system, scenario) = (Arc::new(Backend), load("cold_start"));
    let runner = Runner { system, scenario, overrides: Overrides::default(), wall_max: WALL_MAX };
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for repetition in 0..repetitions {
        let (mut spent, begun) = (Duration::ZERO, Instant::now());
        for seed in repetition * SEEDS..(repetition + 1) * SEEDS {
            let run = runner.run(Seed(seed), false).expect("the harness does not panic");
            assert_eq!(run.outcome, Outcome::Held, "cold_start@{}", Seed(seed));
            spent += run.wall;
        }
        rates.push(SEEDS * 1_000_000 / u64::try_from(begun.elapsed().as_micros()).expect("short"));
        costs.push(u64::try_from(spent.as_micros()).expect("short") / SEEDS);
    }
    let (rate, cost) = (median(rates), median(costs));
    println!("cold_start, full stack: {rate} seeds/s on one thread, {cost} µs a seed in the world");
}

/// One seed on this thread under the stop-watch.
fn shares_of(scenario: &Scenario, seed: u64, total: &mut Shares) -> usize {
    let plan = Arc::new(plan::draw(scenario, Seed(seed), &Overrides::default()));
    let mut judge = Judge::new(scenario, &plan, Backend.invariants(&plan));
    let system: Arc<Backend> = Arc::new(Backend);
    let cast = Runner::cast_of(&(system as _), &plan);
    let hosts = cast.hosts.len();
    let (_, shares) = metered(|| run(&plan, cast, &mut judge, false, WALL_MAX));
    for (part, time) in shares {
        *total.entry(part).or_default() += time;
    }
    hosts
}

/// Shares of the run, in percent: scheduler, network, verdict, database, gateway, users.
pub fn shares() {
    let scenario = load("cold_start");
    let names: Vec<String> = {
        let plan = plan::draw(&scenario, Seed(0), &Overrides::default());
        Backend.hosts(&plan).into_iter().map(|host| host.name).collect()
    };
    let (mut total, mut hosts) = (Shares::new(), 0);
    let before = thread_cpu();
    for seed in 0..SEEDS {
        hosts = shares_of(&scenario, seed, &mut total);
    }
    let cpu = thread_cpu().saturating_sub(before);
    let name = |part: &Part| match part {
        Part::Scheduler => "scheduler and timers".to_owned(),
        Part::Network => "network".to_owned(),
        Part::Observer => "verdict".to_owned(),
        Part::Host(host) if *host < hosts => match names[*host].as_str() {
            "db" => "PostgreSQL".to_owned(),
            other => format!("HTTP, WebSocket and logic of {other}"),
        },
        Part::Host(_) => "HTTP and WebSocket of the users".to_owned(),
    };
    let mut by_name = std::collections::BTreeMap::<String, Duration>::new();
    for (part, time) in &total {
        *by_name.entry(name(part)).or_default() += *time;
    }
    let all: Duration = by_name.values().sum();
    println!(
        "where it goes (CPU {} µs a seed under the stop-watch):",
        cpu.as_micros() / u128::from(SEEDS)
    );
    for (name, time) in by_name {
        println!("  {:>3} %  {name}", time.as_micros() * 100 / all.as_micros().max(1));
    }
}
