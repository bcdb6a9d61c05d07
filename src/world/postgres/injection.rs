//! Faults of the database itself: a statement that fails or is slow, a connection lost at COMMIT,
//! too few connections. Must never draw: whoever injects a fault has chosen.

use std::borrow::Cow;
use std::time::Duration;

use super::error::PgError;
use crate::env::Moment;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Injected {
    /// The first statement whose text holds `matching` (in any case) takes so much longer, and
    /// then fails if there is an SQLSTATE.
    Statement { matching: String, slow: Duration, sqlstate: Option<String> },
    /// The first COMMIT of a transaction that wrote loses its connection: it was applied or not,
    /// and its client cannot tell.
    Commit { applied: bool },
    /// No more than so many sessions may be connected, for as long as the fault lasts.
    Connections { most: usize },
}

impl Injected {
    /// The word of scenario files.
    pub fn word(&self) -> &'static str {
        match self {
            Injected::Statement { .. } => "statement",
            Injected::Commit { .. } => "commit",
            Injected::Connections { .. } => "connections",
        }
    }
}

/// A fault and when it may happen: statements and commits once, connections all the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injection {
    pub from: Moment,
    pub until: Moment,
    pub what: Injected,
}

/// The faults that are still to happen.
#[derive(Clone, Debug, Default)]
pub struct Injections(Vec<Injection>);

impl Injections {
    pub fn new(all: Vec<Injection>) -> Injections {
        Injections(all)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, now: Moment, fits: impl Fn(&Injected) -> bool) -> Option<Injected> {
        self.0.retain(|injection| now < injection.until);
        let at = self.0.iter().position(|one| one.from <= now && fits(&one.what))?;
        Some(self.0.remove(at).what)
    }

    pub fn at_statement(&mut self, now: Moment, text: &str) -> Option<Injected> {
        let text = text.to_lowercase();
        self.take(now, |what| {
            matches!(what, Injected::Statement { matching, .. }
                if text.contains(&matching.to_lowercase()))
        })
    }

    pub fn at_commit(&mut self, now: Moment) -> Option<Injected> {
        self.take(now, |what| matches!(what, Injected::Commit { .. }))
    }

    /// The most sessions that may be connected now, if a fault says so.
    pub fn connections(&self, now: Moment) -> Option<usize> {
        let lasts = self.0.iter().filter(|one| one.from <= now && now < one.until);
        let most = lasts.filter_map(|one| match one.what {
            Injected::Connections { most } => Some(most),
            _ => None,
        });
        most.min()
    }
}

/// The error of an injected SQLSTATE. Those that PostgreSQL ends a session with end it.
pub fn error(sqlstate: &str) -> PgError {
    let fatal = matches!(sqlstate, "57P01" | "57P02" | "57P03" | "53300" | "25P03" | "25P04")
        || sqlstate.starts_with("08");
    let code: Cow<'static, str> = Cow::Owned(sqlstate.to_owned());
    let error = PgError::new(code, format!("injected failure {sqlstate}"));
    if fatal { error.severity("FATAL") } else { error }
}
