//! Expressions of order: `a < b`, `a ~>[0ms,500ms] b`, `b needs {a, c#2}`.
//! Must never know which events the names stand for.

use std::fmt;
use std::time::Duration;

use super::model::{Between, Span};
use super::words::{self, WordError};

/// Groups joined by operators: one group more than operators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    pub groups: Vec<Vec<Atom>>,
    pub ops: Vec<Op>,
}

/// A pattern, or its n-th match in the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Atom {
    pub name: String,
    /// Counted from 1; `None` stands for every match.
    pub nth: Option<u32>,
    /// Within the expression.
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `<`: all before all.
    Before,
    /// `~>`: each is followed by a later one.
    LeadsTo(Option<Between<Duration>>),
    /// `needs`: before each there is one.
    Needs(Option<Between<Duration>>),
}

/// What is wrong with an expression, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExprError {
    pub message: String,
    pub span: Span,
}

impl ExprError {
    pub fn new(message: impl Into<String>, span: Span) -> ExprError {
        ExprError { message: message.into(), span }
    }
}

impl Order {
    /// Every atom, left to right.
    pub fn atoms(&self) -> impl Iterator<Item = &Atom> {
        self.groups.iter().flatten()
    }

    pub fn parse(text: &str) -> Result<Order, ExprError> {
        let mut cursor = Cursor { text, at: 0 };
        let mut order = Order { groups: vec![group(&mut cursor)?], ops: Vec::new() };
        loop {
            cursor.space();
            if cursor.rest().is_empty() {
                return Ok(order);
            }
            order.ops.push(op(&mut cursor)?);
            order.groups.push(group(&mut cursor)?);
        }
    }
}

/// A place in a text that is being read.
pub(super) struct Cursor<'a> {
    pub text: &'a str,
    pub at: usize,
}

impl<'a> Cursor<'a> {
    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// Takes `token` after white space, if it stands here.
    pub fn eat(&mut self, token: &str) -> bool {
        self.space();
        let here = self.rest().starts_with(token);
        if here {
            self.at += token.len();
        }
        here
    }

    /// Takes a name after white space: a letter or `_`, then letters, digits, `_`, `-`, `.`.
    pub fn name(&mut self) -> Option<(&'a str, Span)> {
        self.space();
        let rest = self.rest();
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_').then(|| {
            let length = rest.find(|c| !inner(c)).unwrap_or(rest.len());
            let span = self.at..self.at + length;
            self.at = span.end;
            (&rest[..length], span)
        })
    }

    /// An error about what stands here.
    pub fn unexpected(&self, expected: &str) -> ExprError {
        let found = self.rest().chars().next();
        let length = found.map_or(0, char::len_utf8);
        let found = found.map_or("the end".to_owned(), |c| format!("`{c}`"));
        let message = format!("expected {expected}, found {found}");
        ExprError::new(message, self.at..self.at + length)
    }
}

fn group(cursor: &mut Cursor) -> Result<Vec<Atom>, ExprError> {
    if !cursor.eat("{") {
        return Ok(vec![atom(cursor)?]);
    }
    let mut atoms = vec![atom(cursor)?];
    while cursor.eat(",") {
        atoms.push(atom(cursor)?);
    }
    if cursor.eat("}") { Ok(atoms) } else { Err(cursor.unexpected("`,` or `}`")) }
}

fn atom(cursor: &mut Cursor) -> Result<Atom, ExprError> {
    let Some((name, span)) = cursor.name() else {
        return Err(cursor.unexpected("the name of an event"));
    };
    if name == "needs" {
        return Err(ExprError::new("expected the name of an event, found `needs`", span));
    }
    let mut atom = Atom { name: name.to_owned(), nth: None, span };
    if cursor.rest().starts_with('#') {
        cursor.at += 1;
        let rest = cursor.rest();
        let length = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let nth = rest[..length].parse::<u32>().ok().filter(|nth| *nth > 0);
        atom.nth = Some(nth.ok_or_else(|| cursor.unexpected("a number from 1 after `#`"))?);
        cursor.at += length;
        atom.span.end = cursor.at;
    }
    Ok(atom)
}

fn op(cursor: &mut Cursor) -> Result<Op, ExprError> {
    const EXPECTED: &str = "`<`, `~>` or `needs`";
    if cursor.eat("<") {
        cursor.space();
        return if cursor.rest().starts_with('[') {
            let message = "windows stand on `~>` and `needs` only";
            Err(ExprError::new(message, cursor.at..cursor.at + 1))
        } else {
            Ok(Op::Before)
        };
    }
    if cursor.eat("~>") {
        return Ok(Op::LeadsTo(window(cursor)?));
    }
    let before = cursor.at;
    match cursor.name() {
        Some(("needs", _)) => Ok(Op::Needs(window(cursor)?)),
        Some((_, span)) => Err(ExprError::new(format!("expected {EXPECTED}"), span)),
        None => {
            cursor.at = before;
            Err(cursor.unexpected(EXPECTED))
        }
    }
}

fn window(cursor: &mut Cursor) -> Result<Option<Between<Duration>>, ExprError> {
    if !cursor.eat("[") {
        return Ok(None);
    }
    let start = cursor.at;
    let Some(length) = cursor.rest().find(']') else {
        return Err(ExprError::new("this window is not closed by `]`", start - 1..start));
    };
    let span = start..start + length;
    let inner = &cursor.text[span.clone()];
    cursor.at = span.end + 1;
    let expected = "expected a window like [0ms,500ms]";
    let (low, high) = inner.split_once(',').ok_or(ExprError::new(expected, span.clone()))?;
    let bound = |text: &str| {
        words::duration(text).map_err(|error| match error {
            WordError::Unit(unit) => {
                let units = words::units().join(", ");
                ExprError::new(format!("unknown unit `{unit}`: expected {units}"), span.clone())
            }
            _ => ExprError::new(expected, span.clone()),
        })
    };
    let (low, high) = (bound(low)?, bound(high)?);
    if low <= high {
        Ok(Some(Between { low, high }))
    } else {
        Err(ExprError::new("this window is empty: its low end is above its high end", span))
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, group) in self.groups.iter().enumerate() {
            if index > 0 {
                write!(f, " {} ", self.ops[index - 1])?;
            }
            match group.as_slice() {
                [one] => write!(f, "{one}")?,
                many => {
                    let names: Vec<String> = many.iter().map(Atom::to_string).collect();
                    write!(f, "{{{}}}", names.join(", "))?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.nth {
            None => f.write_str(&self.name),
            Some(nth) => write!(f, "{}#{nth}", self.name),
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, window) = match self {
            Op::Before => return f.write_str("<"),
            Op::LeadsTo(window) => ("~>", window),
            Op::Needs(window) => ("needs", window),
        };
        f.write_str(word)?;
        match window {
            Some(w) => write!(f, "[{},{}]", words::show(w.low), words::show(w.high)),
            None => Ok(()),
        }
    }
}
