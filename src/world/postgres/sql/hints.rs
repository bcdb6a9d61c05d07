//! Which column a name that is not found may have been meant for: the nearest of those that a query
//! could have (`searchRangeTableForCol` and `updateFuzzyAttrMatchState` of PostgreSQL's
//! `parse_relation.c`). Must never find a column.

use super::scope::ScopeRelation;

/// How far off the nearest may be.
const FARTHEST: usize = 3;

/// A column, and how far off it is.
#[derive(Default)]
struct Nearest<'a> {
    distance: usize,
    first: Option<(&'a ScopeRelation, &'a str)>,
    second: Option<(&'a ScopeRelation, &'a str)>,
}

/// The hint for a column of this name, `qualifier` before it.
pub fn hint(entries: &[ScopeRelation], qualifier: Option<&str>, name: &str) -> Option<String> {
    // Of those whose columns are not all here nothing can be said.
    if entries.iter().any(|entry| !entry.lacks.is_empty()) {
        return None;
    }
    let mut nearest = Nearest { distance: FARTHEST + 1, ..Nearest::default() };
    for entry in entries {
        let penalty = qualifier.map_or(0, |alias| distance(alias, &entry.alias));
        let columns = entry.columns.iter();
        if penalty == 0 && columns.clone().any(|column| *column.name == *name) {
            return Some(format!(
                "There is a column named \"{name}\" in table \"{}\", but it cannot be referenced \
                 from this part of the query.",
                entry.alias
            ));
        }
        columns.for_each(|column| nearest.look(entry, penalty, &column.name, name));
    }
    let column = |(entry, name): (&ScopeRelation, &str)| format!("\"{}.{name}\"", entry.alias);
    let first = column(nearest.first?);
    Some(match nearest.second.map(column) {
        Some(second) => {
            format!("Perhaps you meant to reference the column {first} or the column {second}.")
        }
        None => format!("Perhaps you meant to reference the column {first}."),
    })
}

impl<'a> Nearest<'a> {
    fn look(&mut self, entry: &'a ScopeRelation, penalty: usize, column: &'a str, name: &str) {
        if penalty > self.distance {
            return;
        }
        let off = distance(column, name);
        // More than half of it is different.
        if off > name.len() / 2 {
            return;
        }
        let off = off + penalty;
        let found = Some((entry, column));
        if off < self.distance {
            *self = Nearest { distance: off, first: found, second: None };
        } else if off == self.distance {
            if self.second.is_some() {
                *self = Nearest { distance: off.wrapping_sub(1), ..Nearest::default() };
            } else if self.first.is_some() {
                self.second = found;
            } else if self.distance <= FARTHEST {
                self.first = found;
            }
        }
    }
}

/// The Levenshtein distance in characters: one for each that is inserted, left out or changed.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, c) in one.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], at + 1);
        for (index, d) in other.iter().enumerate() {
            let changed = corner + usize::from(c != *d);
            corner = row[index + 1];
            row[index + 1] = changed.min(corner + 1).min(row[index] + 1);
        }
    }
    row[other.len()]
}
