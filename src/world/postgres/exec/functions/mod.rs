//! Functions and operators, a table a subject. Must never be called but through a plan.

pub mod array;
pub mod json;
pub mod json_text;
pub mod like;
pub mod number;
pub mod system;
pub mod text;
pub mod time;
pub mod to_char;
