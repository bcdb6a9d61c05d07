//! What is told about a run, a scenario and everything that ran, as plain data that every sink
//! reads. Must never be printed by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::scenario::Scenario;
use crate::search::{HarnessError, Run, Token};
use crate::trace::Trace;
use crate::verdict::{Finding, Outcome};

/// One word for how a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Held,
    Violated,
    Inconclusive,
    Diverged,
    /// The harness itself failed.
    Internal,
}

impl Verdict {
    pub const ALL: [Verdict; 5] = [
        Verdict::Held,
        Verdict::Violated,
        Verdict::Inconclusive,
        Verdict::Diverged,
        Verdict::Internal,
    ];
}

impl From<&Outcome> for Verdict {
    fn from(outcome: &Outcome) -> Verdict {
        match outcome {
            Outcome::Held => Verdict::Held,
            Outcome::Violated(_) => Verdict::Violated,
            Outcome::Inconclusive(_) => Verdict::Inconclusive,
            Outcome::Diverged(_) => Verdict::Diverged,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Held => "held",
            Verdict::Violated => "violated",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Diverged => "diverged",
            Verdict::Internal => "internal",
        })
    }
}

/// One finished seed.
#[derive(Clone, Copy, Debug)]
pub struct SeedReport<'a> {
    pub scenario: &'a Scenario,
    pub token: &'a Token,
    pub run: Result<&'a Run, &'a HarnessError>,
    /// The recorded history of a failed run, when it was run again for it.
    pub story: Option<&'a Trace>,
}

impl SeedReport<'_> {
    pub fn verdict(&self) -> Verdict {
        self.run.map_or(Verdict::Internal, |run| Verdict::from(&run.outcome))
    }

    /// What failed: an expectation's id, an invariant's, or the verdict's own word.
    pub fn failure(&self) -> Option<String> {
        self.run.map_or_else(|_| Some(Verdict::Internal.to_string()), |run| failure(&run.outcome))
    }
}

/// What failed, when something did.
fn failure(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Held => None,
        Outcome::Violated(violation) => Some(violation.id.clone()),
        other => Some(Verdict::from(other).to_string()),
    }
}

/// Runs by verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<Verdict, u64>);

impl Counts {
    pub fn add(&mut self, verdict: Verdict, runs: u64) {
        *self.0.entry(verdict).or_default() += runs;
    }

    pub fn of(&self, verdict: Verdict) -> u64 {
        self.0.get(&verdict).copied().unwrap_or(0)
    }

    pub fn all(&self) -> u64 {
        self.0.values().sum()
    }

    pub fn failed(&self) -> u64 {
        self.all() - self.of(Verdict::Held)
    }
}

/// One scenario's campaign, as far as it ran.
#[derive(Clone, Debug, Default)]
pub struct ScenarioReport {
    pub scenario: String,
    pub counts: Counts,
    /// Failed runs by what failed.
    pub failures: BTreeMap<String, u64>,
    pub first_failure: Option<Token>,
    /// Runs by engine and by strategy.
    pub engines: BTreeMap<String, u64>,
    pub strategies: BTreeMap<String, u64>,
    /// Faults that the engine cannot do, by name, over all runs.
    pub left_out: BTreeMap<&'static str, u64>,
    pub steps: u64,
    /// Virtual and real time. Real time is the campaign's, not the sum of its runs.
    pub sim: Duration,
    pub wall: Duration,
    digests: BTreeSet<u128>,
    /// What only a campaign shows: vacuous expectations, a `sometimes` never reached.
    pub findings: Vec<Finding>,
}

impl ScenarioReport {
    pub fn new(scenario: &str) -> ScenarioReport {
        ScenarioReport { scenario: scenario.to_owned(), ..ScenarioReport::default() }
    }

    pub fn add(&mut self, seed: &SeedReport<'_>) {
        self.counts.add(seed.verdict(), 1);
        if let Some(failure) = seed.failure() {
            *self.failures.entry(failure).or_default() += 1;
            self.first_failure.get_or_insert_with(|| seed.token.clone());
        }
        if let Ok(run) = seed.run {
            *self.engines.entry(run.plan.engine.to_string()).or_default() += 1;
            *self.strategies.entry(run.plan.strategy.to_string()).or_default() += 1;
            for fault in &run.left_out {
                *self.left_out.entry(fault.what.word()).or_default() += 1;
            }
            self.steps += run.steps;
            self.sim += run.sim;
            self.digests.insert(run.digest.0);
        }
    }

    /// Different histories among the runs.
    pub fn histories(&self) -> usize {
        self.digests.len()
    }

    /// Whether the campaign as a whole failed although its runs may have held.
    pub fn vacuous(&self) -> bool {
        self.findings.iter().any(|finding| finding.judged)
    }
}

/// Everything that ran.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub scenarios: Vec<ScenarioReport>,
    pub wall: Duration,
    pub interrupted: bool,
}

impl Summary {
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for scenario in &self.scenarios {
            for verdict in Verdict::ALL {
                counts.add(verdict, scenario.counts.of(verdict));
            }
        }
        counts
    }

    pub fn vacuous(&self) -> bool {
        self.scenarios.iter().any(ScenarioReport::vacuous)
    }
}
