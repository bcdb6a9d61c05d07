//! One seed, one history: whatever ran before it, beside it, in which order, on how many threads,
//! in which process, folder and environment. Must never compare less than the whole digest.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use seedbed::plan::Overrides;
use seedbed::scenario;
use seedbed::search::{Campaign, Runner};
use seedbed::seed::Seed;
use seedbed::systems::System as _;
use seedbed::systems::backend::Backend;

use crate::cli::{command, did, folder};

const SCENARIOS: [&str; 3] = ["cold_start", "concurrent_users", "golden_path"];

/// Seeds of each scenario; `ci/nightly` compares hundreds with `seedbed run`.
const SEEDS: u64 = 4;

fn runner(name: &str) -> Runner {
    let path = format!("scenarios/{name}.toml");
    let source = std::fs::read_to_string(&path).unwrap();
    let (scenario, wrong) = scenario::parse(name, &path, &source, &Backend.vocabulary());
    Runner {
        system: Arc::new(Backend),
        scenario: Arc::new(scenario.unwrap_or_else(|| panic!("{wrong:?}"))),
        overrides: Overrides::default(),
        wall_max: Duration::from_mins(2),
    }
}

fn digests(runner: &Runner, seeds: impl Iterator<Item = u64>) -> Vec<(u64, String)> {
    let digest = |seed| (seed, runner.run(Seed(seed), false).unwrap().digest.to_string());
    seeds.map(digest).collect()
}

fn campaign(runner: &Runner, jobs: usize) -> Vec<(u64, String)> {
    let mut seen = Vec::new();
    let jobs = NonZeroUsize::new(jobs).unwrap();
    let campaign = Campaign { first: Seed(0), count: SEEDS, jobs };
    campaign.run(runner, &AtomicBool::new(false), &mut |seed, run| {
        seen.push((seed.0, run.unwrap().digest.to_string()));
        ControlFlow::Continue(())
    });
    seen
}

#[test]
fn a_seed_has_one_history_in_any_order_and_on_any_number_of_threads() {
    for name in SCENARIOS {
        let runner = runner(name);
        let forward = campaign(&runner, 1);
        let mut backward = digests(&runner, (0..SEEDS).rev());
        backward.reverse();
        assert_eq!(forward, backward, "{name}, twice and backward");
        assert_eq!(forward, campaign(&runner, 2), "{name}, -j 2");
    }
}

#[test]
fn a_seed_has_one_history_in_any_process_folder_and_environment() {
    let elsewhere = folder("elsewhere");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in SCENARIOS {
        let path = root.join("scenarios").join(name).with_extension("toml");
        for (seed, digest) in digests(&runner(name), [2, 5].into_iter()) {
            let token = format!("{}@{seed}", path.display());
            let mut fresh = command(&["rerun", &token]);
            fresh.current_dir(&elsewhere).env_clear();
            for (key, value) in [("TZ", "Asia/Tokyo"), ("LANG", "tr_TR.UTF-8"), ("HOME", "/")] {
                fresh.env(key, value);
            }
            fresh.env("RUST_LOG", "trace").env("DATABASE_URL", "postgres://nowhere/x");
            fresh.env("TOKIO_WORKER_THREADS", "7").env("PGHOST", "nowhere");
            let did = did(&mut fresh);
            assert_eq!(did.out, format!("digest {digest}\n"), "{name}@{seed}: {}", did.err);
        }
    }
}
