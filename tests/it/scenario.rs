//! Scenario files: what they are read as, and what is said about a wrong one.
//! Must never judge a trace.

use std::time::Duration;

use proptest::prelude::*;
use seedbed::plan;
use seedbed::scenario::{
    Atom, Between, Claim, FaultKind, ForEach, Grammar, Op, Order, Reconnect, Undrawn, parse,
    render, show,
};

use crate::kit::{self, mistakes, scenario, vocabulary};

/// A file that uses most of the language.
const FULL: &str = r#"# Proves: a client that connects early is served,
# and never sees 1011.
schema = 1
title = "cold start"

[run]
seeds = 2000
faults_until = "20s"
quiesce = "1.5m"

[system]
gateway = { replicas = 2, startup = { database = "50ms..900ms" } }
database.isolation = "repeatable read"

[[user]]
name = "u"
count = 3
reconnect = "resume"
steps = [
  { connect = { at = "0ms..400ms" } },
  { ask = "How is my portfolio doing?" },
  { await = "agent_completed", within = "20s" },
]

[[user]]
name = "ana"
steps = [{ ask = "?" }]

[[fault]]
chance = 0.3
crash = { host = "gateway", at = "100ms..2s", restart_after = "50ms..1s" }

[[fault]]
chance = "2%"
times = 2
partition = { from = "u", to = ["gateway", "db"], for = "1s" }

[[fault]]
clock_jump = { host = "user", by = "-2s..500ms" }

[network]
latency = "1ms..5ms"
stall_chance = 0

[events]
ask = { on = "ask", where = { u = "$u", k = "$k", n = 7 } }
done = { on = "done", where = { u = "$u", r = "$r", k = "$k", kind = "!failed" } }

[[expect]]
id = "answered"
for_each = "ask"
response = { when = "ask", then = "done", within = "20s" }

[[expect]]
id = "seen"
per = ["u"]
sometimes = ["ask < done", "done ~>[0ms,1.5s] {ask#2, done}"]
at_least = "2%"

[[waive]]
invariant = "I1"
why = "the gateway is stubborn here"
"#;

/// Mistakes in every table.
const SLIPS: &str = r#"# A file full of slips.
titel = "slips"

[run]
seeds = 0
quiesce = "90"
faults_until = "20sec"
strategy = "pct0"

[system]
gateway = { replica = 2, startup = { databse = "5ms" } }
model.fails = "yes"
database = { isolation = "serializable" }

[[user]]
name = "u"
count = 2
reconnect = "always"
steps = [
  { conect = { at = "0ms" } },
  { connect = { when = "0ms" } },
  { connect = { at = "2s..1s" } },
  { await = "agent_completed" },
]

[[fault]]
chance = 1.5
crash = { host = "gatway" }

[[fault]]
crash = { host = "db", at = "1h" }

[network]
latency = 5

[events]
ready = { on = "gateway.redy" }
ask = { on = "ask", where = { user = "$u", k = 1.5 } }
user = { on = "ask" }

[[expect]]
id = "a"
nevr = "ready"

[[waive]]
invariant = "I99"
why = ""
"#;

/// Mistakes in expectations.
const MISSPOKEN: &str = r#"
[events]
ready = { on = "gateway.ready" }
ask = { on = "ask", where = { u = "$u", k = "$k" } }
done = { on = "done", where = { u = "$u" } }

[[expect]]
id = "a"
order = "redy < ask"

[[expect]]
id = "b"
order = "ready <[0ms,1s] ask"

[[expect]]
id = "c"
order = "ready ~>[2s,1s] ask"

[[expect]]
id = "d"
order = "ready then ask"

[[expect]]
id = "a"
order = "ready"

[[expect]]
id = "e"
stream = { on = "push", names = "kid" }
alphabet = ["start", "end"]
matches = "start (think | end"

[[expect]]
id = "f"
stream = { on = "push", names = "kind" }
alphabet = ["start", "end"]
matches = "start think* end"

