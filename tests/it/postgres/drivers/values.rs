//! Every type in use as parameter and as result, in text and in binary, to the byte: NULL, empty
//! and extreme values, alone and in arrays. Must never look into a value.

use std::error::Error;
use std::fmt::Write as _;

use bytes::BytesMut;
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, SimpleQueryMessage};

use super::super::{client, runtime};
use super::Server;

/// Type, its array, and values as PostgreSQL reads them.
const VALUES: &[(Type, Type, &[&str])] = &[
    (Type::BOOL, Type::BOOL_ARRAY, &["t", "f"]),
    (Type::INT2, Type::INT2_ARRAY, &["0", "-1", "32767", "-32768"]),
    (Type::INT4, Type::INT4_ARRAY, &["0", "-1", "2147483647", "-2147483648"]),
    (Type::INT8, Type::INT8_ARRAY, &["0", "9223372036854775807", "-9223372036854775808"]),
    (Type::OID, Type::OID_ARRAY, &["0", "4294967295"]),
    (
        Type::FLOAT4,
        Type::FLOAT4_ARRAY,
        &["0", "-0", "1.5", "0.1", "3.4028235e38", "1e-45", "NaN", "Infinity", "-Infinity"],
    ),
    (
        Type::FLOAT8,
        Type::FLOAT8_ARRAY,
        &["0", "-0", "0.1", "1.7976931348623157e308", "5e-324", "NaN", "Infinity", "-Infinity"],
    ),
    (
        Type::NUMERIC,
        Type::NUMERIC_ARRAY,
        &[
            "0",
            "0.000",
            "-1",
            "10000",
            "99999999",
            "123400000000",
            "0.1",
            "-0.00001",
            "1.0000",
            "12345.678900",
            "0.00000000000000000001",
            "1234567890123456789012345678.9",
        ],
    ),
    (Type::TEXT, Type::TEXT_ARRAY, &["", " ", "größe ✓ 😀", "a'b\"c\\d,{e}", "NULL", "\n\t\r"]),
    (Type::VARCHAR, Type::VARCHAR_ARRAY, &["", "x y", "ü"]),
    (Type::BPCHAR, Type::BPCHAR_ARRAY, &["a", "ü  "]),
    (Type::NAME, Type::NAME_ARRAY, &["", "some_name"]),
    (Type::BYTEA, Type::BYTEA_ARRAY, &["", "\\x00", "\\x00ff5c2722", "abc"]),
    (
        Type::UUID,
        Type::UUID_ARRAY,
        &["00000000-0000-0000-0000-000000000000", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"],
    ),
    (
        Type::DATE,
        Type::DATE_ARRAY,
        &["2000-01-01", "2024-02-29", "0001-01-01", "5874897-12-31", "0044-03-15 BC", "infinity"],
    ),
    (Type::TIME, Type::TIME_ARRAY, &["00:00:00", "23:59:59.999999", "24:00:00", "12:34:56.5"]),
    (
        Type::TIMESTAMP,
        Type::TIMESTAMP_ARRAY,
        &["2000-01-01", "1999-12-31 23:59:59.999999", "0044-03-15 10:00 BC", "-infinity"],
    ),
    (
        Type::TIMESTAMPTZ,
        Type::TIMESTAMPTZ_ARRAY,
        &["2000-01-01+00", "2024-02-29 12:00:00.000001+05:30", "294276-12-31Z", "infinity"],
    ),
    (
        Type::INTERVAL,
        Type::INTERVAL_ARRAY,
        &["0", "1 mon", "-1 day", "1 year 2 mons -3 days 04:05:06.789", "-00:00:00.000001"],
    ),
    (Type::JSON, Type::JSON_ARRAY, &["null", " {\"b\": 1,  \"b\":2}", "[]", "\"ü\""]),
    (
        Type::JSONB,
        Type::JSONB_ARRAY,
        &["null", "{\"b\": 1, \"aa\": [1.50, {}], \"b\": 2}", "[]", "\"\\u00fc\\n\"", "1e2"],
    ),
];

/// A value as it is on the wire: any type's, in either format.
#[derive(Debug)]
struct Wire(Option<Vec<u8>>, bool);

impl ToSql for Wire {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match &self.0 {
            None => Ok(IsNull::Yes),
            Some(bytes) => {
                out.extend_from_slice(bytes);
                Ok(IsNull::No)
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        if self.1 { Format::Text } else { Format::Binary }
    }

    to_sql_checked!();
}

impl FromSql<'_> for Wire {
    fn from_sql(_: &Type, bytes: &[u8]) -> Result<Wire, Box<dyn Error + Sync + Send>> {
        Ok(Wire(Some(bytes.to_vec()), false))
    }

    fn from_sql_null(_: &Type) -> Result<Wire, Box<dyn Error + Sync + Send>> {
        Ok(Wire(None, false))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl Wire {
    fn shown(&self) -> String {
        let Some(bytes) = &self.0 else { return "NULL".to_owned() };
        bytes.iter().fold("0x".to_owned(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a string takes all");
            text
        })
    }
}

/// The one value, in binary, of a query with one parameter; or the error.
async fn binary(client: &Client, sql: &str, value: Wire, ty: &Type) -> Result<Wire, String> {
    let rows = client.query_typed(sql, &[(&value, ty.clone())]).await;
    match rows {
        Ok(rows) => Ok(rows[0].get(0)),
        Err(error) => Err(match error.as_db_error() {
            Some(error) => format!("{} {}", error.code().code(), error.message()),
            None => panic!("{error}"),
        }),
    }
}

/// The one value of a query as text.
async fn text(client: &Client, sql: &str) -> String {
    match client.simple_query(sql).await {
        Ok(messages) => {
            let row = messages.iter().find_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
                _ => None,
            });
            row.expect("a row")
        }
        Err(error) => error.as_db_error().expect("an answer").message().to_owned(),
    }
}

fn literal(value: Option<&str>) -> String {
    value.map_or("NULL".to_owned(), |value| format!("'{}'", value.replace('\'', "''")))
}

/// All forms of one value: read as text, sent back in binary, shown in both.
async fn forms(client: &Client, ty: &Type, name: &str, value: Option<&str>) -> String {
    let as_text = Wire(value.map(|value| value.as_bytes().to_vec()), true);
    let mut said = format!("{name} {}:", literal(value));
    match binary(client, "SELECT $1", as_text, ty).await {
        Err(error) => write!(said, " {error}").expect("a string takes all"),
        Ok(read) => {
            write!(said, " {}", read.shown()).expect("a string takes all");
            let back = binary(client, "SELECT $1", Wire(read.0.clone(), false), ty).await;
            let back = back.expect("what a server says it understands");
            assert_eq!(back.shown(), read.shown(), "{name} {value:?} there and back");
            let shown = binary(client, "SELECT $1::text", back, ty).await.expect("it has a text");
            let shown = shown.0.map(|bytes| String::from_utf8(bytes).expect("it is UTF-8"));
            write!(said, " {shown:?}").expect("a string takes all");
        }
    }
    let simple = text(client, &format!("SELECT {}::{name}", literal(value))).await;
    write!(said, " {simple:?}").expect("a string takes all");
    said
}

/// An array of the values as PostgreSQL reads it.
fn array_of(values: &[&str]) -> String {
    let quoted = values.iter().map(|value| {
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{escaped}\"")
    });
    let items: Vec<String> = quoted.chain(["NULL".to_owned()]).collect();
    format!("{{{}}}", items.join(","))
}

