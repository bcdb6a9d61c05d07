//! PostgreSQL's own `isolationtester`, unmodified: what it prints for a spec here is what it
//! prints on a real server, to the byte. Must never edit either side.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use seedbed::world::postgres::{Settings, Watch};

use super::{client, ours, runtime};
use crate::pg_server::{DATABASE, PgServer, USER};

const TESTER: &str = "/usr/lib/postgresql/15/lib/pgxs/src/test/isolation/isolationtester";

/// What the tester prints for a spec on the server at `addr`.
fn print(addr: &str, spec: &str) -> String {
    assert!(Path::new(TESTER).exists(), "no {TESTER}: install the package postgresql-client-15");
    let (host, port) = addr.split_once(':').expect("host and port");
    let mut tester = Command::new(TESTER)
        .arg(format!("host={host} port={port} user={USER} dbname={DATABASE}"))
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

/// Runs every spec on both.
fn same(specs: &[(&str, &str)]) {
    let server = PgServer::start();
    let real = server.addr();
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
    let addr = receiver.recv().expect("it serves");
    let mut differences = Vec::new();
    for (name, spec) in specs {
        let (here, there) = (print(&addr, spec), print(&real, spec));
        if here != there {
            differences.push(format!("{name}\n--- here:\n{here}\n--- real:\n{there}\n"));
        }
    }
    let _ = stop.send(());
    serving.join().expect("no panic");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

macro_rules! spec {
    ($name:literal) => {
        ($name, include_str!(concat!("isolation/", $name, ".spec")))
    };
}

#[test]
fn locks_behave_as_postgresql_does() {
    same(&[
        spec!("tuple_locks"),
        spec!("nowait_skip_locked"),
        spec!("savepoints"),
        spec!("lock_traversal"),
        spec!("advisory_in_where"),
        spec!("timeouts"),
        spec!("queues"),
    ]);
}

#[test]
fn deadlocks_end_as_postgresql_ends_them() {
    same(&[spec!("deadlock"), spec!("deadlock_soft"), spec!("deadlock_upgrade")]);
}

#[test]
fn anomalies_show_and_hide_as_on_postgresql() {
    same(&[spec!("anomalies"), spec!("upsert")]);
}

#[test]
fn foreign_keys_contend_as_on_postgresql() {
    same(&[spec!("foreign_keys"), spec!("foreign_key_deadlock")]);
}
