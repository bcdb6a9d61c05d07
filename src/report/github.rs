//! GitHub's workflow commands: an annotation at the scenario line for each kind of failure.
//! Must never exceed what GitHub shows, ten errors a step.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::junit::message;
use super::{ReportEvent, SeedReport, Sink};
use crate::scenario::Scenario;
use crate::verdict::Outcome;

const ERRORS_MAX: usize = 10;

#[derive(Clone, Debug, Default)]
pub struct GitHub {
    /// Scenario and failure, told once each.
    told: BTreeSet<(String, String)>,
}

impl Sink for GitHub {
    fn event(&mut self, event: &ReportEvent<'_>, out: &mut String) {
        match event {
            ReportEvent::SeedFinished(seed) => self.seed(seed, out),
            ReportEvent::ScenarioFinished { scenario, report } => {
                for finding in report.findings.iter().filter(|finding| finding.judged) {
                    let line = Some(line_of(scenario, finding.span.start));
                    self.error(scenario, &finding.id, line, &finding.message, out);
                }
                let (name, counts) = (&scenario.name, &report.counts);
                let _ = writeln!(out, "{name}: {} seeds, {} failed", counts.all(), counts.failed());
            }
            ReportEvent::ScenarioStarted { .. } | ReportEvent::Finished(_) => {}
        }
    }
}

impl GitHub {
    fn seed(&mut self, seed: &SeedReport<'_>, out: &mut String) {
        let Some(failure) = seed.failure() else { return };
        let span = match seed.run.map(|run| &run.outcome) {
            Ok(Outcome::Violated(violation)) => violation.span.as_ref(),
            _ => None,
        };
        let line = span.map(|span| line_of(seed.scenario, span.start));
        let text = format!("{}\nseedbed replay {}", message(seed), seed.token);
        self.error(seed.scenario, &failure, line, &text, out);
    }

    fn error(
        &mut self,
        scenario: &Scenario,
        id: &str,
        line: Option<usize>,
        text: &str,
        out: &mut String,
    ) {
        let new = self.told.insert((scenario.name.clone(), id.to_owned()));
        if !new || self.told.len() > ERRORS_MAX {
            return;
        }
        let (file, title) =
            (property(&scenario.path), property(&format!("{} {id}", scenario.name)));
        let (line, text) = (line.unwrap_or(1), data(text));
        let _ = writeln!(out, "::error file={file},line={line},title={title}::{text}");
    }
}

/// 1-based line of a byte of the scenario's source.
fn line_of(scenario: &Scenario, byte: usize) -> usize {
    let before = scenario.source.bytes().take(byte);
    1 + before.filter(|byte| *byte == b'\n').count()
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
