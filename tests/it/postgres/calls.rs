//! Calls, operators, casts and conversions of every type with every other, made up from lists, here
//! and on a real PostgreSQL: the same answers, or a refusal. Must never hold a statement by hand.

use seedbed::world::postgres::{Settings, Watch};

use super::{answer, client, ours, runtime};
use crate::pg_server::PgServer;

const VALUES: &[&str] = &[
    "1",
    "2::int2",
    "3::int8",
    "1.5",
    "2.5::float8",
    "1.5::float4",
    "'7'",
    "null",
    "'a'::text",
    "'bb'::varchar(2)",
    "'c'::char(3)",
    "'n'::name",
    "true",
    "'2020-01-02'::date",
    "'2020-01-02 03:04:05'::timestamp",
    "'2020-01-02 03:04:05Z'::timestamptz",
    "'1 day'::interval",
    "'10:11'::time",
    "'{\"a\": 1}'::jsonb",
    "'{\"a\": 1}'::json",
    "array[1, 2]",
    "array['x', 'y']",
    "'{}'::int8[]",
    "'\\x01'::bytea",
    "'00000000-0000-0000-0000-000000000001'::uuid",
    "5::oid",
];

const OPERATORS: &str = "+ - * / % ^ & | # << >> || @> <@ && -> ->> #> #>> ? ~~ ~~* ^@ = <> < >=";

const FUNCTIONS: &str = "abs ascii array_append array_length array_position array_prepend \
    array_remove array_to_string btrim cardinality ceil char_length chr concat concat_ws date_part \
    date_trunc encode floor format initcap jsonb_array_length jsonb_build_object jsonb_typeof left \
    length lower lpad ltrim make_interval md5 mod nullif octet_length pg_typeof power quote_ident \
    quote_literal repeat replace reverse right round row_to_json rpad sign split_part sqrt \
    starts_with string_to_array strpos substr substring timezone to_hex to_json to_jsonb \
    to_timestamp trunc upper";

const AGGREGATES: &str =
    "count sum avg min max bool_and bool_or every array_agg string_agg json_agg jsonb_agg";

const TYPES: &str = "bool bytea int8 int2 int4 text oid json float4 float8 varchar(1) char(2) date \
    time timestamp timestamptz interval numeric(3,1) uuid jsonb name int4[] text[] numeric[]";

/// Forms that bring two values together; `A` and `B` stand for them.
const FORMS: &[&str] = &[
    "select pg_typeof(coalesce(A, B)), coalesce(A, B)",
    "select A union all select B",
    "select array[A, B]",
    "select A in (B, A)",
    "select A between B and A",
    "select case when false then A else B end",
    "select case A when B then 1 else 2 end",
    "select greatest(A, B), least(A, B)",
    "select pg_typeof(nullif(A, B)), nullif(A, B)",
    "select A = any(array[B])",
    "select (A, 1) = (B, 1)",
    "select A in (select B)",
];

fn statements() -> Vec<String> {
    let mut all = Vec::new();
    for a in VALUES {
        for name in FUNCTIONS.split_whitespace().chain(AGGREGATES.split_whitespace()) {
            all.push(format!("select {name}({a})"));
        }
        for ty in TYPES.split_whitespace() {
            all.push(format!("select cast({a} as {ty})"));
            all.push(format!("with t as (select 1) insert into \"{ty}\" values ({a}) returning x"));
        }
        for (at, b) in VALUES.iter().enumerate() {
            all.extend(FORMS.iter().map(|form| form.replace('A', a).replace('B', b)));
            // Every second operator, and every sixth function, from one pair to the next.
            let some = |all: &'static str, every| {
                let names = all.split_whitespace().enumerate();
                names.filter(move |(number, _)| (number + at) % every == 0).map(|(_, name)| name)
            };
            all.extend(some(OPERATORS, 2).map(|op| format!("select {a} {op} {b}")));
            all.extend(some(FUNCTIONS, 6).map(|name| format!("select {name}({a}, {b})")));
        }
    }
    all
}

#[test]
fn types_meet_as_in_postgresql() {
    let server = PgServer::start();
    runtime().block_on(async {
        let (addr, _store) = ours(Settings::default(), Watch::none()).await;
        let (here, there) = (client(&addr).await, client(&server.addr()).await);
        for ty in TYPES.split_whitespace() {
            let table = format!("create table \"{ty}\" (x {ty})");
            assert_eq!(answer(&here, &table).await, answer(&there, &table).await);
        }
        let all = statements();
        let (mut refused, mut differences) = (0, Vec::new());
        for statement in &all {
            let (ours, theirs) = tokio::join!(answer(&here, statement), answer(&there, statement));
            if ours.starts_with("0A000: ") && ours.ends_with("is not supported") {
                refused += 1;
            } else if ours != theirs {
                differences.push(format!("{statement}\n--- here:\n{ours}\n--- real:\n{theirs}\n"));
            }
        }
        let number = differences.len();
        differences.truncate(20);
        assert!(differences.is_empty(), "{number} of {}:\n{}", all.len(), differences.join("\n"));
        assert!(refused * 20 < all.len(), "{refused} of {} refused", all.len());
    });
}
