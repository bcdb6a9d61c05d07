//! What a client is told when something fails: SQLSTATE, message and the fields drivers read.
//! Must never decide whether to fail.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::sql::Routine;
use super::types::Datum;

/// An error or notice as the protocol carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PgError(Box<Fields>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// `ERROR`, `FATAL`, `WARNING`, `NOTICE`.
    pub severity: &'static str,
    /// Five characters; none for a connection that is cut without a word.
    pub code: Cow<'static, str>,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// Characters into the query text, from 1.
    pub position: Option<usize>,
    /// A statement that the client did not send, in which the position counts.
    pub query: Option<String>,
    /// Where it happened, innermost first, a line each.
    pub context: Option<String>,
    /// Of the table, if it is one of the database's.
    pub schema: Option<&'static str>,
    pub table: Option<String>,
    pub column: Option<String>,
    pub constraint: Option<String>,
}

impl PgError {
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> PgError {
        let (code, message) = (code.into(), message.into());
        PgError(Box::new(Fields { severity: "ERROR", code, message, ..Fields::default() }))
    }

    pub fn fatal(code: &'static str, message: impl Into<String>) -> PgError {
        PgError::new(code, message).severity("FATAL")
    }

    /// 0A000 with the name of what is not there.
    pub fn unsupported(feature: impl fmt::Display) -> PgError {
        PgError::new("0A000", format!("{feature} is not supported"))
    }

    #[must_use]
    pub fn severity(mut self, severity: &'static str) -> PgError {
        self.0.severity = severity;
        self
    }

    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> PgError {
        self.0.detail = Some(detail.into());
        self
    }

    #[must_use]
    pub fn bare(mut self) -> PgError {
        self.0.detail = None;
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> PgError {
        self.0.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn at(mut self, position: Option<usize>) -> PgError {
        self.0.position = self.0.position.or(position);
        self
    }

    /// Without saying where in the text.
    #[must_use]
    pub fn unplaced(self) -> PgError {
        self.moved(|_| None)
    }

    /// With its position counted in another text.
    #[must_use]
    pub fn moved(mut self, to: impl Fn(usize) -> Option<usize>) -> PgError {
        self.0.position = self.0.position.and_then(to);
        self
    }

    /// In a statement that a function runs.
    #[must_use]
    pub fn within(mut self, query: &str) -> PgError {
        if self.0.position.is_some() && self.0.query.is_none() {
            self.0.query = Some(query.to_owned());
        }
        self
    }

    /// In the statement that the client sent.
    #[must_use]
    pub fn without_query(mut self) -> PgError {
        self.0.query = None;
        self
    }

    /// Whether PostgreSQL finds it while it plans: a function in SQL that it puts in the place of
    /// its call is looked into then, here when it is called.
    pub fn is_of_planning(&self) -> bool {
        self.0.context.as_ref().is_some_and(|context| context.ends_with("during inlining"))
    }

    /// One more line of where it happened.
    #[must_use]
    pub fn context(mut self, line: &str) -> PgError {
        let context = self.0.context.take();
        self.0.context = Some(match context {
            Some(inner) => format!("{inner}\n{line}"),
            None => line.to_owned(),
        });
        self
    }

    #[must_use]
    pub fn table(mut self, table: &str) -> PgError {
        self.0.table = Some(table.to_owned());
        self.0.schema = Some("public");
        self
    }

    /// A table of the catalogue.
    #[must_use]
    pub fn catalogue(mut self, table: &str) -> PgError {
        self.0.table = Some(table.to_owned());
        self.0.schema = Some("pg_catalog");
        self
    }

    /// A table's name that somebody made up.
    #[must_use]
    pub fn said_table(mut self, table: &str) -> PgError {
        self.0.table = Some(table.to_owned());
        self
    }

    #[must_use]
    pub fn column(mut self, column: &str) -> PgError {
        self.0.column = Some(column.to_owned());
        self
    }

    #[must_use]
    pub fn constraint(mut self, constraint: &str) -> PgError {
        self.0.constraint = Some(constraint.to_owned());
        self
    }

    pub fn fields(&self) -> &Fields {
        &self.0
    }

    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The connection is cut: the client hears nothing more.
    pub fn severed() -> PgError {
        PgError::fatal("", "")
    }

    pub fn is_severed(&self) -> bool {
        self.0.code.is_empty()
    }

    pub fn is_fatal(&self) -> bool {
        self.0.severity == "FATAL"
    }
}

impl fmt::Display for PgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.message)
    }
}

