//! The seed, and the named random streams that grow from it: the address of a run.
//! Must never read entropy from anywhere else, nor let one stream's draws shift another's.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Decides a run. Printed in hex; read as hex with `0x`, as decimal, or from a 40-digit git hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seed(pub u64);

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a seed: expected decimal (48), hex (0x2f3a) or a 40-digit git hash")]
pub struct SeedError(pub String);

impl FromStr for Seed {
    type Err = SeedError;

    fn from_str(text: &str) -> Result<Seed, SeedError> {
        let error = || SeedError(text.to_owned());
        let hash = text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let value = if hash {
            u64::from_str_radix(&text[..16], 16)
        } else if let Some(hex) = text.strip_prefix("0x") {
            let signless = !hex.starts_with(['+', '-']);
            signless.then(|| u64::from_str_radix(hex, 16)).ok_or_else(error)?
        } else {
            if text.starts_with('+') {
                return Err(error());
            }
            text.parse()
        };
        value.map(Seed).map_err(|_| error())
    }
}

/// A named stream of choices (xoshiro256++ of Blackman and Vigna, seeded through SplitMix64):
/// streams of one seed are independent, so removing one fault does not shift the rest.
#[derive(Clone, Debug)]
pub struct Stream {
    state: [u64; 4],
    drawn: u64,
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Stream {
    /// The stream `name` of `seed`: a function of both, the same on every machine.
    pub fn new(seed: Seed, name: &str) -> Stream {
        Stream::joined(seed, &[name])
    }

    /// The stream whose name is all of `parts`, one after the other.
    pub fn joined(seed: Seed, parts: &[&str]) -> Stream {
        let mut mix = seed.0;
        let mut key = splitmix(&mut mix);
        for byte in parts.iter().flat_map(|part| part.bytes()) {
            key = splitmix(&mut key) ^ u64::from(byte);
        }
        Stream { state: std::array::from_fn(|_| splitmix(&mut key)), drawn: 0 }
    }

    pub fn next_u64(&mut self) -> u64 {
        self.drawn += 1;
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// How many values were drawn so far.
    pub fn drawn(&self) -> u64 {
        self.drawn
    }

    /// Uniform in `0..bound` (Lemire's multiplication); 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).expect("the high half of a 128-bit product fits")
    }

    /// Uniform index into something of length `len`, which must not be 0.
    pub fn index(&mut self, len: usize) -> usize {
        assert!(len > 0, "nothing to choose from");
        usize::try_from(self.below(len as u64)).expect("an index below a usize is one")
    }

    /// True `parts` times in a million.
    pub fn chance_ppm(&mut self, parts: u32) -> bool {
        self.below(1_000_000) < u64::from(parts)
    }

    /// Uniform in `low..=high`, whole microseconds.
    pub fn duration(&mut self, low: Duration, high: Duration) -> Duration {
        assert!(low <= high, "an empty range of durations");
        let span = u64::try_from(high.checked_sub(low).unwrap().as_micros())
            .expect("ranges are below 500,000 years");
        low + Duration::from_micros(self.below(span + 1))
    }
}
