//! The wait-for graph of the database at one moment of a history: which session holds what another
//! waits for. Must never show a wait that the recorded events do not tell of.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::env::Moment;
use crate::trace::{self, Event, EventIndex, Trace};
use crate::verdict::Violation;
use crate::world::events::HOST_CRASHED;
use crate::world::postgres::names;

/// A session of a database's host.
type Session = (Arc<str>, i64);

/// What one session waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wait {
    lock: String,
    table: String,
    row: String,
    holders: Vec<i64>,
    step: u64,
    at: Moment,
    /// The step in which the last of its holders ended.
    let_go: Option<u64>,
}

/// What a session runs, and the host that asked for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Work {
    text: String,
    of: Option<Arc<str>>,
}

/// Who waits for whom at one moment.
#[derive(Clone, Debug, Default)]
pub struct Waits {
    waits: BTreeMap<Session, Wait>,
    /// The statement that each session began last.
    work: BTreeMap<Session, Work>,
}

impl Waits {
    /// At the violation: up to the event that decided, or else to the end of its step.
    pub fn at(trace: &Trace, violation: &Violation) -> Waits {
        let event = |index: &EventIndex| trace.events.get(*index as usize);
        let decided = violation.events.last().and_then(event);
        let decided = decided.filter(|event| event.step == violation.step);
        let last = decided.map_or(EventIndex::MAX, |event| event.index);
        let before = |event: &&Event| event.index <= last && event.step <= violation.step;
        let mut waits = Waits::default();
        for event in trace.events.iter().take_while(before) {
            waits.event(event, trace);
        }
        // Whose last holder has ended in this very step is about to be told that it has its lock.
        waits.waits.retain(|_, wait| wait.let_go != Some(violation.step));
        waits
    }

    pub fn is_empty(&self) -> bool {
        self.waits.is_empty()
    }

    fn event(&mut self, event: &Event, trace: &Trace) {
        let session = |field| event.number(field).map(|number| (event.host.clone(), number));
        let text = |field| event.text(field).unwrap_or_default().to_owned();
        match event.name {
            names::STATEMENT => {
                let Some(session) = session("session") else { return };
                let of = asker(event, trace);
                self.work.insert(session, Work { text: text("text"), of });
            }
            names::WAITS => {
                let Some(waiter) = session("waiter") else { return };
                let holders = text("holders");
                let holders = holders.split(',').filter_map(|pid| pid.parse().ok()).collect();
                let (lock, table, row) = (text("lock"), text("table"), text("row"));
                let (step, at) = (event.step, event.at);
                let wait = Wait { lock, table, row, holders, step, at, let_go: None };
                self.waits.insert(waiter, wait);
            }
            names::GRANTED => drop(session("waiter").and_then(|waiter| self.waits.remove(&waiter))),
            names::COMMIT => {
                let Some(session) = session("session") else { return };
                self.over(&session, event.step);
            }
            names::ABORT => {
                let Some(session) = session("session") else { return };
                self.waits.remove(&session);
                if event.field("savepoint").and_then(trace::Value::as_bool) != Some(true) {
                    self.over(&session, event.step);
                }
            }
            // Whatever its sessions waited for, they are no more.
            HOST_CRASHED => {
                let host = event.text("host").unwrap_or_default();
                self.waits.retain(|(of, _), _| **of != *host);
            }
            _ => {}
        }
    }

    /// A transaction has ended: its session waits for nothing, and nobody for it.
    fn over(&mut self, session: &Session, step: u64) {
        self.waits.remove(session);
        for ((host, _), wait) in &mut self.waits {
            if *host == session.0 && wait.holders.contains(&session.1) {
                wait.holders.retain(|holder| *holder != session.1);
                wait.let_go = wait.holders.is_empty().then_some(step);
            }
        }
    }

    fn holders<'a>(&'a self, session: &'a Session) -> impl Iterator<Item = Session> + 'a {
        let wait = self.waits.get(session);
        let holders = wait.map_or(&[][..], |wait| &wait.holders[..]);
        holders.iter().map(|holder| (session.0.clone(), *holder))
    }

    /// Each waiter of a cycle waits for the next, and the last for the first.
    fn cycles(&self) -> Vec<Vec<Session>> {
        let mut cycles: Vec<Vec<Session>> = Vec::new();
        for start in self.waits.keys() {
            if !cycles.iter().flatten().any(|known| known == start) {
                cycles.extend(self.cycle(start));
            }
        }
        cycles
    }

