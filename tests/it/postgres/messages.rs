//! Errors and notices field by field: where in a function it happened, in which statement, and at
//! which of its characters, as a real PostgreSQL 15 says it. Must never excuse a difference.

use seedbed::world::postgres::{Settings, Watch};

use super::answers::Answer;
use super::raw::Raw;
use super::{ours, runtime};
use crate::pg_server::PgServer;

/// Both say the same of these statements, which stand between empty lines.
fn alike(scripts: &[&str]) {
    compare(scripts, false);
}

fn compare(scripts: &[&str], extended: bool) {
    let server = PgServer::start();
    let mut differences = Vec::new();
    runtime().block_on(async {
        let (addr, _store) = ours(Settings::default(), Watch::none()).await;
        let mut here = Raw::connect(&addr).await;
        let mut there = Raw::connect(&server.addr()).await;
        let statements = scripts.iter().flat_map(|script| script.split("\n\n"));
        for statement in statements.map(str::trim).filter(|text| !text.is_empty()) {
            let (ours, theirs) = if extended {
                (here.extended(statement).await, there.extended(statement).await)
            } else {
                (here.simple(statement).await, there.simple(statement).await)
            };
            let (ours, theirs) = (Answer::new(&ours).text(), Answer::new(&theirs).text());
            if ours != theirs {
                differences.push(format!("{statement}\n--- here:\n{ours}\n--- real:\n{theirs}\n"));
            }
        }
    });
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn functions_and_definitions_say_where_they_fail_as_postgresql_does() {
    let scripts = [include_str!("messages/functions.sql"), include_str!("messages/tables.sql")];
    alike(&scripts);
}

#[test]
fn assignments_and_functions_in_sql_say_where_they_fail_as_postgresql_does() {
    alike(&[include_str!("messages/contexts.sql")]);
}

/// Functions in SQL that are one expression.
#[test]
fn functions_stand_as_expressions_in_the_place_of_their_calls_as_in_postgresql() {
    alike(&[include_str!("messages/inlined.sql")]);
}

#[test]
fn statements_that_are_wrong_say_where_as_postgresql_does() {
    alike(&[include_str!("messages/grammar.sql")]);
}

#[test]
fn what_is_analysed_first_is_told_first_as_in_postgresql() {
    alike(&[include_str!("messages/analysed.sql")]);
}

#[test]
fn malformed_json_is_told_as_postgresql_does() {
    alike(&[include_str!("messages/json.sql")]);
}

#[test]
fn parameters_get_their_types_in_postgresqls_order_or_are_refused_as_by_it() {
    alike(&[include_str!("messages/parameters.sql")]);
}

/// Where an expression begins, what is near a name that is not found, which of two faults.
#[test]
fn errors_point_at_postgresqls_places() {
    alike(&[include_str!("messages/places.sql")]);
}

/// What a column is once the constants of CASE and COALESCE are known.
#[test]
fn planning_finds_modifiers_as_in_postgresql() {
    let script = include_str!("messages/modifiers.sql");
    compare(&[script], false);
    compare(&[script], true);
}
