//! The words the ledger adds to scenario files. Must never mean anything by itself.

use super::{HOST, events, invariants};
use crate::backend;
use crate::env::EventSpec;
use crate::plan::Setting;
use crate::scenario::{Kind, ParamWord, SettingWord, StepWord, Vocabulary, Word};
use crate::systems::database;
use crate::world;

pub const OPENING: &str = "ledger.opening";
pub const POOL: &str = "database.pool";
/// The plant: see [`plants`].
pub const WEAK: &str = "L01";

pub fn vocabulary() -> Vocabulary {
    // Of the backend it has the pool and the transactions.
    let layer = backend::events::CATALOGUE
        .iter()
        .filter(|spec| spec.name.starts_with("pool.") || spec.name.starts_with("db."));
    let catalogues: [&[EventSpec]; 3] =
        [world::events::CATALOGUE, database::events::CATALOGUE, events::CATALOGUE];
    Vocabulary {
        hosts: vec![HOST, database::HOST],
        settings: settings(),
        steps: steps(),
        events: catalogues.concat().iter().chain(layer).copied().collect(),
        plants: plants(),
        invariants: invariants::WORDS.to_vec(),
    }
}

/// What is not compiled in cannot be switched on.
fn plants() -> Vec<Word> {
    let weak = Word { name: WEAK, about: "a deposit runs at READ COMMITTED, whatever is set" };
    if cfg!(feature = "planted") { vec![weak] } else { Vec::new() }
}

fn settings() -> Vec<SettingWord> {
    let int = |key, (min, max), default, about| SettingWord {
        key,
        kind: Kind::Int { min, max },
        default: Setting::Int(default),
        about,
    };
    vec![
        int(OPENING, (0, 1 << 40), 1_000, "cents on each account at first"),
        int(POOL, (1, 1_000), 8, "sessions in the pool"),
        database::isolation_word(),
    ]
}

fn steps() -> Vec<StepWord> {
    let param = |key, kind, required, about| ParamWord { key, kind, required, about };
    let to = || param("to", Kind::Text, true, "the account that gets the money");
    let cents = || param("cents", Kind::Int { min: 1, max: 1 << 40 }, true, "how much");
    let after = || param("after", Kind::Duration, false, "how long to wait first; 0ms");
    let from = param("from", Kind::Text, true, "the account that is locked first and pays");
    let step = |word, value, params, about| StepWord { word, value, params, about };
    vec![
        step("transfer", None, vec![from, to(), cents(), after()], "move money, until answered"),
        step("deposit", None, vec![to(), cents(), after()], "pay money in, until answered"),
        step("wait", Some(Kind::Duration), vec![], "do nothing for a while"),
    ]
}
