//! The token: one short text that addresses a run, `cold_start@0x2f3a/turmoil+pct3+H07#9c41d07e`.
//! Must never hold what does not decide the run, except the digest to compare with.

use std::fmt;
use std::str::FromStr;

use crate::plan::{Engine, Overrides, Strategy};
use crate::seed::{Seed, SeedError};
use crate::trace::Digest;

/// The address of a run. Overrides are those that differ from what the seed would choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// A scenario's name, or the path of its file.
    pub scenario: String,
    pub seed: Seed,
    pub overrides: Overrides,
    /// The first hex digits of the digest that the run had: 8 to 32 of them, lower case.
    pub digest: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("`{0}` has no `@`: expected SCENARIO@SEED, such as cold_start@0x2f3a")]
    NoSeed(String),
    #[error(
        "`{0}` names no scenario before its `@`: expected SCENARIO@SEED, such as cold_start@0x2f3a"
    )]
    NoScenario(String),
    #[error(transparent)]
    Seed(#[from] SeedError),
    #[error("`{0}` has an empty word: expected engines, strategies or plants joined by `+`")]
    EmptyWord(String),
    #[error(
        "`{0}` is no engine (native, turmoil), strategy (fifo, random, pct1 to pct9) or plant (H07)"
    )]
    Word(String),
    #[error("`{second}` contradicts `{first}`: a run has one {what}")]
    Twice { what: &'static str, first: String, second: String },
    #[error("`{0}` is no digest: expected 8 to 32 hex digits after `#`")]
    Digest(String),
}

impl Token {
    pub fn new(scenario: impl Into<String>, seed: Seed, overrides: &Overrides) -> Token {
        let mut overrides = overrides.clone();
        overrides.plants.sort();
        overrides.plants.dedup();
        Token { scenario: scenario.into(), seed, overrides, digest: None }
    }

    /// The same address with the digest that a replay compares with.
    #[must_use]
    pub fn with_digest(mut self, digest: Digest) -> Token {
        self.digest = Some(digest.short());
        self
    }

    /// Whether `digest` is the one that this token promises; a token without one promises nothing.
    pub fn agrees_with(&self, digest: Digest) -> bool {
        self.digest.as_ref().is_none_or(|short| digest.to_string().starts_with(short))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.scenario, self.seed)?;
        let words = words(&self.overrides);
        if !words.is_empty() {
            write!(f, "/{}", words.join("+"))?;
        }
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "#{digest}"))
    }
}

fn words(overrides: &Overrides) -> Vec<String> {
    let engine = overrides.engine.map(|engine| engine.to_string());
    let strategy = overrides.strategy.map(|strategy| strategy.to_string());
    engine.into_iter().chain(strategy).chain(overrides.plants.iter().cloned()).collect()
}

impl FromStr for Token {
    type Err = TokenError;

    /// The scenario may be a path, so the last `@` counts.
    fn from_str(text: &str) -> Result<Token, TokenError> {
        let (scenario, rest) =
            text.rsplit_once('@').ok_or_else(|| TokenError::NoSeed(text.to_owned()))?;
        if scenario.is_empty() {
            return Err(TokenError::NoScenario(text.to_owned()));
        }
        let (rest, digest) = match rest.split_once('#') {
            Some((rest, digest)) => (rest, Some(digest_of(digest)?)),
            None => (rest, None),
        };
        let (seed, overrides) = match rest.split_once('/') {
            Some((seed, words)) => (seed.parse()?, overrides_of(words)?),
            None => (rest.parse()?, Overrides::default()),
        };
        Ok(Token { digest, ..Token::new(scenario, seed, &overrides) })
    }
}

fn digest_of(text: &str) -> Result<String, TokenError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !digits || !(8..=32).contains(&text.len()) {
        return Err(TokenError::Digest(text.to_owned()));
    }
    Ok(text.to_ascii_lowercase())
}

fn overrides_of(text: &str) -> Result<Overrides, TokenError> {
    let mut overrides = Overrides::default();
    for word in text.split('+') {
        if word.is_empty() {
            return Err(TokenError::EmptyWord(text.to_owned()));
        } else if let Ok(engine) = word.parse::<Engine>() {
            once("engine", &mut overrides.engine, engine)?;
        } else if let Ok(strategy) = word.parse::<Strategy>() {
            once("strategy", &mut overrides.strategy, strategy)?;
        } else if is_plant(word) {
            overrides.plants.push(word.to_owned());
        } else {
            return Err(TokenError::Word(word.to_owned()));
        }
    }
    Ok(overrides)
}

fn once<T: fmt::Display>(
    what: &'static str,
    slot: &mut Option<T>,
    value: T,
) -> Result<(), TokenError> {
    if let Some(first) = slot {
        return Err(TokenError::Twice {
            what,
            first: first.to_string(),
            second: value.to_string(),
        });
    }
    *slot = Some(value);
    Ok(())
}

/// Plants are a capital letter and digits (`H07`), so that no engine or strategy looks like one.
/// Whether the system has it, the system says.
fn is_plant(word: &str) -> bool {
    let mut bytes = word.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_uppercase())
        && bytes.len() > 0
        && bytes.all(|byte| byte.is_ascii_digit())
}
