//! `[[fault]]`: what may go wrong. Must never draw.

use std::time::Duration;

use toml::de::DeTable;

use super::diagnostic::Diagnostic;
use super::load::{LATER, later};
use super::model::{Between, FaultKind, FaultSpec, Lost, Scenario, Span, UserSpec};
use super::reader::{Node, Reader};
use super::vocabulary::Vocabulary;
use super::words;

const WORDS: &[&str] = &[
    "crash",
    "power_loss",
    "stop",
    "partition",
    "reset",
    "stall",
    "pause",
    "clock_jump",
    "statement",
    "commit",
    "connections",
];

/// When the connection of a COMMIT is lost.
const LOST: &[&str] = &["before", "after", "either"];

/// Any user, where a host is asked for.
const ANY_USER: &str = "user";

pub(super) fn fault(
    reader: &mut Reader,
    table: &DeTable,
    span: &Span,
    vocabulary: &Vocabulary,
    scenario: &Scenario,
) -> Option<FaultSpec> {
    later(reader, table);
    let keys = ["chance", "times"].iter().chain(WORDS).copied();
    reader.only_beside(table, &keys.collect::<Vec<_>>(), LATER, "[[fault]]");
    let chance = table.get("chance").map_or(Some(1_000_000), |node| reader.chance_ppm(node));
    let times = table.get("times").and_then(|node| reader.int(node, 1, 100)).unwrap_or(1);
    let mut words = table.iter().filter(|(key, _)| WORDS.contains(&key.get_ref().as_ref()));
    let Some((word, node)) = words.next() else {
        let diagnostic = Diagnostic::new("missing-key", span.clone(), "a fault needs its word");
        reader.report(diagnostic.help(format!("expected one of: {}", WORDS.join(", "))));
        return None;
    };
    if let Some((second, _)) = words.next() {
        let message = "a fault has one word; write a second [[fault]]";
        let diagnostic = Diagnostic::new("duplicate", second.span(), message);
        reader.report(diagnostic.also(word.span(), "the first"));
    }
    let table = reader.table(node)?;
    let mut fault =
        Fault { table, word: word.get_ref(), at: word.span(), reader, vocabulary, scenario };
    let what = fault.kind();
    let at = fault.time();
    let times = u32::try_from(times).unwrap_or(1);
    Some(FaultSpec { span: word.span(), chance_ppm: chance?, times, at: at?, what: what? })
}

/// One fault being read.
struct Fault<'a, 's, 't, 'i> {
    reader: &'a mut Reader<'s>,
    table: &'t DeTable<'i>,
    word: &'t str,
    at: Span,
    vocabulary: &'a Vocabulary,
    scenario: &'a Scenario,
}

impl<'t, 'i> Fault<'_, '_, 't, 'i> {
    fn kind(&mut self) -> Option<FaultKind> {
        let own: &[&str] = match self.word {
            "crash" | "power_loss" | "stop" => &["at", "host", "restart_after"],
            "partition" => &["at", "from", "to", "one_way", "for"],
            "reset" => &["at", "host"],
            "stall" | "pause" => &["at", "host", "for"],
            "statement" => &["at", "host", "matching", "slow", "error"],
            "commit" => &["at", "host", "lost"],
            "connections" => &["at", "host", "most", "for"],
            _ => &["at", "host", "by"],
        };
        self.reader.only(self.table, own, &format!("the fault `{}`", self.word));
        Some(match self.word {
            "crash" => {
                let (hosts, restart_after) = self.death()?;
                FaultKind::Crash { hosts, restart_after }
            }
            "power_loss" => {
                let (hosts, restart_after) = self.death()?;
                FaultKind::PowerLoss { hosts, restart_after }
            }
            "stop" => {
                let (hosts, restart_after) = self.death()?;
                FaultKind::Stop { hosts, restart_after }
            }
            "partition" => self.partition()?,
            "reset" => FaultKind::Reset { hosts: self.hosts("host")? },
            "stall" => FaultKind::Stall { hosts: self.hosts("host")?, for_: self.lasting()? },
            "pause" => FaultKind::Pause { hosts: self.hosts("host")?, for_: self.lasting()? },
            "statement" => self.statement()?,
            "commit" => FaultKind::Commit { hosts: self.hosts("host")?, lost: self.lost()? },
            "connections" => FaultKind::Connections {
                hosts: self.hosts("host")?,
                most: self.most()?,
                for_: self.lasting()?,
            },
            _ => FaultKind::ClockJump { hosts: self.hosts("host")?, by_ms: self.jump()? },
        })
    }

    fn death(&mut self) -> Option<(Vec<String>, Option<Between<Duration>>)> {
        let restart = self.table.get("restart_after").map(|node| self.reader.durations(node));
        let hosts = self.hosts("host")?;
        Some((hosts, restart.map_or(Some(None), |range| range.map(Some))?))
    }

