//! The names of PL/pgSQL's conditions (PostgreSQL 15, appendix A). Must never hold state.

use crate::world::postgres::error::{PgError, Result};

/// A line for each: its name, then its SQLSTATEs; what ends in `000` is a class.
const TEXT: &str = include_str!("conditions.txt");

/// The SQLSTATEs that a name stands for.
pub fn named(name: &str) -> Result<Vec<&'static str>> {
    let mut lines = TEXT.lines().filter_map(|line| line.split_once(' '));
    let found = lines.find(|(known, _)| *known == name);
    let codes = found.map(|(_, codes)| codes.split(' ').collect());
    codes.ok_or_else(|| {
        PgError::new("42704", format!("unrecognized exception condition \"{name}\""))
    })
}

/// Whether an error is meant by a condition: a code, a class, or nothing for OTHERS.
pub fn means(condition: &str, code: &str) -> bool {
    match condition {
        "" => code != "57014" && code != "P0004",
        class if class.ends_with("000") => code.starts_with(&class[..2]),
        other => other == code,
    }
}
