//! The determinism fence: what is banned, where it is allowed, what to use instead.
//! Must never be loosened where a line of the backend or of a digest could pass.

use super::Finding;
use super::source::{Path, Source};

/// One row of the fence.
pub struct Ban {
    /// Path segments; `Atomic*` stands for every name that begins so, a final `!` for a macro.
    pub items: &'static [&'static str],
    /// Beginnings of the paths of files that own the thing.
    pub allowed: &'static [&'static str],
    pub instead: &'static str,
}

const REAL: &str = "src/env/tokio_env.rs";
const CORES: &str = "src/sync/cores/";
const WORLD: &str = "src/world/";
const SEARCH: &str = "src/search/";
const REPORT: &str = "src/report/";
const CLI: &str = "src/cli/";
const MAIN: &str = "src/main.rs";

/// Within an allowed place, what is not: the simulated PostgreSQL is a guest of the world.
const NEVER: &str = "src/world/postgres/";

pub const FENCE: &[Ban] = &[
    Ban {
        items: &["SystemTime"],
        allowed: &[REAL],
        instead: "`Clock::unix_ms`: the wall clock of the host",
    },
    Ban {
        items: &["Instant::now", "time::Instant"],
        allowed: &[REAL, "src/world/budget.rs", "src/world/meter.rs", SEARCH, REPORT, CLI],
        instead: "`Clock::now`: the time of the host",
    },
    Ban {
        items: &["rand", "fastrand", "getrandom", "RandomState", "DefaultHasher", "OsRng"],
        allowed: &[REAL],
        instead: "`Entropy`, or a named `Stream` of the seed",
    },
    Ban {
        items: &["Uuid::new_v4", "Uuid::now_v7"],
        allowed: &[],
        instead: "an id made from `Entropy`",
    },
    Ban {
        items: &["tokio::spawn", "tokio::task::spawn*", "tokio::task::JoinSet", "task::LocalSet"],
        allowed: &[REAL, "src/world/turmoil.rs"],
        instead: "`Spawn::spawn`, or `Spawn::blocking`",
    },
    Ban {
        items: &["tokio::time"],
        allowed: &[REAL, WORLD],
        instead: "`Clock::sleep`, `Clock::timeout`",
    },
    Ban { items: &["tokio::net", "std::net::Tcp*"], allowed: &[REAL], instead: "`Net`" },
    Ban { items: &["tokio::signal"], allowed: &[REAL], instead: "`Machine::stop_requested`" },
    Ban {
        items: &["tokio::sync", "futures_util::lock", "futures_channel"],
        allowed: &[],
        instead: "`sync/`: `watch` draws randomness, and the world sees none of their steps",
    },
    Ban {
        items: &["Mutex", "RwLock", "Condvar", "Barrier", "mpsc", "Atomic*", "atomic"],
        allowed: &[REAL, CORES, WORLD, SEARCH, REPORT, CLI, MAIN],
        instead: "`sync/`: each of its operations is a scheduling point",
    },
    Ban {
        items: &[
            "LazyLock",
            "OnceLock",
            "OnceCell",
            "LazyCell",
            "std::sync::Once",
            "thread_local!",
        ],
        allowed: &[WORLD, SEARCH, REPORT, CLI, MAIN],
        instead: "a field, or `sync::Once`: a static is shared by seeds that run side by side",
    },
    Ban {
        items: &["std::thread", "thread::spawn", "thread::sleep", "thread::scope"],
        allowed: &[REAL, WORLD, SEARCH, REPORT, CLI, MAIN],
        instead: "`Spawn`",
    },
    Ban {
        items: &["HashMap", "HashSet"],
        allowed: &[],
        instead: "`BTreeMap`, `BTreeSet` or a `Vec`: their order is the same in every process",
    },
    Ban {
        items: &["std::fs", "std::env", "std::process"],
        allowed: &[WORLD, SEARCH, REPORT, CLI, MAIN],
        instead: "a value handed in by the command line: a run depends on its seed alone",
    },
    Ban {
        items: &["println!", "print!", "eprintln!", "eprint!"],
        allowed: &[REPORT, CLI, MAIN],
        instead: "an event, or a sink of the report",
    },
];

/// Within the guest: the file that holds the one lock around a cluster's state.
const STORE: &str = "src/world/postgres/store.rs";

/// SQL's `real` and `double precision` are values of the guest; a digest covers their texts.
const SQL_VALUES: &str = "src/world/postgres/";

/// Floats have no place where a digest is made.
pub const DIGESTED: &[&str] =
    &["src/backend/", "src/seed.rs", "src/plan", "src/trace/", "src/verdict/", WORLD];

pub fn check(source: &Source) -> Vec<Finding> {
    if !source.path.starts_with("src/") {
        return Vec::new();
    }
    let paths = source.paths();
    let banned = FENCE.iter().filter(|ban| !allows(ban, &source.path));
    let mut findings: Vec<Finding> =
        banned.flat_map(|ban| paths.iter().filter_map(|path| breach(ban, path, source))).collect();
    findings.extend(paths.iter().filter_map(|path| unbiased(path, source)));
    let digested = DIGESTED.iter().any(|place| source.path.starts_with(place));
    if digested && !source.path.starts_with(SQL_VALUES) {
        findings.extend(paths.iter().filter_map(|path| float(path, source)));
    }
    findings
}

fn allows(ban: &Ban, path: &str) -> bool {
    if path == STORE {
        return ban.items.contains(&"Mutex");
    }
    !path.starts_with(NEVER) && ban.allowed.iter().any(|place| path.starts_with(place))
}

fn breach(ban: &Ban, path: &Path, source: &Source) -> Option<Finding> {
    let item = ban.items.iter().find(|item| names(path, item, source))?;
    Some(Finding::new(source, path.line, format!("`{item}` is banned here: use {}", ban.instead)))
}

/// Whether the segments of `item` stand in `path`, one after the other.
fn names(path: &Path, item: &str, source: &Source) -> bool {
    let is_macro = item.ends_with('!');
    if is_macro && !source.reads(path.end, &["!"]) {
        return false;
    }
    let wanted: Vec<&str> = item.trim_end_matches('!').split("::").collect();
    path.segments.windows(wanted.len()).any(|found| {
        found.iter().zip(&wanted).all(|(found, wanted)| match wanted.strip_suffix('*') {
            Some(start) => found.starts_with(start),
            None => found == wanted,
        })
    })
}

fn unbiased(path: &Path, source: &Source) -> Option<Finding> {
    let is_select = path.segments.last().is_some_and(|last| last == "select");
    let (at, biased) = (path.end, "biased");
    let chooses = is_select && source.reads(at, &["!"]);
    let fair = source.reads(at + 2, &[biased]);
    (chooses && !fair).then(|| {
        let message = "`select!` without `biased` is banned: it draws from process-wide state";
        Finding::new(source, path.line, message)
    })
}

fn float(path: &Path, source: &Source) -> Option<Finding> {
    let float = path.segments.iter().find(|segment| ["f32", "f64"].contains(&segment.as_str()))?;
    let message = format!("`{float}` is banned here: use integers, parts in a million");
    Some(Finding::new(source, path.line, message))
}
