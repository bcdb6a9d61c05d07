//! Dates, times and intervals. Must never read a clock but the statement's.

use crate::world::postgres::error::{PgError, Result, Step, common};
use crate::world::postgres::exec::Cx;
use crate::world::postgres::sql::{Builtin, Function};
use crate::world::postgres::types::{
    Datum, EPOCH_DAYS, Interval, MICROS_PER_DAY, MICROS_PER_SECOND, Numeric, Ty, civil_from_days,
    date_micros, day_in_range, days_from_civil, timestamp_plus,
};

const fn f(name: &'static str, args: &'static [Ty], ret: Ty, run: Builtin) -> Function {
    Function { name, args, ret, strict: true, variadic: false, run }
}

pub const TABLE: &[Function] = &[
    f("now", &[], Ty::TIMESTAMPTZ, now),
    f("transaction_timestamp", &[], Ty::TIMESTAMPTZ, now),
    f("current_timestamp", &[], Ty::TIMESTAMPTZ, now),
    f("localtimestamp", &[], Ty::TIMESTAMP, now),
    f("statement_timestamp", &[], Ty::TIMESTAMPTZ, statement_now),
    f("clock_timestamp", &[], Ty::TIMESTAMPTZ, clock),
    f("current_date", &[], Ty::DATE, today),
    f("+", &[Ty::TIMESTAMPTZ, Ty::INTERVAL], Ty::TIMESTAMPTZ, plus),
    f("+", &[Ty::TIMESTAMP, Ty::INTERVAL], Ty::TIMESTAMP, plus),
    f("+", &[Ty::INTERVAL, Ty::TIMESTAMPTZ], Ty::TIMESTAMPTZ, plus),
    f("+", &[Ty::DATE, Ty::INTERVAL], Ty::TIMESTAMP, plus),
    f("+", &[Ty::DATE, Ty::INT4], Ty::DATE, plus),
    f("+", &[Ty::INTERVAL, Ty::INTERVAL], Ty::INTERVAL, plus),
    f("-", &[Ty::TIMESTAMPTZ, Ty::INTERVAL], Ty::TIMESTAMPTZ, minus),
    f("-", &[Ty::TIMESTAMP, Ty::INTERVAL], Ty::TIMESTAMP, minus),
    f("-", &[Ty::DATE, Ty::INTERVAL], Ty::TIMESTAMP, minus),
    f("-", &[Ty::DATE, Ty::INT4], Ty::DATE, minus),
    f("-", &[Ty::DATE, Ty::DATE], Ty::INT4, minus),
    f("-", &[Ty::TIMESTAMPTZ, Ty::TIMESTAMPTZ], Ty::INTERVAL, minus),
    f("-", &[Ty::TIMESTAMP, Ty::TIMESTAMP], Ty::INTERVAL, minus),
    f("-", &[Ty::INTERVAL, Ty::INTERVAL], Ty::INTERVAL, minus),
    f("+", &[Ty::INTERVAL, Ty::TIMESTAMP], Ty::TIMESTAMP, plus),
    f("+", &[Ty::INTERVAL, Ty::DATE], Ty::TIMESTAMP, plus),
    f("+", &[Ty::INT4, Ty::DATE], Ty::DATE, plus),
    f("+", &[Ty::TIME, Ty::INTERVAL], Ty::TIME, plus),
    f("+", &[Ty::INTERVAL, Ty::TIME], Ty::TIME, plus),
    f("+", &[Ty::DATE, Ty::TIME], Ty::TIMESTAMP, plus),
    f("+", &[Ty::TIME, Ty::DATE], Ty::TIMESTAMP, plus),
    f("-", &[Ty::TIME, Ty::INTERVAL], Ty::TIME, minus),
    f("-", &[Ty::TIME, Ty::TIME], Ty::INTERVAL, minus),
    f("-", &[Ty::INTERVAL], Ty::INTERVAL, negate),
    f("*", &[Ty::INTERVAL, Ty::FLOAT8], Ty::INTERVAL, times),
    f("*", &[Ty::FLOAT8, Ty::INTERVAL], Ty::INTERVAL, times),
    f("/", &[Ty::INTERVAL, Ty::FLOAT8], Ty::INTERVAL, over),
    f("extract", &[Ty::TEXT, Ty::TIMESTAMPTZ], Ty::NUMERIC, extract),
    f("extract", &[Ty::TEXT, Ty::TIMESTAMP], Ty::NUMERIC, extract),
    f("extract", &[Ty::TEXT, Ty::DATE], Ty::NUMERIC, extract),
    f("extract", &[Ty::TEXT, Ty::INTERVAL], Ty::NUMERIC, extract),
    f("date_part", &[Ty::TEXT, Ty::TIMESTAMPTZ], Ty::FLOAT8, date_part),
    f("date_part", &[Ty::TEXT, Ty::TIMESTAMP], Ty::FLOAT8, date_part),
    f("date_part", &[Ty::TEXT, Ty::DATE], Ty::FLOAT8, date_part),
    f("date_part", &[Ty::TEXT, Ty::INTERVAL], Ty::FLOAT8, date_part),
    f("date_trunc", &[Ty::TEXT, Ty::TIMESTAMPTZ], Ty::TIMESTAMPTZ, date_trunc),
    f("date_trunc", &[Ty::TEXT, Ty::TIMESTAMP], Ty::TIMESTAMP, date_trunc),
    f("date_trunc", &[Ty::TEXT, Ty::INTERVAL], Ty::INTERVAL, interval_trunc),
    f("timezone", &[Ty::TEXT, Ty::TIMESTAMPTZ], Ty::TIMESTAMP, timezone),
    f("timezone", &[Ty::TEXT, Ty::TIMESTAMP], Ty::TIMESTAMPTZ, timezone),
    f("to_timestamp", &[Ty::FLOAT8], Ty::TIMESTAMPTZ, to_timestamp),
    f("make_interval", &[], Ty::INTERVAL, make_interval),
];

