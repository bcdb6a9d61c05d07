//! json and jsonb. Must never accept a text that is no JSON.

use std::borrow::Cow;
use std::sync::Arc;

use crate::world::postgres::error::{PgError, Result, Step};
use crate::world::postgres::exec::Cx;
use crate::world::postgres::sql::{Builtin, Function};
use crate::world::postgres::types::{Array, Base, Datum, Json, Numeric, Ty, to_text};

pub const fn f(
    name: &'static str,
    args: &'static [Ty],
    ret: Ty,
    strict: bool,
    run: Builtin,
) -> Function {
    Function { name, args, ret, strict, variadic: false, run }
}

pub const fn v(name: &'static str, args: &'static [Ty], ret: Ty, run: Builtin) -> Function {
    Function { name, args, ret, strict: false, variadic: true, run }
}

pub const TEXTS: Ty = Ty { base: Base::Text, array: true };
const JSONS: Ty = Ty { base: Base::Jsonb, array: true };

pub const TABLE: &[Function] = &[
    f("->", &[Ty::JSONB, Ty::TEXT], Ty::JSONB, true, get),
    f("->", &[Ty::JSONB, Ty::INT4], Ty::JSONB, true, get),
    f("->>", &[Ty::JSONB, Ty::TEXT], Ty::TEXT, true, get_text),
    f("->>", &[Ty::JSONB, Ty::INT4], Ty::TEXT, true, get_text),
    f("#>", &[Ty::JSONB, TEXTS], Ty::JSONB, true, path),
    f("#>>", &[Ty::JSONB, TEXTS], Ty::TEXT, true, path_text),
    f("@>", &[Ty::JSONB, Ty::JSONB], Ty::BOOL, true, contains),
    f("<@", &[Ty::JSONB, Ty::JSONB], Ty::BOOL, true, contained),
    f("?", &[Ty::JSONB, Ty::TEXT], Ty::BOOL, true, has_key),
    f("||", &[Ty::JSONB, Ty::JSONB], Ty::JSONB, true, merge),
    f("-", &[Ty::JSONB, Ty::TEXT], Ty::JSONB, true, without),
    f("-", &[Ty::JSONB, Ty::INT4], Ty::JSONB, true, without_item),
    f("-", &[Ty::JSONB, TEXTS], Ty::JSONB, true, without_all),
    f("jsonb_typeof", &[Ty::JSONB], Ty::TEXT, true, type_of),
    f("jsonb_array_length", &[Ty::JSONB], Ty::INT4, true, array_length),
    f("jsonb_set", &[Ty::JSONB, TEXTS, Ty::JSONB], Ty::JSONB, true, set),
    f("jsonb_set", &[Ty::JSONB, TEXTS, Ty::JSONB, Ty::BOOL], Ty::JSONB, true, set),
    f("to_jsonb", &[Ty::ANY], Ty::JSONB, true, to_jsonb),
    v("jsonb_build_object", &[Ty::ANY], Ty::JSONB, build_object),
    v("jsonb_build_array", &[Ty::ANY], Ty::JSONB, build_array),
    f("jsonb_build_object", &[], Ty::JSONB, false, build_object),
    f("jsonb_build_array", &[], Ty::JSONB, false, build_array),
    f("jsonb_array_elements", &[Ty::JSONB], JSONS, true, elements),
    f("jsonb_array_elements_text", &[Ty::JSONB], TEXTS, true, elements_text),
    f("jsonb_object_keys", &[Ty::JSONB], TEXTS, true, keys),
];

