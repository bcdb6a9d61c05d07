//! Queries of given types, and what they read from. Must never give rows that depend on the order
//! in which others were found.

use super::expressions::Writer;
use super::schema::Type::{Bool, Date, Int4, Int8, Interval, Jsonb, Numeric, Text, Timestamp};
use super::schema::{Column, Scope, TABLES, Type, columns_of};

const DERIVED: &[Type] = &[Int4, Text, Numeric, Bool, Timestamp];
const GROUPED: &[Type] = &[Int4, Text, Bool, Date];
const SET_OPERATORS: &[&str] =
    &["UNION", "UNION ALL", "EXCEPT", "INTERSECT", "EXCEPT ALL", "INTERSECT ALL"];

/// What a derived table calls its columns.
pub const NAMES: [&str; 2] = ["c0", "c1"];

/// Whether the expression reads one of them, without a query of its own.
pub fn reads(expression: &str, columns: &[Column]) -> bool {
    let columns = columns.iter().any(|column| expression.contains(&column.text));
    columns && !expression.contains("SELECT")
}

/// What stands after FROM, and its columns.
pub struct Source {
    pub text: String,
    pub columns: Vec<Column>,
}

impl Writer {
    /// Something with rows.
    fn relation(&mut self, depth: usize) -> Source {
        let alias = self.alias();
        let drawn = if depth > 1 { self.tape.below(100) } else { 0 };
        match drawn {
            0..72 => self.table(&alias),
            72..88 => {
                let count = self.tape.one_of(&[1, 2]);
                let kinds: Vec<Type> = (0..count).map(|_| self.tape.one_of(DERIVED)).collect();
                let query = self.query(&kinds, &Scope::default(), depth - 1);
                let names = NAMES[..count].join(", ");
                let columns: Vec<(&str, Type)> = NAMES.into_iter().zip(kinds).collect();
                Source {
                    text: format!("({query}) {alias}({names})"),
                    columns: columns_of(&alias, &columns),
                }
            }
            88..94 => {
                let first = format!("({}, {})", self.literal(Int4), self.literal(Text));
                let second = format!("({}, NULL)", self.literal(Int4));
                Source {
                    text: format!("(VALUES {first}, {second}) {alias}(m, n)"),
                    columns: columns_of(&alias, &[("m", Int4), ("n", Text)]),
                }
            }
            _ => Source {
                text: format!("generate_series(1, 3) {alias}(s)"),
                columns: columns_of(&alias, &[("s", Int4)]),
            },
        }
    }

    /// A table, or a WITH query that may be read.
    fn table(&mut self, alias: &str) -> Source {
        let tables = TABLES.iter().copied();
        let with = self.with.iter().map(|(name, columns)| (name.as_str(), columns.as_slice()));
        let all: Vec<(&str, &[(&str, Type)])> = tables.chain(with).collect();
        let (name, columns) = self.tape.one_of(&all);
        Source { text: format!("{name} {alias}"), columns: columns_of(alias, columns) }
    }

    /// Up to three of them, joined.
    pub fn from(&mut self, depth: usize) -> Source {
        let more = self.tape.weighted(&[(2, 0), (2, 1), (1, 2)]).min(self.joins);
        self.joins -= more;
        let mut from = self.relation(depth);
        for _ in 0..more {
            let joined = self.relation(depth);
            let left = self.column(Int4, &from.columns);
            let right = self.column(Int4, &joined.columns);
            let keys = left.zip(right).map(|(left, right)| format!("{left} = {right}"));
            from.columns.extend(joined.columns);
            let join = self.tape.weighted(&[
                (2, "CROSS"),
                (1, "INNER"),
                (2, "LEFT"),
                (1, "RIGHT"),
                (1, "FULL"),
            ]);
            let on = match (join, keys) {
                ("CROSS", _) | ("FULL", None) => None,
                ("FULL", keys) => keys,
                (_, keys) => Some(self.condition(keys, &from.columns)),
            };
            from.text = match on {
                Some(on) => format!("{} {join} JOIN {} ON {on}", from.text, joined.text),
                None => format!("{} CROSS JOIN {}", from.text, joined.text),
            };
        }
        from
    }