[[expect]]
id = "g"
per = ["x"]
never = "ready"

[[expect]]
id = "h"
per = ["u", "k"]
order = "done needs ask"

[[expect]]
id = "i"
count = { of = "done" }

[[expect]]
id = "j"
count = { of = "done", at_least = 3, at_most = 2 }

[[expect]]
id = "k"
never = "ready"
eventually = "done"

[[expect]]
id = "l"
fifo = { from = "ask", to = "done" }

[[expect]]
id = "m"
never = "ready"
within = "2s"

[[expect]]
id = "n"
for_each = "user"
eventually = "ready"
"#;

#[test]
fn a_full_file_is_read_as_it_says() {
    let file = scenario(FULL);
    assert_eq!(file.title, "cold start");
    assert_eq!(file.about, "Proves: a client that connects early is served, and never sees 1011.");
    assert_eq!((file.run.seeds, file.run.quiesce), (2000, Duration::from_secs(90)));
    let ms = Duration::from_millis;
    let drawn = Between { low: ms(50), high: ms(900) };
    assert_eq!(file.settings["gateway.startup.database"], Undrawn::Duration(drawn));
    assert_eq!(
        file.settings["gateway.startup.services"],
        Undrawn::Duration(Between::exactly(ms(80)))
    );
    assert_eq!(file.settings["gateway.replicas"], Undrawn::Int(Between::exactly(2)));
    assert_eq!(file.user_names(), ["u/1", "u/2", "u/3", "ana"]);
    assert_eq!(file.users[0].reconnect, Reconnect::Resume);
    assert_eq!(
        file.users[0].steps[1].params["value"],
        Undrawn::Text("How is my portfolio doing?".into())
    );
    assert_eq!(file.faults[0].chance_ppm, 300_000);
    assert_eq!(file.faults[1].chance_ppm, 20_000);
    let FaultKind::Partition { from, to, .. } = &file.faults[1].what else {
        panic!("no partition")
    };
    assert_eq!((from.len(), to.len()), (3, 2));
    let FaultKind::ClockJump { hosts, by_ms } = &file.faults[2].what else { panic!("no jump") };
    assert_eq!((hosts.len(), *by_ms), (4, Between { low: -2000, high: 500 }));
    assert_eq!(file.faults[2].at, Between { low: Duration::ZERO, high: Duration::from_secs(20) });
    assert_eq!(file.network.stall_ppm, 0);
    assert_eq!(file.expects[0].for_each, Some(ForEach::Match("ask".to_owned())));
    assert_eq!(file.expects[0].key, ["u", "k"]);
    assert_eq!(
        &FULL[file.expects[0].span.clone()],
        r#"response = { when = "ask", then = "done", within = "20s" }"#
    );
    let Claim::Sometimes { orders, at_least_ppm } = &file.expects[1].claim else { panic!() };
    assert_eq!(
        (orders[1].to_string().as_str(), *at_least_ppm),
        ("done ~>[0ms,1.5s] {ask#2, done}", 20_000)
    );
}

#[test]
fn an_empty_file_is_a_scenario() {
    let file = scenario("");
    assert_eq!(file.settings.len(), vocabulary().settings.len());
    assert!(file.expects.is_empty());
}

#[test]
fn the_first_syntax_error_comes_alone() {
    let text = mistakes("[run\nseeds = 1\n[user\nname = 'u\n");
    kit::snapshots(|| insta::assert_snapshot!("mistake_syntax", text));
}

#[test]
fn nesting_without_end_is_an_error_and_no_overflow() {
    for (open, close) in [("[", "]"), ("{ a = ", "}")] {
        let source = format!("title = {}1{}", open.repeat(100_000), close.repeat(100_000));
        let (scenario, found) = parse("test", "", &source, &vocabulary());
        assert!(scenario.is_none() && found[0].code == "syntax");
    }
    let keys = format!("[system]\n{}a = 1", "a.".repeat(10_000));
    assert!(parse("test", "", &keys, &vocabulary()).0.is_none());
}

