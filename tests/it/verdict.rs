//! The exact meaning of each word of an expectation, on hand-written traces.
//! Must never run a world.

use seedbed::env::Moment;
use seedbed::scenario::Scenario;
use seedbed::trace::{Event, Observer as _};
use seedbed::verdict::{Broken, End, Invariant, Judge, Lack, Outcome, Tally, explain};

use crate::kit;

/// Plain patterns, and the same by key: `a` is any, `ar` splits by $r, `aur` by $u and $r.
const EVENTS: &str = r#"
[events]
a = { on = "a" }
b = { on = "b" }
c = { on = "c" }
ar = { on = "a", where = { r = "$r" } }
br = { on = "b", where = { r = "$r" } }
cr = { on = "c", where = { r = "$r" } }
ready = { on = "gateway.ready" }
ask = { on = "ask", where = { u = "$u", k = "$k" } }
done = { on = "done", where = { u = "$u", k = "$k", r = "$r" } }
gone = { on = "c", where = { u = "$u" } }
sent = { on = "user.sent", where = { user = "$u" } }
push = { on = "push", where = { r = "$r" } }
bad = { on = "a", where = { kind = "!good" } }
same = { on = "a", where = { u = "$x", k = "$x" } }
"#;

fn scenario(head: &str, expect: &str) -> Scenario {
    kit::scenario(&format!("{head}\n{EVENTS}\n[[expect]]\nid = \"it\"\n{expect}\n"))
}

fn end_of(events: &[Event], end_ms: u64) -> End {
    let at = Moment(std::time::Duration::from_millis(end_ms));
    End { at, step: events.len() as u64, left: Vec::new() }
}

fn run(scenario: &Scenario, trace: &str, end_ms: u64) -> (Outcome, Tally) {
    let events = kit::trace(trace);
    let mut judge = Judge::new(scenario, &kit::plan(scenario), Vec::new());
    for event in &events {
        if !judge.event(event) {
            break;
        }
    }
    judge.finish(&end_of(&events, end_ms), None)
}

/// `held`, `held, vacuous`, or the time and the message of the violation.
fn said(scenario: &Scenario, trace: &str, end_ms: u64) -> String {
    let (outcome, tally) = run(scenario, trace, end_ms);
    match outcome {
        Outcome::Held if tally.expects[0].active == 0 => "held, vacuous".to_owned(),
        Outcome::Held => "held".to_owned(),
        Outcome::Violated(violation) => {
            format!("{} {:?} {}", violation.at, violation.events, violation.message)
        }
        other => format!("{other:?}"),
    }
}

/// The expectation, the trace and what the verdict says after 60 virtual seconds.
#[track_caller]
fn check(expect: &str, trace: &str, verdict: &str) {
    assert_eq!(said(&scenario("", expect), trace, 60_000), verdict, "{expect}\n{trace}");
}

