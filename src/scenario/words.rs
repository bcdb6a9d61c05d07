//! Text to numbers and back: durations, ranges, chances, strategies. Exact, without floats.
//! Must never guess a unit.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::model::{Between, Reconnect, Strategy};

/// Units of a duration and their microseconds.
const UNITS: &[(&str, u64)] =
    &[("us", 1), ("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000)];

/// What a reader of a value expected instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WordError {
    /// Not of the form at all; says which form is.
    Form(&'static str),
    /// A number with another unit.
    Unit(String),
    /// The low end is above the high end.
    Empty,
}

const DURATION: &str = "a duration like \"250ms\" (us, ms, s, m, h)";
const CHANCE: &str = "a chance from 0 to 1 with at most six decimals, or \"2%\"";

/// A decimal number in units of `10^-digits`: `1.25` with 6 digits is 1,250,000.
fn decimal(text: &str, digits: usize) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let numeric = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let fraction_ok = fraction.len() <= digits && (!text.contains('.') || !fraction.is_empty());
    if whole.is_empty() || !numeric(whole) || !numeric(fraction) || !fraction_ok {
        return None;
    }
    let scale = 10_u64.pow(u32::try_from(digits).ok()?);
    let parts: u64 = format!("{fraction:0<digits$}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(scale)?.checked_add(parts)
}

/// `250ms`, `1.5s`: whole microseconds.
pub fn duration(text: &str) -> Result<Duration, WordError> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = unit.trim();
    let parts = decimal(number, 6).ok_or(WordError::Form(DURATION))?;
    let found = UNITS.iter().find(|(name, _)| *name == unit);
    let (_, micros) = found.ok_or_else(|| WordError::Unit(unit.to_owned()))?;
    let exact = u128::from(parts) * u128::from(*micros);
    let whole = exact.is_multiple_of(1_000_000).then(|| u64::try_from(exact / 1_000_000).ok());
    let micros = whole.flatten().ok_or(WordError::Form(DURATION))?;
    // A century: far above any use, far below where sums of moments could overflow.
    let sane = micros < 100 * 365 * 24 * UNITS[4].1;
    if sane { Ok(Duration::from_micros(micros)) } else { Err(WordError::Form(DURATION)) }
}

/// The names of the units that durations may have.
pub fn units() -> Vec<&'static str> {
    UNITS.iter().map(|(name, _)| *name).collect()
}

/// A duration as a scenario file would write it; reads back as the same.
pub fn show(duration: Duration) -> String {
    let micros = duration.as_micros();
    if micros == 0 {
        return "0ms".to_owned();
    }
    if micros.is_multiple_of(1_000_000) {
        return format!("{}s", micros / 1_000_000);
    }
    if micros.is_multiple_of(1_000) && micros < 1_000_000 {
        return format!("{}ms", micros / 1_000);
    }
    let (whole, rest, unit) = if micros < 1_000_000 {
        (micros / 1_000, format!("{:03}", micros % 1_000), "ms")
    } else {
        (micros / 1_000_000, format!("{:06}", micros % 1_000_000), "s")
    };
    format!("{whole}.{}{unit}", rest.trim_end_matches('0'))
}

fn range<T: Copy + PartialOrd>(
    text: &str,
    one: impl Fn(&str) -> Result<T, WordError>,
) -> Result<Between<T>, WordError> {
    let Some((low, high)) = text.split_once("..") else {
        return one(text).map(Between::exactly);
    };
    let (low, high) = (one(low)?, one(high)?);
    if low <= high { Ok(Between { low, high }) } else { Err(WordError::Empty) }
}

/// `5ms..2s`, both ends included, or one duration.
pub fn durations(text: &str) -> Result<Between<Duration>, WordError> {
    range(text, duration)
}

/// `1..5`, both ends included, or one number.
pub fn ints(text: &str) -> Result<Between<i64>, WordError> {
    let one = |part: &str| {
        part.trim().parse().map_err(|_| WordError::Form("a whole number or a range like \"1..5\""))
    };
    range(text, one)
}

/// `-2s..5s` in whole milliseconds.
pub fn signed_ms(text: &str) -> Result<Between<i64>, WordError> {
    let one = |part: &str| {
        let part = part.trim();
        let (sign, rest) = part.strip_prefix('-').map_or((1, part), |rest| (-1, rest));
        let ms = i64::try_from(duration(rest)?.as_millis());
        ms.map(|ms| sign * ms).map_err(|_| WordError::Form(DURATION))
    };
    range(text, one)
}

/// `0.3` or `2%` in parts in a million.
pub fn chance_ppm(text: &str) -> Result<u32, WordError> {
    let ppm = match text.trim().strip_suffix('%') {
        Some(percent) => decimal(percent.trim(), 4),
        None => decimal(text.trim(), 6),
    };
    let ppm = ppm.filter(|ppm| *ppm <= 1_000_000).and_then(|ppm| u32::try_from(ppm).ok());
    ppm.ok_or(WordError::Form(CHANCE))
}

/// Parts in a million as per cent: `2%`, `0.25%`.
pub fn show_ppm(ppm: u32) -> String {
    let (whole, rest) = (ppm / 10_000, ppm % 10_000);
    if rest == 0 {
        return format!("{whole}%");
    }
    format!("{whole}.{}%", format!("{rest:04}").trim_end_matches('0'))
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Strategy::Fifo => f.write_str("fifo"),
            Strategy::Random => f.write_str("random"),
            Strategy::Pct { depth } => write!(f, "pct{depth}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a strategy: expected fifo, random or pct1 to pct9")]
pub struct StrategyError(pub String);

impl FromStr for Strategy {
    type Err = StrategyError;

    fn from_str(text: &str) -> Result<Strategy, StrategyError> {
        let depth = |digits: &str| match digits.as_bytes() {
            [digit @ b'1'..=b'9'] => Some(u32::from(digit - b'0')),
            _ => None,
        };
        match text {
            "fifo" => Ok(Strategy::Fifo),
            "random" => Ok(Strategy::Random),
            _ => text
                .strip_prefix("pct")
                .and_then(depth)
                .map(|depth| Strategy::Pct { depth })
                .ok_or_else(|| StrategyError(text.to_owned())),
        }
    }
}

impl fmt::Display for Reconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reconnect::No => "no",
            Reconnect::Fresh => "fresh",
            Reconnect::Resume => "resume",
        })
    }
}
