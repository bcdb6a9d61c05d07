//! The functions, operators, types and implicit casts of PostgreSQL 15, by name: what a call may
//! mean there, whether it is here or not. Must never know what is implemented.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::analyze::Context;
use crate::world::postgres::types::{Base, Ty};

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

#[derive(Default)]
pub struct Signatures {
    /// Category, and whether the type is the preferred one of it.
    types: BTreeMap<&'static str, (char, bool)>,
    /// The least willing place that converts from one type to the other.
    casts: BTreeMap<(&'static str, &'static str), Context>,
    by_name: BTreeMap<(Kind, &'static str), Vec<Signature>>,
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

impl Signatures {
    pub fn all() -> &'static Signatures {
        static ALL: OnceLock<Signatures> = OnceLock::new();
        ALL.get_or_init(|| {
            let mut all = Signatures::default();
            TEXT.lines().filter(|line| !line.starts_with('#')).for_each(|line| all.read(line));
            all
        })
    }

    fn read(&mut self, line: &'static str) {
        let mut words = line.split(' ');
        let (Some(kind), Some(name)) = (words.next(), words.next()) else { return };
        let kind = match kind {
            "t" => {
                let category = words.next().and_then(|word| word.chars().next());
                let preferred = words.next().is_some();
                self.types.insert(name, (category.unwrap_or('U'), preferred));
                return;
            }
            "c" | "d" | "e" => {
                let context = match kind {
                    "c" => Context::Implicit,
                    "d" => Context::Assignment,
                    _ => Context::Explicit,
                };
                return self.casts.extend(words.map(|to| ((name, to), context)));
            }
            "f" => Kind::Function,
            "a" => Kind::Aggregate,
            "w" => Kind::Window,
            "o" => Kind::Operator,
            _ => Kind::Prefix,
        };
        self.by_name.insert((kind, name), words.map(signature).collect());
    }

    pub fn named<'a>(&'a self, kind: Kind, name: &'a str) -> &'a [Signature] {
        let by_name: &BTreeMap<(Kind, &'a str), Vec<Signature>> = &self.by_name;
        by_name.get(&(kind, name)).map_or(&[], Vec::as_slice)
    }

    pub fn has(&self, kind: Kind, name: &str) -> bool {
        !self.named(kind, name).is_empty()
    }

    /// The category of the type of this name.
    pub fn named_type(&self, name: &str) -> Option<char> {
        self.types.get(name).map(|known| known.0)
    }

    pub fn category(&self, ty: Type) -> (char, bool) {
        if ty.array {
            return ('A', false);
        }
        self.types.get(ty.name).copied().unwrap_or(('U', false))
    }

    /// Whether PostgreSQL converts in this context: by `pg_cast`, arrays as their elements, and by
    /// way of the text to and from strings.
    pub fn casts(&self, from: Type, to: Type, context: Context) -> bool {
        if from == to {
            return true;
        }
        if from.array && to.array {
            return self.casts(from.element(), to.element(), context);
        }
        let known = self.casts.get(&(from.name, to.name));
        if let Some(least) = known.filter(|_| !from.array && !to.array) {
            return context >= *least;
        }
        let string = |ty: Type| self.category(ty).0 == 'S';
        context >= Context::Assignment && string(to) || context == Context::Explicit && string(from)
    }
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
