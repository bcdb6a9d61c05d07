//! Files in the format of sqllogictest, their results recorded from a real PostgreSQL 15, run
//! through both protocols. Must never hold a result that the real server does not give.
//!
//! `SEEDBED_RECORD=1 cargo test recordings` writes the real server's results into the files.

use std::fs;
use std::path::{Path, PathBuf};

use seedbed::world::postgres::{Settings, Watch};

use super::raw::{Back, Raw};
use super::{ours, runtime};
use crate::pg_server::PgServer;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Simple,
    Extended,
}

/// The files by name, sorted, with their blocks.
fn files() -> Vec<(PathBuf, Vec<String>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/postgres/slt");
    let entries = fs::read_dir(folder).expect("the folder of the files");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    assert!(paths.len() >= 30, "{} files", paths.len());
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a text");
        let blocks = text.split("\n\n").map(|block| block.trim_end().to_owned());
        (path, blocks.filter(|block| !block.is_empty()).collect())
    };
    paths.into_iter().map(read).collect()
}

/// The statement of a block; `None` for a comment.
fn sql(block: &str) -> Option<&str> {
    let (head, rest) = block.split_once('\n')?;
    if head.starts_with('#') {
        return None;
    }
    Some(rest.split_once("\n----").map_or(rest, |(sql, _)| sql))
}

/// The block with the answer that came.
fn block(sql: &str, answer: &[Back]) -> String {
    let error = answer.iter().find(|back| back.kind == b'E');
    if let Some(error) = error {
        let (code, text) = (error.field(b'C').unwrap_or(""), error.field(b'M').unwrap_or(""));
        let at = error.field(b'P').map(|at| format!(" at {at}")).unwrap_or_default();
        return format!("statement error {code}{at}: {}\n{sql}", text.replace('\n', " "));
    }
    let rows: Vec<Vec<Option<String>>> =
        answer.iter().filter(|back| back.kind == b'D').map(Back::cells).collect();
    let Some(columns) = answer.iter().find(|back| back.kind == b'T') else {
        return format!("statement ok\n{sql}");
    };
    let width = usize::from(u16::from_be_bytes([columns.body[0], columns.body[1]]));
    let mut lines = vec![format!("query {}\n{sql}\n----", "T".repeat(width))];
    for row in rows {
        let cell = |cell: Option<String>| match cell {
            None => "NULL".to_owned(),
            Some(text) if text.is_empty() => "(empty)".to_owned(),
            Some(text) => text.replace('\n', "\\n"),
        };
        lines.push(row.into_iter().map(cell).collect::<Vec<String>>().join(" | "));
    }
    lines.join("\n")
}

/// The blocks of a file as one server answers them.
async fn play(addr: &str, blocks: &[String], protocol: Protocol) -> Vec<String> {
    let mut raw = Raw::connect(addr).await;
    let mut played = Vec::with_capacity(blocks.len());
    for text in blocks {
        let Some(sql) = sql(text) else {
            played.push(text.clone());
            continue;
        };
        let answer = match protocol {
            Protocol::Simple => raw.simple(sql).await,
            Protocol::Extended => raw.extended(sql).await,
        };
        played.push(block(sql, &answer));
    }
    played
}

/// What a run answered otherwise than the file says.
fn differences(path: &Path, wanted: &[String], played: &[String]) -> Vec<String> {
    let pairs = wanted.iter().zip(played).filter(|(wanted, played)| wanted != played);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    pairs.map(|(wanted, played)| format!("{name}\n{wanted}\n=== but\n{played}\n")).collect()
}

fn hold(protocol: Protocol) {
    let mut found = Vec::new();
    runtime().block_on(async {
        for (path, blocks) in files() {
            let (addr, _store) = ours(Settings::default(), Watch::none()).await;
            let played = play(&addr, &blocks, protocol).await;
            found.extend(differences(&path, &blocks, &played));
        }
    });
    assert!(found.is_empty(), "{} differ:\n{}", found.len(), found.join("\n"));
}

#[test]
fn files_hold_through_the_simple_protocol() {
    hold(Protocol::Simple);
}

#[test]
fn files_hold_through_the_extended_protocol() {
    hold(Protocol::Extended);
}

#[test]
fn the_recordings_are_what_a_real_server_answers() {
    let server = PgServer::start();
    let record = std::env::var_os("SEEDBED_RECORD").is_some();
    let mut found = Vec::new();
    runtime().block_on(async {
        for (path, blocks) in files() {
            let mut root = Raw::connect(&server.addr()).await;
            root.simple("DROP SCHEMA public CASCADE").await;
            root.simple("CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO public").await;
            let played = play(&server.addr(), &blocks, Protocol::Simple).await;
            if record {
                fs::write(&path, played.join("\n\n") + "\n").expect("written");
            } else {
                found.extend(differences(&path, &blocks, &played));
            }
        }
    });
    assert!(found.is_empty(), "{} differ:\n{}", found.len(), found.join("\n"));
}
