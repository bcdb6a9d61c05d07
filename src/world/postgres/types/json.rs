//! jsonb values in PostgreSQL's canonical form. Must never keep what PostgreSQL forgets
//! (duplicate keys, the order of keys, white space).

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::sync::Arc;

use super::{Numeric, json_parse};
use crate::world::postgres::error::Result;

/// A part of a value is cheap to take out of it: clones share what they hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(Numeric),
    Text(Arc<str>),
    Array(Arc<[Json]>),
    /// Sorted by length of key, then bytes; keys are unique.
    Object(Arc<[Field]>),
}

pub type Field = (Arc<str>, Json);

impl Json {
    pub fn parse(text: &str) -> Result<Json> {
        json_parse::parse(text)
    }

    /// Whether a text is one of the type json.
    pub fn check(text: &str) -> Result<()> {
        json_parse::check(text)
    }

    /// Canonical: of equal keys the last one counts.
    pub fn object(mut fields: Vec<Field>) -> Json {
        fields.sort_by(|(a, _), (b, _)| key_order(a, b));
        fields.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                std::mem::swap(later, kept);
            }
            same
        });
        Json::Object(fields.into())
    }

    pub fn get(&self, key: &str) -> Option<&Json> {
        let Json::Object(fields) = self else { return None };
        let found = fields.binary_search_by(|(other, _)| key_order(other, key)).ok()?;
        Some(&fields[found].1)
    }

    /// Negative positions count from the end.
    pub fn item(&self, index: i64) -> Option<&Json> {
        let Json::Array(items) = self else { return None };
        let length = i64::try_from(items.len()).ok()?;
        let at = if index < 0 { index + length } else { index };
        items.get(usize::try_from(at).ok()?)
    }

    /// What `->>` gives: a text without quotes; `None` for null.
    pub fn as_text(&self) -> Option<Arc<str>> {
        match self {
            Json::Null => None,
            Json::Text(text) => Some(text.clone()),
            other => Some(other.text().into()),
        }
    }

    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    /// `@>`
    pub fn contains(&self, part: &Json) -> bool {
        match (self, part) {
            (Json::Object(_), Json::Object(wanted)) => wanted.iter().all(|(key, value)| {
                self.get(key).is_some_and(|own| match (own, value) {
                    (Json::Array(_), Json::Array(_)) | (Json::Object(_), Json::Object(_)) => {
                        own.contains(value)
                    }
                    _ => own == value,
                })
            }),
            (Json::Array(own), Json::Array(wanted)) => wanted.iter().all(|value| {
                own.iter().any(|item| match (item, value) {
                    (Json::Array(_), Json::Array(_)) | (Json::Object(_), Json::Object(_)) => {
                        item.contains(value)
                    }
                    _ => item == value,
                })
            }),
            (Json::Array(own), scalar) if !matches!(scalar, Json::Object(_)) => {
                own.contains(scalar)
            }
            (own, other) => own == other,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Json::Null => 0,
            Json::Text(_) => 1,
            Json::Number(_) => 2,
            Json::Bool(_) => 3,
            Json::Array(_) => 4,
            Json::Object(_) => 5,
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Json::Number(number) => write!(out, "{number}").expect("a string takes all"),
            Json::Text(text) => write_quoted(text, out),
            Json::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push_str(", ");
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Json::Object(fields) => {
                out.push('{');
                for (index, (key, value)) in fields.iter().enumerate() {
                    if index > 0 {
                        out.push_str(", ");
                    }
                    write_quoted(key, out);
                    out.push_str(": ");
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

fn key_order(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.as_bytes().cmp(b.as_bytes()))
}

impl Json {
    pub fn is_empty_array(&self) -> bool {
        matches!(self, Json::Array(items) if items.is_empty())
    }
}

/// A JSON text literal, escaped as PostgreSQL's `escape_json`.
pub fn write_quoted(text: &str, out: &mut String) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[plain..at]);
        plain = at + 1;
        match byte {
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            8 => out.push_str("\\b"),
            12 => out.push_str("\\f"),
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            other => write!(out, "\\u{other:04x}").expect("a string takes all"),
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

impl std::fmt::Display for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}

impl Ord for Json {
    fn cmp(&self, other: &Json) -> Ordering {
        match (self, other) {
            (Json::Bool(a), Json::Bool(b)) => a.cmp(b),
            (Json::Number(a), Json::Number(b)) => a.cmp(b),
            (Json::Text(a), Json::Text(b)) => a.cmp(b),
            (Json::Array(a), Json::Array(b)) => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
            (Json::Object(a), Json::Object(b)) => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Json {
    fn partial_cmp(&self, other: &Json) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
