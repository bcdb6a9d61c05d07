//! `[[expect]]`: what must be seen, word by word. Must never judge a trace.

use toml::de::DeTable;

use super::diagnostic::Diagnostic;
use super::events;
use super::grammar::Grammar;
use super::keys;
use super::load::{LATER, later};
use super::model::{Claim, Expect, ForEach, Matches, Pattern, Scenario, Scope, Span};
use super::order::Order;
use super::reader::{Node, Reader};
use super::vocabulary::Vocabulary;

/// Each word of expectations with the keys that stand beside it.
const WORDS: &[(&str, &[&str])] = &[
    ("order", &["both"]),
    ("response", &[]),
    ("count", &[]),
    ("sequence", &[]),
    ("never", &["between", "after", "before"]),
    ("eventually", &["within"]),
    ("matches", &["stream", "alphabet", "ignore"]),
    ("sometimes", &["at_least"]),
];

const COMMON: &[&str] = &["id", "per", "for_each", "unless", "may_be_vacuous"];

pub(super) fn expect(
    reader: &mut Reader,
    table: &DeTable,
    span: &Span,
    vocabulary: &Vocabulary,
    scenario: &Scenario,
) -> Option<Expect> {
    later(reader, table);
    let id = reader.required(table, "id", span, "an expectation").and_then(|n| reader.text(n));
    let (word, beside, at, node) = the_word(reader, table, span)?;
    let common = if word == "sometimes" { &COMMON[..2] } else { COMMON };
    let keys: Vec<&str> = [word].iter().chain(beside).chain(common).copied().collect();
    let others: Vec<&str> = WORDS.iter().map(|(word, _)| *word).chain(LATER.to_vec()).collect();
    reader.only_beside(table, &keys, &others, &format!("an expectation of `{word}`"));
    let mut spoken = Spoken { reader, table, node, at: at.clone(), vocabulary, scenario };
    let claim = spoken.claim(word);
    let unless = table.get("unless").and_then(|node| spoken.pattern(node));
    let for_each = table.get("for_each").and_then(|node| spoken.for_each(node));
    let reason = table.get("may_be_vacuous").and_then(|node| spoken.reader.text(node));
    let (claim, id) = (claim?, id?.to_owned());
    let key = keys::key(
        reader,
        table,
        &keys::Parts {
            at: &at,
            patterns: patterns(&claim, unless.as_deref(), scenario),
            for_each: for_each.as_ref(),
            scenario,
        },
    )?;
    let may_be_vacuous = reason.map(str::to_owned);
    let span = at.start..node.span().end;
    Some(Expect { id, span, key, for_each, unless, may_be_vacuous, claim })
}

type TheWord<'t, 'i> = (&'static str, &'static [&'static str], Span, &'t Node<'i>);

fn the_word<'t, 'i>(
    reader: &mut Reader,
    table: &'t DeTable<'i>,
    span: &Span,
) -> Option<TheWord<'t, 'i>> {
    let mut found = table.iter().filter_map(|(key, node)| {
        let (word, beside) = WORDS.iter().find(|(word, _)| *word == key.get_ref().as_ref())?;
        Some((*word, *beside, key.span(), node))
    });
    let first = found.next();
    if let (Some((word, _, at, _)), Some((second, _, span, _))) = (&first, found.next()) {
        let message = format!("an expectation has one word: `{word}` or `{second}`");
        let diagnostic = Diagnostic::new("duplicate", span, message);
        reader.report(diagnostic.also(at.clone(), "the first").help("write a second [[expect]]"));
    }
    let later = table.keys().any(|key| LATER.contains(&key.get_ref().as_ref()));
    if first.is_none() && !later {
        let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
        let all: Vec<&str> = words.iter().chain(COMMON).copied().collect();
        reader.only(table, &all, "[[expect]]");
        let diagnostic =
            Diagnostic::new("missing-key", span.clone(), "an expectation needs its word");
        reader.report(diagnostic.help(format!("expected one of: {}", words.join(", "))));
    }
    first
}

/// Every pattern that an expectation names.
fn patterns<'a>(
    claim: &'a Claim,
    unless: Option<&'a str>,
    scenario: &'a Scenario,
) -> Vec<&'a Pattern> {
    let mut all: Vec<&Pattern> = match claim {
        Claim::Matches(matches) => vec![&matches.stream],
        _ => Vec::new(),
    };
    let names = claim.names().into_iter().chain(unless);
    all.extend(names.filter_map(|name| scenario.pattern(name)));
    all
}

/// One expectation being read: its table, and the node of its word.
struct Spoken<'a, 's, 't, 'i> {
    reader: &'a mut Reader<'s>,
    table: &'t DeTable<'i>,
    node: &'t Node<'i>,
    at: Span,
    vocabulary: &'a Vocabulary,
    scenario: &'a Scenario,
}

