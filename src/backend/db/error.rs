//! What failed in the database, by class. The class alone decides whether a transaction is tried
//! again. Must never put a timeout among the lost connections.

use tokio_postgres::Error;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// 40P01
    Deadlock,
    /// 40001
    Serialization,
    /// 08xxx, 57P01–57P03, 53300, a closed socket
    Connection,
    /// 57014, 55P03, 25P03, the wait for a session, our own deadline
    Timeout,
    /// 23xxx
    Constraint,
    /// 25P02
    Aborted,
    /// 28xxx, 42501
    Permission,
    /// 42xxx
    Schema,
    /// 53xxx
    Resource,
    Other,
}

impl Class {
    pub fn of_sqlstate(code: &str) -> Class {
        match code {
            "40P01" => Class::Deadlock,
            "40001" => Class::Serialization,
            "57P01" | "57P02" | "57P03" | "53300" => Class::Connection,
            "57014" | "55P03" | "25P03" => Class::Timeout,
            "25P02" => Class::Aborted,
            "42501" => Class::Permission,
            _ => match code.get(..2) {
                Some("08") => Class::Connection,
                Some("23") => Class::Constraint,
                Some("28") => Class::Permission,
                Some("42") => Class::Schema,
                Some("53") => Class::Resource,
                _ => Class::Other,
            },
        }
    }

    /// Whether a transaction that failed so before its COMMIT was sent may be tried again: it is
    /// certain that nothing of it was applied, and another try may fare better.
    pub fn retried(self) -> bool {
        matches!(self, Class::Deadlock | Class::Serialization | Class::Connection)
    }

    pub fn name(self) -> &'static str {
        match self {
            Class::Deadlock => "deadlock",
            Class::Serialization => "serialization",
            Class::Connection => "connection",
            Class::Timeout => "timeout",
            Class::Constraint => "constraint",
            Class::Aborted => "aborted",
            Class::Permission => "permission",
            Class::Schema => "schema",
            Class::Resource => "resource",
            Class::Other => "other",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {} {sqlstate} {detail}", class.name())]
pub struct TransactionError {
    /// The statement's or step's name.
    pub what: &'static str,
    pub class: Class,
    /// Empty when the server did not say.
    pub sqlstate: String,
    pub detail: String,
    /// The connection was lost, or the wait given up, after COMMIT was sent: applied or not.
    pub ambiguous: bool,
}

impl TransactionError {
    pub fn new(what: &'static str, class: Class, detail: impl Into<String>) -> TransactionError {
        let (sqlstate, detail) = (String::new(), detail.into());
        TransactionError { what, class, sqlstate, detail, ambiguous: false }
    }

    pub fn of_driver(what: &'static str, error: &Error) -> TransactionError {
        let Some(db) = error.as_db_error() else {
            let class =
                if error.is_closed() || is_io(error) { Class::Connection } else { Class::Other };
            return TransactionError::new(what, class, error.to_string());
        };
        let sqlstate = db.code().code().to_owned();
        let (class, detail) = (Class::of_sqlstate(&sqlstate), db.message().to_owned());
        TransactionError { what, class, sqlstate, detail, ambiguous: false }
    }

    /// The same failure, met after COMMIT was sent.
    pub(super) fn at_commit(mut self) -> TransactionError {
        self.ambiguous = matches!(self.class, Class::Connection | Class::Timeout);
        self
    }
}

fn is_io(error: &Error) -> bool {
    use std::error::Error as _;
    error.source().is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sqlstate_has_the_class_of_the_contract() {
        let table = [
            ("40P01", Class::Deadlock),
            ("40001", Class::Serialization),
            ("08006", Class::Connection),
            ("57P01", Class::Connection),
            ("57P03", Class::Connection),
            ("53300", Class::Connection),
            ("57014", Class::Timeout),
            ("55P03", Class::Timeout),
            ("25P03", Class::Timeout),
            ("23505", Class::Constraint),
            ("25P02", Class::Aborted),
            ("28P01", Class::Permission),
            ("42501", Class::Permission),
            ("42P01", Class::Schema),
            ("53200", Class::Resource),
            ("22012", Class::Other),
        ];
        for (code, class) in table {
            assert_eq!(Class::of_sqlstate(code), class, "{code}");
        }
    }

    #[test]
    fn a_timeout_is_never_retried() {
        assert!(!Class::Timeout.retried());
    }
}
