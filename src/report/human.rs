//! The terminal: two lines for a scenario that passes, the whole story for the first failure of
//! each kind, one line for the next few. Must never say less for a failure than how to replay it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::cause::{chain, draw};
use super::paint::Paint;
use super::struck::struck;
use super::waits::{Waits, draw as draw_waits};
use super::{ReportEvent, ScenarioReport, SeedReport, Sink, Summary, Verdict};
use crate::scenario::Scenario;
use crate::search::{Run, USUAL_CAUSES};
use crate::trace::EventIndex;
use crate::verdict::{Outcome, Violation};

/// Failed runs of one kind that get a line; the rest are counted.
const LINES_MAX: u64 = 5;

#[derive(Clone, Debug)]
pub struct Human {
    paint: Paint,
    /// Failed runs of the scenario that runs, by what failed.
    told: BTreeMap<String, u64>,
}

impl Human {
    pub fn new(paint: Paint) -> Human {
        Human { paint, told: BTreeMap::new() }
    }
}

impl Sink for Human {
    fn event(&mut self, event: &ReportEvent<'_>, out: &mut String) {
        match event {
            ReportEvent::ScenarioStarted { .. } => self.told.clear(),
            ReportEvent::SeedFinished(seed) => self.seed(seed, out),
            ReportEvent::ScenarioFinished { scenario, report } => {
                out.push_str(&self.findings(scenario, report));
                out.push_str(&scenario_lines(report));
            }
            ReportEvent::Finished(summary) => out.push_str(&summary_line(summary)),
        }
    }

    fn wants_stories(&self) -> bool {
        true
    }
}

impl Human {
    fn seed(&mut self, seed: &SeedReport<'_>, out: &mut String) {
        let Some(failure) = seed.failure() else { return };
        let told = self.told.entry(failure.clone()).or_default();
        *told += 1;
        if *told > LINES_MAX {
            return;
        }
        let first = *told == 1;
        out.push_str(&seed_line(seed, &failure));
        if first {
            let _ = writeln!(out, "\n{}", self.story(seed));
        }
    }

    fn story(&self, seed: &SeedReport<'_>) -> String {
        let mut out = match seed.run.map(|run| (&run.outcome, run)) {
            Ok((Outcome::Violated(violation), _)) => self.violation(seed, violation),
            Ok((Outcome::Diverged(why), _)) => diverged(why),
            Ok((Outcome::Inconclusive(why), _)) => format!("inconclusive: {why}\n"),
            Ok((Outcome::Held, _)) => String::new(),
            Err(error) => format!("internal error: {error}\n"),
        };
        let _ = writeln!(out, "\n  replay   seedbed replay {}", replay_of(seed));
        out
    }

    fn violation(&self, seed: &SeedReport<'_>, violation: &Violation) -> String {
        let events = seed.story.map(|trace| chain(trace, &violation.events)).unwrap_or_default();
        let mut out = self.pointed(seed, violation);
        let steps = seed.run.map_or(0, |run| run.steps);
        if !events.is_empty() {
            let _ = write!(out, "\n{}", draw(&events, steps));
        }
        let waits = seed.story.map(|trace| draw_waits(&Waits::at(trace, violation)));
        if let Some(waits) = waits.filter(|waits| !waits.is_empty()) {
            let _ = write!(out, "\n{waits}");
        }
        out
    }

    /// The scenario lines of what was expected and of the faults that struck before it broke.
    fn pointed(&self, seed: &SeedReport<'_>, violation: &Violation) -> String {
        let last = violation.events.last().copied().unwrap_or(EventIndex::MAX);
        let faults = |trace| struck(seed.scenario, trace, last);
        let marks = seed.story.map(faults).unwrap_or_default();
        let label = format!("violated at step {}, t={}", violation.step, violation.at);
        let primary = violation.span.clone().map(|span| (span, label.clone()));
        let mut out = self.paint.error(
            seed.scenario,
            &violation.id,
            &violation.message,
            primary.as_ref(),
            &marks,
        );
        if violation.span.is_none() {
            let _ = writeln!(out, "  {label}: a check of every run, not a line of this file");
        }
        out
    }

    fn findings(&self, scenario: &Scenario, report: &ScenarioReport) -> String {
        let error = |finding: &crate::verdict::Finding| {
            let primary = Some((finding.span.clone(), String::new()));
            self.paint.error(scenario, &finding.id, &finding.message, primary.as_ref(), &[]) + "\n"
        };
        report.findings.iter().filter(|finding| finding.judged).map(error).collect()
    }
}

fn diverged(why: &str) -> String {
    let mut out = format!("diverged: {why}\n  usual causes\n");
    for cause in USUAL_CAUSES {
        let _ = writeln!(out, "  - {cause}");
    }
    out
}

