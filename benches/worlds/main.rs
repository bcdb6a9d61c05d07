//! What a seed costs: the same workloads on our world, on stock turmoil and on the floor, in one
//! run, interleaved, as CPU time of one thread. Prints ratios; must never judge them.

mod grounds;
mod stack;
mod transaction;
mod workloads;

use std::time::Duration;

use grounds::{floor, native, turmoil_stock};
use workloads::Workload;

/// The binary's own allocator, under all grounds alike.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Each repetition takes one batch on every ground in turn; the median of them counts.
const REPETITIONS: usize = 7;

/// CPU time of this thread so far, to the nanosecond: what the kernel has booked in `/proc` is only
/// brought up to date at its ticks. Wall time would measure the neighbours too.
fn thread_cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(now).expect("a thread's time is not negative")
}

/// CPU µs a seed, in tenths.
fn cost(seeds: u64, mut run: impl FnMut(u64)) -> u64 {
    let before = thread_cpu();
    (0..seeds).for_each(&mut run);
    let spent = u64::try_from(thread_cpu().checked_sub(before).unwrap().as_nanos())
        .expect("less than 500 years");
    spent / seeds / 100
}

fn median(mut samples: Vec<u64>) -> u64 {
    samples.sort_unstable();
    samples[samples.len() / 2]
}

fn tenths(value: u64) -> String {
    format!("{}.{}", value / 10, value % 10)
}

/// The ratio in hundredths, as text.
fn ratio(ours: u64, other: u64) -> String {
    let hundredths = ours * 100 / other.max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn compare(workload: Workload) {
    let (seeds, stock_seeds) = workload.seeds();
    let (mut ours, mut stock, mut bottom) = (Vec::new(), Vec::new(), Vec::new());
    for repetition in 0..REPETITIONS as u64 {
        let base = repetition * seeds;
        bottom.push(cost(seeds, |seed| floor(base + seed, workload)));
        ours.push(cost(seeds, |seed| native(base + seed, workload)));
        stock.push(cost(stock_seeds, |seed| turmoil_stock(base + seed, workload)));
    }
    let (ours, stock, bottom) = (median(ours), median(stock), median(bottom));
    println!(
        "{workload:?}  ours {:>8}  turmoil {:>9}  floor {:>8}  of floor {:>5}  of turmoil {:>5}",
        tenths(ours),
        tenths(stock),
        tenths(bottom),
        ratio(ours, bottom),
        ratio(ours, stock),
    );
}

fn main() {
    println!("CPU µs a seed, one thread, median of {REPETITIONS} interleaved repetitions");
    // `cargo bench -- W3` takes one; cargo adds `--bench` by itself.
    let only: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    for workload in [Workload::W1, Workload::W2, Workload::W3] {
        if only.is_empty() || only.contains(&format!("{workload:?}")) {
            compare(workload);
        }
    }
    if only.is_empty() || only.contains(&"transaction".to_owned()) {
        transaction::transactions(REPETITIONS as u64);
    }
    if only.is_empty() || only.contains(&"stack".to_owned()) {
        stack::throughput(REPETITIONS as u64);
        stack::shares();
    }
}
