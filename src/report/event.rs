//! One event on one line, for people. Must never leave out what the event holds.

use std::fmt::Write as _;

use crate::trace::Event;

/// `     12    1036     1.198s  gateway      frame.handled method=run.start  after 11`
pub fn event_line(event: &Event) -> String {
    let at = event.at.to_string();
    let mut line = format!("{:>7} {:>7} {at:>10}  {:<12}", event.index, event.step, event.host);
    let _ = write!(line, " {}", event.name);
    for (key, value) in &event.fields {
        let _ = write!(line, " {}={}", key.trim_start_matches("r#"), shown(&value.to_string()));
    }
    if let Some(cause) = event.cause {
        let _ = write!(line, "  after {cause}");
    }
    line
}

/// A text with blanks, or none at all, is quoted, so that fields stay apart.
fn shown(text: &str) -> String {
    let plain = !text.is_empty() && text.chars().all(|c| !c.is_whitespace() && !c.is_control());
    if plain { text.to_owned() } else { format!("{text:?}") }
}