/// A value as JSON.
pub fn to_json(datum: &Datum, ty: Ty) -> Result<Json> {
    Ok(match datum {
        Datum::Null => Json::Null,
        Datum::Bool(flag) => Json::Bool(*flag),
        Datum::Int(number) if matches!(ty.base, Base::Int2 | Base::Int4 | Base::Int8) => {
            Json::Number(Numeric::from_int(*number))
        }
        Datum::Numeric(number) => Json::Number(*number),
        Datum::Float(number) if !number.is_finite() => Json::Text(to_text(datum, ty).into()),
        Datum::Float(_) => {
            let text = to_text(datum, ty);
            let number = Numeric::parse(&text);
            let why = || PgError::unsupported(format_args!("the number {text} in jsonb"));
            Json::Number(number.ok_or_else(why)?)
        }
        Datum::Json(json) => (**json).clone(),
        Datum::Text(text) if ty == Ty::JSON => Json::parse(text).unwrap_or(Json::Null),
        Datum::Array(array) => {
            let items = array.items.iter().map(|item| to_json(item, ty.element()));
            Json::Array(items.collect::<Result<_>>()?)
        }
        Datum::Record(record) => {
            let named = record.fields.iter().enumerate();
            let field = |(at, (ty, field)): (usize, &(Ty, Datum))| {
                Ok((record.name(at), to_json(field, *ty)?))
            };
            Json::object(named.map(field).collect::<Result<_>>()?)
        }
        Datum::Micros(i64::MIN | i64::MAX) if ty != Ty::TIME => {
            Json::Text(to_text(datum, ty).into())
        }
        Datum::Micros(_) if ty == Ty::TIME => Json::Text(to_text(datum, ty).into()),
        Datum::Micros(_) => {
            let text = to_text(datum, ty);
            let zone = if ty == Ty::TIMESTAMPTZ { ":00" } else { "" };
            let (moment, era) = match text.strip_suffix(" BC") {
                Some(moment) => (moment, " BC"),
                None => (&*text, ""),
            };
            let plain = text.ends_with("infinity");
            let moment = moment.replacen(' ', "T", 1);
            Json::Text(if plain { text.into() } else { (moment + zone + era).into() })
        }
        other => Json::Text(to_text(other, ty).into()),
    })
}

fn json(datum: &Datum) -> Cow<'_, Json> {
    match datum {
        Datum::Json(json) => Cow::Borrowed(json),
        Datum::Text(text) => Cow::Owned(Json::parse(text).unwrap_or(Json::Null)),
        _ => Cow::Owned(Json::Null),
    }
}

fn jsonb(json: Json) -> Datum {
    Datum::Json(Arc::new(json))
}

fn field(from: &Json, key: &Datum) -> Option<Json> {
    match key {
        Datum::Text(key) => from.get(key).cloned(),
        // A scalar is the one item of itself.
        Datum::Int(0 | -1) if !matches!(from, Json::Array(_) | Json::Object(_)) => {
            Some(from.clone())
        }
        Datum::Int(at) => from.item(*at).cloned(),
        _ => None,
    }
}

fn get(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(field(&json(&args[0]), &args[1]).map_or(Datum::Null, jsonb))
}

fn get_text(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let found = field(&json(&args[0]), &args[1]);
    Ok(found.and_then(|found| found.as_text()).map_or(Datum::Null, Datum::Text))
}

fn follow(args: &[Datum]) -> Option<Json> {
    let Datum::Array(path) = &args[1] else { return None };
    let mut at = json(&args[0]).into_owned();
    for step in &path.items {
        let step = step.as_str()?;
        at = match &at {
            Json::Object(_) => at.get(step)?.clone(),
            _ => at.item(step.trim_start().parse::<i32>().ok()?.into())?.clone(),
        };
    }
    Some(at)
}

fn path(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(follow(args).map_or(Datum::Null, jsonb))
}

fn path_text(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(follow(args).and_then(|found| found.as_text()).map_or(Datum::Null, Datum::Text))
}

fn contains(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::Bool(json(&args[0]).contains(&json(&args[1]))))
}

fn contained(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::Bool(json(&args[1]).contains(&json(&args[0]))))
}

fn has_key(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let key = args[1].as_str().unwrap_or("");
    Ok(Datum::Bool(match &*json(&args[0]) {
        Json::Array(items) => items.contains(&Json::Text(key.into())),
        Json::Text(text) => **text == *key,
        other => other.get(key).is_some(),
    }))
}

