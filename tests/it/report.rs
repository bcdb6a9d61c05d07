//! The forms of a report, on a history made by hand: what people see of a failure.
//! Must never run the world: its steps would move the pictures.

use std::sync::Arc;
use std::time::Duration;

use seedbed::env::Moment;
use seedbed::plan::{self, Overrides};
use seedbed::report::{Human, Json, Paint, ReportEvent, ScenarioReport, SeedReport, Sink, Summary};
use seedbed::scenario::{self, Scenario};
use seedbed::search::{Run, Token};
use seedbed::seed::Seed;
use seedbed::systems::System as _;
use seedbed::trace::{Digest, Event, Trace, Value};
use seedbed::verdict::{Outcome, Tally, Violation};

use crate::counter::{self, Counter};
use crate::kit;

const FAULT: &str = r#"
[[fault]]
crash = { host = "server", at = "10ms", restart_after = "5ms" }

[events]"#;

fn scenario() -> Scenario {
    let source = counter::SCENARIO.replacen("\n[events]", FAULT, 1);
    let (scenario, wrong) =
        scenario::parse("count", "scenarios/count.toml", &source, &Counter.vocabulary());
    scenario.unwrap_or_else(|| panic!("{wrong:?}"))
}

fn event(index: u32, host: &str, name: &'static str, cause: Option<u32>) -> Event {
    let fields = match name {
        "host.crashed" => vec![("host", "server".into()), ("kind", "crash".into())],
        "counter.added" => vec![("value", 1_u64.into())],
        _ => vec![("user", "u/1".into())],
    };
    let (step, at) = (u64::from(index) * 7, Moment(Duration::from_millis(u64::from(index) * 5)));
    Event { index, step, at, host: host.into(), task: "main", name, fields, cause }
}

/// A user asks, the server adds and crashes before it answers.
fn story() -> Trace {
    let events = vec![
        event(0, "u/1", "counter.asked", None),
        event(1, "server", "counter.added", Some(0)),
        event(2, "world", "host.crashed", None),
        event(3, "u/1", "counter.asked", Some(0)),
    ];
    let end = Moment(Duration::from_millis(3207));
    Trace { events, steps: 1862, end, digest: Digest(0x9c41_d07e << 96), ..Trace::default() }
}

fn run(scenario: &Scenario, seed: Seed, outcome: Outcome) -> Run {
    let trace = story();
    Run {
        plan: Arc::new(plan::draw(scenario, seed, &overrides())),
        outcome,
        tally: Tally::default(),
        digest: trace.digest,
        steps: trace.steps,
        choices: 12,
        sim: trace.end.0,
        wall: Duration::from_millis(410),
        trace,
        left_out: Vec::new(),
    }
}

fn overrides() -> Overrides {
    let plants = vec!["C01".to_owned()];
    Overrides { strategy: Some(plan::Strategy::Random), plants, ..Overrides::default() }
}

fn unanswered(scenario: &Scenario) -> Outcome {
    Outcome::Violated(Violation {
        id: "answered".to_owned(),
        message: "`u/1` asked and was never answered".to_owned(),
        step: 21,
        at: Moment(Duration::from_millis(15)),
        span: Some(scenario.expects[0].span.clone()),
        events: vec![1, 3],
    })
}

/// As [`story`], and meanwhile two sessions of the database wait for each other and a third for
/// one of them; a fourth has waited before.
fn stuck() -> Trace {
    let mut trace = story();
    let mut tell = |name, fields: Vec<(&'static str, Value)>| {
        let index = u32::try_from(trace.events.len()).expect("few");
        let cause = Some(1);
        trace.events.push(Event { fields, name, cause, ..event(index, "db", name, None) });
    };
    let statement =
        |session: i64, text: &str| vec![("session", session.into()), ("text", text.into())];
    let waits = |waiter: i64, holders: &str, row: &str| {
        vec![
            ("waiter", waiter.into()),
            ("holders", holders.into()),
            ("lock", "ShareLock on transaction 7".into()),
            ("table", "accounts".into()),
            ("row", row.into()),
        ]
    };
    let debit = "UPDATE accounts SET cents = cents - $2 WHERE account = $1";
    for session in [101, 102, 103, 104] {
        tell("db.statement", statement(session, debit));
    }
    tell("db.waits", waits(104, "101", "account=a"));
    tell("db.granted", vec![("waiter", 104_i64.into())]);
    tell("db.waits", waits(101, "102", "account=b"));
    tell("db.waits", waits(102, "101", "account=a"));
    tell("db.waits", waits(103, "101", "account=a"));
    trace
}