impl<'t, 'i> Spoken<'_, '_, 't, 'i> {
    fn claim(&mut self, word: &str) -> Option<Claim> {
        match word {
            "order" => self.order(),
            "response" => self.response(),
            "count" => self.count(),
            "sequence" => self.sequence(),
            "never" => self.never(),
            "eventually" => self.eventually(),
            "matches" => self.matches(),
            _ => self.sometimes(),
        }
    }

    /// The name of a pattern.
    fn pattern(&mut self, node: &Node) -> Option<String> {
        let name = self.reader.text(node)?;
        self.known(name, node.span()).then(|| name.to_owned())
    }

    fn known(&mut self, name: &str, at: Span) -> bool {
        let found = self.scenario.pattern(name).is_some();
        if !found {
            let all = self.scenario.patterns.iter();
            let names: Vec<&str> = all.map(|pattern| pattern.name.as_str()).collect();
            self.reader.unknown("unknown-pattern", "name of [events]", name, &names, at);
        }
        found
    }

    fn for_each(&mut self, node: &Node) -> Option<ForEach> {
        if node.get_ref().as_str() == Some("user") {
            return Some(ForEach::User);
        }
        self.pattern(node).map(ForEach::Match)
    }

    /// An expression of order whose names are all known.
    fn expression(&mut self, text: &str, at: &Span) -> Option<Order> {
        let order = match Order::parse(text) {
            Ok(order) => order,
            Err(error) => {
                self.reader.expression("bad-order", text, at, &error);
                return None;
            }
        };
        let mut good = true;
        for atom in order.atoms() {
            let name = atom.span.start..atom.span.start + atom.name.len();
            let place = self.reader.within(text, at, &name);
            good &= self.known(&atom.name, place);
        }
        good.then_some(order)
    }

    fn order(&mut self) -> Option<Claim> {
        let text = self.reader.text(self.node)?;
        let both = self.table.get("both").map(|node| self.reader.flag(node));
        let order = self.expression(text, &self.node.span())?;
        if order.ops.is_empty() {
            let message = "an order needs `<`, `~>` or `needs`";
            self.reader.report(Diagnostic::new("bad-order", self.node.span(), message));
            return None;
        }
        Some(Claim::Order { order, both: both.unwrap_or(Some(false))? })
    }

    /// The table of a word, its keys checked.
    fn own(&mut self, keys: &[&str], word: &str) -> Option<&'t DeTable<'i>> {
        let table = self.reader.table(self.node)?;
        self.reader.only(table, keys, &format!("`{word}`"));
        Some(table)
    }

    /// The pattern under `key` of a word's table.
    fn named(&mut self, table: &DeTable, key: &str, word: &str) -> Option<String> {
        let node = self.reader.required(table, key, &self.at, &format!("`{word}`"))?;
        self.pattern(node)
    }

    fn response(&mut self) -> Option<Claim> {
        let table = self.own(&["when", "then", "within"], "response")?;
        let when = self.named(table, "when", "response");
        let then = self.named(table, "then", "response");
        let within = table.get("within").map(|node| self.reader.duration(node));
        let within = within.map_or(Some(None), |duration| duration.map(Some))?;
        Some(Claim::Response { when: when?, then: then?, within })
    }

    fn count(&mut self) -> Option<Claim> {
        let table = self.own(&["of", "exactly", "at_least", "at_most"], "count")?;
        let of = self.named(table, "of", "count");
        let mut number = |key: &str| {
            let node = table.get(key)?;
            self.reader.int(node, 0, i64::MAX).map(i64::cast_unsigned)
        };
        let exactly = number("exactly");
        let (low, high) = (number("at_least").or(exactly), number("at_most").or(exactly));
        if low.is_none() && high.is_none() {
            let message = "`count` needs `exactly`, `at_least` or `at_most`";
            self.reader.report(Diagnostic::new("missing-key", self.at.clone(), message));
            return None;
        }
        let at_least = low.unwrap_or(0);
        if high.is_some_and(|high| at_least > high) {
            let message = "this range is empty: `at_least` is above `at_most`";
            self.reader.report(Diagnostic::new("empty-range", self.node.span(), message));
        }
        Some(Claim::Count { of: of?, at_least, at_most: high })
    }

    fn sequence(&mut self) -> Option<Claim> {
        let table = self.own(&["of", "field", "step", "from"], "sequence")?;
        let of = self.named(table, "of", "sequence");
        let node = self.reader.required(table, "field", &self.at, "`sequence`");
        let field = node.and_then(|node| self.field(of.as_deref(), node));
        if let Some(step) = table.get("step") {
            let one = step.get_ref().as_str() == Some("+1")
                || step.get_ref().as_integer().is_some_and(|step| step.as_str() == "1");
            if !one {
                let message = "only a step of +1 is supported yet";
                self.reader.report(Diagnostic::new("not-supported-yet", step.span(), message));
            }
        }
        let from = table.get("from").and_then(|node| self.reader.int(node, i64::MIN, i64::MAX));
        Some(Claim::Sequence { of: of?, field: field?, from })
    }

