//! Drivers in their usual versions, unchanged: each makes a tour of the backend's schema and
//! statements, of the types in use and of its own habits, on `seedbed pg` and on a real PostgreSQL,
//! and is told the same. Must never have a special case for either server.

mod messages;
mod pgbench;
mod tour;
mod values;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use seedbed::backend::db::sql;

use crate::pg_server::{DATABASE, PgServer, USER};

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/backend/db/schema.sql");
const TOURS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/postgres/drivers");

macro_rules! statements {
    ($($name:ident)*) => { &[$((stringify!($name), sql::$name)),*] };
}

/// Every statement of the backend by its name.
const STATEMENTS: &[(&str, &str)] = statements! {
    MIGRATIONS_LOCK MIGRATIONS_UNLOCK MIGRATIONS_TABLE MIGRATIONS_DONE MIGRATION_RECORD
    BEGIN COMMIT ROLLBACK PROBE
    NODE_CREATE NODE_LAST NODE_BEGIN NODE_LIFE USER_CREATE USER_GET
    THREAD_CREATE THREAD_BY_KEY THREAD_OF_USER
    STREAM_CREATE STREAMS_OF_USER STREAM_EPOCH STREAM_ACTIVATE STREAM_LOCK
    EVENTS_BEGIN EVENTS_APPEND EVENTS_END EVENTS_FORCE
    IDEM_CLAIM IDEM_GET MESSAGE_CREATE
    RUN_CREATE RUN_FINISH RUN_OUTCOME RUNS_ORPHANED
    EVENTS_BETWEEN EVENT_BY_ID RUN_HISTORY EVENTS_OF_RUN
    OUTBOX_ADD OUTBOX_SENT OUTBOX_OF_NODE_CLEAR
};

/// A server as a process of its own: `seedbed pg`, or a real one.
pub enum Server {
    Ours(Child, String),
    Real(PgServer),
}

impl Server {
    pub fn ours() -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seedbed"));
        command.args(["pg", "--listen", "127.0.0.1:0", "--log", "warn"]).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.as_mut().expect("it is piped"));
        said.read_line(&mut line).expect("it says where it listens");
        let addr = line.split_once("listens on ").and_then(|(_, rest)| rest.split(';').next());
        let addr = addr.unwrap_or_else(|| panic!("no address in {line:?}")).to_owned();
        Server::Ours(child, addr)
    }

    pub fn real() -> Server {
        Server::Real(PgServer::start())
    }

    pub fn addr(&self) -> String {
        match self {
            Server::Ours(_, addr) => addr.clone(),
            Server::Real(server) => server.addr(),
        }
    }

    /// A program whose environment names this server, and nothing else of the kind.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PG")) {
            command.env_remove(name);
        }
        let addr = self.addr();
        let (host, port) = addr.split_once(':').expect("host and port");
        command.env("PGHOST", host).env("PGPORT", port).env("PGUSER", USER);
        // The zone of a session is that of its server's machine unless it asks for one.
        command.env("PGDATABASE", DATABASE).env("PGTZ", "UTC").env("TZ", "UTC");
        command.env("LC_ALL", "C.UTF-8").current_dir(TOURS);
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Server::Ours(child, _) = self {
            let killed = child.kill().and_then(|()| child.wait());
            if !std::thread::panicking() {
                killed.expect("it was still there");
            }
        }
    }
}

/// A folder for what a tour needs, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("seedbed-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a new folder");
        Folder(path)
    }

    /// The backend's statements as JSON, by name.
    fn statements(&self) -> PathBuf {
        let all: serde_json::Map<String, serde_json::Value> =
            STATEMENTS.iter().map(|(name, text)| ((*name).to_owned(), (*text).into())).collect();
        let path = self.0.join("statements.json");
        fs::write(&path, serde_json::Value::Object(all).to_string()).expect("the folder is ours");
        path
    }

    /// What a program prints to both outputs, in the order it does. It must end well.
    fn print(&self, mut command: Command) -> String {
        let path = self.0.join("out");
        let out = fs::File::create(&path).expect("the folder is ours");
        command.stdin(Stdio::null()).stderr(out.try_clone().expect("a second handle")).stdout(out);
        let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let said = fs::read_to_string(&path).expect("it is UTF-8");
        assert!(status.success(), "{command:?} ended with {status}: {said}");
        said
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let removed = fs::remove_dir_all(&self.0);
        if !std::thread::panicking() {
            removed.expect("the folder is ours");
        }
    }
}

