//! The text of a function's body, token by token, and the pieces of SQL in it.
//! Must never know what a statement of the language means.

use std::ops::Range;
use std::sync::Arc;

use sqlparser::ast::{self, Statement};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Location, Token, Tokenizer};

use super::body::{Fragment, Variable};
use super::parse::{offset, parse};
use crate::world::postgres::error::{PgError, Result};

struct Piece {
    token: Token,
    /// In bytes.
    place: Range<usize>,
    line: usize,
}

/// A body and how far it has been read.
pub struct Tokens<'t> {
    text: &'t str,
    pieces: Vec<Piece>,
    at: usize,
    /// Every variable of the function so far.
    pub variables: Vec<Variable>,
    /// Those that can be seen here, innermost last.
    pub seen: Vec<usize>,
    /// RETURN gives a value.
    pub returns: bool,
    /// Those that keep their value.
    pub constants: Vec<usize>,
    /// Labels of the blocks and loops around, innermost last; `true` for a loop.
    pub around: Vec<(Option<String>, bool)>,
}

fn byte(text: &str, location: Location) -> usize {
    let chars = offset(text, location).unwrap_or(1) - 1;
    text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at)
}

impl<'t> Tokens<'t> {
    pub fn new(text: &'t str) -> Result<Tokens<'t>> {
        let dialect = PostgreSqlDialect {};
        let tokens = Tokenizer::new(&dialect, text)
            .with_unescape(true)
            .tokenize_with_location()
            .map_err(|error| PgError::new("42601", error.message.to_lowercase()))?;
        let tokens = tokens.into_iter().filter(|t| !matches!(t.token, Token::Whitespace(_)));
        let pieces = tokens.map(|token| Piece {
            place: byte(text, token.span.start)..byte(text, token.span.end),
            line: usize::try_from(token.span.start.line).unwrap_or(0),
            token: token.token,
        });
        let pieces = pieces.collect();
        let (variables, seen, constants, around) = Default::default();
        let (at, returns) = (0, true);
        Ok(Tokens { text, pieces, at, variables, seen, returns, constants, around })
    }

    pub fn line(&self) -> usize {
        self.pieces.get(self.at).map_or(0, |piece| piece.line)
    }

    /// Where the token that comes begins, in bytes.
    fn place(&self) -> usize {
        self.pieces.get(self.at).map_or(self.text.len(), |piece| piece.place.start)
    }

    pub fn is_over(&self) -> bool {
        self.pieces.get(self.at).is_none_or(|piece| piece.token == Token::EOF)
    }

    fn token(&self, ahead: usize) -> &Token {
        self.pieces.get(self.at + ahead).map_or(&Token::EOF, |piece| &piece.token)
    }

    /// The unquoted word that comes, in lower case.
    pub fn word(&self, ahead: usize) -> Option<String> {
        match self.token(ahead) {
            Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_lowercase()),
            _ => None,
        }
    }

    pub fn is(&self, word: &str) -> bool {
        self.word(0).is_some_and(|found| found == word)
    }

    pub fn is_token(&self, ahead: usize, token: &Token) -> bool {
        self.token(ahead) == token
    }

    /// Takes a word if it comes.
    pub fn take(&mut self, word: &str) -> bool {
        let found = self.is(word);
        self.at += usize::from(found);
        found
    }

    pub fn take_token(&mut self, token: &Token) -> bool {
        let found = self.token(0) == token;
        self.at += usize::from(found);
        found
    }

    pub fn expect(&mut self, word: &str) -> Result<()> {
        if self.take(word) { Ok(()) } else { Err(self.astonished()) }
    }

    pub fn expect_token(&mut self, token: &Token) -> Result<()> {
        if self.take_token(token) { Ok(()) } else { Err(self.astonished()) }
    }

    /// A name, folded to lower case unless it is quoted.
    pub fn name(&mut self) -> Result<String> {
        let Token::Word(word) = self.token(0) else { return Err(self.astonished()) };
        let name =
            if word.quote_style.is_some() { word.value.clone() } else { word.value.to_lowercase() };
        self.at += 1;
        Ok(name)
    }

    pub fn string(&mut self) -> Option<String> {
        let text = match self.token(0) {
            Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => text.clone(),
            Token::DollarQuotedString(quoted) => quoted.value.clone(),
            _ => return None,
        };
        self.at += 1;
        Some(text)
    }

