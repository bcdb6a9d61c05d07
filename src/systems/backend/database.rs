//! Which committed rows of the backend are told. Must never tell what was not committed.

use super::events;
use crate::plan::Plan;
use crate::systems::database;
use crate::world::HostSpec;
use crate::world::postgres::{Op, Written};

pub fn host(plan: &Plan) -> HostSpec {
    database::host(plan, tell_row, tell_commit)
}

/// Tables whose rows an expectation may want to see; a column that a table lacks is empty.
const TOLD: &[&str] = &["runs", "events", "threads", "messages", "idempotency"];

fn tell_row(session: i64, row: &Written<'_>) -> bool {
    if !TOLD.contains(&row.table) {
        return false;
    }
    let op = match row.op {
        Op::Insert => "insert",
        Op::Update => "update",
        Op::Delete => "delete",
    };
    let column = |name: &str| row.value(name).unwrap_or_default();
    let seq = column("seq").parse().unwrap_or(0);
    let (run, thread, user) = (column("run_id"), column("thread_id"), column("user_id"));
    let state = column("state");
    // No table has both of a pair.
    let kind = row.value("event_type").unwrap_or_else(|| column("role"));
    let key = row.value("thread_key").unwrap_or_else(|| column("idem"));
    events::db_commit(session, row.table, op, &run, &thread, &user, &state, &kind, seq, &key);
    true
}

fn tell_commit(session: i64) {
    events::db_commit(session, "", "", "", "", "", "", "", 0, "");
}