/// What both servers told must be the same, and all of it: so often each of these is in it.
fn same(ours: &str, real: &str, counts: &[(&str, usize)]) {
    let split = |said: &str| said.split("\n== ").map(str::to_owned).collect::<Vec<String>>();
    let (here, there) = (split(ours), split(real));
    let pairs = here.iter().zip(&there).filter(|(here, there)| here != there);
    let pairs = pairs.map(|(here, there)| format!("--- here: {here}\n--- real: {there}"));
    let differences: Vec<String> = pairs.collect();
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    assert_eq!(here.len(), there.len(), "one told more:\n{ours}\n{real}");
    for (what, expected) in counts {
        assert_eq!(real.matches(what).count(), *expected, "{what:?} in:\n{real}");
    }
    assert_eq!(real.lines().last(), Some("== done"), "{real}");
}

/// Runs a tour on both servers, one after the other.
fn both(name: &str, tour: impl Fn(&Server, &Folder) -> String) -> (String, String) {
    let folder = Folder::new(name);
    (tour(&Server::ours(), &folder), tour(&Server::real(), &folder))
}

#[test]
fn psql_makes_the_tour() {
    let psql = Path::new("/usr/bin/psql");
    assert!(psql.exists(), "no {}: install the package postgresql-client", psql.display());
    let (ours, real) = both("psql", |server, folder| {
        let mut command = server.command(psql);
        command.args(["--no-psqlrc", "--file", "tour.sql", "--variable"]);
        command.arg(format!("schema={SCHEMA}"));
        for (name, text) in STATEMENTS {
            command.arg("--variable").arg(format!("{name}={text}"));
        }
        without_processes(&folder.print(command))
    });
    same(&ours, &real, &[("== ", 22), ("ERROR: ", 41), (" row", 101)]);
}

/// Notifications name the process that sent them, which no two servers number alike.
fn without_processes(said: &str) -> String {
    let without = |line: &str| match line.split_once("with PID ") {
        Some((text, _)) => format!("{text}with PID\n"),
        None => format!("{line}\n"),
    };
    said.lines().map(without).collect()
}

#[test]
fn psycopg_makes_the_tour() {
    let package = Path::new("/usr/lib/python3/dist-packages/psycopg/__init__.py");
    assert!(package.exists(), "no {}: install the package python3-psycopg", package.display());
    let (ours, real) = both("psycopg", |server, folder| {
        // Debian's own interpreter: another one does not know Debian's packages.
        let mut command = server.command("/usr/bin/python3");
        command.args(["-B", "tour.py"]).arg(folder.statements()).arg(SCHEMA);
        folder.print(command)
    });
    same(&ours, &real, &[("\n== ", 609), ("sqlstate=", 38)]);
}

#[test]
fn node_postgres_makes_the_tour() {
    let fetched = concat!(env!("CARGO_MANIFEST_DIR"), "/target/node/node_modules");
    let folders = ["/usr/share/nodejs", "/usr/lib/nodejs", fetched];
    let found = folders.iter().any(|folder| Path::new(folder).join("pg/package.json").exists());
    assert!(found, "no node-postgres: install the package node-pg, or run ci/check, which fetches");
    let runs = Command::new("node").arg("--version").output().is_ok_and(|out| out.status.success());
    assert!(runs, "no node: install the package nodejs");
    let (ours, real) = both("node", |server, folder| {
        let mut command = server.command("node");
        command.env("NODE_PATH", folders.join(":"));
        command.args(["--no-deprecation", "tour.js"]).arg(folder.statements()).arg(SCHEMA);
        folder.print(command)
    });
    same(&ours, &real, &[("\n== ", 374), ("error code=", 35)]);
}

#[test]
fn tokio_postgres_makes_the_tour() {
    let (ours, real) = both("tokio", |server, _| tour::run(&server.addr()));
    same(&ours, &real, &[("\n== ", 125), (": error ", 20)]);
}

#[test]
fn every_tour_runs_every_statement_of_the_backend() {
    let source = include_str!("../../../src/backend/db/sql.rs");
    assert_eq!(STATEMENTS.len(), source.matches("pub const ").count(), "a statement is missing");
    for file in ["tour.sql", "tour.py", "tour.js", "tour.rs"] {
        let tour = fs::read_to_string(Path::new(TOURS).join(file)).expect("the tour is there");
        let words = |c: char| !c.is_ascii_uppercase() && c != '_';
        for (name, _) in STATEMENTS {
            assert!(tour.split(words).any(|word| word == *name), "{file} does not run {name}");
        }
    }
}
