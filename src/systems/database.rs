//! The simulated PostgreSQL as a host of any system, and what it tells of transactions, locks and
//! faults; which committed rows are told, and how, is the system's. Must never tell what was not
//! committed.

pub mod events;

use std::sync::Arc;

use crate::env::Moment;
use crate::plan::{Fault, FaultPlan, Plan, Setting};
use crate::scenario::{Kind, SettingWord};
use crate::world::postgres::{
    self, Change, Injected, Injection, Isolation, Settings, Store, Wanted, Watch, Written,
};
use crate::world::{HostFuture, HostSpec, SimEnv};

pub const HOST: &str = "db";
pub const PORT: &str = "0.0.0.0:5432";
/// From any other host.
pub const ADDR: &str = "db:5432";

/// Bytes of a statement's text that its event holds.
const TEXT_MAX: usize = 64;

const ISOLATION: &str = "database.isolation";
const ISOLATIONS: &[&str] = &["read committed", "repeatable read"];

/// The word for the level of every transaction that does not ask for another.
pub fn isolation_word() -> SettingWord {
    SettingWord {
        key: ISOLATION,
        kind: Kind::Choice(ISOLATIONS),
        default: Setting::Text(ISOLATIONS[0].to_owned()),
        about: "of every transaction",
    }
}

/// Tells one committed row, unless nobody wants to see it: session, row; whether it was told.
pub type TellRow = fn(i64, &Written<'_>) -> bool;

/// Tells the commit of a session's block of which no row was told.
pub type TellCommit = fn(i64);

/// A server whose committed rows outlive its crashes.
pub fn host(plan: &Plan, row: TellRow, commit: TellCommit) -> HostSpec {
    let isolation = match plan.settings.get(ISOLATION) {
        Some(Setting::Text(name)) if name == ISOLATIONS[1] => Isolation::RepeatableRead,
        _ => Isolation::ReadCommitted,
    };
    let store = Store::new(Settings { isolation, ..Settings::default() });
    store.inject(plan.faults.iter().filter_map(|fault| injection(fault, plan)).collect());
    let start = move |env: SimEnv| -> HostFuture {
        let watch = Watch::new(move |change| tell(change, row, commit));
        let serving = postgres::serve(env, PORT, store.clone(), watch);
        Box::pin(async move { serving.await.map_err(|error| error.to_string()) })
    };
    HostSpec { name: HOST.to_owned(), start: Arc::new(start) }
}

/// The faults of the plan that the database itself does; none after faults have stopped.
fn injection(fault: &FaultPlan, plan: &Plan) -> Option<Injection> {
    let end = plan.faults_until;
    let (what, until) = match fault.what.clone() {
        Fault::Statement { matching, slow, sqlstate, .. } => {
            (Injected::Statement { matching, slow, sqlstate }, end)
        }
        Fault::Commit { applied, .. } => (Injected::Commit { applied }, end),
        Fault::Connections { most, for_, .. } => {
            (Injected::Connections { most }, end.min(fault.at + for_))
        }
        _ => return None,
    };
    Some(Injection { from: Moment(fault.at), until: Moment(until), what })
}

fn tell(change: &Change<'_>, row: TellRow, commit: TellCommit) {
    match change {
        Change::Begin { pid, isolation } => events::db_begin((*pid).into(), isolation),
        Change::Statement { pid, text } => events::db_statement((*pid).into(), beginning(text)),
        Change::Commit { pid, rows, block } => {
            let session = i64::from(*pid);
            let told = rows.iter().filter(|written| row(session, written)).count();
            if told == 0 && *block {
                commit(session);
            }
        }
        Change::Abort { pid, cause, sqlstate, savepoint } => {
            events::db_abort((*pid).into(), cause.name(), sqlstate, *savepoint);
        }
        Change::Wait { waiter, holders, wanted: Wanted { lock, table, row } } => {
            events::db_waits((*waiter).into(), &listed(holders), lock, table, row);
        }
        Change::Grant { waiter } => events::db_granted((*waiter).into()),
        Change::Deadlock { victim, cycle } => {
            events::db_deadlock((*victim).into(), &listed(cycle));
        }
        Change::Conflict { pid, table } => events::db_conflict((*pid).into(), table),
        Change::Crash { pid } => events::db_crash((*pid).into()),
        Change::Injected { pid, fault, sqlstate } => {
            events::db_struck(HOST, (*pid).into(), fault, sqlstate);
        }
    }
}

/// As much of a statement as tells it from others.
fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_MAX)]
}

/// `101,102`: process numbers, with commas between.
fn listed(pids: &[i32]) -> String {
    pids.iter().map(i32::to_string).collect::<Vec<String>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::postgres::names;

    #[test]
    fn what_a_report_reads_is_what_the_catalogue_tells() {
        let read: &[(&str, &[&str])] = &[
            (names::STATEMENT, &["session", "text"]),
            (names::WAITS, &["waiter", "holders", "lock", "table", "row"]),
            (names::GRANTED, &["waiter"]),
            (names::ABORT, &["session", "savepoint"]),
            (names::STRUCK, &["host", "fault"]),
        ];
        for (name, fields) in read {
            let spec = events::CATALOGUE.iter().find(|spec| spec.name == *name);
            let spec = spec.unwrap_or_else(|| panic!("{name} is told by nobody"));
            for field in *fields {
                assert!(spec.has_field(field), "{name} has no {field}");
            }
        }
    }

    #[test]
    fn a_long_statement_is_cut_between_characters() {
        let text = "é".repeat(TEXT_MAX);
        assert_eq!(beginning(&text), "é".repeat(TEXT_MAX / 2));
        assert_eq!(beginning(&format!("a{text}")).len(), TEXT_MAX - 1);
        assert_eq!(beginning("SELECT 1"), "SELECT 1");
    }
}