/// The token with the digest, and where to begin to read: at the first step of the chain.
fn replay_of(seed: &SeedReport<'_>) -> String {
    let Ok(Outcome::Violated(violation)) = seed.run.map(|run| &run.outcome) else {
        return seed.token.to_string();
    };
    let events = seed.story.map(|trace| chain(trace, &violation.events)).unwrap_or_default();
    match events.first() {
        Some(event) if event.step > 0 => format!("{} --from {}", seed.token, event.step),
        _ => seed.token.to_string(),
    }
}

fn verb(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "PASS",
        Verdict::Violated => "FAIL",
        Verdict::Inconclusive => "CUT",
        Verdict::Diverged => "DIVERGED",
        Verdict::Internal => "BROKEN",
    }
}

fn seed_line(seed: &SeedReport<'_>, failure: &str) -> String {
    let verb = verb(seed.verdict());
    let cost = |run: &Run| {
        let sim = crate::env::Moment(run.sim);
        format!("{}, sim {sim}, {} steps", seconds(run.wall), run.steps)
    };
    let cost = seed.run.map_or_else(|_| String::from("-"), cost);
    format!("{verb:>12} [ {cost} ] {}   {failure}\n", seed.token)
}

fn scenario_lines(report: &ScenarioReport) -> String {
    let (counts, vacuous) = (&report.counts, report.vacuous());
    let failed = counts.failed() > 0;
    let verb = if failed {
        "FAIL"
    } else if vacuous {
        "VACUOUS"
    } else {
        "PASS"
    };
    let (wall, seeds) = (seconds(report.wall), counts.all());
    let seeds = many(seeds, "seed", "seeds");
    let mut out = format!("{verb:>12} [ {wall}, {seeds} ] {}   ", report.scenario);
    let kinds = report.failures.iter().map(|(id, runs)| format!("{id} {runs}"));
    if failed {
        let kinds = kinds.collect::<Vec<_>>().join(", ");
        let _ = write!(out, "{} failed ({kinds}), ", counts.failed());
    }
    let _ = writeln!(out, "{}; {}", listed(&report.engines), listed(&report.strategies));
    let _ = write!(out, "{:>12} {}", "", facts(report).join(", "));
    out.push('\n');
    out
}

/// The second line: how much was seen, and what was not.
fn facts(report: &ScenarioReport) -> Vec<String> {
    let mut facts = vec![
        many(report.histories() as u64, "history", "different histories"),
        many(report.steps, "step", "steps"),
        format!("{} of virtual time", span(report.sim)),
    ];
    if !report.left_out.is_empty() {
        let left_out = report.left_out.iter().map(|(fault, times)| format!("{fault} {times}"));
        let left_out = left_out.collect::<Vec<_>>().join(", ");
        facts.push(format!("left out, for the engine cannot: {left_out}"));
    }
    let unjudged = report.findings.iter().filter(|finding| !finding.judged);
    let mut ids: Vec<&str> = unjudged.map(|finding| finding.id.as_str()).collect();
    ids.dedup();
    if !ids.is_empty() {
        let few = if report.left_out.is_empty() { "seeds" } else { "seeds or faults" };
        facts.push(format!("too few {few} to judge: {}", ids.join(", ")));
    }
    facts
}

/// `native`, or `pct3 501, random 499` when there are several.
fn listed(counts: &BTreeMap<String, u64>) -> String {
    if counts.len() == 1 {
        return counts.keys().cloned().collect();
    }
    let each = counts.iter().map(|(name, count)| format!("{name} {count}"));
    each.collect::<Vec<_>>().join(", ")
}

fn summary_line(summary: &Summary) -> String {
    let counts = summary.counts();
    let each = Verdict::ALL.into_iter().filter(|verdict| counts.of(*verdict) > 0);
    let each: Vec<String> = each.map(|v| format!("{} {v}", counts.of(v))).collect();
    let verb = if summary.interrupted { "INTERRUPTED" } else { "Summary" };
    let scenarios = many(summary.scenarios.len() as u64, "scenario", "scenarios");
    let vacuous = if summary.vacuous() { "; vacuous" } else { "" };
    let (wall, seeds) = (seconds(summary.wall), many(counts.all(), "seed", "seeds"));
    let each = if each.is_empty() { "nothing ran".to_owned() } else { each.join(", ") };
    format!("{verb:>12} [ {wall} ] {seeds} of {scenarios}: {each}{vacuous}\n")
}

fn many(count: u64, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

fn seconds(duration: Duration) -> String {
    format!("{:.2}s", duration.as_secs_f64())
}

/// `3h 12m`, `7m 3s`, `12s`.
fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m {seconds}s"),
        (hours, minutes, _) => format!("{hours}h {minutes}m"),
    }
}
