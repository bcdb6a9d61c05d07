//! SQL types and values. Must never know a table or a session.

mod array;
mod binary;
mod datetime;
mod json;
mod json_parse;
mod numeric;
mod receive;
mod text;

pub use array::Array;
pub use binary::{put_sized, put_text};
pub use datetime::day_in_range;
pub use datetime::{EPOCH_DAYS, MICROS_PER_DAY, MICROS_PER_SECOND, timestamp_plus};
pub use datetime::{Interval, civil_from_days, date_micros, days_from_civil};
pub use json::{Json, write_quoted};
pub use numeric::Numeric;
pub use receive::{from_binary, utf8};
pub use text::{fit, from_text, hex, in_range, single, to_text};

use std::cmp::Ordering;
use std::sync::Arc;

/// An element type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Base {
    Bool,
    Bytea,
    Name,
    Int8,
    Int2,
    Int4,
    Text,
    Oid,
    Json,
    Float4,
    Float8,
    Bpchar,
    Varchar,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Interval,
    Numeric,
    Uuid,
    Jsonb,
    Regclass,
    Regtype,
    Void,
    Unknown,
    Record,
    /// In a function's signature: any type, the same wherever it stands.
    Any,
}

/// A type: an element type or an array of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ty {
    pub base: Base,
    pub array: bool,
}

macro_rules! constants {
    ($($name:ident $base:ident),*) => {
        $(pub const $name: Ty = Ty { base: Base::$base, array: false };)*
    };
}

/// In the order of `Base`: type, OID, array's OID, size in bytes (-1 varies), name.
const TYPES: &[(Base, u32, u32, i16, &str)] = &[
    (Base::Bool, 16, 1000, 1, "boolean"),
    (Base::Bytea, 17, 1001, -1, "bytea"),
    (Base::Name, 19, 1003, 64, "name"),
    (Base::Int8, 20, 1016, 8, "bigint"),
    (Base::Int2, 21, 1005, 2, "smallint"),
    (Base::Int4, 23, 1007, 4, "integer"),
    (Base::Text, 25, 1009, -1, "text"),
    (Base::Oid, 26, 1028, 4, "oid"),
    (Base::Json, 114, 199, -1, "json"),
    (Base::Float4, 700, 1021, 4, "real"),
    (Base::Float8, 701, 1022, 8, "double precision"),
    (Base::Bpchar, 1042, 1014, -1, "character"),
    (Base::Varchar, 1043, 1015, -1, "character varying"),
    (Base::Date, 1082, 1182, 4, "date"),
    (Base::Time, 1083, 1183, 8, "time without time zone"),
    (Base::Timestamp, 1114, 1115, 8, "timestamp without time zone"),
    (Base::Timestamptz, 1184, 1185, 8, "timestamp with time zone"),
    (Base::Interval, 1186, 1187, 16, "interval"),
    (Base::Numeric, 1700, 1231, -1, "numeric"),
    (Base::Uuid, 2950, 2951, 16, "uuid"),
    (Base::Jsonb, 3802, 3807, -1, "jsonb"),
    (Base::Regclass, 2205, 2210, 4, "regclass"),
    (Base::Regtype, 2206, 2211, 4, "regtype"),
    (Base::Void, 2278, 0, 4, "void"),
    (Base::Unknown, 705, 0, -2, "unknown"),
    (Base::Record, 2249, 2287, -1, "record"),
    (Base::Any, 2276, 2277, 4, "any"),
];

impl Ty {
    constants! {
        BOOL Bool, BYTEA Bytea, NAME Name, INT8 Int8, INT2 Int2, INT4 Int4, TEXT Text, OID Oid,
        JSON Json, FLOAT4 Float4, FLOAT8 Float8, BPCHAR Bpchar, VARCHAR Varchar, DATE Date,
        TIME Time, TIMESTAMP Timestamp, TIMESTAMPTZ Timestamptz, INTERVAL Interval,
        NUMERIC Numeric, UUID Uuid, JSONB Jsonb, REGCLASS Regclass, REGTYPE Regtype, VOID Void,
        UNKNOWN Unknown, RECORD Record, ANY Any
    }
    pub const ANY_ARRAY: Ty = Ty { base: Base::Any, array: true };

