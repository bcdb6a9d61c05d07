//! The type json, which keeps its text. Must never put its fields in order.

use super::json::{self, f, v};
use crate::world::postgres::error::{PgError, Result, Step};
use crate::world::postgres::exec::Cx;
use crate::world::postgres::sql::Function;
use crate::world::postgres::types::{Datum, Json, Ty, to_text, write_quoted};

pub const TABLE: &[Function] = &[
    f("->", &[Ty::JSON, Ty::TEXT], Ty::JSON, true, refuse),
    f("->", &[Ty::JSON, Ty::INT4], Ty::JSON, true, refuse),
    f("->>", &[Ty::JSON, Ty::INT4], Ty::TEXT, true, refuse),
    f("#>", &[Ty::JSON, json::TEXTS], Ty::JSON, true, refuse),
    f("#>>", &[Ty::JSON, json::TEXTS], Ty::TEXT, true, refuse),
    f("->>", &[Ty::JSON, Ty::TEXT], Ty::TEXT, true, get_text),
    f("to_json", &[Ty::ANY], Ty::JSON, true, to_json),
    f("row_to_json", &[Ty::RECORD], Ty::JSON, true, to_json),
    v("json_build_object", &[Ty::ANY], Ty::JSON, build_object),
    f("json_build_object", &[], Ty::JSON, false, build_object),
];

/// Writes a value as PostgreSQL's `datum_to_json`.
fn put(datum: &Datum, ty: Ty, out: &mut String) -> Result<()> {
    match datum {
        Datum::Text(text) if ty == Ty::JSON => out.push_str(text),
        Datum::Json(json) => out.push_str(&json.text()),
        Datum::Array(array) => {
            out.push('[');
            for (at, item) in array.items.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                put(item, ty.element(), out)?;
            }
            out.push(']');
        }
        Datum::Record(record) => {
            out.push('{');
            for (at, (ty, field)) in record.fields.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                write_quoted(&record.name(at), out);
                out.push(':');
                put(field, *ty, out)?;
            }
            out.push('}');
        }
        Datum::Float(number) if !number.is_finite() => write_quoted(&to_text(datum, ty), out),
        Datum::Numeric(_) | Datum::Float(_) => out.push_str(&to_text(datum, ty)),
        other => out.push_str(&json::to_json(other, ty)?.text()),
    }
    Ok(())
}

/// The values of an aggregate; PostgreSQL begins a line with each that has parts.
pub fn aggregated<'a>(values: impl Iterator<Item = &'a Datum>, ty: Ty) -> Result<String> {
    let parted = ty.array || ty == Ty::RECORD;
    let mut out = String::from("[");
    for (at, value) in values.enumerate() {
        out.push_str(if at > 0 { ", " } else { "" });
        out.push_str(if at > 0 && parted && !value.is_null() { "\n " } else { "" });
        put(value, ty, &mut out)?;
    }
    out.push(']');
    Ok(out)
}

fn to_json(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    let mut out = String::new();
    put(&args[0], types[0], &mut out)?;
    Ok(Datum::text(out))
}

fn build_object(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    json::check_pairs("json_build_object", args)?;
    let mut out = String::from("{");
    for (at, (pair, types)) in args.chunks_exact(2).zip(types.chunks_exact(2)).enumerate() {
        if pair[0].is_null() {
            let message = format!("argument {} cannot be null", 2 * at + 1);
            let hint = "Object keys should be text.";
            return Err(PgError::new("22023", message).hint(hint).into());
        }
        out.push_str(if at > 0 { ", " } else { "" });
        write_quoted(&json::key_text(&pair[0], types[0])?, &mut out);
        out.push_str(" : ");
        put(&pair[1], types[1], &mut out)?;
    }
    out.push('}');
    Ok(Datum::text(out))
}

/// A field that has no parts, and no number that can be written in several ways.
fn get_text(cx: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    let whole = args[0].as_str().unwrap_or_default();
    let found = match (Json::parse(whole), args[1].as_str()) {
        (Ok(json), Some(key)) => json.get(key).cloned(),
        _ => None,
    };
    match found {
        None | Some(Json::Null) => Ok(Datum::Null),
        Some(Json::Number(_)) if whole.contains(['e', 'E']) || whole.contains("-0") => {
            refuse(cx, args, types)
        }
        Some(Json::Object(_) | Json::Array(_)) => refuse(cx, args, types),
        Some(scalar) => Ok(scalar.as_text().map_or(Datum::Null, Datum::Text)),
    }
}

/// The text of a part would have to be kept as it was written.
fn refuse(_: &mut Cx<'_>, _: &[Datum], _: &[Ty]) -> Step<Datum> {
    Err(PgError::unsupported("reading a part of json (jsonb has it)").into())
}
