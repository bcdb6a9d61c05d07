//! What is wrong with a scenario file, pointing at the place. Must never decide what is wrong.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::model::Span;

/// One mistake in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// `unknown-key`: stable, for tests and tools.
    pub code: &'static str,
    pub message: String,
    pub span: Span,
    /// What stands beside the marked place; may be empty.
    pub label: String,
    /// What to do about it: the nearest name, or all that is expected.
    pub help: Vec<String>,
    /// Other places that belong to it.
    pub secondary: Vec<(Span, String)>,
}

impl Diagnostic {
    pub fn new(code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        let message = message.into();
        Diagnostic {
            code,
            message,
            span,
            label: String::new(),
            help: Vec::new(),
            secondary: Vec::new(),
        }
    }

    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Diagnostic {
        self.label = label.into();
        self
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help.push(help.into());
        self
    }

    #[must_use]
    pub fn also(mut self, span: Span, label: impl Into<String>) -> Diagnostic {
        self.secondary.push((span, label.into()));
        self
    }

    /// Suggests the nearest of the names that would have been right, and lists them if few.
    #[must_use]
    pub fn expected(mut self, wrong: &str, names: &[&str]) -> Diagnostic {
        if let Some(near) = nearest(wrong, names) {
            self.label = format!("did you mean `{near}`?");
        }
        let listed = if names.len() <= 12 { names.to_vec() } else { close(wrong, names) };
        if !listed.is_empty() {
            let more = if listed.len() < names.len() { ", …" } else { "" };
            self.help.push(format!("expected one of: {}{more}", listed.join(", ")));
        }
        self
    }
}

/// The name that was most likely meant, if any is near enough to be a slip.
pub fn nearest<'a>(wrong: &str, names: &[&'a str]) -> Option<&'a str> {
    let score = |name: &&str| (strsim::jaro_winkler(wrong, name) * 1000.0).round();
    let best = names.iter().max_by(|a, b| score(a).total_cmp(&score(b)))?;
    (score(best) >= 780.0).then_some(*best)
}

/// The six names closest to a wrong one.
fn close<'a>(wrong: &str, names: &[&'a str]) -> Vec<&'a str> {
    let mut sorted = names.to_vec();
    sorted.sort_by(|a, b| {
        strsim::jaro_winkler(wrong, b).total_cmp(&strsim::jaro_winkler(wrong, a)).then(a.cmp(b))
    });
    sorted.truncate(6);
    sorted
}

/// All diagnostics of one file as text, an empty line between them.
pub fn render(diagnostics: &[Diagnostic], path: &str, source: &str, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Unicode).term_width(100);
    let one = |diagnostic: &Diagnostic| renderer.render(&[group(diagnostic, path, source)]);
    let mut text = diagnostics.iter().map(one).collect::<Vec<_>>().join("\n\n");
    text.push('\n');
    text
}

fn group<'a>(diagnostic: &'a Diagnostic, path: &'a str, source: &'a str) -> Group<'a> {
    let mut primary = AnnotationKind::Primary.span(clamp(&diagnostic.span, source));
    if !diagnostic.label.is_empty() {
        primary = primary.label(diagnostic.label.as_str());
    }
    let secondary = diagnostic.secondary.iter().map(|(span, label)| {
        AnnotationKind::Context.span(clamp(span, source)).label(label.as_str())
    });
    let snippet = Snippet::source(source).path(path).annotation(primary).annotations(secondary);
    let title = Level::ERROR.primary_title(diagnostic.message.as_str()).id(diagnostic.code);
    let help = diagnostic.help.iter().map(|text| Level::HELP.message(text.as_str()));
    title.element(snippet).elements(help)
}

/// Keeps a span inside the source and on character boundaries: a report must never panic.
fn clamp(span: &Span, source: &str) -> Span {
    let floor = |at: usize| source.floor_char_boundary(at.min(source.len()));
    let start = floor(span.start);
    start..floor(span.end).max(start)
}
