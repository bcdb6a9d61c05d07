//! The rules of `grammar/*.ebnf`, read once: which texts are statements of PostgreSQL 15. Must
//! never say what a statement does, nor whether it can be done here.
//!
//! They are written like the synopses of the manual: key words in capitals, rules in small
//! letters, `'sign'`, `[ may be left out ]`, `{ any number of times }`, `( this | that )`, `x ,..`
//! for a list with commas. `<text>` and its like are kinds of tokens, `<rest>` is anything up to
//! the end of the statement; `name`, `type_name`, `word`, `label`, `as_label` and `bare_label` are
//! the words that may stand there, `name_but_set` is a name before which nothing says AS, so that
//! SET begins something; `value` and `plain_value` are expressions (see `operators`).
//! What a rule with `@` after its name matches is remembered by place.

use std::collections::BTreeMap;

use super::keywords::{
    FREE, FREE_BARELY, OF_FUNCTIONS, OF_FUNCTIONS_BARELY, OF_TYPES, OF_TYPES_BARELY, RESERVED,
    RESERVED_BARELY,
};
use super::operators::Operators;

/// A token as the rules know it.
pub type Symbol = u16;

pub const NAME: Symbol = 0;
/// What no rule takes.
pub const WRONG: Symbol = 1;
pub const NOT_BEFORE: Symbol = 2;
const KINDS: &[&str] = &[
    "<name>",
    "<wrong>",
    "NOT_LA",
    "NULLS_LA",
    "WITH_LA",
    "<end>",
    "<text>",
    "<bits>",
    "<integer>",
    "<number>",
    "<parameter>",
    "<operator>",
    "::",
];

/// A set of symbols.
#[derive(Clone, Copy, Default, PartialEq)]
pub struct Symbols([u64; 9]);

impl Symbols {
    fn add(&mut self, symbol: Symbol) {
        self.0[usize::from(symbol) / 64] |= 1 << (symbol % 64);
    }

    fn remove(&mut self, symbol: Symbol) {
        self.0[usize::from(symbol) / 64] &= !(1 << (symbol % 64));
    }

    fn join(&mut self, other: &Symbols) {
        self.0.iter_mut().zip(other.0).for_each(|(own, other)| *own |= other);
    }

    pub fn has(&self, symbol: Symbol) -> bool {
        self.0[usize::from(symbol) / 64] & (1 << (symbol % 64)) != 0
    }
}

pub enum Part {
    Symbol(Symbol),
    /// One of the words that may stand somewhere.
    Words(Symbols),
    /// A word as the label of a column.
    Label(Symbols),
    Rule(usize),
    /// An expression; `false`: one beside which key words stand.
    Value(bool),
    Rest,
    Row(Vec<Node>),
    Either(Vec<Node>),
    Maybe(Box<Node>),
    Many(Box<Node>),
    List(Box<Node>),
}

pub struct Node {
    pub part: Part,
    /// What it can begin with, and whether it can be nothing.
    pub first: Symbols,
    pub empty: bool,
}

pub struct Rule {
    pub node: Node,
    pub remembered: bool,
}

pub struct Grammar {
    symbols: BTreeMap<String, Symbol>,
    names: BTreeMap<String, usize>,
    pub rules: Vec<Rule>,
    pub operators: Operators,
}

const TEXTS: &[&str] = &[
    include_str!("grammar/values.ebnf"),
    include_str!("grammar/queries.ebnf"),
    include_str!("grammar/tables.ebnf"),
    include_str!("grammar/others.ebnf"),
];

/// Every key word.
const LABEL: &[&str] = &[
    FREE,
    FREE_BARELY,
    OF_TYPES,
    OF_TYPES_BARELY,
    OF_FUNCTIONS,
    OF_FUNCTIONS_BARELY,
    RESERVED,
    RESERVED_BARELY,
];

