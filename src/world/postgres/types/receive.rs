//! Values from the protocol's binary form, as PostgreSQL's receive functions take them: what is
//! wrong is told in the order of the bytes. Must never trust a length.

use std::sync::Arc;

use super::datetime::{MICROS_PER_DAY, day_in_range, moment_in_range};
use super::numeric::{held, overflow};
use super::{Array, Base, Datum, Interval, Json, Numeric, Ty};
use crate::world::postgres::error::{PgError, Result, common};

/// Dimensions and items of an array (`MAXDIM`, `MaxArraySize`).
const DIMENSIONS_MAX: i32 = 6;
const ITEMS_MAX: i64 = 134_217_727;

pub fn utf8(bytes: &[u8]) -> Result<&str> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    text.ok_or_else(|| common::not_utf8(bytes))
}

fn invalid(message: impl Into<String>) -> PgError {
    PgError::new("22P03", message.into())
}

fn too_much(message: String) -> PgError {
    PgError::new("54000", message)
}

/// A value; `left` says what is wrong if there are bytes left over.
pub fn from_binary(bytes: &[u8], ty: Ty, left: impl FnOnce() -> String) -> Result<Datum> {
    let mut cursor = Cursor(bytes);
    let value = cursor.value(ty)?;
    if cursor.0.is_empty() { Ok(value) } else { Err(invalid(left())) }
}

