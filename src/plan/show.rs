//! A plan as people read it before a run, and the names of engines.
//! Must never leave out what the run depends on.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Engine, Fault, FaultPlan, NetworkPlan, Plan, Setting, StepPlan, UserPlan};
use crate::scenario::{show, show_ppm};

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Engine::Native => "native",
            Engine::Turmoil => "turmoil",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an engine: expected native or turmoil")]
pub struct EngineError(pub String);

impl FromStr for Engine {
    type Err = EngineError;

    fn from_str(text: &str) -> Result<Engine, EngineError> {
        let named = |engine: &Engine| engine.to_string() == text;
        let found = [Engine::Native, Engine::Turmoil].into_iter().find(named);
        found.ok_or_else(|| EngineError(text.to_owned()))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plan {}@{}   {}, {}", self.scenario, self.seed, self.engine, self.strategy)?;
        if !self.plants.is_empty() {
            write!(f, ", planted {}", self.plants.join(" "))?;
        }
        let (until, quiesce) = (show(self.faults_until), show(self.quiesce));
        writeln!(f, "\n  until    {until}, then quiet up to {quiesce}; {} steps", self.steps_max)?;
        writeln!(f, "  network  {}", self.network)?;
        section(f, "system", self.settings.iter().map(|(key, value)| format!("{key} = {value}")))?;
        section(f, "users", self.users.iter().map(UserPlan::to_string))?;
        section(f, "faults", self.faults.iter().map(FaultPlan::to_string))
    }
}

/// One item a line, the section's name before the first.
fn section(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    items: impl Iterator<Item = String>,
) -> fmt::Result {
    for (index, item) in items.enumerate() {
        writeln!(f, "  {:<8} {item}", if index == 0 { name } else { "" })?;
    }
    Ok(())
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Setting::Duration(duration) => f.write_str(&show(*duration)),
            Setting::Int(number) => write!(f, "{number}"),
            Setting::Text(text) => write!(f, "{text:?}"),
            Setting::Bool(flag) => write!(f, "{flag}"),
        }
    }
}

impl fmt::Display for UserPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: Vec<String> = self.steps.iter().map(StepPlan::to_string).collect();
        write!(f, "{} (reconnect: {})  {}", self.name, self.reconnect, steps.join("; "))
    }
}

impl fmt::Display for StepPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.word)?;
        if let Some(value) = self.params.get("value") {
            write!(f, " {value}")?;
        }
        for (key, value) in self.params.iter().filter(|(key, _)| *key != "value") {
            write!(f, " {key}={value}")?;
        }
        Ok(())
    }
}

impl fmt::Display for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<12} {}", show(self.at), self.what)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let back = |after: &Option<Duration>| match after {
            Some(after) => format!(", back after {}", show(*after)),
            None => String::new(),
        };
        match self {
            Fault::Crash { host, restart_after } => {
                write!(f, "crash {host}{}", back(restart_after))
            }
            Fault::PowerLoss { host, restart_after } => {
                write!(f, "power loss of {host}{}", back(restart_after))
            }
            Fault::Stop { host, restart_after } => write!(f, "stop {host}{}", back(restart_after)),
            Fault::Partition { from, to, one_way, for_ } => {
                let arrow = if *one_way { "->" } else { "<->" };
                write!(f, "partition {from} {arrow} {to} for {}", show(*for_))
            }
            Fault::Reset { host } => write!(f, "reset a connection of {host}"),
            Fault::Stall { host, for_ } => {
                write!(f, "stall a connection of {host} for {}", show(*for_))
            }
            Fault::Pause { host, for_ } => write!(f, "pause {host} for {}", show(*for_)),
            Fault::ClockJump { host, ms } => write!(f, "clock of {host} jumps by {ms}ms"),
            Fault::Statement { host, matching, slow, sqlstate } => {
                write!(f, "statement like {matching:?} on {host}")?;
                if !slow.is_zero() {
                    write!(f, ", slower by {}", show(*slow))?;
                }
                sqlstate.as_ref().map_or(Ok(()), |sqlstate| write!(f, ", fails with {sqlstate}"))
            }
            Fault::Commit { host, applied } => {
                let applied = if *applied { "applied" } else { "not applied" };
                write!(f, "connection of a COMMIT on {host} lost, {applied}")
            }
            Fault::Connections { host, most, for_ } => {
                write!(f, "no more than {most} connections to {host} for {}", show(*for_))
            }
        }
    }
}

impl fmt::Display for NetworkPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = (show(self.latency_min), show(self.latency_max));
        write!(f, "latency {low}..{high}, segments up to {} bytes", self.segment_max)?;
        if self.chop_ppm > 0 {
            write!(f, ", {} of writes cut", show_ppm(self.chop_ppm))?;
        }
        if self.spike_ppm > 0 {
            write!(f, ", {} of segments late by {}", show_ppm(self.spike_ppm), show(self.spike))?;
        }
        if self.stall_ppm > 0 {
            let (share, most) = (show_ppm(self.stall_ppm), show(self.stall_max));
            write!(f, ", tasks off the processor at {share} of steps up to {most}")?;
        }
        Ok(())
    }
}