fn merge(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let one = |json: &Json| vec![json.clone()];
    let (left, right) = (&*json(&args[0]), &*json(&args[1]));
    Ok(jsonb(match (left, right) {
        (Json::Object(a), Json::Object(b)) => Json::object([&a[..], &b[..]].concat()),
        (Json::Array(a), Json::Array(b)) => Json::Array([&a[..], &b[..]].concat().into()),
        (Json::Array(a), b) => Json::Array([&a[..], &one(b)].concat().into()),
        (a, Json::Array(b)) => Json::Array([&one(a), &b[..]].concat().into()),
        (a, b) => Json::Array([a.clone(), b.clone()].into()),
    }))
}

fn without(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let key = args[1].as_str().unwrap_or("");
    Ok(jsonb(match &*json(&args[0]) {
        Json::Object(fields) => {
            Json::Object(fields.iter().filter(|(name, _)| **name != *key).cloned().collect())
        }
        Json::Array(items) => {
            let named = Json::Text(key.into());
            Json::Array(items.iter().filter(|item| **item != named).cloned().collect())
        }
        _ => return Err(PgError::new("22023", "cannot delete from scalar").into()),
    }))
}

fn without_item(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let all = match &*json(&args[0]) {
        Json::Array(items) => items.clone(),
        Json::Object(_) => {
            let message = "cannot delete from object using integer index";
            return Err(PgError::new("22023", message).into());
        }
        _ => return Err(PgError::new("22023", "cannot delete from scalar").into()),
    };
    let at = args[1].as_int().unwrap_or(0);
    let end = if at < 0 { i64::try_from(all.len()).unwrap_or(i64::MAX) } else { 0 };
    let place = usize::try_from(at + end).unwrap_or(usize::MAX);
    let kept = all.iter().enumerate().filter(|(own, _)| *own != place);
    Ok(jsonb(Json::Array(kept.map(|(_, item)| item.clone()).collect())))
}

fn without_all(cx: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    let Datum::Array(keys) = &args[1] else { return Ok(args[0].clone()) };
    if !matches!(*json(&args[0]), Json::Array(_) | Json::Object(_)) {
        return Err(PgError::new("22023", "cannot delete from scalar").into());
    }
    let mut left = args[0].clone();
    for key in keys.items.iter().filter(|key| !key.is_null()) {
        left = without(cx, &[left, key.clone()], types)?;
    }
    Ok(left)
}

fn type_of(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::text(match &*json(&args[0]) {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::Text(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }))
}

/// `object`, `scalar`: what cannot be done with one.
fn items(datum: &Datum, object: &str, scalar: &str) -> Step<Arc<[Json]>> {
    match &*json(datum) {
        Json::Array(items) => Ok(items.clone()),
        Json::Object(_) => Err(PgError::new("22023", format!("cannot {object}")).into()),
        _ => Err(PgError::new("22023", format!("cannot {scalar}")).into()),
    }
}

fn extracted(datum: &Datum) -> Step<Arc<[Json]>> {
    items(datum, "extract elements from an object", "extract elements from a scalar")
}

fn array_length(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let (object, scalar) = ("get array length of a non-array", "get array length of a scalar");
    let items = items(&args[0], object, scalar)?;
    Ok(Datum::Int(i64::try_from(items.len()).unwrap_or(i64::MAX)))
}

fn set(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let Datum::Array(path) = &args[1] else { return Ok(args[0].clone()) };
    let target = json(&args[0]);
    if !matches!(*target, Json::Object(_) | Json::Array(_)) {
        return Err(PgError::new("22023", "cannot set path in scalar").into());
    }
    let create = args.get(3).and_then(Datum::as_bool) != Some(false);
    let empty = match &*target {
        Json::Object(fields) => fields.is_empty(),
        Json::Array(items) => items.is_empty(),
        _ => false,
    };
    if path.items.is_empty() || empty && !create {
        return Ok(args[0].clone());
    }
    Ok(jsonb(replaced(&target, (&path.items, 0), &json(&args[2]), create)?))
}

