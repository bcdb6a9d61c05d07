//! Observation: an event that an expectation may want to see is a `tracing` event declared in a
//! catalogue, so that code cannot emit what the catalogue does not list. Must never hold state.

/// The `tracing` target of every catalogued event.
pub const TARGET: &str = "seedbed";

/// One row of a catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventSpec {
    /// `gateway.accepted`
    pub name: &'static str,
    /// Field names in the order of emission.
    pub fields: &'static [&'static str],
    /// Who emits it, and before or after which effect.
    pub about: &'static str,
}

impl EventSpec {
    pub fn has_field(&self, field: &str) -> bool {
        self.fields.iter().any(|name| name.trim_start_matches("r#") == field)
    }
}

/// Declares a catalogue: a function that emits for each event, and `CATALOGUE` with all of them.
#[macro_export]
macro_rules! events {
    ($(
        $(#[doc = $about:literal])+
        $name:literal $function:ident($($field:ident: $type:ty),* $(,)?);
    )*) => {
        $(
            $(#[doc = $about])+
            #[allow(clippy::too_many_arguments, reason = "one for each field, in its order")]
            pub fn $function($($field: $type),*) {
                tracing::event!(
                    name: $name, target: $crate::env::TARGET, tracing::Level::INFO,
                    { $($field = $field),* }
                );
            }
        )*
        /// Every event of this catalogue.
        pub const CATALOGUE: &[$crate::env::EventSpec] = &[$($crate::env::EventSpec {
            name: $name, fields: &[$(stringify!($field)),*],
            about: concat!($($about),+).trim_ascii(),
        }),*];
    };
}
