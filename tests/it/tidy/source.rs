//! A Rust source as tokens, the paths it names and the functions it holds: enough for house rules.
//! Must never look inside comments and strings, where anything may be said.

/// One file of the repository.
pub struct Source {
    /// From the root of the repository, with `/`.
    pub path: String,
    pub text: String,
    pub tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// From 1.
    pub line: usize,
    /// An identifier, a number, `::`, one sign, or `"` for any string or character.
    pub text: String,
}

/// A path as written, or one leaf of a `use` with all that stands before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    pub line: usize,
    pub segments: Vec<String>,
    /// The index of the token after it.
    pub end: usize,
}

/// A function with a body.
pub struct Function {
    pub name: String,
    pub line: usize,
    /// From `fn` to the closing brace.
    pub lines: usize,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned(), tokens: tokens(text) }
    }

    fn is(&self, at: usize, text: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| token.text == text)
    }

    fn is_name(&self, at: usize) -> bool {
        let first = self.tokens.get(at).and_then(|token| token.text.chars().next());
        first.is_some_and(|c| c.is_alphabetic() || c == '_')
    }

    /// Whether `texts` stand at `at`, one after the other.
    pub fn reads(&self, at: usize, texts: &[&str]) -> bool {
        texts.iter().enumerate().all(|(offset, text)| self.is(at + offset, text))
    }

    /// Every path, those of `use` trees with their whole prefix.
    pub fn paths(&self) -> Vec<Path> {
        let (mut paths, mut at) = (Vec::new(), 0);
        while at < self.tokens.len() {
            if self.is(at, "use") {
                at = self.use_tree(at + 1, &[], &mut paths);
            } else if self.is_name(at) {
                at = self.path(at, &[], &mut paths);
            } else {
                at += 1;
            }
        }
        paths
    }

    /// Reads `a::b::c` at `at`; the index after it.
    fn path(&self, mut at: usize, prefix: &[String], paths: &mut Vec<Path>) -> usize {
        let (line, mut segments) = (self.tokens[at].line, prefix.to_vec());
        while self.is_name(at) {
            segments.push(self.tokens[at].text.clone());
            at += 1;
            if !(self.is(at, "::") && self.is_name(at + 1)) {
                break;
            }
            at += 1;
        }
        paths.push(Path { line, segments, end: at });
        at
    }

    /// Reads `a::{b, c::d}` at `at`; the index after it.
    fn use_tree(&self, mut at: usize, prefix: &[String], paths: &mut Vec<Path>) -> usize {
        if self.is(at, "::") {
            at += 1;
        }
        let mut prefix = prefix.to_vec();
        if self.is_name(at) {
            at = self.path(at, &prefix, paths);
            if !self.is(at, "::") {
                return if self.is(at, "as") { at + 2 } else { at };
            }
            prefix = paths.pop().map(|path| path.segments).unwrap_or_default();
            at += 1;
        }
        if self.is(at, "*") {
            let line = self.tokens[at].line;
            let segments = [prefix.as_slice(), &["*".to_owned()]].concat();
            paths.push(Path { line, segments, end: at + 1 });
            return at + 1;
        }
        if self.is(at, "{") {
            at += 1;
            while at < self.tokens.len() && !self.is(at, "}") {
                at = self.use_tree(at, &prefix, paths).max(at + 1);
            }
            at += 1;
        }
        at
    }

    pub fn functions(&self) -> Vec<Function> {
        let starts =
            (0..self.tokens.len()).filter(|&at| self.is(at, "fn") && !self.is(at + 1, "("));
        starts.filter_map(|at| self.function(at)).collect()
    }

    fn function(&self, start: usize) -> Option<Function> {
        let mut depth = 0_i32;
        let opening = (start..self.tokens.len()).find(|&at| {
            match self.tokens[at].text.as_str() {
                "(" | "[" => depth += 1,
                ")" | "]" => depth -= 1,
                "{" | ";" if depth == 0 => return true,
                _ => {}
            }
            false
        })?;
        if self.is(opening, ";") {
            return None;
        }
        let mut depth = 0_i32;
        let closing = (opening..self.tokens.len()).find(|&at| {
            depth += i32::from(self.is(at, "{")) - i32::from(self.is(at, "}"));
            depth == 0
        })?;
        let (first, last) = (&self.tokens[start], &self.tokens[closing]);
        let name = self.tokens[start + 1].text.clone();
        Some(Function { name, line: first.line, lines: last.line - first.line + 1 })
    }
}

