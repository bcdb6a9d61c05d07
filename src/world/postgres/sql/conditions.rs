//! The names of PL/pgSQL's conditions (PostgreSQL 15, appendix A). Must never hold state.

use crate::world::postgres::error::{PgError, Result};

/// Names and SQLSTATEs; what ends in `000` is a class.
const CONDITIONS: &[(&str, &[&str])] = &[
    ("assert_failure", &["P0004"]),
    ("cardinality_violation", &["21000"]),
    ("check_violation", &["23514"]),
    ("data_exception", &["22000"]),
    ("deadlock_detected", &["40P01"]),
    ("dependent_objects_still_exist", &["2BP01"]),
    ("division_by_zero", &["22012"]),
    ("duplicate_object", &["42710"]),
    ("duplicate_table", &["42P07"]),
    ("exclusion_violation", &["23P01"]),
    ("feature_not_supported", &["0A000"]),
    ("foreign_key_violation", &["23503"]),
    ("insufficient_privilege", &["42501"]),
    ("integrity_constraint_violation", &["23000"]),
    ("invalid_parameter_value", &["22023"]),
    ("invalid_text_representation", &["22P02"]),
    ("lock_not_available", &["55P03"]),
    ("no_data_found", &["P0002"]),
    ("not_null_violation", &["23502"]),
    ("numeric_value_out_of_range", &["22003"]),
    ("object_in_use", &["55006"]),
    ("object_not_in_prerequisite_state", &["55000"]),
    ("program_limit_exceeded", &["54000"]),
    ("query_canceled", &["57014"]),
    ("raise_exception", &["P0001"]),
    ("read_only_sql_transaction", &["25006"]),
    ("restrict_violation", &["23001"]),
    ("serialization_failure", &["40001"]),
    ("string_data_right_truncation", &["22001", "01004"]),
    ("syntax_error", &["42601"]),
    ("too_many_rows", &["P0003"]),
    ("transaction_rollback", &["40000"]),
    ("undefined_column", &["42703"]),
    ("undefined_function", &["42883"]),
    ("undefined_object", &["42704"]),
    ("undefined_table", &["42P01"]),
    ("unique_violation", &["23505"]),
];

/// The SQLSTATEs that a name stands for.
pub fn named(name: &str) -> Result<&'static [&'static str]> {
    let found = CONDITIONS.iter().find(|(known, _)| *known == name).map(|(_, codes)| *codes);
    found.ok_or_else(|| {
        PgError::new("42704", format!("unrecognized exception condition \"{name}\""))
    })
}

/// Whether an error is meant by a condition: a code, a class, or nothing for OTHERS.
pub fn means(condition: &str, code: &str) -> bool {
    match condition {
        "" => code != "57014" && code != "P0004",
        class if class.ends_with("000") => code.starts_with(&class[..2]),
        other => other == code,
    }
}
