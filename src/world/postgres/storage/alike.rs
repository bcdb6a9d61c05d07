//! Whether two clusters define a table alike, so that a plan for the one is a plan for the other.
//! Must never say yes of two that differ in anything; of two that are alike it may say no.

use std::sync::Arc;

use super::catalog::{Column, Index, IndexPart, Table};
use super::roles::Security;
use crate::world::postgres::sql::Expr;
use crate::world::postgres::types::Datum;

impl Table {
    pub fn is_alike(&self, other: &Table) -> bool {
        let Table { oid, name, columns, indexes, checks, foreign_keys: keys, security, .. } = self;
        *oid == other.oid
            && *name == other.name
            && all(columns, &other.columns, column)
            && all(indexes, &other.indexes, index)
            && checks.is_empty()
            && other.checks.is_empty()
            && *keys == other.foreign_keys
            && secured(security, &other.security)
    }
}

fn all<T>(ours: &[T], theirs: &[T], alike: fn(&T, &T) -> bool) -> bool {
    ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| alike(a, b))
}

fn column(a: &Column, b: &Column) -> bool {
    let Column { name, ty, typmod, not_null, default, identity, generated, dropped } = a;
    *name == b.name
        && *ty == b.ty
        && *typmod == b.typmod
        && *not_null == b.not_null
        && expression(default.as_ref(), b.default.as_ref())
        && *identity == b.identity
        && expression(generated.as_ref(), b.generated.as_ref())
        && *dropped == b.dropped
}

fn expression(a: Option<&Arc<Expr>>, b: Option<&Arc<Expr>>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => same(a, b),
        _ => false,
    }
}

/// Only constants are looked into, and what they are cast to.
fn same(a: &Expr, b: &Expr) -> bool {
    match (a, b) {
        (Expr::Const(a), Expr::Const(b)) => match (a, b) {
            (Datum::Int(a), Datum::Int(b)) => a == b,
            (Datum::Text(a), Datum::Text(b)) => a == b,
            (Datum::Bool(a), Datum::Bool(b)) => a == b,
            _ => false,
        },
        (
            Expr::Cast { expr: a, from, to, typmod, explicit },
            Expr::Cast { expr: b, from: ours, to: into, typmod: wide, explicit: said },
        ) => same(a, b) && (from, to, typmod, explicit) == (ours, into, wide, said),
        _ => false,
    }
}

fn index(a: &Index, b: &Index) -> bool {
    let Index {
        name,
        parts,
        unique,
        primary,
        constraint,
        nulls_distinct,
        predicate,
        includes,
        dropped,
    } = a;
    *name == b.name
        && all(parts, &b.parts, part)
        && *unique == b.unique
        && *primary == b.primary
        && *constraint == b.constraint
        && *nulls_distinct == b.nulls_distinct
        && expression(predicate.as_ref(), b.predicate.as_ref())
        && *includes == b.includes
        && *dropped == b.dropped
}

fn part(a: &IndexPart, b: &IndexPart) -> bool {
    match (a, b) {
        (IndexPart::Column(a), IndexPart::Column(b)) => a == b,
        _ => false,
    }
}

fn secured(a: &Security, b: &Security) -> bool {
    let Security { owner, acl, enabled, forced, policies } = a;
    *owner == b.owner
        && *acl == b.acl
        && *enabled == b.enabled
        && *forced == b.forced
        && policies.is_empty()
        && b.policies.is_empty()
}
