//! The messages that drivers are made of, in orders and with values that they may send: both
//! servers answer the same, to the byte. Must never send what breaks the protocol.

use std::fmt::Write as _;

use super::super::raw::{Back, Raw, message};
use super::super::runtime;
use super::Server;

fn strings(texts: &[&str]) -> Vec<u8> {
    texts.iter().flat_map(|text| [text.as_bytes(), b"\0"].concat()).collect()
}

fn count(length: usize) -> [u8; 2] {
    u16::try_from(length).expect("a few").to_be_bytes()
}

fn parse(name: &str, sql: &str, types: &[u32]) -> Vec<u8> {
    let types: Vec<u8> = types.iter().flat_map(|oid| oid.to_be_bytes()).collect();
    message(b'P', &[strings(&[name, sql]), count(types.len() / 4).into(), types].concat())
}

fn codes(formats: &[u16]) -> Vec<u8> {
    let each = formats.iter().flat_map(|format| format.to_be_bytes());
    count(formats.len()).into_iter().chain(each).collect()
}

/// Portal and statement, the values with their formats, the formats of the results.
fn bind(names: [&str; 2], values: &[Option<&[u8]>], formats: &[u16], results: &[u16]) -> Vec<u8> {
    let mut body = [strings(&names), codes(formats), count(values.len()).into()].concat();
    for value in values {
        let length = value.map_or(-1, |value| i32::try_from(value.len()).expect("short"));
        body.extend(length.to_be_bytes());
        body.extend(value.unwrap_or_default());
    }
    body.extend(codes(results));
    message(b'B', &body)
}

fn texts(names: [&str; 2], values: &[&str]) -> Vec<u8> {
    let values: Vec<Option<&[u8]>> = values.iter().map(|value| Some(value.as_bytes())).collect();
    bind(names, &values, &[], &[])
}

fn describe(kind: u8, name: &str) -> Vec<u8> {
    message(b'D', &[&[kind], &strings(&[name])[..]].concat())
}

fn close(kind: u8, name: &str) -> Vec<u8> {
    message(b'C', &[&[kind], &strings(&[name])[..]].concat())
}

fn execute(portal: &str, max: u32) -> Vec<u8> {
    message(b'E', &[&strings(&[portal])[..], &max.to_be_bytes()].concat())
}

fn sync() -> Vec<u8> {
    message(b'S', &[])
}

fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &strings(&[sql]))
}

/// A statement without values, through to its rows.
fn whole(sql: &str) -> Vec<u8> {
    [parse("", sql, &[]), texts(["", ""], &[]), execute("", 0)].concat()
}

/// What the server makes of one value in binary.
fn given(sql: &str, value: &[u8]) -> Vec<Vec<u8>> {
    vec![parse("", sql, &[]), bind(["", ""], &[Some(value)], &[1], &[1]), execute("", 0), sync()]
}

fn asked(sql: &str) -> Vec<Vec<u8>> {
    vec![parse("", sql, &[]), describe(b'S', ""), sync()]
}

/// Statements, portals and their ends.
fn courses() -> Vec<Vec<Vec<u8>>> {
    let (x, y): (Option<&[u8]>, Option<&[u8]>) = (Some(b"x"), Some(b"y"));
    vec![
        vec![parse("a", "SELECT $1 || $2 AS both", &[]), describe(b'S', "a"), sync()],
        vec![bind(["", "a"], &[x, y], &[0, 1], &[1]), describe(b'P', ""), execute("", 0), sync()],
        vec![texts(["", "a"], &["x"]), sync()],
        vec![bind(["", "a"], &[x, y], &[0, 1, 0], &[]), sync()],
        vec![bind(["", "a"], &[x, y], &[0], &[0, 0]), sync()],
        vec![bind(["", "a"], &[x, y], &[2], &[]), sync()],
        vec![bind(["", "a"], &[x, None], &[], &[3]), execute("", 0), sync()],
        vec![parse("a", "SELECT 1", &[]), sync()],
        vec![close(b'S', "a"), close(b'S', "a"), close(b'P', "none"), sync()],
        vec![parse("a", "SELECT 1", &[]), texts(["p", "a"], &[]), texts(["p", "a"], &[]), sync()],
        vec![parse("a", "SELECT 1", &[]), sync(), texts(["p", "a"], &[]), execute("p", 0), sync()],
        vec![
            texts(["p", "a"], &[]),
            execute("p", 0),
            execute("p", 0),
            sync(),
            execute("p", 0),
            sync(),
        ],
        vec![
            query("BEGIN"),
            texts(["p", "a"], &[]),
            execute("p", 1),
            sync(),
            execute("p", 1),
            sync(),
        ],
        vec![execute("p", 0), sync(), query("COMMIT"), execute("p", 0), sync()],
        vec![whole("BEGIN"), whole("SELECT 1"), whole("COMMIT"), sync()],
        vec![whole("SELECT 1"), whole("SELECT nothing"), whole("SELECT 2"), sync()],
        vec![parse("", "", &[]), texts(["", ""], &[]), describe(b'P', ""), execute("", 0), sync()],
        vec![describe(b'S', "none"), sync(), describe(b'P', "none"), sync()],
        vec![
            query("SELECT 1; SELECT 1/0; SELECT 2"),
            query(""),
            query(";"),
            query("SELECT 1; SELEC 2"),
        ],
        vec![
            query("BEGIN"),
            texts(["", "a"], &["x"]),
            sync(),
            query("SELECT 5"),
            query("ROLLBACK"),
        ],
    ]
}

