//! What is done with tokens before the parser sees them. Must never change what a
//! statement means.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::keywords::is_key_word;
use crate::world::postgres::error::{PgError, Result};

/// The parser nests each operator into the next: what goes through its result recurses as deep.
const OPERATORS_MAX: usize = 400;

/// The tokens as PostgreSQL sees them.
pub fn scanned(tokens: &[TokenWithSpan]) -> Result<Vec<TokenWithSpan>> {
    check_chains(tokens)?;
    check_pairs(tokens)?;
    Ok(respelled(without_only(enclosed(with_roles(&named_operators(tokens)?)))))
}

/// `NOT EXISTS (…) IS TRUE` is `NOT (EXISTS (…) IS TRUE)`, which the parser has for two words that
/// belong together, and `a = ANY (SELECT …) IN (b)` is `(a = ANY (SELECT …)) IN (b)`, of which it
/// takes what follows the query for a part of it: parentheses say so.
fn enclosed(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let binds = |token: &Token| {
        const TIGHTER: [&str; 9] =
            ["is", "isnull", "notnull", "not", "in", "like", "ilike", "similar", "between"];
        let word = TIGHTER.iter().any(|word| said(token, word));
        word || is_symbol(token) || *token == Token::DoubleColon
    };
    // Before which token a parenthesis is put, and after which one.
    let (mut opens, mut closes) = (Vec::new(), Vec::new());
    for (at, pair) in tokens.windows(2).enumerate() {
        let (first, second) = (&pair[0].token, &pair[1].token);
        let exists = said(first, "not") && said(second, "exists");
        let query = tokens
            .get(at + 2)
            .is_some_and(|third| ["select", "with"].iter().any(|word| said(&third.token, word)));
        let any = ["any", "all", "some"].iter().any(|word| said(first, word))
            && *second == Token::LParen
            && query;
        if !exists && !any {
            continue;
        }
        let begin = if exists { at + 2 } else { at + 1 };
        let mut depth = 0_usize;
        let end = tokens[begin..].iter().position(|token| {
            match token.token {
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0
        });
        let end = end.map(|end| begin + end);
        if let Some(end) = end.filter(|end| tokens.get(end + 1).is_some_and(|t| binds(&t.token))) {
            opens.push(at + 1);
            closes.push(end);
        }
    }
    if opens.is_empty() {
        return tokens;
    }
    let mut out = Vec::with_capacity(tokens.len() + 2 * opens.len());
    for (at, token) in tokens.into_iter().enumerate() {
        let span = token.span;
        let paren = |token: Token| TokenWithSpan { token, span };
        out.extend(opens.contains(&at).then(|| paren(Token::LParen)));
        out.push(token);
        out.extend(closes.iter().filter(|close| **close == at).map(|_| paren(Token::RParen)));
    }
    out
}

/// `GRANT a, b TO c` of roles: the parser wants to hear that they are.
fn with_roles(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let word = |token: &TokenWithSpan| match &token.token {
        Token::Word(word) if word.quote_style.is_none() => word.keyword,
        _ => Keyword::NoKeyword,
    };
    let mut out = Vec::with_capacity(tokens.len());
    for statement in tokens.split_inclusive(|token| token.token == Token::SemiColon) {
        let grants = matches!(word(&statement[0]), Keyword::GRANT | Keyword::REVOKE);
        let list = statement.iter().position(|t| matches!(word(t), Keyword::TO | Keyword::FROM));
        let roles = list.filter(|end| {
            grants && !statement[..*end].iter().any(|token| word(token) == Keyword::ON)
        });
        let admin = statement.get(1).is_some_and(|token| word(token) == Keyword::ADMIN);
        for (at, token) in statement.iter().enumerate() {
            let first = at == 1 || at > 0 && statement[at - 1].token == Token::Comma;
            if first && !admin && roles.is_some_and(|end| at < end) {
                let (token, span) = (Token::make_keyword("ROLE"), token.span);
                out.push(TokenWithSpan { token, span });
            }
            out.push(token.clone());
        }
    }
    out
}

/// Begins the one token of an operator that is named as `OPERATOR(schema.symbol)`: the parser has
/// it bind as a comparison, PostgreSQL as operators without a place of their own (chapter 4.1.6).
pub const NAMED: &str = "operator(";

fn named_operators(tokens: &[TokenWithSpan]) -> Result<Vec<TokenWithSpan>> {
    let mut out = Vec::with_capacity(tokens.len());
    let mut rest = tokens;
    while let Some((first, after)) = rest.split_first() {
        let name = after.iter().position(|token| token.token == Token::RParen);
        let name = name.map(|end| &after[..end]).filter(|name| {
            let named = said(&first.token, "operator") && name[0].token == Token::LParen;
            named && name.last().is_some_and(|last| is_symbol(&last.token))
        });
        let Some(name) = name else {
            out.push(first.clone());
            rest = after;
            continue;
        };
        let symbol = name[name.len() - 1].token.to_string();
        let symbol = if symbol == "!=" { "<>".to_owned() } else { symbol };
        let called = match &name[1..name.len() - 1] {
            [] => symbol,
            [schema, _] if said(&schema.token, "pg_catalog") => format!("pg_catalog.{symbol}"),
            _ => return Err(PgError::unsupported("an operator of another schema")),
        };
        let token = Token::CustomBinaryOperator(format!("{NAMED}{called})"));
        out.push(TokenWithSpan { token, span: first.span });
        rest = &after[name.len() + 1..];
    }
    Ok(out)
}

/// Whether it is an operator, and neither a name nor a parenthesis.
fn is_symbol(token: &Token) -> bool {
    let text = token.to_string();
    !text.is_empty() && text.chars().all(|c| "+-*/<>=~!@#%^&|`?".contains(c))
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
            "asymmetric" if before(1) == "between" => &[],
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

/// Refuses two words in a row that the parser takes for something else: it passes over what stands
/// in the parentheses of `interval(0) '…'`, and SYMMETRIC is a name to it.
fn check_pairs(tokens: &[TokenWithSpan]) -> Result<()> {
    for pair in tokens.windows(2) {
        if said(&pair[0].token, "interval") && pair[1].token == Token::LParen {
            return Err(PgError::unsupported("the precision of an interval"));
        }
        if said(&pair[0].token, "between") && said(&pair[1].token, "symmetric") {
            return Err(PgError::unsupported("BETWEEN SYMMETRIC"));
        }
    }
    Ok(())
}

fn said(token: &Token, name: &str) -> bool {
    match token {
        Token::Word(word) => word.quote_style.is_none() && word.value.eq_ignore_ascii_case(name),
        _ => false,
    }
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
