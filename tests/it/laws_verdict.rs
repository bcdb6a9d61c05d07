//! The automata against the definitions that they stand for, word for word over the whole trace,
//! on random traces. Must never share code with the automata.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use seedbed::env::Moment;
use seedbed::trace::Observer as _;
use seedbed::verdict::{End, Judge, Outcome};

use crate::kit;

/// Milliseconds, name, key.
type Seen = (u64, &'static str, Option<&'static str>);

fn traces() -> impl Strategy<Value = Vec<Seen>> {
    let name = prop::sample::select(vec!["a", "b", "c"]);
    let key = prop::sample::select(vec![Some("x"), Some("y"), None]);
    prop::collection::vec((0_u64..4, name, key), 0..14).prop_map(|steps| {
        let mut now = 0;
        let at = |(after, name, key)| {
            now += after;
            (now, name, key)
        };
        steps.into_iter().map(at).collect()
    })
}

fn held(expect: &str, trace: &[Seen]) -> bool {
    let source = format!(
        r#"
        [events]
        a = {{ on = "a" }}
        b = {{ on = "b" }}
        c = {{ on = "c" }}
        ar = {{ on = "a", where = {{ r = "$r" }} }}
        br = {{ on = "b", where = {{ r = "$r" }} }}
        cr = {{ on = "c", where = {{ r = "$r" }} }}
        [[expect]]
        id = "it"
        {expect}
        "#
    );
    let scenario = kit::scenario(&source);
    let field = |key: Option<&str>| key.map_or(String::new(), |key| format!(" r={key}"));
    let line = |(at, name, key): &Seen| format!("{at} {name}{}", field(*key));
    let events = kit::trace(&trace.iter().map(line).collect::<Vec<_>>().join("\n"));
    let mut judge = Judge::new(&scenario, &kit::plan(&scenario), Vec::new());
    for event in &events {
        judge.event(event);
    }
    let at = Moment(Duration::from_mins(1));
    let (outcome, _) = judge.finish(&End { at, step: 99, left: Vec::new() }, None);
    outcome == Outcome::Held
}

/// The trace of each key: its own events, and with `shared` those of that name of no key.
fn by_key(trace: &[Seen], shared: &str) -> Vec<Vec<Seen>> {
    let own = trace.iter().filter(|(_, name, _)| *name != shared);
    let keys: BTreeSet<&str> = own.filter_map(|(_, _, key)| *key).collect();
    let of = |key: &str| {
        let mine = |seen: &&Seen| seen.1 == shared || seen.2 == Some(key);
        trace.iter().filter(mine).copied().collect()
    };
    keys.into_iter().map(of).collect()
}

fn at_of<'t>(trace: &'t [Seen], name: &'t str) -> impl Iterator<Item = (usize, u64)> + 't {
    let named = move |(_, seen): &(usize, &Seen)| seen.1 == name;
    trace.iter().enumerate().filter(named).map(|(index, seen)| (index, seen.0))
}

/// No a comes after a b.
fn before(trace: &[Seen]) -> bool {
    at_of(trace, "a").all(|(i, _)| at_of(trace, "b").all(|(j, _)| i < j))
}

/// Each a is followed by a later b, `low..=high` after it.
fn leads_to(trace: &[Seen], low: u64, high: u64) -> bool {
    let answered = |(i, t): (usize, u64)| {
        at_of(trace, "b").any(|(j, u)| j > i && (low..=high).contains(&(u - t)))
    };
    at_of(trace, "a").all(answered)
}

/// Before each b there is an a, `low..=high` before it.
fn needs(trace: &[Seen], low: u64, high: u64) -> bool {
    let had = |(i, t): (usize, u64)| {
        at_of(trace, "a").any(|(j, u)| j < i && (low..=high).contains(&(t - u)))
    };
    at_of(trace, "b").all(had)
}

/// No c in a part that an a opened and no b has closed since.
fn between(trace: &[Seen]) -> bool {
    let open = |at: usize| {
        at_of(trace, "a").any(|(l, _)| l < at && !at_of(trace, "b").any(|(r, _)| l < r && r < at))
    };
    at_of(trace, "c").all(|(index, _)| !open(index))
}

/// A regular expression as text, and the words over p, q and s that it has.
#[derive(Clone, Debug)]
enum Language {
    Letter(char),
    Then(Box<Language>, Box<Language>),
    Or(Box<Language>, Box<Language>),
    Any(Box<Language>),
    Some(Box<Language>),
    Maybe(Box<Language>),
}

impl Language {
    fn text(&self) -> String {
        match self {
            Language::Letter(letter) => letter.to_string(),
            Language::Then(a, b) => format!("({} {})", a.text(), b.text()),
            Language::Or(a, b) => format!("({} | {})", a.text(), b.text()),
            Language::Any(a) => format!("({})*", a.text()),
            Language::Some(a) => format!("({})+", a.text()),
            Language::Maybe(a) => format!("({})?", a.text()),
        }
    }

