//! Identifiers and type names of the syntax tree. Must never look into the catalogue.

use sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, Ident, ObjectName,
    ObjectNamePart, TimezoneInfo,
};

use super::signatures::named_type;
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::types::{Base, Ty};

/// Unquoted identifiers are lower case, as far as they are ASCII.
pub fn ident(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_ascii_lowercase() }
}

/// The last part of a name; the schemas `public` and `pg_catalog` may stand before it.
pub fn object_name(name: &ObjectName) -> Result<String> {
    if let [ObjectNamePart::Identifier(only)] = name.0.as_slice() {
        return Ok(ident(only));
    }
    let parts: Vec<String> = name
        .0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(part) => Ok(ident(part)),
            ObjectNamePart::Function(_) => Err(PgError::unsupported("a computed name")),
        })
        .collect::<Result<_>>()?;
    match parts.as_slice() {
        [schema, name] if schema == "public" || schema == "pg_catalog" => Ok(name.clone()),
        [schema, name] if schema == "information_schema" => Ok(format!("{schema}.{name}")),
        [schema, _] => Err(PgError::new("3F000", format!("schema \"{schema}\" does not exist"))),
        _ => Err(PgError::unsupported("a name of three parts")),
    }
}

fn length_typmod(name: &str, length: Option<&CharacterLength>, default: i32) -> Result<i32> {
    Ok(match length {
        Some(CharacterLength::IntegerLength { length: 0, .. }) => {
            let message = format!("length for type {name} must be at least 1");
            return Err(PgError::new("22023", message));
        }
        Some(CharacterLength::IntegerLength { length, .. }) if *length > 10_485_760 => {
            let message = format!("length for type {name} cannot exceed 10485760");
            return Err(PgError::new("22023", message));
        }
        Some(CharacterLength::IntegerLength { length, .. }) => {
            i32::try_from(*length).map_or(-1, |length| length.saturating_add(4))
        }
        Some(CharacterLength::Max) => -1,
        None => default,
    })
}

