//! Values to and from the protocol's binary form. Must never trust a length.

use std::sync::Arc;

use bytes::{BufMut as _, BytesMut};

use super::{Array, Base, Datum, Interval, Json, Numeric, Ty, to_text};
use crate::world::postgres::error::{PgError, Result, common};

fn bad(ty: Ty) -> PgError {
    PgError::new("22P03", format!("incorrect binary data format for type {}", ty.name()))
}

fn short() -> PgError {
    PgError::new("08P01", "insufficient data left in message")
}

fn fixed<const N: usize>(bytes: &[u8], ty: Ty) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| if bytes.len() < N { short() } else { bad(ty) })
}

pub fn utf8(bytes: &[u8]) -> Result<&str> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    text.ok_or_else(|| common::not_utf8(bytes))
}

pub fn from_binary(bytes: &[u8], ty: Ty) -> Result<Datum> {
    if ty.array {
        return array_from(bytes, ty);
    }
    Ok(match ty.base {
        Base::Bool => Datum::Bool(fixed::<1>(bytes, ty)?[0] != 0),
        Base::Int2 => Datum::Int(i64::from(i16::from_be_bytes(fixed(bytes, ty)?))),
        Base::Int4 => Datum::Int(i64::from(i32::from_be_bytes(fixed(bytes, ty)?))),
        Base::Int8 => Datum::Int(i64::from_be_bytes(fixed(bytes, ty)?)),
        Base::Oid | Base::Regclass | Base::Regtype => {
            Datum::Int(i64::from(u32::from_be_bytes(fixed(bytes, ty)?)))
        }
        Base::Float4 => Datum::Float(f64::from(f32::from_be_bytes(fixed(bytes, ty)?))),
        Base::Float8 => Datum::Float(f64::from_be_bytes(fixed(bytes, ty)?)),
        Base::Text | Base::Varchar | Base::Bpchar | Base::Name | Base::Unknown => {
            Datum::text(utf8(bytes)?)
        }
        Base::Json => {
            Json::check(utf8(bytes)?)?;
            Datum::text(utf8(bytes)?)
        }
        Base::Jsonb => match bytes.split_first() {
            Some((1, text)) => Datum::Json(Arc::new(Json::parse(utf8(text)?)?)),
            Some((version, _)) => {
                let message = format!("unsupported jsonb version number {version}");
                return Err(PgError::new("XX000", message));
            }
            None => return Err(short()),
        },
        Base::Bytea => Datum::Bytes(bytes.into()),
        Base::Uuid => Datum::Uuid(fixed(bytes, ty)?),
        Base::Date => Datum::Date(i32::from_be_bytes(fixed(bytes, ty)?)),
        Base::Time | Base::Timestamp | Base::Timestamptz => {
            Datum::Micros(i64::from_be_bytes(fixed(bytes, ty)?))
        }
        Base::Interval => interval_from(bytes, ty)?,
        Base::Numeric => {
            if let Some(0xc000 | 0xd000 | 0xf000) = numeric_sign(bytes) {
                return Err(PgError::unsupported("NaN or infinity of numeric"));
            }
            Datum::Numeric(numeric_from(bytes).ok_or_else(|| bad(ty))?)
        }
        Base::Void | Base::Record | Base::Any => return Err(bad(ty)),
    })
}

fn interval_from(bytes: &[u8], ty: Ty) -> Result<Datum> {
    let all: [u8; 16] = fixed(bytes, ty)?;
    let (micros, rest) = all.split_at(8);
    let (days, months) = rest.split_at(4);
    Ok(Datum::Interval(Interval {
        micros: i64::from_be_bytes(fixed(micros, ty)?),
        days: i32::from_be_bytes(fixed(days, ty)?),
        months: i32::from_be_bytes(fixed(months, ty)?),
    }))
}

/// Reads fixed-size pieces off the front.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn i32(&mut self) -> Option<i32> {
        let (head, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(i32::from_be_bytes(*head))
    }

    fn i16(&mut self) -> Option<i16> {
        let (head, rest) = self.0.split_first_chunk::<2>()?;
        self.0 = rest;
        Some(i16::from_be_bytes(*head))
    }
}

fn array_from(bytes: &[u8], ty: Ty) -> Result<Datum> {
    let mut cursor = Cursor(bytes);
    let mut next = || cursor.i32().ok_or_else(short);
    let (dimensions, _has_nulls, element) = (next()?, next()?, next()?.cast_unsigned());
    let wanted = ty.element();
    if element != wanted.oid() {
        let own = Ty::from_oid(element).map_or("???".to_owned(), Ty::name);
        let (name, oid) = (wanted.name(), wanted.oid());
        let message = format!(
            "binary data has array element type {element} ({own}) \
             instead of expected {oid} ({name})"
        );
        return Err(PgError::new("42804", message));
    }
    if dimensions == 0 {
        return Ok(Datum::Array(Arc::new(Array::default())));
    }
    if dimensions != 1 {
        return Err(PgError::unsupported("an array of more than one dimension"));
    }
    let (length, _lower) = (next()?, next()?);
    let mut items = Vec::new();
    for _ in 0..length {
        let size = cursor.i32().ok_or_else(short)?;
        if size < 0 {
            items.push(Datum::Null);
            continue;
        }
        let size = usize::try_from(size).map_err(|_| bad(ty))?;
        if size > cursor.0.len() {
            return Err(short());
        }
        let (item, rest) = cursor.0.split_at(size);
        items.push(from_binary(item, ty.element())?);
        cursor.0 = rest;
    }
    Ok(Datum::Array(Arc::new(Array { items })))
}

