//! pgbench, unmodified: its tables without partitions, filled by the server, and its simple script
//! in each query mode. Must never judge how fast.

use std::path::Path;

use super::super::{answer, client, runtime};
use super::{Folder, Server};

const PGBENCH: &str = "/usr/lib/postgresql/15/bin/pgbench";

/// Transactions of each client.
const EACH: u32 = 5;
const CLIENTS: u32 = 4;

/// Initialises and runs; the sums that must agree, and the number of transactions.
fn bench(server: &Server, folder: &Folder) -> String {
    let run = |args: &[&str]| {
        let mut command = server.command(PGBENCH);
        command.args(args);
        folder.print(command)
    };
    run(&["-q", "-i", "-I", "dtGp"]);
    let (clients, each) = (CLIENTS.to_string(), EACH.to_string());
    for mode in ["simple", "extended", "prepared"] {
        let said = run(&["-n", "-M", mode, "-c", &clients, "-t", &each]);
        let all = CLIENTS * EACH;
        let processed = format!("actually processed: {all}/{all}\n");
        assert!(said.contains(&processed) && said.contains("failed transactions: 0"), "{said}");
    }
    // Again, over what is there.
    let again = run(&["-q", "-i", "-I", "dtGp"]);
    assert!(again.contains("creating primary keys"), "{again}");
    let said = run(&["-n", "-c", &clients, "-t", &each, "-b", "select-only"]);
    assert!(said.contains("failed transactions: 0"), "{said}");
    run(&["-n", "-c", &clients, "-t", &each, "-b", "simple-update"]);
    runtime().block_on(async {
        let client = client(&server.addr()).await;
        let sums = "SELECT (SELECT count(*) FROM pgbench_accounts), \
            (SELECT sum(abalance) FROM pgbench_accounts) \
            = (SELECT sum(delta) FROM pgbench_history), \
            (SELECT count(*) FROM pgbench_history), \
            (SELECT count(*) FROM pgbench_tellers WHERE tbalance = 0), \
            (SELECT sum(bbalance) FROM pgbench_branches)";
        answer(&client, sums).await
    })
}

#[test]
fn pgbench_initialises_and_runs() {
    assert!(Path::new(PGBENCH).exists(), "no {PGBENCH}: install the package postgresql-15");
    let folder = Folder::new("pgbench");
    let (ours, real) = (bench(&Server::ours(), &folder), bench(&Server::real(), &folder));
    assert_eq!(ours, real);
    assert!(ours.contains("\n100000|t|20|10|0\n"), "{ours}");
}
