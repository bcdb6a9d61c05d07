//! Values to the protocol's binary form. Must never fail: what there is can be sent.

use bytes::{BufMut as _, BytesMut};

use super::{Array, Base, Datum, Numeric, Ty, to_text};

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
