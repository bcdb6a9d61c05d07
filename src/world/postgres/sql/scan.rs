//! SQL text to tokens as PostgreSQL's lexical rules have it (PostgreSQL 15, 4.1). Must never know
//! what a statement means.

use std::ops::Range;

use sqlparser::ast::DollarQuotedString;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

use super::escapes;
use crate::world::postgres::error::PgError;

/// What the grammar has to know of a token.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A word without quotes, in lower case: a key word or a name.
    Word(String),
    /// A name in quotes.
    Quoted,
    Text,
    /// A string of bits or of hexadecimal digits.
    Bits,
    /// A number that is an `integer`.
    Integer,
    Number,
    Parameter,
    Operator,
    /// Punctuation, and the operators that the grammar knows.
    Sign,
    End,
    /// No token at all: an error once the grammar gets as far.
    Wrong(PgError),
}

#[derive(Clone, Debug)]
pub struct Lexeme {
    pub kind: Kind,
    /// In bytes.
    pub place: Range<usize>,
    pub token: TokenWithSpan,
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
    /// The place up to which lines and columns are counted, and they.
    counted: (usize, Location),
}

const OPERATOR: &str = "~!@#^&|`?+-*/%<>=";
/// Operators of several characters end in a sign only if they have one of these.
const SIGNED: &str = "~!@#^&|`?%";
/// What the parser has a token for that PostgreSQL has not, or that binds there as a comparison.
const NOT_OURS: &[&str] = &["==", "<=>", "//", "|>", "~~", "!~~", "~~*", "!~~*", "~*", "!~", "!~*"];

type Scanned = (Kind, Token);