    fn partition(&mut self) -> Option<FaultKind> {
        let (from, to) = (self.hosts("from"), self.hosts("to"));
        let one_way = self.table.get("one_way").and_then(|node| self.reader.flag(node));
        let for_ = self.lasting();
        let one_way = one_way.unwrap_or(false);
        Some(FaultKind::Partition { from: from?, to: to?, one_way, for_: for_? })
    }

    fn statement(&mut self) -> Option<FaultKind> {
        let hosts = self.hosts("host")?;
        let node = self.node("matching")?;
        let matching = self.reader.text(node)?.to_owned();
        let slow = match self.table.get("slow") {
            Some(node) => Some(self.reader.durations(node)?),
            None => None,
        };
        let sqlstate = match self.table.get("error") {
            Some(node) => Some(self.sqlstate(node)?),
            None => None,
        };
        if slow.is_none() && sqlstate.is_none() {
            let message = "a statement that is neither slow nor fails";
            let diagnostic = Diagnostic::new("missing-key", self.at.clone(), message);
            self.reader.report(diagnostic.help("write `slow`, `error` or both"));
            return None;
        }
        Some(FaultKind::Statement { hosts, matching, slow, sqlstate })
    }

    /// Five digits or capitals (PostgreSQL 15, appendix A).
    fn sqlstate(&mut self, node: &Node) -> Option<String> {
        let text = self.reader.text(node)?;
        let plain = |c: char| c.is_ascii_digit() || c.is_ascii_uppercase();
        if text.len() == 5 && text.chars().all(plain) {
            return Some(text.to_owned());
        }
        let message = format!("`{text}` is no SQLSTATE");
        let diagnostic = Diagnostic::new("bad-value", node.span(), message);
        self.reader.report(diagnostic.help("expected five digits or capitals, as \"40001\""));
        None
    }

    fn lost(&mut self) -> Option<Lost> {
        let node = self.node("lost")?;
        match self.reader.text(node)? {
            "before" => Some(Lost::Before),
            "after" => Some(Lost::After),
            "either" => Some(Lost::Either),
            other => {
                self.reader.unknown("unknown-value", "moment", other, LOST, node.span());
                None
            }
        }
    }

    fn most(&mut self) -> Option<Between<i64>> {
        let node = self.node("most")?;
        self.reader.ints(node, 0, 1_000_000)
    }

    fn node(&mut self, key: &str) -> Option<&'t Node<'i>> {
        let what = format!("the fault `{}`", self.word);
        self.reader.required(self.table, key, &self.at, &what)
    }

    fn lasting(&mut self) -> Option<Between<Duration>> {
        let node = self.node("for")?;
        self.reader.durations(node)
    }

    fn jump(&mut self) -> Option<Between<i64>> {
        let node = self.node("by")?;
        let text = self.reader.text(node)?;
        self.reader.word(node, words::signed_ms(text))
    }

    /// `at`: by default any time before faults stop.
    fn time(&mut self) -> Option<Between<Duration>> {
        let until = self.scenario.run.faults_until;
        let Some(node) = self.table.get("at") else {
            return Some(Between { low: Duration::ZERO, high: until });
        };
        let at = self.reader.durations(node)?;
        if at.high > until {
            let message = "this fault could come after faults stop";
            let stop = format!("faults stop at {} (`faults_until` in [run])", words::show(until));
            self.reader.report(Diagnostic::new("out-of-range", node.span(), message).help(stop));
        }
        Some(at)
    }

    /// Hosts by name: of the system, of a user table (any of its users), or any `user`.
    fn hosts(&mut self, key: &str) -> Option<Vec<String>> {
        let node = self.node(key)?;
        let before = self.reader.found.len();
        let mut hosts = Vec::new();
        for (name, span) in self.reader.texts(node) {
            match self.named(name) {
                Some(found) => hosts.extend(found),
                None => self.unknown_host(name, span),
            }
        }
        if hosts.is_empty() && self.reader.found.len() == before {
            self.reader.wrong_type(node, "the name of a host");
        }
        (!hosts.is_empty()).then_some(hosts)
    }

    fn named(&self, name: &str) -> Option<Vec<String>> {
        let users = self.scenario.user_names();
        if self.vocabulary.hosts.contains(&name) || users.iter().any(|user| user == name) {
            return Some(vec![name.to_owned()]);
        }
        if name == ANY_USER && !users.is_empty() {
            return Some(users);
        }
        self.scenario.users.iter().find(|user| user.name == name).map(UserSpec::names)
    }

    fn unknown_host(&mut self, name: &str, span: Span) {
        let users = self.scenario.users.iter().map(|user| user.name.as_str());
        let names: Vec<&str> =
            self.vocabulary.hosts.iter().copied().chain(users).chain([ANY_USER]).collect();
        self.reader.unknown("unknown-host", "host", name, &names, span);
    }
}
