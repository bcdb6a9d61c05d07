//! What a server answers to a statement, as text that two of them can be compared by. Must never
//! leave out more than what PostgreSQL leaves to chance.

use crate::postgres::raw::Back;

/// What is compared of a message: all but who raised it, in which line of which file.
const FIELDS: &[u8] = b"SCMDHPpqWstcdn";

/// Intervals are equal that are not written alike.
const INTERVAL: u32 = 1186;

/// One statement's answer, line by line.
pub struct Answer {
    lines: Vec<String>,
    /// The same, for what is equal under ORDER BY and not the same.
    loose: Vec<String>,
    /// Of the error, if it is one.
    pub code: Option<String>,
}

impl Answer {
    pub fn new(backs: &[Back]) -> Answer {
        let lines: Vec<String> = backs.iter().map(line).collect();
        let loosened = |(back, line): (&Back, &String)| match back.kind {
            b'D' => without_scales(line),
            _ => line.clone(),
        };
        let mut loose: Vec<String> = backs.iter().zip(&lines).map(loosened).collect();
        if lines.iter().any(|line| line.contains(&format!(" {INTERVAL} "))) {
            loose.sort();
        }
        let error = backs.iter().find(|back| back.kind == b'E');
        let code = error.and_then(|error| error.field(b'C')).map(str::to_owned);
        Answer { lines, loose, code }
    }

    /// The server ended the session.
    pub fn lost() -> Answer {
        let lines = vec!["lost".to_owned()];
        Answer { loose: lines.clone(), lines, code: None }
    }

    pub fn text(&self) -> String {
        self.lines.join("\n")
    }

    pub fn same_as(&self, other: &Answer) -> bool {
        self.lines == other.lines || self.loose == other.loose
    }
}

fn line(back: &Back) -> String {
    match back.kind {
        b'T' => back.columns(),
        b'D' => {
            let cells = back.cells().into_iter().map(|cell| cell.unwrap_or("NULL".to_owned()));
            cells.collect::<Vec<_>>().join("|")
        }
        b'E' | b'N' => {
            let field =
                |kind: &u8| back.field(*kind).map(|text| format!("{} {text}", *kind as char));
            FIELDS.iter().filter_map(field).collect::<Vec<_>>().join("\n")
        }
        kind => format!("{} {}", kind as char, String::from_utf8_lossy(&back.body)),
    }
}

/// The text without zeros at the end of fractions, and without the sign of a zero.
fn without_scales(row: &str) -> String {
    let mut text = String::new();
    let mut rest = row;
    while let Some((before, after)) = rest.split_once('.') {
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (fraction, after) = after.split_at(digits);
        text.push_str(before);
        let kept = fraction.trim_end_matches('0');
        if !kept.is_empty() || fraction.is_empty() {
            text.push('.');
            text.push_str(kept);
        }
        rest = after;
    }
    text.push_str(rest);
    let cells = text.split('|').map(|cell| if cell == "-0" { "0" } else { cell });
    cells.collect::<Vec<_>>().join("|")
}