    /// A syntax error at the token that comes.
    pub fn astonished(&self) -> PgError {
        self.wrong("syntax error")
    }

    /// An error that names the token that comes.
    pub fn wrong(&self, what: &str) -> PgError {
        if self.is_over() {
            return self.refused("42601", format!("{what} at end of input"));
        }
        let shown = &self.text[self.pieces[self.at].place.clone()];
        self.refused("42601", format!("{what} at or near \"{shown}\""))
    }

    /// An error at the token that comes.
    pub fn refused(&self, code: &'static str, message: impl Into<String>) -> PgError {
        let place = Some(self.text[..self.place()].chars().count() + 1);
        PgError::new(code, message).at(place)
    }

    /// The tokens up to one of these words or signs, which is not taken. Parentheses and CASE hide
    /// what is in them.
    fn span(&mut self, words: &[&str], signs: &[Token]) -> Result<Range<usize>> {
        let from = self.at;
        let (mut depth, mut cases) = (0_usize, 0_usize);
        loop {
            let word = self.word(0);
            if self.is_over() {
                return Err(self.astonished());
            }
            let open = depth == 0 && cases == 0;
            if open && word.as_deref().is_some_and(|word| words.contains(&word)) {
                break;
            }
            match self.token(0) {
                token if open && signs.contains(token) => break,
                Token::SemiColon => return Err(self.astonished()),
                Token::LParen | Token::LBracket => depth += 1,
                Token::RParen | Token::RBracket => {
                    depth = depth.checked_sub(1).ok_or_else(|| self.astonished())?;
                }
                _ => {}
            }
            match word.as_deref() {
                Some("case") => cases += 1,
                Some("end") if cases > 0 => cases -= 1,
                _ => {}
            }
            self.at += 1;
        }
        if self.at == from {
            return Err(self.astonished());
        }
        Ok(from..self.at)
    }

