//! SQL text to syntax trees, remembered by text. Must never depend on a catalogue.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use sqlparser::ast::Statement;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Word};

use super::keywords::is_key_word;
use super::lexical::scanned;
use super::matching::check;
use super::scan::{Kind, Lexeme, scan};
use crate::world::postgres::error::{PgError, Result};

/// A text and its statements.
#[derive(Clone, Debug)]
pub struct Parsed {
    pub text: Arc<str>,
    pub statements: Arc<[Arc<Statement>]>,
}

/// Remembers what was parsed: parsing costs more than running a small statement.
#[derive(Debug, Default)]
pub struct Parses {
    known: BTreeMap<Arc<str>, Parsed>,
}

const KNOWN_MAX: usize = 4_096;

/// Marks in a lock clause's OF what sqlparser has no word for.
pub const NO_KEY: &str = "\u{1}no key";
pub const KEY: &str = "\u{1}key";

/// Begins the one column of a conflict target that is more than columns; what follows is a query
/// with the target's expressions and its condition.
pub const TARGET: &str = "\u{1}target ";

/// The last of the columns of an INSERT that says OVERRIDING.
pub const OVER_SYSTEM: &str = "\u{1}overriding system";
pub const OVER_USER: &str = "\u{1}overriding user";

impl Parses {
    pub const fn new() -> Parses {
        Parses { known: BTreeMap::new() }
    }

    pub fn get(&self, text: &str) -> Option<Parsed> {
        self.known.get(text).cloned()
    }

    pub fn keep(&mut self, parsed: &Parsed) {
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(parsed.text.clone(), parsed.clone());
    }
}

pub fn parse(text: &str) -> Result<Parsed> {
    let dialect = PostgreSqlDialect {};
    let lexemes = scan(text);
    let labels = check(text, &lexemes)?;
    let mut tokens: Vec<TokenWithSpan> = lexemes.into_iter().map(|lexeme| lexeme.token).collect();
    for label in &*labels {
        if let Token::Word(word) = &mut tokens[*label].token {
            *word = label_of(word);
        }
    }
    let tokens = scanned(&tokens)?;
    let mut parser = Parser::new(&dialect).with_tokens_with_locations(rewrite(tokens.clone()));
    let statements = statements(&mut parser).map_err(|error| unknown(text, &tokens, &error))?;
    Ok(Parsed { text: text.into(), statements })
}

/// A word that the parser must take for no other, nor for a text.
fn label_of(word: &Word) -> Word {
    let value = match word.quote_style {
        Some(_) => word.value.clone(),
        None => word.value.to_ascii_lowercase(),
    };
    Word { value, quote_style: Some('`'), keyword: Keyword::NoKeyword }
}

/// All of them, each up to its semicolon: the parser's own loop takes END for one, and leaves the
/// rest of the text unread.
fn statements(parser: &mut Parser<'_>) -> std::result::Result<Arc<[Arc<Statement>]>, ParserError> {
    let mut all = Vec::new();
    loop {
        while parser.consume_token(&Token::SemiColon) {}
        if parser.peek_token().token == Token::EOF {
            return Ok(all.into());
        }
        all.push(Arc::new(parser.parse_statement()?));
        let next = parser.peek_token();
        if !matches!(next.token, Token::SemiColon | Token::EOF) {
            return parser.expected("end of statement", next);
        }
    }
}

/// The texts of the statements of one text.
pub fn split(text: &str) -> Result<Vec<Range<usize>>> {
    let lexemes = scan(text);
    let ends = |lexeme: &Lexeme| lexeme.token.token == Token::SemiColon || is_last(lexeme);
    let mut all = Vec::new();
    for statement in lexemes.split(ends) {
        if let [first, .., last] | [first @ last] = statement {
            all.push(first.place.start..last.place.end);
        }
    }
    match lexemes.last().map(|lexeme| &lexeme.kind) {
        Some(Kind::Wrong(error)) => Err(error.clone()),
        _ => Ok(all),
    }
}

