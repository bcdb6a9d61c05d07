//! A scenario file from top to bottom: `[run]`, `[system]`, `[[user]]`, `[network]`, `[[waive]]`.
//! Must never run anything, nor stop at the first semantic mistake.

use std::collections::BTreeMap;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::diagnostic::Diagnostic;
use super::model::{NetworkSpec, Reconnect, Run, Scenario, Span, Undrawn, UserSpec, Waiver};
use super::reader::{Node, Reader};
use super::vocabulary::{Kind, Vocabulary};
use super::{events, expects, faults, steps};

const TOP: &[&str] =
    &["schema", "title", "run", "system", "user", "fault", "network", "events", "expect", "waive"];

/// The key of `[system]` that is no setting: which system it is.
const SYSTEM: &str = "name";

/// Words of the language that are not there yet, at the top and in an expectation.
pub(super) const LATER: &[&str] = &["fifo", "agree", "always", "causal", "hold", "beyond_contract"];

/// Reads a scenario. With any diagnostic there is no scenario: the first syntax error alone, or
/// else all other mistakes at once. Never panics, whatever the text.
pub fn parse(
    name: &str,
    path: &str,
    source: &str,
    vocabulary: &Vocabulary,
) -> (Option<Scenario>, Vec<Diagnostic>) {
    let mut reader = Reader { source, found: Vec::new() };
    let root = match DeTable::parse(source) {
        Ok(root) => root,
        Err(error) => return (None, vec![syntax(&error, source)]),
    };
    let scenario = read(&mut reader, root.get_ref(), vocabulary);
    if !reader.found.is_empty() {
        reader.found.sort_by_key(|diagnostic| diagnostic.span.start);
        return (None, reader.found);
    }
    let (name, path, source) = (name.to_owned(), path.to_owned(), Arc::from(source));
    (Some(Scenario { name, path, source, about: about(reader.source), ..scenario }), Vec::new())
}

/// Which of the systems a scenario is for, by the `name` in its `[system]`: the first when it names
/// none, or is no TOML, which [`parse`] says better.
pub fn choose(source: &str, systems: &[&str]) -> Result<usize, Box<Diagnostic>> {
    let Ok(root) = DeTable::parse(source) else { return Ok(0) };
    let table = root.get_ref().get("system").and_then(|node| node.get_ref().as_table());
    let Some(node) = table.and_then(|table| table.get(SYSTEM)) else { return Ok(0) };
    let Some(name) = node.get_ref().as_str() else { return Ok(0) };
    let found = systems.iter().position(|system| *system == name);
    found.ok_or_else(|| {
        let message = format!("unknown system: `{name}`");
        let wrong = Diagnostic::new("unknown-system", node.span(), message);
        Box::new(wrong.expected(name, systems))
    })
}

/// A place at the end of a line is marked before the line's end, not across it.
fn syntax(error: &toml::de::Error, source: &str) -> Diagnostic {
    let end = source.len();
    let span = error.span().unwrap_or(end..end);
    let rest = source.get(span.start..span.end).unwrap_or_default();
    let length = rest.find(['\n', '\r']).unwrap_or(rest.len());
    let mut lines = error.message().lines();
    let message = lines.next().unwrap_or("this is no TOML").to_owned();
    let help: Vec<String> = lines.map(str::to_owned).collect();
    Diagnostic { help, ..Diagnostic::new("syntax", span.start..span.start + length, message) }
}

/// The comment at the top, its lines joined.
fn about(source: &str) -> String {
    let lines = source.lines().map_while(|line| line.trim().strip_prefix('#'));
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}

fn read(reader: &mut Reader, root: &DeTable, vocabulary: &Vocabulary) -> Scenario {
    later(reader, root);
    reader.only_beside(root, TOP, LATER, "a scenario");
    schema(reader, root);
    let mut scenario = Scenario {
        title: root.get("title").and_then(|node| reader.text(node)).unwrap_or_default().to_owned(),
        run: root.get("run").map(|node| run(reader, node)).unwrap_or_default(),
        system: system(reader, root.get("system")),
        settings: settings(reader, root.get("system"), vocabulary),
        network: root.get("network").map(|node| network(reader, node)).unwrap_or_default(),
        ..Scenario::default()
    };
    scenario.users =
        each(reader, root, "user", |reader, table, span| user(reader, table, span, vocabulary));
    unique(reader, scenario.users.iter().map(|user| (user.name.as_str(), &user.span)), "user");
    scenario.faults = each(reader, root, "fault", |reader, table, span| {
        faults::fault(reader, table, span, vocabulary, &scenario)
    });
    scenario.patterns = root
        .get("events")
        .map(|node| events::patterns(reader, node, vocabulary))
        .unwrap_or_default();
    scenario.expects = each(reader, root, "expect", |reader, table, span| {
        expects::expect(reader, table, span, vocabulary, &scenario)
    });
    unique(reader, scenario.expects.iter().map(|e| (e.id.as_str(), &e.span)), "expectation");
    scenario.waivers =
        each(reader, root, "waive", |reader, table, span| waiver(reader, table, span, vocabulary));
    scenario
}

