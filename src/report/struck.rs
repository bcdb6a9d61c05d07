//! The faults that struck, at the scenario lines that asked for them. Must never blame a fault
//! that did not happen in this run.

use super::paint::Mark;
use crate::scenario::{FaultKind, FaultSpec, Scenario};
use crate::trace::{Event, EventIndex, Trace};
use crate::world::events;
use crate::world::postgres::names;

/// One mark for each line whose fault struck up to `last`, with what it did and when.
pub fn struck(scenario: &Scenario, trace: &Trace, last: EventIndex) -> Vec<Mark> {
    let before = trace.events.iter().take_while(|event| event.index <= last);
    let mut marks: Vec<Mark> = Vec::new();
    for (event, word, host) in before.filter_map(fault) {
        let asked = |spec: &&FaultSpec| spec.what.word() == word && hits(&spec.what, host);
        let Some(spec) = scenario.faults.iter().find(asked) else { continue };
        let text = format!("{host}, step {}, t={}", event.step, event.at);
        match marks.iter_mut().find(|(span, _)| *span == spec.span) {
            Some((_, label)) if label.len() > 60 => {}
            Some((_, label)) => *label = format!("{label}; {text}"),
            None => marks.push((spec.span.clone(), format!("{word} struck {text}"))),
        }
    }
    marks
}

/// The scenario's word for a world event that is a fault, and the host that it struck.
fn fault(event: &Event) -> Option<(&Event, &str, &str)> {
    let (word, host) = match event.name {
        events::HOST_CRASHED => (event.text("kind")?, "host"),
        events::HOST_STOPPING => ("stop", "host"),
        events::HOST_PAUSED => ("pause", "host"),
        events::NET_PARTITION => ("partition", "from"),
        events::NET_RESET => ("reset", "host"),
        events::NET_STALLED => ("stall", "host"),
        events::CLOCK_JUMPED => ("clock_jump", "host"),
        names::STRUCK => (event.text("fault")?, "host"),
        _ => return None,
    };
    Some((event, word, event.text(host)?))
}

fn hits(what: &FaultKind, host: &str) -> bool {
    match what {
        FaultKind::Crash { hosts, .. }
        | FaultKind::PowerLoss { hosts, .. }
        | FaultKind::Stop { hosts, .. }
        | FaultKind::Reset { hosts }
        | FaultKind::Stall { hosts, .. }
        | FaultKind::Pause { hosts, .. }
        | FaultKind::ClockJump { hosts, .. }
        | FaultKind::Statement { hosts, .. }
        | FaultKind::Commit { hosts, .. }
        | FaultKind::Connections { hosts, .. } => hosts.iter().any(|named| named == host),
        FaultKind::Partition { from, to, .. } => from.iter().chain(to).any(|named| named == host),
    }
}
