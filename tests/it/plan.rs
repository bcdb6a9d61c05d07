//! What a seed draws. Must never run a world.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use seedbed::plan::{Engine, Overrides, Plan, Strategy, draw};
use seedbed::scenario::Scenario;
use seedbed::seed::Seed;

use crate::kit::{self, scenario};

const SOURCE: &str = r#"
[run]
faults_until = "20s"

[system]
gateway = { replicas = "1..3", startup = { database = "50ms..900ms" } }

[[user]]
name = "u"
count = 2
reconnect = "resume"
steps = [
  { connect = { at = "0ms..400ms" } },
  { ask = "How is my portfolio doing?" },
  { await = "agent_completed", within = "20s" },
]

[[fault]]
chance = 0.9
crash = { host = "gateway", at = "100ms..2s", restart_after = "50ms..1s" }

[[fault]]
chance = 0.3
partition = { from = "u", to = "gateway", for = "1s..5s" }

[[fault]]
chance = 0.3
pause = { host = ["gateway", "db"], for = "10ms..2s" }
"#;

fn drawn(scenario: &Scenario, seed: u64) -> Plan {
    draw(scenario, Seed(seed), &Overrides::default())
}

#[test]
fn a_plan_is_printed_whole() {
    let file = scenario(SOURCE);
    let overrides = Overrides {
        engine: Some(Engine::Turmoil),
        strategy: Some(Strategy::Pct { depth: 3 }),
        plants: vec!["H26".to_owned(), "H01".to_owned(), "H01".to_owned()],
    };
    let plans = [draw(&file, Seed(0x2f3a), &overrides), drawn(&file, 7), drawn(&file, 8)];
    let text = plans.map(|plan| plan.to_string()).join("\n");
    kit::snapshots(|| insta::assert_snapshot!("plan", text));
}

#[test]
fn a_plan_is_a_function_of_scenario_and_seed() {
    let file = scenario(SOURCE);
    for seed in 0..100 {
        assert_eq!(drawn(&file, seed), drawn(&file.clone(), seed));
    }
    let renamed = Scenario { name: "other".to_owned(), ..file.clone() };
    let differ =
        (0..100).filter(|seed| drawn(&file, *seed).strategy != drawn(&renamed, *seed).strategy);
    assert!(differ.count() > 30, "the strategy depends on the scenario's name");
}

#[test]
fn taking_one_user_or_fault_out_leaves_the_others_as_they_were() {
    let file = scenario(SOURCE);
    let mut less = file.clone();
    less.users[0].count = 1;
    less.users[0].name = "u/1".to_owned();
    less.faults.remove(0);
    for seed in 0..200 {
        let (all, some) = (drawn(&file, seed), drawn(&less, seed));
        assert_eq!(all.users[0].steps, some.users[0].steps);
        assert_eq!(all.network, some.network);
        let left: Vec<_> =
            all.faults.into_iter().filter(|f| !f.what.to_string().starts_with("crash")).collect();
        assert_eq!(left, some.faults);
    }
}

#[test]
fn chances_are_kept_over_all_seeds_and_kinds_come_in_every_combination() {
    let file = scenario(SOURCE);
    let mut kinds: BTreeMap<String, u32> = BTreeMap::new();
    let mut combinations = BTreeSet::new();
    for seed in 0..2000 {
        let plan = drawn(&file, seed);
        let word = |text: String| text.split(' ').next().unwrap_or_default().to_owned();
        let present: BTreeSet<String> =
            plan.faults.iter().map(|f| word(f.what.to_string())).collect();
        for kind in &present {
            *kinds.entry(kind.clone()).or_default() += 1;
        }
        combinations.insert(present);
        assert!(plan.faults.is_sorted_by_key(|fault| fault.at));
        assert!(plan.faults.iter().all(|fault| fault.at <= plan.faults_until));
    }
    // 2,000 draws: 0.9 has a deviation of 13, 0.3 one of 20.
    assert!((1730..1870).contains(&kinds["crash"]), "{kinds:?}");
    assert!((500..700).contains(&kinds["partition"]), "{kinds:?}");
    assert!((500..700).contains(&kinds["pause"]), "{kinds:?}");
    assert_eq!(combinations.len(), 8);
}

#[test]
fn the_portfolio_mixes_random_and_pct_and_a_few_fifo() {
    let file = scenario("");
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for seed in 0..2000 {
        *seen.entry(drawn(&file, seed).strategy.to_string()).or_default() += 1;
    }
    let names: Vec<&str> = seen.keys().map(String::as_str).collect();
    assert_eq!(names, ["fifo", "pct2", "pct3", "pct4", "pct5", "random"]);
    assert!((60..150).contains(&seen["fifo"]) && (800..1000).contains(&seen["random"]), "{seen:?}");
    let fixed = scenario("[run]\nstrategy = \"pct4\"");
    assert!((0..50).all(|seed| drawn(&fixed, seed).strategy == Strategy::Pct { depth: 4 }));
}

#[test]
fn the_network_is_drawn_inside_the_file_and_calm_in_half_the_seeds() {
    let file = scenario("[network]\nlatency = \"1ms..9ms\"\nsegment = \"100..200\"");
    let plans: Vec<Plan> = (0..1000).map(|seed| drawn(&file, seed)).collect();
    let ms = Duration::from_millis;
    assert!(plans.iter().all(|p| ms(1) <= p.network.latency_min && p.network.latency_max <= ms(9)));
    assert!(plans.iter().all(|p| p.network.latency_min <= p.network.latency_max));
    assert!(plans.iter().all(|p| (100..=200).contains(&p.network.segment_max)));
    let calm = |ppm: fn(&Plan) -> u32| plans.iter().filter(|plan| ppm(plan) == 0).count();
    for count in
        [calm(|p| p.network.chop_ppm), calm(|p| p.network.stall_ppm), calm(|p| p.network.spike_ppm)]
    {
        assert!((430..570).contains(&count), "{count}");
    }
    assert!(plans.iter().all(|p| p.network.stall_ppm <= 20_000 && p.network.chop_ppm <= 500_000));
}
