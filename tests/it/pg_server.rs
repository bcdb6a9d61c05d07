//! A real PostgreSQL 15 for one test: a private cluster in a temporary folder, gone afterwards.
//! Must never touch a server that it did not start, nor skip when the binaries are missing.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

const BIN: &str = "/usr/lib/postgresql/15/bin";

/// The superuser, who needs no password, and the database that is there from the start.
pub const USER: &str = "seedbed";
pub const DATABASE: &str = "postgres";

/// A running cluster. Dropping it stops the server and removes its folder.
pub struct PgServer {
    folder: PathBuf,
    port: u16,
}

impl PgServer {
    pub fn start() -> PgServer {
        let initdb = Path::new(BIN).join("initdb");
        assert!(initdb.exists(), "no {}: install the package postgresql-15", initdb.display());
        let server = PgServer { folder: new_folder(), port: free_port() };
        let data = server.data();
        let auth = ["--auth=trust", "--username", USER, "--no-sync"];
        let text = ["--encoding=UTF8", "--locale=C", "--pgdata", &data];
        server.run("initdb", &[auth.as_slice(), text.as_slice()].concat());
        let options = format!(
            "-p {} -k {} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=50",
            server.port,
            server.folder.display()
        );
        let log = server.folder.join("log").display().to_string();
        let start = ["--pgdata", &data, "--options", &options, "--log", &log];
        server.run("pg_ctl", &[start.as_slice(), &["--wait", "start"]].concat());
        server
    }

    /// `127.0.0.1:41233`
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn data(&self) -> String {
        self.folder.join("data").display().to_string()
    }

    /// Runs a program of the installation to its end, as a user that PostgreSQL accepts.
    fn run(&self, program: &str, args: &[&str]) {
        let mut command = Command::new(Path::new(BIN).join(program));
        command.args(args).current_dir(&self.folder);
        if let Some((uid, gid)) = other_user() {
            command.uid(uid).gid(gid);
        }
        let log = self.folder.join("out");
        let out = fs::File::create(&log).expect("the folder is ours");
        command.stderr(out.try_clone().expect("a second handle")).stdout(out);
        let status = command.status().expect("the program starts");
        let said = || fs::read_to_string(&log).unwrap_or_default();
        assert!(status.success(), "{program} {args:?}: {}", said());
    }
}

impl Drop for PgServer {
    fn drop(&mut self) {
        let stop = ["--pgdata", &self.data(), "--mode", "immediate", "stop"];
        let stopped = std::panic::catch_unwind(|| self.run("pg_ctl", &stop));
        let removed = fs::remove_dir_all(&self.folder);
        if !std::thread::panicking() {
            assert!(stopped.is_ok() && removed.is_ok(), "the cluster is stopped and removed");
        }
    }
}

/// PostgreSQL refuses to run as root: then as the package's own user.
fn other_user() -> Option<(u32, u32)> {
    let me = fs::metadata("/proc/self").expect("a process sees itself");
    if std::os::unix::fs::MetadataExt::uid(&me) != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("users are listed");
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let line = line.expect("the package postgresql-15 makes the user postgres");
    let mut fields = line.split(':').skip(2).map(|id| id.parse().expect("an id is a number"));
    Some((fields.next()?, fields.next()?))
}

fn new_folder() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("seedbed-pg-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir(&folder).expect("a new folder");
    if let Some((uid, gid)) = other_user() {
        chown(&folder, Some(uid), Some(gid)).expect("root may give a folder away");
    }
    folder
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound address").port()
}