fn now(cx: &mut Cx<'_>, _: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::Micros(cx.db.txn(cx.pid).start_micros))
}

fn statement_now(cx: &mut Cx<'_>, _: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::Micros(cx.db.proc(cx.pid).now_micros))
}

/// What the clock shows at this step of the statement.
fn clock(cx: &mut Cx<'_>, _: &[Datum], _: &[Ty]) -> Step<Datum> {
    let proc = cx.db.proc(cx.pid);
    let since = proc.now.since(proc.arrived).as_micros();
    Ok(Datum::Micros(proc.now_micros.saturating_add(i64::try_from(since).unwrap_or(i64::MAX))))
}

fn today(cx: &mut Cx<'_>, _: &[Datum], _: &[Ty]) -> Step<Datum> {
    let days = cx.db.txn(cx.pid).start_micros.div_euclid(MICROS_PER_DAY);
    Ok(Datum::Date(i32::try_from(days).map_err(|_| common::out_of_range("date"))?))
}

fn date_plus(days: i32, by: i64) -> Result<Datum> {
    if matches!(days, i32::MIN | i32::MAX) {
        return Ok(Datum::Date(days));
    }
    let sum = i64::from(days).checked_add(by).filter(|days| day_in_range(*days));
    let sum = sum.and_then(|days| i32::try_from(days).ok());
    sum.map(Datum::Date).ok_or_else(|| PgError::new("22008", "date out of range"))
}

fn plus(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    Ok(match (&args[0], &args[1]) {
        (Datum::Micros(at), Datum::Interval(by)) | (Datum::Interval(by), Datum::Micros(at))
            if types.contains(&Ty::TIME) =>
        {
            Datum::Micros((at + by.micros % MICROS_PER_DAY).rem_euclid(MICROS_PER_DAY))
        }
        (Datum::Date(days), Datum::Micros(clock)) | (Datum::Micros(clock), Datum::Date(days)) => {
            let by = Interval { micros: *clock, ..Interval::default() };
            Datum::Micros(timestamp_plus(date_micros(*days)?, by)?)
        }
        (Datum::Micros(at), Datum::Interval(by)) | (Datum::Interval(by), Datum::Micros(at)) => {
            Datum::Micros(timestamp_plus(*at, *by)?)
        }
        (Datum::Date(days), Datum::Interval(by)) | (Datum::Interval(by), Datum::Date(days)) => {
            Datum::Micros(timestamp_plus(date_micros(*days)?, *by)?)
        }
        (Datum::Date(days), Datum::Int(by)) | (Datum::Int(by), Datum::Date(days)) => {
            date_plus(*days, *by)?
        }
        (Datum::Interval(a), Datum::Interval(b)) => Datum::Interval(a.add(*b)?),
        _ => return Err(PgError::unsupported("this sum of times").into()),
    })
}

