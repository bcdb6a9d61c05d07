//! One seed, one history: whatever ran before it, beside it, in which order, on how many threads,
//! in which process, folder and environment. Must never compare less than the whole digest.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use seedbed::search::{Campaign, Runner};
use seedbed::seed::Seed;

use crate::cli::{command, did, folder};
use crate::scenarios::runner;

const SCENARIOS: [&str; 4] = ["cold_start", "concurrent_users", "golden_path", "transfers"];

/// Seeds of each scenario; `ci/nightly` compares hundreds with `seedbed run`.
const SEEDS: u64 = 4;

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
        let runner = runner(name, &[]);
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
        for (seed, digest) in digests(&runner(name, &[]), [2, 5].into_iter()) {
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