    pub fn element(self) -> Ty {
        Ty { base: self.base, array: false }
    }

    fn row(self) -> &'static (Base, u32, u32, i16, &'static str) {
        &TYPES[self.base as usize]
    }

    pub fn oid(self) -> u32 {
        if self.array { self.row().2 } else { self.row().1 }
    }

    /// `None` for an OID of no type here; 0 is unknown.
    pub fn from_oid(oid: u32) -> Option<Ty> {
        if oid == 0 {
            return Some(Ty::UNKNOWN);
        }
        TYPES.iter().find_map(|row| match oid {
            _ if row.1 == oid => Some(Ty { base: row.0, array: false }),
            _ if row.2 == oid => Some(Ty { base: row.0, array: true }),
            _ => None,
        })
    }

    /// By the name that PostgreSQL shows, or the shorter one of its catalogue.
    pub fn from_name(name: &str) -> Option<Ty> {
        let (name, array) = match name.trim().strip_suffix("[]") {
            Some(element) => (element, true),
            None => (name.trim(), false),
        };
        let name = match name {
            "bool" => "boolean",
            "int" | "int4" => "integer",
            "int2" => "smallint",
            "int8" => "bigint",
            "float4" => "real",
            "float8" => "double precision",
            "decimal" => "numeric",
            "varchar" => "character varying",
            "bpchar" | "char" => "character",
            "time" => "time without time zone",
            "timestamp" => "timestamp without time zone",
            "timestamptz" => "timestamp with time zone",
            other => other,
        };
        let row = TYPES.iter().find(|row| row.4 == name && row.0 != Base::Any);
        row.map(|row| Ty { base: row.0, array })
    }

    pub fn size(self) -> i16 {
        if self.array { -1 } else { self.row().3 }
    }

    pub fn name(self) -> String {
        let name = self.row().4;
        if self.array { format!("{name}[]") } else { name.to_owned() }
    }

    pub fn is_integer(self) -> bool {
        !self.array && matches!(self.base, Base::Int2 | Base::Int4 | Base::Int8 | Base::Oid)
    }

    pub fn is_number(self) -> bool {
        let other = matches!(self.base, Base::Numeric | Base::Float4 | Base::Float8);
        self.is_integer() && self.base != Base::Oid || !self.array && other
    }

    pub fn is_text(self) -> bool {
        !self.array && matches!(self.base, Base::Text | Base::Varchar | Base::Bpchar | Base::Name)
    }

    /// Place in the order of numeric promotion; `None` for no number.
    pub fn numeric_rank(self) -> Option<u8> {
        if self.array {
            return None;
        }
        match self.base {
            Base::Int2 => Some(0),
            Base::Int4 => Some(1),
            Base::Oid => Some(2),
            Base::Int8 => Some(3),
            Base::Numeric => Some(4),
            Base::Float4 => Some(5),
            Base::Float8 => Some(6),
            _ => None,
        }
    }
}

/// A value. Its SQL type stands beside it, in the plan: one form serves several types.
#[derive(Clone, Debug, Default)]
pub enum Datum {
    #[default]
    Null,
    Bool(bool),
    /// int2, int4, int8, oid, regclass, regtype.
    Int(i64),
    /// float4, float8.
    Float(f64),
    Numeric(Numeric),
    /// text, varchar, char, name, json, unknown.
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
    Uuid([u8; 16]),
    /// Days since 2000-01-01.
    Date(i32),
    /// Microseconds: since 2000-01-01 for timestamps (UTC with a zone), since midnight for times.
    Micros(i64),
    Interval(Interval),
    Json(Arc<Json>),
    Array(Arc<Array>),
    Record(Arc<Record>),
    Void,
}

