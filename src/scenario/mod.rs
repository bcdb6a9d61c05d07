//! TOML to [`Scenario`], with diagnostics that point at the source. Must never run anything.

mod vocabulary;

pub use vocabulary::{Kind, ParamWord, SettingWord, StepWord, Vocabulary, Word};

/// A scenario file, checked. (Its fields come with the loader.)
#[derive(Clone, Debug, Default)]
pub struct Scenario {
    pub name: String,
}
