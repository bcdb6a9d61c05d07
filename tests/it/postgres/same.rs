//! One session, the same statements here and on a real PostgreSQL: the same answers.
//! Must never excuse a difference.

use seedbed::world::postgres::{Settings, Watch};

use super::{answer, client, ours, runtime};
use crate::pg_server::PgServer;

/// Runs each statement on both and compares what they say.
fn same(script: &str) {
    let server = PgServer::start();
    runtime().block_on(async {
        let (addr, _store) = ours(Settings::default(), Watch::none()).await;
        let (here, there) = (client(&addr).await, client(&server.addr()).await);
        let mut differences = Vec::new();
        for statement in script.split(";\n").map(str::trim).filter(|text| !text.is_empty()) {
            let (ours, theirs) = (answer(&here, statement).await, answer(&there, statement).await);
            if ours != theirs {
                differences.push(format!("{statement}\n--- here:\n{ours}\n--- real:\n{theirs}\n"));
            }
        }
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    });
}

#[test]
fn queries_answer_as_postgresql_does() {
    same(include_str!("same/queries.sql"));
}

#[test]
fn writes_and_constraints_answer_as_postgresql_does() {
    same(include_str!("same/writes.sql"));
}

#[test]
fn what_was_found_since_answers_as_postgresql_does() {
    same(include_str!("same/found.sql"));
}

#[test]
fn keys_of_a_new_table_are_made_as_in_postgresql() {
    same(include_str!("same/constraints.sql"));
}

#[test]
fn what_may_not_be_read_is_not_shown_as_in_postgresql() {
    same(include_str!("same/privileges.sql"));
}

/// Constants that fail, columns that nobody reads, rows that nobody asks for, and what may be in an
/// index.
#[test]
fn what_is_worked_out_and_when_is_as_in_postgresql() {
    same(include_str!("same/planned.sql"));
    same(include_str!("same/immutable.sql"));
}

#[test]
fn types_and_functions_answer_as_postgresql_does() {
    same(include_str!("same/types.sql"));
}

/// LIKE and its operators, labels, literals of a type, subscripts.
#[test]
fn expressions_answer_as_in_postgresql() {
    same(include_str!("same/expressions.sql"));
}

/// The length and scale that expressions have, and literals that do not fit.
#[test]
fn lengths_and_scales_are_as_in_postgresql() {
    same(include_str!("same/lengths.sql"));
}

/// Conditions of no row, and what follows of those that one value is equal to.
#[test]
fn what_reads_no_row_is_tested_before_rows_are_read_as_in_postgresql() {
    same(include_str!("same/gates.sql"));
}

/// WITH queries that several read, each as far as it wants.
#[test]
fn with_queries_are_run_as_far_as_they_are_read_as_in_postgresql() {
    same(include_str!("same/shared.sql"));
}

#[test]
fn roles_and_row_policies_answer_as_postgresql_does() {
    same(include_str!("same/rows.sql"));
}

#[test]
fn transactions_answer_as_postgresql_does() {
    same(include_str!("same/transactions.sql"));
}

#[test]
fn rows_as_values_answer_as_postgresql_does() {
    same(include_str!("same/records.sql"));
}

#[test]
fn queries_that_read_the_rows_around_them_answer_as_postgresql_does() {
    same(include_str!("same/correlated.sql"));
}

#[test]
fn nested_joined_and_grouped_queries_answer_as_postgresql_does() {
    same(include_str!("same/nested.sql"));
}

#[test]
fn definitions_and_settings_answer_as_postgresql_does() {
    same(include_str!("same/definitions.sql"));
}

#[test]
fn values_at_the_edges_answer_as_postgresql_does() {
    same(include_str!("same/values.sql"));
}

#[test]
fn what_was_hunted_answers_as_postgresql_does() {
    same(include_str!("same/hunted.sql"));
}

#[test]
fn what_is_written_in_rare_ways_answers_as_postgresql_does() {
    same(include_str!("same/grammar.sql"));
}

#[test]
fn forms_of_statements_answer_as_postgresql_does() {
    same(include_str!("same/forms.sql"));
}

#[test]
fn what_policies_hide_is_hidden_as_in_postgresql() {
    same(include_str!("same/policies.sql"));
}

#[test]
fn keys_of_expressions_are_shown_as_postgresql_does() {
    same(include_str!("same/keys.sql"));
}

#[test]
fn what_functions_do_to_tables_in_use_is_stopped_as_in_postgresql() {
    same(include_str!("same/used.sql"));
}

#[test]
fn columns_are_given_other_types_at_once_as_in_postgresql() {
    same(include_str!("same/altered.sql"));
}

#[test]
fn statements_within_functions_answer_as_postgresql_does() {
    same(include_str!("same/inside.sql"));
    same(include_str!("same/ambiguous.sql"));
}

#[test]
fn what_is_not_there_or_not_allowed_is_told_as_in_postgresql() {
    same(include_str!("same/schemas.sql"));
}

/// What decides a junction beside what it leaves undone; queries that are the same.
#[test]
fn what_constants_decide_is_decided_as_in_postgresql() {
    same(include_str!("same/decided.sql"));
}

/// Names of sequences and tables in texts.
#[test]
fn what_a_text_names_is_what_it_names_in_postgresql() {
    same(include_str!("same/named.sql"));
}

/// Conditions that are known to hold, or not to, beside those that call what writes.
#[test]
fn what_is_known_beforehand_leaves_out_calls_as_in_postgresql() {
    same(include_str!("same/sides.sql"));
}

/// Statements with two faults.
#[test]
fn the_first_of_two_faults_is_told_as_in_postgresql() {
    same(include_str!("same/first.sql"));
}

/// Conditions on the rows of queries in FROM.
#[test]
fn simple_queries_in_from_are_a_part_of_the_query_around_as_in_postgresql() {
    same(include_str!("same/pulled.sql"));
    same(include_str!("same/sunk.sql"));
}

/// What is left out of a statement needs no privileges.
#[test]
fn what_is_left_out_may_be_forbidden_as_in_postgresql() {
    same(include_str!("same/barred.sql"));
}