    /// Of a join: equal keys, something else, or both.
    fn condition(&mut self, keys: Option<String>, columns: &[Column]) -> String {
        let more = self.tape.happens(50).then(|| self.value(Bool, &Scope::of(columns), 1));
        match (keys, more) {
            (Some(keys), Some(more)) => format!("{keys} AND {more}"),
            (Some(on), None) | (None, Some(on)) => on,
            (None, None) => "true".to_owned(),
        }
    }

    fn filter(&mut self, scope: &Scope, depth: usize) -> String {
        let filter = self.tape.happens(60).then(|| self.value(Bool, scope, depth.min(2)));
        filter.map(|filter| format!(" WHERE {filter}")).unwrap_or_default()
    }

    /// A query with columns of these types.
    pub fn query(&mut self, kinds: &[Type], outer: &Scope, depth: usize) -> String {
        if depth > 1 && !kinds.contains(&Jsonb) && self.tape.happens(12) {
            let (left, right) =
                (self.query(kinds, outer, depth - 1), self.query(kinds, outer, depth - 1));
            return format!("({left}) {} ({right})", self.tape.one_of(SET_OPERATORS));
        }
        let from = self.from(depth);
        let scope = outer.and(&from.columns);
        let rest = format!("FROM {}{}", from.text, self.filter(&scope, depth));
        if self.tape.happens(30)
            && let Some(grouped) = self.grouped(kinds, &from.columns, &rest)
        {
            return grouped;
        }
        let distinct = if self.tape.happens(15) { "DISTINCT " } else { "" };
        let value = |kind: &Type| self.value(*kind, &scope, depth.min(2));
        let outputs: Vec<String> = kinds.iter().map(value).collect();
        format!("SELECT {distinct}{} {rest}", outputs.join(", "))
    }

    /// The same of groups, if there is something to group by.
    fn grouped(&mut self, kinds: &[Type], columns: &[Column], rest: &str) -> Option<String> {
        let mut keys = Vec::new();
        for _ in 0..self.tape.one_of(&[1, 2]) {
            let (kind, depth) = (self.tape.one_of(GROUPED), self.tape.below(2));
            let key = self.value(kind, &Scope::of(columns), depth);
            if reads(&key, columns) {
                keys.push((key, kind));
            }
        }
        if keys.is_empty() {
            return None;
        }
        let outputs: Vec<String> =
            kinds.iter().map(|kind| self.of_group(*kind, &keys, columns)).collect();
        let distinct = if self.tape.happens(10) { "DISTINCT " } else { "" };
        let keys: Vec<String> = keys.into_iter().map(|(key, _)| key).collect();
        let mut query =
            format!("SELECT {distinct}{} {rest} GROUP BY {}", outputs.join(", "), keys.join(", "));
        if self.tape.happens(30) {
            let scope = Scope { columns: Vec::new(), grouped: columns.to_vec() };
            query = format!("{query} HAVING {}", self.value(Bool, &scope, 2));
        }
        Some(query)
    }

    /// One of its keys, or an aggregate.
    fn of_group(&mut self, kind: Type, keys: &[(String, Type)], columns: &[Column]) -> String {
        if let Some((key, _)) = keys.iter().find(|(_, found)| *found == kind)
            && self.tape.happens(30)
        {
            return key.clone();
        }
        let aggregate = self.aggregate(kind, columns, 1);
        aggregate.unwrap_or_else(|| format!("({})", self.literal(kind)))
    }

    /// A query of one row, or none.
    pub fn scalar(&mut self, kind: Type, outer: &Scope, depth: usize) -> String {
        let from = self.from(depth);
        let scope = outer.and(&from.columns);
        let rest = format!("FROM {}{}", from.text, self.filter(&scope, depth));
        if let Some(aggregate) = self.aggregate(kind, &from.columns, 1) {
            return format!("SELECT {aggregate} {rest}");
        }
        let value = self.value(kind, &scope, 1);
        format!("SELECT {value} {rest} ORDER BY 1 LIMIT 1")
    }

    /// The types of a query that is shown.
    pub fn shown(&mut self) -> Vec<Type> {
        const SHOWN: &[Type] = &[
            Int4,
            Text,
            Numeric,
            Bool,
            Timestamp,
            Int8,
            Date,
            Interval,
            Type::Ints,
            Jsonb,
            Type::Float,
        ];
        (0..=self.tape.below(3)).map(|_| self.tape.one_of(SHOWN)).collect()
    }
}
