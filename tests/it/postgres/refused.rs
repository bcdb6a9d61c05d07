//! What PostgreSQL answers and this server does not: each is refused with 0A000, for any other
//! answer would be a wrong one. Must never hold a statement that is answered as PostgreSQL does.

use seedbed::world::postgres::{Settings, Watch};

use super::{answer, client, ours, runtime};
use crate::pg_server::PgServer;

const SET_UP: &[&str] = &[
    "create table p(a int, b int, primary key (a, b))",
    "create table t(id int primary key, b text)",
    "insert into t values (1, 'x'), (2, null)",
    "create table u(a int, b text)",
    "insert into u values (1, 'p')",
    "create sequence s",
    "create index ru on u(a)",
    "create function dropix() returns int language plpgsql as 'begin drop index ru; return 1; end'",
    "create function ctas(x int) returns int language plpgsql as
        'begin create table n as select x as a; return 1; end'",
    "create function syscol(tableoid int) returns int language plpgsql as
        'begin perform tableoid from u; return 1; end'",
    "create table g(a int)",
    "create table h(a int)",
    "create policy g on g using (a in (select a from h))",
    "create function fk(int) returns bool language sql as 'select true'",
    "create sequence sk",
    "create table k(a int, b int)",
    "create policy k on k using (a > 0 and fk(b))",
    "create policy l on k using (a > 1 and fk(b) and nextval('sk') > 0)",
    "create table over(a int primary key)",
    "insert into over values (1)",
    "create table an as select 1 as a, 1 as o",
    "alter table an add foreign key (o) references over on delete cascade",
    "create function an() returns int language plpgsql as \
     'begin update an set a = 2; return 3; end'",
    "create function an_set() returns int language plpgsql as \
     'begin set local application_name = ''x''; insert into an values (2); return 3; end'",
    "create function an_over() returns int language plpgsql as \
     'begin delete from over; return 3; end'",
];

#[test]
fn what_is_not_here_is_refused_and_never_answered() {
    runtime().block_on(async {
        let (addr, _store) = ours(Settings::default(), Watch::none()).await;
        let here = client(&addr).await;
        for statement in SET_UP {
            assert!(answer(&here, statement).await.starts_with("ok"), "{statement}");
        }
        let mut answered = Vec::new();
        for statement in include_str!("refused.sql").split(";\n").filter(|text| !text.is_empty()) {
            let told = answer(&here, statement).await;
            if !(told.starts_with("0A000: ") && told.ends_with("is not supported")) {
                answered.push(format!("{statement}\n--- here:\n{told}\n"));
            }
        }
        assert!(answered.is_empty(), "{}", answered.join("\n"));
    });
}

/// A statement that would recurse as deep as it is long, or take as long as it has wildcards, ends
/// by itself, and others go on.
#[test]
fn long_statements_and_patterns_harm_nobody() {
    let server = PgServer::start();
    runtime().block_on(async {
        let (addr, _store) = ours(Settings::default(), Watch::none()).await;
        let (here, there) = (client(&addr).await, client(&server.addr()).await);
        for (part, operator) in [("1", " + "), ("true", " and "), ("1 = 1", " or ")] {
            let long = format!("select {}", vec![part; 3_000].join(operator));
            let told = answer(&here, &long).await;
            assert!(told.starts_with("0A000: "), "{operator}: {told}");
            let fits = format!("select {}", vec![part; 150].join(operator));
            assert_eq!(answer(&here, &fits).await, answer(&there, &fits).await, "{operator}");
        }
        let union = vec!["select 1"; 3_000].join(" union all ");
        assert!(answer(&here, &union).await.starts_with("0A000: "));
        for pattern in [
            "select repeat('a', 100000) like repeat('_', 100000)".to_owned(),
            format!("select repeat('a', 48) like '{}b%'", "%a".repeat(14)),
            "select 'ab' like '%\\%', 'a%' like '%\\%', 'ab' ilike 'A_', 'a' like ''".to_owned(),
        ] {
            assert_eq!(answer(&here, &pattern).await, answer(&there, &pattern).await, "{pattern}");
        }
    });
}
