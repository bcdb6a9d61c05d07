//! Many seeds over some threads, delivered in seed order. Must never let the number of threads
//! change what is delivered.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use super::run::{HarnessError, Run, Runner};
use crate::seed::Seed;

/// Seeds `first` to `first + count - 1`; past the last `u64` they go on from 0, because a git hash
/// is a seed too.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    pub first: Seed,
    pub count: u64,
    pub jobs: NonZeroUsize,
}

/// How a campaign ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    Through,
    /// The receiver had seen enough.
    Enough,
    /// `stop` was set.
    Interrupted,
}

impl Campaign {
    /// The seed at `position`, counted from 0.
    pub fn seed(&self, position: u64) -> Seed {
        Seed(self.first.0.wrapping_add(position))
    }

    /// Runs until through, until `stop` is set or until `receive` breaks. `receive` is called on
    /// this thread, in seed order and without a hole, however the workers raced.
    pub fn run(
        &self,
        runner: &Runner,
        stop: &AtomicBool,
        receive: &mut dyn FnMut(Seed, Result<Run, HarnessError>) -> ControlFlow<()>,
    ) -> Ran {
        let (next, enough) = (AtomicU64::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            // Workers wait when the receiver is this far behind: a slow receiver costs no memory.
            let (sender, results) = mpsc::sync_channel(64);
            for _ in 0..self.jobs.get() {
                let (sender, next, enough) = (sender.clone(), &next, &enough);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) && !enough.load(Ordering::Relaxed) {
                        let position = next.fetch_add(1, Ordering::Relaxed);
                        if position >= self.count {
                            break;
                        }
                        let run = runner.run(self.seed(position), false);
                        if sender.send((position, run)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            let delivered = self.deliver(results, receive);
            enough.store(true, Ordering::Relaxed);
            match delivered {
                ControlFlow::Break(()) => Ran::Enough,
                ControlFlow::Continue(through) if through == self.count => Ran::Through,
                ControlFlow::Continue(_) => Ran::Interrupted,
            }
        })
    }

    /// Puts results back into seed order; returns how many were delivered. Takes the channel, so
    /// that no worker waits for a receiver that has gone.
    fn deliver(
        &self,
        results: mpsc::Receiver<(u64, Result<Run, HarnessError>)>,
        receive: &mut dyn FnMut(Seed, Result<Run, HarnessError>) -> ControlFlow<()>,
    ) -> ControlFlow<(), u64> {
        let (mut early, mut due) = (BTreeMap::new(), 0);
        for (position, run) in results {
            early.insert(position, run);
            while let Some(run) = early.remove(&due) {
                receive(self.seed(due), run)?;
                due += 1;
            }
        }
        ControlFlow::Continue(due)
    }
}
