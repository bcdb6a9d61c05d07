//! The steps of a user: `{ ask = "…" }`, `{ connect = { at = "5ms" } }`.
//! Must never know a word that the vocabulary does not have.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::diagnostic::Diagnostic;
use super::load::value;
use super::model::{Span, StepSpec, Undrawn};
use super::reader::{Node, Reader};
use super::vocabulary::{ParamWord, StepWord, Vocabulary};

/// Under this key stands the bare value of a step.
const BARE: &str = "value";

pub(super) fn step(reader: &mut Reader, node: &Node, vocabulary: &Vocabulary) -> Option<StepSpec> {
    let table = reader.table(node)?;
    let find = |key: &str| vocabulary.steps.iter().find(|step| step.word == key);
    let found = table.iter().find_map(|(key, inner)| find(key.get_ref()).map(|w| (w, key, inner)));
    let Some((word, key, inner)) = found else {
        unknown(reader, table, &node.span(), vocabulary);
        return None;
    };
    let mut params = BTreeMap::new();
    let what = format!("the step `{}`", word.word);
    if let Some(kind) = &word.value {
        params.extend(value(reader, inner, kind).map(|value| (BARE.to_owned(), value)));
        let mut keys: Vec<&str> = word.params.iter().map(|param| param.key).collect();
        keys.push(word.word);
        reader.only(table, &keys, &what);
        read(reader, table, word, &key.span(), &mut params);
    } else {
        reader.only(table, &[word.word], &format!("a step beside `{}`", word.word));
        let inner = reader.table(inner)?;
        let keys: Vec<&str> = word.params.iter().map(|param| param.key).collect();
        reader.only(inner, &keys, &what);
        read(reader, inner, word, &key.span(), &mut params);
    }
    Some(StepSpec { word: word.word.to_owned(), span: node.span(), params })
}

fn read(
    reader: &mut Reader,
    table: &DeTable,
    word: &StepWord,
    at: &Span,
    params: &mut BTreeMap<String, Undrawn>,
) {
    for ParamWord { key, kind, required, .. } in &word.params {
        match table.get(*key) {
            Some(node) => {
                params.extend(value(reader, node, kind).map(|value| ((*key).to_owned(), value)));
            }
            None if *required => {
                reader.missing(at.clone(), key, &format!("the step `{}`", word.word));
            }
            None => {}
        }
    }
}

fn unknown(reader: &mut Reader, table: &DeTable, at: &Span, vocabulary: &Vocabulary) {
    let words: Vec<&str> = vocabulary.steps.iter().map(|step| step.word).collect();
    if let Some(key) = table.keys().next() {
        return reader.unknown("unknown-step", "step", key.get_ref(), &words, key.span());
    }
    let diagnostic = Diagnostic::new("missing-key", at.clone(), "a step needs its word");
    reader.report(diagnostic.help(format!("expected one of: {}", words.join(", "))));
}
