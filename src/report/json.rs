//! One JSON record a line: one a seed, one for the whole at the end. For programs; fields are only
//! ever added. Must never hold a story, but for who waited in the database at its end.

use serde_json::{Value, json};

use super::waits::Waits;
use super::{Counts, ReportEvent, ScenarioReport, SeedReport, Sink, Summary, Verdict};
use crate::verdict::{Finding, Outcome};

#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

impl Sink for Json {
    fn event(&mut self, event: &ReportEvent<'_>, out: &mut String) {
        let record = match event {
            ReportEvent::SeedFinished(seed) => seed_record(seed),
            ReportEvent::Finished(summary) => json!({ "summary": summary_record(summary) }),
            ReportEvent::ScenarioStarted { .. } | ReportEvent::ScenarioFinished { .. } => return,
        };
        out.push_str(&record.to_string());
        out.push('\n');
    }

    fn wants_stories(&self) -> bool {
        true
    }
}

fn seed_record(seed: &SeedReport<'_>) -> Value {
    let micros = |duration: std::time::Duration| u64::try_from(duration.as_micros()).ok();
    let run = seed.run.ok();
    json!({
        "scenario": seed.scenario.name,
        "seed": seed.token.seed.to_string(),
        "engine": run.map(|run| run.plan.engine.to_string()),
        "strategy": run.map(|run| run.plan.strategy.to_string()),
        "verdict": seed.verdict().to_string(),
        "digest": run.map(|run| run.digest.to_string()),
        "steps": run.map(|run| run.steps),
        "choices": run.map(|run| run.choices),
        "sim_us": run.and_then(|run| micros(run.sim)),
        "wall_us": run.and_then(|run| micros(run.wall)),
        "waits": waits(seed),
    })
}

/// The wait-for graph of the database at the violation, where the story is told: an array, empty
/// when nobody waited.
fn waits(seed: &SeedReport<'_>) -> Value {
    match (seed.run.map(|run| &run.outcome), seed.story) {
        (Ok(Outcome::Violated(violation)), Some(trace)) => Waits::at(trace, violation).to_json(),
        _ => Value::Null,
    }
}

fn summary_record(summary: &Summary) -> Value {
    let mut record = counts_record(&summary.counts());
    record["vacuous"] = json!(summary.vacuous());
    record["interrupted"] = json!(summary.interrupted);
    record["wall_us"] = json!(u64::try_from(summary.wall.as_micros()).ok());
    record["scenarios"] = summary.scenarios.iter().map(scenario_record).collect();
    record
}

fn scenario_record(report: &ScenarioReport) -> Value {
    let mut record = json!({ "scenario": report.scenario });
    if let (Value::Object(record), Value::Object(counts)) =
        (&mut record, counts_record(&report.counts))
    {
        record.extend(counts);
    }
    record["failures"] = json!(report.failures);
    record["first_failure"] = json!(report.first_failure.as_ref().map(ToString::to_string));
    record["engines"] = json!(report.engines);
    record["strategies"] = json!(report.strategies);
    record["left_out"] = json!(report.left_out);
    record["histories"] = json!(report.histories());
    record["findings"] = report
        .findings
        .iter()
        .map(|Finding { id, message, judged, .. }| {
            json!({ "id": id, "message": message, "judged": judged })
        })
        .collect();
    record
}

fn counts_record(counts: &Counts) -> Value {
    let mut record = json!({ "seeds": counts.all() });
    for verdict in Verdict::ALL {
        record[verdict.to_string()] = json!(counts.of(verdict));
    }
    record
}
