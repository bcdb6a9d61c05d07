//! The configuration: durations, limits, addresses, seeds. Pure data; defaults are production's.
//! Must never be read from a file or the environment here: the command line does that.

use std::collections::BTreeMap;
use std::time::Duration;

use super::plants::Plants;
use super::startup::Phase;

#[derive(Clone, Debug)]
pub struct Config {
    /// `127.0.0.1:8080`
    pub listen: String,
    /// This process among its replicas; owns the runs it accepted, across restarts.
    pub node: String,
    pub database: Database,
    /// HMAC key of access tokens.
    pub jwt_key: Vec<u8>,
    pub password_cost: PasswordCost,
    /// What a phase of start-up takes beside its work.
    pub startup: BTreeMap<Phase, Duration>,
    /// How long start-up keeps trying to reach the database.
    pub startup_patience: Duration,
    /// Created at start-up unless they exist.
    pub users: Vec<SeedUser>,
    /// Allowed `Origin` headers; empty allows every origin. Clients without one are allowed.
    pub origins: Vec<String>,
    pub model: Model,
    pub limits: Limits,
    pub times: Times,
    pub plants: Plants,
}

#[derive(Clone, Debug)]
pub struct Database {
    /// `db:5432`
    pub addr: String,
    pub user: String,
    pub password: Option<String>,
    pub dbname: String,
    /// Sessions in the pool.
    pub pool: usize,
}

/// Argon2id. The default is OWASP's minimum (19 MiB, 2 passes, 1 lane).
#[derive(Clone, Copy, Debug)]
pub struct PasswordCost {
    pub memory_kib: u32,
    pub passes: u32,
    pub lanes: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedUser {
    pub tenant: String,
    /// Also the user's id.
    pub user: String,
    pub password: String,
    /// admin, user, guest, owner, trader, viewer
    pub roles: Vec<String>,
}

/// The scripted provider.
#[derive(Clone, Debug)]
pub struct Model {
    /// Before the first chunk of a turn.
    pub first_chunk: Duration,
    /// Between chunks.
    pub chunk: Duration,
    /// A tool's work.
    pub tool: Duration,
}

#[derive(Clone, Debug)]
pub struct Limits {
    pub connections_per_user: usize,
    /// Upgrades held by the admission gate.
    pub held_max: usize,
    pub runs_per_user: usize,
    pub runs_per_tenant: usize,
    pub contexts_per_user: usize,
    pub contexts: usize,
    /// Bytes of outgoing frames queued on one connection.
    pub queue_bytes: usize,
    pub message_bytes: usize,
    /// Frames kept before the connection is ready to handle them.
    pub early_frames: usize,
    pub commands_per_second: u64,
    pub commands_burst: u64,
    /// Events replayed at most on a resume.
    pub replay: i64,
}

#[derive(Clone, Debug)]
pub struct Times {
    /// An early upgrade is held so long.
    pub admission_wait: Duration,
    /// The first frame must be `connect`, within this.
    pub connect_wait: Duration,
    pub ping_every: Duration,
    pub pong_within: Duration,
    /// After sending a close frame, for the peer's answer.
    pub close_within: Duration,
    pub token_lives: Duration,
    pub token_leeway: Duration,
    pub token_grace: Duration,
    pub run_deadline: Duration,
    pub reaper_every: Duration,
    pub no_progress: Duration,
    pub purge_after: Duration,
    pub context_lives: Duration,
    pub model_connect: Duration,
    pub model_idle: Duration,
    pub tool_within: Duration,
    pub pool_wait: Duration,
    pub statement_within: Duration,
    pub probe_cached: Duration,
    pub delta_every: Duration,
    pub idem_wait: Duration,
    pub drain_grace: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: "127.0.0.1:8080".to_owned(),
            node: "gateway".to_owned(),
            database: Database::default(),
            jwt_key: Vec::new(),
            password_cost: PasswordCost { memory_kib: 19 * 1024, passes: 2, lanes: 1 },
            startup: BTreeMap::new(),
            startup_patience: Duration::from_secs(20),
            users: Vec::new(),
            origins: Vec::new(),
            model: Model::default(),
            limits: Limits::default(),
            times: Times::default(),
            plants: Plants::default(),
        }
    }
}

impl Default for Database {
    fn default() -> Database {
        Database {
            addr: "127.0.0.1:5432".to_owned(),
            user: "seedbed".to_owned(),
            password: None,
            dbname: "seedbed".to_owned(),
            pool: 16,
        }
    }
}

impl Default for Model {
    fn default() -> Model {
        let ms = Duration::from_millis;
        Model { first_chunk: ms(120), chunk: ms(15), tool: ms(30) }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_per_user: 5,
            held_max: 1000,
            runs_per_user: 3,
            runs_per_tenant: 50,
            contexts_per_user: 100,
            contexts: 10_000,
            queue_bytes: 1 << 20,
            message_bytes: 1 << 20,
            early_frames: 32,
            commands_per_second: 20,
            commands_burst: 40,
            replay: 300,
        }
    }
}

impl Default for Times {
    fn default() -> Times {
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        Times {
            admission_wait: s(20),
            connect_wait: s(10),
            ping_every: s(25),
            pong_within: s(10),
            close_within: s(5),
            token_lives: s(15 * 60),
            token_leeway: s(30),
            token_grace: s(25),
            run_deadline: s(60),
            reaper_every: s(2),
            no_progress: s(10),
            purge_after: s(60),
            context_lives: s(3600),
            model_connect: s(5),
            model_idle: s(15),
            tool_within: s(20),
            pool_wait: s(5),
            statement_within: s(5),
            probe_cached: s(1),
            delta_every: ms(40),
            idem_wait: s(5),
            drain_grace: s(10),
        }
    }
}