    /// Where a match that starts at `from` may end.
    fn ends(&self, word: &[char], from: usize) -> BTreeSet<usize> {
        match self {
            Language::Letter(letter) => word
                .get(from)
                .filter(|found| *found == letter)
                .map(|_| from + 1)
                .into_iter()
                .collect(),
            Language::Then(a, b) => {
                a.ends(word, from).into_iter().flat_map(|middle| b.ends(word, middle)).collect()
            }
            Language::Or(a, b) => &a.ends(word, from) | &b.ends(word, from),
            Language::Maybe(a) => &a.ends(word, from) | &BTreeSet::from([from]),
            Language::Any(a) => Self::repeat(a, word, BTreeSet::from([from])),
            Language::Some(a) => Self::repeat(a, word, a.ends(word, from)),
        }
    }

    fn repeat(inner: &Language, word: &[char], mut ends: BTreeSet<usize>) -> BTreeSet<usize> {
        loop {
            let more: BTreeSet<usize> =
                ends.iter().flat_map(|from| inner.ends(word, *from)).collect();
            if more.is_subset(&ends) {
                return ends;
            }
            ends.extend(more);
        }
    }
}

fn languages() -> impl Strategy<Value = Language> {
    let letter = prop::sample::select(vec!['p', 'q', 's']).prop_map(Language::Letter);
    letter.prop_recursive(4, 12, 2, |inner| {
        let boxed = inner.prop_map(Box::new).boxed();
        prop_oneof![
            (boxed.clone(), boxed.clone()).prop_map(|(a, b)| Language::Then(a, b)),
            (boxed.clone(), boxed.clone()).prop_map(|(a, b)| Language::Or(a, b)),
            boxed.clone().prop_map(Language::Any),
            boxed.clone().prop_map(Language::Some),
            boxed.prop_map(Language::Maybe),
        ]
    })
}

fn matches(language: &Language, word: &[char]) -> bool {
    let source = format!(
        r#"
        [[expect]]
        id = "it"
        stream = {{ on = "push", names = "kind" }}
        alphabet = ["p", "q", "s"]
        matches = "{}"
        "#,
        language.text()
    );
    let scenario = kit::scenario(&source);
    let trace: Vec<String> = word.iter().map(|letter| format!("1 push kind={letter}")).collect();
    let mut judge = Judge::new(&scenario, &kit::plan(&scenario), Vec::new());
    let whole = kit::trace(&trace.join("\n")).iter().all(|event| judge.event(event));
    let end = End { at: Moment(Duration::from_secs(1)), step: 99, left: Vec::new() };
    whole && judge.finish(&end, None).0 == Outcome::Held
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proptest-regressions/laws_verdict.txt"),
        ))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn orders_mean_their_definitions(trace in traces(), low in 0_u64..5, width in 0_u64..8) {
        let high = low + width;
        prop_assert_eq!(held(r#"order = "a < b""#, &trace), before(&trace));
        prop_assert_eq!(held(r#"order = "a ~> b""#, &trace), leads_to(&trace, 0, u64::MAX));
        prop_assert_eq!(held(r#"order = "b needs a""#, &trace), needs(&trace, 0, u64::MAX));
        let windowed = format!("order = \"a ~>[{low}ms,{high}ms] b\"");
        prop_assert_eq!(held(&windowed, &trace), leads_to(&trace, low, high));
        let windowed = format!("order = \"b needs[{low}ms,{high}ms] a\"");
        prop_assert_eq!(held(&windowed, &trace), needs(&trace, low, high));
    }

    #[test]
    fn keys_split_the_trace(trace in traces()) {
        let keyed = |order: &str| format!("per = [\"r\"]\norder = \"{order}\"");
        let relevant: Vec<Seen> = trace.iter().filter(|seen| seen.1 != "c").copied().collect();
        let own = by_key(&relevant, "");
        prop_assert_eq!(held(&keyed("ar < br"), &trace), own.iter().all(|one| before(one)));
        prop_assert_eq!(
            held(&keyed("ar ~> br"), &trace),
            own.iter().all(|one| leads_to(one, 0, u64::MAX))
        );
        // `b` without the key is in the trace of every key.
        let shared = by_key(&relevant, "b");
        prop_assert_eq!(held(&keyed("ar < b"), &trace), shared.iter().all(|one| before(one)));
        prop_assert_eq!(
            held(&keyed("ar ~>[1ms,5ms] b"), &trace),
            shared.iter().all(|one| leads_to(one, 1, 5))
        );
    }

    #[test]
    fn a_response_is_an_order_by_its_shared_values(trace in traces(), within in 0_u64..9) {
        let response =
            format!("response = {{ when = \"ar\", then = \"br\", within = \"{within}ms\" }}");
        let good = by_key(&trace, "").iter().all(|one| leads_to(one, 0, within));
        prop_assert_eq!(held(&response, &trace), good);
    }

    #[test]
    fn scopes_are_what_is_open(trace in traces()) {
        let never = "never = \"c\"\nbetween = [\"a\", \"b\"]";
        prop_assert_eq!(held(never, &trace), between(&trace));
    }

    #[test]
    fn grammars_have_the_words_of_their_language(
        language in languages(),
        word in prop::collection::vec(prop::sample::select(vec!['p', 'q', 's']), 0..7),
    ) {
        let has = language.ends(&word, 0).contains(&word.len());
        prop_assert_eq!(matches(&language, &word), has, "{}", language.text());
    }
}
