//! The database's host, and what is told of its commits. Must never tell what was not committed.

use std::sync::Arc;

use super::events;
use super::settings::DATABASE_PORT;
use crate::plan::{Plan, Setting};
use crate::world::postgres::{self, Change, Isolation, Op, Settings, Store, Watch, Written};
use crate::world::{HostFuture, HostSpec, SimEnv};

/// A server whose committed rows outlive its crashes.
pub fn host(plan: &Plan) -> HostSpec {
    let isolation = match plan.settings.get("database.isolation") {
        Some(Setting::Text(name)) if name == "repeatable read" => Isolation::RepeatableRead,
        _ => Isolation::ReadCommitted,
    };
    let store = Store::new(Settings { isolation, ..Settings::default() });
    let start = move |env: SimEnv| -> HostFuture {
        let serving = postgres::serve(env, DATABASE_PORT, store.clone(), Watch::new(tell));
        Box::pin(async move { serving.await.map_err(|error| error.to_string()) })
    };
    HostSpec { name: "db".to_owned(), start: Arc::new(start) }
}

fn tell(change: &Change) {
    if let Change::Commit { rows, .. } = change {
        rows.iter().filter(|row| TOLD.contains(&&*row.table)).for_each(tell_row);
    }
}

/// Tables whose rows an expectation may want to see; a column that a table lacks is empty.
const TOLD: &[&str] = &["runs", "events", "threads", "messages"];

fn tell_row(row: &Written) {
    let op = match row.op {
        Op::Insert => "insert",
        Op::Update => "update",
        Op::Delete => "delete",
    };
    let column = |name: &str| row.value(name).unwrap_or("");
    let seq = column("seq").parse().unwrap_or(0);
    let (run, thread, user) = (column("run_id"), column("thread_id"), column("user_id"));
    let (state, kind, key) = (column("state"), column("event_type"), column("thread_key"));
    events::db_commit(&row.table, op, run, thread, user, state, kind, seq, key);
}
