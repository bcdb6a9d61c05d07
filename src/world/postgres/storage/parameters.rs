//! The parameters of a session, by name. Must never know what one means, but for those that every
//! statement asks for.

use std::collections::BTreeMap;

use super::txn::Isolation;

#[derive(Clone, Debug, Default)]
pub struct Parameters {
    /// By lower-case name.
    values: BTreeMap<String, String>,
    /// Changes with every parameter that is set or restored.
    pub version: u64,
    asked: Asked,
}

/// What every statement asks for, worked out with every change.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Empty: the session's user.
    pub role: String,
    pub isolation: Isolation,
    pub read_only: bool,
    /// Milliseconds that a session may be idle in a transaction; 0 is for ever.
    pub idle_ms: u64,
    /// The same outside one.
    pub idle_session_ms: u64,
    /// Milliseconds that a command may take; 0 is for ever.
    pub command_ms: u64,
    /// What keeps dates and times from being read and written as ISO has them, in UTC.
    pub foreign_times: Option<String>,
}

/// Names of UTC, the one time zone whose times are read and written.
pub const UTC: &[&str] = &["UTC", "GMT", "Etc/UTC", "UCT", "Z"];

/// Parameters that dates and times are read and written by, how they are called, and the values
/// that they have here.
const TIMES: [(&str, &str, &[&str]); 3] = [
    ("datestyle", "DateStyle", &["ISO, MDY"]),
    ("intervalstyle", "IntervalStyle", &["postgres"]),
    ("timezone", "TimeZone", UTC),
];

impl Parameters {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub fn all(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    /// Gives a parameter a value, or takes it away; the value before.
    pub fn put(&mut self, name: &str, value: Option<String>) -> Option<String> {
        let before = match value {
            Some(value) => self.values.insert(name.to_owned(), value),
            None => self.values.remove(name),
        };
        self.version += 1;
        let value = |name: &str| self.values.get(name).map_or("", String::as_str);
        self.asked = Asked {
            role: Some(value("role")).filter(|role| *role != "none").unwrap_or_default().to_owned(),
            isolation: match value("default_transaction_isolation") {
                "repeatable read" => Isolation::RepeatableRead,
                _ => Isolation::ReadCommitted,
            },
            read_only: value("default_transaction_read_only") == "on",
            idle_ms: value("idle_in_transaction_session_timeout").parse().unwrap_or(0),
            idle_session_ms: value("idle_session_timeout").parse().unwrap_or(0),
            command_ms: value("statement_timeout").parse().unwrap_or(0),
            foreign_times: TIMES.iter().find_map(|(name, called, ours)| {
                let value = value(name);
                let known = ours.iter().any(|own| own.eq_ignore_ascii_case(value));
                (!known && !value.is_empty()).then(|| format!("{called} {value}"))
            }),
        };
        before
    }
}