/// The names of a record's fields; without them PostgreSQL calls the fields f1, f2, …
pub type Names = Arc<[Arc<str>]>;

/// A row as a value.
#[derive(Clone, Debug)]
pub struct Record {
    pub names: Option<Names>,
    pub fields: Vec<(Ty, Datum)>,
}

impl Record {
    pub fn name(&self, at: usize) -> Arc<str> {
        match &self.names {
            Some(names) => names[at].clone(),
            None => format!("f{}", at + 1).into(),
        }
    }
}

impl Datum {
    pub fn text(text: impl AsRef<str>) -> Datum {
        Datum::Text(Arc::from(text.as_ref()))
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Datum::Null)
    }

    pub fn as_bool(&self) -> Option<bool> {
        if let Datum::Bool(flag) = self { Some(*flag) } else { None }
    }

    pub fn as_int(&self) -> Option<i64> {
        if let Datum::Int(number) = self { Some(*number) } else { None }
    }

    pub fn as_str(&self) -> Option<&str> {
        if let Datum::Text(text) = self { Some(text) } else { None }
    }

    fn rank(&self) -> u8 {
        match self {
            Datum::Bool(_) => 0,
            Datum::Int(_) => 1,
            Datum::Float(_) => 2,
            Datum::Numeric(_) => 3,
            Datum::Text(_) => 4,
            Datum::Bytes(_) => 5,
            Datum::Uuid(_) => 6,
            Datum::Date(_) => 7,
            Datum::Micros(_) => 8,
            Datum::Interval(_) => 9,
            Datum::Json(_) => 10,
            Datum::Array(_) => 11,
            Datum::Record(_) => 12,
            Datum::Void => 13,
            Datum::Null => 14,
        }
    }
}

/// The order of btree indexes: NULL after everything. Values of one type only, otherwise by form.
impl Ord for Datum {
    fn cmp(&self, other: &Datum) -> Ordering {
        match (self, other) {
            (Datum::Bool(a), Datum::Bool(b)) => a.cmp(b),
            (Datum::Int(a), Datum::Int(b)) | (Datum::Micros(a), Datum::Micros(b)) => a.cmp(b),
            (Datum::Float(a), Datum::Float(b)) => {
                a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
            }
            (Datum::Numeric(a), Datum::Numeric(b)) => a.cmp(b),
            (Datum::Text(a), Datum::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Datum::Bytes(a), Datum::Bytes(b)) => a.cmp(b),
            (Datum::Uuid(a), Datum::Uuid(b)) => a.cmp(b),
            (Datum::Date(a), Datum::Date(b)) => a.cmp(b),
            (Datum::Interval(a), Datum::Interval(b)) => a.cmp(b),
            // An empty array, by itself, comes before everything: so PostgreSQL has it.
            (Datum::Json(a), Datum::Json(b)) => match (a.is_empty_array(), b.is_empty_array()) {
                (true, false) => Ordering::Less,
                (false, true) => Ordering::Greater,
                _ => a.cmp(b),
            },
            (Datum::Array(a), Datum::Array(b)) => a.cmp(b),
            (Datum::Record(a), Datum::Record(b)) => {
                a.fields.iter().map(|f| &f.1).cmp(b.fields.iter().map(|f| &f.1))
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Datum {
    fn partial_cmp(&self, other: &Datum) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Datum {
    fn eq(&self, other: &Datum) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Datum {}

/// One stored or computed row.
pub type Row = Arc<[Datum]>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_row_at_its_place() {
        assert_eq!(TYPES.len(), Base::Any as usize + 1);
        for (at, row) in TYPES.iter().enumerate() {
            assert_eq!(row.0 as usize, at, "{}", row.4);
        }
    }
}