fn numeric_typmod(info: ExactNumberInfo) -> Result<i32> {
    let given = match info {
        ExactNumberInfo::None => None,
        ExactNumberInfo::Precision(precision)
        | ExactNumberInfo::PrecisionAndScale(precision, _) => Some(precision),
    };
    if let Some(precision) = given.filter(|precision| !(1..=1_000).contains(precision)) {
        let message = format!("NUMERIC precision {precision} must be between 1 and 1000");
        return Err(PgError::new("22023", message));
    }
    if let ExactNumberInfo::PrecisionAndScale(precision, scale) = info {
        if !(-1_000..=1_000).contains(&scale) {
            let message = format!("NUMERIC scale {scale} must be between -1000 and 1000");
            return Err(PgError::new("22023", message));
        }
        if scale < 0 || scale.unsigned_abs() > precision {
            return Err(PgError::unsupported("a numeric scale beyond the precision"));
        }
    }
    let pack = |precision: u64, scale: i64| {
        let packed = (i64::try_from(precision).unwrap_or(0) << 16) | (scale & 0xffff);
        i32::try_from(packed + 4).unwrap_or(-1)
    };
    Ok(match info {
        ExactNumberInfo::None => -1,
        ExactNumberInfo::Precision(precision) => pack(precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => pack(precision, scale),
    })
}

/// A type with its modifier, as PostgreSQL shows it.
pub fn modified_name(ty: Ty, typmod: i32) -> String {
    let modifier = match (ty.base, u32::try_from(typmod - 4)) {
        (Base::Numeric, Ok(packed)) => format!("({},{})", packed >> 16, packed & 0xffff),
        (Base::Varchar | Base::Bpchar, Ok(length)) => format!("({length})"),
        _ => String::new(),
    };
    let array = if ty.array { "[]" } else { "" };
    format!("{}{modifier}{array}", ty.element().name())
}

/// Texts are ordered by their bytes: refuses collations that would order them otherwise.
pub fn known_collation(collation: &ObjectName) -> Result<()> {
    let name = object_name(collation)?;
    if matches!(name.as_str(), "C" | "POSIX" | "default" | "ucs_basic") {
        return Ok(());
    }
    Err(PgError::unsupported(format_args!("the collation {name}")))
}

/// The type and its modifier.
pub fn data_type(parsed: &DataType) -> Result<(Ty, i32)> {
    let plain = |ty: Ty| Ok((ty, -1));
    match parsed {
        DataType::Bool | DataType::Boolean => plain(Ty::BOOL),
        DataType::SmallInt(None) | DataType::Int2(None) => plain(Ty::INT2),
        DataType::Int(None) | DataType::Integer(None) | DataType::Int4(None) => plain(Ty::INT4),
        DataType::BigInt(None) | DataType::Int8(None) => plain(Ty::INT8),
        DataType::Real | DataType::Float4 => plain(Ty::FLOAT4),
        DataType::DoublePrecision | DataType::Float8 | DataType::Float(ExactNumberInfo::None) => {
            plain(Ty::FLOAT8)
        }
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => {
            Ok((Ty::NUMERIC, numeric_typmod(*info)?))
        }
        DataType::Text => plain(Ty::TEXT),
        DataType::Varchar(length)
        | DataType::CharacterVarying(length)
        | DataType::CharVarying(length) => {
            Ok((Ty::VARCHAR, length_typmod("varchar", length.as_ref(), -1)?))
        }
        DataType::Char(length) | DataType::Character(length) => {
            Ok((Ty::BPCHAR, length_typmod("char", length.as_ref(), 5)?))
        }
        DataType::Uuid => plain(Ty::UUID),
        DataType::Bytea => plain(Ty::BYTEA),
        DataType::JSON => plain(Ty::JSON),
        DataType::JSONB => plain(Ty::JSONB),
        DataType::Date => plain(Ty::DATE),
        DataType::Time(Some(_), _) | DataType::Timestamp(Some(_), _) => {
            Err(PgError::unsupported("the precision of a time"))
        }
        DataType::Time(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => plain(Ty::TIME),
        DataType::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            plain(Ty::TIMESTAMP)
        }
        DataType::Timestamp(_, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => {
            plain(Ty::TIMESTAMPTZ)
        }
        DataType::Interval { fields: None, precision: None } => plain(Ty::INTERVAL),
        DataType::Regclass => plain(Ty::REGCLASS),
        DataType::Array(ArrayElemTypeDef::SquareBracket(element, _)) => {
            let (ty, typmod) = data_type(element)?;
            Ok((Ty { array: true, ..ty }, typmod))
        }
        DataType::Custom(name, modifiers) => custom(name, modifiers),
        DataType::Interval { .. } => Err(PgError::unsupported("the fields of an interval")),
        other => Err(no_type(&other.to_string().to_lowercase())),
    }
}

/// The same before a literal, where characters without a length have any.
pub fn literal_type(parsed: &DataType) -> Result<(Ty, i32)> {
    match parsed {
        DataType::Char(None) | DataType::Character(None) => Ok((Ty::BPCHAR, -1)),
        other => data_type(other),
    }
}

/// Other names of types of PostgreSQL.
const SPELLED: &[&str] = &["bit varying", "nchar", "time with time zone"];

fn no_type(name: &str) -> PgError {
    let bare = name.split('(').next().unwrap_or(name).trim();
    if named_type(bare).is_some() || SPELLED.contains(&bare) {
        return PgError::unsupported(format_args!("the type {bare}"));
    }
    PgError::new("42704", format!("type \"{name}\" does not exist"))
}

fn custom(name: &ObjectName, modifiers: &[String]) -> Result<(Ty, i32)> {
    let mut written = name.0.iter().filter_map(|part| part.as_ident());
    let elsewhere = name.0.len() > 1 || written.any(|part| part.quote_style.is_some());
    let whole = name;
    let name = object_name(name)?;
    let base = match name.as_str() {
        "timestamptz" => Base::Timestamptz,
        "name" => Base::Name,
        "oid" => Base::Oid,
        "bpchar" => Base::Bpchar,
        "serial" | "serial4" => Base::Int4,
        "bigserial" | "serial8" => Base::Int8,
        "smallserial" => Base::Int2,
        "void" => Base::Void,
        "regclass" => Base::Regclass,
        "regtype" => Base::Regtype,
        _ if elsewhere => {
            return Err(PgError::unsupported(format_args!("the type name {whole}")));
        }
        _ => return Err(no_type(&name)),
    };
    if !modifiers.is_empty() {
        return Err(PgError::unsupported("a modifier of this type"));
    }
    Ok((Ty { base, array: false }, -1))
}

/// Whether the column type asks for a sequence of its own.
pub fn is_serial(parsed: &DataType) -> bool {
    let DataType::Custom(name, _) = parsed else { return false };
    let name = name.to_string().to_lowercase();
    matches!(
        name.as_str(),
        "serial" | "serial4" | "bigserial" | "serial8" | "smallserial" | "serial2"
    )
}
