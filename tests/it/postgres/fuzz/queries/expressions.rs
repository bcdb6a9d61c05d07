//! Expressions of a type, from forms with holes. Must never write what two servers may answer
//! differently: the time, a random number, rows in the order in which they are found.
//!
//! In a form `{text}` is an expression of that type, `{self}` one of the type that is wanted, `{t}`
//! one of a type that is the same throughout the form; `{a|b}` is either; `{query}` is a query of
//! one column `{t}`, `{scalar}` one of the wanted type that gives one row. Brackets around a whole
//! form may be left out.

use super::schema::Type::{Bool, Date, Float, Int2, Int4, Int8, Interval, Ints, Jsonb, Numeric};
use super::schema::Type::{Text, Timestamp, Uuid};
use super::schema::{Column, Scope, Type};
use super::tape::Tape;

/// Of any type.
const GENERAL: &[(usize, &str)] = &[
    (10, "CASE WHEN {bool} THEN {self} ELSE {self} END"),
    (6, "COALESCE({self}, {self})"),
    (4, "NULLIF({self}, {self})"),
    (4, "{GREATEST|LEAST}({self}, {self})"),
    (6, "({scalar})"),
];

const BOOLS: &[(usize, &str)] = &[
    (35, "({t} {=|<>|<|>|<=|>=} {t})"),
    (10, "({bool} {AND|OR} {bool})"),
    (5, "(NOT {bool})"),
    (6, "({t} IS {|NOT }NULL)"),
    (4, "({bool} IS {|NOT }{TRUE|FALSE|UNKNOWN})"),
    (5, "({t} IS {|NOT }DISTINCT FROM {t})"),
    (5, "({t} {|NOT }BETWEEN {t} AND {t})"),
    (5, "({t} {|NOT }IN ({t}, {t}, {t}))"),
    (5, "({int4} {=|<>|<|>|<=|>=} {ANY|ALL}({int4[]}))"),
    (4, "({text} {LIKE|NOT LIKE|ILIKE} {'%o%'|'t_o'|'%'|''})"),
    (3, "({jsonb} {@>|<@} {jsonb})"),
    (3, "({jsonb} ? {text})"),
    (2, "(({int4}, {text}) {=|<>|<|>|<=|>=} ({int4}, {text}))"),
    (3, "{|NOT }EXISTS ({query})"),
    (5, "({t} {IN|NOT IN|= ANY|<> ALL|> ANY|<= ALL} ({query}))"),
    (2, "({int4[]} {@>|<@|&&} {int4[]})"),
];

/// Conditions of conditions: without brackets, it is told what binds more tightly.
const LOOSE: &[&str] = &[
    "({bool} {AND|OR} {bool})",
    "(NOT {bool})",
    "({bool} {=|<>|<|>|<=|>=} {bool})",
    "({bool} IS {|NOT }{TRUE|FALSE|UNKNOWN|NULL})",
    "({bool} IS {|NOT }DISTINCT FROM {bool})",
    "({bool} {|NOT }IN ({bool}, {bool}))",
    "({bool} {|NOT }BETWEEN {bool} AND {bool})",
    "{|NOT }EXISTS ({query})",
];

/// What `{t}` stands for.
const COMPARED: &[Type] =
    &[Int4, Text, Numeric, Timestamp, Int8, Date, Bool, Ints, Jsonb, Float, Interval];

const INT4S: &[&str] = &[
    "({int4} {+|-|*} {1|2|-1})",
    "({int4} % {2|3|7})",
    "length({text})",
    "abs({int4} % 100)",
    "cardinality({int4[]})",
    "({int4[]})[{1|2}]",
    "sign({numeric})::int",
    "extract({day|year|dow|month} FROM {timestamp})::int",
    "({date} - {date})",
    "jsonb_array_length(CASE WHEN jsonb_typeof({jsonb}) = 'array' THEN '[1]'::jsonb END)",
    "strpos({text}, {text})",
    "({bool})::int",
    "array_position({int4[]}, {int4})",
];

