//! Reads a spanned TOML tree and collects every mistake instead of stopping at the first.
//! Must never know the words of a scenario file.

use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Diagnostic;
use super::model::{Between, Span};
use super::order::ExprError;
use super::words::{self, WordError};

/// A value with its place.
pub(super) type Node<'i> = Spanned<DeValue<'i>>;

/// The mistakes so far, and the source that they are in.
pub(super) struct Reader<'s> {
    pub source: &'s str,
    pub found: Vec<Diagnostic>,
}

impl Reader<'_> {
    pub fn report(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    /// Refuses every key that is none of `keys`. `what` names the table.
    pub fn only(&mut self, table: &DeTable, keys: &[&str], what: &str) {
        self.only_beside(table, keys, &[], what);
    }

    /// The same, where keys of `others` are reported elsewhere.
    pub fn only_beside(&mut self, table: &DeTable, keys: &[&str], others: &[&str], what: &str) {
        for key in table.keys() {
            let (name, at) = (key.get_ref().as_ref(), key.span());
            if !keys.contains(&name) && !others.contains(&name) {
                self.unknown("unknown-key", &format!("key in {what}"), name, keys, at);
            }
        }
    }

    /// An unknown name of some kind, with the nearest one.
    pub fn unknown(
        &mut self,
        code: &'static str,
        kind: &str,
        name: &str,
        names: &[&str],
        at: Span,
    ) {
        let message = format!("unknown {kind}: `{name}`");
        self.report(Diagnostic::new(code, at, message).expected(name, names));
    }

    pub fn wrong_type(&mut self, node: &Node, expected: &str) {
        let found = node.get_ref().type_str();
        let message = format!("expected {expected}, found {found}");
        self.report(Diagnostic::new("wrong-type", node.span(), message));
    }

    pub fn missing(&mut self, at: Span, key: &str, what: &str) {
        let message = format!("{what} needs the key `{key}`");
        self.report(Diagnostic::new("missing-key", at, message));
    }

    /// The value of `key`; its absence is a mistake.
    pub fn required<'t, 'i>(
        &mut self,
        table: &'t DeTable<'i>,
        key: &str,
        at: &Span,
        what: &str,
    ) -> Option<&'t Node<'i>> {
        let found = table.get(key);
        if found.is_none() {
            self.missing(at.clone(), key, what);
        }
        found
    }

    pub fn table<'t, 'i>(&mut self, node: &'t Node<'i>) -> Option<&'t DeTable<'i>> {
        let table = node.get_ref().as_table();
        if table.is_none() {
            self.wrong_type(node, "a table");
        }
        table
    }

    pub fn text<'t>(&mut self, node: &'t Node) -> Option<&'t str> {
        let text = node.get_ref().as_str();
        if text.is_none() {
            self.wrong_type(node, "a text in quotes");
        }
        text
    }

    pub fn flag(&mut self, node: &Node) -> Option<bool> {
        let flag = node.get_ref().as_bool();
        if flag.is_none() {
            self.wrong_type(node, "true or false");
        }
        flag
    }

    /// A whole number in `low..=high`.
    pub fn int(&mut self, node: &Node, low: i64, high: i64) -> Option<i64> {
        let Some(number) = integer(node) else {
            self.wrong_type(node, "a whole number");
            return None;
        };
        self.inside(node, Between::exactly(number), low, high).map(|range| range.low)
    }

    /// A whole number or a range of them, inside `low..=high`.
    pub fn ints(&mut self, node: &Node, low: i64, high: i64) -> Option<Between<i64>> {
        let range = match (integer(node), node.get_ref().as_str()) {
            (Some(number), _) => Between::exactly(number),
            (None, Some(text)) => self.word(node, words::ints(text))?,
            (None, None) => {
                self.wrong_type(node, "a whole number or a range like \"1..5\"");
                return None;
            }
        };
        self.inside(node, range, low, high)
    }

    fn inside(
        &mut self,
        at: &Node,
        range: Between<i64>,
        low: i64,
        high: i64,
    ) -> Option<Between<i64>> {
        if low <= range.low && range.high <= high {
            return Some(range);
        }
        let bounds =
            if high == i64::MAX { format!("at least {low}") } else { format!("{low} to {high}") };
        let message = format!("out of range: expected {bounds}");
        self.report(Diagnostic::new("out-of-range", at.span(), message));
        None
    }

    pub fn duration(&mut self, node: &Node) -> Option<Duration> {
        let text = self.text(node)?;
        self.word(node, words::duration(text))
    }

    pub fn durations(&mut self, node: &Node) -> Option<Between<Duration>> {
        let text = self.text(node)?;
        self.word(node, words::durations(text))
    }

    /// `0.3`, `1` or `"2%"` in parts in a million, from the text: no float comes near it.
    pub fn chance_ppm(&mut self, node: &Node) -> Option<u32> {
        let text = match node.get_ref() {
            DeValue::Float(float) => float.as_str(),
            DeValue::Integer(integer) => integer.as_str(),
            DeValue::String(text) => text.as_ref(),
            _ => {
                self.wrong_type(node, "a chance like 0.3 or \"2%\"");
                return None;
            }
        };
        self.word(node, words::chance_ppm(text))
    }

    /// Turns what a word's parser said into a diagnostic at the word.
    pub fn word<T>(&mut self, node: &Node, read: Result<T, WordError>) -> Option<T> {
        let error = match read {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let at = node.span();
        self.report(match error {
            WordError::Form(form) => Diagnostic::new("bad-value", at, format!("expected {form}")),
            WordError::Unit(unit) if unit.is_empty() => {
                let units = words::units().join(", ");
                Diagnostic::new("unknown-unit", at, "this duration has no unit")
                    .help(format!("expected one of: {units}"))
            }
            WordError::Unit(unit) => {
                Diagnostic::new("unknown-unit", at, format!("unknown unit of time: `{unit}`"))
                    .expected(&unit, &words::units())
            }
            WordError::Empty => Diagnostic::new("empty-range", at, "this range is empty")
                .label("the low end is above the high end"),
        });
        None
    }

    /// One text, or a list of texts.
    pub fn texts<'t>(&mut self, node: &'t Node<'_>) -> Vec<(&'t str, Span)> {
        match node.get_ref() {
            DeValue::String(text) => vec![(text.as_ref(), node.span())],
            DeValue::Array(nodes) => nodes
                .iter()
                .filter_map(|node| self.text(node).map(|text| (text, node.span())))
                .collect(),
            _ => {
                self.wrong_type(node, "a text or a list of texts");
                Vec::new()
            }
        }
    }

    /// Points at the place inside a text where its little language went wrong.
    pub fn expression(&mut self, code: &'static str, text: &str, at: &Span, error: &ExprError) {
        let place = self.within(text, at, &error.span);
        self.report(Diagnostic::new(code, place, error.message.clone()));
    }

    /// The place of `inner` of a text in the source; all of the text when it has escapes.
    pub fn within(&self, text: &str, at: &Span, inner: &Span) -> Span {
        let quoted = self.source.get(at.clone()).unwrap_or_default();
        // The line break right after three quotes is no part of the text.
        let openings = ["\"\"\"\r\n", "\"\"\"\n", "'''\r\n", "'''\n", "\"\"\"", "'''", "\"", "'"];
        for opening in openings {
            let rest = quoted.strip_prefix(opening).and_then(|rest| rest.strip_prefix(text));
            if rest.is_some_and(|end| end == opening.trim_end()) {
                let start = at.start + opening.len();
                return start + inner.start..start + inner.end;
            }
        }
        at.clone()
    }
}

/// A whole number that fits.
fn integer(node: &Node) -> Option<i64> {
    let integer = node.get_ref().as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}