/// The words that may stand somewhere, and what that is called in the rules.
const WORDS: &[(&str, &[&str])] = &[
    ("name", &[FREE, FREE_BARELY, OF_TYPES, OF_TYPES_BARELY]),
    ("name_but_set", &[FREE, FREE_BARELY, OF_TYPES, OF_TYPES_BARELY]),
    ("type_name", &[FREE, FREE_BARELY, OF_FUNCTIONS, OF_FUNCTIONS_BARELY]),
    ("word", &[FREE, FREE_BARELY, OF_TYPES, OF_TYPES_BARELY, OF_FUNCTIONS, OF_FUNCTIONS_BARELY]),
    ("label", LABEL),
    ("as_label", LABEL),
    ("bare_label", &[FREE, OF_TYPES, OF_FUNCTIONS, RESERVED]),
];

impl Grammar {
    pub fn new() -> Grammar {
        let pieces: Vec<&str> = TEXTS
            .iter()
            .flat_map(|text| text.lines())
            .filter(|line| !line.starts_with('#'))
            .flat_map(str::split_whitespace)
            .collect();
        let signs = pieces.iter().filter_map(|piece| piece.strip_prefix('\''));
        let key_words = LABEL.iter().flat_map(|list| list.split_whitespace());
        let all = KINDS.iter().copied().chain(key_words);
        let mut symbols = BTreeMap::new();
        for name in all.chain(signs.map(|sign| sign.trim_end_matches('\''))) {
            let next = Symbol::try_from(symbols.len()).expect("few symbols");
            symbols.entry(name.to_owned()).or_insert(next);
        }
        let defined = pieces.windows(2).filter(|pair| pair[1] == "=");
        let names: Vec<&str> = defined.map(|pair| pair[0].trim_end_matches('@')).collect();
        let names: BTreeMap<String, usize> =
            names.iter().enumerate().map(|(at, name)| ((*name).to_owned(), at)).collect();
        let operators = Operators::new(|name| symbols.get(name).copied());
        let mut grammar = Grammar { symbols, names, rules: Vec::new(), operators };
        grammar.rules = Reader { grammar: &grammar, pieces: &pieces, at: 0 }.rules();
        grammar.find_firsts();
        grammar
    }

    /// The symbol of a key word, a sign or a kind of token.
    pub fn symbol(&self, name: &str) -> Option<Symbol> {
        self.symbols.get(name).copied()
    }

    pub fn rule(&self, name: &str) -> usize {
        self.names[name]
    }

    fn find_firsts(&mut self) {
        let mut plain = Symbols::default();
        for name in ["+", "-", "<operator>", "operator"] {
            plain.add(self.symbols[name]);
        }
        let mut all = plain;
        for name in ["not", "NOT_LA", "default"] {
            all.add(self.symbols[name]);
        }
        let operand = self.names["operand"];
        let mut firsts = vec![(Symbols::default(), false); self.rules.len()];
        loop {
            let operand = firsts[operand].0;
            plain.join(&operand);
            all.join(&operand);
            let before = firsts.clone();
            for (rule, first) in self.rules.iter_mut().zip(&mut firsts) {
                settle(&mut rule.node, &before, [&plain, &all]);
                *first = (rule.node.first, rule.node.empty);
            }
            if firsts == before {
                return;
            }
        }
    }
}

/// Finds what a node begins with, as far as that of the rules is known.
fn settle(node: &mut Node, rules: &[(Symbols, bool)], values: [&Symbols; 2]) {
    let mut first = Symbols::default();
    let mut empty = false;
    match &mut node.part {
        Part::Symbol(symbol) => first.add(*symbol),
        Part::Words(words) | Part::Label(words) => first = *words,
        Part::Rule(at) => (first, empty) = rules[*at],
        Part::Value(all) => first = *values[usize::from(*all)],
        Part::Rest => (first, empty) = (Symbols([u64::MAX; 9]), true),
        Part::Row(nodes) => {
            empty = true;
            for node in nodes {
                settle(node, rules, values);
                if empty {
                    first.join(&node.first);
                }
                empty &= node.empty;
            }
        }
        Part::Either(nodes) => {
            for node in nodes {
                settle(node, rules, values);
                first.join(&node.first);
                empty |= node.empty;
            }
        }
        Part::Maybe(inner) | Part::Many(inner) | Part::List(inner) => {
            settle(inner, rules, values);
            (first, empty) = (inner.first, inner.empty);
        }
    }
    node.empty = empty || matches!(node.part, Part::Maybe(_) | Part::Many(_));
    node.first = first;
}

