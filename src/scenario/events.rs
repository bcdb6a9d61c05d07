//! `[events]`: names for patterns over the trace. Must never match one.

use toml::de::{DeTable, DeValue};

use super::diagnostic::Diagnostic;
use super::model::{Literal, Pattern, Span, Test, Where};
use super::reader::{Node, Reader};
use super::vocabulary::Vocabulary;
use crate::env::EventSpec;

/// Fields that every event has, whatever its catalogue lists.
pub(super) const EVERYWHERE: &[&str] = &["host", "task"];

/// Names that mean something else in expectations.
const RESERVED: &[&str] = &["user", "needs"];

pub(super) fn patterns(reader: &mut Reader, node: &Node, vocabulary: &Vocabulary) -> Vec<Pattern> {
    let Some(table) = reader.table(node) else { return Vec::new() };
    let mut all = Vec::new();
    for (key, node) in table {
        let name = key.get_ref().as_ref();
        check_name(reader, name, key.span());
        let Some(table) = reader.table(node) else { continue };
        reader.only(table, &["on", "where"], "an event pattern");
        all.extend(pattern(reader, table, name, &key.span(), vocabulary));
    }
    all
}

fn check_name(reader: &mut Reader, name: &str, at: Span) {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if RESERVED.contains(&name) {
        let message = format!("`{name}` is a word of expectations and cannot name an event");
        reader.report(Diagnostic::new("bad-name", at, message));
    } else if !first || !name.chars().all(inner) {
        let message = format!("`{name}` cannot name an event");
        let help = "a letter, then letters, digits, `_`, `-` or `.`";
        reader.report(Diagnostic::new("bad-name", at, message).help(help));
    }
}

/// `on` and `where` of a table that may hold other keys too.
pub(super) fn pattern(
    reader: &mut Reader,
    table: &DeTable,
    name: &str,
    at: &Span,
    vocabulary: &Vocabulary,
) -> Option<Pattern> {
    let node = reader.required(table, "on", at, "an event pattern")?;
    let on = reader.text(node)?;
    let Some(spec) = vocabulary.events.iter().find(|spec| spec.name == on) else {
        let names: Vec<&str> = vocabulary.events.iter().map(|spec| spec.name).collect();
        reader.unknown("unknown-event", "event", on, &names, node.span());
        return None;
    };
    let mut wheres = Vec::new();
    if let Some(table) = table.get("where").and_then(|node| reader.table(node)) {
        for (key, node) in table {
            let field = key.get_ref().as_ref();
            if !has_field(spec, field) {
                unknown_field(reader, spec, field, key.span());
            } else if let Some(test) = test(reader, node) {
                wheres.push(Where { field: field.to_owned(), test, span: node.span() });
            }
        }
    }
    Some(Pattern { name: name.to_owned(), span: at.clone(), on: on.to_owned(), wheres })
}

pub(super) fn has_field(spec: &EventSpec, field: &str) -> bool {
    spec.has_field(field) || EVERYWHERE.contains(&field)
}

pub(super) fn unknown_field(reader: &mut Reader, spec: &EventSpec, field: &str, at: Span) {
    let own = spec.fields.iter().map(|name| name.trim_start_matches("r#"));
    let names: Vec<&str> = own.chain(EVERYWHERE.iter().copied()).collect();
    let kind = format!("field of `{}`", spec.name);
    reader.unknown("unknown-field", &kind, field, &names, at);
}

fn test(reader: &mut Reader, node: &Node) -> Option<Test> {
    Some(match node.get_ref() {
        DeValue::Boolean(flag) => Test::Is(Literal::Bool(*flag)),
        DeValue::Integer(_) => Test::Is(Literal::Int(reader.int(node, i64::MIN, i64::MAX)?)),
        DeValue::String(text) => match (text.strip_prefix('$'), text.strip_prefix('!')) {
            (Some(""), _) => {
                let message = "`$` needs the name of a variable";
                reader.report(Diagnostic::new("bad-value", node.span(), message));
                return None;
            }
            (Some(variable), _) => Test::Bind(variable.to_owned()),
            (None, Some(other)) => Test::Not(other.to_owned()),
            (None, None) => Test::Is(Literal::Text(text.clone().into_owned())),
        },
        _ => {
            reader.wrong_type(node, "a text, a whole number, true, false or a \"$variable\"");
            return None;
        }
    })
}