fn is_last(lexeme: &Lexeme) -> bool {
    matches!(lexeme.kind, Kind::End | Kind::Wrong(_))
}

fn word(token: &Token) -> Option<Keyword> {
    if let Token::Word(Word { keyword, quote_style: None, .. }) = token {
        Some(*keyword)
    } else {
        None
    }
}

fn marker(name: &str, span: sqlparser::tokenizer::Span) -> TokenWithSpan {
    let value = name.to_owned();
    let word = Word { value, quote_style: Some('"'), keyword: Keyword::NoKeyword };
    TokenWithSpan { token: Token::Word(word), span }
}

fn keyword(name: &str, span: sqlparser::tokenizer::Span) -> TokenWithSpan {
    TokenWithSpan { token: Token::make_keyword(name), span }
}

/// `ON CONFLICT (expressions) WHERE condition DO`: what stands between, as one marked column, and
/// how many tokens it took. `None` if columns are all there is, which sqlparser knows.
fn rewrite_target(rest: &[TokenWithSpan]) -> Option<(TokenWithSpan, usize)> {
    let mut depth = 0;
    let end = rest.iter().position(|token| {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        depth == 0 && word(&token.token) == Some(Keyword::DO)
    })?;
    let target = &rest[..end];
    let plain = |t: &TokenWithSpan| matches!(t.token, Token::Word(_) | Token::Comma);
    let columns = target.len() >= 2
        && target[1..target.len() - 1].iter().all(plain)
        && target.last().is_some_and(|t| t.token == Token::RParen);
    if columns || target.first()?.token != Token::LParen {
        return None;
    }
    let close = target.iter().enumerate().scan(0, |depth, (at, token)| {
        match token.token {
            Token::LParen => *depth += 1,
            Token::RParen => *depth -= 1,
            _ => {}
        }
        Some((at, *depth))
    });
    let close = close.into_iter().find(|(_, depth)| *depth == 0)?.0;
    let text = |tokens: &[TokenWithSpan]| {
        tokens.iter().map(|t| t.token.to_string()).collect::<Vec<String>>().join(" ")
    };
    let query =
        format!("{TARGET}SELECT {} {}", text(&target[1..close]), text(&target[close + 1..]));
    Some((marker(&query, target[0].span), end))
}

/// `[NOT] DEFERRABLE` of a transaction, which sqlparser does not know, means something only when
/// the transaction is SERIALIZABLE. What VACUUM is to do beside its work it does not know either.
fn undeferrable(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let (mut out, mut begins) = (Vec::<TokenWithSpan>::with_capacity(tokens.len()), None);
    for token in tokens {
        let found = word(&token.token);
        if token.token == Token::SemiColon {
            begins = None;
        } else if begins.is_none() {
            begins = Some(matches!(found, Some(Keyword::BEGIN | Keyword::START)));
        }
        let vacuums = out
            .last()
            .is_some_and(|last| matches!(word(&last.token), Some(Keyword::VACUUM | Keyword::FULL)));
        let how = matches!(found, Some(Keyword::FREEZE | Keyword::VERBOSE | Keyword::ANALYZE));
        if vacuums && how {
            continue;
        }
        if begins != Some(true) || found != Some(Keyword::DEFERRABLE) {
            out.push(token);
            continue;
        }
        out.pop_if(|last| word(&last.token) == Some(Keyword::NOT));
        out.pop_if(|last| last.token == Token::Comma);
    }
    out
}

