//! JSON text to a value, numbers exact, errors with PostgreSQL's detail and context: token by token
//! as its parser goes (`jsonapi.c`). Must never accept more than RFC 8259 does.

use std::sync::Arc;

use super::{Json, Numeric};
use crate::world::postgres::error::{PgError, Result};

const DEPTH_MAX: usize = 512;

/// How much of a line an error shows, in bytes.
const SHOWN: usize = 50;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// Nothing has been read yet.
    Begin,
    /// `{`, `}`, `[`, `]`, `,` or `:`.
    Sign(u8),
    Text(Arc<str>),
    Number,
    Word(&'static str),
    End,
}

struct Parser<'a> {
    text: &'a str,
    token: Token,
    /// Where the token begins and ends; where an error points.
    start: usize,
    end: usize,
    line: usize,
    line_start: usize,
    depth: usize,
}

pub fn parse(text: &str) -> Result<Json> {
    let begin = Token::Begin;
    let mut parser =
        Parser { text, token: begin, start: 0, end: 0, line: 1, line_start: 0, depth: 0 };
    parser.read()?;
    let value = parser.value()?;
    if parser.token == Token::End { Ok(value) } else { Err(parser.unexpected("end of input")) }
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

/// What belongs to a word, if only to show what is wrong as a whole.
fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

fn digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

impl Parser<'_> {
    fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    fn wrong(&self, detail: impl Into<String>) -> PgError {
        PgError::new("22P02", "invalid input syntax for type json")
            .detail(detail.into())
            .context(&self.context())
    }

    fn invalid(&self) -> PgError {
        self.wrong(format!("Token \"{}\" is invalid.", &self.text[self.start..self.end]))
    }

    fn unexpected(&self, wanted: &str) -> PgError {
        if self.token == Token::End {
            return self.wrong("The input string ended unexpectedly.");
        }
        let found = &self.text[self.start..self.end];
        self.wrong(format!("Expected {wanted}, but found \"{found}\"."))
    }

    /// The line up to where it is wrong.
    fn context(&self) -> String {
        let mut from = self.line_start;
        while self.end - from >= SHOWN {
            from += self.text[from..].chars().next().map_or(1, char::len_utf8);
        }
        if from - self.line_start <= 3 {
            from = self.line_start;
        }
        let dots = |cut: bool| if cut { "..." } else { "" };
        let goes_on = self.token != Token::End
            && self.bytes().get(self.end).is_some_and(|byte| !matches!(byte, b'\n' | b'\r'));
        format!(
            "JSON data, line {}: {}{}{}",
            self.line,
            dots(from > self.line_start),
            &self.text[from..self.end],
            dots(goes_on),
        )
    }

    /// The error of what has been read up to `end`, without the character that begins there.
    fn before<T>(&mut self, end: usize, error: fn(&Self) -> PgError) -> Result<T> {
        self.end = end;
        Err(error(self))
    }

    /// The error of what has been read up to the character that begins at `at`, and with it.
    fn with<T>(&mut self, at: usize, detail: &str) -> Result<T> {
        self.end = at + self.text[at..].chars().next().map_or(0, char::len_utf8);
        Err(self.wrong(detail))
    }

    fn unescaped<T>(&mut self, at: usize, code: u8) -> Result<T> {
        self.end = at;
        Err(self.wrong(format!("Character with value 0x{code:02x} must be escaped.")))
    }

    /// Goes on to the next token.
    fn read(&mut self) -> Result<()> {
        let mut at = self.end;
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.bytes().get(at) {
            at += 1;
            if self.bytes()[at - 1] == b'\n' {
                self.line += 1;
                self.line_start = at;
            }
        }
        (self.start, self.end) = (at, at);
        let Some(first) = self.bytes().get(at).copied() else {
            self.token = Token::End;
            return Ok(());
        };
        self.token = match first {
            b'{' | b'}' | b'[' | b']' | b',' | b':' => {
                self.end += 1;
                Token::Sign(first)
            }
            b'"' => Token::Text(self.string()?),
            b'-' | b'0'..=b'9' => {
                self.number()?;
                Token::Number
            }
            _ => {
                let length = self.bytes()[at..].iter().take_while(|b| is_of_word(**b)).count();
                self.end += length.max(1);
                let word = &self.text[at..self.end];
                let known = ["true", "false", "null"].into_iter().find(|known| *known == word);
                Token::Word(known.ok_or_else(|| self.invalid())?)
            }
        };
        Ok(())
    }

    fn number(&mut self) -> Result<()> {
        let mut at = self.start + usize::from(self.bytes()[self.start] == b'-');
        let is =
            |at: usize, wanted: &[u8]| self.bytes().get(at).is_some_and(|b| wanted.contains(b));
        let whole = if is(at, b"0") { 1 } else { digits(&self.bytes()[at..]) };
        let mut wrong = whole == 0;
        at += whole;
        for (begins, signs) in [(b".".as_slice(), b"".as_slice()), (b"eE", b"+-")] {
            if is(at, begins) {
                at += 1;
                at += usize::from(is(at, signs));
                let more = digits(&self.bytes()[at..]);
                wrong |= more == 0;
                at += more;
            }
        }
        let garbage = self.bytes()[at..].iter().take_while(|byte| is_of_word(**byte)).count();
        self.end = at + garbage;
        if wrong || garbage > 0 { Err(self.invalid()) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<Arc<str>> {
        let mut at = self.start + 1;
        let mut out = String::new();
        loop {
            let rest = &self.bytes()[at..];
            let special = |byte: &u8| *byte == b'"' || *byte == b'\\' || *byte < b' ';
            let Some(plain) = rest.iter().position(special) else {
                return self.before(self.text.len(), Self::invalid);
            };
            let (begin, found) = (at, rest[plain]);
            at += plain;
            match found {
                b'"' => {
                    self.end = at + 1;
                    let plain = &self.text[begin..at];
                    return Ok(if out.is_empty() { plain.into() } else { (out + plain).into() });
                }
                b'\\' => {
                    out.push_str(&self.text[begin..at]);
                    let (escaped, next) = self.escape(at + 1)?;
                    out.push(escaped);
                    at = next;
                }
                code => return self.unescaped(at, code),
            }
        }
    }

    /// What stands for a character behind a backslash, and where the text goes on.
    fn escape(&mut self, at: usize) -> Result<(char, usize)> {
        let plain = match self.bytes().get(at) {
            None => return self.before(self.text.len(), Self::invalid),
            Some(b'u') => return self.unicode(at),
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(*c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(_) => {
                let other = self.text[at..].chars().next().unwrap_or_default();
                self.start = at;
                return self.with(at, &format!("Escape sequence \"\\{other}\" is invalid."));
            }
        };
        Ok((plain, at + 1))
    }

    /// The code unit of four digits behind the `u` at `at`.
    fn hex(&mut self, at: usize) -> Result<u32> {
        let mut code = 0;
        for place in at + 1..at + 5 {
            let Some(byte) = self.bytes().get(place) else {
                return self.before(self.text.len(), Self::invalid);
            };
            match char::from(*byte).to_digit(16) {
                Some(digit) => code = code * 16 + digit,
                None => {
                    return self
                        .with(place, "\"\\u\" must be followed by four hexadecimal digits.");
                }
            }
        }
        Ok(code)
    }

    /// A code unit, with its other half if it is half of a pair.
    fn unicode(&mut self, at: usize) -> Result<(char, usize)> {
        const HIGH: &str = "Unicode high surrogate must not follow a high surrogate.";
        const LOW: &str = "Unicode low surrogate must follow a high surrogate.";
        let first = self.hex(at)?;
        let mut last = at + 4;
        let code = match first {
            0xdc00..0xe000 => return self.with(last, LOW),
            0xd800..0xdc00 => {
                match self.bytes()[at + 5..] {
                    [b'\\', b'u', ..] => {}
                    [] | [b'\\'] => return self.before(self.text.len(), Self::invalid),
                    [b'\\', ..] => return self.with(at + 6, LOW),
                    [code @ 0..b' ', ..] => return self.unescaped(at + 5, code),
                    _ => return self.with(at + 5, LOW),
                }
                let low = self.hex(at + 6)?;
                last = at + 10;
                match low {
                    0xdc00..0xe000 => 0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00),
                    0xd800..0xdc00 => return self.with(last, HIGH),
                    _ => return self.with(last, LOW),
                }
            }
            other => other,
        };
        if code == 0 {
            self.end = last + 1;
            return Err(PgError::new("22P05", "unsupported Unicode escape sequence")
                .detail("\\u0000 cannot be converted to text.")
                .context(&self.context()));
        }
        let found = char::from_u32(code).expect("surrogates have been looked for");
        Ok((found, last + 1))
    }

    /// The value that begins with this token; goes on behind it.
    fn value(&mut self) -> Result<Json> {
        let (start, end) = (self.start, self.end);
        let value = match &mut self.token {
            Token::Sign(b'{') => return self.nested(Parser::object),
            Token::Sign(b'[') => return self.nested(Parser::array),
            Token::Text(text) => Json::Text(Arc::clone(text)),
            Token::Word("null") => Json::Null,
            Token::Word(word) => Json::Bool(*word == "true"),
            Token::Number => {
                self.read()?;
                let number = &self.text[start..end];
                let value = Numeric::parse(number).map(Json::Number);
                return value
                    .ok_or_else(|| PgError::unsupported(format_args!("the number {number}")));
            }
            _ => return Err(self.unexpected("JSON value")),
        };
        self.read()?;
        Ok(value)
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Result<Json>) -> Result<Json> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(PgError::new("54001", "stack depth limit exceeded"));
        }
        self.read()?;
        let value = inner(self)?;
        self.depth -= 1;
        self.read()?;
        Ok(value)
    }

    /// Whether a comma stands here; goes on behind it.
    fn comma(&mut self) -> Result<bool> {
        let more = self.token == Token::Sign(b',');
        if more {
            self.read()?;
        }
        Ok(more)
    }

    fn object(&mut self) -> Result<Json> {
        let mut fields = Vec::new();
        if self.token == Token::Sign(b'}') {
            return Ok(Json::object(fields));
        }
        if !matches!(self.token, Token::Text(_)) {
            return Err(self.unexpected("string or \"}\""));
        }
        loop {
            let Token::Text(key) = &self.token else { return Err(self.unexpected("string")) };
            let key = Arc::clone(key);
            self.read()?;
            if self.token != Token::Sign(b':') {
                return Err(self.unexpected("\":\""));
            }
            self.read()?;
            fields.push((key, self.value()?));
            if !self.comma()? {
                break;
            }
        }
        match self.token {
            Token::Sign(b'}') => Ok(Json::object(fields)),
            _ => Err(self.unexpected("\",\" or \"}\"")),
        }
    }

    fn array(&mut self) -> Result<Json> {
        let mut items = Vec::new();
        if self.token == Token::Sign(b']') {
            return Ok(Json::Array(items.into()));
        }
        loop {
            items.push(self.value()?);
            if !self.comma()? {
                break;
            }
        }
        match self.token {
            Token::Sign(b']') => Ok(Json::Array(items.into())),
            _ => Err(self.unexpected("\",\" or \"]\"")),
        }
    }
}
