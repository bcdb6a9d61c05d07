//! What a plan's settings mean to the gateway: its configuration. Must never read anything but
//! the plan.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{people, vocabulary};
use crate::backend::config::{Config, Database, Limits, Model, PasswordCost, SeedUser, Times};
use crate::backend::plants::Plant;
use crate::backend::startup::Phase;
use crate::plan::{Plan, Setting};
use crate::systems::database;

pub const GATEWAY_ADDR: &str = "gateway:8080";

/// The gateway's configuration in this run.
pub fn config(plan: &Plan) -> Config {
    let settings = Settings(&plan.settings);
    Config {
        listen: "0.0.0.0:8080".to_owned(),
        node: "gateway".to_owned(),
        database: Database {
            addr: database::ADDR.to_owned(),
            pool: settings.count("database.pool"),
            ..Database::default()
        },
        jwt_key: b"rehearsed, not secret, 32 bytes.".to_vec(),
        // The cheapest argon2 there is: what is rehearsed is not guessing.
        password_cost: PasswordCost { memory_kib: 8, passes: 1, lanes: 1 },
        startup: startup(&settings),
        users: plan.users.iter().map(seed_user).collect(),
        model: Model {
            first_chunk: settings.duration("model.first_chunk"),
            chunk: settings.duration("model.chunk"),
            tool: settings.duration("model.tool"),
        },
        limits: limits(&settings),
        times: times(&settings),
        plants: plan.plants.iter().filter_map(|id| id.parse::<Plant>().ok()).collect(),
        ..Config::default()
    }
}

fn seed_user(user: &crate::plan::UserPlan) -> SeedUser {
    SeedUser {
        tenant: people::tenant(user).to_owned(),
        user: user.name.clone(),
        password: people::PASSWORD.to_owned(),
        roles: vec!["user".to_owned()],
    }
}

fn startup(settings: &Settings) -> BTreeMap<Phase, Duration> {
    let takes = |name: &&str| {
        let phase = Phase::ALL.iter().find(|phase| phase.name() == *name);
        let phase = *phase.expect("the vocabulary names phases of the backend");
        (phase, settings.duration(&format!("gateway.startup.{name}")))
    };
    vocabulary::PHASES.iter().map(takes).filter(|(_, takes)| !takes.is_zero()).collect()
}

fn limits(settings: &Settings) -> Limits {
    Limits {
        connections_per_user: settings.count("limits.connections_per_user"),
        held_max: settings.count("limits.held"),
        runs_per_user: settings.count("limits.runs_per_user"),
        runs_per_tenant: settings.count("limits.runs_per_tenant"),
        queue_bytes: settings.count("limits.queue_bytes"),
        ..Limits::default()
    }
}

fn times(settings: &Settings) -> Times {
    Times {
        admission_wait: settings.duration("gateway.admission_wait"),
        connect_wait: settings.duration("gateway.connect_wait"),
        ping_every: settings.duration("gateway.ping"),
        run_deadline: settings.duration("gateway.run_deadline"),
        purge_after: settings.duration("gateway.purge_after"),
        ..Times::default()
    }
}

/// Drawn settings; the loader has put in the defaults and checked kinds and ranges.
struct Settings<'p>(&'p BTreeMap<String, Setting>);

impl Settings<'_> {
    fn duration(&self, key: &str) -> Duration {
        match self.0.get(key) {
            Some(Setting::Duration(duration)) => *duration,
            other => panic!("{key} is {other:?}, not a duration"),
        }
    }

    fn count(&self, key: &str) -> usize {
        match self.0.get(key) {
            Some(Setting::Int(number)) => usize::try_from(*number).expect("counts are positive"),
            other => panic!("{key} is {other:?}, not a whole number"),
        }
    }
}