fn numeric_sign(bytes: &[u8]) -> Option<u16> {
    bytes.get(4..6).map(|sign| u16::from_be_bytes([sign[0], sign[1]]))
}

fn numeric_from(bytes: &[u8]) -> Option<Numeric> {
    let mut cursor = Cursor(bytes);
    let (groups, weight, sign, scale) =
        (cursor.i16()?, cursor.i16()?, cursor.i16()?.cast_unsigned(), cursor.i16()?);
    let mut mantissa = 0_i128;
    for _ in 0..groups {
        mantissa = mantissa.checked_mul(10_000)?.checked_add(i128::from(cursor.i16()?))?;
    }
    // The last group stands for 10000^(weight - groups + 1).
    let exponent = (i32::from(weight) - i32::from(groups) + 1) * 4;
    let scale = u32::try_from(scale).ok()?;
    let shift = exponent + i32::try_from(scale).ok()?;
    let power = 10_i128.checked_pow(shift.unsigned_abs())?;
    let mantissa = if shift >= 0 { mantissa.checked_mul(power)? } else { mantissa / power };
    match sign {
        0 => Some(Numeric::new(mantissa, scale)),
        0x4000 => Some(Numeric::new(-mantissa, scale)),
        _ => None,
    }
}

/// Appends the binary form, without its length.
pub fn to_binary(datum: &Datum, ty: Ty, out: &mut BytesMut) {
    match datum {
        Datum::Null | Datum::Void => {}
        Datum::Bool(flag) => out.put_u8(u8::from(*flag)),
        Datum::Int(number) => put_int(*number, ty, out),
        #[allow(clippy::cast_possible_truncation, reason = "a float4 was stored rounded to single")]
        Datum::Float(number) => match ty.base {
            Base::Float4 => out.put_f32(*number as f32),
            _ => out.put_f64(*number),
        },
        Datum::Numeric(number) => put_numeric(*number, out),
        Datum::Text(text) => out.put_slice(text.as_bytes()),
        Datum::Bytes(bytes) => out.put_slice(bytes),
        Datum::Uuid(bytes) => out.put_slice(bytes),
        Datum::Date(days) => out.put_i32(*days),
        Datum::Micros(micros) => out.put_i64(*micros),
        Datum::Interval(interval) => {
            out.put_i64(interval.micros);
            out.put_i32(interval.days);
            out.put_i32(interval.months);
        }
        Datum::Json(json) => {
            out.put_u8(1);
            out.put_slice(json.text().as_bytes());
        }
        Datum::Array(array) => put_array(array, ty.element(), out),
        Datum::Record(record) => {
            out.put_i32(i32::try_from(record.fields.len()).unwrap_or(i32::MAX));
            for (ty, datum) in &record.fields {
                out.put_u32(ty.oid());
                put_sized(datum, *ty, out);
            }
        }
    }
}

fn put_int(number: i64, ty: Ty, out: &mut BytesMut) {
    let bytes = number.to_be_bytes();
    out.put_slice(match ty.base {
        Base::Int2 => &bytes[6..],
        Base::Int8 => &bytes,
        _ => &bytes[4..],
    });
}

/// Length and binary form; length -1 for NULL.
pub fn put_sized(datum: &Datum, ty: Ty, out: &mut BytesMut) {
    if datum.is_null() {
        out.put_i32(-1);
        return;
    }
    let at = out.len();
    out.put_i32(0);
    to_binary(datum, ty, out);
    let length = i32::try_from(out.len() - at - 4).unwrap_or(i32::MAX);
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

fn put_array(array: &Array, element: Ty, out: &mut BytesMut) {
    out.put_i32(i32::from(!array.items.is_empty()));
    out.put_i32(i32::from(array.items.iter().any(Datum::is_null)));
    out.put_u32(element.oid());
    if array.items.is_empty() {
        return;
    }
    out.put_i32(i32::try_from(array.items.len()).unwrap_or(i32::MAX));
    out.put_i32(1);
    for item in &array.items {
        put_sized(item, element, out);
    }
}

fn put_numeric(number: Numeric, out: &mut BytesMut) {
    let pad = (4 - number.scale() % 4) % 4;
    let mut rest = number.mantissa().unsigned_abs() * 10_u128.pow(pad);
    let fraction_groups = i16::try_from((number.scale() + pad) / 4).unwrap_or(0);
    let mut groups = Vec::new();
    while rest > 0 {
        groups.push(i16::try_from(rest % 10_000).unwrap_or(0));
        rest /= 10_000;
    }
    let count = i16::try_from(groups.len()).unwrap_or(0);
    let weight = if count == 0 { 0 } else { count - fraction_groups - 1 };
    while groups.first() == Some(&0) {
        groups.remove(0);
    }
    out.put_i16(i16::try_from(groups.len()).unwrap_or(0));
    out.put_i16(weight);
    out.put_u16(if number.mantissa() < 0 { 0x4000 } else { 0 });
    out.put_i16(i16::try_from(number.scale()).unwrap_or(0));
    for group in groups.iter().rev() {
        out.put_i16(*group);
    }
}

/// The text form as bytes, appended with its length; -1 for NULL.
pub fn put_text(datum: &Datum, ty: Ty, out: &mut BytesMut) {
    if datum.is_null() {
        out.put_i32(-1);
        return;
    }
    if let Datum::Text(text) = datum {
        out.put_i32(i32::try_from(text.len()).unwrap_or(i32::MAX));
        out.put_slice(text.as_bytes());
        return;
    }
    let text = to_text(datum, ty);
    out.put_i32(i32::try_from(text.len()).unwrap_or(i32::MAX));
    out.put_slice(text.as_bytes());
}
