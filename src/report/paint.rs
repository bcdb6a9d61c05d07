//! A failure at the lines of the scenario that it belongs to. Must never panic, whatever the spans.

use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::scenario::Scenario;

const WIDTH: usize = 100;

/// Whether text for people carries colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paint {
    pub styled: bool,
}

/// A place in a scenario's source and what to say beside it.
pub type Mark = (Range<usize>, String);

impl Paint {
    /// `error[id]: message`, the scenario's line that was broken, and lines that had a part in it.
    pub fn error(
        self,
        scenario: &Scenario,
        id: &str,
        message: &str,
        primary: Option<&Mark>,
        others: &[Mark],
    ) -> String {
        let source: &str = &scenario.source;
        let place = |span: &Range<usize>| first_line(span, source);
        let primary = primary
            .into_iter()
            .map(|(span, label)| AnnotationKind::Primary.span(place(span)).label(label.as_str()));
        let others = others
            .iter()
            .map(|(span, label)| AnnotationKind::Context.span(place(span)).label(label.as_str()));
        let annotations: Vec<_> = primary.chain(others).collect();
        let title = Level::ERROR.primary_title(message).id(id);
        let group = if annotations.is_empty() {
            annotate_snippets::Group::with_title(title)
        } else {
            let path = scenario.path.as_str();
            title.element(Snippet::source(source).path(path).annotations(annotations))
        };
        let renderer = if self.styled { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Unicode).term_width(WIDTH);
        renderer.render(&[group]) + "\n"
    }
}

/// The first line of `span`, inside the source and on character boundaries.
fn first_line(span: &Range<usize>, source: &str) -> Range<usize> {
    let floor = |at: usize| source.floor_char_boundary(at.min(source.len()));
    let start = floor(span.start);
    let text = &source[start..floor(span.end).max(start)];
    start..start + text.find('\n').unwrap_or(text.len())
}
