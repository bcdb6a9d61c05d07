//! A ledger as a [`System`], small enough to read in one sitting: what only a database can show.
//! Transfers lock two accounts in the order of the request, so that two of them deadlock; deposits
//! read a balance and write it back, so that READ COMMITTED loses one. It has the backend's pool
//! and transaction layer, and nothing else of it. Must never reach around the seam.

mod books;
pub mod events;
pub mod invariants;
mod server;
mod user;
mod vocabulary;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{System, database};
use crate::backend::config::Database;
use crate::env::Moment;
use crate::plan::{Plan, Setting, UserPlan};
use crate::scenario::Vocabulary;
use crate::verdict::Invariant;
use crate::world::postgres::{Op, Written};
use crate::world::{HostFuture, HostSpec, SimEnv};

/// The host that keeps the books.
const HOST: &str = "ledger";
const ADDR: &str = "ledger:7000";

/// The ledger on two hosts, `ledger` and `db`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ledger;

impl System for Ledger {
    fn name(&self) -> &'static str {
        "ledger"
    }

    fn vocabulary(&self) -> Vocabulary {
        vocabulary::vocabulary()
    }

    fn hosts(&self, plan: &Plan) -> Vec<HostSpec> {
        let config = config(plan);
        let start = move |env: SimEnv| -> HostFuture {
            let serving = server::serve(env, config.clone());
            Box::pin(async move { serving.await.map_err(|error| error.to_string()) })
        };
        let ledger = HostSpec { name: HOST.to_owned(), start: Arc::new(start) };
        vec![database::host(plan, tell_row, tell_commit), ledger]
    }

    fn user(&self, env: SimEnv, user: &UserPlan, plan: &Plan) -> HostFuture {
        let calm =
            if plan.faults.is_empty() { Moment::default() } else { Moment(plan.faults_until) };
        Box::pin(user::play(env, user.clone(), calm))
    }

    fn invariants(&self, _plan: &Plan) -> Vec<Box<dyn Invariant>> {
        invariants::all()
    }
}

fn config(plan: &Plan) -> server::Config {
    let number = |key| match plan.settings.get(key) {
        Some(Setting::Int(number)) => *number,
        _ => unreachable!("the loader gives every setting its value"),
    };
    let steps = plan.users.iter().flat_map(|user| &user.steps);
    let named = steps.flat_map(|step| [step.text("from"), step.text("to")]);
    let accounts: BTreeSet<String> = named.flatten().map(str::to_owned).collect();
    let pool = usize::try_from(number(vocabulary::POOL)).unwrap_or(1);
    server::Config {
        database: Database { addr: database::ADDR.to_owned(), pool, ..Database::default() },
        accounts: accounts.into_iter().collect(),
        opening: number(vocabulary::OPENING),
        weak: cfg!(feature = "planted") && plan.plants.iter().any(|id| id == vocabulary::WEAK),
    }
}

fn tell_row(session: i64, row: &Written<'_>) -> bool {
    let op = match row.op {
        Op::Insert => "insert",
        Op::Update => "update",
        Op::Delete => "delete",
    };
    let column = |name: &str| row.value(name).unwrap_or_default();
    let cents = column("cents").parse().unwrap_or(0);
    let (key, account) = (column("key"), column("account"));
    let (debit, credit) = (column("debit"), column("credit"));
    events::db_commit(session, row.table, op, &key, &debit, &credit, &account, cents);
    true
}

fn tell_commit(session: i64) {
    events::db_commit(session, "", "", "", "", "", "", 0);
}
