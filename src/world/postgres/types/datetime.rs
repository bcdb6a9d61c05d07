//! Dates, timestamps and intervals as ISO text, the time zone being UTC.
//! Must never read a clock.

use std::cmp::Ordering;
use std::fmt::Write as _;

use crate::world::postgres::error::{PgError, Result};

pub const MICROS_PER_SECOND: i64 = 1_000_000;
pub const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// Days from 1970-01-01 to 2000-01-01.
pub const EPOCH_DAYS: i64 = 10_957;

/// The proleptic Gregorian calendar (Howard Hinnant, "chrono-compatible low-level date
/// algorithms"): days since 1970-01-01.
pub fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month, day of a number of days since 1970-01-01.
pub fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted - era * 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Months, days and microseconds, each with its own sign.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub micros: i64,
}

impl Interval {
    /// A month counts 30 days, a day 24 hours: the order of `interval`.
    pub fn span(self) -> i128 {
        let days = i128::from(self.months) * 30 + i128::from(self.days);
        days * i128::from(MICROS_PER_DAY) + i128::from(self.micros)
    }

    pub fn neg(self) -> Result<Interval> {
        Ok(Interval {
            months: self.months.checked_neg().ok_or_else(interval_range)?,
            days: self.days.checked_neg().ok_or_else(interval_range)?,
            micros: self.micros.checked_neg().ok_or_else(interval_range)?,
        })
    }

    pub fn add(self, other: Interval) -> Result<Interval> {
        let overflow = interval_range;
        Ok(Interval {
            months: self.months.checked_add(other.months).ok_or_else(overflow)?,
            days: self.days.checked_add(other.days).ok_or_else(overflow)?,
            micros: self.micros.checked_add(other.micros).ok_or_else(overflow)?,
        })
    }

    pub fn parse(text: &str) -> Result<Interval> {
        let bad = || date_error("interval", text);
        let mut out = Interval::default();
        let (mut ago, mut clock) = (false, false);
        let mut words = text.split_whitespace().flat_map(after_clock).peekable();
        if words.peek().is_none() {
            return Err(bad());
        }
        let mut seen = Vec::new();
        while let Some(word) = words.next() {
            if word.eq_ignore_ascii_case("ago") {
                if ago || words.peek().is_some() {
                    return Err(bad());
                }
                ago = true;
            } else if word.contains(':') {
                let micros = parse_clock(word).ok_or_else(bad)?;
                out = out.add(Interval { micros, ..Interval::default() })?;
                seen.extend(["h", "m", "s", "ms", "us"]);
                clock = true;
            } else {
                let split = word.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(word.len());
                let (number, attached) = word.split_at(split);
                let unit = if attached.is_empty() { words.next().unwrap_or("s") } else { attached };
                let amount = micro_decimal(number).ok_or_else(bad)?;
                let unit = interval_unit(&unit.to_ascii_lowercase()).ok_or_else(bad)?;
                seen.push(unit);
                if unit == "s" && amount % 1_000_000 != 0 {
                    seen.extend(["ms", "us"]);
                }
                let form = "this form of a value of type interval";
                let mut part =
                    unit_interval(amount, unit).ok_or_else(|| PgError::unsupported(form))?;
                // PostgreSQL reads from the end, and a time of day replaces what it found.
                if clock {
                    part.micros = 0;
                }
                out = out.add(part)?;
            }
        }
        let count = seen.len();
        seen.sort_unstable();
        seen.dedup();
        if seen.len() < count {
            return Err(date_syntax("interval", text));
        }
        if ago { out.neg() } else { Ok(out) }
    }
}

/// A sign behind a time of day begins what comes next; a signed time of day takes `-` for its own.
fn after_clock(word: &str) -> impl Iterator<Item = &str> {
    let signs: &[char] = if word.starts_with(['+', '-']) { &['+'] } else { &['+', '-'] };
    let clock = word.find(':').and_then(|colon| word[colon..].find(signs).map(|at| colon + at));
    let (word, rest) = word.split_at(clock.unwrap_or(word.len()));
    [word, rest].into_iter().filter(|part| !part.is_empty())
}