fn minus(cx: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    Ok(match (&args[0], &args[1]) {
        (left, Datum::Interval(by)) => {
            return plus(cx, &[left.clone(), Datum::Interval(by.neg()?)], types);
        }
        (Datum::Date(days), Datum::Int(by)) => date_plus(*days, by.saturating_neg())?,
        (Datum::Date(i32::MIN | i32::MAX), Datum::Date(_))
        | (Datum::Date(_), Datum::Date(i32::MIN | i32::MAX)) => {
            return Err(PgError::new("22008", "cannot subtract infinite dates").into());
        }
        (Datum::Date(a), Datum::Date(b)) => Datum::Int(i64::from(*a) - i64::from(*b)),
        (Datum::Micros(a), Datum::Micros(b)) if types[0] == Ty::TIME => {
            Datum::Interval(Interval { micros: a - b, ..Interval::default() })
        }
        (Datum::Micros(a), Datum::Micros(b)) => {
            if [*a, *b].iter().any(|at| matches!(*at, i64::MIN | i64::MAX)) {
                return Err(PgError::new("22008", "cannot subtract infinite timestamps").into());
            }
            // Times that are too far apart are the others of a circle, as PostgreSQL has it.
            let span = a.wrapping_sub(*b);
            let days = i32::try_from(span / MICROS_PER_DAY).unwrap_or(0);
            Datum::Interval(Interval { months: 0, days, micros: span % MICROS_PER_DAY })
        }
        _ => return Err(PgError::unsupported("this difference of times").into()),
    })
}

fn negate(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(if let Datum::Interval(interval) = &args[0] {
        Datum::Interval(interval.neg()?)
    } else {
        Datum::Null
    })
}

fn times(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let ((Datum::Interval(interval), Datum::Float(factor))
    | (Datum::Float(factor), Datum::Interval(interval))) = (&args[0], &args[1])
    else {
        return Ok(Datum::Null);
    };
    Ok(Datum::Interval(scale(*interval, |field| field * factor)?))
}

fn over(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let (Datum::Interval(interval), Datum::Float(divisor)) = (&args[0], &args[1]) else {
        return Ok(Datum::Null);
    };
    if *divisor == 0.0 {
        return Err(common::division_by_zero().into());
    }
    Ok(Datum::Interval(scale(*interval, |field| field / divisor)?))
}

/// Each field by itself; what is left of a month becomes days, what is left of a day time.
#[allow(clippy::cast_possible_truncation, reason = "the product is rounded to microseconds")]
#[allow(clippy::cast_precision_loss, reason = "the factor is a float8 already")]
fn scale(interval: Interval, by: impl Fn(f64) -> f64) -> Result<Interval> {
    let rounded = |value: f64| (value * 1e6).round_ties_even() / 1e6;
    let (months, days) = (by(f64::from(interval.months)), by(f64::from(interval.days)));
    let of_month = rounded(months.fract() * 30.0);
    let of_day = rounded((days.fract() + of_month.fract()) * 86_400.0);
    let whole = (of_day / 86_400.0).trunc();
    let micros = by(interval.micros as f64) + (of_day - whole * 86_400.0) * 1e6;
    let all_days = days.trunc() + of_month.trunc() + whole;
    let fits = |value: f64, limit: f64| value.abs() < limit;
    if !fits(months, 2e9) || !fits(days, 2e9) || !fits(all_days, 2e9) || !fits(micros, 9e18) {
        return Err(PgError::new("22008", "interval out of range"));
    }
    Ok(Interval {
        months: months.trunc() as i32,
        days: all_days as i32,
        micros: micros.round_ties_even() as i64,
    })
}

/// Microseconds since 2000-01-01 of a date or timestamp.
fn micros_of(datum: &Datum) -> Option<i64> {
    match datum {
        Datum::Micros(micros) => Some(*micros),
        Datum::Date(days) => date_micros(*days).ok(),
        _ => None,
    }
}

fn scaled(micros: i64) -> Numeric {
    Numeric::new(i128::from(micros), 6)
}

/// A unit that is not here: one of PostgreSQL's, or none.
fn unknown_unit(unit: &str) -> PgError {
    PgError::unsupported(format_args!("the unit {unit} of a time"))
}

