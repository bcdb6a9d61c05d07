//! The trace digest: SipHash-1-3-128 over every event, its fields, its virtual time, and every
//! choice. Equal histories have equal digests on every machine. Must never cover an address.

use std::fmt;
use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::{Event, Value};

/// 128 bits; the first eight hex digits name a trace to people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Digest(pub u128);

impl Digest {
    /// The first eight hex digits: `9c41d07e`.
    pub fn short(self) -> String {
        self.to_string()[..8].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What a field's value is, before it: an empty text is neither 0 nor false.
const TEXT: u8 = 0;
const NUMBER: u8 = 1;
const FALSE: u8 = 2;
const TRUE: u8 = 3;

/// Builds a [`Digest`] as the trace is made. Lengths go before texts, so that no two field lists
/// run into the same bytes.
#[derive(Clone, Debug)]
pub struct Hasher {
    state: SipHasher13,
    /// An event is gathered here first: the hash takes one long text faster than many short ones.
    event: Vec<u8>,
}

impl Default for Hasher {
    fn default() -> Hasher {
        let state = SipHasher13::new_with_keys(0x7365_6564, 0x6265_6421);
        Hasher { state, event: Vec::with_capacity(512) }
    }
}

impl Hasher {
    pub fn event(&mut self, event: &Event) {
        self.number(event.step);
        self.number(u64::try_from(event.at.0.as_nanos()).expect("virtual time is below 500 years"));
        self.text(&event.host);
        self.text(event.task);
        self.text(event.name);
        self.number(event.cause.map_or(0, |cause| u64::from(cause) + 1));
        self.number(event.fields.len() as u64);
        for (key, value) in &event.fields {
            self.text(key);
            match value {
                Value::Text(text) => {
                    self.event.push(TEXT);
                    self.text(text);
                }
                Value::Number(number) => {
                    self.event.push(NUMBER);
                    self.number(number.cast_unsigned());
                }
                Value::Bool(flag) => self.event.push(if *flag { TRUE } else { FALSE }),
            }
        }
        self.state.write(&self.event);
        self.event.clear();
    }

    pub fn choice(&mut self, among: u64, chosen: u64) {
        self.state.write_u64((among << 32) ^ chosen);
    }

    pub fn digest(&self) -> Digest {
        Digest(self.state.finish128().as_u128())
    }

    /// Seven bits a byte, the lowest first (LEB128): most numbers are one byte, and every byte is
    /// hashed.
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.event.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.event.push(number.to_le_bytes()[0]);
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.event.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::env::Moment;

    #[test]
    fn what_differs_in_one_thing_has_another_digest() {
        let event = |fields: Vec<(&'static str, Value)>| Event {
            index: 0,
            step: 1,
            at: Moment::default(),
            host: "db".into(),
            task: "",
            name: "db.commit",
            fields,
            cause: None,
        };
        let with = |value: Value| event(vec![("of", value)]);
        let mut all: Vec<Event> = [0_i64, 1, 2, 127, 128, 129, 255, 16_384, -1, i64::MAX, i64::MIN]
            .into_iter()
            .map(|number| with(number.into()))
            .collect();
        all.extend(["", "\0", "\0\0", "\u{1}", "\u{2}", "db"].map(|text| with(text.into())));
        all.extend([with(true.into()), with(false.into()), event(Vec::new())]);
        all.push(Event { cause: Some(0), ..with(true.into()) });
        all.push(Event { step: 129, ..with(true.into()) });
        all.push(Event { host: "d".into(), task: "b", ..with(true.into()) });
        let digests: BTreeSet<String> = all
            .iter()
            .map(|event| {
                let mut hasher = Hasher::default();
                hasher.event(event);
                hasher.digest().to_string()
            })
            .collect();
        assert_eq!(digests.len(), all.len());
    }
}
