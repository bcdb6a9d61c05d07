//! What is done with tokens before the parser sees them. Must never change what a
//! statement means.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::keywords::is_key_word;
use crate::world::postgres::error::{PgError, Result};

/// The parser nests each operator into the next: what goes through its result recurses as deep.
const OPERATORS_MAX: usize = 400;

/// The tokens as PostgreSQL sees them.
pub fn scanned(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>> {
    check_chains(&tokens)?;
    check_intervals(&tokens)?;
    Ok(respelled(without_only(tokens)))
}

/// What the parser has no words for, in words that it has.
fn respelled(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut tokens = tokens.into_iter().peekable();
    // The statement begins with WITH: a query may come after a parenthesis.
    let mut with = false;
    while let Some(token) = tokens.next() {
        let before = |back: usize| match out.len().checked_sub(back).map(|at| &out[at].token) {
            Some(Token::Word(word)) if word.quote_style.is_none() => word.value.to_lowercase(),
            Some(token) => token.to_string(),
            None => String::new(),
        };
        let word = match &token.token {
            Token::Word(word) if word.quote_style.is_none() => word.value.to_lowercase(),
            _ => String::new(),
        };
        if matches!(before(1).as_str(), "" | ";") {
            with = word == "with";
        }
        let called = tokens.peek().is_some_and(|next| next.token == Token::LParen);
        let operator = !called && !matches!(before(1).as_str(), "as" | ".");
        let text = matches!(
            tokens.peek().map(|next| &next.token),
            Some(
                Token::SingleQuotedString(_)
                    | Token::EscapedStringLiteral(_)
                    | Token::UnicodeStringLiteral(_)
                    | Token::DollarQuotedString(_)
            )
        );
        if text && names_type(&token.token) {
            // `type 'text'`: the parser knows few types, and takes the text for a label.
            let parts = out.rchunks_exact(2).take_while(|pair| pair[1].token == Token::Period);
            let at = out.len() - 2 * parts.count();
            let span = token.span;
            let token = match word.as_str() {
                "nchar" => TokenWithSpan { token: Token::make_word("bpchar", None), span },
                _ => token,
            };
            out.push(token);
            let cast = TokenWithSpan { token: Token::DoubleColon, span };
            out.splice(at..at, tokens.next().into_iter().chain([cast]));
            continue;
        }
        let instead: &[&str] = match word.as_str() {
            "isnull" if operator => &["IS", "NULL"],
            "notnull" if operator => &["IS", "NOT", "NULL"],
            "table" if begins_query(&before(1)) || with && before(1) == ")" => {
                &["SELECT", "*", "FROM"]
            }
            "from" if matches!(before(1).as_str(), "leading" | "trailing" | "both") => &[],
            "from" if before(1) == "(" && before(2) == "trim" => &[],
            _ => {
                out.push(token);
                continue;
            }
        };
        out.extend(instead.iter().map(|name| TokenWithSpan {
            token: if *name == "*" { Token::Mul } else { Token::make_keyword(name) },
            span: token.span,
        }));
    }
    out
}

/// Whether a word before a text can be nothing but the name of its type.
fn names_type(token: &Token) -> bool {
    let Token::Word(word) = token else { return false };
    !is_key_word(word) || matches!(word.keyword, Keyword::NAME | Keyword::NCHAR)
}

/// Whether a query can begin after this, where TABLE begins nothing else.
fn begins_query(before: &str) -> bool {
    matches!(before, "" | ";" | "(" | "as" | "all" | "distinct" | "union" | "except" | "intersect")
}

/// No table has heirs: ONLY before its name says nothing.
fn without_only(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let keyword = |token: &Token| match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.keyword),
        _ => None,
    };
    let mut before = None;
    let mut says_nothing = |token: &TokenWithSpan| {
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
            Token::Number(..)
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
