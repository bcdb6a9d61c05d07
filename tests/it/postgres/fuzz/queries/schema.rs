//! What the statements read and write: three small tables, the types of their columns, and some
//! literals of each. Must never hold a value whose text depends on when or where it is read.

/// Said to both servers before anything else.
pub const SET_UP: &[&str] = &[
    "CREATE TABLE t (a int, b text, c numeric(8,2), d timestamp, e jsonb, f bool, g int[], h int8, \
     k date)",
    "CREATE TABLE u (a int PRIMARY KEY, b text, c numeric, f bool, i interval, j uuid, p int2)",
    "CREATE TABLE v (x int, y text, z float8)",
    "INSERT INTO t VALUES
     (1, 'one', 1.50, '2024-01-01 10:00', '{\"a\":1}', true, '{1,2}', 10, '2024-02-29'),
     (2, 'two', -2.25, '2023-05-05', '[1,2]', false, '{}', -20, '1999-12-31'),
     (3, null, null, null, null, null, null, null, null),
     (2, 'TWO', 2.00, '2024-01-02 00:00:01', '{\"a\":{\"b\":\"x\"}}', true, '{3,null}', 9000000000,
      '2000-01-01'),
     (null, '', 0.00, '1970-01-01', '\"s\"', false, '{5}', 0, '2024-01-01'),
     (5, 'a,b', 100.10, '2024-12-31 23:59:59.5', 'null', null, '{1,1,1}', 7, '2024-01-31')",
    "INSERT INTO u VALUES
     (1, 'one', 1.5, true, '1 day', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 1),
     (2, 'x y', null, false, '02:00', null, -3),
     (3, null, 3.333, null, null, '00000000-0000-0000-0000-000000000001', 7),
     (4, 'two', -4, true, '1 mon', null, null)",
    "INSERT INTO v VALUES (1, 'one', 0.5), (1, 'uno', 1.25), (2, null, -3), (null, 'n', null),
     (4, 'four', 1e10)",
    "CREATE INDEX ON t (a)",
    "CREATE INDEX ON v (x) WHERE x > 1",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Bool,
    Int2,
    Int4,
    Int8,
    Numeric,
    Float,
    Text,
    Date,
    Timestamp,
    Interval,
    Jsonb,
    Ints,
    Uuid,
}

use Type::{Bool, Date, Float, Int2, Int4, Int8, Interval, Ints, Jsonb, Numeric, Text};
use Type::{Timestamp, Uuid};

/// Every type, with its name in SQL and some of its values.
const TYPES: &[(Type, &str, &[&str])] = &[
    (Bool, "bool", &["true", "false", "null::bool"]),
    (Int2, "int2", &["1::int2", "7::int2"]),
    (Int4, "int4", &["1", "0", "2", "3", "-1", "5"]),
    (Int8, "int8", &["10::int8", "-20::int8", "3000000000"]),
    (Numeric, "numeric", &["1.5", "0", "-2.25", "3.333"]),
    (Float, "float8", &["0.5::float8", "-3::float8"]),
    (Text, "text", &["'one'", "''", "'two'", "'x'", "'a,b'"]),
    (Date, "date", &["date '2024-02-29'", "date '2000-01-01'"]),
    (Timestamp, "timestamp", &["timestamp '2024-01-01 10:00'", "timestamp '1970-01-01'"]),
    (Interval, "interval", &["interval '1 day'", "interval '-02:30'"]),
    (Jsonb, "jsonb", &["'{\"a\":1}'::jsonb", "'[1,2]'::jsonb", "'1'::jsonb"]),
    (Ints, "int4[]", &["array[1,2]", "'{}'::int[]", "array[null,3]"]),
    (Uuid, "uuid", &["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid"]),
];

impl Type {
    fn entry(self) -> &'static (Type, &'static str, &'static [&'static str]) {
        TYPES.iter().find(|(kind, ..)| *kind == self).expect("every type is listed")
    }

    pub fn name(self) -> &'static str {
        self.entry().1
    }

    pub fn literals(self) -> &'static [&'static str] {
        self.entry().2
    }

    pub fn named(name: &str) -> Option<Type> {
        TYPES.iter().find(|(_, known, _)| *known == name).map(|(kind, ..)| *kind)
    }
}

pub type Table = (&'static str, &'static [(&'static str, Type)]);

pub const TABLES: &[Table] = &[
    (
        "t",
        &[
            ("a", Int4),
            ("b", Text),
            ("c", Numeric),
            ("d", Timestamp),
            ("e", Jsonb),
            ("f", Bool),
            ("g", Ints),
            ("h", Int8),
            ("k", Date),
        ],
    ),
    (
        "u",
        &[
            ("a", Int4),
            ("b", Text),
            ("c", Numeric),
            ("f", Bool),
            ("i", Interval),
            ("j", Uuid),
            ("p", Int2),
        ],
    ),
    ("v", &[("x", Int4), ("y", Text), ("z", Float)]),
];

/// A column, or a parameter, by what it is written as.
#[derive(Clone, Debug)]
pub struct Column {
    pub text: String,
    pub kind: Type,
}

/// The columns of what is called `alias`.
pub fn columns_of(alias: &str, columns: &[(&str, Type)]) -> Vec<Column> {
    let column =
        |(name, kind): &(&str, Type)| Column { text: format!("{alias}.{name}"), kind: *kind };
    columns.iter().map(column).collect()
}

/// What an expression may read.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    pub columns: Vec<Column>,
    /// Of grouped rows only aggregates of these are seen.
    pub grouped: Vec<Column>,
}

impl Scope {
    pub fn of(columns: &[Column]) -> Scope {
        Scope { columns: columns.to_vec(), grouped: Vec::new() }
    }

    pub fn and(&self, columns: &[Column]) -> Scope {
        Scope::of(&[columns, &self.columns].concat())
    }
}
