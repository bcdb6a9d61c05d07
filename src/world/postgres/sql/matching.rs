//! Holds a text against the grammar, and finds the token at which it goes wrong. Must never accept
//! what PostgreSQL's parser refuses, nor look at what a name means.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::grammar::{Grammar, NAME, NOT_BEFORE, Node, Part, Symbol, WRONG};
use super::scan::{Kind, Lexeme};
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::store::{grammar, keep_form, known_form};

/// No statement nests deeper: the parser takes still less.
const DEPTH_MAX: usize = 100;

/// How far a text has been matched. Each way of reading it is tried, so the last token that could
/// not be taken is the one at which no statement goes on.
pub struct Match<'g> {
    pub grammar: &'g Grammar,
    symbols: Vec<Symbol>,
    far: usize,
    depth: usize,
    too_deep: bool,
    labels: Vec<usize>,
    rules: BTreeMap<(usize, usize), Vec<usize>>,
    pub values: BTreeMap<(bool, usize), Option<usize>>,
}

/// Fails as PostgreSQL's parser does unless the text is one of statements; which words in it are
/// labels of columns.
pub fn check(text: &str, lexemes: &[Lexeme]) -> Result<Arc<[usize]>> {
    let grammar = &*grammar();
    let symbols = symbols(grammar, text, lexemes);
    if let Some(labels) = known_form(&symbols) {
        return Ok(labels);
    }
    let mut found = Match {
        grammar,
        symbols,
        far: 0,
        depth: 0,
        too_deep: false,
        labels: Vec::new(),
        rules: BTreeMap::new(),
        values: BTreeMap::new(),
    };
    if !found.rule(grammar.rule("statements"), 0).is_empty() {
        let labels: Arc<[usize]> = found.labels.into();
        keep_form(found.symbols, labels.clone());
        return Ok(labels);
    }
    if found.too_deep {
        return Err(PgError::unsupported("a statement nested this deep"));
    }
    let wrong = &lexemes[found.far];
    let before = text[..wrong.place.start].chars().count();
    let message = match &wrong.kind {
        Kind::Wrong(error) => return Err(error.clone()),
        Kind::End => "syntax error at end of input".to_owned(),
        _ => format!("syntax error at or near \"{}\"", &text[wrong.place.clone()]),
    };
    Err(PgError::new("42601", message).at(Some(before + 1)))
}

/// The tokens as the rules know them; some words are others before certain ones.
fn symbols(grammar: &Grammar, text: &str, lexemes: &[Lexeme]) -> Vec<Symbol> {
    let known = |name: &str| grammar.symbol(name).unwrap_or(WRONG);
    let word = |at: usize| match lexemes.get(at).map(|lexeme| &lexeme.kind) {
        Some(Kind::Word(word)) => word.as_str(),
        _ => "",
    };
    let symbol = |(at, lexeme): (usize, &Lexeme)| match &lexeme.kind {
        Kind::Word(this) => match (this.as_str(), word(at + 1)) {
            ("not", "between" | "in" | "like" | "ilike" | "similar") => NOT_BEFORE,
            ("nulls", "first" | "last") => known("NULLS_LA"),
            ("with", "time" | "ordinality") => known("WITH_LA"),
            (this, _) => grammar.symbol(this).unwrap_or(NAME),
        },
        Kind::Quoted => NAME,
        Kind::Text => known("<text>"),
        Kind::Bits => known("<bits>"),
        Kind::Integer => known("<integer>"),
        Kind::Number => known("<number>"),
        Kind::Parameter => known("<parameter>"),
        Kind::Operator => known("<operator>"),
        Kind::Sign => match &text[lexeme.place.clone()] {
            "!=" => known("<>"),
            sign => known(sign),
        },
        Kind::End => known("<end>"),
        Kind::Wrong(_) => WRONG,
    };
    lexemes.iter().enumerate().map(symbol).collect()
}