/// `FOR NO KEY UPDATE` and `FOR KEY SHARE` become `FOR UPDATE OF marker`, and lists after OF
/// become dotted names, which is how far sqlparser's lock clause goes; so does what a conflict
/// target has beside columns.
fn rewrite(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let tokens = overriding(ordered(undeferrable(tokens)));
    let mut out = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let is = |n: usize, keyword: Keyword| {
            tokens.get(at + n).is_some_and(|t| word(&t.token) == Some(keyword))
        };
        if is(0, Keyword::ON)
            && is(1, Keyword::CONFLICT)
            && let Some((target, used)) = rewrite_target(&tokens[at + 2..])
        {
            let span = target.span;
            let paren = |token: Token| TokenWithSpan { token, span };
            out.extend([tokens[at].clone(), tokens[at + 1].clone()]);
            out.extend([paren(Token::LParen), target, paren(Token::RParen)]);
            at += 2 + used;
            continue;
        }
        let (mark, verb, used) = if !is(0, Keyword::FOR) {
            (None, "", 0)
        } else if is(1, Keyword::NO) && is(2, Keyword::KEY) && is(3, Keyword::UPDATE) {
            (Some(NO_KEY), "UPDATE", 4)
        } else if is(1, Keyword::KEY) && is(2, Keyword::SHARE) {
            (Some(KEY), "SHARE", 3)
        } else if is(1, Keyword::UPDATE) {
            (None, "UPDATE", 2)
        } else if is(1, Keyword::SHARE) {
            (None, "SHARE", 2)
        } else {
            (None, "", 0)
        };
        if used == 0 {
            out.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let span = tokens[at].span;
        out.push(tokens[at].clone());
        out.push(keyword(verb, span));
        at += used;
        at += rewrite_of(&tokens[at..], mark, span, &mut out);
    }
    out
}

/// `OVERRIDING SYSTEM VALUE` becomes one more column of the INSERT.
fn overriding(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let names = |token: &TokenWithSpan, name: &str| match &token.token {
        Token::Word(word) => word.quote_style.is_none() && word.value.eq_ignore_ascii_case(name),
        _ => false,
    };
    let said = tokens.windows(3).position(|three| {
        names(&three[0], "overriding")
            && (names(&three[1], "system") || names(&three[1], "user"))
            && names(&three[2], "value")
    });
    let Some(at) = said.filter(|at| *at > 0) else { return tokens };
    let span = tokens[at].span;
    let mark = marker(if names(&tokens[at + 1], "user") { OVER_USER } else { OVER_SYSTEM }, span);
    let plain = |token: Token| TokenWithSpan { token, span };
    let (before, first) = match tokens[at - 1].token {
        Token::RParen => (at - 1, plain(Token::Comma)),
        _ => (at, plain(Token::LParen)),
    };
    let mut out = tokens;
    let rest = out.split_off(at + 3);
    out.truncate(before);
    out.extend([first, mark, plain(Token::RParen)]);
    out.extend(overriding(rest));
    out
}

/// The options of a sequence by the order in which the parser takes them; PostgreSQL takes any.
fn ordered(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let rank = |at: usize, tokens: &[TokenWithSpan]| {
        let named = match word(&tokens[at].token)? {
            Keyword::NO => tokens.get(at + 1).and_then(|next| word(&next.token))?,
            own => own,
        };
        [
            Keyword::INCREMENT,
            Keyword::MINVALUE,
            Keyword::MAXVALUE,
            Keyword::START,
            Keyword::CACHE,
            Keyword::CYCLE,
        ]
        .iter()
        .position(|known| *known == named)
    };
    let mut at = 0;
    while at < tokens.len() {
        let begins = matches!(word(&tokens[at].token), Some(Keyword::SEQUENCE | Keyword::IDENTITY));
        at += 1;
        if !begins {
            continue;
        }
        // Up to the first option, then option by option.
        let ends = |token: &Token| matches!(token, Token::SemiColon | Token::EOF | Token::RParen);
        let rest =
            tokens[at..].iter().position(|t| ends(&t.token)).map_or(tokens.len(), |n| at + n);
        let Some(first) = (at..rest).find(|at| rank(*at, &tokens).is_some()) else { continue };
        let mut options: Vec<(usize, Vec<TokenWithSpan>)> = Vec::new();
        for place in first..rest {
            let negated = place > first && word(&tokens[place - 1].token) == Some(Keyword::NO);
            match rank(place, &tokens).filter(|_| !negated) {
                Some(rank) => options.push((rank, vec![tokens[place].clone()])),
                None => options.last_mut().expect("the first is one").1.push(tokens[place].clone()),
            }
        }
        options.sort_by_key(|(rank, _)| *rank);
        let sorted: Vec<TokenWithSpan> = options.into_iter().flat_map(|(_, part)| part).collect();
        tokens.splice(first..rest, sorted);
    }
    tokens
}

