//! What PostgreSQL's scanner does with tokens and the library's does not. Must never change what a
//! statement means.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

use super::parse::offset;
use crate::world::postgres::error::{PgError, Result};

/// The parser nests each operator into the next: what goes through its result recurses as deep.
const OPERATORS_MAX: usize = 400;

/// The tokens as PostgreSQL sees them.
pub fn scanned(text: &str, tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>> {
    check_names(text, &tokens)?;
    check_chains(&tokens)?;
    check_intervals(&tokens)?;
    Ok(without_only(joined(text, tokens)?))
}

/// No table has heirs: ONLY before its name says nothing.
fn without_only(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let keyword = |token: &Token| match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.keyword),
        _ => None,
    };
    let mut before = None;
    let mut says_nothing = |token: &TokenWithSpan| {
        if matches!(token.token, Token::Whitespace(_)) {
            return false;
        }
        let here = keyword(&token.token);
        let names = matches!(
            before.replace(here),
            Some(Some(
                Keyword::FROM
                    | Keyword::JOIN
                    | Keyword::UPDATE
                    | Keyword::TABLE
                    | Keyword::TRUNCATE
            ))
        );
        here == Some(Keyword::ONLY) && names
    };
    tokens.into_iter().filter(|token| !says_nothing(token)).collect()
}

fn check_names(text: &str, tokens: &[TokenWithSpan]) -> Result<()> {
    let empty = |token: &&TokenWithSpan| match &token.token {
        Token::Word(word) => word.quote_style == Some('"') && word.value.is_empty(),
        _ => false,
    };
    let Some(token) = tokens.iter().find(empty) else { return Ok(()) };
    let message = "zero-length delimited identifier at or near \"\"\"\"";
    Err(PgError::new("42601", message).at(offset(text, token.span.start)))
}

/// `interval(0) '…'`: the library passes over what stands in the parentheses.
fn check_intervals(tokens: &[TokenWithSpan]) -> Result<()> {
    let interval = |token: &Token| match token {
        Token::Word(word) => word.quote_style.is_none() && word.keyword == Keyword::INTERVAL,
        _ => false,
    };
    let bounded =
        tokens.windows(2).any(|pair| interval(&pair[0].token) && pair[1].token == Token::LParen);
    if bounded { Err(PgError::unsupported("the precision of an interval")) } else { Ok(()) }
}

/// Refuses operators that stand in a row beyond what can be taken.
fn check_chains(tokens: &[TokenWithSpan]) -> Result<()> {
    let mut rows = vec![0_usize];
    for token in tokens {
        match &token.token {
            Token::LParen | Token::LBracket => rows.push(0),
            Token::RParen | Token::RBracket if rows.len() > 1 => {
                rows.pop();
            }
            Token::Comma | Token::SemiColon => rows.last_mut().into_iter().for_each(|row| *row = 0),
            Token::Word(word)
                if !matches!(
                    word.keyword,
                    Keyword::AND
                        | Keyword::OR
                        | Keyword::UNION
                        | Keyword::INTERSECT
                        | Keyword::EXCEPT
                ) => {}
            Token::Whitespace(_)
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::Placeholder(_)
            | Token::Period
            | Token::EOF => {}
            _ => rows.last_mut().into_iter().for_each(|row| *row += 1),
        }
        if rows.last().is_some_and(|row| *row > OPERATORS_MAX) {
            return Err(PgError::unsupported(format_args!(
                "an expression of more than {OPERATORS_MAX} operators in a row"
            )));
        }
    }
    Ok(())
}

/// Literals are one if a line ends between them (PostgreSQL 15, 4.1.2.1); otherwise the second one
/// is a syntax error, where the library takes it for a name.
fn joined(text: &str, tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>> {
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    // The literal before, and whether a line has ended since.
    let mut before: Option<(usize, bool)> = None;
    for token in tokens {
        match (&token.token, before) {
            (Token::Whitespace(space), Some((at, ended))) => {
                let ends = matches!(space, Whitespace::Newline)
                    || matches!(space, Whitespace::SingleLineComment { .. });
                before = Some((at, ended || ends));
            }
            (Token::SingleQuotedString(next), Some((at, true))) => {
                if let Token::SingleQuotedString(first) | Token::EscapedStringLiteral(first) =
                    &mut out[at].token
                {
                    first.push_str(next);
                }
                before = Some((at, false));
                continue;
            }
            (Token::SingleQuotedString(next), Some((_, false))) => {
                let message = format!("syntax error at or near \"'{next}'\"");
                return Err(PgError::new("42601", message).at(offset(text, token.span.start)));
            }
            (Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_), None) => {
                before = Some((out.len(), false));
            }
            _ => before = None,
        }
        out.push(token);
    }
    Ok(out)
}
