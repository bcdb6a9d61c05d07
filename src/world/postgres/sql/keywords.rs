//! Key words, and names that must be quoted because of them (PostgreSQL 15, appendix C).
//! Must never quote a name that PostgreSQL writes plainly.

use sqlparser::tokenizer::Word;

/// Words that name no table and no column unless they are quoted, but may follow AS; the last ones
/// not even stand as a label without it.
pub const RESERVED: &str = "all analyse analyze and any asc asymmetric both case cast check \
    collate column constraint current_catalog current_date current_role current_time \
    current_timestamp current_user default deferrable desc distinct do else end false foreign in \
    initially lateral leading localtime localtimestamp not null only or placing primary \
    references select session_user some symmetric table then trailing true unique user using \
    variadic when";
pub const RESERVED_BARELY: &str = "array as create except fetch for from grant group having \
    intersect into limit offset on order returning to union where window with";

/// Words that may name a function or a type beside.
pub const OF_FUNCTIONS: &str = "authorization binary collation concurrently cross current_schema \
    freeze full ilike inner is join left like natural outer right similar tablesample verbose";
pub const OF_FUNCTIONS_BARELY: &str = "isnull notnull overlaps";

/// Words that may name a column, and are quoted all the same.
pub const OF_TYPES: &str = "between bigint bit boolean coalesce dec decimal exists extract float \
    greatest grouping inout int integer interval least national nchar none normalize nullif \
    numeric out overlay position real row setof smallint substring time timestamp treat trim \
    values varchar xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse \
    xmlpi xmlroot xmlserialize xmltable";
pub const OF_TYPES_BARELY: &str = "char character precision";

/// Words that may name anything.
pub const FREE: &str = "abort absolute access action add admin after aggregate also alter always \
    asensitive assertion assignment at atomic attach attribute backward before begin breadth by \
    cache call called cascade cascaded catalog chain characteristics checkpoint class close \
    cluster columns comment comments commit committed compression configuration conflict \
    connection constraints content continue conversion copy cost csv cube current cursor cycle \
    data database deallocate declare defaults deferred definer delete delimiter delimiters \
    depends depth detach dictionary disable discard document domain double drop each enable \
    encoding encrypted enum escape event exclude excluding exclusive execute explain expression \
    extension external family finalize first following force forward function functions \
    generated global granted groups handler header hold identity if immediate immutable implicit \
    import include including increment index indexes inherit inherits inline input insensitive \
    insert instead invoker isolation key label language large last leakproof level listen load \
    local location lock locked logged mapping match matched materialized maxvalue merge method \
    minvalue mode move name names new next nfc nfd nfkc nfkd no normalized nothing notify nowait \
    nulls object of off oids old operator option options ordinality others overriding owned \
    owner parallel parameter parser partial partition passing password plans policy preceding \
    prepare prepared preserve prior privileges procedural procedure procedures program \
    publication quote range read reassign recheck recursive ref referencing refresh reindex \
    relative release rename repeatable replace replica reset restart restrict return returns \
    revoke role rollback rollup routine routines rows rule savepoint schema schemas scroll \
    search security sequence sequences serializable server session set sets share show simple \
    skip snapshot sql stable standalone start statement statistics stdin stdout storage stored \
    strict strip subscription support sysid system tables tablespace temp template temporary \
    text ties transaction transform trigger truncate trusted type types uescape unbounded \
    uncommitted unencrypted unknown unlisten unlogged until update vacuum valid validate \
    validator value version view views volatile whitespace work wrapper write xml yes zone";
pub const FREE_BARELY: &str = "day filter hour minute month over second varying within without \
    year";

fn is_in(lists: &[&str], word: &str) -> bool {
    lists.iter().any(|list| list.split_whitespace().any(|known| known == word))
}

/// Whether a word without quotes is no name that PostgreSQL makes nothing of.
pub fn is_key_word(word: &Word) -> bool {
    let lists = [
        RESERVED,
        RESERVED_BARELY,
        OF_FUNCTIONS,
        OF_FUNCTIONS_BARELY,
        OF_TYPES,
        OF_TYPES_BARELY,
        FREE,
        FREE_BARELY,
    ];
    word.quote_style.is_none() && is_in(&lists, &word.value.to_lowercase())
}

/// A name as PostgreSQL writes it: quoted if it must be.
pub fn quoted(name: &str) -> String {
    let small = |c: char| c.is_ascii_lowercase() || c == '_';
    let plain = name.starts_with(small) && name.chars().all(|c| small(c) || c.is_ascii_digit());
    let lists =
        [RESERVED, RESERVED_BARELY, OF_FUNCTIONS, OF_FUNCTIONS_BARELY, OF_TYPES, OF_TYPES_BARELY];
    if plain && !is_in(&lists, name) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}