impl std::error::Error for PgError {}

pub type Result<T, E = PgError> = std::result::Result<T, E>;

/// Why a statement does not go on.
#[derive(Clone, Debug)]
pub enum Stop {
    Error(PgError),
    /// The session must wait for what it enqueued for, then take the same step again.
    Wait,
    /// A function of one's own must be run first, with these arguments; `true`: nothing might have
    /// stood in the place of its call.
    Call(Arc<(Arc<Routine>, Vec<Datum>, bool)>),
}

impl From<PgError> for Stop {
    fn from(error: PgError) -> Stop {
        Stop::Error(error)
    }
}

/// The outcome of a step that may have to wait.
pub type Step<T> = std::result::Result<T, Stop>;

/// The errors that many places raise.
pub mod common {
    use super::PgError;

    pub fn function_gone(oid: u32) -> PgError {
        PgError::new("XX000", format!("cache lookup failed for function {oid}"))
    }

    pub fn out_of_range(type_name: &str) -> PgError {
        PgError::new("22003", format!("{type_name} out of range"))
    }

    pub fn division_by_zero() -> PgError {
        PgError::new("22012", "division by zero")
    }

    pub fn invalid_text(type_name: &str, text: &str) -> PgError {
        let lower = text.trim().to_lowercase();
        if type_name == "numeric"
            && matches!(lower.trim_start_matches(['-', '+']), "nan" | "infinity" | "inf")
        {
            return PgError::unsupported(format_args!("the numeric {}", text.trim()));
        }
        let is_number = lower.parse::<f64>().is_ok() && !lower.contains(['i', 'n']);
        if type_name == "numeric" && is_number {
            return PgError::unsupported("a numeric of more than 38 digits");
        }
        PgError::new("22P02", format!("invalid input syntax for type {type_name}: \"{text}\""))
    }

    /// Bytes that are no UTF-8, or a zero byte: the first that cannot be taken are named.
    pub fn not_utf8(bytes: &[u8]) -> PgError {
        let valid = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
        let zero = bytes.iter().position(|byte| *byte == 0).unwrap_or(valid);
        let wrong = &bytes[valid.min(zero)..];
        let length = match wrong.first() {
            Some(0xc0..=0xdf) => 2,
            Some(0xe0..=0xef) => 3,
            Some(0xf0..=0xf7) => 4,
            _ => 1,
        };
        let named: Vec<String> =
            wrong.iter().take(length).map(|byte| format!("0x{byte:02x}")).collect();
        let named = named.join(" ");
        PgError::new("22021", format!("invalid byte sequence for encoding \"UTF8\": {named}"))
    }

    pub fn no_relation(name: &str) -> PgError {
        PgError::new("42P01", format!("relation \"{name}\" does not exist"))
    }

    pub fn no_column(name: &str) -> PgError {
        PgError::new("42703", format!("column \"{name}\" does not exist"))
    }

    pub fn no_function(signature: &str) -> PgError {
        PgError::new("42883", format!("function {signature} does not exist")).hint(
            "No function matches the given name and argument types. \
             You might need to add explicit type casts.",
        )
    }

    pub fn no_operator(signature: &str) -> PgError {
        PgError::new("42883", format!("operator does not exist: {signature}")).hint(
            "No operator matches the given name and argument types. \
             You might need to add explicit type casts.",
        )
    }

    pub fn protocol(message: &str) -> PgError {
        PgError::fatal("08P01", message)
    }
}
