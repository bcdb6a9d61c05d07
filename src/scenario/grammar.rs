//! Regular expressions over event names: `start (think | tool)* end`.
//! Must never run on a trace: the verdict does.

use std::fmt;

use super::model::Span;
use super::order::{Cursor, ExprError};

/// How deep parentheses may nest, and how many names an expression may have (a bit set's width).
const DEPTH_MAX: usize = 64;
pub const NAMES_MAX: usize = 128;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grammar {
    Name(String, Span),
    Seq(Vec<Grammar>),
    Alt(Vec<Grammar>),
    /// `*`
    Any(Box<Grammar>),
    /// `+`
    Some(Box<Grammar>),
    /// `?`
    Maybe(Box<Grammar>),
}

impl Grammar {
    pub fn parse(text: &str) -> Result<Grammar, ExprError> {
        let mut cursor = Cursor { text, at: 0 };
        let grammar = alternatives(&mut cursor, 0)?;
        cursor.space();
        if !cursor.rest().is_empty() {
            return Err(cursor.unexpected("a name, `(`, `|`, `*`, `+`, `?` or the end"));
        }
        if grammar.names().len() > NAMES_MAX {
            return Err(ExprError::new(format!("more than {NAMES_MAX} names"), 0..text.len()));
        }
        Ok(grammar)
    }

    /// Every name with its place in the expression, left to right.
    pub fn names(&self) -> Vec<(&str, Span)> {
        match self {
            Grammar::Name(name, span) => vec![(name.as_str(), span.clone())],
            Grammar::Seq(parts) | Grammar::Alt(parts) => {
                parts.iter().flat_map(Grammar::names).collect()
            }
            Grammar::Any(inner) | Grammar::Some(inner) | Grammar::Maybe(inner) => inner.names(),
        }
    }
}

fn alternatives(cursor: &mut Cursor, depth: usize) -> Result<Grammar, ExprError> {
    let mut parts = vec![sequence(cursor, depth)?];
    while cursor.eat("|") {
        parts.push(sequence(cursor, depth)?);
    }
    Ok(if parts.len() == 1 { parts.remove(0) } else { Grammar::Alt(parts) })
}

fn sequence(cursor: &mut Cursor, depth: usize) -> Result<Grammar, ExprError> {
    let mut parts = Vec::new();
    while let Some(part) = repeated(cursor, depth)? {
        parts.push(part);
    }
    match parts.len() {
        0 => Err(cursor.unexpected("a name or `(`")),
        1 => Ok(parts.remove(0)),
        _ => Ok(Grammar::Seq(parts)),
    }
}

fn repeated(cursor: &mut Cursor, depth: usize) -> Result<Option<Grammar>, ExprError> {
    let mut part = if let Some((name, span)) = cursor.name() {
        Grammar::Name(name.to_owned(), span)
    } else if cursor.eat("(") {
        if depth == DEPTH_MAX {
            return Err(cursor.unexpected("fewer parentheses inside each other"));
        }
        let inner = alternatives(cursor, depth + 1)?;
        if !cursor.eat(")") {
            return Err(cursor.unexpected("`)`"));
        }
        inner
    } else {
        return Ok(None);
    };
    if cursor.eat("*") {
        part = Grammar::Any(Box::new(part));
    } else if cursor.eat("+") {
        part = Grammar::Some(Box::new(part));
    } else if cursor.eat("?") {
        part = Grammar::Maybe(Box::new(part));
    }
    cursor.space();
    if cursor.rest().starts_with(['*', '+', '?']) {
        return Err(cursor.unexpected("one of `*`, `+`, `?`, and not two in a row"));
    }
    Ok(Some(part))
}

impl fmt::Display for Grammar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |parts: &[Grammar], with: &str| {
            let wrap = |part: &Grammar| match part {
                Grammar::Alt(_) if with == " " => format!("({part})"),
                _ => part.to_string(),
            };
            parts.iter().map(wrap).collect::<Vec<_>>().join(with)
        };
        let (inner, sign) = match self {
            Grammar::Name(name, _) => return f.write_str(name),
            Grammar::Seq(parts) => return f.write_str(&join(parts, " ")),
            Grammar::Alt(parts) => return f.write_str(&join(parts, " | ")),
            Grammar::Any(inner) => (inner, '*'),
            Grammar::Some(inner) => (inner, '+'),
            Grammar::Maybe(inner) => (inner, '?'),
        };
        match inner.as_ref() {
            Grammar::Name(..) => write!(f, "{inner}{sign}"),
            _ => write!(f, "({inner}){sign}"),
        }
    }
}