/// A table, statements prepared over its change, and those of SQL.
fn tables() -> Vec<Vec<Vec<u8>>> {
    vec![
        vec![query("CREATE TABLE rows (id int PRIMARY KEY, v varchar(5), n numeric(6, 2))")],
        vec![
            parse("", "INSERT INTO rows VALUES ($1, $2, $3), (2, $2, $3) RETURNING *", &[]),
            describe(b'S', ""),
            texts(["", ""], &["1", "abc", "2.5"]),
            execute("", 1),
            execute("", 1),
            execute("", 1),
            sync(),
        ],
        vec![
            parse("", "UPDATE rows SET v = 'z'", &[]),
            texts(["", ""], &[]),
            execute("", 1),
            sync(),
        ],
        vec![parse("all", "SELECT * FROM rows", &[]), describe(b'S', "all"), sync()],
        vec![query("ALTER TABLE rows ADD COLUMN more int"), texts(["", "all"], &[]), sync()],
        vec![describe(b'S', "all"), sync(), query("ALTER TABLE rows DROP COLUMN more")],
        vec![texts(["", "all"], &[]), execute("", 0), sync()],
        vec![whole("PREPARE of_sql AS SELECT 1 AS one, $1::text AS t"), sync()],
        vec![texts(["", "of_sql"], &["direct"]), describe(b'P', ""), execute("", 0), sync()],
        vec![parse("", "EXECUTE of_sql ('x')", &[]), describe(b'S', ""), sync()],
        vec![parse("", "EXECUTE none", &[]), describe(b'S', ""), sync()],
        vec![whole("DISCARD ALL"), sync(), texts(["", "all"], &[]), sync()],
        vec![parse("", "SHOW lock_timeout", &[]), describe(b'S', ""), sync()],
    ]
}

