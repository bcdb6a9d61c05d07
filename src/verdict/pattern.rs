//! A pattern of a scenario, ready to be held against events. Must never allocate for a mismatch.

use std::borrow::Cow;

use crate::scenario::{Literal, Pattern, Test};
use crate::trace::{Event, Value};

/// The values of the key variables, in the order of the expectation's key.
pub(super) type Key = Vec<Value>;

/// One pattern as one expectation uses it.
#[derive(Clone, Debug)]
pub(super) struct Matcher {
    pub on: String,
    tests: Vec<(String, Test)>,
    /// Fields bound to one name: they must be equal.
    equal: Vec<(String, String)>,
    /// The fields that hold the key; `None` when the pattern has none of it, and so is of all keys.
    key: Option<Vec<String>>,
}

impl Matcher {
    /// `key` names variables; the loader made sure that the pattern has all of them or none.
    pub fn new(pattern: &Pattern, key: &[String]) -> Matcher {
        let mut tests = Vec::new();
        let mut equal = Vec::new();
        for w in &pattern.wheres {
            match &w.test {
                Test::Bind(variable) => {
                    let first = pattern.field_of(variable).expect("it binds the variable");
                    if first != w.field {
                        equal.push((first.to_owned(), w.field.clone()));
                    }
                }
                test => tests.push((w.field.clone(), test.clone())),
            }
        }
        let fields = key.iter().map(|variable| pattern.field_of(variable).map(str::to_owned));
        let key = fields.collect();
        Matcher { on: pattern.on.clone(), tests, equal, key }
    }

    /// Whether the event is one of the pattern's, and of its name.
    pub fn matches(&self, event: &Event) -> bool {
        self.tests.iter().all(|(name, test)| holds(field(event, name).as_deref(), test))
            && self.equal.iter().all(|(a, b)| field(event, a) == field(event, b))
    }

    /// Whether the pattern belongs to all keys.
    pub fn global(&self) -> bool {
        self.key.is_none()
    }

    /// The key of a matching event; `None` when a value is absent. An id that is not known yet is
    /// the empty text, and makes no key either.
    pub fn key(&self, event: &Event) -> Option<Key> {
        values(event, self.key.as_deref()?)
    }
}

/// The values of fields, unless one is absent or empty.
pub(super) fn values(event: &Event, fields: &[String]) -> Option<Vec<Value>> {
    let present = |value: &Cow<Value>| value.as_str() != Some("");
    fields.iter().map(|name| field(event, name).filter(present).map(Cow::into_owned)).collect()
}

/// A field by name, `host` and `task` of every event included.
pub(super) fn field<'e>(event: &'e Event, name: &str) -> Option<Cow<'e, Value>> {
    if let Some(value) = event.field(name) {
        return Some(Cow::Borrowed(value));
    }
    match name {
        "host" => Some(Cow::Owned(Value::from(&*event.host))),
        "task" => Some(Cow::Owned(Value::from(event.task))),
        _ => None,
    }
}

/// An absent field fails every test, also a negative one.
fn holds(value: Option<&Value>, test: &Test) -> bool {
    let Some(value) = value else { return false };
    match test {
        Test::Is(Literal::Text(exact)) => prints_as(value, exact),
        Test::Is(Literal::Int(number)) => value.as_i64() == Some(*number),
        Test::Is(Literal::Bool(flag)) => value.as_bool() == Some(*flag),
        Test::Not(other) => !prints_as(value, other),
        Test::Bind(_) => true,
    }
}

/// Whether the value, printed, is the text: `code = "1011"` means what `code = 1011` means.
fn prints_as(value: &Value, text: &str) -> bool {
    match value {
        Value::Text(own) => **own == *text,
        Value::Number(number) => text.parse() == Ok(*number),
        Value::Bool(flag) => text.parse() == Ok(*flag),
    }
}
