//! Laws of the world: schedulers are fair when asked to be, and a seed's digest depends on
//! nothing but the seed. Must never assert on time.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use seedbed::plan::Strategy as Which;
use seedbed::seed::{Seed, Stream};
use seedbed::trace::Digest;
use seedbed::world::strategy::{self, TaskId};

use crate::world::{calm, echo, run};

fn config(cases: u32) -> ProptestConfig {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proptest-regressions/world.txt");
    let persistence = FileFailurePersistence::Direct(file);
    ProptestConfig {
        cases,
        failure_persistence: Some(Box::new(persistence)),
        ..ProptestConfig::default()
    }
}

fn any_strategy() -> impl Strategy<Value = Which> {
    prop_oneof![
        Just(Which::Fifo),
        Just(Which::Random),
        (1_u32..=9).prop_map(|depth| Which::Pct { depth }),
    ]
}

proptest! {
    #![proptest_config(config(64))]

    /// Picks of one always-runnable set: in bounds, the same for the same seed, and once fairness
    /// is asked for nobody starves. (A given task of ten is missed by 400 fair picks with
    /// probability 0.9^400 < 10^-18.)
    #[test]
    fn a_fair_strategy_starves_nobody(which in any_strategy(), seed: u64, tasks in 1_u64..10) {
        let picks = || {
            let mut stream = Stream::new(Seed(seed), "schedule");
            let mut strategy = strategy::of(which, &mut stream);
            let mut runnable: Vec<TaskId> = (0..tasks).collect();
            for task in &runnable {
                strategy.born(*task, &mut stream);
            }
            strategy.be_fair();
            let mut picked = Vec::new();
            for _ in 0..400 {
                let index = strategy.pick(&runnable, &mut stream);
                assert!(index < runnable.len());
                // Who ran goes to the back of the queue, as a task that yields does.
                let task = runnable.remove(index);
                picked.push(task);
                runnable.push(task);
            }
            picked
        };
        let picked = picks();
        for task in 0..tasks {
            prop_assert!(picked.contains(&task), "task {task} starved under {which}");
        }
        prop_assert_eq!(picked, picks());
    }
}

proptest! {
    #![proptest_config(config(12))]

    /// Seeds run in any order, on one thread or two, have the digests they have alone.
    #[test]
    fn a_digest_depends_on_its_seed_only(
        seeds in proptest::collection::vec(any::<u64>(), 1..8),
        which in any_strategy(),
    ) {
        let digest = |seed: u64| run(&calm(seed, which), echo(3)).trace.digest;
        let alone: BTreeMap<u64, Digest> =
            seeds.iter().map(|seed| (*seed, digest(*seed))).collect();
        for seed in seeds.iter().rev() {
            prop_assert_eq!(digest(*seed), alone[seed]);
        }
        let (left, right) = seeds.split_at(seeds.len() / 2);
        std::thread::scope(|scope| {
            for half in [left, right] {
                scope.spawn(|| half.iter().for_each(|s| assert_eq!(digest(*s), alone[s])));
            }
        });
    }
}