    fn slice(&self, span: &Range<usize>) -> &'t str {
        &self.text[self.pieces[span.start].place.start..self.pieces[span.end - 1].place.end]
    }

    /// The text up to one of these words or signs.
    pub fn text(&mut self, words: &[&str], signs: &[Token]) -> Result<&'t str> {
        let span = self.span(words, signs)?;
        Ok(self.slice(&span))
    }

    /// A piece that begins at this byte of the body, where its errors point.
    fn fragment(&self, text: &str, from: usize, expression: bool) -> Result<Fragment> {
        let lower = text.to_lowercase();
        let qualified = |label: &String| {
            let found = lower.find(&format!("{label}."));
            let word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
            found.is_some_and(|at| !lower[..at].ends_with(word))
        };
        if self.around.iter().filter_map(|(label, _)| label.as_ref()).any(qualified) {
            return Err(PgError::unsupported("a variable with the label of its block"));
        }
        let before = self.text[..from].chars().count();
        fragment(text, expression, self.seen.as_slice().into())
            .map_err(|error| error.moved(|place| Some(before + place)))
    }

    /// An expression up to one of these words or signs.
    pub fn expression(&mut self, words: &[&str], signs: &[Token]) -> Result<Fragment> {
        let from = self.place();
        let ends = words.iter().any(|word| self.is(word)) || signs.contains(self.token(0));
        if ends || *self.token(0) == Token::SemiColon {
            return Err(self.wrong("missing expression"));
        }
        let text = self.text(words, signs)?;
        self.fragment(text, from, true)
    }

    /// `variable := expression`, which errors show as a whole.
    pub fn assignment(&mut self) -> Result<(usize, Fragment)> {
        let from = self.place();
        let variable = self.variable()?;
        self.skip(1);
        if self.is_token(0, &Token::SemiColon) {
            return Err(PgError::unsupported("an assignment of nothing"));
        }
        let value = self.expression(&[], &[Token::SemiColon])?;
        let text = &self.text[from..self.pieces[self.at - 1].place.end];
        let part = text.len() - value.text.len()..text.len();
        Ok((variable, Fragment { text: text.into(), part, ..value }))
    }

    /// What PERFORM runs: a query without its SELECT.
    pub fn query(&mut self) -> Result<Fragment> {
        if *self.token(0) == Token::SemiColon {
            return Err(PgError::unsupported("a PERFORM of nothing"));
        }
        let from = self.place();
        let text = self.text(&[], &[Token::SemiColon])?;
        let from = from.saturating_sub("SELECT ".len());
        let fragment = self.fragment(&format!("SELECT {text}"), from, false)?;
        Ok(Fragment { is_perform: true, ..fragment })
    }

    /// A statement of SQL, and the variables that its INTO names: they are cut out of its text.
    pub fn statement(&mut self) -> Result<(Fragment, Vec<usize>, bool)> {
        let span = self.span(&[], &[Token::SemiColon])?;
        let end = self.at;
        let mut text = self.slice(&span).to_owned();
        let start = self.pieces[span.start].place.start;
        let (mut targets, mut strict) = (Vec::new(), false);
        let into = |at: usize| match &self.pieces[at].token {
            Token::Word(word) => word.quote_style.is_none() && word.value.to_lowercase() == "into",
            _ => false,
        };
        let inserts = |at: usize| match &self.pieces[at - 1].token {
            Token::Word(word) => matches!(word.value.to_lowercase().as_str(), "insert" | "merge"),
            _ => false,
        };
        let found = (span.start + 1..span.end).find(|at| into(*at) && !inserts(*at));
        if let Some(found) = found {
            self.at = found + 1;
            strict = self.take("strict");
            loop {
                targets.push(self.variable()?);
                if !self.take_token(&Token::Comma) {
                    break;
                }
            }
            let cut = self.pieces[found].place.start..self.pieces[self.at - 1].place.end;
            let blank = " ".repeat(cut.len());
            text.replace_range(cut.start - start..cut.end - start, &blank);
        }
        self.at = end;
        Ok((self.fragment(text.trim_end(), start, false)?, targets, strict))
    }

    pub fn find(&self, name: &str) -> Option<usize> {
        self.seen.iter().rev().copied().find(|at| &*self.variables[*at].name == name)
    }

    /// A variable that must be there.
    pub fn variable(&mut self) -> Result<usize> {
        let astonished = self.astonished();
        let place = astonished.fields().position;
        let name = self.name()?;
        let found = self.find(&name);
        if found.is_some_and(|found| self.constants.contains(&found)) {
            let message = format!("variable \"{name}\" is declared CONSTANT");
            return Err(PgError::new("22005", message).at(place));
        }
        found.ok_or_else(|| {
            if self.is_token(0, &Token::Period) {
                return PgError::unsupported("a field of a record in a function");
            }
            match astonished.fields().message.as_str() {
                message if message.starts_with("syntax") => {
                    PgError::new("42601", format!("\"{name}\" is not a known variable"))
                        .at(astonished.fields().position)
                }
                _ => astonished.clone(),
            }
        })
    }

    /// Whether `$1` comes.
    pub fn names_number(&self) -> bool {
        matches!(self.token(0), Token::Placeholder(_))
    }

    /// Whether an assignment to a variable comes.
    pub fn assigns(&self) -> bool {
        matches!(self.token(0), Token::Word(_))
            && matches!(self.token(1), Token::Assignment | Token::Eq)
    }

    pub fn skip(&mut self, tokens: usize) {
        self.at += tokens;
    }
}

/// A piece of SQL on its own.
pub fn fragment(text: &str, expression: bool, seen: Arc<[usize]>) -> Result<Fragment> {
    let run = if expression { format!("SELECT {text}") } else { text.to_owned() };
    let shift = if expression { "SELECT ".len() } else { 0 };
    let parsed = parse(&run).map_err(|error| {
        error.moved(|place| place.checked_sub(shift).filter(|place| *place > 0))
    })?;
    let [statement] = &*parsed.statements else {
        return Err(PgError::new("42601", "syntax error at end of input"));
    };
    let simple = is_simple(statement);
    let (part, text, statement) = (0..text.len(), text.into(), statement.clone());
    Ok(Fragment { text, part, statement, expression, simple, is_perform: false, seen })
}

/// Whether it is `SELECT` and one expression, which has no query of its own in it.
pub fn is_simple(statement: &Statement) -> bool {
    let Statement::Query(query) = statement else { return false };
    let Some(select) = query.body.as_select() else { return false };
    let mut finder = Queries(0);
    let _all_seen = ast::Visit::visit(statement, &mut finder);
    finder.0 == 1
        && query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && select.from.is_empty()
        && select.selection.is_none()
        && select.projection.len() == 1
}

struct Queries(usize);

impl ast::Visitor for Queries {
    type Break = ();
    fn pre_visit_query(&mut self, _: &ast::Query) -> std::ops::ControlFlow<()> {
        self.0 += 1;
        std::ops::ControlFlow::Continue(())
    }
}