impl Match<'_> {
    pub fn symbol(&self, at: usize) -> Symbol {
        self.symbols.get(at).copied().unwrap_or(WRONG)
    }

    /// This token cannot be taken.
    pub fn fail(&mut self, at: usize) {
        self.far = self.far.max(at.min(self.symbols.len() - 1));
    }

    /// What is matched, and how far it is looked at.
    pub fn reach<T>(&mut self, inner: impl FnOnce(&mut Self) -> T) -> (T, usize) {
        let before = std::mem::take(&mut self.far);
        let found = inner(self);
        let far = self.far;
        self.far = far.max(before);
        (found, far)
    }

    /// Goes one level deeper, if that is not too deep.
    pub fn nested<T: Default>(&mut self, inner: impl FnOnce(&mut Self) -> T) -> T {
        if self.depth >= DEPTH_MAX {
            self.too_deep = true;
            return T::default();
        }
        self.depth += 1;
        let found = inner(self);
        self.depth -= 1;
        found
    }

    /// The places where the rule can end that begins here.
    pub fn rule(&mut self, rule: usize, at: usize) -> Vec<usize> {
        let grammar = self.grammar;
        let definition = &grammar.rules[rule];
        let mut ends = Vec::new();
        if !definition.remembered {
            self.node(&definition.node, at, &mut ends);
            return ends;
        }
        if let Some(known) = self.rules.get(&(rule, at)) {
            return known.clone();
        }
        self.nested(|own| own.node(&definition.node, at, &mut ends));
        self.rules.insert((rule, at), ends.clone());
        ends
    }

    fn node(&mut self, node: &Node, at: usize, ends: &mut Vec<usize>) {
        if !node.empty && !node.first.has(self.symbol(at)) {
            self.fail(at);
            return;
        }
        match &node.part {
            Part::Symbol(_) | Part::Words(_) => add(ends, at + 1),
            // Nothing else could stand there: it is one.
            Part::Label(_) => {
                self.labels.push(at);
                add(ends, at + 1);
            }
            Part::Rule(rule) => add_all(ends, self.rule(*rule, at)),
            Part::Value(all) => add_all(ends, self.value(*all, at)),
            Part::Rest => {
                let over = [self.grammar.symbol("<end>"), self.grammar.symbol(";"), Some(WRONG)];
                let mut end = at;
                while !over.contains(&Some(self.symbol(end))) {
                    end += 1;
                }
                add(ends, end);
            }
            Part::Row(nodes) => {
                let mut from = vec![at];
                for node in nodes {
                    let mut next = Vec::new();
                    for at in from {
                        self.node(node, at, &mut next);
                    }
                    from = next;
                }
                add_all(ends, from);
            }
            Part::Either(nodes) => {
                for node in nodes {
                    if node.empty || node.first.has(self.symbol(at)) {
                        self.node(node, at, ends);
                    }
                }
            }
            Part::Maybe(inner) => {
                add(ends, at);
                self.node(inner, at, ends);
            }
            Part::Many(inner) => self.repeated(inner, vec![at], None, ends),
            Part::List(inner) => {
                let mut from = Vec::new();
                self.node(inner, at, &mut from);
                self.repeated(inner, from, self.grammar.symbol(","), ends);
            }
        }
    }

    /// As often as it goes on, from each of these places.
    fn repeated(
        &mut self,
        inner: &Node,
        mut from: Vec<usize>,
        between: Option<Symbol>,
        ends: &mut Vec<usize>,
    ) {
        while let Some(at) = from.pop() {
            let mut next = Vec::new();
            match between {
                Some(sign) if self.symbol(at) == sign => self.node(inner, at + 1, &mut next),
                Some(_) => self.fail(at),
                None => self.node(inner, at, &mut next),
            }
            if next.is_empty() {
                add(ends, at);
            }
            add_all(&mut from, next);
        }
    }

    /// The longest of what the rule can match.
    pub fn longest(&mut self, rule: &str, at: usize) -> Option<usize> {
        self.rule(self.grammar.rule(rule), at).into_iter().max()
    }
}

fn add(ends: &mut Vec<usize>, end: usize) {
    if !ends.contains(&end) {
        ends.push(end);
    }
}

fn add_all(ends: &mut Vec<usize>, more: impl IntoIterator<Item = usize>) {
    for end in more {
        add(ends, end);
    }
}