    /// A field of the event that a pattern stands for.
    fn field(&mut self, pattern: Option<&str>, node: &Node) -> Option<String> {
        let field = self.reader.text(node)?;
        let pattern = self.scenario.pattern(pattern?)?;
        let spec = self.vocabulary.events.iter().find(|spec| spec.name == pattern.on)?;
        if !events::has_field(spec, field) {
            events::unknown_field(self.reader, spec, field, node.span());
        }
        Some(field.to_owned())
    }

    fn never(&mut self) -> Option<Claim> {
        let what = self.pattern(self.node);
        let scopes: Vec<(&str, &Node)> = ["between", "after", "before"]
            .into_iter()
            .filter_map(|key| self.table.get(key).map(|node| (key, node)))
            .collect();
        if let [_, (second, node), ..] = scopes.as_slice() {
            let message = format!("`never` has one scope; `{second}` is a second");
            self.reader.report(Diagnostic::new("duplicate", node.span(), message));
        }
        let scope = match scopes.first() {
            None => Some(Scope::Always),
            Some(("between", node)) => self.between(node),
            Some(("after", node)) => self.pattern(node).map(Scope::After),
            Some((_, node)) => self.pattern(node).map(Scope::Before),
        };
        Some(Claim::Never { what: what?, scope: scope? })
    }

    fn between(&mut self, node: &Node) -> Option<Scope> {
        let nodes = node.get_ref().as_array().map(|nodes| nodes.iter().collect::<Vec<_>>());
        let Some([left, right]) = nodes.as_deref() else {
            self.reader.wrong_type(node, "two names of events: [\"from\", \"to\"]");
            return None;
        };
        let (left, right) = (self.pattern(left), self.pattern(right));
        Some(Scope::Between(left?, right?))
    }

    fn eventually(&mut self) -> Option<Claim> {
        let what = self.pattern(self.node);
        let within = self.table.get("within").map(|node| self.reader.duration(node));
        let within = within.map_or(Some(None), |duration| duration.map(Some))?;
        Some(Claim::Eventually { what: what?, within })
    }

    fn matches(&mut self) -> Option<Claim> {
        let word = "an expectation of `matches`";
        let text = self.reader.text(self.node);
        let grammar = text.and_then(|text| match Grammar::parse(text) {
            Ok(grammar) => Some(grammar),
            Err(error) => {
                self.reader.expression("bad-grammar", text, &self.node.span(), &error);
                None
            }
        });
        let node = self.reader.required(self.table, "stream", &self.at, word);
        let stream = node.and_then(|node| self.stream(node));
        let node = self.reader.required(self.table, "alphabet", &self.at, word);
        let alphabet = node.map(|node| (self.reader.texts(node), node.span()));
        let ignore = self.table.get("ignore").map(|node| self.reader.texts(node));
        let (grammar, (alphabet, listed)) = (grammar?, alphabet?);
        let known: Vec<&str> = alphabet.iter().map(|(name, _)| *name).collect();
        for (name, span) in grammar.names() {
            if !known.contains(&name) {
                let at = self.reader.within(text?, &self.node.span(), &span);
                let message = format!("`{name}` is not in the alphabet");
                let diagnostic = Diagnostic::new("unknown-letter", at, message);
                let diagnostic = diagnostic.also(listed.clone(), "the alphabet");
                self.reader.report(diagnostic.expected(name, &known));
            }
        }
        let owned = |names: Vec<(&str, Span)>| names.iter().map(|(n, _)| (*n).to_owned()).collect();
        let (stream, names) = stream?;
        Some(Claim::Matches(Box::new(Matches {
            stream,
            names,
            alphabet: owned(alphabet),
            ignore: owned(ignore.unwrap_or_default()),
            grammar,
        })))
    }

    fn stream(&mut self, node: &Node) -> Option<(Pattern, String)> {
        let table = self.reader.table(node)?;
        self.reader.only(table, &["on", "where", "names"], "`stream`");
        let names = self.reader.required(table, "names", &node.span(), "`stream`");
        let pattern = events::pattern(self.reader, table, "stream", &node.span(), self.vocabulary)?;
        let names = names?;
        let field = self.reader.text(names)?;
        let spec = self.vocabulary.events.iter().find(|spec| spec.name == pattern.on)?;
        if !events::has_field(spec, field) {
            events::unknown_field(self.reader, spec, field, names.span());
        }
        Some((pattern, field.to_owned()))
    }

    fn sometimes(&mut self) -> Option<Claim> {
        let texts = self.reader.texts(self.node);
        let count = texts.len();
        let orders: Vec<Order> =
            texts.iter().filter_map(|(text, span)| self.expression(text, span)).collect();
        let at_least = self.table.get("at_least").map(|node| self.reader.chance_ppm(node));
        let at_least_ppm = at_least.unwrap_or(Some(0))?;
        if count == 0 {
            let message = "`sometimes` needs an order";
            self.reader.report(Diagnostic::new("missing-key", self.node.span(), message));
        }
        (orders.len() == count).then_some(Claim::Sometimes { orders, at_least_ppm })
    }
}
