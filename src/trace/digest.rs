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
        self.number(event.cause.map_or(u64::MAX, u64::from));
        self.number(event.fields.len() as u64);
        for (key, value) in &event.fields {
            self.text(key);
            match value {
                Value::Text(text) => self.text(text),
                Value::Number(number) => self.number(number.cast_unsigned()),
                Value::Bool(flag) => self.number(u64::from(*flag)),
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

    fn number(&mut self, number: u64) {
        self.event.extend_from_slice(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.event.extend_from_slice(text.as_bytes());
    }
}