fn interval_range() -> PgError {
    PgError::new("22008", "interval out of range")
}

/// One name of each unit that is known here.
fn interval_unit(name: &str) -> Option<&'static str> {
    Some(match name {
        "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "m" | "min" | "mins" | "minute" | "minutes" => "m",
        "h" | "hr" | "hrs" | "hour" | "hours" => "h",
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => "ms",
        "us" | "usec" | "usecs" | "microsecond" | "microseconds" => "us",
        "d" | "day" | "days" => "d",
        "w" | "week" | "weeks" => "w",
        "mon" | "mons" | "month" | "months" => "mon",
        "y" | "yr" | "yrs" | "year" | "years" => "y",
        _ => return None,
    })
}

/// Seconds in microseconds: the fraction is rounded as a float8.
#[allow(clippy::cast_possible_truncation, reason = "less than a second")]
fn clock_seconds(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 2 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let fraction: f64 = format!("0.{fraction}0").parse().ok()?;
    let micros = (fraction * 1e6).round_ties_even() as i64;
    Some(whole.parse::<i64>().ok()? * MICROS_PER_SECOND + micros)
}

/// A decimal number times a million.
fn micro_decimal(text: &str) -> Option<i64> {
    if text.split_once('.').is_some_and(|(_, fraction)| fraction.len() > 6) || text.contains('e') {
        return None;
    }
    let number = super::Numeric::parse(text)?;
    let scaled = number.mul(super::Numeric::from_int(1_000_000)).ok()?;
    scaled.to_int().ok()
}

fn unit_interval(millionths: i64, unit: &str) -> Option<Interval> {
    let whole = i32::try_from(millionths / 1_000_000).ok();
    let rest = millionths % 1_000_000;
    let micros = |per: i64| {
        let product = i128::from(millionths) * i128::from(per);
        if product % 1_000_000 != 0 {
            return None;
        }
        let product = product / 1_000_000;
        i64::try_from(product).ok().map(|micros| Interval { micros, ..Interval::default() })
    };
    match unit {
        "s" => micros(MICROS_PER_SECOND),
        "m" => micros(60 * MICROS_PER_SECOND),
        "h" => micros(3600 * MICROS_PER_SECOND),
        "ms" => micros(1_000),
        "us" => micros(1),
        "d" => Some(Interval { days: whole?, micros: rest * 86_400, ..Interval::default() }),
        "w" if rest == 0 => Some(Interval { days: whole?.checked_mul(7)?, ..Interval::default() }),
        "mon" if rest * 30 % 1_000_000 == 0 => {
            let days = i32::try_from(rest * 30 / 1_000_000).ok()?;
            Some(Interval { months: whole?, days, micros: 0 })
        }
        "y" if rest * 12 % 1_000_000 == 0 => {
            let months = i32::try_from(millionths.checked_mul(12)? / 1_000_000).ok()?;
            Some(Interval { months, ..Interval::default() })
        }
        _ => None,
    }
}

/// `[-]hh:mm[:ss[.ffffff]]` in microseconds.
fn parse_clock(text: &str) -> Option<i64> {
    let (sign, body) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut parts = body.split(':');
    let digits = |part: &&str| part.bytes().all(|b| b.is_ascii_digit());
    let hours: i64 = parts.next().filter(digits)?.parse().ok()?;
    let minutes: i64 = parts.next().filter(digits)?.parse().ok()?;
    let seconds = parts.next().map_or(Some(0), clock_seconds)?;
    if minutes > 59 || seconds > 60 * MICROS_PER_SECOND || parts.next().is_some() {
        return None;
    }
    let whole = hours.checked_mul(60)?.checked_add(minutes)?.checked_mul(60 * MICROS_PER_SECOND)?;
    Some(sign * whole.checked_add(seconds)?)
}