fn part(unit: &str, datum: &Datum) -> Result<Numeric> {
    if let Datum::Interval(interval) = datum {
        return interval_part(unit, *interval);
    }
    let micros = micros_of(datum).unwrap_or(i64::MAX);
    if matches!(micros, i64::MIN | i64::MAX) {
        return Err(PgError::unsupported("a part of an infinite or a far time"));
    }
    let days = micros.div_euclid(MICROS_PER_DAY) + EPOCH_DAYS;
    let clock = micros.rem_euclid(MICROS_PER_DAY);
    let (year, month, day) = civil_from_days(days);
    if year < 1 {
        return Err(PgError::unsupported("a part of a time before Christ"));
    }
    if matches!(datum, Datum::Date(_))
        && !matches!(unit, "epoch" | "year" | "month" | "quarter")
        && !matches!(unit, "day" | "dow" | "isodow" | "doy")
    {
        return Err(PgError::unsupported(format_args!("the part {unit} of a date")));
    }
    let seconds = clock / MICROS_PER_SECOND;
    let week_day = (days + 4).rem_euclid(7);
    Ok(match unit {
        "epoch" if matches!(datum, Datum::Date(_)) => Numeric::from_int(days * 86_400),
        "epoch" => {
            let shifted = micros.checked_add(EPOCH_DAYS * MICROS_PER_DAY);
            scaled(shifted.ok_or_else(|| PgError::unsupported("the epoch of a far time"))?)
        }
        "year" => Numeric::from_int(year),
        "month" => Numeric::from_int(month),
        "quarter" => Numeric::from_int((month - 1) / 3 + 1),
        "day" => Numeric::from_int(day),
        "hour" => Numeric::from_int(seconds / 3600),
        "minute" => Numeric::from_int(seconds / 60 % 60),
        "second" => scaled(clock % (60 * MICROS_PER_SECOND)),
        "milliseconds" => Numeric::new(i128::from(clock % (60 * MICROS_PER_SECOND)), 3),
        "microseconds" => Numeric::from_int(clock % (60 * MICROS_PER_SECOND)),
        "dow" => Numeric::from_int(week_day),
        "isodow" => Numeric::from_int(if week_day == 0 { 7 } else { week_day }),
        "doy" => Numeric::from_int(days - days_from_civil(year, 1, 1) + 1),
        other => return Err(unknown_unit(other)),
    })
}

fn interval_part(unit: &str, interval: Interval) -> Result<Numeric> {
    let seconds = interval.micros / MICROS_PER_SECOND;
    Ok(match unit {
        "epoch" => {
            let days = i64::from(interval.months) / 12 * 365 * 24 * 3600
                + i64::from(interval.months) / 12 * 6 * 3600
                + i64::from(interval.months) % 12 * 30 * 24 * 3600
                + i64::from(interval.days) * 24 * 3600;
            scaled(interval.micros).add(Numeric::from_int(days))?
        }
        "year" => Numeric::from_int(i64::from(interval.months / 12)),
        "month" => Numeric::from_int(i64::from(interval.months % 12)),
        "day" => Numeric::from_int(i64::from(interval.days)),
        "hour" => Numeric::from_int(seconds / 3600),
        "minute" => Numeric::from_int(seconds / 60 % 60),
        "second" => scaled(interval.micros % (60 * MICROS_PER_SECOND)),
        other => return Err(unknown_unit(other)),
    })
}

fn extract(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let unit = args[0].as_str().unwrap_or("").to_lowercase();
    Ok(Datum::Numeric(part(&unit, &args[1])?))
}

fn date_part(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let unit = args[0].as_str().unwrap_or("").to_lowercase();
    if let (Datum::Interval(interval), "epoch") = (&args[1], unit.as_str()) {
        return Ok(Datum::Float(interval_epoch(*interval)));
    }
    let moment = match args[1] {
        // Midnight: every part of a time is there, as `extract` has it not.
        Datum::Date(days) => Datum::Micros(date_micros(days)?),
        ref other => other.clone(),
    };
    Ok(Datum::Float(part(&unit, &moment)?.to_f64()))
}

