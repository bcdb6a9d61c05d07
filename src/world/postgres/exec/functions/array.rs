//! Arrays and functions that give sets (as arrays, which the caller unrolls).
//! Must never build a set beyond what memory should hold.

use std::sync::Arc;

use crate::world::postgres::error::{PgError, Step};
use crate::world::postgres::exec::Cx;
use crate::world::postgres::sql::Function;
use crate::world::postgres::types::{Array, Datum, Interval, Record, Ty, timestamp_plus, to_text};

const fn f(
    name: &'static str,
    args: &'static [Ty],
    ret: Ty,
    strict: bool,
    run: crate::world::postgres::sql::Builtin,
) -> Function {
    Function { name, args, ret, strict, variadic: false, run }
}

const SERIES_MAX: usize = 10_000_000;
const INT4S: Ty = Ty { base: crate::world::postgres::types::Base::Int4, array: true };
const INT8S: Ty = Ty { base: crate::world::postgres::types::Base::Int8, array: true };
const TIMESTAMPS: Ty = Ty { base: crate::world::postgres::types::Base::Timestamp, array: true };
const TIMESTAMPTZS: Ty = Ty { base: crate::world::postgres::types::Base::Timestamptz, array: true };

pub const TABLE: &[Function] = &[
    f("array_item", &[Ty::ANY_ARRAY, Ty::INT4], Ty::ANY, true, item).any_number(),
    f("array_length", &[Ty::ANY_ARRAY, Ty::INT4], Ty::INT4, true, length),
    f("cardinality", &[Ty::ANY_ARRAY], Ty::INT4, true, cardinality),
    f("array_append", &[Ty::ANY_ARRAY, Ty::ANY], Ty::ANY_ARRAY, false, append),
    f("array_prepend", &[Ty::ANY, Ty::ANY_ARRAY], Ty::ANY_ARRAY, false, prepend),
    f("array_remove", &[Ty::ANY_ARRAY, Ty::ANY], Ty::ANY_ARRAY, false, remove),
    f("array_position", &[Ty::ANY_ARRAY, Ty::ANY], Ty::INT4, false, position),
    f("array_cat", &[Ty::ANY_ARRAY, Ty::ANY_ARRAY], Ty::ANY_ARRAY, false, cat),
    f("||", &[Ty::ANY_ARRAY, Ty::ANY_ARRAY], Ty::ANY_ARRAY, false, cat),
    f("||", &[Ty::ANY_ARRAY, Ty::ANY], Ty::ANY_ARRAY, false, append),
    f("||", &[Ty::ANY, Ty::ANY_ARRAY], Ty::ANY_ARRAY, false, prepend),
    f("@>", &[Ty::ANY_ARRAY, Ty::ANY_ARRAY], Ty::BOOL, true, contains),
    f("<@", &[Ty::ANY_ARRAY, Ty::ANY_ARRAY], Ty::BOOL, true, contained),
    f("&&", &[Ty::ANY_ARRAY, Ty::ANY_ARRAY], Ty::BOOL, true, overlaps),
    f("array_to_string", &[Ty::ANY_ARRAY, Ty::TEXT], Ty::TEXT, true, to_string),
    f("array_to_string", &[Ty::ANY_ARRAY, Ty::TEXT, Ty::TEXT], Ty::TEXT, false, to_string),
    f(
        "string_to_array",
        &[Ty::TEXT, Ty::TEXT],
        Ty { base: crate::world::postgres::types::Base::Text, array: true },
        false,
        from_string,
    ),
    f("unnest", &[Ty::ANY_ARRAY], Ty::ANY_ARRAY, true, unnest),
    f("generate_series", &[Ty::INT4, Ty::INT4], INT4S, true, series),
    f("generate_series", &[Ty::INT4, Ty::INT4, Ty::INT4], INT4S, true, series),
    f("generate_series", &[Ty::INT8, Ty::INT8], INT8S, true, series),
    f("generate_series", &[Ty::INT8, Ty::INT8, Ty::INT8], INT8S, true, series),
    f(
        "generate_series",
        &[Ty::TIMESTAMP, Ty::TIMESTAMP, Ty::INTERVAL],
        TIMESTAMPS,
        true,
        time_series,
    ),
    f(
        "generate_series",
        &[Ty::TIMESTAMPTZ, Ty::TIMESTAMPTZ, Ty::INTERVAL],
        TIMESTAMPTZS,
        true,
        time_series,
    ),
    f("greatest", &[Ty::ANY], Ty::ANY, false, greatest).any_number(),
    f("least", &[Ty::ANY], Ty::ANY, false, least).any_number(),
];

impl Function {
    const fn any_number(self) -> Function {
        Function { variadic: true, ..self }
    }
}

fn items(datum: &Datum) -> &[Datum] {
    if let Datum::Array(array) = datum { &array.items } else { &[] }
}

fn array(items: Vec<Datum>) -> Datum {
    Datum::Array(Arc::new(Array { items }))
}