/// Refuses words that the language will have and this version has not.
pub(super) fn later(reader: &mut Reader, table: &DeTable) {
    for key in table.keys().filter(|key| LATER.contains(&key.get_ref().as_ref())) {
        let message = format!("`{}` is not supported yet", key.get_ref());
        reader.report(Diagnostic::new("not-supported-yet", key.span(), message));
    }
}

/// Every table of the array of tables `key`.
fn each<T>(
    reader: &mut Reader,
    root: &DeTable,
    key: &str,
    mut one: impl FnMut(&mut Reader, &DeTable, &Span) -> Option<T>,
) -> Vec<T> {
    let Some(node) = root.get(key) else { return Vec::new() };
    let Some(nodes) = node.get_ref().as_array() else {
        reader.wrong_type(node, &format!("[[{key}]], an array of tables"));
        return Vec::new();
    };
    let mut all = Vec::new();
    for node in nodes {
        if let Some(table) = reader.table(node) {
            all.extend(one(reader, table, &node.span()));
        }
    }
    all
}

fn unique<'a>(reader: &mut Reader, names: impl Iterator<Item = (&'a str, &'a Span)>, what: &str) {
    let mut seen: BTreeMap<&str, &Span> = BTreeMap::new();
    for (name, span) in names {
        if let Some(first) = seen.insert(name, span) {
            let message = format!("a second {what} named `{name}`");
            let diagnostic = Diagnostic::new("duplicate", span.clone(), message);
            reader.report(diagnostic.also(first.clone(), "the first"));
        }
    }
}

fn schema(reader: &mut Reader, root: &DeTable) {
    let Some(node) = root.get("schema") else { return };
    let version = node.get_ref().as_integer().map(ToString::to_string);
    if version.as_deref() != Some("1") {
        let message = "unknown version of the scenario language: expected schema = 1";
        reader.report(Diagnostic::new("unknown-schema", node.span(), message));
    }
}

fn run(reader: &mut Reader, node: &Node) -> Run {
    let mut run = Run::default();
    let Some(table) = reader.table(node) else { return run };
    reader.only(table, &["seeds", "faults_until", "quiesce", "steps_max", "strategy"], "[run]");
    let mut count = |key: &str| {
        table.get(key).and_then(|node| reader.int(node, 1, i64::MAX)).map(i64::cast_unsigned)
    };
    run.seeds = count("seeds").unwrap_or(run.seeds);
    run.steps_max = count("steps_max").unwrap_or(run.steps_max);
    let mut duration = |key: &str| table.get(key).and_then(|node| reader.duration(node));
    run.faults_until = duration("faults_until").unwrap_or(run.faults_until);
    run.quiesce = duration("quiesce").unwrap_or(run.quiesce);
    if let Some(node) = table.get("strategy")
        && let Some(text) = reader.text(node)
    {
        match text.parse() {
            Ok(strategy) => run.strategy = Some(strategy),
            Err(error) => {
                let error: super::words::StrategyError = error;
                reader.report(Diagnostic::new("unknown-strategy", node.span(), error.to_string()));
            }
        }
    }
    run
}

fn system(reader: &mut Reader, node: Option<&Node>) -> Option<String> {
    let name = node?.get_ref().as_table()?.get(SYSTEM)?;
    reader.text(name).map(str::to_owned)
}

/// All settings of the vocabulary, those of `[system]` in place of their defaults.
fn settings(
    reader: &mut Reader,
    node: Option<&Node>,
    vocabulary: &Vocabulary,
) -> BTreeMap<String, Undrawn> {
    let defaults = vocabulary.settings.iter();
    let mut all: BTreeMap<String, Undrawn> =
        defaults.map(|word| (word.key.to_owned(), Undrawn::from(&word.default))).collect();
    if let Some(table) = node.and_then(|node| reader.table(node)) {
        setting_table(reader, table, "", vocabulary, &mut all);
    }
    all
}

fn setting_table(
    reader: &mut Reader,
    table: &DeTable,
    prefix: &str,
    vocabulary: &Vocabulary,
    all: &mut BTreeMap<String, Undrawn>,
) {
    for (key, node) in table {
        let full = format!("{prefix}{}", key.get_ref());
        let inner = format!("{full}.");
        let known = vocabulary.settings.iter().find(|word| word.key == full);
        if full == SYSTEM {
            continue;
        }
        if let Some(word) = known {
            all.extend(value(reader, node, &word.kind).map(|value| (full, value)));
        } else if let DeValue::Table(table) = node.get_ref()
            && vocabulary.settings.iter().any(|word| word.key.starts_with(&inner))
        {
            setting_table(reader, table, &inner, vocabulary, all);
        } else {
            let keys: Vec<&str> = vocabulary.settings.iter().map(|word| word.key).collect();
            reader.unknown("unknown-setting", "setting of the system", &full, &keys, key.span());
        }
    }
}

