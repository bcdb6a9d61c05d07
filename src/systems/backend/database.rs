//! The database's host, and what is told of its commits. Must never tell what was not committed.

use std::sync::Arc;

use super::events;
use super::settings::DATABASE_PORT;
use crate::env::Moment;
use crate::plan::{Fault, FaultPlan, Plan, Setting};
use crate::world::postgres::{
    self, Change, Injected, Injection, Isolation, Op, Settings, Store, Watch, Written,
};
use crate::world::{HostFuture, HostSpec, SimEnv};

const HOST: &str = "db";

/// A server whose committed rows outlive its crashes.
pub fn host(plan: &Plan) -> HostSpec {
    let isolation = match plan.settings.get("database.isolation") {
        Some(Setting::Text(name)) if name == "repeatable read" => Isolation::RepeatableRead,
        _ => Isolation::ReadCommitted,
    };
    let store = Store::new(Settings { isolation, ..Settings::default() });
    store.inject(plan.faults.iter().filter_map(|fault| injection(fault, plan)).collect());
    let start = move |env: SimEnv| -> HostFuture {
        let serving = postgres::serve(env, DATABASE_PORT, store.clone(), Watch::new(tell));
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

fn tell(change: &Change<'_>) {
    match change {
        Change::Commit { rows, .. } => {
            rows.iter().filter(|row| TOLD.contains(&&*row.table)).for_each(tell_row);
        }
        Change::Wait { waiter, holders } => events::db_waits((*waiter).into(), &listed(holders)),
        Change::Grant { waiter } => events::db_granted((*waiter).into()),
        Change::Deadlock { victim, cycle } => {
            events::db_deadlock((*victim).into(), &listed(cycle));
        }
        Change::Injected { pid, fault, sqlstate } => {
            events::db_struck(HOST, (*pid).into(), fault, sqlstate);
        }
        Change::Begin { .. } | Change::Abort { .. } => {}
    }
}

/// `101 waits for 102, 103`: process numbers, with commas between.
fn listed(pids: &[i32]) -> String {
    pids.iter().map(i32::to_string).collect::<Vec<String>>().join(",")
}

/// Tables whose rows an expectation may want to see; a column that a table lacks is empty.
const TOLD: &[&str] = &["runs", "events", "threads", "messages", "idempotency"];

fn tell_row(row: &Written) {
    let op = match row.op {
        Op::Insert => "insert",
        Op::Update => "update",
        Op::Delete => "delete",
    };
    let column = |name: &str| row.value(name).unwrap_or("");
    let seq = column("seq").parse().unwrap_or(0);
    let (run, thread, user) = (column("run_id"), column("thread_id"), column("user_id"));
    let state = column("state");
    let kind = [column("event_type"), column("role")].concat();
    let key = [column("thread_key"), column("idem")].concat();
    events::db_commit(&row.table, op, run, thread, user, state, &kind, seq, &key);
}