/// Reads off the front.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let short = || PgError::new("08P01", "insufficient data left in message");
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or_else(short)?;
        self.0 = rest;
        Ok(*head)
    }

    fn byte(&mut self) -> Result<u8> {
        let none = || PgError::new("08P01", "no data left in message");
        let (first, rest) = self.0.split_first().ok_or_else(none)?;
        self.0 = rest;
        Ok(*first)
    }

    fn i16(&mut self) -> Result<i16> {
        self.fixed().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32> {
        self.fixed().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64> {
        self.fixed().map(i64::from_be_bytes)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn value(&mut self, ty: Ty) -> Result<Datum> {
        if ty.array {
            return self.array(ty);
        }
        Ok(match ty.base {
            Base::Bool => Datum::Bool(self.byte()? != 0),
            Base::Int2 => Datum::Int(i64::from(self.i16()?)),
            Base::Int4 => Datum::Int(i64::from(self.i32()?)),
            Base::Int8 => Datum::Int(self.i64()?),
            Base::Oid | Base::Regclass | Base::Regtype => {
                Datum::Int(i64::from(self.i32()?.cast_unsigned()))
            }
            Base::Float4 => Datum::Float(f64::from(f32::from_be_bytes(self.fixed()?))),
            Base::Float8 => Datum::Float(f64::from_be_bytes(self.fixed()?)),
            Base::Text | Base::Varchar | Base::Bpchar | Base::Name | Base::Unknown => {
                Datum::text(utf8(self.rest())?)
            }
            Base::Json => {
                let text = utf8(self.rest())?;
                Json::check(text)?;
                Datum::text(text)
            }
            Base::Jsonb => match self.fixed()? {
                [1] => Datum::Json(Arc::new(Json::parse(utf8(self.rest())?)?)),
                [version] => {
                    let message = format!("unsupported jsonb version number {version}");
                    return Err(PgError::new("XX000", message));
                }
            },
            Base::Bytea => Datum::Bytes(self.rest().into()),
            Base::Uuid => Datum::Uuid(self.fixed()?),
            Base::Date | Base::Time | Base::Timestamp | Base::Timestamptz => self.time(ty.base)?,
            Base::Interval => Datum::Interval(Interval {
                micros: self.i64()?,
                days: self.i32()?,
                months: self.i32()?,
            }),
            Base::Numeric => Datum::Numeric(self.numeric()?),
            Base::Void | Base::Record | Base::Any => {
                let message = format!("cannot accept a value of type {}", ty.name());
                return Err(PgError::new("0A000", message));
            }
        })
    }

    fn time(&mut self, base: Base) -> Result<Datum> {
        let out = |what: &str| PgError::new("22008", format!("{what} out of range"));
        match base {
            Base::Date => match self.i32()? {
                days if day_in_range(i64::from(days)) => Ok(Datum::Date(days)),
                always @ (i32::MIN | i32::MAX) => Ok(Datum::Date(always)),
                _ => Err(out("date")),
            },
            Base::Time => match self.i64()? {
                micros @ 0..=MICROS_PER_DAY => Ok(Datum::Micros(micros)),
                _ => Err(out("time")),
            },
            _ => match self.i64()? {
                micros if moment_in_range(micros) => Ok(Datum::Micros(micros)),
                always @ (i64::MIN | i64::MAX) => Ok(Datum::Micros(always)),
                _ => Err(out("timestamp")),
            },
        }
    }

    fn array(&mut self, ty: Ty) -> Result<Datum> {
        let wanted = ty.element();
        let dimensions = self.i32()?;
        if dimensions < 0 {
            return Err(invalid(format!("invalid number of dimensions: {dimensions}")));
        }
        if dimensions > DIMENSIONS_MAX {
            return Err(too_much(format!(
                "number of array dimensions ({dimensions}) exceeds the maximum allowed \
                 ({DIMENSIONS_MAX})"
            )));
        }
        if !(0..=1).contains(&self.i32()?) {
            return Err(invalid("invalid array flags"));
        }
        let element = self.i32()?.cast_unsigned();
        if element != wanted.oid() {
            let own = Ty::from_oid(element).map_or("???".to_owned(), Ty::name);
            let (name, oid) = (wanted.name(), wanted.oid());
            let message = format!(
                "binary data has array element type {element} ({own}) \
                 instead of expected {oid} ({name})"
            );
            return Err(PgError::new("42804", message));
        }
        let length = self.bounds(dimensions)?;
        let items = (0..length).map(|at| self.item(wanted, at + 1)).collect::<Result<_>>()?;
        Ok(Datum::Array(Arc::new(Array { items })))
    }

    /// How many items an array has.
    fn bounds(&mut self, dimensions: i32) -> Result<i64> {
        let sides = (0..dimensions).map(|_| Ok((self.i32()?, self.i32()?)));
        let sides: Vec<(i32, i32)> = sides.collect::<Result<_>>()?;
        let mut length = i64::from(dimensions > 0);
        for (side, _) in &sides {
            length = length.saturating_mul(i64::from(*side));
            if *side < 0 || length > i64::from(i32::MAX) {
                return Err(too_many());
            }
        }
        if length > ITEMS_MAX {
            return Err(too_many());
        }
        if let Some((_, lower)) =
            sides.iter().find(|(side, lower)| side.checked_add(*lower).is_none())
        {
            return Err(too_much(format!("array lower bound is too large: {lower}")));
        }
        match sides[..] {
            _ if length == 0 => Ok(0),
            [(_, 1)] => Ok(length),
            [_] => Err(PgError::unsupported("an array with bounds")),
            _ => Err(PgError::unsupported("an array of more than one dimension")),
        }
    }

    fn item(&mut self, ty: Ty, number: i64) -> Result<Datum> {
        let size = self.i32()?;
        if size == -1 {
            return Ok(Datum::Null);
        }
        let size = usize::try_from(size).ok().filter(|size| *size <= self.0.len());
        let size = size.ok_or_else(|| invalid("insufficient data left in message"))?;
        let (item, rest) = self.0.split_at(size);
        self.0 = rest;
        from_binary(item, ty, || format!("improper binary format in array element {number}"))
    }

    fn numeric(&mut self) -> Result<Numeric> {
        let wrong = |what: &str| invalid(format!("invalid {what} in external \"numeric\" value"));
        let groups = self.i16()?.cast_unsigned();
        let (weight, sign) = (self.i16()?, self.i16()?.cast_unsigned());
        let special = matches!(sign, 0xc000 | 0xd000 | 0xf000);
        if !special && !matches!(sign, 0 | 0x4000) {
            return Err(wrong("sign"));
        }
        let scale = self.i16()?;
        if !(0..0x4000).contains(&scale) {
            return Err(wrong("scale"));
        }
        let mut digits = Vec::new();
        for _ in 0..groups {
            let digit = Some(self.i16()?).filter(|digit| (0..10_000).contains(digit));
            digits.push(digit.ok_or_else(|| wrong("digit"))?);
        }
        if special {
            return Err(PgError::unsupported("NaN or infinity of numeric"));
        }
        let number = numeric_of(&digits, weight, scale).ok_or_else(overflow)?;
        Ok(if sign == 0 { number } else { number.neg() })
    }
}

fn too_many() -> PgError {
    too_much(format!("array size exceeds the maximum allowed ({ITEMS_MAX})"))
}

/// Groups of four digits; what is behind the scale is cut off.
fn numeric_of(digits: &[i16], weight: i16, scale: i16) -> Option<Numeric> {
    // The last group stands for 10000^(weight - groups + 1).
    let last = i32::from(weight) + 1 - i32::try_from(digits.len()).ok()?;
    let shift = last * 4 + i32::from(scale);
    let mut mantissa = 0_i128;
    for digit in digits {
        mantissa = mantissa.checked_mul(10_000)?.checked_add(i128::from(*digit))?;
    }
    if mantissa != 0 {
        mantissa = match 10_i128.checked_pow(shift.unsigned_abs()) {
            Some(power) if shift >= 0 => mantissa.checked_mul(power)?,
            Some(power) => mantissa / power,
            None if shift < 0 => 0,
            None => return None,
        };
    }
    held(mantissa, u32::try_from(scale).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PostgreSQL keeps the bounds of an array; here there are none to keep.
    #[test]
    fn an_array_that_begins_elsewhere_is_refused() {
        let array = |lower: i32| {
            let words = [1, 0, 23, 1, lower, 4, 7];
            let bytes: Vec<u8> = words.iter().flat_map(|word: &i32| word.to_be_bytes()).collect();
            from_binary(&bytes, Ty { array: true, ..Ty::INT4 }, String::new)
        };
        assert!(array(1).is_ok());
        assert_eq!(array(0).map_err(|error| error.code().to_owned()), Err("0A000".to_owned()));
    }
}
