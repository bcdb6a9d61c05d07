//! Where two runs of one seed part. Must never call equal what a digest calls different.

use std::fmt;

use crate::trace::{Event, Trace};

/// What makes a seed run differently the second time, most frequent first.
pub const USUAL_CAUSES: [&str; 5] = [
    "a clock read past the seam: SystemTime or Instant::now, a date header, a token's `iat`",
    "entropy past the seam: a UUID, a salt, a WebSocket mask, rand's thread generator",
    "iteration over a HashMap or HashSet with std's random keys",
    "a process-wide counter (statement names, task ids) that another run moved",
    "a task, thread or select! outside the world: tokio::spawn, an unbiased select!",
];

/// The first line that differs; a side that had ended has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// Position of the line, from 0. Events come before choices.
    pub position: usize,
    pub left: Option<String>,
    pub right: Option<String>,
}

impl Divergence {
    /// Compares two histories as [`lines`] tells them; `None` when they are the same.
    pub fn first(left: &[String], right: &[String]) -> Option<Divergence> {
        let longest = left.len().max(right.len());
        let position = (0..longest).find(|&at| left.get(at) != right.get(at))?;
        let (left, right) = (left.get(position).cloned(), right.get(position).cloned());
        Some(Divergence { position, left, right })
    }

    /// The step of the differing event, as its line tells it.
    pub fn step(&self) -> Option<u64> {
        let line = self.left.as_ref().or(self.right.as_ref())?;
        line.split_once("step ")?.1.split(' ').next()?.parse().ok()
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |line: &Option<String>| line.clone().unwrap_or_else(|| "(had ended)".to_owned());
        write!(f, "  here   {}\n  fresh  {}", side(&self.left), side(&self.right))
    }
}

/// Everything that the digest covers, one line an event and then one line a choice.
pub fn lines(trace: &Trace) -> impl Iterator<Item = String> {
    let choice = |(position, choice): (usize, &crate::trace::Choice)| {
        format!("choice {position}: {} of {} by {}", choice.chosen, choice.among, choice.stream)
    };
    trace.events.iter().map(tell).chain(trace.choices.iter().enumerate().map(choice))
}

/// One event with all that the digest covers, on one line.
pub fn tell(event: &Event) -> String {
    use std::fmt::Write as _;
    let nanos = event.at.0.as_nanos();
    let mut line = format!("event {}: step {} at {nanos}ns ", event.index, event.step);
    let _ = write!(line, "{}/{} {}", event.host, event.task, event.name);
    for (key, value) in &event.fields {
        let _ = match value.as_str() {
            Some(text) => write!(line, " {key}={text:?}"),
            None => write!(line, " {key}={value}"),
        };
    }
    let _ = event.cause.map(|cause| write!(line, " after event {cause}"));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|&line| line.to_owned()).collect()
    }

    #[test]
    fn equal_histories_do_not_part() {
        assert_eq!(Divergence::first(&history(&["a", "b"]), &history(&["a", "b"])), None);
    }

    #[test]
    fn a_history_that_ends_early_parts_where_it_ends() {
        let first = Divergence::first(&history(&["a"]), &history(&["a", "b"])).unwrap();
        assert_eq!((first.position, first.left, first.right), (1, None, Some("b".to_owned())));
    }

    #[test]
    fn the_step_is_that_of_the_differing_event() {
        let left = history(&["event 7: step 1036 at 5ns db/main db.commit"]);
        let first = Divergence::first(&left, &[]).unwrap();
        assert_eq!(first.step(), Some(1036));
    }
}