/// Types that the server finds for parameters and results, and values that it refuses.
fn types() -> Vec<Vec<Vec<u8>>> {
    let statements = [
        "SELECT $2::int",
        "SELECT $1 IS NULL OR 1 = $1",
        "SELECT coalesce($1, 5), $2::timestamptz - $3, now() + $4, $5 * interval '1 day'",
        "SELECT $1 = ANY(ARRAY[1, 2]), $2 IN (1, 2), $3 BETWEEN now() AND now(), $4 LIKE 'a%'",
        "SELECT CASE WHEN $1 THEN $2 ELSE 1.5 END, $3::text::int, -$4::int, NOT $5",
        "SELECT count(*), sum($1::int) FROM rows HAVING count(*) > $2 LIMIT $3 OFFSET $4",
        "SELECT id FROM rows WHERE (id, v) = ($1, $2) AND id IN ($3, $4) AND v = ANY($5)",
        "SELECT $1 || v, v || $2, id + $3, $4 - id, id / $5 FROM rows",
        "INSERT INTO rows (id, v) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET v = $3",
        "INSERT INTO rows SELECT $1, $2, $3",
        "DELETE FROM rows WHERE id = $1 RETURNING $2, id",
        "SELECT jsonb_build_object('a', $1::int), $2::jsonb -> $3, $4::jsonb @> $5",
        "SELECT x FROM (VALUES ($1::int), ($2)) AS v (x) UNION SELECT $3",
        "WITH c AS (SELECT $1::int AS a) SELECT a + $2 FROM c",
        "SELECT '1'::date::timestamptz, (1)::text::int, CASE WHEN true THEN 1 END::int",
    ];
    let int8s: [i32; 7] = [1, 0, 20, 1, 1, 4, 7];
    let int8s: Vec<u8> = int8s.iter().flat_map(|part| part.to_be_bytes()).collect();
    let mut all: Vec<Vec<Vec<u8>>> = statements.iter().map(|sql| asked(sql)).collect();
    let as_text = parse("", "SELECT $1", &[25]);
    all.extend([
        given("SELECT $1::int", &[0, 7]),
        given("SELECT $1::int", &[0, 0, 0, 0, 7]),
        given("SELECT $1::text", b"a\xe2\x28"),
        given("SELECT $1::text", b"a\0b"),
        given("SELECT $1::int[]", &int8s),
        given("SELECT $1::int[]", &int8s[..10]),
        given("SELECT $1::jsonb", b"\x02{}"),
        given("SELECT $1::jsonb", b"\x01{"),
        given("SELECT $1::bool", &[1, 1]),
        given("SELECT $1::uuid", b"12"),
        vec![as_text.clone(), bind(["", ""], &[Some(b"\xff")], &[], &[]), sync()],
        vec![as_text.clone(), bind(["", ""], &[Some(b"a\0b")], &[], &[]), sync()],
        vec![as_text, describe(b'S', ""), sync()],
        vec![parse("", "SELECT $1, $2", &[25]), describe(b'S', ""), sync()],
        vec![query("SELECT 1::regtype, 'int4[]'::regtype, format_type(1043, 14), '1e39'::float4")],
        vec![query("SELECT '0.1'::float4 = 0.1, 16777217::float4, 0.1::float4::float8")],
        vec![query("SELECT '2024-02-29 x'::date"), query("SELECT '0000-01-01'::date")],
        vec![
            query("SELECT '5874897-12-31'::date::timestamp"),
            query("SELECT '99999999-1-1'::date"),
        ],
        vec![query("SELECT 'infinity'::date + 1, '-infinity'::timestamp::date")],
        vec![query(
            "SELECT '0001-01-01 BC'::date - '0001-01-01', '2024-01-01 10:00+02 BC'::timestamptz",
        )],
    ]);
    all
}

/// A message as text. A table has another number on each server.
fn shown(back: &Back) -> String {
    let kind = char::from(back.kind);
    match back.kind {
        b'E' | b'N' => {
            let field =
                |name: u8| back.field(name).map(|value| format!("{}{value}", char::from(name)));
            let fields: Vec<String> =
                b"SCMDHPstcn".iter().filter_map(|name| field(*name)).collect();
            format!("{kind} {}", fields.join(" / "))
        }
        b'T' => {
            let (mut rest, mut said) = (&back.body[2..], format!("{kind}"));
            while let Some(end) = rest.iter().position(|byte| *byte == 0) {
                let (name, fields) = (String::from_utf8_lossy(&rest[..end]), &rest[end + 1..]);
                write!(said, " {name}:{:?}", &fields[4..18]).expect("a string takes all");
                rest = &fields[18..];
            }
            said
        }
        _ => format!("{kind} {}", back.body.escape_ascii()),
    }
}

/// The answers to each course, one after the other in one session.
async fn answers(addr: &str) -> Vec<String> {
    let mut raw = Raw::connect(addr).await;
    let mut all = Vec::new();
    for course in [courses(), tables(), types()].concat() {
        raw.send(&course.concat()).await;
        let ends = course.iter().filter(|message| matches!(message[0], b'S' | b'Q')).count();
        let mut said = String::new();
        for _ in 0..ends {
            let backs = raw.until_ready().await.expect("the session goes on");
            for back in &backs {
                writeln!(said, "{}", shown(back)).expect("a string takes all");
            }
        }
        all.push(said);
    }
    all
}

#[test]
fn messages_are_answered_alike() {
    let (ours, real) = (Server::ours(), Server::real());
    let (ours, real) =
        runtime().block_on(async { (answers(&ours.addr()).await, answers(&real.addr()).await) });
    let pairs = ours.iter().zip(&real).enumerate().filter(|(_, (ours, real))| ours != real);
    let differences: Vec<String> = pairs
        .map(|(at, (ours, real))| format!("course {at}\n--- here:\n{ours}--- real:\n{real}"))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    let messages: usize = real.iter().map(|said| said.lines().count()).sum();
    assert_eq!((ours.len(), messages), (68, 197));
}
