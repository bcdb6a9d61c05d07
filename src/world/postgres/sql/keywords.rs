//! Key words, and names that must be quoted because of them (PostgreSQL 15, appendix C).
//! Must never quote a name that PostgreSQL writes plainly.

/// Words that name no table and no column unless they are quoted; the parser takes some of them.
const RESERVED: &str = "all analyse analyze and any array as asc asymmetric authorization \
    binary both case cast check collate collation column concurrently constraint create cross \
    current_catalog current_date current_role current_schema current_time current_timestamp \
    current_user default deferrable desc distinct do else end except false fetch for foreign \
    freeze from full grant group having ilike in initially inner intersect into is isnull join \
    lateral leading left like limit localtime localtimestamp natural not notnull null offset on \
    only or order outer overlaps placing primary references returning right select session_user \
    similar some symmetric table tablesample then to trailing true union unique user using \
    variadic verbose when where window with";

/// Words that may name a column, and are quoted all the same.
const OF_TYPES: &str = "between bigint bit boolean char character coalesce dec decimal exists \
    extract float greatest grouping inout int integer interval least national nchar none \
    normalize nullif numeric out overlay position precision real row setof smallint substring \
    time timestamp treat trim values varchar xmlattributes xmlconcat xmlelement xmlexists \
    xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable";

pub fn is_reserved(word: &str) -> bool {
    RESERVED.split_whitespace().any(|known| known == word)
}

/// A name as PostgreSQL writes it: quoted if it must be.
pub fn quoted(name: &str) -> String {
    let small = |c: char| c.is_ascii_lowercase() || c == '_';
    let plain = name.starts_with(small) && name.chars().all(|c| small(c) || c.is_ascii_digit());
    if plain && !is_reserved(name) && !OF_TYPES.split_whitespace().any(|word| word == name) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}
