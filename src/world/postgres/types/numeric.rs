//! Exact decimals: 38 digits at most, refused beyond. Must never round silently.

use std::cmp::Ordering;
use std::fmt;

use crate::world::postgres::error::{PgError, Result, common};

/// `mantissa / 10^scale`. Packed, so that a value of any type is no larger for its sake.
#[derive(Clone, Copy, Debug)]
#[repr(Rust, packed(8))]
pub struct Numeric {
    mantissa: i128,
    scale: u32,
}

const DIGITS_MAX: u32 = 38;
const LIMIT: u128 = 10_u128.pow(DIGITS_MAX);

pub fn overflow() -> PgError {
    PgError::unsupported("a numeric of more than 38 digits")
}

/// A value within the limits.
pub fn held(mantissa: i128, scale: u32) -> Result<Numeric> {
    if mantissa.unsigned_abs() >= LIMIT || scale > DIGITS_MAX {
        return Err(overflow());
    }
    Ok(Numeric { mantissa, scale })
}

fn power(exponent: u32) -> Result<i128> {
    10_i128.checked_pow(exponent).ok_or_else(overflow)
}

impl Numeric {
    pub fn new(mantissa: i128, scale: u32) -> Numeric {
        Numeric { mantissa, scale }
    }

    pub fn from_int(number: i64) -> Numeric {
        Numeric { mantissa: i128::from(number), scale: 0 }
    }

    pub fn mantissa(self) -> i128 {
        self.mantissa
    }

    pub fn scale(self) -> u32 {
        self.scale
    }

