//! TOML to [`Scenario`], with diagnostics that point at the source. Must never run anything.

mod diagnostic;
mod events;
mod expects;
mod faults;
mod grammar;
mod keys;
mod load;
mod model;
mod order;
mod reader;
mod steps;
mod vocabulary;
mod words;

pub use diagnostic::{Diagnostic, nearest, render};
pub use grammar::Grammar;
pub use load::{choose, parse};
pub use model::{
    Between, Claim, Expect, FaultKind, FaultSpec, ForEach, Literal, Lost, Matches, NetworkSpec,
    Pattern, Reconnect, Run, Scenario, Scope, Span, StepSpec, Strategy, Test, Undrawn, UserSpec,
    Waiver, Where,
};
pub use order::{Atom, ExprError, Op, Order};
pub use vocabulary::{Kind, ParamWord, Setting, SettingWord, StepWord, Vocabulary, Word};
pub use words::{StrategyError, show, show_ppm};
