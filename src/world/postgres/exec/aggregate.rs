//! Aggregates over the rows of a group. Must never see a row of another group.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::query::order;
use super::{Cx, Frame, eval, functions, is_true};
use crate::world::postgres::error::{Result, Step, common};
use crate::world::postgres::sql::Aggregate;
use crate::world::postgres::types::{Array, Datum, Json, Numeric, Row, Ty, single, to_text};

#[derive(Clone, Debug, Default)]
pub struct Accumulator {
    /// Rows counted: for `count`, `avg`.
    count: i64,
    /// Sum, minimum, maximum, conjunction so far.
    value: Option<Datum>,
    /// What is put together at the end, with its sort keys.
    items: Vec<(Vec<Datum>, Row)>,
    seen: BTreeSet<Row>,
}

impl Accumulator {
    pub fn for_all(aggregates: &[Aggregate]) -> Vec<Accumulator> {
        vec![Accumulator::default(); aggregates.len()]
    }

    pub fn finish(mut self, aggregate: &Aggregate) -> Result<Datum> {
        if aggregate.distinct {
            self.items.sort_by(|(_, a), (_, b)| a.cmp(b));
        }
        self.items.sort_by(|(a, _), (b, _)| order(a, b, &aggregate.order));
        let items = || self.items.iter().map(|(_, row)| row.first().cloned().unwrap_or_default());
        Ok(match aggregate.name {
            "count" => Datum::Int(self.count),
            "avg" => average(self.value.as_ref(), self.count)?,
            "array_agg" | "string_agg" | "jsonb_agg" | "json_agg" if self.items.is_empty() => {
                Datum::Null
            }
            "array_agg" => Datum::Array(Arc::new(Array { items: items().collect() })),
            "string_agg" => Datum::text(joined(&self.items)),
            "jsonb_agg" => {
                let values = items().map(|item| functions::json::to_json(&item, aggregate.arg_ty));
                Datum::Json(Arc::new(Json::Array(values.collect::<Result<_>>()?)))
            }
            "json_agg" => {
                let null = Datum::Null;
                let values = self.items.iter().map(|(_, row)| row.first().unwrap_or(&null));
                Datum::text(functions::json_text::aggregated(values, aggregate.arg_ty)?)
            }
            _ => self.value.unwrap_or_default(),
        })
    }
}

fn joined(items: &[(Vec<Datum>, Row)]) -> String {
    let mut out = String::new();
    for (at, (_, row)) in items.iter().enumerate() {
        if at > 0 {
            out.push_str(&row.get(1).map_or_else(String::new, |datum| to_text(datum, Ty::TEXT)));
        }
        out.push_str(&to_text(&row[0], Ty::TEXT));
    }
    out
}

#[allow(clippy::cast_precision_loss, reason = "an average in float8 rounds, as PostgreSQL's")]
fn average(sum: Option<&Datum>, count: i64) -> Result<Datum> {
    Ok(match sum {
        Some(Datum::Numeric(sum)) => Datum::Numeric(sum.div(Numeric::from_int(count))?),
        Some(Datum::Float(sum)) => Datum::Float(sum / count as f64),
        _ => Datum::Null,
    })
}

/// What a row adds to an aggregate: its arguments and sort keys.
type Part = (Row, Vec<Datum>);

/// Adds a row to a group's aggregates: to none before what it adds to each is known, for a wait
/// comes back to the row.
pub fn accumulate(
    aggregates: &[Aggregate],
    into: &mut [Accumulator],
    cx: &mut Cx<'_>,
    frame: &Frame<'_>,
) -> Step<()> {
    if let ([only], [into]) = (aggregates, &mut *into) {
        return match part(only, cx, frame)? {
            Some(part) => Ok(add(only, into, part)?),
            None => Ok(()),
        };
    }
    let mut parts = Vec::with_capacity(aggregates.len());
    for aggregate in aggregates {
        parts.push(part(aggregate, cx, frame)?);
    }
    for ((aggregate, into), part) in aggregates.iter().zip(into).zip(parts) {
        if let Some(part) = part {
            add(aggregate, into, part)?;
        }
    }
    Ok(())
}

fn part(aggregate: &Aggregate, cx: &mut Cx<'_>, frame: &Frame<'_>) -> Step<Option<Part>> {
    if let Some(filter) = &aggregate.filter
        && !is_true(filter, cx, frame)?
    {
        return Ok(None);
    }
    let row = super::query::project(&aggregate.args, cx, frame)?;
    let keeps_null = matches!(aggregate.name, "array_agg" | "jsonb_agg" | "json_agg");
    if row.first().is_some_and(Datum::is_null) && !keeps_null {
        return Ok(None);
    }
    let mut keys = Vec::with_capacity(aggregate.order.len());
    for key in &aggregate.order {
        keys.push(eval(&key.expr, cx, frame)?);
    }
    Ok(Some((row, keys)))
}

fn add(aggregate: &Aggregate, into: &mut Accumulator, (row, keys): Part) -> Result<()> {
    if aggregate.distinct && !into.seen.insert(row.clone()) {
        return Ok(());
    }
    into.count += 1;
    match aggregate.name {
        "count" => {}
        "array_agg" | "string_agg" | "jsonb_agg" | "json_agg" => into.items.push((keys, row)),
        _ => {
            let value = row[0].clone();
            into.value = Some(match into.value.take() {
                None => first(aggregate, value),
                Some(so_far) => combined(aggregate, so_far, value)?,
            });
        }
    }
    Ok(())
}

/// The accumulated form of a group's first value.
fn first(aggregate: &Aggregate, value: Datum) -> Datum {
    let widens = match aggregate.name {
        "avg" => true,
        "sum" => aggregate.ty == Ty::NUMERIC,
        _ => false,
    };
    match value {
        Datum::Int(number) if widens => Datum::Numeric(Numeric::from_int(number)),
        other => other,
    }
}

fn combined(aggregate: &Aggregate, so_far: Datum, value: Datum) -> Result<Datum> {
    Ok(match aggregate.name {
        // Of equal values the later one.
        "min" => value.min(so_far),
        "max" => so_far.max(value),
        "bool_and" | "every" => {
            Datum::Bool(so_far.as_bool() == Some(true) && value.as_bool() == Some(true))
        }
        "bool_or" => Datum::Bool(so_far.as_bool() == Some(true) || value.as_bool() == Some(true)),
        _ => match (so_far, first(aggregate, value)) {
            (Datum::Int(a), Datum::Int(b)) => {
                Datum::Int(a.checked_add(b).ok_or_else(|| common::out_of_range("bigint"))?)
            }
            (Datum::Numeric(a), Datum::Numeric(b)) => Datum::Numeric(a.add(b)?),
            (Datum::Float(a), Datum::Float(b)) => Datum::Float(single(a + b, aggregate.ty)),
            (Datum::Interval(a), Datum::Interval(b)) => Datum::Interval(a.add(b)?),
            (so_far, _) => so_far,
        },
    })
}