#[test]
fn all_other_mistakes_come_at_once() {
    let text = mistakes(SLIPS);
    kit::snapshots(|| insta::assert_snapshot!("mistakes_of_tables", text));
}

#[test]
fn mistakes_in_expectations_point_into_the_expression() {
    let text = mistakes(MISSPOKEN);
    kit::snapshots(|| insta::assert_snapshot!("mistakes_of_expectations", text));
}

/// One mistake a line: the code and what it says.
#[track_caller]
fn check(source: &str, expected: &str) {
    let (scenario, found) = parse("test", "test.toml", source, &vocabulary());
    assert!(scenario.is_none(), "{source}");
    let lines: Vec<String> = found.iter().map(|d| format!("{}: {}", d.code, d.message)).collect();
    assert_eq!(lines.join("\n"), expected, "{source}");
}

#[test]
fn words_that_come_later_are_refused_by_name() {
    let event = "[events]\na = { on = \"a\" }\n[[expect]]\nid = \"x\"\n";
    for word in ["fifo", "agree", "always", "causal", "hold"] {
        let refused = format!("not-supported-yet: `{word}` is not supported yet");
        check(&format!("{event}{word} = \"a\""), &refused);
    }
    check("[[hold]]\nwhat = \"a\"", "not-supported-yet: `hold` is not supported yet");
    let fault = "[[fault]]\nbeyond_contract = [\"I1\"]\nreset = { host = \"db\" }";
    check(fault, "not-supported-yet: `beyond_contract` is not supported yet");
}

#[test]
fn names_stand_once() {
    let user = |name: &str| format!("[[user]]\nname = \"{name}\"\nsteps = []\n");
    check(&user("u").repeat(2), "duplicate: a second user named `u`");
    check(&user("gateway"), "bad-name: `gateway` cannot name a user");
    check(&user("u/1"), "bad-name: `u/1` cannot name a user");
    let expect = "[[expect]]\nid = \"x\"\neventually = \"a\"\n";
    let twice = format!("[events]\na = {{ on = \"a\" }}\n{}", expect.repeat(2));
    check(&twice, "duplicate: a second expectation named `x`");
    check("[events]\n\"a b\" = { on = \"a\" }", "bad-name: `a b` cannot name an event");
    let both = "[[fault]]\nreset = { host = \"db\" }\npause = { host = \"db\", for = \"1s\" }";
    check(both, "duplicate: a fault has one word; write a second [[fault]]");
    check("[[fault]]\nchance = 1", "missing-key: a fault needs its word");
    let statement = "[[fault]]\nstatement = { host = \"db\", matching = \"a\"";
    let idle = "missing-key: a statement that is neither slow nor fails";
    check(&format!("{statement} }}"), idle);
    let state = "bad-value: `4000` is no SQLSTATE";
    check(&format!("{statement}, error = \"4000\" }}"), state);
    let commit = "[[fault]]\ncommit = { host = \"db\", lost = \"aft\" }";
    check(commit, "unknown-value: unknown moment: `aft`");
    check("[[user]]\nname = \"u\"\nsteps = [{}]", "missing-key: a step needs its word");
}

