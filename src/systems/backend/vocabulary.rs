//! The words the backend adds to scenario files. Must never mean anything by itself: `settings`
//! and `client` give them their meaning.

use std::time::Duration;

use super::{events, invariants};
use crate::backend;
use crate::env::EventSpec;
use crate::plan::Setting;
use crate::scenario::{Kind, ParamWord, SettingWord, StepWord, Vocabulary, Word};
use crate::systems::database;
use crate::world;

pub const HOSTS: &[&str] = &["gateway", "db"];

/// Phases of start-up that may take longer than their work.
pub const PHASES: &[&str] =
    &["init", "dependencies", "database", "cache", "services", "websocket", "finalize", "ready"];

pub fn vocabulary() -> Vocabulary {
    let catalogues: [&[EventSpec]; 4] = [
        world::events::CATALOGUE,
        backend::events::CATALOGUE,
        database::events::CATALOGUE,
        events::CATALOGUE,
    ];

    // What is not compiled in cannot be switched on.
    let plants = backend::plants::Plant::ALL.iter().filter(|_| cfg!(feature = "planted"));
    Vocabulary {
        hosts: HOSTS.to_vec(),
        settings: settings(),
        steps: steps(),
        events: catalogues.concat(),
        plants: plants.map(|p| Word { name: p.name(), about: p.about() }).collect(),
        invariants: invariants::WORDS.to_vec(),
    }
}

fn duration(key: &'static str, default_ms: u64, about: &'static str) -> SettingWord {
    let default = Setting::Duration(Duration::from_millis(default_ms));
    SettingWord { key, kind: Kind::Duration, default, about }
}

fn int(key: &'static str, range: (i64, i64), default: i64, about: &'static str) -> SettingWord {
    let (min, max) = range;
    SettingWord { key, kind: Kind::Int { min, max }, default: Setting::Int(default), about }
}

/// Keys are those of [`super::settings`]; the defaults are production's, except for what would
/// only cost time.
fn settings() -> Vec<SettingWord> {
    vec![
        int("gateway.replicas", (1, 1), 1, "gateway processes"),
        duration("gateway.startup.init", 0, "what this phase takes beside its work"),
        duration("gateway.startup.dependencies", 0, "what this phase takes beside its work"),
        duration("gateway.startup.database", 0, "what this phase takes beside its work"),
        duration("gateway.startup.cache", 0, "what this phase takes beside its work"),
        duration("gateway.startup.services", 0, "what this phase takes beside its work"),
        duration("gateway.startup.websocket", 0, "what this phase takes beside its work"),
        duration("gateway.startup.finalize", 0, "what this phase takes beside its work"),
        duration("gateway.startup.ready", 0, "what this phase takes beside its work"),
        duration("gateway.admission_wait", 20_000, "how long an early upgrade is held"),
        duration("gateway.connect_wait", 10_000, "for the first frame, which is `connect`"),
        duration("gateway.ping", 25_000, "between pings, give or take a fifth"),
        duration("gateway.run_deadline", 60_000, "for a whole run"),
        duration("gateway.purge_after", 60_000, "a finished run is remembered in memory"),
        int("limits.connections_per_user", (1, 100), 5, "live connections of a user"),
        int("limits.held", (1, 10_000), 1000, "upgrades that wait for start-up"),
        int("limits.runs_per_user", (1, 100), 3, "active runs of a user"),
        int("limits.runs_per_tenant", (1, 1000), 50, "active runs of a tenant"),
        int("limits.queue_bytes", (1024, 1 << 30), 1 << 20, "frames queued on a connection"),
        database::isolation_word(),
        int("database.pool", (1, 1000), 16, "sessions in the pool"),
        duration("model.first_chunk", 120, "before the first chunk of a model turn"),
        duration("model.chunk", 15, "between chunks"),
        duration("model.tool", 30, "a tool's work"),
    ]
}

fn param(key: &'static str, kind: Kind, about: &'static str) -> ParamWord {
    ParamWord { key, kind, required: false, about }
}

fn step(
    word: &'static str,
    value: Option<Kind>,
    params: Vec<ParamWord>,
    about: &'static str,
) -> StepWord {
    StepWord { word, value, params, about }
}

fn steps() -> Vec<StepWord> {
    let tab = || param("tab", Kind::Int { min: 1, max: 9 }, "which tab; 1 unless said");
    let within = || param("within", Kind::Duration, "its bound; 60s unless said");
    let of = param("of", Kind::Int { min: 1, max: 99 }, "which ask, counted from 1; the latest");
    let thread = param("thread", Kind::Text, "in which of the user's threads; the main one");
    let words = param("words", Kind::Int { min: 0, max: 10_000 }, "that many words longer; 0");
    let heard = param("heard_after", Kind::Duration, "when the server hears of it; at once, 0ms");
    let at = param("at", Kind::Duration, "not before this moment of the run");
    vec![
        step("login", None, vec![within()], "get a token before anything else"),
        step("connect", None, vec![at, tab(), within()], "open a tab and wait until it is ready"),
        step("open", None, vec![tab()], "open a tab and go on at once"),
        step("ask", Some(Kind::Text), vec![tab(), thread, words], "start a run with this message"),
        step(
            "await",
            Some(Kind::Text),
            vec![within(), tab(), of],
            "wait for this event of the latest ask, at this tab or else at any",
        ),
        step("cancel", None, vec![tab(), within()], "cancel the run of the latest ask"),
        step("ping", None, vec![tab()], "ask the server for a sign of life"),
        step("drop", None, vec![tab(), heard], "break a tab's connection without a goodbye"),
        step("disconnect", None, vec![tab()], "close a tab for good"),
        step("wait", Some(Kind::Duration), vec![], "do nothing for a while"),
    ]
}