impl std::fmt::Display for Interval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        let plural = |n: i32| if n == 1 { "" } else { "s" };
        let (years, months) = (self.months / 12, self.months % 12);
        let mut negative_before = false;
        for (amount, unit) in [(years, "year"), (months, "mon"), (self.days, "day")] {
            if amount != 0 {
                let sign = if negative_before && amount > 0 { "+" } else { "" };
                parts.push(format!("{sign}{amount} {unit}{}", plural(amount)));
                negative_before = amount < 0;
            }
        }
        if self.micros != 0 || parts.is_empty() {
            let sign = match self.micros < 0 {
                true => "-",
                false if negative_before => "+",
                false => "",
            };
            parts.push(format!("{sign}{}", clock_text(self.micros)));
        }
        f.write_str(&parts.join(" "))
    }
}

impl Ord for Interval {
    fn cmp(&self, other: &Interval) -> Ordering {
        self.span().cmp(&other.span())
    }
}

impl PartialOrd for Interval {
    fn partial_cmp(&self, other: &Interval) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Interval {
    fn eq(&self, other: &Interval) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Interval {}

/// `hh:mm:ss[.ffffff]` without trailing zeros.
pub fn clock_text(micros: i64) -> String {
    let micros = micros.unsigned_abs();
    let seconds = micros / MICROS_PER_SECOND.unsigned_abs();
    let mut out = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = micros % MICROS_PER_SECOND.unsigned_abs();
    if fraction != 0 {
        let digits = format!("{fraction:06}");
        write!(out, ".{}", digits.trim_end_matches('0')).expect("a string takes all");
    }
    out
}

/// The same moment as a timestamp.
pub fn date_micros(days: i32) -> Result<i64> {
    match days {
        i32::MAX => Ok(i64::MAX),
        i32::MIN => Ok(i64::MIN),
        days => i64::from(days)
            .checked_mul(MICROS_PER_DAY)
            .filter(|micros| moment_in_range(*micros))
            .ok_or_else(|| PgError::new("22008", "date out of range for timestamp")),
    }
}

pub fn date_text(days: i32) -> String {
    match days {
        i32::MAX => return "infinity".to_owned(),
        i32::MIN => return "-infinity".to_owned(),
        _ => {}
    }
    let (year, month, day) = civil_from_days(i64::from(days) + EPOCH_DAYS);
    if year <= 0 {
        return format!("{:04}-{month:02}-{day:02} BC", 1 - year);
    }
    format!("{year:04}-{month:02}-{day:02}")
}

/// `zone` adds `+00`.
pub fn format_timestamp(micros: i64, zone: bool) -> String {
    if micros == i64::MAX {
        return "infinity".to_owned();
    }
    if micros == i64::MIN {
        return "-infinity".to_owned();
    }
    let days = i32::try_from(micros.div_euclid(MICROS_PER_DAY)).unwrap_or(i32::MAX);
    let clock = clock_text(micros.rem_euclid(MICROS_PER_DAY));
    let (date, zone) = (date_text(days), if zone { "+00" } else { "" });
    match date.strip_suffix(" BC") {
        Some(date) => format!("{date} {clock}{zone} BC"),
        None => format!("{date} {clock}{zone}"),
    }
}

/// From 4714 BC to 294276, as PostgreSQL.
pub fn moment_in_range(micros: i64) -> bool {
    (-211_813_488_000_000_000..9_223_371_331_200_000_000).contains(&micros)
}

/// From 4714 BC to 5874897, as PostgreSQL.
pub fn day_in_range(days: i64) -> bool {
    (-2_451_545..2_145_031_949).contains(&days)
}

/// Bad syntax, or one of the many forms that PostgreSQL knows.
fn date_error(kind: &str, text: &str) -> PgError {
    let words = ["now", "today", "tomorrow", "yesterday", "allballs", "ago", "epoch", "infinity"];
    let lower = text.to_ascii_lowercase();
    let iso = lower.strip_prefix('p').is_some_and(|rest| rest.starts_with(['t', '-']))
        || lower.starts_with('p') && lower[1..].starts_with(|c: char| c.is_ascii_digit());
    let known = iso && kind == "interval" || words.iter().any(|word| lower.contains(word));
    let digits = lower.bytes().filter(u8::is_ascii_digit).count();
    let runs = lower.split(|c: char| !c.is_ascii_alphabetic()).filter(|run| !run.is_empty());
    let short = ["am", "pm", "bc", "ad", "z", "j", "t"];
    let strange = runs.into_iter().any(|run| run.len() < 3 && !short.contains(&run));
    if known || (digits > 0 && !strange && !(digits < 6 && digits == lower.len())) {
        return PgError::unsupported(format_args!("this form of a value of type {kind}"));
    }
    date_syntax(kind, text)
}

fn date_syntax(kind: &str, text: &str) -> PgError {
    PgError::new("22007", format!("invalid input syntax for type {kind}: \"{text}\""))
}

fn field_error(text: &str) -> PgError {
    PgError::new("22008", format!("date/time field value out of range: \"{text}\""))
}

/// A day or a moment as text says it.
enum When {
    Always(bool),
    /// Days since 2000-01-01, the clock in microseconds, the zone's offset in seconds.
    At(i64, i64, i64),
}

/// `YYYY-MM-DD`, a clock, a zone, an era: the later ones may be missing. `None` is bad syntax.
fn parse_when(text: &str) -> Result<Option<When>> {
    let lower = text.trim().to_ascii_lowercase();
    match lower.as_str() {
        "infinity" => return Ok(Some(When::Always(true))),
        "-infinity" => return Ok(Some(When::Always(false))),
        "epoch" => return Ok(Some(When::At(-EPOCH_DAYS, 0, 0))),
        _ => {}
    }
    let (rest, before) = match (lower.strip_suffix("bc"), lower.strip_suffix("ad")) {
        (Some(rest), _) => (rest.trim_end(), true),
        (_, Some(rest)) => (rest.trim_end(), false),
        _ => (lower.as_str(), false),
    };
    let mut dashes = 0;
    let end = rest.find(|c: char| {
        dashes += usize::from(c == '-');
        !c.is_ascii_digit() && (c != '-' || dashes > 2)
    });
    let (date, rest) = rest.split_at(end.unwrap_or(rest.len()));
    let mut parts = date.split('-').map(|part| part.parse::<i64>().ok());
    let (Some(Some(year)), Some(Some(month)), Some(Some(day))) =
        (parts.next(), parts.next(), parts.next())
    else {
        return Ok(None);
    };
    let lengths: Vec<usize> = date.split('-').map(str::len).collect();
    if lengths.len() != 3 || lengths[0] < 3 || lengths[1] > 2 || lengths[2] > 2 {
        return Ok(None);
    }
    // Later ones are no dates, and must not be reckoned with.
    let year = year.min(10_000_000);
    let year = if before { 1 - year } else { year };
    let is_zero = year == i64::from(before);
    if is_zero || !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return Err(field_error(text));
    }
    let rest = match rest.strip_prefix('t') {
        Some("") => return Ok(None),
        Some(clock) => clock,
        None => rest,
    };
    let rest = rest.trim_start();
    let Some((clock, offset)) = split_zone(rest) else { return Ok(None) };
    let clock = if clock.is_empty() { Some(0) } else { parse_clock(clock) };
    if clock.is_some_and(|clock| !(0..=MICROS_PER_DAY).contains(&clock)) {
        return Err(field_error(text));
    }
    let days = days_from_civil(year, month, day) - EPOCH_DAYS;
    Ok(clock.map(|clock| When::At(days, clock, offset)))
}

/// Days since 2000-01-01; a clock and a zone are ignored.
pub fn parse_date(text: &str) -> Result<i32> {
    match parse_when(text)?.ok_or_else(|| date_error("date", text))? {
        When::Always(after) => Ok(if after { i32::MAX } else { i32::MIN }),
        When::At(days, ..) => {
            let out = || PgError::new("22008", format!("date out of range: \"{text}\""));
            i32::try_from(days).ok().filter(|_| day_in_range(days)).ok_or_else(out)
        }
    }
}

pub fn days_in_month(year: i64, month: i64) -> i64 {
    let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    days_from_civil(next.0, next.1, 1) - days_from_civil(year, month, 1)
}

/// Microseconds since midnight; a zone is ignored.
pub fn parse_time(text: &str) -> Result<i64> {
    let lower = text.trim().to_ascii_lowercase();
    let micros = split_zone(&lower).and_then(|(clock, _)| parse_clock(clock));
    let micros = micros.ok_or_else(|| date_error("time", text))?;
    if micros > MICROS_PER_DAY {
        return Err(field_error(text));
    }
    Some(micros).filter(|micros| *micros >= 0).ok_or_else(|| date_error("time", text))
}

/// Microseconds since 2000-01-01; a zone is honoured if `zone`, otherwise ignored.
pub fn parse_timestamp(text: &str, zone: bool) -> Result<i64> {
    let kind = if zone { "timestamp with time zone" } else { "timestamp" };
    match parse_when(text)?.ok_or_else(|| date_error(kind, text))? {
        When::Always(after) => Ok(if after { i64::MAX } else { i64::MIN }),
        When::At(days, clock, offset) => {
            let offset = if zone { offset * MICROS_PER_SECOND } else { 0 };
            let micros = days.checked_mul(MICROS_PER_DAY);
            let micros = micros.and_then(|micros| micros.checked_add(clock - offset));
            let out = || PgError::new("22008", format!("timestamp out of range: \"{text}\""));
            micros.filter(|micros| moment_in_range(*micros)).ok_or_else(out)
        }
    }
}

/// The clock part and the zone's offset in seconds.
fn split_zone(text: &str) -> Option<(&str, i64)> {
    if let Some(clock) = text.strip_suffix('z') {
        return Some((clock.trim_end(), 0));
    }
    if let Some(clock) = text.strip_suffix("utc").or_else(|| text.strip_suffix("gmt")) {
        return Some((clock.trim_end(), 0));
    }
    let Some(at) = text.find(['+', '-']) else { return Some((text, 0)) };
    let (clock, zone) = text.split_at(at);
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let mut parts = zone[1..].split(':');
    let number = |part: &str| {
        let digits = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        if digits { part.parse::<i64>().ok() } else { None }
    };
    let first = parts.next()?;
    let (hours, minutes) = match (first.len(), parts.next()) {
        (_, Some(minutes)) => (number(first)?, number(minutes)?),
        (3 | 4, None) => {
            let (hours, minutes) = first.split_at_checked(first.len() - 2)?;
            (number(hours)?, number(minutes)?)
        }
        (_, None) => (number(first)?, 0),
    };
    let seconds = parts.next().map_or(Some(0), number)?;
    if hours > 15 || minutes > 59 || seconds > 59 || parts.next().is_some() {
        return None;
    }
    Some((clock.trim_end(), sign * (hours * 3600 + minutes * 60 + seconds)))
}

/// A timestamp plus an interval: months first (clamped to the month's end), then days, then time.
pub fn timestamp_plus(micros: i64, interval: Interval) -> Result<i64> {
    let overflow = || PgError::new("22008", "timestamp out of range");
    if matches!(micros, i64::MIN | i64::MAX) {
        return Ok(micros);
    }
    let mut days = micros.div_euclid(MICROS_PER_DAY);
    let clock = micros.rem_euclid(MICROS_PER_DAY);
    if interval.months != 0 {
        let (year, month, day) = civil_from_days(days + EPOCH_DAYS);
        let total = year * 12 + (month - 1) + i64::from(interval.months);
        let (year, month) = (total.div_euclid(12), total.rem_euclid(12) + 1);
        days = days_from_civil(year, month, day.min(days_in_month(year, month))) - EPOCH_DAYS;
    }
    days += i64::from(interval.days);
    days.checked_mul(MICROS_PER_DAY)
        .and_then(|base| base.checked_add(clock))
        .and_then(|base| base.checked_add(interval.micros))
        .filter(|micros| moment_in_range(*micros))
        .ok_or_else(overflow)
}