#[test]
fn a_key_is_whole_or_absent() {
    let events = r#"
        [events]
        ask = { on = "ask", where = { u = "$u", k = "$k" } }
        done = { on = "done", where = { u = "$u", k = "$k", r = "$r" } }
        gone = { on = "c", where = { u = "$u" } }
        [[expect]]
        id = "x"
    "#;
    let expect = |text: &str| format!("{events}\n{text}");
    let oblige = "per = [\"u\", \"r\"]\nfor_each = \"ask\"\neventually = \"done\"";
    check(&expect(oblige), "partial-key: `for_each = \"ask\"` does not bind `$r`");
    let guard = "per = [\"u\", \"k\"]\nnever = \"done\"\nunless = \"gone\"";
    check(&expect(guard), "partial-key: `gone` has `$u` but not `$k`");
    let users = "for_each = \"user\"\nper = [\"u\", \"k\"]\neventually = \"done\"";
    check(&expect(users), "no-key: for each user, the key is one variable: the user");
    // What only `for_each` has is no part of the key.
    assert_eq!(
        scenario(&expect("for_each = \"ask\"\neventually = \"gone\"")).expects[0].key,
        ["u"]
    );
    assert_eq!(
        scenario(&expect("for_each = \"ask\"\neventually = \"ask\"")).expects[0].key,
        ["u", "k"]
    );
}

#[test]
fn units_and_ranges_are_exact() {
    let run = |value: &str| format!("[run]\nquiesce = {value}");
    check(&run("\"90\""), "unknown-unit: this duration has no unit");
    check(&run("\"90 sec\""), "unknown-unit: unknown unit of time: `sec`");
    check(&run("\"ms\""), "bad-value: expected a duration like \"250ms\" (us, ms, s, m, h)");
    check(
        &run("\"1.0000001s\""),
        "bad-value: expected a duration like \"250ms\" (us, ms, s, m, h)",
    );
    check(
        &run("\"99999999999h\""),
        "bad-value: expected a duration like \"250ms\" (us, ms, s, m, h)",
    );
    check(&run("90"), "wrong-type: expected a text in quotes, found integer");
    check("[network]\nlatency = \"2ms..1ms\"", "empty-range: this range is empty");
    assert_eq!(scenario(&run("\"1.25s\"")).run.quiesce, Duration::from_millis(1250));
}

#[test]
fn chances_never_pass_through_a_float() {
    let chance = |text: &str| {
        let source = format!("[[fault]]\nchance = {text}\nreset = {{ host = \"db\" }}");
        let (scenario, _) = parse("test", "", &source, &vocabulary());
        scenario.map(|scenario| scenario.faults[0].chance_ppm)
    };
    assert_eq!(chance("0.3"), Some(300_000));
    assert_eq!(chance("0.000001"), Some(1));
    assert_eq!(chance("1"), Some(1_000_000));
    assert_eq!(chance("\"0.25%\""), Some(2_500));
    for wrong in ["1.5", "-0.1", "1e-3", "0.0000001", "nan", "2", "true", "\"x\""] {
        assert_eq!(chance(wrong), None, "{wrong}");
    }
}

#[test]
fn places_in_texts_of_several_lines_are_found() {
    for (open, close) in [("\"\"\"\n", "\"\"\""), ("'''", "'''"), ("'", "'")] {
        let source = format!("[[expect]]\nid = \"x\"\norder = {open}a ; b{close}");
        let (_, found) = parse("test", "", &source, &vocabulary());
        assert_eq!(&source[found[0].span.clone()], ";", "{source}");
    }
}

#[test]
fn places_in_texts_with_escapes_fall_back_to_the_whole_text() {
    let source = "[[expect]]\nid = \"x\"\norder = \"a\\u0020< b\"";
    let (_, found) = parse("test", "", source, &vocabulary());
    assert_eq!(&source[found[0].span.clone()], "\"a\\u0020< b\"");
}

#[test]
fn grammars_print_as_they_read() {
    for text in ["a", "a b | c", "a (b | c)* d", "(a b)+ c?", "(a* | b)+", "(a+)*"] {
        assert_eq!(Grammar::parse(text).expect(text).to_string(), text);
    }
    for text in ["", "a |", "(a", "a)", "a**", "*", "a?+"] {
        assert!(Grammar::parse(text).is_err(), "{text}");
    }
    let deep = format!("{}a{}", "(".repeat(10_000), ")".repeat(10_000));
    assert!(Grammar::parse(&deep).is_err(), "too deep for the stack");
    assert!(Grammar::parse(&"a ".repeat(129)).is_err(), "too long for the set of places");
}

