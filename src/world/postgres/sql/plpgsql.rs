//! PL/pgSQL: the text of a body to its statements (PostgreSQL 15, chapter 43).
//! Must never plan: tables and types are looked for when a statement runs.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::body::{Act, Block, Code, Handler, IntoVariables, Raise, Variable};
use super::conditions;
use super::names::data_type;
use super::tokens::Tokens;
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::types::Ty;

type Acts = Vec<(usize, Act)>;

/// A body; errors point into it.
pub fn procedural(name: &str, text: &str, args: &[Variable], ret: Ty) -> Result<Code> {
    let mut tokens = Tokens::new(text)?;
    tokens.returns = ret != Ty::VOID;
    let body = whole(&mut tokens, args);
    body.map_err(|error| {
        if error.fields().position.is_some() || error.code() == "0A000" {
            return error;
        }
        let line = tokens.line();
        error.context(&format!("compilation of PL/pgSQL function \"{name}\" near line {line}"))
    })
}

fn whole(tokens: &mut Tokens<'_>, args: &[Variable]) -> Result<Code> {
    tokens.variables = args.to_vec();
    tokens.seen = (0..args.len()).collect();
    declare(tokens, "found", Ty::BOOL, -1);
    let label = label(tokens)?;
    if !tokens.is("begin") && !tokens.is("declare") {
        return Err(tokens.astonished());
    }
    let block = block(tokens, label)?;
    tokens.take_token(&Token::SemiColon);
    if !tokens.is_over() {
        return Err(tokens.astonished());
    }
    Ok(Code::Procedural { variables: std::mem::take(&mut tokens.variables), block })
}

fn declare(tokens: &mut Tokens<'_>, name: &str, ty: Ty, typmod: i32) -> usize {
    let at = tokens.variables.len();
    tokens.variables.push(Variable { name: name.into(), ty, typmod });
    tokens.seen.push(at);
    at
}

/// `<<name>>`
fn label(tokens: &mut Tokens<'_>) -> Result<Option<String>> {
    if !tokens.take_token(&Token::ShiftLeft) {
        return Ok(None);
    }
    let name = tokens.name()?;
    tokens.expect_token(&Token::ShiftRight)?;
    Ok(Some(name))
}

fn block(tokens: &mut Tokens<'_>, label: Option<String>) -> Result<Block> {
    let seen = tokens.seen.len();
    let mut declared = Vec::new();
    tokens.around.push((label.clone(), false));
    if tokens.take("declare") {
        while !tokens.is("begin") {
            if !tokens.take("declare") {
                declared.push(declaration(tokens, seen)?);
            }
        }
    }
    tokens.expect("begin")?;
    let acts = acts(tokens, &["exception", "end"])?;
    let (mut handlers, mut caught) = (Vec::new(), None);
    if tokens.take("exception") {
        let state = declare(tokens, "sqlstate", Ty::TEXT, -1);
        caught = Some((state, declare(tokens, "sqlerrm", Ty::TEXT, -1)));
        while tokens.take("when") {
            handlers.push(handler(tokens)?);
        }
        if handlers.is_empty() {
            return Err(tokens.astonished());
        }
    }
    tokens.expect("end")?;
    end_label(tokens, label.as_deref())?;
    tokens.around.pop();
    tokens.seen.truncate(seen);
    Ok(Block { label, declared, acts, handlers, caught })
}

/// The label that may stand again at the end.
fn end_label(tokens: &mut Tokens<'_>, label: Option<&str>) -> Result<()> {
    if tokens.is_token(0, &Token::SemiColon) || tokens.is_over() {
        return Ok(());
    }
    let place = tokens.astonished().fields().position;
    let end = tokens.name()?;
    let message = match label {
        Some(label) if label == end => return Ok(()),
        Some(label) => format!("end label \"{end}\" differs from block's label \"{label}\""),
        None => format!("end label \"{end}\" specified for unlabeled block"),
    };
    Err(PgError::new("42601", message).at(place))
}

/// `name [CONSTANT] type [NOT NULL] [:= expression];`
fn declaration(
    tokens: &mut Tokens<'_>,
    block: usize,
) -> Result<(usize, Option<super::body::Fragment>, usize)> {
    let line = tokens.line();
    let twice = tokens.wrong("duplicate declaration");
    let name = tokens.name()?;
    if tokens.seen[block..].iter().any(|at| *tokens.variables[*at].name == *name) {
        return Err(twice);
    }
    for what in ["alias", "cursor", "no", "scroll"] {
        if tokens.is(what) {
            return Err(PgError::unsupported("a cursor or an alias in a function"));
        }
    }
    let constant = tokens.take("constant");
    let text = tokens.text(
        &["default", "not", "collate"],
        &[Token::Assignment, Token::Eq, Token::SemiColon, Token::Mod],
    )?;
    if tokens.is_token(0, &Token::Mod) {
        return Err(PgError::unsupported("%TYPE and %ROWTYPE"));
    }
    if text.eq_ignore_ascii_case("record") {
        return Err(PgError::unsupported("a variable of type record"));
    }
    let dialect = PostgreSqlDialect {};
    let parsed = Parser::new(&dialect).try_with_sql(text).and_then(|mut p| p.parse_data_type());
    let wrong = |_| PgError::new("42601", format!("invalid type name \"{text}\""));
    let (ty, typmod) = data_type(&parsed.map_err(wrong)?)?;
    if tokens.take("not") {
        return Err(PgError::unsupported("a variable that is NOT NULL"));
    }
    let given = ["default"].iter().any(|word| tokens.take(word))
        || tokens.take_token(&Token::Assignment)
        || tokens.take_token(&Token::Eq);
    let value = if given { Some(tokens.expression(&[], &[Token::SemiColon])?) } else { None };
    tokens.expect_token(&Token::SemiColon)?;
    let at = declare(tokens, &name, ty, typmod);
    if constant {
        tokens.constants.push(at);
    }
    Ok((at, value, line))
}