    /// A shortest way from `start` back to itself.
    fn cycle(&self, start: &Session) -> Option<Vec<Session>> {
        let mut seen: BTreeSet<Session> = BTreeSet::new();
        let mut ways = vec![vec![start.clone()]];
        while !ways.is_empty() {
            let mut longer = Vec::new();
            for way in &ways {
                let last = way.last().expect("a way begins somewhere");
                for holder in self.holders(last) {
                    if holder == *start {
                        return Some(way.clone());
                    }
                    if seen.insert(holder.clone()) {
                        longer.push(way.iter().cloned().chain([holder]).collect());
                    }
                }
            }
            ways = longer;
        }
        None
    }

    /// For programs: one record a waiter.
    pub fn to_json(&self) -> Value {
        let cycles = self.cycles();
        let record = |(session, wait): (&Session, &Wait)| {
            let work = self.work.get(session);
            json!({
                "host": *session.0,
                "waiter": session.1,
                "holders": wait.holders,
                "lock": wait.lock,
                "table": wait.table,
                "row": wait.row,
                "step": wait.step,
                "statement": work.map(|work| &work.text),
                "asked_by": work.and_then(|work| work.of.as_deref()),
                "cycle": cycles.iter().flatten().any(|member| member == session),
            })
        };
        self.waits.iter().map(record).collect()
    }
}

/// The host behind a statement: that of the nearest cause on another one.
fn asker(event: &Event, trace: &Trace) -> Option<Arc<str>> {
    let mut next = event.cause;
    while let Some(cause) = next.and_then(|index| trace.events.get(index as usize)) {
        if cause.host != event.host {
            return Some(cause.host.clone());
        }
        next = cause.cause.filter(|earlier| *earlier < cause.index);
    }
    None
}

/// One line an edge, then what each session runs, then the cycles. Empty when nobody waits.
pub fn draw(waits: &Waits) -> String {
    let mut out = String::new();
    if waits.is_empty() {
        return out;
    }
    let cycles = waits.cycles();
    out.push_str("  waits in the database, holder ──▶ waiter\n");
    let mut named: BTreeSet<Session> = BTreeSet::new();
    for (session, wait) in &waits.waits {
        let member = cycles.iter().flatten().any(|member| member == session);
        let cycle = if member { "   in a cycle" } else { "" };
        let (what, waiter) = (wanted(wait), session.1);
        let since = format!("since step {}, t={}", wait.step, wait.at);
        for holder in waits.holders(session) {
            let _ = writeln!(out, "    {} ──▶ {waiter}  {what}, {since}{cycle}", holder.1);
            named.insert(holder);
        }
        if wait.holders.is_empty() {
            let _ = writeln!(out, "      ? ──▶ {waiter}  {what}, {since}");
        }
        named.insert(session.clone());
    }
    for session in named {
        if let Some(work) = waits.work.get(&session) {
            let of = work.of.as_deref().map_or(String::new(), |of| format!(" of {of}"));
            let _ = writeln!(out, "    {}{of}: {}", session.1, work.text.replace('\n', " "));
        }
    }
    for cycle in cycles {
        // The holder first, as in the lines of the edges.
        let way: Vec<String> = cycle.iter().rev().map(|member| member.1.to_string()).collect();
        let _ = writeln!(out, "    cycle: {} ──▶ {}", way.join(" ──▶ "), way[0]);
    }
    out
}