fn int(number: usize) -> Datum {
    Datum::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

/// There is none at a place of several dimensions.
fn item(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    if args.len() > 2 {
        return Ok(Datum::Null);
    }
    let at = args[1].as_int().and_then(|at| usize::try_from(at.checked_sub(1)?).ok());
    Ok(at.and_then(|at| items(&args[0]).get(at)).cloned().unwrap_or_default())
}

fn length(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let all = items(&args[0]);
    Ok(if all.is_empty() || args[1].as_int() != Some(1) { Datum::Null } else { int(all.len()) })
}

fn cardinality(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(int(items(&args[0]).len()))
}

fn append(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let mut all = items(&args[0]).to_vec();
    all.push(args[1].clone());
    Ok(array(all))
}

fn prepend(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let mut all = vec![args[0].clone()];
    all.extend_from_slice(items(&args[1]));
    Ok(array(all))
}

fn remove(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    if args[0].is_null() {
        return Ok(Datum::Null);
    }
    Ok(array(items(&args[0]).iter().filter(|item| **item != args[1]).cloned().collect()))
}

fn position(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let found = items(&args[0]).iter().position(|item| *item == args[1]);
    Ok(found.map_or(Datum::Null, |at| int(at + 1)))
}

fn cat(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    if args.iter().all(Datum::is_null) {
        return Ok(Datum::Null);
    }
    Ok(array(items(&args[0]).iter().chain(items(&args[1])).cloned().collect()))
}

fn holds(whole: &[Datum], part: &[Datum]) -> bool {
    part.iter().all(|item| !item.is_null() && whole.contains(item))
}

fn contains(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::Bool(holds(items(&args[0]), items(&args[1]))))
}

fn contained(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(Datum::Bool(holds(items(&args[1]), items(&args[0]))))
}

fn overlaps(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let other = items(&args[1]);
    Ok(Datum::Bool(items(&args[0]).iter().any(|item| !item.is_null() && other.contains(item))))
}

fn to_string(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    if args[..2].iter().any(Datum::is_null) {
        return Ok(Datum::Null);
    }
    let element = types[0].element();
    let null = args.get(2).and_then(Datum::as_str);
    let shown = |item: &Datum| match item {
        Datum::Null => null.map(str::to_owned),
        item => Some(to_text(item, element)),
    };
    let texts: Vec<String> = items(&args[0]).iter().filter_map(shown).collect();
    Ok(Datum::text(texts.join(args[1].as_str().unwrap_or(""))))
}

fn from_string(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let Some(text) = args[0].as_str() else { return Ok(Datum::Null) };
    if text.is_empty() {
        return Ok(array(Vec::new()));
    }
    let Some(separator) = args[1].as_str() else {
        return Ok(super::text::texts(text.chars().map(String::from)));
    };
    if separator.is_empty() {
        return Ok(super::text::texts([text.to_owned()]));
    }
    Ok(super::text::texts(text.split(separator).map(str::to_owned)))
}

fn unnest(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    Ok(args[0].clone())
}

/// One record an item, the shorter arrays filled up with NULL.
pub fn side_by_side(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    let longest = args.iter().map(|arg| items(arg).len()).max().unwrap_or(0);
    let record = |at: usize| {
        let item = |arg: &Datum| items(arg).get(at).cloned().unwrap_or_default();
        let fields = args.iter().zip(types).map(|(arg, ty)| (ty.element(), item(arg))).collect();
        Datum::Record(Arc::new(Record { names: None, fields }))
    };
    Ok(array((0..longest).map(record).collect()))
}

fn series(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let number = |at: usize| args.get(at).and_then(Datum::as_int);
    let (first, last, step) =
        (number(0).unwrap_or(0), number(1).unwrap_or(0), number(2).unwrap_or(1));
    if step == 0 {
        return Err(PgError::new("22023", "step size cannot equal zero").into());
    }
    let mut all = Vec::new();
    let mut at = first;
    while (step > 0 && at <= last) || (step < 0 && at >= last) {
        if all.len() >= SERIES_MAX {
            return Err(PgError::unsupported("a series of this length").into());
        }
        all.push(Datum::Int(at));
        let Some(next) = at.checked_add(step) else { break };
        at = next;
    }
    Ok(array(all))
}

fn time_series(_: &mut Cx<'_>, args: &[Datum], _: &[Ty]) -> Step<Datum> {
    let (Datum::Micros(first), Datum::Micros(last), Datum::Interval(step)) =
        (&args[0], &args[1], &args[2])
    else {
        return Ok(Datum::Null);
    };
    let forward = *step > Interval::default();
    if *step == Interval::default() {
        return Err(PgError::new("22023", "step size cannot equal zero").into());
    }
    let mut all = Vec::new();
    let mut at = *first;
    while (forward && at <= *last) || (!forward && at >= *last) {
        if all.len() >= SERIES_MAX {
            return Err(PgError::unsupported("a series of this length").into());
        }
        all.push(Datum::Micros(at));
        at = timestamp_plus(at, *step)?;
    }
    Ok(array(all))
}

/// Padded values are equal to others that are not the same.
fn refuse_padded(types: &[Ty]) -> Step<()> {
    if types.contains(&Ty::BPCHAR) {
        return Err(PgError::unsupported("the greatest or least of characters").into());
    }
    Ok(())
}

fn greatest(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    refuse_padded(types)?;
    // Of equal values the first.
    Ok(args.iter().rev().filter(|arg| !arg.is_null()).max().cloned().unwrap_or_default())
}

fn least(_: &mut Cx<'_>, args: &[Datum], types: &[Ty]) -> Step<Datum> {
    refuse_padded(types)?;
    Ok(args.iter().filter(|arg| !arg.is_null()).min().cloned().unwrap_or_default())
}