const TEXTS: &[&str] = &[
    "({text} || {text})",
    "upper({text})",
    "({t})::text",
    "({t})::text",
    "substr({text}, {1|2|0|-1}, 2)",
    "replace({text}, 'o', {text})",
    "({jsonb} ->> {'a'|0|-1})",
    "concat({int4}, {text}, {bool})",
    "lpad({text}, 4, '*')",
    "split_part({text}, ',', {1|2|-1})",
    "to_char({timestamp}, 'YYYY-MM-DD HH24:MI')",
    "left({text}, 2)",
    "md5({text})",
    "format('%s-%s', {int4}, {text})",
    "initcap({text})",
    "concat_ws('-', {text}, {numeric})",
    "array_to_string({int4[]}, ',', 'N')",
    "jsonb_typeof({jsonb})",
    "trim({text})",
    "repeat({text}, 2)",
    "reverse({text})",
    "encode({text}::bytea, 'hex')",
    "quote_literal({text})",
    "quote_ident({text})",
    "right({text}, 2)",
    "substring({text} FROM 2)",
    "chr(65 + abs({int4} % 20))",
    "({jsonb} #>> ARRAY['a', 'b'])",
    "({uuid})::text",
];

const NUMERICS: &[&str] = &[
    "({numeric} {+|-|*} {numeric})",
    "({numeric} {+|-|*} {int4})",
    "round({numeric}, {0|1|-1})",
    "trunc({numeric})",
    "({numeric} / {3|-7|0.5})",
    "({int4})::numeric(10,1)",
    "abs({numeric})",
    "ceil({numeric})",
    "extract(epoch FROM {timestamp})",
    "mod({numeric}, 3)",
];

const TIMESTAMPS: &[&str] = &[
    "({timestamp} + {interval})",
    "date_trunc({'day'|'month'|'hour'|'week'}, {timestamp})",
    "({date})::timestamp",
    "({date} + {interval})",
];

const INTERVALS: &[&str] =
    &["({timestamp} - {timestamp})", "({interval} * {2|-1|0.5})", "({interval} + {interval})"];

const JSONS: &[&str] = &[
    "({jsonb} -> {'a'|0|-1})",
    "to_jsonb({int4})",
    "to_jsonb({text})",
    "to_jsonb({bool})",
    "to_jsonb({numeric})",
    "to_jsonb({timestamp})",
    "to_jsonb({int4[]})",
    "jsonb_build_object('k', {int4})",
    "jsonb_build_object('k', {text})",
    "jsonb_build_object('k', {jsonb})",
    "jsonb_build_array({int4}, {text})",
    "({jsonb} #> ARRAY['a', 'b'])",
];

const ARRAYS: &[&str] = &[
    "({int4[]} || {int4[]})",
    "array_append({int4[]}, {int4})",
    "ARRAY[{int4}, {int4}]",
    "array_remove({int4[]}, {int4})",
    "array_prepend({int4}, {int4[]})",
];

const INT8S: &[&str] = &["({int8} + {int4})", "({int4})::int8", "({int8} % 1000)"];

const FLOATS: &[&str] =
    &["({float8} + {int4})", "({numeric})::float8", "round({float8})", "floor({float8})"];

const DATES: &[&str] = &["({date} + {1|-30|365})", "({timestamp})::date"];

/// So many relations of six rows are a quarter of a million.
const JOINS: usize = 6;