#[test]
fn before_means_all_before_all() {
    let order = r#"order = "a < b""#;
    check(order, "1 a; 2 a; 3 b; 4 b", "held");
    check(order, "1 a; 2 b; 3 a", "0.003s [1, 2] `a` came after `b`");
    check(order, "1 b; 1 a", "0.001s [0, 1] `a` came after `b`");
    check(order, "1 a", "held, vacuous");
    check(order, "", "held, vacuous");
    check(r#"order = "a < a""#, "1 a", "held");
    check(r#"order = "a < a""#, "1 a; 2 a", "0.002s [0, 1] `a` came after `a`");
}

#[test]
fn both_adds_that_each_occurs() {
    let order = "order = \"a < b\"\nboth = true";
    check(order, "1 a; 2 b", "held");
    check(order, "1 a", "60.000s [0] `b` never came");
    check(order, "", "60.000s [] `a` never came");
    // Absent values make no key, so there is nobody to miss.
    let keyed = "order = \"ar < br\"\nboth = true\nper = [\"r\"]";
    check(keyed, "", "held, vacuous");
    check(keyed, "1 b r=x", "60.000s [0] `x`: `ar` never came");
}

#[test]
fn chains_and_sets_are_their_pairs() {
    check(r#"order = "a < b < c""#, "1 c; 2 a", "0.002s [0, 1] `a` came after `c`");
    check(r#"order = "{a, b} < c""#, "1 b; 2 a; 3 c", "held");
    check(r#"order = "{a, b} < c""#, "1 a; 2 c; 3 b", "0.003s [1, 2] `b` came after `c`");
    check(r#"order = "c needs {a, b}""#, "1 a; 2 b; 3 c", "held");
    let missing = "0.002s [1] `c` came without `b` before it";
    check(r#"order = "c needs {a, b}""#, "1 a; 2 c", missing);
    check(r#"order = "c ~> {a, b}""#, "1 c; 2 b; 3 a", "held");
    let missing = "60.000s [0] `c` at 0.001s was not followed by `b`";
    check(r#"order = "c ~> {a, b}""#, "1 c; 3 a", missing);
}

#[test]
fn leads_to_wants_a_later_one_for_each() {
    let order = r#"order = "a ~> b""#;
    check(order, "1 a; 2 a; 3 b", "held");
    check(order, "1 b; 2 a", "60.000s [1] `a` at 0.002s was not followed by `b`");
    check(order, "1 b", "held, vacuous");
    // An event is not later than itself.
    check(r#"order = "a ~> a""#, "1 a", "60.000s [0] `a` at 0.001s was not followed by `a`");
}

#[test]
fn windows_are_inclusive_and_stand_in_virtual_time() {
    let order = r#"order = "a ~>[10ms,20ms] b""#;
    check(order, "100 a; 110 b", "held");
    check(order, "100 a; 120 b", "held");
    let late = "`a` at 0.100s was not followed by `b` within [10ms,20ms]";
    check(order, "100 a; 109 b; 121 c", &format!("0.121s [0, 2] {late}"));
    check(order, "100 a; 109 b", &format!("60.000s [0] {late}"));
    check(order, "100 a; 121 b", &format!("0.121s [0, 1] {late}"));
    check(order, "100 a; 105 a; 115 b", "held");
    check(
        order,
        "100 a; 105 a; 111 b; 126 b",
        "0.126s [1, 3] `a` at 0.105s was not followed by `b` within [10ms,20ms]",
    );
}

#[test]
fn needs_wants_an_earlier_one_before_each() {
    let order = r#"order = "b needs a""#;
    check(order, "1 a; 2 b; 3 b", "held");
    check(order, "1 b; 2 a", "0.001s [0] `b` came without `a` before it");
    check(order, "1 a", "held, vacuous");
    check(r#"order = "a needs a""#, "1 a", "0.001s [0] `a` came without `a` before it");
    let windowed = r#"order = "b needs[5ms,10ms] a""#;
    check(windowed, "1 a; 6 b; 11 b", "held");
    let without = "`b` came without `a` before it within [5ms,10ms]";
    check(windowed, "1 a; 12 b", &format!("0.012s [1] {without}"));
    check(windowed, "1 a; 5 b", &format!("0.005s [1] {without}"));
    check(windowed, "1 a; 9 a; 10 b", "held");
}

#[test]
fn a_number_picks_one_match_of_a_key() {
    check(r#"order = "b needs a#2""#, "1 a; 2 a; 3 b", "held");
    check(r#"order = "b needs a#2""#, "1 a; 2 b", "0.002s [1] `b` came without `a#2` before it");
    check(r#"order = "a#2 < b""#, "1 a; 2 a; 3 b; 4 a", "held");
    check(r#"order = "a#1 < a#2""#, "1 a; 2 a; 3 a", "held");
}

#[test]
fn per_splits_the_trace_and_absence_makes_no_key() {
    let order = "order = \"br needs ar\"\nper = [\"r\"]";
    check(order, "1 a r=x; 2 b r=x", "held");
    check(order, "1 a r=x; 2 b r=y", "0.002s [1] `y`: `br` came without `ar` before it");
    check(order, "1 b", "held, vacuous");
    // An id that is not known yet is the empty text.
    check(order, "1 b r=", "held, vacuous");
    // A number and the same digits as text would be two keys; here both are numbers.
    check(order, "1 a r=7; 2 b r=7", "held");
}

#[test]
fn an_event_without_the_key_is_of_every_key_also_of_later_ones() {
    let order = "order = \"ar needs ready\"\nper = [\"r\"]";
    check(order, "1 gateway.ready; 2 a r=x; 3 a r=y", "held");
    check(order, "1 a r=x; 2 gateway.ready", "0.001s [0] `x`: `ar` came without `ready` before it");
    let order = "order = \"ready < ar\"\nper = [\"r\"]";
    check(
        order,
        "1 gateway.ready; 2 a r=x; 3 gateway.ready",
        "0.003s [1, 2] `x`: `ready` came after `ar`",
    );
}

#[test]
fn patterns_test_fields() {
    check(r#"never = "bad""#, "1 a kind=good", "held");
    check(r#"never = "bad""#, "1 a kind=ugly", "0.001s [0] `bad` came and never should");
    // An absent field fails every test.
    check(r#"never = "bad""#, "1 a", "held");
    check(r#"never = "same""#, "1 a u=x k=y", "held");
    check(r#"never = "same""#, "1 a u=x k=x", "0.001s [0] `same` came and never should");
}

#[test]
fn a_response_answers_only_what_shares_its_values() {
    let response = r#"response = { when = "ask", then = "done", within = "1s" }"#;
    check(response, "1 ask u=ana k=1; 900 done u=ana k=1 r=x", "held");
    check(response, "1 ask u=ana k=1; 1001 done u=ana k=1 r=x", "held");
    let late = "`ask` at 0.001s was not followed by `done` within 1s";
    check(response, "1 ask u=ana k=1; 1002 done u=ana k=1 r=x", &format!("1.002s [0, 1] {late}"));
    check(response, "1 ask u=ana k=1; 2 done u=ben k=1 r=x", &format!("60.000s [0] {late}"));
    check(
        response,
        "1 done u=ana k=1; 2 ask u=ana k=1; 3 done u=ana k=1; 4 ask u=ana k=2; 5 done u=ana k=2",
        "held",
    );
    check(response, "1 done u=ana k=1 r=x", "held, vacuous");
}

#[test]
fn for_each_obliges_what_nobody_saw() {
    let count = "count = { of = \"done\", exactly = 1 }\nfor_each = \"ask\"";
    check(count, "1 ask u=ana k=1; 2 done u=ana k=1 r=x", "held");
    check(
        count,
        "1 ask u=ana k=1",
        "60.000s [] `ana`, `1`: `done` came never, expected at least 1",
    );
    let twice = "0.003s [1, 2] `ana`, `1`: `done` came 2 times, expected at most 1";
    check(count, "1 ask u=ana k=1; 2 done u=ana k=1 r=x; 3 done u=ana k=1 r=y", twice);
    // Nobody asked.
    check(count, "1 done u=ana k=1; 2 done u=ana k=1", "held, vacuous");
    // The obligation takes in what came before it.
    let late = "0.003s [0, 1, 2] `ana`, `1`: `done` came 2 times, expected at most 1";
    let said = said(&scenario("", count), "1 done u=ana k=1; 2 done u=ana k=1; 3 ask u=ana k=1", 9);
    assert_eq!(said, late.replace("[0, 1, 2]", "[0, 2]"));
    // Per key alone, a missing one cannot be noticed.
    let per = "count = { of = \"done\", exactly = 1 }\nper = [\"u\", \"k\"]";
    check(per, "1 ask u=ana k=1", "held, vacuous");
}

#[test]
fn for_each_user_obliges_every_user_of_the_plan() {
    let users = "[[user]]\nname = \"u\"\ncount = 2\nsteps = []";
    let scenario = scenario(users, "eventually = \"sent\"\nfor_each = \"user\"");
    assert_eq!(said(&scenario, "1 user.sent user=u/1; 2 user.sent user=u/2", 9), "held");
    let missing = "0.009s [] `u/2`: `sent` never came";
    assert_eq!(said(&scenario, "1 user.sent user=u/1; 2 user.sent user=eve", 9), missing);
}

#[test]
fn deadlines_count_from_the_healing_in_a_run_with_faults() {
    let head = r#"
        [run]
        faults_until = "10s"
        [[fault]]
        crash = { host = "db" }
    "#;
    let response = r#"response = { when = "ask", then = "done", within = "1s" }"#;
    let scenario = scenario(head, response);
    assert_eq!(said(&scenario, "1 ask u=ana k=1; 11000 done u=ana k=1", 20_000), "held");
    let late = "`ask` at 0.001s was not followed by `done` within 1s";
    let trace = "1 ask u=ana k=1; 11001 done u=ana k=1";
    assert_eq!(said(&scenario, trace, 20_000), format!("11.001s [0, 1] {late}"));
    // An engine that heals later than planned gives later deadlines.
    let trace = "1 ask u=ana k=1; 10500 world.healed; 11500 done u=ana k=1";
    assert_eq!(said(&scenario, trace, 20_000), "held");
    // After the healing, time counts from the event.
    let trace = "12000 ask u=ana k=1; 13001 done u=ana k=1";
    assert_eq!(
        said(&scenario, trace, 20_000),
        format!("13.001s [0, 1] {}", late.replace("0.001", "12.000"))
    );
}

#[test]
fn scopes_are_half_open() {
    let between = "never = \"c\"\nbetween = [\"a\", \"b\"]";
    check(between, "1 c; 2 a; 3 b; 4 c", "held");
    let came = "[1, 2] `c` came between `a` and `b` and never should";
    check(between, "1 b; 2 a; 3 c", &format!("0.003s {came}"));
    check(between, "1 c", "held, vacuous");
    // It opens again, stays open to the end, and an a inside changes nothing.
    let again = "0.006s [3, 5] `c` came between `a` and `b` and never should";
    check(between, "1 a; 2 a; 3 b; 4 a; 5 a; 6 c", again);
    // The opening event is inside, the closing one outside.
    check(
        "never = \"a\"\nbetween = [\"a\", \"b\"]",
        "1 a",
        "0.001s [0, 0] `a` came between `a` and `b` and never should",
    );
    check("never = \"b\"\nbetween = [\"a\", \"b\"]", "1 a; 2 b; 3 b", "held");
    check("never = \"c\"\nafter = \"a\"", "1 c; 2 a; 3 b", "held");
    check(
        "never = \"c\"\nafter = \"a\"",
        "1 a; 2 c",
        "0.002s [0, 1] `c` came after `a` and never should",
    );
    check("never = \"c\"\nbefore = \"a\"", "1 a; 2 c", "held");
    check(
        "never = \"c\"\nbefore = \"a\"",
        "1 c",
        "0.001s [0] `c` came before `a` and never should",
    );
}

#[test]
fn eventually_is_due_at_the_end_or_within() {
    check(r#"eventually = "a""#, "1 a", "held");
    check(r#"eventually = "a""#, "1 b", "60.000s [] `a` never came");
    check("eventually = \"a\"\nwithin = \"1s\"", "1000 a", "held");
    check("eventually = \"a\"\nwithin = \"1s\"", "1001 a", "1.001s [0] `a` never came within 1s");
}

#[test]
fn a_sequence_goes_up_by_one() {
    let sequence = "sequence = { of = \"push\", field = \"n\", step = \"+1\" }\nper = [\"r\"]";
    check(sequence, "1 push r=x n=5; 2 push r=y n=1; 3 push r=x n=6", "held");
    check(
        sequence,
        "1 push r=x n=5; 2 push r=x n=7",
        "0.002s [0, 1] `x`: `push` came with n 7, expected 6",
    );
    check(
        sequence,
        "1 push r=x n=5; 2 push r=x n=5",
        "0.002s [0, 1] `x`: `push` came with n 5, expected 6",
    );
    check(sequence, "1 push r=x", "0.001s [0] `x`: `push` came without a number in `n`");
    check(sequence, "1 push r=x n=5", "held, vacuous");
    let from = "sequence = { of = \"push\", field = \"n\", from = 1 }";
    check(from, "1 push n=2", "0.001s [0] `push` came with n 2, expected 1");
}

#[test]
fn matches_is_anchored_at_both_ends() {
    let grammar = r#"
        per = ["r"]
        stream = { on = "push", where = { r = "$r" }, names = "kind" }
        alphabet = ["start", "think", "tool", "end"]
        ignore = ["ping"]
        matches = "start (think | tool)* end"
    "#;
    let push = |names: &str| {
        let one = |name: &str| format!("1 push r=x kind={name}; ");
        names.split_whitespace().map(one).collect::<String>()
    };
    check(grammar, &push("start think ping tool end"), "held");
    check(grammar, &push("start end ping"), "held");
    check(
        grammar,
        &push("ping"),
        "60.000s [] `x`: the stream ended before it began, expected `start`",
    );
    check(
        grammar,
        &push("start think"),
        "60.000s [1] `x`: the stream ended after `think`, expected `end`, `think`, `tool`",
    );
    check(grammar, &push("think"), "0.001s [0] `x`: `think` came first, expected `start`");
    check(
        grammar,
        &push("start end think"),
        "0.001s [1, 2] `x`: `think` came after `end`, expected nothing more",
    );
    check(
        grammar,
        &push("start start"),
        "0.001s [0, 1] `x`: `start` came after `start`, expected `end`, `think`, `tool`",
    );
    check(
        grammar,
        &push("start other"),
        "0.001s [0, 1] `x`: `other` is not in the alphabet of the stream",
    );
    check(grammar, "1 push kind=start", "held, vacuous");
}

#[test]
fn unless_excuses_a_key_from_the_guard_on() {
    let count = r#"
        count = { of = "done", exactly = 1 }
        for_each = "ask"
        per = ["u"]
        unless = "gone"
    "#;
    check(count, "1 ask u=ana k=1; 2 c u=ana; 3 ask u=ben k=1; 4 done u=ben k=1 r=x", "held");
    check(
        count,
        "1 ask u=ana k=1; 2 c u=ben",
        "60.000s [] `ana`: `done` came never, expected at least 1",
    );
    let never = "never = \"ar\"\nper = [\"r\"]\nunless = \"cr\"";
    check(never, "1 c r=x; 2 a r=x", "held");
    // A guard without the key excuses every key, also one that comes up later.
    let ready = "never = \"ar\"\nper = [\"r\"]\nunless = \"ready\"";
    check(ready, "1 gateway.ready; 2 a r=x", "held");
    check(never, "1 a r=x; 2 c r=x", "0.001s [0] `x`: `ar` came and never should");
}

#[test]
fn owed_is_what_must_still_come() {
    let owed = |expect: &str, trace: &str| {
        let scenario = scenario("", expect);
        let mut judge = Judge::new(&scenario, &kit::plan(&scenario), Vec::new());
        for event in kit::trace(trace) {
            judge.event(&event);
        }
        judge.owed()
    };
    let response = r#"response = { when = "ask", then = "done" }"#;
    assert!(!owed(response, ""));
    assert!(owed(response, "1 ask u=ana k=1"));
    assert!(!owed(response, "1 ask u=ana k=1; 2 done u=ana k=1"));
    assert!(owed(r#"eventually = "a""#, ""));
    assert!(owed(r#"order = "a ~> b""#, "1 a"));
    assert!(!owed(r#"order = "a < b""#, "1 a"));
    let count = "count = { of = \"done\", at_least = 1 }\nfor_each = \"ask\"";
    assert!(!owed(count, "1 done u=ana k=1"));
    assert!(owed(count, "1 ask u=ana k=1"));
    // What only a campaign wants does not keep a world running.
    assert!(!owed(r#"sometimes = "a < b""#, "1 a"));
}

#[test]
fn sometimes_wants_the_order_and_its_events() {
    let hits = |per: &str, trace: &str| {
        let text = format!("sometimes = [\"ar < br\", \"br < ar\", \"ar\"]\n{per}");
        let (outcome, tally) = run(&scenario("", &text), trace, 9);
        assert_eq!(outcome, Outcome::Held);
        tally.expects[0].hits.clone()
    };
    assert_eq!(hits("", "1 a r=x; 2 b r=x"), [1, 0, 1]);
    assert_eq!(hits("", "1 b r=x; 2 a r=x"), [0, 1, 1]);
    assert_eq!(hits("", "1 a r=x"), [0, 0, 1]);
    assert_eq!(hits("", ""), [0, 0, 0]);
    // All before all: neither order holds over the whole trace, each does in a key.
    let mixed = "1 a r=x; 2 b r=x; 3 b r=y; 4 a r=y";
    assert_eq!(hits("", mixed), [0, 0, 1]);
    assert_eq!(hits("per = [\"r\"]", mixed), [1, 1, 1]);
}

#[test]
fn a_campaign_is_judged_only_when_it_is_long_enough() {
    let text = "[run]\nseeds = 2";
    let expect =
        "sometimes = [\"a < b\"]\nat_least = \"60%\"\n[[expect]]\nid = \"idle\"\norder = \"a < c\"";
    let scenario = scenario(text, expect);
    let mut tally = Tally::default();
    tally.merge(&run(&scenario, "1 a; 2 b", 9).1);
    let [finding] = tally.campaign(&scenario, true).try_into().expect("only the vacuous one");
    assert_eq!((finding.lack, finding.judged), (Lack::Vacuous, false));
    tally.merge(&run(&scenario, "1 b; 2 a", 9).1);
    let [seldom, vacuous] = tally.campaign(&scenario, true).try_into().expect("two findings");
    assert_eq!(seldom.message, "`a < b` was seen in 1 of 2 runs, expected 60%");
    assert_eq!(seldom.lack, Lack::Unreached { order: "a < b".to_owned(), hits: 1 });
    assert!(seldom.judged && vacuous.judged);
    assert_eq!(vacuous.message, "`idle` never had a case in 2 runs");
    let [seldom, vacuous] = tally.campaign(&scenario, false).try_into().expect("the same two");
    assert!(!seldom.judged && vacuous.judged);
}

#[test]
fn may_be_vacuous_needs_no_case() {
    let scenario = scenario("[run]\nseeds = 1", "order = \"a < b\"\nmay_be_vacuous = \"rare\"");
    let (_, tally) = run(&scenario, "", 9);
    assert_eq!(tally.campaign(&scenario, true), []);
}

#[test]
fn a_cut_run_owes_nothing_and_counts_nothing() {
    let scenario = scenario("", r#"eventually = "a""#);
    let judge = Judge::new(&scenario, &kit::plan(&scenario), Vec::new());
    let (outcome, tally) = judge.finish(&end_of(&[], 9), Some("wall clock".to_owned()));
    assert_eq!(outcome, Outcome::Inconclusive("wall clock".to_owned()));
    assert_eq!(tally.runs, 0);
}

#[test]
fn panics_and_failed_awaits_are_violations_everywhere() {
    let panicked = "1 task.panicked host=gateway task=reader message=oops location=x.rs:1";
    check(
        r#"never = "b""#,
        panicked,
        "0.001s [0] the task reader of gateway panicked at x.rs:1: oops",
    );
    check(r#"never = "b""#, "1 user.failed user=ana error=late", "0.001s [0] `ana`: late");
    let waived = "never = \"b\"\n[[waive]]\ninvariant = \"await\"\nwhy = \"it must fail\"";
    check(waived, "1 user.failed user=ana error=late", "held");
}

#[test]
fn a_user_who_never_ends_breaks_i20() {
    let scenario = scenario("", "never = \"b\"\nmay_be_vacuous = \"none here\"");
    let begun = "1 user.started user=ana; 2 user.started user=eve; 3 user.finished user=eve";
    let restless = "0.009s [] the world never came to rest: still at work: ana";
    assert_eq!(said(&scenario, begun, 9), restless);
    assert_eq!(said(&scenario, &format!("{begun}; 4 user.finished user=ana"), 9), "held");
    // One that a fault has killed is owed nothing, nor is one whose failure is waived.
    assert_eq!(said(&scenario, &format!("{begun}; 4 host.crashed host=ana"), 9), "held");
    let waived = "never = \"b\"\n[[waive]]\ninvariant = \"await\"\nwhy = \"it must fail\"";
    check(waived, &format!("{begun}; 4 user.failed user=ana error=late"), "held");
}

#[test]
fn a_livelock_breaks_i20() {
    let scenario = scenario("", r#"never = "a""#);
    let mut judge = Judge::new(&scenario, &kit::plan(&scenario), Vec::new());
    judge.livelock(&end_of(&[], 9));
    let (outcome, _) = judge.finish(&end_of(&[], 9), Some("steps".to_owned()));
    let Outcome::Violated(violation) = outcome else { panic!("not violated") };
    assert_eq!(violation.id, "I20");
}

/// Breaks at the first `a`, and at the end without `b`.
#[derive(Debug, Default)]
struct NoA {
    b: bool,
}

impl Invariant for NoA {
    fn id(&self) -> &'static str {
        "I1"
    }

    fn reads(&self) -> &'static [&'static str] {
        &["a", "b"]
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        self.b |= event.name == "b";
        if event.name == "a" { Err(Broken::new("an a").with([7])) } else { Ok(()) }
    }

    fn end(&mut self, _end: &End) -> Result<(), Broken> {
        if self.b { Ok(()) } else { Err(Broken::new("no b")) }
    }

    fn owed(&self) -> bool {
        !self.b
    }
}

#[test]
fn invariants_are_fed_and_may_be_waived() {
    let judged = |expect: &str, trace: &str| {
        let scenario = scenario("", expect);
        let mut judge =
            Judge::new(&scenario, &kit::plan(&scenario), vec![Box::new(NoA::default())]);
        let events = kit::trace(trace);
        let went_on = events.iter().all(|event| judge.event(event));
        let owed = judge.owed();
        let (outcome, _) = judge.finish(&end_of(&events, 9), None);
        (went_on, owed, outcome)
    };
    let never = r#"never = "c""#;
    let (went_on, _, outcome) = judged(never, "1 a");
    let Outcome::Violated(violation) = outcome else { panic!("not violated") };
    assert_eq!((violation.id.as_str(), violation.events), ("I1", vec![7, 0]));
    assert!(!went_on && violation.span.is_none());
    assert!(judged(never, "").1, "a b is owed");
    assert_eq!(judged(never, "1 b"), (true, false, Outcome::Held));
    let waived = format!("{never}\n[[waive]]\ninvariant = \"I1\"\nwhy = \"the test\"");
    assert_eq!(judged(&waived, "1 a"), (true, false, Outcome::Held));
}

#[test]
fn explain_reads_as_english() {
    let text = r#"
        order = "{a, b} < c"
        both = true
        [[expect]]
        id = "leads"
        per = ["r"]
        order = "ar ~>[0ms,500ms] br"
        unless = "cr"
        [[expect]]
        id = "needs"
        order = "b needs {a, c#2}"
        [[expect]]
        id = "answered"
        for_each = "ask"
        response = { when = "ask", then = "done", within = "20s" }
        [[expect]]
        id = "once"
        for_each = "ask"
        count = { of = "done", exactly = 1 }
        [[expect]]
        id = "gapless"
        per = ["r"]
        sequence = { of = "push", field = "n" }
        [[expect]]
        id = "quiet"
        never = "c"
        between = ["a", "b"]
        may_be_vacuous = "an a is rare"
        [[expect]]
        id = "comes"
        eventually = "a"
        [[expect]]
        id = "grammar"
        stream = { on = "push", names = "kind" }
        alphabet = ["start", "end"]
        ignore = ["ping"]
        matches = "start end"
        [[expect]]
        id = "seen"
        sometimes = ["a < b", "b < a"]
        at_least = "2%"
    "#;
    kit::snapshots(|| insta::assert_snapshot!("explain", explain(&scenario("", text))));
}