/// With a value at the place that the path leads to, from its item `level` on; `create`: also where
/// none is (`setPath` of PostgreSQL).
fn replaced(at: &Json, (path, level): (&[Datum], usize), value: &Json, create: bool) -> Step<Json> {
    let Some(step) = path.get(level) else { return Ok(value.clone()) };
    let Some(step) = step.as_str() else {
        let message = format!("path element at position {} is null", level + 1);
        return Err(PgError::new("22004", message).into());
    };
    let next = (path, level + 1);
    let creates = create && next.1 == path.len();
    Ok(match at {
        Json::Object(fields) => {
            let mut fields = fields.to_vec();
            let place = fields.iter().position(|(name, _)| **name == *step);
            match place {
                Some(place) => fields[place].1 = replaced(&fields[place].1, next, value, create)?,
                None if creates => fields.push((step.into(), value.clone())),
                None => {}
            }
            Json::object(fields)
        }
        Json::Array(items) => {
            let mut items = items.to_vec();
            let place: i32 = step.trim_start().parse().map_err(|_| {
                let message =
                    format!("path element at position {} is not an integer: \"{step}\"", level + 1);
                PgError::new("22P02", message)
            })?;
            let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
            let place = i64::from(place) + if place < 0 { length } else { 0 };
            match usize::try_from(place) {
                Ok(place) if place < items.len() => {
                    items[place] = replaced(&items[place], next, value, create)?;
                }
                Ok(_) if creates => items.push(value.clone()),
                Err(_) if creates => items.insert(0, value.clone()),
                _ => {}
            }
            Json::Array(items.into())
        }
        other => other.clone(),
    })
}

fn to_jsonb(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    Ok(jsonb(to_json(&args[0], types[0])?))
}

/// Keys and values, one after the other.
pub fn check_pairs(function: &str, args: &[Datum]) -> Step<()> {
    if args.len().is_multiple_of(2) {
        return Ok(());
    }
    let message = "argument list must have even number of elements";
    let hint =
        format!("The arguments of {function}() must consist of alternating keys and values.");
    Err(PgError::new("22023", message).hint(hint).into())
}

/// The key of a field: a value that has no parts.
pub fn key_text(datum: &Datum, ty: Ty) -> Step<String> {
    match datum {
        Datum::Array(_) | Datum::Record(_) | Datum::Json(_) => {
            let message = "key value must be scalar, not array, composite, or json";
            Err(PgError::new("22023", message).into())
        }
        Datum::Text(_) if ty == Ty::JSON => {
            let message = "key value must be scalar, not array, composite, or json";
            Err(PgError::new("22023", message).into())
        }
        Datum::Bool(flag) => Ok(flag.to_string()),
        Datum::Micros(_) | Datum::Date(_) => {
            Err(PgError::unsupported("a time as the key of a json object").into())
        }
        _ => Ok(to_text(datum, ty)),
    }
}

fn build_object(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    check_pairs("jsonb_build_object", args)?;
    let mut fields = Vec::with_capacity(args.len() / 2);
    for (at, (pair, types)) in args.chunks_exact(2).zip(types.chunks_exact(2)).enumerate() {
        if pair[0].is_null() {
            let message = format!("argument {}: key must not be null", 2 * at + 1);
            return Err(PgError::new("22023", message).into());
        }
        fields.push((key_text(&pair[0], types[0])?.into(), to_json(&pair[1], types[1])?));
    }
    Ok(jsonb(Json::object(fields)))
}

fn build_array(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    let items = args.iter().zip(types).map(|(arg, ty)| to_json(arg, *ty));
    Ok(jsonb(Json::Array(items.collect::<Result<_>>()?)))
}

fn array(items: Vec<Datum>) -> Datum {
    Datum::Array(Arc::new(Array { items }))
}

fn elements(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(array(extracted(&args[0])?.iter().cloned().map(jsonb).collect()))
}

fn elements_text(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let items = extracted(&args[0])?;
    Ok(array(items.iter().map(|item| item.as_text().map_or(Datum::Null, Datum::Text)).collect()))
}

fn keys(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    match &*json(&args[0]) {
        Json::Object(fields) => {
            Ok(array(fields.iter().map(|(key, _)| Datum::Text(key.clone())).collect()))
        }
        other => {
            let what = if matches!(other, Json::Array(_)) { "an array" } else { "a scalar" };
            Err(PgError::new("22023", format!("cannot call jsonb_object_keys on {what}")).into())
        }
    }
}
