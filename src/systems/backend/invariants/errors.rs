//! I25: each database error is of the class that the contract gives its SQLSTATE, and is retried
//! only if that class allows. The table is a copy on purpose: must never be the backend's.

use std::collections::BTreeSet;

use super::text;
use crate::trace::Event;
use crate::verdict::{Broken, Invariant};

/// I25.
#[derive(Debug, Default)]
pub struct ErrorClasses {
    /// SQLSTATEs that the world has injected.
    injected: BTreeSet<String>,
}

/// What a server answers to a program that is wrong: data exceptions, broken constraints, unknown
/// statements and cursors, syntax, names and types.
const DEFECTS: &[&str] = &["22", "23", "26", "34", "42"];

/// `None` when the server did not say.
fn class_of(sqlstate: &str) -> Option<&'static str> {
    Some(match sqlstate {
        "" => return None,
        "40P01" => "deadlock",
        "40001" => "serialization",
        "57P01" | "57P02" | "57P03" | "53300" => "connection",
        "57014" | "55P03" | "25P03" => "timeout",
        "25P02" => "aborted",
        "42501" => "permission",
        _ => match sqlstate.get(..2) {
            Some("08") => "connection",
            Some("23") => "constraint",
            Some("28") => "permission",
            Some("42") => "schema",
            Some("53") => "resource",
            _ => "other",
        },
    })
}

impl Invariant for ErrorClasses {
    fn id(&self) -> &'static str {
        "I25"
    }

    fn reads(&self) -> &'static [&'static str] {
        &["db.failed", "db.struck"]
    }

    fn event(&mut self, event: &Event) -> Result<(), Broken> {
        match event.name {
            "db.failed" => {}
            "db.struck" => {
                self.injected.insert(text(event, "sqlstate").to_owned());
                return Ok(());
            }
            _ => return Ok(()),
        }
        let (what, class) = (text(event, "what"), text(event, "class"));
        let sqlstate = text(event, "sqlstate");
        if let Some(expected) = class_of(sqlstate).filter(|expected| *expected != class) {
            let message = format!("{what} failed with {sqlstate}, {expected}, taken for {class}");
            return Err(Broken::new(message));
        }
        let defect = sqlstate.get(..2).is_some_and(|class| DEFECTS.contains(&class));
        if defect && !self.injected.contains(sqlstate) {
            return Err(Broken::new(format!("{what} is wrong: the database answers {sqlstate}")));
        }
        let retried = event.field("retried").and_then(crate::trace::Value::as_bool) == Some(true);
        if retried && !matches!(class, "deadlock" | "serialization" | "connection") {
            return Err(Broken::new(format!("{what} is tried again after a failure of {class}")));
        }
        Ok(())
    }
}