/// `condition OR … THEN …`, its WHEN being taken.
fn handler(tokens: &mut Tokens<'_>) -> Result<Handler> {
    let mut all = Vec::new();
    loop {
        if tokens.take("sqlstate") {
            all.push(sqlstate(tokens)?);
        } else {
            let name = tokens.name()?;
            match name.as_str() {
                "others" => all.push(String::new()),
                name => all.extend(conditions::named(name)?.iter().map(|code| (*code).to_owned())),
            }
        }
        if !tokens.take("or") {
            break;
        }
    }
    tokens.expect("then")?;
    Ok(Handler { conditions: all, acts: acts(tokens, &["when", "end"])? })
}

/// Five digits and letters in quotes.
fn sqlstate(tokens: &mut Tokens<'_>) -> Result<String> {
    let (astonished, wrong) = (tokens.astonished(), tokens.wrong("invalid SQLSTATE code"));
    let code = tokens.string().ok_or(astonished)?;
    let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    if code.len() == 5 && code.chars().all(plain) { Ok(code) } else { Err(wrong) }
}

/// Statements up to one of these words.
fn acts(tokens: &mut Tokens<'_>, ends: &[&str]) -> Result<Acts> {
    let mut all = Vec::new();
    while !ends.iter().any(|end| tokens.is(end)) {
        if tokens.is_over() {
            return Err(tokens.astonished());
        }
        let line = tokens.line();
        let act = act(tokens)?;
        tokens.expect_token(&Token::SemiColon)?;
        all.push((line, act));
    }
    Ok(all)
}

/// Statements that are not here.
const ABSENT: &[&str] = &[
    "assert", "call", "case", "close", "commit", "do", "execute", "fetch", "for", "foreach", "get",
    "move", "open", "rollback",
];

fn act(tokens: &mut Tokens<'_>) -> Result<Act> {
    let label = label(tokens)?;
    let word = tokens.word(0).unwrap_or_default();
    match word.as_str() {
        "begin" | "declare" => return Ok(Act::Block(block(tokens, label)?)),
        "loop" | "while" => return repetition(tokens, label),
        _ if label.is_some() => return Err(tokens.astonished()),
        _ if tokens.names_number() => {
            return Err(PgError::unsupported("an assignment to a parameter without its name"));
        }
        _ if tokens.assigns() => {
            let (variable, value) = tokens.assignment()?;
            return Ok(Act::Assign(variable, value));
        }
        "if" => return condition(tokens),
        "exit" | "continue" => return leave(tokens, word == "continue"),
        "null" => {
            tokens.skip(1);
            return Ok(Act::Nothing);
        }
        "raise" => return raise(tokens),
        "perform" => {
            tokens.skip(1);
            return Ok(Act::Perform(tokens.query()?));
        }
        "return" => {
            tokens.skip(1);
            if tokens.is("next") || tokens.is("query") {
                return Err(PgError::unsupported("a function that returns a set"));
            }
            if !tokens.returns {
                if !tokens.is_token(0, &Token::SemiColon) {
                    let message = "RETURN cannot have a parameter in function returning void";
                    return Err(tokens.refused("42804", message));
                }
                return Ok(Act::Return(None));
            }
            return Ok(Act::Return(Some(tokens.expression(&[], &[Token::SemiColon])?)));
        }
        word if ABSENT.contains(&word) => {
            let name = word.to_uppercase();
            return Err(PgError::unsupported(format_args!("{name} in a function")));
        }
        _ => {}
    }
    let (fragment, variables, strict) = tokens.statement()?;
    let into = (!variables.is_empty()).then_some(IntoVariables { variables, strict });
    Ok(Act::Sql { fragment, into })
}

