//! SQLSTATE codes in words, since the server's own messages can quote the values of a row.

/// Code, condition name, and what it means for a migration.
type Condition = (&'static str, &'static str, &'static str);

/// The conditions a migration can meet.
const CONDITIONS: &[Condition] = &[
    (
        "08P01",
        "protocol_violation",
        "the server, or a proxy before it, does not speak the protocol as expected",
    ),
    ("0A000", "feature_not_supported", "the server does not support this"),
    ("21000", "cardinality_violation", "a query gave more rows than allowed"),
    ("22000", "data_exception", "a value cannot be stored"),
    ("22001", "string_data_right_truncation", "a text is longer than the column allows"),
    ("22003", "numeric_value_out_of_range", "a number is outside the range of its column"),
    ("22007", "invalid_datetime_format", "a value is not a valid date or time"),
    ("22008", "datetime_field_overflow", "a date or time is outside PostgreSQL's range"),
    ("22021", "character_not_in_repertoire", "a text holds bytes that are not valid UTF-8, or U+0000"),
    ("22023", "invalid_parameter_value", "a value or a setting is not allowed"),
    ("2202E", "array_subscript_error", "an array has a shape that is not allowed"),
    ("22030", "duplicate_json_object_key_value", "a JSON object repeats a key"),
    ("22032", "invalid_json_text", "a text is not valid JSON"),
    ("22P02", "invalid_text_representation", "a value does not follow the syntax of its type"),
    ("22P03", "invalid_binary_representation", "a value does not follow the binary form of its type"),
    ("22P04", "bad_copy_file_format", "the COPY data do not fit the table"),
    ("22P05", "untranslatable_character", "a text holds a character PostgreSQL cannot store, such as U+0000"),
    ("23000", "integrity_constraint_violation", "a constraint is violated"),
    ("23001", "restrict_violation", "another row still depends on a row"),
    ("23502", "not_null_violation", "a value is NULL in a NOT NULL column"),
    ("23503", "foreign_key_violation", "a foreign key does not hold"),
    ("23505", "unique_violation", "two rows have the same unique key"),
    ("23514", "check_violation", "a CHECK constraint does not hold"),
    ("23P01", "exclusion_violation", "an exclusion constraint does not hold"),
    ("25006", "read_only_sql_transaction", "the database is read-only"),
    ("25P02", "in_failed_sql_transaction", "an earlier statement of the transaction failed"),
    ("25P03", "idle_in_transaction_session_timeout", "the server ended the session for being idle"),
    ("28000", "invalid_authorization_specification", "the server does not let this user in from this host"),
    ("28P01", "invalid_password", "the password is wrong"),
    ("2BP01", "dependent_objects_still_exist", "other objects depend on it"),
    ("3D000", "invalid_catalog_name", "the database does not exist"),
    ("3F000", "invalid_schema_name", "the schema does not exist"),
    ("40001", "serialization_failure", "the transaction ran into a concurrent one"),
    ("40P01", "deadlock_detected", "the transaction ran into a deadlock"),
    ("42501", "insufficient_privilege", "permission denied"),
    ("42601", "syntax_error", "the server does not understand a statement"),
    ("42703", "undefined_column", "a column does not exist"),
    ("42710", "duplicate_object", "an object of that name exists already"),
    ("42804", "datatype_mismatch", "a value has another type than its column"),
    ("42809", "wrong_object_type", "an object is not of the kind expected"),
    ("42883", "undefined_function", "a function does not exist"),
    ("42P01", "undefined_table", "a table does not exist"),
    ("42P07", "duplicate_table", "a table or index of that name exists already"),
    ("428C9", "generated_always", "a generated column cannot be written"),
    ("53000", "insufficient_resources", "the server is out of resources"),
    ("53100", "disk_full", "the disk of the server is full"),
    ("53200", "out_of_memory", "the server is out of memory"),
    ("53300", "too_many_connections", "the server takes no more connections"),
    (
        "54000",
        "program_limit_exceeded",
        "a limit of PostgreSQL is exceeded, such as the size of an index entry",
    ),
    ("54001", "statement_too_complex", "a value is nested too deeply for the server"),
    ("55000", "object_not_in_prerequisite_state", "an object is not in the state needed"),
    ("55006", "object_in_use", "an object is in use"),
    ("55P03", "lock_not_available", "a lock could not be had in time"),
    ("57014", "query_canceled", "the statement was cancelled"),
    ("57P01", "admin_shutdown", "the server is being shut down, or an administrator ended the session"),
    ("57P02", "crash_shutdown", "the server is restarting after a crash"),
    ("57P03", "cannot_connect_now", "the server is starting up or shutting down"),
    ("57P04", "database_dropped", "the database was dropped"),
    ("57P05", "idle_session_timeout", "the server ended the session for being idle"),
    ("58030", "io_error", "the server could not read or write a file"),
    ("P0001", "raise_exception", "a trigger or function raised an exception"),
    ("XX000", "internal_error", "the server reports an internal error"),
    ("XX001", "data_corrupted", "the server reports corrupted data"),
    ("XX002", "index_corrupted", "the server reports a corrupted index"),
];

/// Classes, for codes that are not listed.
const CLASSES: &[(&str, &str)] = &[
    ("08", "a connection problem"),
    ("0A", "the server does not support this"),
    ("22", "a value cannot be stored"),
    ("23", "a constraint is violated"),
    ("25", "the transaction is in a wrong state"),
    ("28", "the server does not let this user in"),
    ("38", "a function failed"),
    ("39", "a function failed"),
    ("40", "the transaction was rolled back"),
    ("42", "the server refuses a statement"),
    ("53", "the server is out of resources"),
    ("54", "a limit of PostgreSQL is exceeded"),
    ("55", "an object is not in the state needed"),
    ("57", "someone intervened on the server"),
    ("58", "the server's system failed"),
    ("P0", "a trigger or function failed"),
    ("XX", "the server reports an internal error"),
];

/// The code's class: its first two characters.
pub fn class(code: &str) -> &str {
    code.get(..2).unwrap_or_default()
}

/// What the code means, in words.
pub fn meaning(code: &str) -> &'static str {
    condition(code).map_or_else(
        || {
            CLASSES
                .iter()
                .find(|(known, _)| *known == class(code))
                .map_or("the server reports an error", |(_, meaning)| meaning)
        },
        |(_, _, meaning)| meaning,
    )
}

/// `SQLSTATE 23505 unique_violation`: what to look for in the server's own log.
pub fn label(code: &str) -> String {
    // A code is five ASCII letters and digits; anything else does not come from PostgreSQL and is not repeated.
    if code.len() != 5 || !code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return "SQLSTATE unknown".to_owned();
    }
    condition(code)
        .map_or_else(|| format!("SQLSTATE {code}"), |(_, name, _)| format!("SQLSTATE {code} {name}"))
}

fn condition(code: &str) -> Option<&'static Condition> {
    CONDITIONS.iter().find(|(known, ..)| *known == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unlisted_codes_fall_back_to_their_class() {
        assert_eq!(meaning("22P06"), "a value cannot be stored");
        assert_eq!(label("22P06"), "SQLSTATE 22P06");
        assert_eq!(meaning("ZZ999"), "the server reports an error");
        assert_eq!(label("23505"), "SQLSTATE 23505 unique_violation");
        assert_eq!(label("a b c"), "SQLSTATE unknown");
    }
}
