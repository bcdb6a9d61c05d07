//! The functions, operators, types and implicit casts of PostgreSQL 15, by name: what a call may
//! mean there, whether it is here or not. Must never know what is implemented.

use std::cmp::Ordering;

use super::analyze::Context;
use crate::world::postgres::types::{Base, Ty};

/// Lines in the order of their bytes, each of a kind, a name and words: `t` of a type, its category
/// and whether it is preferred (`pg_type`); `c`, `d` and `e` of a type, those that it is converted
/// to unasked, also in assignments, when asked only (`pg_cast`); `f`, `a`, `w`, `o` and `l` of a
/// function, aggregate, window function, operator and prefix operator, what they take (`pg_proc`,
/// `pg_operator`): `*` begins a variadic argument, `=` ends one with a default, `-` is none.
const TEXT: &str = include_str!("signatures.txt");

/// What a name is looked up as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Function,
    Aggregate,
    Window,
    /// Between two operands.
    Operator,
    /// Before one.
    Prefix,
}

impl Kind {
    fn letter(self) -> &'static str {
        match self {
            Kind::Function => "f",
            Kind::Aggregate => "a",
            Kind::Window => "w",
            Kind::Operator => "o",
            Kind::Prefix => "l",
        }
    }
}

/// A type of PostgreSQL, by its name in `pg_type`; an array of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Type {
    pub name: &'static str,
    pub array: bool,
}

/// What a function or operator takes.
#[derive(Debug)]
pub struct Signature {
    pub args: Vec<Type>,
    /// So many arguments must be given; the others have defaults.
    pub needed: usize,
    /// Any number of the last one, at least one.
    pub variadic: bool,
}

/// In the order of `Base`.
const NAMES: [&str; Base::Any as usize + 1] = [
    "bool",
    "bytea",
    "name",
    "int8",
    "int2",
    "int4",
    "text",
    "oid",
    "json",
    "float4",
    "float8",
    "bpchar",
    "varchar",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "interval",
    "numeric",
    "uuid",
    "jsonb",
    "regclass",
    "regtype",
    "void",
    "unknown",
    "record",
    "any",
];

impl Type {
    pub const UNKNOWN: Type = Type { name: "unknown", array: false };
    pub const TEXT: Type = Type { name: "text", array: false };

    pub fn of(ty: Ty) -> Type {
        Type { name: NAMES[ty.base as usize], array: ty.array }
    }

    /// `None` for a type that is not here.
    pub fn here(self) -> Option<Ty> {
        let base = Ty::from_name(self.name).map(|ty| ty.base);
        let other = match self.name {
            "unknown" => Some(Base::Unknown),
            _ => base.filter(|base| NAMES[*base as usize] == self.name),
        };
        other.map(|base| Ty { base, array: self.array })
    }

    pub fn element(self) -> Type {
        Type { array: false, ..self }
    }
}

/// The words after a kind and a name, by bisection.
fn find(kind: &str, name: &str) -> Option<&'static str> {
    let (mut low, mut high) = (0, TEXT.len());
    while low < high {
        let middle = usize::midpoint(low, high);
        let start = TEXT[..middle].rfind('\n').map_or(0, |at| at + 1).max(low);
        let end = TEXT[start..].find('\n').map_or(TEXT.len(), |at| start + at);
        let mut words = TEXT[start..end].splitn(3, ' ');
        let key = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        match key.cmp(&(kind, name)) {
            Ordering::Equal => return words.next(),
            Ordering::Less => low = end + 1,
            Ordering::Greater => high = start,
        }
    }
    None
}

/// Whether one of this name takes these very types, each given.
pub fn takes(kind: Kind, name: &str, types: &[Type]) -> bool {
    let same = |word: &str, ty: &Type| match word.strip_suffix("[]") {
        Some(element) => ty.array && element == ty.name,
        None => !ty.array && word == ty.name,
    };
    let words = find(kind.letter(), name).unwrap_or("");
    words.split(' ').any(|signature| {
        let mut args = signature.split(',');
        types.iter().all(|ty| args.next().is_some_and(|word| same(word, ty)))
            && args.next().is_none()
    })
}

/// What those of this name take.
pub fn named(kind: Kind, name: &str) -> Vec<Signature> {
    let words = find(kind.letter(), name).unwrap_or("");
    words.split(' ').filter(|word| !word.is_empty()).map(signature).collect()
}

pub fn has(kind: Kind, name: &str) -> bool {
    find(kind.letter(), name).is_some()
}

/// The category of the type of this name.
pub fn named_type(name: &str) -> Option<char> {
    find("t", name)?.chars().next()
}

/// The category of a type, and whether it is the preferred one of it.
pub fn category(ty: Type) -> (char, bool) {
    if ty.array {
        return ('A', false);
    }
    let words = find("t", ty.name).unwrap_or("U");
    (words.chars().next().unwrap_or('U'), words.ends_with("preferred"))
}

/// Whether PostgreSQL converts in this context: by `pg_cast`, arrays as their elements, and by
/// way of the text to and from strings.
pub fn casts(from: Type, to: Type, context: Context) -> bool {
    if from == to {
        return true;
    }
    if from.array && to.array {
        return casts(from.element(), to.element(), context);
    }
    let kinds = [("c", Context::Implicit), ("d", Context::Assignment), ("e", Context::Explicit)];
    for (kind, least) in kinds.into_iter().filter(|_| !from.array && !to.array) {
        let known = find(kind, from.name).unwrap_or("");
        if known.split(' ').any(|name| name == to.name) {
            return context >= least;
        }
    }
    let string = |ty: Type| category(ty).0 == 'S';
    context >= Context::Assignment && string(to) || context == Context::Explicit && string(from)
}

fn signature(text: &'static str) -> Signature {
    let mut args = Vec::new();
    let (mut needed, mut variadic) = (0, false);
    for word in text.split(',').filter(|word| *word != "-") {
        variadic |= word.starts_with('*');
        let name = word.trim_start_matches('*').trim_end_matches('=');
        needed += usize::from(!word.ends_with('='));
        let element = name.trim_end_matches("[]");
        args.push(Type { name: element, array: element.len() < name.len() });
    }
    Signature { args, needed, variadic }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_found() {
        for line in TEXT.lines() {
            let mut words = line.splitn(3, ' ');
            let (kind, name) = (words.next().unwrap(), words.next().unwrap());
            assert_eq!(find(kind, name), words.next(), "{line}");
        }
        assert_eq!(find("f", "no_such_function"), None);
        assert_eq!((find("", ""), find("z", "z")), (None, None));
    }
}
