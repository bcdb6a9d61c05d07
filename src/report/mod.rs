//! One stream of events about what runs, many sinks that tell it: people, JSON, JUnit, GitHub.
//! Must never decide a verdict, nor write anywhere: a sink renders to text, the caller prints it.

mod cause;
mod event;
mod github;
mod human;
mod json;
mod junit;
mod paint;
mod progress;
mod struck;
mod verdicts;
mod waits;

pub use cause::{chain, draw};
pub use event::event_line;
pub use github::GitHub;
pub use human::Human;
pub use json::Json;
pub use junit::JUnit;
pub use paint::{Mark, Paint};
pub use progress::Progress;
pub use verdicts::{Counts, ScenarioReport, SeedReport, Summary, Verdict};
pub use waits::{Waits, draw as draw_waits};

use crate::scenario::Scenario;
use crate::seed::Seed;

/// What happens while scenarios run, in order.
#[derive(Clone, Copy, Debug)]
pub enum ReportEvent<'a> {
    ScenarioStarted {
        scenario: &'a Scenario,
        first: Seed,
        seeds: u64,
    },
    SeedFinished(&'a SeedReport<'a>),
    ScenarioFinished {
        scenario: &'a Scenario,
        report: &'a ScenarioReport,
    },
    /// The last event, also after an interruption.
    Finished(&'a Summary),
}

/// Tells the stream in one form.
pub trait Sink {
    /// Appends what there is to say about `event`.
    fn event(&mut self, event: &ReportEvent<'_>, out: &mut String);

    /// Whether failed runs are worth running again for their story.
    fn wants_stories(&self) -> bool {
        false
    }
}