#[test]
fn strategies_print_as_they_read() {
    for text in ["fifo", "random", "pct1", "pct9"] {
        assert_eq!(text.parse::<plan::Strategy>().expect(text).to_string(), text);
    }
    for text in ["", "pct", "pct0", "pct10", "PCT3", "pct-1"] {
        assert!(text.parse::<plan::Strategy>().is_err(), "{text}");
    }
}

fn micros() -> impl Strategy<Value = Duration> {
    (0_u64..1_000, prop::sample::select(vec![1_u64, 1_000, 1_000_000, 60_000_000]))
        .prop_map(|(number, unit)| Duration::from_micros(number * unit))
}

fn window() -> impl Strategy<Value = Option<Between<Duration>>> {
    let ends = (micros(), micros());
    prop::option::of(ends.prop_map(|(a, b)| Between { low: a.min(b), high: a.max(b) }))
}

fn op() -> impl Strategy<Value = Op> {
    let windowed = [window().prop_map(Op::LeadsTo).boxed(), window().prop_map(Op::Needs).boxed()];
    let [leads_to, needs] = windowed;
    prop_oneof![Just(Op::Before), leads_to, needs]
}

fn order() -> impl Strategy<Value = Order> {
    let atom = ("[a-z_][a-z0-9_.-]{0,5}", prop::option::of(1_u32..99))
        .prop_filter("a word of the language", |(name, _)| name != "needs")
        .prop_map(|(name, nth)| Atom { name, nth, span: 0..0 });
    let group = prop::collection::vec(atom, 1..4);
    let rest = prop::collection::vec((op(), group.clone()), 0..4);
    (group, rest).prop_map(|(first, rest)| {
        let (ops, groups): (Vec<_>, Vec<_>) = rest.into_iter().unzip();
        Order { groups: [vec![first], groups].concat(), ops }
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: Some(Box::new(
            proptest::test_runner::FileFailurePersistence::Direct(
                concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proptest-regressions/scenario.txt"),
            ),
        )),
        ..ProptestConfig::default()
    })]

    #[test]
    fn an_order_that_is_printed_reads_back_as_the_same(order in order()) {
        let text = order.to_string();
        let again = Order::parse(&text).map_err(|e| TestCaseError::fail(format!("{text}: {e:?}")))?;
        prop_assert_eq!(again.to_string(), text);
        prop_assert_eq!(&again.ops, &order.ops);
        let plain = |order: &Order| -> Vec<Vec<(String, Option<u32>)>> {
            let one = |atom: &Atom| (atom.name.clone(), atom.nth);
            order.groups.iter().map(|group| group.iter().map(one).collect()).collect()
        };
        prop_assert_eq!(plain(&again), plain(&order));
    }

    #[test]
    fn a_duration_that_is_printed_reads_back_as_the_same(duration in micros()) {
        let source = format!("[run]\nquiesce = \"{}\"", show(duration));
        prop_assert_eq!(kit::scenario(&source).run.quiesce, duration);
    }

    #[test]
    fn no_text_makes_the_loader_panic(
        at in 0..FULL.len(),
        length in 0_usize..40,
        put in "[\\PC\n]{0,12}|[\\[\\]{}=\"'#$!~<>.,\n0-9a-z]{0,12}",
    ) {
        let end = (at + length).min(FULL.len());
        let source = format!("{}{put}{}", &FULL[..at], &FULL[end..]);
        let (scenario, found) = parse("test", "test.toml", &source, &vocabulary());
        prop_assert_eq!(scenario.is_none(), !found.is_empty());
        let text = render(&found, "test.toml", &source, true);
        prop_assert!(found.is_empty() || !text.trim().is_empty());
        for diagnostic in &found {
            prop_assert!(diagnostic.span.end <= source.len(), "{:?}", diagnostic);
        }
    }
}
