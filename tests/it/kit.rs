//! A small vocabulary and hand-written traces for the tests of scenarios and verdicts.
//! Must never need a world.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use seedbed::env::{EventSpec, Moment};
use seedbed::plan::{Overrides, Plan, draw};
use seedbed::scenario::{
    Kind, ParamWord, Scenario, Setting, SettingWord, StepWord, Vocabulary, Word, parse, render,
};
use seedbed::seed::Seed;
use seedbed::trace::{Event, Value};

const FIELDS: &[&str] = &["u", "r", "k", "n", "kind"];

const fn event(name: &'static str) -> EventSpec {
    EventSpec { name, fields: FIELDS, about: "A test." }
}

const EVENTS: &[EventSpec] = &[
    event("a"),
    event("b"),
    event("c"),
    event("gateway.ready"),
    event("gateway.accepted"),
    event("ask"),
    event("done"),
    event("push"),
    EventSpec { name: "user.sent", fields: &["user", "r#type"], about: "A test." },
    EventSpec { name: "world.healed", fields: &[], about: "A test." },
    EventSpec { name: "user.started", fields: &["user"], about: "A test." },
    EventSpec { name: "user.finished", fields: &["user"], about: "A test." },
    EventSpec { name: "host.crashed", fields: &["host", "kind"], about: "A test." },
    EventSpec { name: "user.failed", fields: &["user", "error"], about: "A test." },
    EventSpec {
        name: "task.panicked",
        fields: &["host", "task", "message", "location"],
        about: "A test.",
    },
];

pub fn vocabulary() -> Vocabulary {
    let duration = Kind::Duration;
    let param = |key, kind, required| ParamWord { key, kind, required, about: "A test." };
    let setting = |key, kind, default| SettingWord { key, kind, default, about: "A test." };
    let ms = |ms| Setting::Duration(Duration::from_millis(ms));
    Vocabulary {
        hosts: vec!["gateway", "db"],
        settings: vec![
            setting("gateway.replicas", Kind::Int { min: 1, max: 9 }, Setting::Int(1)),
            setting("gateway.startup.database", duration.clone(), ms(50)),
            setting("gateway.startup.services", duration.clone(), ms(80)),
            setting(
                "database.isolation",
                Kind::Choice(&["read committed", "repeatable read"]),
                Setting::Text("read committed".to_owned()),
            ),
            setting("model.fails", Kind::Bool, Setting::Bool(false)),
        ],
        steps: vec![
            StepWord {
                word: "connect",
                value: None,
                params: vec![param("at", duration.clone(), false)],
                about: "A test.",
            },
            StepWord { word: "ask", value: Some(Kind::Text), params: vec![], about: "A test." },
            StepWord {
                word: "await",
                value: Some(Kind::Text),
                params: vec![param("within", duration, true)],
                about: "A test.",
            },
        ],
        events: EVENTS.to_vec(),
        plants: vec![],
        invariants: vec![Word { name: "I1", about: "A test." }, Word { name: "I20", about: "." }],
    }
}

/// A scenario that must be right.
pub fn scenario(source: &str) -> Scenario {
    let (scenario, found) = parse("test", "test.toml", source, &vocabulary());
    scenario.unwrap_or_else(|| panic!("{}", render(&found, "test.toml", source, false)))
}

/// The diagnostics of a scenario that must be wrong.
pub fn mistakes(source: &str) -> String {
    let (scenario, found) = parse("test", "test.toml", source, &vocabulary());
    assert!(scenario.is_none() && !found.is_empty(), "nothing was found wrong with\n{source}");
    render(&found, "test.toml", source, false)
}

pub fn plan(scenario: &Scenario) -> Plan {
    draw(scenario, Seed(1), &Overrides::default())
}

/// A trace from lines like `120 ask u=ana n=3`: milliseconds, event, fields.
pub fn trace(text: &str) -> Vec<Event> {
    let lines = text.split([';', '\n']).map(str::trim).filter(|line| !line.is_empty());
    lines.enumerate().map(|(index, line)| one(index, line)).collect()
}

fn one(index: usize, line: &str) -> Event {
    let mut words = line.split_whitespace();
    let at: u64 = words.next().expect("a time").parse().expect("milliseconds");
    let name = words.next().expect("an event");
    let spec = EVENTS.iter().find(|spec| spec.name == name).expect("an event of the vocabulary");
    let field = |word: &str| {
        let (key, value) = word.split_once('=').expect("a field");
        let names = spec.fields.iter().chain(&["host"]);
        let key = names.map(|name| name.trim_start_matches("r#")).find(|name| *name == key);
        (key.expect("a field of the event"), value_of(value))
    };
    let index = u32::try_from(index).expect("a short trace");
    Event {
        index,
        step: u64::from(index),
        at: Moment(Duration::from_millis(at)),
        host: Arc::from("gateway"),
        task: "main",
        name: spec.name,
        fields: words.map(field).collect(),
        cause: None,
    }
}

fn value_of(text: &str) -> Value {
    match (text.parse::<i64>(), text.parse::<bool>()) {
        (Ok(number), _) => Value::from(number),
        (_, Ok(flag)) => Value::from(flag),
        _ => Value::from(text),
    }
}

/// Snapshots stand at the top of the repository, under the names of their tests.
pub fn snapshots(assert: impl FnOnce()) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(assert);
}
