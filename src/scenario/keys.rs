//! Which variables split the trace for an expectation: `per`, `for_each`.
//! Must never look at a value.

use toml::de::DeTable;

use super::diagnostic::Diagnostic;
use super::model::{ForEach, Pattern, Scenario, Span};
use super::reader::Reader;

/// What the key of one expectation depends on.
pub(super) struct Parts<'a> {
    pub at: &'a Span,
    /// All that the expectation names, its guard included.
    pub patterns: Vec<&'a Pattern>,
    pub for_each: Option<&'a ForEach>,
    pub scenario: &'a Scenario,
}

/// The key, checked: each pattern has all of it or, like a server that gets ready once for
/// everybody, none of it. One with a part of it would belong to no one key.
pub(super) fn key(reader: &mut Reader, table: &DeTable, parts: &Parts) -> Option<Vec<String>> {
    let key = match table.get("per") {
        Some(node) => {
            let mut names = reader.texts(node);
            let before = reader.found.len();
            for (name, span) in &mut names {
                *name = name.strip_prefix('$').unwrap_or(name);
                bound(reader, name, span, parts);
            }
            if reader.found.len() > before {
                return None;
            }
            names.into_iter().map(|(name, _)| name.to_owned()).collect()
        }
        None => implied(reader, parts)?,
    };
    whole(reader, &key, parts);
    obliging(reader, &key, parts);
    Some(key)
}

fn bound(reader: &mut Reader, name: &str, span: &Span, parts: &Parts) {
    let mut all: Vec<&str> = parts.patterns.iter().flat_map(|p| p.variables()).collect();
    all.sort_unstable();
    all.dedup();
    if !all.contains(&name) {
        reader.unknown(
            "unknown-variable",
            "variable of this expectation",
            name,
            &all,
            span.clone(),
        );
    }
}

/// Without `per`: what `for_each` has in common with the rest, or nothing.
fn implied(reader: &mut Reader, parts: &Parts) -> Option<Vec<String>> {
    match parts.for_each {
        None => Some(Vec::new()),
        Some(ForEach::User) => user_variable(reader, parts),
        Some(ForEach::Match(name)) => {
            let own = parts.scenario.pattern(name)?.variables();
            let others: Vec<&&Pattern> =
                parts.patterns.iter().filter(|pattern| pattern.name != *name).collect();
            let shared = |variable: &&str| {
                others.is_empty() || others.iter().any(|other| other.field_of(variable).is_some())
            };
            Some(own.into_iter().filter(shared).map(str::to_owned).collect())
        }
    }
}

/// The one variable that the patterns bind from a field `user`.
fn user_variable(reader: &mut Reader, parts: &Parts) -> Option<Vec<String>> {
    let of = |pattern: &&Pattern| {
        let named = |variable: &&str| pattern.field_of(variable) == Some("user");
        pattern.variables().into_iter().find(named).map(str::to_owned)
    };
    let mut found: Vec<String> = parts.patterns.iter().filter_map(of).collect();
    found.sort();
    found.dedup();
    if let [one] = found.as_slice() {
        return Some(vec![one.clone()]);
    }
    let message = "for each user of what? No one variable is bound from a field `user`";
    let help = "write where = { user = \"$u\" } in its events, or name the variable in `per`";
    reader.report(Diagnostic::new("no-key", parts.at.clone(), message).help(help));
    None
}

fn whole(reader: &mut Reader, key: &[String], parts: &Parts) {
    for pattern in &parts.patterns {
        let (has, lacks): (Vec<_>, Vec<_>) =
            key.iter().partition(|variable| pattern.field_of(variable).is_some());
        if !has.is_empty() && !lacks.is_empty() {
            let message = format!("`{}` has `${}` but not `${}`", pattern.name, has[0], lacks[0]);
            let diagnostic = Diagnostic::new("partial-key", parts.at.clone(), message)
                .label("so it belongs to no one key of this expectation")
                .also(pattern.span.clone(), format!("bind `${}` here", lacks[0]));
            reader.report(diagnostic);
        }
    }
}

/// What obliges a key must have all of it.
fn obliging(reader: &mut Reader, key: &[String], parts: &Parts) {
    match parts.for_each {
        Some(ForEach::Match(name)) => {
            let pattern = parts.scenario.pattern(name);
            let lack = |variable: &&String| pattern.is_some_and(|p| p.field_of(variable).is_none());
            if let Some(lacking) = key.iter().find(lack) {
                let message = format!("`for_each = \"{name}\"` does not bind `${lacking}`");
                reader.report(Diagnostic::new("partial-key", parts.at.clone(), message));
            }
        }
        Some(ForEach::User) if key.len() != 1 => {
            let message = "for each user, the key is one variable: the user";
            reader.report(Diagnostic::new("no-key", parts.at.clone(), message));
        }
        _ => {}
    }
}