    pub fn parse(text: &str) -> Option<Numeric> {
        // What fits is read as a machine word.
        if text.len() <= 18 && text.bytes().all(|b| b.is_ascii_digit()) {
            return text.parse().ok().map(Numeric::from_int);
        }
        let trimmed = text.trim();
        let (number, exponent) = match trimmed.find(['e', 'E']) {
            Some(at) => (&trimmed[..at], trimmed[at + 1..].parse::<i32>().ok()?),
            None => (trimmed, 0),
        };
        let (negative, digits) = match number.as_bytes().first()? {
            b'-' => (true, &number[1..]),
            b'+' => (false, &number[1..]),
            _ => (false, number),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let mut mantissa = 0_i128;
        for digit in whole.bytes().chain(fraction.bytes()) {
            mantissa = mantissa.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
        }
        let scale = i64::try_from(fraction.len()).ok()? - i64::from(exponent);
        if scale < 0 {
            let power = u32::try_from(scale.unsigned_abs()).ok()?;
            mantissa = mantissa.checked_mul(10_i128.checked_pow(power)?)?;
        }
        let mantissa = if negative { -mantissa } else { mantissa };
        held(mantissa, u32::try_from(scale.max(0)).ok()?).ok()
    }

    fn aligned(self, other: Numeric) -> Result<(i128, i128, u32)> {
        let scale = self.scale.max(other.scale);
        Ok((self.widened(scale)?, other.widened(scale)?, scale))
    }

    fn widened(self, scale: u32) -> Result<i128> {
        self.mantissa.checked_mul(power(scale - self.scale)?).ok_or_else(overflow)
    }

    pub fn add(self, other: Numeric) -> Result<Numeric> {
        let (a, b, scale) = self.aligned(other)?;
        held(a.checked_add(b).ok_or_else(overflow)?, scale)
    }

    pub fn sub(self, other: Numeric) -> Result<Numeric> {
        self.add(other.neg())
    }

    pub fn neg(self) -> Numeric {
        Numeric { mantissa: -self.mantissa, scale: self.scale }
    }

    pub fn abs(self) -> Numeric {
        Numeric { mantissa: self.mantissa.abs(), scale: self.scale }
    }

    pub fn mul(self, other: Numeric) -> Result<Numeric> {
        let mantissa = self.mantissa.checked_mul(other.mantissa).ok_or_else(overflow)?;
        held(mantissa, self.scale + other.scale)
    }

    /// Decimal weight in groups of four digits, and the first group (PostgreSQL's storage form,
    /// which decides how many digits a quotient gets).
    fn weight(self) -> (i32, u128) {
        if self.mantissa == 0 {
            return (0, 0);
        }
        // More than 35 digits may not fit: the last ones do not count for the first group.
        let mut whole = self.mantissa.unsigned_abs();
        let mut groups = 0_i32;
        let pad = (4 - self.scale % 4) % 4;
        let mut lost = 0;
        if let Some(padded) = whole.checked_mul(10_u128.pow(pad)) {
            whole = padded;
        } else {
            (whole, lost) = (whole / 10_u128.pow(4 - pad), 1);
        }
        let fraction_groups = i32::try_from((self.scale + pad) / 4).unwrap_or(0);
        let mut first = 0;
        while whole > 0 {
            first = whole % 10_000;
            whole /= 10_000;
            groups += 1;
        }
        (groups + lost - fraction_groups - 1, first)
    }

    /// At least 16 significant digits, as PostgreSQL's `select_div_scale`.
    pub fn div(self, other: Numeric) -> Result<Numeric> {
        if other.mantissa == 0 {
            return Err(common::division_by_zero());
        }
        let ((weight1, first1), (weight2, first2)) = (self.weight(), other.weight());
        let mut quotient_weight = weight1 - weight2;
        if first1 <= first2 {
            quotient_weight -= 1;
        }
        let wanted = u32::try_from(16 - quotient_weight * 4).unwrap_or(0);
        let scale = wanted.max(self.scale).max(other.scale);
        self.div_to(other, scale)
    }

    fn div_to(self, other: Numeric, scale: u32) -> Result<Numeric> {
        let shift = scale + other.scale;
        let top = if shift >= self.scale {
            self.mantissa.checked_mul(power(shift - self.scale)?).ok_or_else(overflow)?
        } else {
            self.mantissa / power(self.scale - shift)?
        };
        held(divide_rounded(top, other.mantissa), scale)
    }

    pub fn rem(self, other: Numeric) -> Result<Numeric> {
        if other.mantissa == 0 {
            return Err(common::division_by_zero());
        }
        let (a, b, scale) = self.aligned(other)?;
        Ok(Numeric { mantissa: a % b, scale })
    }

    /// Half away from zero.
    pub fn round(self, scale: u32) -> Result<Numeric> {
        if scale >= self.scale {
            return held(self.widened(scale)?, scale);
        }
        let mantissa = divide_rounded(self.mantissa, power(self.scale - scale)?);
        Ok(Numeric { mantissa, scale })
    }

    /// To a number of decimals; before the point if negative.
    pub fn round_at(self, scale: i64) -> Result<Numeric> {
        if let Ok(scale) = u32::try_from(scale) {
            return self.round(scale);
        }
        let (Ok(power), cut) = self.tens(scale) else { return Ok(Numeric::from_int(0)) };
        let kept = divide_rounded(self.mantissa, cut);
        held(kept.checked_mul(power).ok_or_else(overflow)?, 0)
    }

    /// The same, towards zero.
    pub fn trunc_at(self, scale: i64) -> Result<Numeric> {
        if let Ok(scale) = u32::try_from(scale) {
            if scale >= self.scale {
                return self.round(scale);
            }
            return held(self.mantissa / power(self.scale - scale)?, scale);
        }
        let (Ok(power), cut) = self.tens(scale) else { return Ok(Numeric::from_int(0)) };
        held(self.mantissa / cut * power, 0)
    }

    /// Ten to a negative scale, and what the mantissa is cut by; an error if nothing is left.
    fn tens(self, scale: i64) -> (Result<i128>, i128) {
        let tens = u32::try_from(scale.unsigned_abs()).unwrap_or(u32::MAX);
        match power(tens.saturating_add(self.scale)) {
            Ok(cut) => (power(tens), cut),
            Err(error) => (Err(error), 1),
        }
    }

    pub fn trunc(self) -> Numeric {
        let divisor = 10_i128.pow(self.scale.min(38));
        Numeric { mantissa: self.mantissa / divisor, scale: 0 }
    }

    pub fn floor(self) -> Numeric {
        let divisor = 10_i128.pow(self.scale.min(38));
        Numeric { mantissa: self.mantissa.div_euclid(divisor), scale: 0 }
    }

    pub fn to_int(self) -> Result<i64> {
        let rounded = self.round(0)?;
        i64::try_from(rounded.mantissa).map_err(|_| common::out_of_range("bigint"))
    }

    #[allow(clippy::cast_precision_loss, reason = "a conversion to float8 rounds, as PostgreSQL's")]
    pub fn to_f64(self) -> f64 {
        self.to_string().parse().unwrap_or(self.mantissa as f64)
    }

    /// Fits `numeric(precision, scale)` or fails with 22003.
    pub fn fit(self, precision: u32, scale: u32) -> Result<Numeric> {
        let rounded = self.round(scale)?;
        if precision > DIGITS_MAX || rounded.mantissa.abs() < power(precision)? {
            return Ok(rounded);
        }
        let bound = match precision.saturating_sub(scale) {
            0 => "1".to_owned(),
            digits => format!("10^{digits}"),
        };
        Err(PgError::new("22003", "numeric field overflow").detail(format!(
            "A field with precision {precision}, scale {scale} must round to an absolute value \
             less than {bound}."
        )))
    }
}

fn divide_rounded(top: i128, bottom: i128) -> i128 {
    let (quotient, rest) = (top / bottom, top % bottom);
    if rest.unsigned_abs() * 2 >= bottom.unsigned_abs() {
        quotient + if (top < 0) == (bottom < 0) { 1 } else { -1 }
    } else {
        quotient
    }
}

impl Ord for Numeric {
    fn cmp(&self, other: &Numeric) -> Ordering {
        match self.aligned(*other) {
            Ok((a, b, _)) => a.cmp(&b),
            Err(_) => self.to_f64().total_cmp(&other.to_f64()),
        }
    }
}

impl PartialOrd for Numeric {
    fn partial_cmp(&self, other: &Numeric) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Numeric {
    fn eq(&self, other: &Numeric) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Numeric {}

impl fmt::Display for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let scale = self.scale as usize;
        if let (0, Ok(small)) = (scale, i64::try_from(self.mantissa)) {
            return write!(f, "{small}");
        }
        let digits = self.mantissa.unsigned_abs().to_string();
        if scale == 0 {
            return write!(f, "{sign}{digits}");
        }
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        write!(f, "{sign}{whole}.{fraction}")
    }
}