pub fn starts_name(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn in_name(c: char) -> bool {
    starts_name(c) || c.is_ascii_digit() || c == '$'
}

fn word(value: &str, quoted: bool) -> Token {
    Token::make_word(value, quoted.then_some('"'))
}

/// The tokens of a text, the last of which is its end or what is no token.
pub fn scan(text: &str) -> Vec<Lexeme> {
    let mut scanner = Scanner { text, at: 0, counted: (0, Location::new(1, 1)) };
    let mut all = Vec::new();
    loop {
        let blank = scanner.skip_blank(false);
        let from = scanner.at;
        let (kind, token) = match blank.and_then(|_| scanner.next()) {
            // PostgreSQL cuts it, and says so.
            Ok((_, Token::Word(word))) if word.value.len() > 63 => {
                let error = PgError::unsupported("a name of more than 63 bytes");
                (Kind::Wrong(error), Token::EOF)
            }
            Ok(found) => found,
            Err(error) => (Kind::Wrong(error), Token::EOF),
        };
        let span = Span::new(scanner.location(from), scanner.location(scanner.at));
        let over = matches!(kind, Kind::End | Kind::Wrong(_));
        let token = TokenWithSpan { token, span };
        all.push(Lexeme { kind, place: from..scanner.at, token });
        if over {
            return all;
        }
    }
}

impl<'t> Scanner<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn location(&mut self, at: usize) -> Location {
        let (from, mut location) = self.counted;
        for c in self.text[from..at].chars() {
            if c == '\n' {
                location = Location::new(location.line + 1, 1);
            } else {
                location.column += 1;
            }
        }
        self.counted = (at, location);
        location
    }

    fn error(&self, message: &str, place: Range<usize>) -> PgError {
        let message = format!("{message} at or near \"{}\"", &self.text[place.clone()]);
        let before = self.text[..place.start].chars().count();
        PgError::new("42601", message).at(Some(before + 1))
    }

    /// What begins here and does not end.
    fn open(&self, what: &str, from: usize) -> PgError {
        self.error(&format!("unterminated {what}"), from..self.text.len())
    }

    /// Passes over blanks and comments; whether a line ended. `within`: only what may stand
    /// between the parts of one literal.
    fn skip_blank(&mut self, within: bool) -> Result<bool, PgError> {
        let mut ended = false;
        loop {
            let rest = self.rest();
            if rest.starts_with(|c: char| c.is_ascii_whitespace() || c == '\u{b}') {
                let blank = self.take_while(|c| c.is_ascii_whitespace() || c == '\u{b}');
                ended |= blank.contains(['\n', '\r']);
            } else if rest.starts_with("--") {
                self.take_while(|c| c != '\n' && c != '\r');
            } else if rest.starts_with("/*") && !within {
                self.skip_comment()?;
            } else {
                return Ok(ended);
            }
        }
    }

    fn skip_comment(&mut self) -> Result<(), PgError> {
        let (from, mut depth) = (self.at, 0);
        loop {
            let rest = self.rest();
            if rest.starts_with("/*") {
                depth += 1;
                self.at += 2;
            } else if rest.starts_with("*/") {
                depth -= 1;
                self.at += 2;
            } else if let Some(c) = rest.chars().next() {
                self.at += c.len_utf8();
            } else {
                self.at = from;
                return Err(self.open("/* comment", from));
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    fn next(&mut self) -> Result<Scanned, PgError> {
        let from = self.at;
        let Some(first) = self.peek() else { return Ok((Kind::End, Token::EOF)) };
        let second = self.rest().chars().nth(1);
        let third = self.rest().chars().nth(2);
        match (first, second, third) {
            ('\'', ..) => Ok((Kind::Text, Token::SingleQuotedString(self.quoted(from, false)?))),
            ('e' | 'E', Some('\''), _) => {
                self.at += 1;
                Ok((Kind::Text, Token::EscapedStringLiteral(self.quoted(from, true)?)))
            }
            ('n' | 'N', Some('\''), _) => {
                self.at += 1;
                Ok((Kind::Text, Token::NationalStringLiteral(self.quoted(from, false)?)))
            }
            ('b' | 'B' | 'x' | 'X', Some('\''), _) => self.bits(from, first),
            ('u' | 'U', Some('&'), Some('\'')) => {
                self.at += 2;
                let raw = self.quoted(from, false)?;
                let value = self.unicode(&raw, from + 3)?;
                Ok((Kind::Text, Token::UnicodeStringLiteral(value)))
            }
            ('u' | 'U', Some('&'), Some('"')) => {
                self.at += 2;
                let raw = self.name_in_quotes(from)?;
                Ok((Kind::Quoted, word(&self.unicode(&raw, from + 3)?, true)))
            }
            ('"', ..) => Ok((Kind::Quoted, word(&self.name_in_quotes(from)?, true))),
            ('$', Some('0'..='9'), _) => self.parameter(from),
            ('$', ..) => self.dollar_quoted(from),
            ('0'..='9', ..) | ('.', Some('0'..='9'), _) => self.number(from),
            (c, ..) if starts_name(c) => {
                let name = self.take_while(in_name);
                Ok((Kind::Word(name.to_ascii_lowercase()), word(name, false)))
            }
            (c, ..) if OPERATOR.contains(c) => Ok(self.operator()),
            _ => Ok(self.sign(first)),
        }
    }

    /// What stands in single quotes, with what is joined to it over the end of a line.
    fn quoted(&mut self, from: usize, escapes: bool) -> Result<String, PgError> {
        let mut raw = String::new();
        let begins = self.at + 1;
        loop {
            self.at += 1;
            loop {
                let rest = self.rest();
                if rest.starts_with("''") {
                    raw.push_str(if escapes { "''" } else { "'" });
                    self.at += 2;
                } else if rest.starts_with('\'') {
                    self.at += 1;
                    break;
                } else if escapes && rest.starts_with('\\') && rest.len() > 1 {
                    let both = rest.chars().take(2).map(char::len_utf8).sum::<usize>();
                    raw.push_str(&rest[..both]);
                    self.at += both;
                } else if let Some(c) = rest.chars().next() {
                    raw.push(c);
                    self.at += c.len_utf8();
                } else {
                    self.at = from;
                    return Err(self.open("quoted string", from));
                }
            }
            let end = self.at;
            if !(self.skip_blank(true)? && self.rest().starts_with('\'')) {
                self.at = end;
                break;
            }
        }
        if !escapes {
            return Ok(raw);
        }
        escapes::escaped(&raw).map_err(|error| {
            let before = self.text[..begins].chars().count();
            error.moved(|place| Some(before + place))
        })
    }

    fn bits(&mut self, from: usize, first: char) -> Result<Scanned, PgError> {
        self.at += 2;
        let hexadecimal = first.eq_ignore_ascii_case(&'x');
        let what = if hexadecimal { "hexadecimal string literal" } else { "bit string literal" };
        let digits = self.take_while(|c| c != '\'').to_owned();
        if self.peek().is_none() {
            self.at = from;
            return Err(self.open(what, from));
        }
        self.at += 1;
        let token = if hexadecimal {
            Token::HexStringLiteral(digits)
        } else {
            Token::SingleQuotedByteStringLiteral(digits)
        };
        Ok((Kind::Bits, token))
    }

    fn name_in_quotes(&mut self, from: usize) -> Result<String, PgError> {
        let mut name = String::new();
        self.at += 1;
        loop {
            name.push_str(self.take_while(|c| c != '"'));
            if self.rest().starts_with("\"\"") {
                name.push('"');
                self.at += 2;
            } else if self.peek().is_some() {
                self.at += 1;
                break;
            } else {
                self.at = from;
                return Err(self.open("quoted identifier", from));
            }
        }
        if name.is_empty() {
            return Err(self.error("zero-length delimited identifier", from..self.at));
        }
        Ok(name)
    }

    /// The value of a text with Unicode escapes, whose own escape character may follow it.
    fn unicode(&mut self, raw: &str, begins: usize) -> Result<String, PgError> {
        let (end, before) = (self.at, self.text[..begins].chars().count());
        self.skip_blank(false)?;
        let mut escape = '\\';
        let name = self.take_while(in_name);
        if name.eq_ignore_ascii_case("uescape") {
            self.skip_blank(false)?;
            let from = self.at;
            let simple = "UESCAPE must be followed by a simple string literal";
            if self.peek() != Some('\'') {
                self.take_while(in_name);
                return Err(self.error(simple, from..self.at));
            }
            let given = self.quoted(from, false)?;
            let mut given = given.chars();
            let fits = |c: &char| {
                !c.is_ascii_hexdigit() && !"+'\"".contains(*c) && !c.is_ascii_whitespace()
            };
            match (given.next().filter(fits), given.next()) {
                (Some(c), None) => escape = c,
                _ => return Err(self.error("invalid Unicode escape character", from..self.at)),
            }
        } else {
            self.at = end;
        }
        let value = escapes::unicode(raw, escape);
        value.map_err(|error| error.moved(|place| Some(before + place)))
    }

    fn parameter(&mut self, from: usize) -> Result<Scanned, PgError> {
        self.at += 1;
        self.take_while(|c| c.is_ascii_digit());
        self.no_junk(from, "parameter")?;
        let text = self.text[from..self.at].to_owned();
        Ok((Kind::Parameter, Token::Placeholder(text)))
    }

    fn no_junk(&mut self, from: usize, what: &str) -> Result<(), PgError> {
        if !self.rest().starts_with(starts_name) {
            return Ok(());
        }
        self.take_while(in_name);
        Err(self.error(&format!("trailing junk after {what}"), from..self.at))
    }

    fn dollar_quoted(&mut self, from: usize) -> Result<Scanned, PgError> {
        self.at += 1;
        let tag = self.take_while(|c| in_name(c) && c != '$');
        if self.peek() != Some('$') {
            self.at = from + 1;
            return Err(self.error("syntax error", from..self.at));
        }
        self.at += 1;
        let delimiter = format!("${tag}$");
        let Some(length) = self.rest().find(&delimiter) else {
            self.at = from;
            return Err(self.open("dollar-quoted string", from));
        };
        let value = self.rest()[..length].to_owned();
        self.at += length + delimiter.len();
        let tag = (!tag.is_empty()).then(|| tag.to_owned());
        Ok((Kind::Text, Token::DollarQuotedString(DollarQuotedString { value, tag })))
    }

    fn number(&mut self, from: usize) -> Result<Scanned, PgError> {
        let digit = |c: char| c.is_ascii_digit();
        self.take_while(digit);
        let mut whole = true;
        if self.peek() == Some('.') && !self.rest().starts_with("..") {
            whole = false;
            self.at += 1;
            self.take_while(digit);
        }
        if self.peek().is_some_and(|c| c.eq_ignore_ascii_case(&'e')) {
            let sign = usize::from(self.rest()[1..].starts_with(['+', '-']));
            if self.rest()[1 + sign..].starts_with(digit) {
                whole = false;
                self.at += 1 + sign;
                self.take_while(digit);
            } else if sign == 1 {
                let place = from..self.at + 2;
                return Err(self.error("trailing junk after numeric literal", place));
            }
        }
        self.no_junk(from, "numeric literal")?;
        let text = &self.text[from..self.at];
        let small = whole && text.parse::<i32>().is_ok();
        let kind = if small { Kind::Integer } else { Kind::Number };
        Ok((kind, Token::Number(text.to_owned(), false)))
    }

    /// The longest row of operator characters that does not begin a comment, without a sign at its
    /// end unless it may have one.
    fn operator(&mut self) -> Scanned {
        let rest = self.rest();
        let mut end = rest.find(|c| !OPERATOR.contains(c)).unwrap_or(rest.len());
        for comment in ["/*", "--"] {
            end = rest[..end].find(comment).unwrap_or(end);
        }
        let mut text = &rest[..end];
        while text.len() > 1 && text.ends_with(['+', '-']) && !text.contains(|c| SIGNED.contains(c))
        {
            text = &text[..text.len() - 1];
        }
        self.at += text.len();
        let known = ["+", "-", "*", "/", "%", "^", "<", ">", "=", "<=", ">=", "<>", "!=", "=>"];
        let kind = if known.contains(&text) { Kind::Sign } else { Kind::Operator };
        let dialect = PostgreSqlDialect {};
        let tokens = Tokenizer::new(&dialect, text).tokenize().unwrap_or_default();
        let token = match <[Token; 1]>::try_from(tokens) {
            Ok([token]) if !NOT_OURS.contains(&text) => token,
            _ => Token::CustomBinaryOperator(text.to_owned()),
        };
        (kind, token)
    }

    fn sign(&mut self, first: char) -> Scanned {
        let pairs = [("::", Token::DoubleColon), (":=", Token::Assignment)];
        if let Some((text, token)) = pairs.into_iter().find(|(t, _)| self.rest().starts_with(t)) {
            self.at += text.len();
            return (Kind::Sign, token);
        }
        if self.rest().starts_with("..") {
            self.at += 2;
            return (Kind::Sign, Token::Char('.'));
        }
        self.at += first.len_utf8();
        let token = match first {
            ',' => Token::Comma,
            '(' => Token::LParen,
            ')' => Token::RParen,
            '[' => Token::LBracket,
            ']' => Token::RBracket,
            '.' => Token::Period,
            ';' => Token::SemiColon,
            ':' => Token::Colon,
            other => Token::Char(other),
        };
        (Kind::Sign, token)
    }
}