/// `IF … THEN … ELSIF … ELSE … END IF`
fn condition(tokens: &mut Tokens<'_>) -> Result<Act> {
    let (mut arms, mut otherwise) = (Vec::new(), Vec::new());
    loop {
        tokens.skip(1);
        let when = tokens.expression(&["then"], &[])?;
        tokens.expect("then")?;
        arms.push((when, acts(tokens, &["elsif", "elseif", "else", "end"])?));
        if !tokens.is("elsif") && !tokens.is("elseif") {
            break;
        }
    }
    if tokens.take("else") {
        otherwise = acts(tokens, &["end"])?;
    }
    tokens.expect("end")?;
    tokens.expect("if")?;
    Ok(Act::If { arms, otherwise })
}

/// `[WHILE …] LOOP … END LOOP`
fn repetition(tokens: &mut Tokens<'_>, label: Option<String>) -> Result<Act> {
    let condition =
        if tokens.take("while") { Some(tokens.expression(&["loop"], &[])?) } else { None };
    tokens.expect("loop")?;
    tokens.around.push((label.clone(), true));
    let acts = acts(tokens, &["end"])?;
    tokens.expect("end")?;
    tokens.expect("loop")?;
    end_label(tokens, label.as_deref())?;
    tokens.around.pop();
    Ok(Act::Loop { label, condition, acts })
}

/// `EXIT [label] [WHEN …]`
fn leave(tokens: &mut Tokens<'_>, again: bool) -> Result<Act> {
    let outside = tokens.refused(
        "42601",
        if again {
            "CONTINUE cannot be used outside a loop"
        } else {
            "EXIT cannot be used outside a loop, unless it has a label"
        },
    );
    tokens.skip(1);
    let mut label = None;
    if !tokens.is("when") && !tokens.is_token(0, &Token::SemiColon) {
        let place = tokens.astonished().fields().position;
        let name = tokens.name()?;
        let mut around = tokens.around.iter().rev();
        let message = match around.find(|(own, _)| own.as_deref() == Some(name.as_str())) {
            None => Some(format!(
                "there is no label \"{name}\" attached to any block or loop enclosing this \
                 statement"
            )),
            Some((_, false)) if again => {
                Some(format!("block label \"{name}\" cannot be used in CONTINUE"))
            }
            Some(_) => None,
        };
        if let Some(message) = message {
            return Err(PgError::new("42601", message).at(place));
        }
        label = Some(name);
    } else if !tokens.around.iter().any(|(_, is_loop)| *is_loop) {
        return Err(outside);
    }
    let condition =
        if tokens.take("when") { Some(tokens.expression(&[], &[Token::SemiColon])?) } else { None };
    Ok(Act::Leave { label, condition, again })
}

/// `RAISE [level] ['format', … | condition | SQLSTATE 'code'] [USING …]`
fn raise(tokens: &mut Tokens<'_>) -> Result<Act> {
    tokens.skip(1);
    let mut raise = Raise {
        level: "",
        code: None,
        condition: None,
        format: None,
        args: Vec::new(),
        options: Vec::new(),
    };
    let levels = ["DEBUG", "LOG", "INFO", "NOTICE", "WARNING", "EXCEPTION"];
    let level = levels.into_iter().find(|level| tokens.is(&level.to_lowercase()));
    tokens.skip(usize::from(level.is_some()));
    if level.is_none() && tokens.is_token(0, &Token::SemiColon) {
        return Ok(Act::Raise(raise));
    }
    raise.level = level.unwrap_or("EXCEPTION");
    if let Some(format) = tokens.string() {
        while tokens.take_token(&Token::Comma) {
            raise.args.push(tokens.expression(&["using"], &[Token::Comma, Token::SemiColon])?);
        }
        check_places(&format, raise.args.len())?;
        raise.format = Some(format);
    } else if tokens.take("sqlstate") {
        let code = sqlstate(tokens)?;
        (raise.condition, raise.code) = (Some(code.clone()), Some(code));
    } else if !tokens.is("using") {
        let name = tokens.name()?;
        let code = conditions::named(&name)?.first().map(|code| (*code).to_owned());
        (raise.condition, raise.code) = (Some(name), code);
    }
    if tokens.take("using") {
        loop {
            let option = tokens.name()?;
            if !tokens.take_token(&Token::Eq) {
                tokens.expect_token(&Token::Assignment)?;
            }
            let known = ["errcode", "message", "detail", "hint", "table", "column", "constraint"];
            if !known.contains(&option.as_str()) {
                return Err(PgError::unsupported(format_args!("the option {option} of RAISE")));
            }
            let value = tokens.expression(&[], &[Token::Comma, Token::SemiColon])?;
            raise.options.push((option, value));
            if !tokens.take_token(&Token::Comma) {
                break;
            }
        }
    }
    Ok(Act::Raise(raise))
}

/// A `%` stands for each parameter of RAISE, `%%` for itself.
fn check_places(format: &str, args: usize) -> Result<()> {
    let places = format.replace("%%", "").matches('%').count();
    let how = match places.cmp(&args) {
        std::cmp::Ordering::Equal => return Ok(()),
        std::cmp::Ordering::Less => "many",
        std::cmp::Ordering::Greater => "few",
    };
    Err(PgError::new("42601", format!("too {how} parameters specified for RAISE")))
}
