//! The words a system adds to scenario files: its hosts, settings, user steps, events, plants and
//! invariants. Pure data, so that the loader knows a system only through it: must
//! never hold behaviour.

use std::time::Duration;

use crate::env::EventSpec;

#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    /// Hosts that faults may name, besides users: `gateway`, `db`.
    pub hosts: Vec<&'static str>,
    pub settings: Vec<SettingWord>,
    pub steps: Vec<StepWord>,
    /// Every event that a pattern may name, the world's own included.
    pub events: Vec<EventSpec>,
    pub plants: Vec<Word>,
    pub invariants: Vec<Word>,
}

/// A name and what it means, in one sentence.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    pub name: &'static str,
    pub about: &'static str,
}

/// The value of a setting or of a step's parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    Duration(Duration),
    Int(i64),
    Text(String),
    Bool(bool),
}

/// `gateway.startup.database`: a key of `[system]`, its tables joined by dots.
#[derive(Clone, Debug)]
pub struct SettingWord {
    pub key: &'static str,
    pub kind: Kind,
    pub default: Setting,
    pub about: &'static str,
}

/// What a value may be. Durations and integers may also be ranges, drawn per seed: `"5ms..2s"`.
#[derive(Clone, Debug)]
pub enum Kind {
    Duration,
    Int { min: i64, max: i64 },
    Text,
    Bool,
    Choice(&'static [&'static str]),
}

/// A step of a user. `{ ask = "…" }` has a bare value, `{ connect = { at = "5ms" } }` a table.
#[derive(Clone, Debug)]
pub struct StepWord {
    pub word: &'static str,
    /// The kind of the bare value, stored under the key `value`; `None` when it takes a table.
    pub value: Option<Kind>,
    /// Keys of the table, or keys beside a bare value (`{ await = "x", within = "20s" }`).
    pub params: Vec<ParamWord>,
    pub about: &'static str,
}

#[derive(Clone, Debug)]
pub struct ParamWord {
    pub key: &'static str,
    pub kind: Kind,
    pub required: bool,
    pub about: &'static str,
}