/// What `sink` says of runs with these outcomes, from seed 0 on.
fn told(sink: &mut dyn Sink, outcomes: &[Outcome]) -> String {
    told_of(sink, outcomes, &story())
}

fn told_of(sink: &mut dyn Sink, outcomes: &[Outcome], trace: &Trace) -> String {
    let (scenario, mut out) = (scenario(), String::new());
    let mut report = ScenarioReport::new(&scenario.name);
    let mut say = |event: &ReportEvent<'_>| sink.event(event, &mut out);
    let seeds = outcomes.len() as u64;
    say(&ReportEvent::ScenarioStarted { scenario: &scenario, first: Seed(0), seeds });
    for (seed, outcome) in (0..).map(Seed).zip(outcomes) {
        let run = run(&scenario, seed, outcome.clone());
        let token = Token::new("count", seed, &overrides()).with_digest(run.digest);
        let story = Some(trace);
        let seed = SeedReport { scenario: &scenario, token: &token, run: Ok(&run), story };
        report.add(&seed);
        say(&ReportEvent::SeedFinished(&seed));
    }
    report.wall = Duration::from_secs(2);
    say(&ReportEvent::ScenarioFinished { scenario: &scenario, report: &report });
    let wall = Duration::from_secs(2);
    say(&ReportEvent::Finished(&Summary { scenarios: vec![report], wall, interrupted: false }));
    out
}

fn snapshot(name: &str, text: &str) {
    kit::snapshots(|| insta::assert_snapshot!(name, text));
}

fn human() -> Human {
    Human::new(Paint { styled: false })
}

#[test]
fn a_scenario_that_holds_takes_two_lines_and_the_summary_one() {
    let out = told(&mut human(), &[Outcome::Held, Outcome::Held]);
    assert_eq!(out.lines().count(), 3, "{out}");
    snapshot("passing_run", &out);
}

#[test]
fn the_first_failure_of_a_kind_is_a_story_and_the_next_few_are_lines() {
    let mut outcomes = vec![unanswered(&scenario()); 9];
    outcomes.insert(1, Outcome::Held);
    snapshot("failing_run", &told(&mut human(), &outcomes));
}

#[test]
fn a_divergence_names_the_usual_causes() {
    let why = "trace 1 here, 2 in a fresh process".to_owned();
    snapshot("diverged_run", &told(&mut human(), &[Outcome::Diverged(why)]));
}

#[test]
fn junit_and_github_tell_the_same_failure() {
    let outcomes = [Outcome::Held, unanswered(&scenario())];
    let junit = told(&mut seedbed::report::JUnit::default(), &outcomes);
    let github = told(&mut seedbed::report::GitHub::default(), &outcomes);
    snapshot("failing_run_for_machines", &format!("{junit}\n{github}"));
}

#[test]
fn a_failure_shows_who_waited_for_whom_in_the_database() {
    let Outcome::Violated(mut violation) = unanswered(&scenario()) else { panic!("it is one") };
    (violation.step, violation.events) = (100, vec![1, 3]);
    let outcomes = [Outcome::Violated(violation)];
    let human = told_of(&mut human(), &outcomes, &stuck());
    let json = told_of(&mut Json, &outcomes, &stuck());
    let record: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    let waits = serde_json::to_string_pretty(&record["waits"]).unwrap();
    snapshot("failing_run_that_waits", &format!("{human}\n{waits}"));
    let json = told(&mut Json, &[unanswered(&scenario()), Outcome::Held]);
    assert!(json.contains(r#""waits":[]"#), "nobody waited: {json}");
    assert!(json.contains(r#""waits":null"#), "it held: {json}");
}