/// Seconds, added up in the order of PostgreSQL's `interval_part`: with its roundings.
#[allow(clippy::cast_precision_loss, reason = "as PostgreSQL's")]
fn interval_epoch(interval: Interval) -> f64 {
    let months = interval.months;
    let mut seconds = interval.micros as f64 / 1e6;
    seconds += 365.25 * 86_400.0 * f64::from(months / 12);
    seconds += 30.0 * 86_400.0 * f64::from(months % 12);
    seconds + 86_400.0 * f64::from(interval.days)
}

fn date_trunc(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let Datum::Micros(micros) = args[1] else { return Ok(Datum::Null) };
    if matches!(micros, i64::MIN | i64::MAX) || micros < -190_000_000_000_000_000 {
        return Err(PgError::unsupported("truncating an infinite or a far time").into());
    }
    let unit = args[0].as_str().unwrap_or("").to_lowercase();
    let days = micros.div_euclid(MICROS_PER_DAY) + EPOCH_DAYS;
    let (year, month, _) = civil_from_days(days);
    let civil = |year, month| (days_from_civil(year, month, 1) - EPOCH_DAYS) * MICROS_PER_DAY;
    Ok(Datum::Micros(match unit.as_str() {
        "microseconds" => micros,
        "milliseconds" => micros - micros.rem_euclid(1_000),
        "second" => micros - micros.rem_euclid(MICROS_PER_SECOND),
        "minute" => micros - micros.rem_euclid(60 * MICROS_PER_SECOND),
        "hour" => micros - micros.rem_euclid(3600 * MICROS_PER_SECOND),
        "day" => micros - micros.rem_euclid(MICROS_PER_DAY),
        "week" => (days - (days + 3).rem_euclid(7) - EPOCH_DAYS) * MICROS_PER_DAY,
        "month" => civil(year, month),
        "quarter" => civil(year, (month - 1) / 3 * 3 + 1),
        "year" => civil(year, 1),
        other => return Err(unknown_unit(other).into()),
    }))
}

fn interval_trunc(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let Datum::Interval(whole) = args[1] else { return Ok(Datum::Null) };
    let micros = |unit: i64| Interval { micros: whole.micros - whole.micros % unit, ..whole };
    let months =
        |unit: i32| Interval { months: whole.months - whole.months % unit, ..Interval::default() };
    let unit = args[0].as_str().unwrap_or("").to_lowercase();
    Ok(Datum::Interval(match unit.as_str() {
        "microseconds" => whole,
        "milliseconds" => micros(1_000),
        "second" => micros(MICROS_PER_SECOND),
        "minute" => micros(60 * MICROS_PER_SECOND),
        "hour" => micros(3600 * MICROS_PER_SECOND),
        "day" => Interval { micros: 0, ..whole },
        "week" => {
            let error = PgError::new("0A000", "unit \"week\" not supported for type interval");
            return Err(error.detail("Months usually have fractional weeks.").into());
        }
        "month" => months(1),
        "quarter" => months(3),
        "year" => months(12),
        "decade" => months(120),
        "century" => months(1_200),
        "millennium" => months(12_000),
        other => return Err(unknown_unit(other).into()),
    }))
}

/// Only UTC and its names are known.
fn timezone(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    match args[0].as_str().unwrap_or("").to_uppercase().as_str() {
        "UTC" | "GMT" | "ETC/UTC" | "Z" => Ok(args[1].clone()),
        other => Err(PgError::unsupported(format_args!("the time zone {other}")).into()),
    }
}

#[allow(clippy::cast_possible_truncation, reason = "rounded to microseconds")]
fn to_timestamp(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let Datum::Float(seconds) = args[0] else { return Ok(Datum::Null) };
    if seconds.is_nan() {
        return Err(PgError::new("22008", "timestamp cannot be NaN").into());
    }
    if seconds.is_infinite() {
        return Ok(Datum::Micros(if seconds > 0.0 { i64::MAX } else { i64::MIN }));
    }
    if seconds.abs() > 9e11 {
        return Err(PgError::unsupported("a timestamp that is this far away").into());
    }
    #[allow(clippy::cast_precision_loss, reason = "a small number")]
    let since_2000 = seconds - (EPOCH_DAYS * 86_400) as f64;
    let micros = (since_2000 * 1e6).round_ties_even() as i64;
    Ok(Datum::Micros(micros))
}

fn make_interval(_: &mut Cx<'_>, _: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::Interval(Interval::default()))
}
