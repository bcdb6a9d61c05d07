//! Row locks of a query: FOR UPDATE, FOR NO KEY UPDATE, FOR SHARE, FOR KEY SHARE. Must never take
//! such a lock where PostgreSQL allows none.

use sqlparser::ast;
use sqlparser::tokenizer::Span;

use super::analyze::Analyzer;
use super::names::ident;
use super::parse;
use super::plan::{Body, LockRows, Policy, Query, Source};
use super::scope::Scope;
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::storage::heap::Strength;

/// The rows that FOR UPDATE and its like lock.
pub fn locks(
    analyzer: &Analyzer<'_>,
    query: &ast::Query,
    plan: &Query,
    scope: &Scope<'_>,
) -> Result<Vec<LockRows>> {
    let Body::Select(select) = &plan.body else { return Ok(Vec::new()) };
    let mut locks: Vec<LockRows> = Vec::new();
    for clause in &query.locks {
        if select.grouped || select.distinct {
            let what = match (select.grouped, select.keys.is_empty()) {
                (true, true) => "aggregate functions",
                (true, false) => "GROUP BY clause",
                (false, _) => "DISTINCT clause",
            };
            let message = format!("{} is not allowed with {what}", lock_name(clause).1);
            return Err(PgError::new("0A000", message));
        }
        let (strength, name) = lock_name(clause);
        if select.expand.is_some() {
            return Err(PgError::unsupported(format_args!("{name} with a set in the select list")));
        }
        let policy = match clause.nonblock {
            None => Policy::Wait,
            Some(ast::NonBlock::Nowait) => Policy::Fail,
            Some(ast::NonBlock::SkipLocked) => Policy::Skip,
        };
        let of: Vec<(String, Span)> = match &clause.of {
            Some(of) => {
                of.0.iter()
                    .filter_map(|part| part.as_ident())
                    .map(|part| (ident(part), part.span))
                    .filter(|(part, _)| !part.starts_with('\u{1}'))
                    .collect()
            }
            None => Vec::new(),
        };
        for (alias, span) in &of {
            if !scope.relations.iter().any(|relation| *relation.alias == **alias) {
                let message =
                    format!("relation \"{alias}\" in {name} clause not found in FROM clause");
                return Err(PgError::new("42P01", message).at(analyzer.position(*span)));
            }
        }
        for (relation, known) in select.relations.iter().enumerate() {
            let named = of.iter().any(|(alias, _)| **alias == *known.alias);
            if !(of.is_empty() || named) {
                continue;
            }
            if !matches!(known.source, Source::Table(_)) {
                if named || matches!(known.source, Source::Query { .. }) {
                    return Err(PgError::unsupported(format_args!("{name} of a subquery")));
                }
                continue;
            }
            if scope.relations[relation].optional {
                let message =
                    format!("{name} cannot be applied to the nullable side of an outer join");
                return Err(PgError::new("0A000", message));
            }
            match locks.iter_mut().find(|lock| lock.relation == relation) {
                Some(lock) => lock.strength = lock.strength.max(strength),
                None => locks.push(LockRows { relation, strength, policy }),
            }
        }
    }
    Ok(locks)
}

fn lock_name(clause: &ast::LockClause) -> (Strength, &'static str) {
    let first = clause.of.as_ref().and_then(|of| of.0.first()).and_then(|part| part.as_ident());
    let mark = first.map_or("", |part| part.value.as_str());
    match (&clause.lock_type, mark) {
        (ast::LockType::Update, parse::NO_KEY) => (Strength::NoKeyUpdate, "FOR NO KEY UPDATE"),
        (ast::LockType::Update, _) => (Strength::Update, "FOR UPDATE"),
        (ast::LockType::Share, parse::KEY) => (Strength::KeyShare, "FOR KEY SHARE"),
        (ast::LockType::Share, _) => (Strength::Share, "FOR SHARE"),
    }
}
