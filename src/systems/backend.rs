//! Our backend as a [`System`]: its hosts, its users, its words and what must hold of it.
//! The stages that run and judge know it by nothing else. Must never reach around the seam.

mod client;
mod database;
pub mod events;
pub mod invariants;
mod people;
pub mod settings;
mod vocabulary;

use std::sync::Arc;

use self::invariants::Facts;
use super::System;
use crate::backend;
use crate::env::Moment;
use crate::plan::{Plan, UserPlan};
use crate::scenario::Vocabulary;
use crate::verdict::Invariant;
use crate::world::{HostFuture, HostSpec, SimEnv};

/// The backend on two hosts, `gateway` and `db`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backend;

impl System for Backend {
    fn name(&self) -> &'static str {
        "backend"
    }

    fn vocabulary(&self) -> Vocabulary {
        vocabulary::vocabulary()
    }

    fn hosts(&self, plan: &Plan) -> Vec<HostSpec> {
        let config = settings::config(plan);
        let start = move |env: SimEnv| -> HostFuture {
            let config = config.clone();
            Box::pin(
                async move { backend::serve(env, config).await.map_err(|error| error.to_string()) },
            )
        };
        let gateway = HostSpec { name: "gateway".to_owned(), start: Arc::new(start) };
        vec![database::host(plan), gateway]
    }

    fn user(&self, env: SimEnv, user: &UserPlan, plan: &Plan) -> HostFuture {
        let account = client::Account {
            gateway: settings::GATEWAY_ADDR.to_owned(),
            tenant: people::tenant(user).to_owned(),
            user: user.name.clone(),
            password: people::PASSWORD.to_owned(),
        };
        let calm =
            if plan.faults.is_empty() { Moment::default() } else { Moment(plan.faults_until) };
        Box::pin(client::play(env, account, user.clone(), calm))
    }

    fn invariants(&self, plan: &Plan) -> Vec<Box<dyn Invariant>> {
        invariants::all(&Facts::of(plan))
    }
}
