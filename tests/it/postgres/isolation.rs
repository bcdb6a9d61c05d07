//! PostgreSQL's own `isolationtester`, unmodified: for each spec it prints here what it prints on a
//! real server, to the byte. The recordings stand beside the specs. Must never edit either side.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use seedbed::world::postgres::{Settings, Watch};

use super::{client, ours, runtime};
use crate::pg_server::{DATABASE, PgServer, USER};

const TESTER: &str = "/usr/lib/postgresql/15/lib/pgxs/src/test/isolation/isolationtester";

/// What the tester prints for a spec on the server at `addr`. A step that waits for longer than a
/// minute is cancelled and said to be. The sessions have the settings of `pg_isolation_regress`.
fn print(addr: &str, spec: &str) -> String {
    assert!(Path::new(TESTER).exists(), "no {TESTER}: install the package postgresql-client-15");
    let (host, port) = addr.split_once(':').expect("host and port");
    let mut tester = Command::new(TESTER)
        .arg(format!("host={host} port={port} user={USER} dbname={DATABASE}"))
        .env("PGISOLATIONTIMEOUT", "60")
        .env("PGTZ", "PST8PDT")
        .env("PGDATESTYLE", "Postgres, MDY")
        .env("PGOPTIONS", "-c intervalstyle=postgres_verbose")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tester starts");
    let mut input = tester.stdin.take().expect("it is piped");
    input.write_all(spec.as_bytes()).expect("the tester reads");
    drop(input);
    let said = tester.wait_with_output().expect("the tester ends");
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    format!("{out}{err}")
}

/// Every spec: its name, its text, and what a real server was recorded to answer.
fn specs() -> Vec<(String, String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/postgres/isolation");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "spec"))
        .collect();
    paths.sort();
    let read = |path: &Path| fs::read_to_string(path).expect("a text file");
    let spec = |path: &PathBuf| {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        (name, read(path), read(&path.with_extension("out")))
    };
    paths.iter().map(spec).collect()
}

/// Compares what the server at `addr` makes of each spec with its recording.
fn compare(addr: &str) {
    let mut differences = Vec::new();
    for (name, spec, recorded) in specs() {
        let asked = spec.lines().filter(|line| line.starts_with("permutation")).count();
        let ran = recorded.matches("starting permutation").count();
        assert!(asked > 0 && asked == ran, "{name}: {ran} of {asked} permutations are recorded");
        let said = print(addr, &spec);
        if said != recorded {
            differences.push(format!("{name}\n--- said:\n{said}\n--- recorded:\n{recorded}\n"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn isolationtester_says_of_the_worlds_postgresql_what_was_recorded() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = std::thread::spawn(move || {
        runtime().block_on(async {
            let (addr, _store) = ours(Settings::default(), Watch::none()).await;
            // One connection shows that it serves.
            client(&addr).await;
            sender.send(addr).expect("the test waits");
            let _ = stopped.await;
        });
    });
    compare(&receiver.recv().expect("it serves"));
    let _ = stop.send(());
    serving.join().expect("no panic");
}

/// The recordings are not made up.
#[test]
fn isolationtester_says_of_a_real_postgresql_what_was_recorded() {
    compare(&PgServer::start().addr());
}
