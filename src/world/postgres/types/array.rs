//! Arrays of one dimension, numbered from 1. Must never hold an array within an array.

use super::{Datum, Ty, from_text, to_text};
use crate::world::postgres::error::{PgError, Result};

/// What counts for nothing around an item.
const SPACE: [char; 6] = [' ', '\t', '\n', '\r', '\u{b}', '\u{c}'];

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Array {
    pub items: Vec<Datum>,
}

impl Array {
    pub fn to_text(&self, element: Ty) -> String {
        let mut out = String::from("{");
        for (index, item) in self.items.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            if item.is_null() {
                out.push_str("NULL");
                continue;
            }
            let text = to_text(item, element);
            if needs_quotes(&text) {
                out.push('"');
                for c in text.chars() {
                    if c == '"' || c == '\\' {
                        out.push('\\');
                    }
                    out.push(c);
                }
                out.push('"');
            } else {
                out.push_str(&text);
            }
        }
        out.push('}');
        out
    }

    pub fn from_text(text: &str, element: Ty) -> Result<Array> {
        let malformed = || PgError::new("22P02", format!("malformed array literal: \"{text}\""));
        let trimmed = text.trim_matches(SPACE);
        if trimmed.starts_with('[') {
            return Err(PgError::unsupported("an array with bounds"));
        }
        let because = |detail: &str| malformed().detail(detail);
        let inner =
            trimmed.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or_else(|| {
                let detail = if let Some(rest) = trimmed.strip_prefix('{') {
                    if unquoted_brace(rest) {
                        "Junk after closing right brace."
                    } else {
                        "Unexpected end of input."
                    }
                } else {
                    "Array value must start with \"{\" or dimension information."
                };
                malformed().detail(detail)
            })?;
        if unquoted_brace(inner) {
            return Err(PgError::unsupported("braces within an array"));
        }
        let mut items = Vec::new();
        let mut rest = inner.trim_start_matches(SPACE);
        while !rest.is_empty() {
            if rest.starts_with(',') {
                return Err(because("Unexpected \",\" character."));
            }
            let (item, marked, after) = split_item(rest).map_err(because)?;
            items.push(if !marked && item.eq_ignore_ascii_case("null") {
                Datum::Null
            } else {
                from_text(&item, element, -1)?
            });
            rest = match after.trim_start_matches(SPACE) {
                "" => "",
                more => {
                    let next = more.strip_prefix(',');
                    let next = next.ok_or_else(|| because("Unexpected array element."))?;
                    let next = next.trim_start_matches(SPACE);
                    if next.is_empty() {
                        return Err(because("Unexpected \"}\" character."));
                    }
                    next
                }
            };
        }
        Ok(Array { items })
    }
}

/// Whether a brace stands outside of quotes and escapes.
fn unquoted_brace(text: &str) -> bool {
    let mut quoted = false;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '"' => quoted = !quoted,
            '{' | '}' if !quoted => return true,
            _ => {}
        }
    }
    false
}

/// The first item of `text`, whether anything in it was quoted or escaped, and what follows it; why
/// there is none.
fn split_item(text: &str) -> Result<(String, bool, &str), &'static str> {
    const ENDED: &str = "Unexpected end of input.";
    let mut item = String::new();
    if let Some(body) = text.strip_prefix('"') {
        let mut chars = body.char_indices();
        while let Some((index, c)) = chars.next() {
            match c {
                '"' => return Ok((item, true, &body[index + 1..])),
                '\\' => item.push(chars.next().ok_or(ENDED)?.1),
                _ => item.push(c),
            }
        }
        return Err(ENDED);
    }
    // What is escaped is kept, also a blank that ends the item.
    let (mut kept, mut marked, mut end) = (0, false, text.len());
    let mut chars = text.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            ',' => {
                end = index;
                break;
            }
            '"' => return Err("Unexpected array element."),
            '\\' => {
                item.push(chars.next().ok_or(ENDED)?.1);
                (kept, marked) = (item.len(), true);
            }
            _ => {
                item.push(c);
                if !SPACE.contains(&c) {
                    kept = item.len();
                }
            }
        }
    }
    item.truncate(kept);
    Ok((item, marked, &text[end..]))
}

fn needs_quotes(text: &str) -> bool {
    text.is_empty()
        || text.eq_ignore_ascii_case("null")
        || text.contains(|c: char| {
            matches!(c, '"' | '\\' | '{' | '}' | ',') || c == '\u{b}' || c.is_ascii_whitespace()
        })
}