/// Splits `text`; comments vanish, strings and characters become `"`.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        let (end, shown) = token_at(&chars, at);
        if let Some(text) = shown {
            tokens.push(Token { line, text });
        }
        line += chars[at..end].iter().filter(|c| **c == '\n').count();
        at = end;
    }
    tokens
}

/// Where the token at `at` ends, and its text unless it is space or a comment.
fn token_at(chars: &[char], at: usize) -> (usize, Option<String>) {
    let peek = |offset: usize| chars.get(at + offset).copied().unwrap_or('\0');
    let string = || Some("\"".to_owned());
    match chars[at] {
        c if c.is_whitespace() => (at + 1, None),
        '/' if peek(1) == '/' => (past(chars, at, |c| c != '\n'), None),
        '/' if peek(1) == '*' => (after_block_comment(chars, at), None),
        '"' => (after_string(chars, at + 1, 0, true), string()),
        '\'' if peek(1) == '\\' || peek(2) == '\'' => (after_char(chars, at), string()),
        '\'' => (past(chars, at + 1, is_word), None),
        'r' if peek(1) == '#' && is_word(peek(2)) => {
            let end = past(chars, at + 2, is_word);
            (end, Some(chars[at + 2..end].iter().collect()))
        }
        'r' if raw_hashes(chars, at + 1).is_some() => raw(chars, at + 1),
        'b' | 'c' if peek(1) == '"' => (after_string(chars, at + 2, 0, true), string()),
        'b' if peek(1) == '\'' => (after_char(chars, at + 1), string()),
        'b' | 'c' if peek(1) == 'r' && raw_hashes(chars, at + 2).is_some() => raw(chars, at + 2),
        c if is_word(c) => {
            let end = past(chars, at, is_word);
            (end, Some(chars[at..end].iter().collect()))
        }
        ':' if peek(1) == ':' => (at + 2, Some("::".to_owned())),
        c => (at + 1, Some(c.to_string())),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn past(chars: &[char], from: usize, belongs: impl Fn(char) -> bool) -> usize {
    (from..chars.len()).find(|&at| !belongs(chars[at])).unwrap_or(chars.len())
}

fn after_block_comment(chars: &[char], at: usize) -> usize {
    let (mut depth, mut at) = (1_usize, at + 2);
    while depth > 0 && at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    if depth > 0 { chars.len() } else { at }
}

/// The number of `#` before the quote of a raw string, if one opens at `at`.
fn raw_hashes(chars: &[char], at: usize) -> Option<usize> {
    let quote = past(chars, at, |c| c == '#');
    (chars.get(quote) == Some(&'"')).then_some(quote - at)
}

fn raw(chars: &[char], at: usize) -> (usize, Option<String>) {
    let hashes = raw_hashes(chars, at).unwrap_or(0);
    (after_string(chars, at + hashes + 1, hashes, false), Some("\"".to_owned()))
}

fn after_string(chars: &[char], mut at: usize, hashes: usize, escapes: bool) -> usize {
    while at < chars.len() {
        let closes = chars[at] == '"' && past(chars, at + 1, |c| c == '#') >= at + 1 + hashes;
        match chars[at] {
            '\\' if escapes => at += 2,
            _ if closes => return at + 1 + hashes,
            _ => at += 1,
        }
    }
    chars.len()
}

fn after_char(chars: &[char], at: usize) -> usize {
    let escaped = chars.get(at + 1) == Some(&'\\');
    let content = if escaped { at + 3 } else { at + 2 };
    (past(chars, content, |c| c != '\'') + 1).min(chars.len())
}
