//! The cause of a violation as a drawing: the chain of events behind the deciding one, a column a
//! host, time downwards. Must never show an event that the trace does not hold.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::trace::{Event, EventIndex, Trace};

/// Rows of a drawing; the latest links of a longer chain are shown.
const ROWS_MAX: usize = 14;
/// Columns of a drawing; events of other hosts name their host in the label.
const COLUMNS_MAX: usize = 6;
/// The host of what nobody does.
const WORLD: &str = "world";
/// A line of the drawing is cut here.
const WIDTH: usize = 118;

/// The events that tell how `deciding` came about: those listed, and the chains of causes behind
/// them, the last one's first, as many as fit, in order.
pub fn chain<'a>(trace: &'a Trace, deciding: &[EventIndex]) -> Vec<&'a Event> {
    let event = |index: EventIndex| trace.events.get(index as usize);
    let listed = deciding.iter().rev().take(ROWS_MAX / 2);
    let mut chosen: BTreeSet<EventIndex> = listed.copied().collect();
    for index in deciding.iter().rev() {
        let mut next = event(*index);
        while let Some(found) = next {
            if chosen.len() >= ROWS_MAX && !chosen.contains(&found.index) {
                break;
            }
            chosen.insert(found.index);
            let cause = found.cause.filter(|&cause| cause < found.index).and_then(event);
            // What the world does follows only what the world did before: the end of the story.
            next = cause.filter(|cause| found.host != cause.host || &*found.host != WORLD);
        }
    }
    chosen.into_iter().filter_map(event).collect()
}

/// Draws `events`, which are in order. Empty when there is nothing to draw.
pub fn draw(events: &[&Event], steps: u64) -> String {
    if events.is_empty() {
        return String::new();
    }
    let columns = columns(events);
    let width = columns.iter().map(|host| host.chars().count() + 2).max().unwrap_or(0).max(12);
    let mut out = String::new();
    let head = format!("  cause, {} of {steps} steps  ", events.len());
    let left = head.len().max(26);
    let _ = write!(out, "{head:<left$}");
    for host in &columns {
        let _ = write!(out, "{host:<width$}");
    }
    let mut lines = vec![out.trim_end().to_owned()];
    for event in events {
        let arrow = Arrow::of(event, events, &columns);
        let head = format!("{:>8}  {:>9}", event.step, event.at.to_string());
        let line =
            format!("{head:<left$}{} {}", arrow.row(columns.len(), width), label(event, &arrow));
        lines.push(cut(&line));
    }
    lines.join("\n") + "\n"
}

/// Hosts in order of appearance.
fn columns<'a>(events: &[&'a Event]) -> Vec<&'a str> {
    let mut columns: Vec<&str> = Vec::new();
    for event in events {
        if !columns.contains(&&*event.host) && columns.len() < COLUMNS_MAX {
            columns.push(&event.host);
        }
    }
    columns
}

/// From the column of the cause to the column of the event; either may have none.
struct Arrow {
    from: Option<usize>,
    to: Option<usize>,
}

impl Arrow {
    fn of(event: &Event, events: &[&Event], columns: &[&str]) -> Arrow {
        let column = |host: &str| columns.iter().position(|column| *column == host);
        let cause = event.cause.and_then(|index| events.iter().find(|other| other.index == index));
        Arrow { from: cause.and_then(|cause| column(&cause.host)), to: column(&event.host) }
    }

    fn row(&self, columns: usize, width: usize) -> String {
        let mut cells = vec![' '; columns * width];
        for column in 0..columns {
            cells[column * width] = '│';
        }
        if let (Some(from), Some(to)) = (self.from, self.to) {
            let (from, to) = (from * width, to * width);
            let between = from.abs_diff(to).saturating_sub(1);
            for cell in cells.iter_mut().skip(from.min(to) + 1).take(between) {
                *cell = if *cell == '│' { '┼' } else { '─' };
            }
            if from < to {
                (cells[from], cells[to - 1]) = ('├', '▶');
            } else if to < from {
                (cells[from], cells[to + 1]) = ('┤', '◀');
            }
        }
        if let Some(to) = self.to {
            cells[to * width] = '●';
        }
        cells.into_iter().collect()
    }
}

fn label(event: &Event, arrow: &Arrow) -> String {
    let mut label = String::new();
    if arrow.to.is_none() {
        let _ = write!(label, "{}: ", event.host);
    }
    label.push_str(event.name);
    for (key, value) in &event.fields {
        let text = value.to_string();
        if !text.is_empty() {
            let _ = write!(label, " {}={}", key.trim_start_matches("r#"), short(&text));
        }
    }
    label
}

/// An id is recognised by its beginning.
fn short(text: &str) -> String {
    let is_id = text.len() > 20 && !text.contains(char::is_whitespace);
    if is_id { text.chars().take(12).chain(['…']).collect() } else { text.to_owned() }
}

fn cut(line: &str) -> String {
    let line = line.trim_end().replace('\n', " ");
    if line.chars().count() <= WIDTH {
        return line;
    }
    line.chars().take(WIDTH - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::env::Moment;

    fn event(index: u32, host: &str, name: &'static str, cause: Option<u32>) -> Event {
        Event {
            index,
            step: u64::from(index) * 10,
            at: Moment(Duration::from_millis(u64::from(index))),
            host: host.into(),
            task: "t",
            name,
            fields: vec![("user", "ana".into())],
            cause,
        }
    }

    fn story() -> Trace {
        let events = vec![
            event(0, "ana", "user.sent", None),
            event(1, "bob", "user.sent", None),
            event(2, "gateway", "frame.handled", Some(0)),
            event(3, "db", "db.commit", Some(2)),
            event(4, "ana", "user.received", Some(3)),
        ];
        Trace { events, steps: 50, ..Trace::default() }
    }

    #[test]
    fn a_chain_holds_causes_and_nothing_else() {
        let trace = story();
        let indices: Vec<u32> = chain(&trace, &[4]).iter().map(|event| event.index).collect();
        assert_eq!(indices, [0, 2, 3, 4]);
    }

    #[test]
    fn a_listed_event_is_shown_although_it_is_no_cause() {
        let trace = story();
        let indices: Vec<u32> = chain(&trace, &[1, 3]).iter().map(|event| event.index).collect();
        assert_eq!(indices, [0, 1, 2, 3]);
    }

    #[test]
    fn arrows_go_from_the_host_of_the_cause_to_the_host_of_the_event() {
        let trace = story();
        let drawing = draw(&chain(&trace, &[4]), trace.steps);
        let expected = "  cause, 4 of 50 steps    ana         gateway     db
       0     0.000s       ●           │           │            user.sent user=ana
      20     0.002s       ├──────────▶●           │            frame.handled user=ana
      30     0.003s       │           ├──────────▶●            db.commit user=ana
      40     0.004s       ●◀──────────┼───────────┤            user.received user=ana
";
        assert_eq!(drawing, expected);
    }

    #[test]
    fn a_drawing_is_bounded_however_long_the_chain() {
        let chained = |index: u32| event(index, "ana", "user.sent", index.checked_sub(1));
        let trace = Trace { events: (0..1000).map(chained).collect(), ..Trace::default() };
        let chain = chain(&trace, &[999]);
        assert_eq!(chain.len(), ROWS_MAX);
        assert_eq!(chain.last().map(|event| event.index), Some(999));
    }
}
