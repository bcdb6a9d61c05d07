//! JSON text to a value, numbers exact, errors with PostgreSQL's detail.
//! Must never accept more than RFC 8259 does.

use std::sync::Arc;

use super::{Json, Numeric};
use crate::world::postgres::error::{PgError, Result};

const DEPTH_MAX: usize = 512;

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

fn bad(detail: String) -> PgError {
    PgError::new("22P02", "invalid input syntax for type json").detail(detail)
}

pub fn parse(text: &str) -> Result<Json> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    let value = parser.value()?;
    parser.space();
    match parser.token() {
        "" => Ok(value),
        token => Err(bad(format!("Expected end of input, but found \"{token}\"."))),
    }
}

/// Whether it is a JSON text. The type json takes escapes that are no characters, and keeps them.
pub fn check(text: &str) -> Result<()> {
    parse(text).map(|_| ()).map_err(|error| {
        let detail = error.fields().detail.clone().unwrap_or_default();
        if error.code() == "22P05" || detail.contains("surrogate") {
            return PgError::unsupported("a json with an escape that is no character");
        }
        error
    })
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn bytes(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn space(&mut self) {
        let spaces = self.bytes().iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r'));
        self.at += spaces.count();
    }

    /// What stands here, as an error shows it.
    fn token(&self) -> &'a str {
        let rest = self.rest();
        let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+');
        let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
        match end {
            0 => rest.chars().next().map_or("", |c| &rest[..c.len_utf8()]),
            end => &rest[..end],
        }
    }

    fn unexpected(&self, wanted: &str) -> PgError {
        match self.token() {
            "" => bad("The input string ended unexpectedly.".to_owned()),
            token if token.starts_with(|c: char| c.is_alphabetic() || c == '\'') => {
                bad(format!("Token \"{token}\" is invalid."))
            }
            token => bad(format!("Expected {wanted}, but found \"{token}\".")),
        }
    }

    fn eat(&mut self, symbol: u8) -> bool {
        self.space();
        let found = self.bytes().first() == Some(&symbol);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self) -> Result<Json> {
        self.space();
        match self.bytes().first() {
            Some(b'{') => self.nested(Parser::object),
            Some(b'[') => self.nested(Parser::array),
            Some(b'"') => Ok(Json::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                let known = [
                    ("true", Json::Bool(true)),
                    ("false", Json::Bool(false)),
                    ("null", Json::Null),
                ];
                let token = self.token();
                let found = known.into_iter().find(|(word, _)| *word == token);
                let (word, value) = found.ok_or_else(|| self.unexpected("JSON value"))?;
                self.at += word.len();
                Ok(value)
            }
        }
    }

    fn nested(&mut self, inner: fn(&mut Parser<'a>) -> Result<Json>) -> Result<Json> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(PgError::new("54001", "stack depth limit exceeded"));
        }
        self.at += 1;
        let value = inner(self);
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Result<Json> {
        let mut fields = Vec::new();
        if self.eat(b'}') {
            return Ok(Json::object(fields));
        }
        loop {
            self.space();
            if self.bytes().first() != Some(&b'"') {
                let wanted = if fields.is_empty() { "string or \"}\"" } else { "string" };
                return Err(self.unexpected(wanted));
            }
            let key = self.string()?;
            if !self.eat(b':') {
                return Err(self.unexpected("\":\""));
            }
            fields.push((key, self.value()?));
            if self.eat(b'}') {
                return Ok(Json::object(fields));
            }
            if !self.eat(b',') {
                return Err(self.unexpected("\",\" or \"}\""));
            }
        }
    }

    fn array(&mut self) -> Result<Json> {
        let mut items = Vec::new();
        if self.eat(b']') {
            return Ok(Json::Array(items.into()));
        }
        loop {
            items.push(self.value()?);
            if self.eat(b']') {
                return Ok(Json::Array(items.into()));
            }
            if !self.eat(b',') {
                return Err(self.unexpected("\",\" or \"]\""));
            }
        }
    }

    fn number(&mut self) -> Result<Json> {
        let token = self.token();
        let digits = token.strip_prefix('-').unwrap_or(token);
        let whole = digits.split(['.', 'e', 'E']).next().unwrap_or("");
        let canonical = whole == "0" || (!whole.is_empty() && !whole.starts_with('0'));
        let ends_well = digits.ends_with(|c: char| c.is_ascii_digit());
        let valid = canonical && ends_well && token.parse::<f64>().is_ok();
        let number = Numeric::parse(token).filter(|_| valid);
        let number = number.ok_or_else(|| {
            if valid {
                return PgError::unsupported(format_args!("the number {token}"));
            }
            bad(format!("Token \"{token}\" is invalid."))
        })?;
        self.at += token.len();
        Ok(Json::Number(number))
    }

    fn string(&mut self) -> Result<Arc<str>> {
        let begin = self.at;
        let unended =
            |parser: &Parser<'_>| bad(format!("Token \"{}\" is invalid.", &parser.text[begin..]));
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = self.rest();
            let special = |byte: &u8| *byte == b'"' || *byte == b'\\' || *byte < b' ';
            let Some(end) = rest.as_bytes().iter().position(special) else {
                return Err(unended(self));
            };
            let plain = &rest[..end];
            self.at += end + 1;
            match rest.as_bytes()[end] {
                b'"' if out.is_empty() => return Ok(plain.into()),
                b'"' => {
                    out.push_str(plain);
                    return Ok(out.into());
                }
                b'\\' => {
                    out.push_str(plain);
                    out.push(self.escape(begin)?);
                }
                code => {
                    let message = format!("Character with value 0x{code:02x} must be escaped.");
                    return Err(bad(message));
                }
            }
        }
    }

    /// `begin`: where its text does.
    fn escape(&mut self, begin: usize) -> Result<char> {
        let kind = self.rest().chars().next();
        self.at += kind.map_or(0, char::len_utf8);
        Ok(match kind {
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => self.unicode()?,
            Some(other) => return Err(bad(format!("Escape sequence \"\\{other}\" is invalid."))),
            None => return Err(bad(format!("Token \"{}\" is invalid.", &self.text[begin..]))),
        })
    }

    fn hex(&mut self) -> Result<u32> {
        let digits = self.rest().get(..4);
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        self.at += 4;
        code.ok_or_else(|| bad("\"\\u\" must be followed by four hexadecimal digits.".to_owned()))
    }

    /// A code unit, with its other half if it is half of a pair.
    fn unicode(&mut self) -> Result<char> {
        let high = self.hex()?;
        let code = if (0xd800..0xdc00).contains(&high) && self.rest().starts_with("\\u") {
            self.at += 2;
            let low = self.hex()?;
            if !(0xdc00..0xe000).contains(&low) {
                let detail = match low {
                    0xd800..0xdc00 => "Unicode high surrogate must not follow a high surrogate.",
                    _ => "Unicode low surrogate must follow a high surrogate.",
                };
                return Err(bad(detail.to_owned()));
            }
            0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)
        } else {
            high
        };
        if code == 0 {
            return Err(PgError::new("22P05", "unsupported Unicode escape sequence")
                .detail("\\u0000 cannot be converted to text."));
        }
        char::from_u32(code)
            .ok_or_else(|| bad("Unicode low surrogate must follow a high surrogate.".to_owned()))
    }
}