/// A value of one kind, or a range of it.
pub(super) fn value(reader: &mut Reader, node: &Node, kind: &Kind) -> Option<Undrawn> {
    match kind {
        Kind::Duration => reader.durations(node).map(Undrawn::Duration),
        Kind::Int { min, max } => reader.ints(node, *min, *max).map(Undrawn::Int),
        Kind::Text => reader.text(node).map(|text| Undrawn::Text(text.to_owned())),
        Kind::Bool => reader.flag(node).map(Undrawn::Bool),
        Kind::Choice(names) => {
            let text = reader.text(node)?;
            if names.contains(&text) {
                return Some(Undrawn::Text(text.to_owned()));
            }
            reader.unknown("unknown-value", "value", text, names, node.span());
            None
        }
    }
}

fn network(reader: &mut Reader, node: &Node) -> NetworkSpec {
    let mut network = NetworkSpec::default();
    let Some(table) = reader.table(node) else { return network };
    let keys =
        ["latency", "spike_chance", "spike", "segment", "chop_chance", "stall_chance", "stall"];
    reader.only(table, &keys, "[network]");
    let mut durations = |key: &str| table.get(key).and_then(|node| reader.durations(node));
    network.latency = durations("latency").unwrap_or(network.latency);
    network.spike = durations("spike").unwrap_or(network.spike);
    network.stall = durations("stall").unwrap_or(network.stall);
    let mut chance = |key: &str| table.get(key).and_then(|node| reader.chance_ppm(node));
    network.spike_ppm = chance("spike_chance").unwrap_or(network.spike_ppm);
    network.chop_ppm = chance("chop_chance").unwrap_or(network.chop_ppm);
    network.stall_ppm = chance("stall_chance").unwrap_or(network.stall_ppm);
    let segment = table.get("segment").and_then(|node| reader.ints(node, 1, 1 << 20));
    network.segment = segment.unwrap_or(network.segment);
    network
}

fn user(
    reader: &mut Reader,
    table: &DeTable,
    span: &Span,
    vocabulary: &Vocabulary,
) -> Option<UserSpec> {
    reader.only(table, &["name", "count", "reconnect", "steps"], "[[user]]");
    let name_node = reader.required(table, "name", span, "a user")?;
    let name = reader.text(name_node)?.to_owned();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let reserved = vocabulary.hosts.contains(&name.as_str()) || name == "user" || name == "world";
    if name.is_empty() || !name.chars().all(plain) || reserved {
        let message = format!("`{name}` cannot name a user");
        let help = "letters, digits, `_` and `-`, and no host of the system, `user` or `world`";
        reader.report(Diagnostic::new("bad-name", name_node.span(), message).help(help));
    }
    let count = table.get("count").and_then(|node| reader.int(node, 1, 1_000)).unwrap_or(1);
    let reconnect = table.get("reconnect").and_then(|node| reconnect(reader, node));
    let node = reader.required(table, "steps", span, "a user")?;
    let Some(nodes) = node.get_ref().as_array() else {
        reader.wrong_type(node, "a list of steps");
        return None;
    };
    let read = |node| steps::step(reader, node, vocabulary);
    let steps = nodes.iter().filter_map(read).collect();
    let count = usize::try_from(count).unwrap_or(1);
    let reconnect = reconnect.unwrap_or_default();
    Some(UserSpec { name, span: name_node.span(), count, reconnect, steps })
}

fn reconnect(reader: &mut Reader, node: &Node) -> Option<Reconnect> {
    let text = reader.text(node)?;
    let all = [Reconnect::No, Reconnect::Fresh, Reconnect::Resume];
    let found = all.into_iter().find(|one| one.to_string() == text);
    if found.is_none() {
        let names = ["no", "fresh", "resume"];
        reader.unknown("unknown-value", "way to reconnect", text, &names, node.span());
    }
    found
}

fn waiver(
    reader: &mut Reader,
    table: &DeTable,
    span: &Span,
    vocabulary: &Vocabulary,
) -> Option<Waiver> {
    reader.only(table, &["invariant", "why"], "[[waive]]");
    let node = reader.required(table, "invariant", span, "a waiver");
    let why = reader.required(table, "why", span, "a waiver, a reason being due,");
    let (node, why) = (node?, why?);
    let (invariant, reason) = (reader.text(node)?, reader.text(why)?);
    let system = vocabulary.invariants.iter().map(|word| word.name);
    let names: Vec<&str> = system.chain(["panic", "await"]).collect();
    if !names.contains(&invariant) {
        reader.unknown("unknown-invariant", "invariant", invariant, &names, node.span());
    }
    if reason.trim().is_empty() {
        reader.report(Diagnostic::new("missing-reason", why.span(), "a waiver needs its reason"));
    }
    Some(Waiver { invariant: invariant.to_owned(), why: reason.to_owned(), span: node.span() })
}
