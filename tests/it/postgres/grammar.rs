//! Statements with words left out, added and exchanged: what a real PostgreSQL calls a syntax error
//! is one here, at the same token, and nothing else is. Must never run one of them.

use seedbed::world::postgres::{Settings, Watch};

use super::raw::{Back, Raw};
use super::{ours, runtime};
use crate::pg_server::PgServer;

const SCRIPTS: &[&str] = &[
    include_str!("same/correlated.sql"),
    include_str!("same/definitions.sql"),
    include_str!("same/grammar.sql"),
    include_str!("same/nested.sql"),
    include_str!("same/queries.sql"),
    include_str!("same/rows.sql"),
    include_str!("same/transactions.sql"),
    include_str!("same/types.sql"),
    include_str!("same/writes.sql"),
];

const MUTANTS: usize = 4_000;

/// Numbers that look random and are the same in every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }
}

/// Words, literals and signs, whatever stands between blanks cut at each change of kind.
fn pieces(statement: &str) -> Vec<String> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut all: Vec<String> = Vec::new();
    let mut quoted = false;
    for c in statement.chars() {
        let last = all.last_mut();
        match last {
            Some(last) if quoted || (word(c) && last.ends_with(word)) => last.push(c),
            _ if c.is_whitespace() => all.push(String::new()),
            _ => all.push(c.to_string()),
        }
        quoted ^= c == '\'';
    }
    all.retain(|piece| !piece.trim().is_empty());
    all
}

fn mutant(draw: &mut Draw, corpus: &[Vec<String>]) -> String {
    let mut pieces = corpus[draw.below(corpus.len())].clone();
    let other = &corpus[draw.below(corpus.len())];
    let given = other[draw.below(other.len())].clone();
    let at = draw.below(pieces.len());
    match draw.below(4) {
        0 => drop(pieces.remove(at)),
        1 => pieces.insert(at, given),
        2 => pieces[at] = given,
        _ => {
            let with = draw.below(pieces.len());
            pieces.swap(at, with);
        }
    }
    pieces.join(" ")
}

/// The syntax error among the answers, with its place. Other errors of the grammar are not these.
fn syntax_error(answer: &[Back]) -> Option<String> {
    let error = answer.iter().find(|back| back.kind == b'E')?;
    let message = error.field(b'M').filter(|_| error.field(b'C') == Some("42601"))?;
    Some(format!("{message} at {:?}", error.field(b'P')))
}

fn is_plain(error: &str) -> bool {
    ["syntax error", "unterminated", "trailing junk"].iter().any(|what| error.starts_with(what))
}

#[test]
fn what_is_no_statement_of_postgresql_is_none_here() {
    let server = PgServer::start();
    let statements = SCRIPTS.iter().flat_map(|script| script.split(";\n"));
    let corpus: Vec<Vec<String>> =
        statements.map(pieces).filter(|pieces| !pieces.is_empty()).collect();
    let (mut draw, mut wrong, mut differences) = (Draw(1), 0, Vec::new());
    runtime().block_on(async {
        let (addr, _store) = ours(Settings::default(), Watch::none()).await;
        let mut here = Raw::connect(&addr).await;
        let mut there = Raw::connect(&server.addr()).await;
        for _ in 0..MUTANTS {
            // The whole text is parsed before its first statement fails.
            let text = format!("select 1 / 0; {}", mutant(&mut draw, &corpus));
            let theirs = syntax_error(&there.simple(&text).await);
            // A rule of the grammar that says something of its own says it at another token.
            if theirs.as_ref().is_some_and(|error| !is_plain(error)) {
                continue;
            }
            wrong += usize::from(theirs.is_some());
            let ours = syntax_error(&here.simple(&text).await);
            if ours != theirs {
                differences.push(format!("{text}\n--- here: {ours:?}\n--- real: {theirs:?}\n"));
            }
        }
    });
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(wrong > MUTANTS / 4 && wrong < MUTANTS, "{wrong} of the texts are wrong");
}
