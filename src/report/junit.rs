//! JUnit's XML, which every CI server reads: a suite a scenario, a case a failed seed and one for
//! those that held. Must never print before the end: the counts stand in the head.

use std::fmt::Write as _;

use super::{ReportEvent, ScenarioReport, SeedReport, Sink, Verdict};
use crate::verdict::Outcome;

/// Failed seeds that get a case of their own, in a suite.
const CASES_MAX: usize = 50;

#[derive(Clone, Debug, Default)]
pub struct JUnit {
    /// Cases of the scenario that runs.
    cases: Vec<String>,
    suites: String,
}

impl Sink for JUnit {
    fn event(&mut self, event: &ReportEvent<'_>, out: &mut String) {
        match event {
            ReportEvent::ScenarioStarted { .. } => self.cases.clear(),
            ReportEvent::SeedFinished(seed) => {
                if seed.verdict() != Verdict::Held && self.cases.len() < CASES_MAX {
                    self.cases.push(case(seed));
                }
            }
            ReportEvent::ScenarioFinished { report, .. } => self.suite(report),
            ReportEvent::Finished(_) => {
                let _ = writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#);
                let _ =
                    writeln!(out, "<testsuites name=\"seedbed\">\n{}</testsuites>", self.suites);
            }
        }
    }
}

impl JUnit {
    fn suite(&mut self, report: &ScenarioReport) {
        let name = escape(&report.scenario);
        let findings: Vec<_> = report.findings.iter().filter(|finding| finding.judged).collect();
        let failures = self.cases.len() + findings.len();
        let wall = report.wall.as_secs_f64();
        let suites = &mut self.suites;
        let _ = writeln!(
            suites,
            r#"  <testsuite name="{name}" tests="{}" failures="{failures}" time="{wall:.3}">"#,
            failures + 1,
        );
        let held = report.counts.of(Verdict::Held);
        let _ = writeln!(suites, r#"    <testcase classname="{name}" name="{held} seeds held"/>"#);
        for finding in findings {
            let (id, message) = (escape(&finding.id), escape(&finding.message));
            let _ = write!(suites, r#"    <testcase classname="{name}" name="{id}">"#);
            let _ = writeln!(suites, r#"<failure message="{message}"/></testcase>"#);
        }
        for case in self.cases.drain(..) {
            let _ = writeln!(suites, "    {case}");
        }
        let _ = writeln!(suites, "  </testsuite>");
    }
}

fn case(seed: &SeedReport<'_>) -> String {
    let (name, token) = (escape(&seed.scenario.name), escape(&seed.token.to_string()));
    let kind = escape(&seed.failure().unwrap_or_default());
    let message = escape(&message(seed));
    let wall = seed.run.map_or(0.0, |run| run.wall.as_secs_f64());
    format!(
        "<testcase classname=\"{name}\" name=\"{token}\" time=\"{wall:.3}\">\
         <failure type=\"{kind}\" message=\"{message}\">seedbed replay {token}</failure></testcase>"
    )
}

/// Why a seed failed, in one sentence; empty when it held.
pub(super) fn message(seed: &SeedReport<'_>) -> String {
    match seed.run.map(|run| &run.outcome) {
        Ok(Outcome::Held) => String::new(),
        Ok(Outcome::Violated(violation)) => violation.message.clone(),
        Ok(Outcome::Inconclusive(why) | Outcome::Diverged(why)) => why.clone(),
        Err(error) => error.to_string(),
    }
}

/// XML 1.0 has no way to write most control characters: they become U+FFFD.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(' '),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #[test]
    fn xml_never_holds_a_raw_delimiter_or_control_character() {
        assert_eq!(super::escape("a<b> & \"c\"\u{1}\n"), "a&lt;b&gt; &amp; &quot;c&quot;\u{fffd} ");
    }
}