/// `ShareLock on transaction 12, threads thread_id=thr_1`
fn wanted(wait: &Wait) -> String {
    let words = [wait.table.as_str(), wait.row.as_str()];
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let place = if words.is_empty() { String::new() } else { format!(", {}", words.join(" ")) };
    format!("{}{place}", wait.lock)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Events of the database `db`, one a step, from lines `db.waits waiter=2 holders=1`. A name
    /// before them is the host: `gateway: pool.taken`.
    fn trace(lines: &[&str]) -> Trace {
        let event = |(index, line): (usize, &&str)| {
            let (host, line) = line.split_once(": ").unwrap_or(("db", line));
            let mut words = line.split(' ');
            let name: &'static str = words.next().expect("a name").to_owned().leak();
            let field = |word: &str| {
                let (key, value) = word.split_once('=').expect("a field");
                let key: &'static str = key.to_owned().leak();
                let value = match value.parse::<i64>() {
                    Ok(number) if key != "holders" => number.into(),
                    _ if key == "savepoint" => (value == "true").into(),
                    _ => value.into(),
                };
                (key, value)
            };
            let index = EventIndex::try_from(index).expect("few");
            Event {
                index,
                step: index.into(),
                at: Moment(Duration::from_millis(index.into())),
                host: host.into(),
                task: "t",
                name,
                fields: words.map(field).collect(),
                cause: index.checked_sub(1),
            }
        };
        Trace { events: lines.iter().enumerate().map(event).collect(), ..Trace::default() }
    }

    fn violation(step: u64, events: &[EventIndex]) -> Violation {
        let (id, message) = (String::from("x"), String::new());
        let at = Moment(Duration::from_millis(step));
        Violation { id, message, step, at, span: None, events: events.to_vec() }
    }

    fn drawn(lines: &[&str]) -> String {
        draw(&Waits::at(&trace(lines), &violation(u64::MAX, &[])))
    }

    const ONE: &str = "db.waits waiter=2 holders=1 lock=L table=t row=id=7";
    const OTHER: &str = "db.waits waiter=1 holders=2 lock=L table=t row=id=8";

    #[test]
    fn an_edge_goes_from_the_holder_to_the_waiter_and_says_what_each_runs_for_whom() {
        let first = ["gateway: pool.taken session=9", "db.statement session=1 text=UPDATE"];
        let out = drawn(&[first[0], first[1], "db.statement session=2 text=DELETE", ONE]);
        let expected = "  waits in the database, holder ──▶ waiter
    1 ──▶ 2  L, t id=7, since step 3, t=0.003s
    1 of gateway: UPDATE
    2 of gateway: DELETE
";
        assert_eq!(out, expected);
    }

    #[test]
    fn a_cycle_is_marked_and_spelled_out() {
        let out = drawn(&[ONE, OTHER, "db.waits waiter=3 holders=1,2 lock=L table= row="]);
        let expected = "  waits in the database, holder ──▶ waiter
    2 ──▶ 1  L, t id=8, since step 1, t=0.001s   in a cycle
    1 ──▶ 2  L, t id=7, since step 0, t=0.000s   in a cycle
    1 ──▶ 3  L, since step 2, t=0.002s
    2 ──▶ 3  L, since step 2, t=0.002s
    cycle: 2 ──▶ 1 ──▶ 2
";
        assert_eq!(out, expected);
    }

    #[test]
    fn who_was_granted_gave_up_or_crashed_waits_no_more() {
        for end in [
            "db.granted waiter=2",
            "db.abort session=2 reason=deadlock savepoint=false",
            "db.abort session=2 reason=error savepoint=true",
            "db.commit session=2 table=",
            "world: host.crashed host=db kind=crash",
        ] {
            assert_eq!(drawn(&[ONE, end]), "", "{end}");
        }
        assert_ne!(drawn(&[ONE, "world: host.crashed host=gateway kind=crash"]), "");
        assert_ne!(drawn(&[ONE, "db.granted waiter=3"]), "");
    }

    #[test]
    fn a_holder_that_ended_is_an_edge_no_more_unless_it_only_went_back_to_a_savepoint() {
        let behind = "db.waits waiter=3 holders=1,2 lock=L table=t row=id=7";
        for end in ["db.commit session=1 table=t", "db.abort session=1 savepoint=false"] {
            let out = drawn(&[ONE, behind, end, "db.granted waiter=2"]);
            assert!(out.contains("    2 ──▶ 3  L") && !out.contains("1 ──▶"), "{end}: {out}");
        }
        let out = drawn(&[ONE, "db.abort session=1 savepoint=true"]);
        assert!(out.contains("1 ──▶ 2"), "{out}");
    }

    #[test]
    fn the_graph_is_that_of_the_violation_and_not_of_a_moment_later() {
        let mut story = trace(&[ONE, "db.deadlock victim=2 cycle=2", "db.granted waiter=2"]);
        for event in &mut story.events {
            event.step = 5;
        }
        assert!(!Waits::at(&story, &violation(5, &[1])).is_empty(), "its deciding event is 1");
        assert!(Waits::at(&story, &violation(5, &[])).is_empty(), "the end of its step");
        assert!(Waits::at(&story, &violation(4, &[])).is_empty(), "the step before");
    }

    #[test]
    fn whom_the_deciding_event_lets_go_waits_no_more_unless_it_is_never_told_so() {
        let story = trace(&[ONE, "db.commit session=1 table=t"]);
        assert!(Waits::at(&story, &violation(1, &[1])).is_empty());
        let forgotten = draw(&Waits::at(&story, &violation(9, &[])));
        assert!(forgotten.contains("? ──▶ 2"), "{forgotten}");
    }

    #[test]
    fn a_record_for_programs_says_the_same() {
        let waits = Waits::at(&trace(&[ONE, OTHER]), &violation(1, &[]));
        let records = waits.to_json();
        let first = &records[0];
        assert_eq!(first["waiter"], 1);
        assert_eq!(first["holders"], json!([2]));
        assert_eq!(first["cycle"], true);
        assert_eq!(records.as_array().map(Vec::len), Some(2));
    }
}