/// Rewrites an OF list; gives back how many tokens it took.
fn rewrite_of(
    rest: &[TokenWithSpan],
    mark: Option<&str>,
    span: sqlparser::tokenizer::Span,
    out: &mut Vec<TokenWithSpan>,
) -> usize {
    let has_of = rest.first().is_some_and(|t| word(&t.token) == Some(Keyword::OF));
    let mut parts: Vec<TokenWithSpan> = mark.map(|mark| marker(mark, span)).into_iter().collect();
    let mut used = 0;
    if has_of {
        used = 1;
        while let Some(name) = rest.get(used) {
            parts.push(name.clone());
            used += 1;
            if rest.get(used).is_none_or(|t| t.token != Token::Comma) {
                break;
            }
            used += 1;
        }
    }
    if !parts.is_empty() {
        out.push(keyword("OF", span));
        for (index, part) in parts.into_iter().enumerate() {
            if index > 0 {
                out.push(TokenWithSpan { token: Token::Period, span });
            }
            out.push(part);
        }
    }
    used
}

/// Characters into the text, from 1.
pub fn offset(text: &str, location: Location) -> Option<usize> {
    if location.line == 0 {
        return None;
    }
    let line = usize::try_from(location.line - 1).ok()?;
    let column = usize::try_from(location.column).ok()?;
    let before: usize = text.split_inclusive('\n').take(line).map(|l| l.chars().count()).sum();
    Some(before + column)
}

/// How a statement begins that is named by the token at which the parser stops.
const QUERIES: &[&str] = &["select", "values", "table", "with", "insert", "update", "delete"];

/// The LIMIT that stands, with one value, before a comma.
fn limit(before: &[TokenWithSpan]) -> Option<usize> {
    let limit = before.iter().rposition(|token| word(&token.token) == Some(Keyword::LIMIT))?;
    let mut depth = 0_usize;
    let stays = before[limit..].iter().all(|token| {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 0 => return false,
            Token::RParen => depth -= 1,
            _ => {}
        }
        true
    });
    (stays && depth == 0).then_some(limit)
}

/// A refusal of what PostgreSQL's grammar has and the parser has not.
fn unknown(text: &str, tokens: &[TokenWithSpan], error: &ParserError) -> PgError {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
        ParserError::RecursionLimitExceeded => {
            return PgError::unsupported("a statement nested this deep");
        }
    };
    let location = message.rfind("Line: ").and_then(|at| {
        let (line, column) = message[at + 6..].split_once(", Column: ")?;
        Some(Location::new(line.parse().ok()?, column.trim().parse().ok()?))
    });
    let at = tokens.iter().position(|token| Some(token.span.start) == location);
    let at = at.unwrap_or(tokens.len() - 1);
    let begins = tokens[..at].iter().rposition(|token| token.token == Token::SemiColon);
    let statement = &tokens[begins.map_or(0, |before| before + 1)..];
    if let Some(limit) = limit(&tokens[..at]).filter(|_| tokens[at].token == Token::Comma) {
        return PgError::new("42601", "LIMIT #,# syntax is not supported")
            .hint("Use separate LIMIT and OFFSET clauses.")
            .at(offset(text, tokens[limit].span.start));
    }
    let near = match &tokens[at].token {
        Token::EOF => "the syntax at the end".to_owned(),
        token => format!("the syntax at or near \"{token}\""),
    };
    let words: Vec<String> = statement
        .iter()
        .map_while(|token| match &token.token {
            Token::Word(word) if is_key_word(word) => Some(word.value.to_lowercase()),
            _ => None,
        })
        .filter(|word| word != "or" && word != "replace")
        .take(2)
        .collect();
    match words.first() {
        Some(first) if !QUERIES.contains(&first.as_str()) => {
            PgError::unsupported(words.join(" ").to_uppercase())
        }
        _ => PgError::unsupported(near),
    }
}
