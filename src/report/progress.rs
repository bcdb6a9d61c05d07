//! How far it is, on stderr: a bar on a terminal, else a line every few seconds, so that a CI log
//! shows life. Must never touch stdout.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{ReportEvent, Verdict};

/// Between two counter lines of a run without a terminal.
const INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    terminal: bool,
    scenario: String,
    failed: u64,
    begun: Instant,
    told: Instant,
}

impl Progress {
    /// `terminal`: whether stderr is one.
    pub fn new(terminal: bool) -> Progress {
        let now = Instant::now();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        Progress { bar, terminal, scenario: String::new(), failed: 0, begun: now, told: now }
    }

    pub fn event(&mut self, event: &ReportEvent<'_>) {
        match event {
            ReportEvent::ScenarioStarted { scenario, seeds, .. } => {
                self.start(scenario.name.clone(), *seeds);
            }
            ReportEvent::SeedFinished(seed) => {
                if seed.verdict() != Verdict::Held {
                    self.failed += 1;
                    self.bar.set_message(format!("{} failed", self.failed));
                }
                self.bar.inc(1);
                self.tell();
            }
            ReportEvent::ScenarioFinished { .. } | ReportEvent::Finished(_) => {
                self.bar.finish_and_clear();
            }
        }
    }

    /// Prints without tearing the bar.
    pub fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    fn start(&mut self, scenario: String, seeds: u64) {
        let style = "{prefix:>12} [{elapsed}] {wide_bar} {pos}/{len} {per_sec} {msg}";
        let style = ProgressStyle::with_template(style).expect("a constant template parses");
        let target = if self.terminal {
            ProgressDrawTarget::stderr_with_hz(10)
        } else {
            ProgressDrawTarget::hidden()
        };
        self.bar = ProgressBar::with_draw_target(Some(seeds), target).with_style(style);
        self.bar.set_prefix(scenario.clone());
        (self.scenario, self.failed) = (scenario, 0);
        (self.begun, self.told) = (Instant::now(), Instant::now());
    }

    fn tell(&mut self) {
        if self.terminal || self.told.elapsed() < INTERVAL {
            return;
        }
        self.told = Instant::now();
        let (done, all) = (self.bar.position(), self.bar.length().unwrap_or(0));
        let each = done / self.begun.elapsed().as_secs().max(1);
        let (name, failed) = (&self.scenario, self.failed);
        eprintln!("{name}: {done}/{all} seeds, {failed} failed, {each} a second");
    }
}