/// Reads the notation.
struct Reader<'g> {
    grammar: &'g Grammar,
    pieces: &'g [&'g str],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> &str {
        self.pieces.get(self.at).copied().unwrap_or_default()
    }

    fn rules(&mut self) -> Vec<Rule> {
        let mut rules: Vec<(usize, Rule)> = Vec::new();
        while self.at < self.pieces.len() {
            let name = self.pieces[self.at];
            self.at += 2;
            let rule = Rule { node: self.either(), remembered: name.ends_with('@') };
            rules.push((self.grammar.names[name.trim_end_matches('@')], rule));
        }
        rules.sort_by_key(|(at, _)| *at);
        rules.into_iter().map(|(_, rule)| rule).collect()
    }

    fn either(&mut self) -> Node {
        let mut all = vec![self.row()];
        while self.peek() == "|" {
            self.at += 1;
            all.push(self.row());
        }
        if all.len() == 1 { all.remove(0) } else { node(Part::Either(all)) }
    }

    fn row(&mut self) -> Node {
        let mut all = Vec::new();
        loop {
            let begins_rule = self.pieces.get(self.at + 1).is_some_and(|next| *next == "=");
            if begins_rule || matches!(self.peek(), "" | "|" | ")" | "]" | "}") {
                break;
            }
            let mut part = self.part();
            if self.peek() == ",.." {
                self.at += 1;
                part = Part::List(Box::new(node(part)));
            }
            all.push(node(part));
        }
        if all.len() == 1 { all.remove(0) } else { node(Part::Row(all)) }
    }

    fn part(&mut self) -> Part {
        let piece = self.pieces[self.at];
        self.at += 1;
        let close = |reader: &mut Self, part: Part, sign: &str| {
            assert_eq!(reader.peek(), sign, "before {:?}", &reader.pieces[reader.at..][..3]);
            reader.at += 1;
            part
        };
        let symbol = |name: &str| {
            let found = self.grammar.symbol(name);
            Part::Symbol(found.unwrap_or_else(|| panic!("{name} is no token")))
        };
        match piece {
            "(" => {
                let inner = self.either();
                close(self, Part::Row(vec![inner]), ")")
            }
            "[" => {
                let inner = Box::new(self.either());
                close(self, Part::Maybe(inner), "]")
            }
            "{" => {
                let inner = Box::new(self.either());
                close(self, Part::Many(inner), "}")
            }
            "value" => Part::Value(true),
            "plain_value" => Part::Value(false),
            "<rest>" => Part::Rest,
            sign if sign.starts_with('\'') => symbol(&sign[1..sign.len() - 1]),
            kind if kind.starts_with('<') || kind.ends_with("_LA") => symbol(kind),
            word if word.starts_with(|c: char| c.is_ascii_uppercase()) => {
                symbol(&word.to_ascii_lowercase())
            }
            name => {
                let words = WORDS.iter().find(|(known, _)| *known == name);
                match (words, self.grammar.names.get(name)) {
                    (Some(("as_label" | "bare_label", lists)), _) => Part::Label(self.words(lists)),
                    (Some(("name_but_set", lists)), _) => {
                        let mut words = self.words(lists);
                        words.remove(self.grammar.symbols["set"]);
                        Part::Words(words)
                    }
                    (Some((_, lists)), _) => Part::Words(self.words(lists)),
                    (None, Some(at)) => Part::Rule(*at),
                    (None, None) => panic!("there is no rule {name}"),
                }
            }
        }
    }

    fn words(&self, lists: &[&str]) -> Symbols {
        let mut all = Symbols::default();
        all.add(NAME);
        for word in lists.iter().flat_map(|list| list.split_whitespace()) {
            all.add(self.grammar.symbols[word]);
        }
        all
    }
}

fn node(part: Part) -> Node {
    Node { part, first: Symbols::default(), empty: false }
}