async fn all_forms(addr: &str) -> Vec<String> {
    let client = client(addr).await;
    client.batch_execute("SET timezone = 'UTC'").await.expect("set");
    let mut all = Vec::new();
    for (ty, array, values) in VALUES {
        for value in values.iter().map(|value| Some(*value)).chain([None]) {
            all.push(forms(&client, ty, ty.name(), value).await);
        }
        for value in [Some(array_of(values)), Some("{}".to_owned()), Some("{NULL}".to_owned())] {
            let name = format!("{ty}[]");
            all.push(forms(&client, array, &name, value.as_deref()).await);
        }
    }
    all
}

#[test]
fn every_type_in_use_is_taken_and_given_in_text_and_in_binary() {
    let (ours, real) = (Server::ours(), Server::real());
    let (ours, real) = runtime().block_on(async {
        let (ours, real) = (all_forms(&ours.addr()).await, all_forms(&real.addr()).await);
        (ours, real)
    });
    let differences: Vec<String> = ours
        .iter()
        .zip(&real)
        .filter(|(ours, real)| ours != real)
        .map(|(ours, real)| format!("--- here: {ours}\n--- real: {real}"))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    let values: usize = VALUES.iter().map(|(.., values)| values.len() + 4).sum();
    assert_eq!((ours.len(), real.len()), (values, values));
}