/// Writes one case.
#[derive(Debug)]
pub struct Writer {
    pub tape: Tape,
    /// How many names were given.
    names: usize,
    /// How many relations may yet be joined to others: their rows multiply.
    pub joins: usize,
    /// Whether brackets are left out here and there.
    bare: bool,
    /// WITH queries that may be read.
    pub with: Vec<(String, Vec<(&'static str, Type)>)>,
}

/// The form without the brackets around all of it, if they are and may be left out.
fn unbracketed(form: &str) -> Option<&str> {
    let inner = form.strip_prefix('(')?.strip_suffix(')')?;
    let around_all = inner.find(')').is_none_or(|closed| inner[..closed].contains('('));
    (around_all && inner != "{scalar}").then_some(inner)
}

impl Writer {
    pub fn new(choices: Vec<u16>) -> Writer {
        let mut tape = Tape::new(choices);
        let bare = tape.happens(40);
        Writer { tape, names: 0, joins: JOINS, bare, with: Vec::new() }
    }

    /// A name that is not yet given.
    pub fn alias(&mut self) -> String {
        self.names += 1;
        format!("q{}", self.names)
    }

    /// A column of this type, if there is one.
    pub fn column(&mut self, kind: Type, columns: &[Column]) -> Option<String> {
        let found: Vec<&Column> = columns.iter().filter(|column| column.kind == kind).collect();
        (!found.is_empty()).then(|| self.tape.one_of(&found).text.clone())
    }

    pub fn literal(&mut self, kind: Type) -> String {
        self.tape.one_of(kind.literals()).to_owned()
    }

    /// An expression of this type, nested so deep at most.
    pub fn value(&mut self, kind: Type, scope: &Scope, depth: usize) -> String {
        if !scope.grouped.is_empty()
            && depth > 0
            && self.tape.happens(40)
            && let Some(aggregate) = self.aggregate(kind, &scope.grouped, depth - 1)
        {
            return aggregate;
        }
        if depth == 0 || !self.tape.happens(75) {
            let column = self.tape.happens(80).then(|| self.column(kind, &scope.columns));
            return column.flatten().unwrap_or_else(|| self.literal(kind));
        }
        let form = self.form(kind, scope);
        let bare = unbracketed(form).filter(|_| self.bare && self.tape.happens(40));
        self.filled(bare.unwrap_or(form), kind, scope, depth - 1)
    }

    fn form(&mut self, kind: Type, scope: &Scope) -> &'static str {
        let general = self.tape.happens(30).then(|| self.tape.weighted(GENERAL));
        let form = general.unwrap_or_else(|| match kind {
            Bool if self.bare && self.tape.happens(50) => self.tape.one_of(LOOSE),
            Bool => self.tape.weighted(BOOLS),
            Int2 => "({int4} % 100)::int2",
            Int4 => self.tape.one_of(INT4S),
            Int8 => self.tape.one_of(INT8S),
            Numeric => self.tape.one_of(NUMERICS),
            Float => self.tape.one_of(FLOATS),
            Text => self.tape.one_of(TEXTS),
            Date => self.tape.one_of(DATES),
            Timestamp => self.tape.one_of(TIMESTAMPS),
            Interval => self.tape.one_of(INTERVALS),
            Jsonb => self.tape.one_of(JSONS),
            Ints => self.tape.one_of(ARRAYS),
            Uuid => "COALESCE({self}, {self})",
        });
        let reads = form.contains("{query}") || form.contains("{scalar}");
        if reads && !scope.grouped.is_empty() { "COALESCE({self}, {self})" } else { form }
    }

    /// The form with its holes filled.
    fn filled(&mut self, form: &str, kind: Type, scope: &Scope, depth: usize) -> String {
        let draws = form.contains("{t}") || form.contains("{query}");
        let compared = if draws { self.tape.one_of(COMPARED) } else { kind };
        let mut text = String::new();
        let mut rest = form;
        while let Some((before, after)) = rest.split_once('{') {
            let (hole, after) = after.split_once('}').expect("a hole ends");
            text.push_str(before);
            let filling = match hole {
                "self" => self.value(kind, scope, depth),
                "t" => self.value(compared, scope, depth),
                "query" => self.query(&[compared], scope, depth),
                "scalar" => self.scalar(kind, scope, depth),
                _ => match Type::named(hole) {
                    Some(kind) => self.value(kind, scope, depth),
                    None => self.tape.one_of(&hole.split('|').collect::<Vec<_>>()).to_owned(),
                },
            };
            text.push_str(&filling);
            rest = after;
        }
        text + rest
    }

    /// An aggregate that gives this type, if there is one.
    pub fn aggregate(&mut self, kind: Type, columns: &[Column], depth: usize) -> Option<String> {
        let forms: &[&str] = match kind {
            Int8 => &["count(*)", "count(~{t})", "sum(~{int4})"],
            Numeric => &["sum(~{numeric})", "avg(~{int4})", "max({self})"],
            Bool => &["bool_and({bool})", "bool_or({bool})"],
            Text => &["max({self})", "min({self})", "string_agg(^)"],
            Int4 | Date | Timestamp | Interval | Int2 | Float => &["max({self})", "min({self})"],
            Jsonb | Ints | Uuid => return None,
        };
        let scope = Scope::of(columns);
        let mut form = self.tape.one_of(forms).to_owned();
        if form.contains('~') {
            form = form.replace('~', if self.tape.happens(20) { "DISTINCT " } else { "" });
        }
        if form.contains("(^)") {
            let joined = self.value(Text, &scope, depth);
            form = format!("string_agg({joined}, ',' ORDER BY {joined})");
        } else {
            form = self.filled(&form, kind, &scope, depth);
        }
        if self.tape.happens(20) {
            form = format!("{form} FILTER (WHERE {})", self.value(Bool, &scope, depth));
        }
        Some(form)
    }
}
