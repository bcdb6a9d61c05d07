//! Whole statements: queries that show their rows in order, prepared ones, and writes within a
//! transaction that is taken back. Must never leave anything behind in the session.

use super::expressions::Writer;
use super::schema::Type::{
    Bool, Date, Int4, Int8, Interval, Ints, Jsonb, Numeric, Text, Timestamp,
};
use super::schema::{Column, Scope, TABLES, Table, Type, columns_of};
use super::selects::{NAMES, reads};

const PLAIN: &[Type] = &[Int4, Text, Numeric, Bool];
const PARAMETERS: &[Type] = &[Int4, Text, Numeric, Bool, Timestamp, Jsonb, Ints];
const PREPARED: &[Type] = &[Int4, Text, Numeric, Bool, Timestamp, Int8, Date, Interval];

/// What one case says, statement by statement.
pub fn statements(choices: Vec<u16>) -> Vec<String> {
    let mut writer = Writer::new(choices);
    if writer.tape.happens(20) {
        return writer.write();
    }
    match writer.tape.below(100) {
        0..54 => vec![writer.shown_query()],
        54..66 => writer.prepared(),
        66..74 => vec![writer.lateral()],
        74..81 => vec![writer.distinct_on()],
        81..89 => vec![writer.named()],
        89..92 => vec![writer.recursive()],
        92..96 => vec![writer.arrays()],
        _ => vec![writer.rows()],
    }
}

/// `1, 2, 3`
fn ordinals(count: usize) -> String {
    (1..=count).map(|number| number.to_string()).collect::<Vec<_>>().join(", ")
}

/// The WITH query that reads a write's rows, and the table afterwards.
fn taken_back(write: &str, (name, columns): Table) -> Vec<String> {
    let order = ordinals(columns.len());
    vec![
        "BEGIN".to_owned(),
        format!("WITH m AS ({write} RETURNING *) SELECT * FROM m ORDER BY {order}"),
        format!("SELECT * FROM {name} ORDER BY {order}"),
        "ROLLBACK".to_owned(),
    ]
}

impl Writer {
    fn two_of(&mut self, kinds: &[Type]) -> Vec<Type> {
        (0..2).map(|_| self.tape.one_of(kinds)).collect()
    }

    /// A table under a new name.
    fn target(&mut self) -> (Table, String, Vec<Column>) {
        let (table, alias) = (self.tape.one_of(TABLES), self.alias());
        let columns = columns_of(&alias, table.1);
        (table, alias, columns)
    }

    fn shown_query(&mut self) -> String {
        let kinds = self.shown();
        let query = self.query(&kinds, &Scope::default(), 3);
        if self.tape.happens(12) {
            let way =
                |number| format!("{number}{}", self.tape.one_of(&["", " DESC", " NULLS FIRST"]));
            let order: Vec<String> = (1..=kinds.len()).map(way).collect();
            return format!("WITH w AS ({query}) SELECT * FROM w ORDER BY {}", order.join(", "));
        }
        let limits = ["", "", "", " LIMIT 3", " OFFSET 1", " LIMIT 2 OFFSET 1"];
        let limit = self.tape.one_of(&limits);
        format!("SELECT * FROM ({query}) z ORDER BY {}{limit}", ordinals(kinds.len()))
    }

    /// Parameters have the types that are said, or those that are found.
    fn prepared(&mut self) -> Vec<String> {
        let kinds = self.two_of(PARAMETERS);
        let parameter =
            |(at, kind): (usize, &Type)| Column { text: format!("${}", at + 1), kind: *kind };
        let parameters: Vec<Column> = kinds.iter().enumerate().map(parameter).collect();
        let outputs = self.two_of(PREPARED);
        let query = self.query(&outputs, &Scope::of(&parameters), 3);
        let read = |column: &Column| query.contains(&column.text);
        let types = if self.tape.happens(50) || !parameters.iter().all(read) {
            format!("({}, {})", kinds[0].name(), kinds[1].name())
        } else {
            String::new()
        };
        let argument = |kind: &Type| match self.value(*kind, &Scope::default(), 1) {
            query if query.contains("SELECT") => self.literal(*kind),
            value => value,
        };
        let arguments: Vec<String> = kinds.iter().map(argument).collect();
        vec![
            format!("PREPARE p{types} AS SELECT * FROM ({query}) z ORDER BY 1, 2"),
            format!("EXECUTE p({})", arguments.join(", ")),
            "DEALLOCATE p".to_owned(),
        ]
    }

    fn lateral(&mut self) -> String {
        let ((name, _), outer, mut columns) = self.target();
        let kinds = self.two_of(PLAIN);
        let query = self.query(&kinds, &Scope::of(&columns), 2);
        let limited = format!("SELECT * FROM ({query}) y ORDER BY 1, 2 LIMIT 1");
        let query = if self.tape.happens(30) { limited } else { query };
        let inner = self.alias();
        columns.extend(columns_of(&inner, &[(NAMES[0], kinds[0]), (NAMES[1], kinds[1])]));
        let join = self.tape.one_of(&["JOIN", "LEFT JOIN"]);
        let scope = Scope::of(&columns);
        let first = self.value(Int4, &scope, 1);
        let second = self.value(kinds[0], &scope, 2);
        let third = self.value(Text, &scope, 1);
        let filter = self.value(Bool, &scope, 2);
        format!(
            "SELECT * FROM (SELECT {first}, {second}, {third} FROM {name} {outer} \
             {join} LATERAL ({query}) {inner}(c0, c1) ON true WHERE {filter}) z ORDER BY 1, 2, 3"
        )
    }

    fn distinct_on(&mut self) -> String {
        let from = self.from(2);
        let scope = Scope::of(&from.columns);
        let kind = self.tape.one_of(&[Int4, Text, Bool, Date]);
        let key = self.value(kind, &scope, 1);
        let (second, third) = (self.value(Text, &scope, 1), self.value(Numeric, &scope, 1));
        let filter = self.value(Bool, &scope, 2);
        // A number by itself is the number of a column.
        let by_number = [&key, &second, &third].iter().any(|text| !reads(text, &from.columns));
        let (on, order) = if by_number {
            ("1".to_owned(), "1, 2, 3".to_owned())
        } else {
            (key.clone(), format!("{key}, {second}, {third}"))
        };
        format!(
            "SELECT DISTINCT ON ({on}) {key}, {second}, {third} FROM {} WHERE {filter} \
             ORDER BY {order}",
            from.text
        )
    }

    /// WITH queries, one of which is read twice, or by the other.
    fn named(&mut self) -> String {
        let kinds = self.two_of(PLAIN);
        // Their rows are joined in turn.
        self.joins = 1;
        let first = self.query(&kinds, &Scope::default(), 2);
        self.joins = 1;
        let columns = [(NAMES[0], kinds[0]), (NAMES[1], kinds[1])];
        self.with.push(("w1".to_owned(), columns.to_vec()));
        let second = self.query(&kinds, &Scope::default(), 2);
        self.with.clear();
        let (left, right) = (self.alias(), self.alias());
        let right_one = self.tape.weighted(&[(2, "w1"), (1, "w2(c0, c1)")]);
        let (right_name, second_name) = match right_one {
            "w1" => ("w1", "w2"),
            _ => ("w2", "w2(c0, c1)"),
        };
        let scope =
            Scope::of(&[columns_of(&left, &columns), columns_of(&right, &columns)].concat());
        let way = self.tape.one_of(&["", "MATERIALIZED ", "NOT MATERIALIZED "]);
        let outputs = [Int4, Text, Bool].map(|kind| self.value(kind, &scope, 2)).join(", ");
        let filter = self.value(Bool, &scope, 2);
        format!(
            "WITH w1(c0, c1) AS {way}({first}), {second_name} AS ({second}) SELECT {outputs} \
             FROM w1 {left} LEFT JOIN {right_name} {right} ON {left}.c0 = {right}.c0 \
             WHERE {filter} ORDER BY 1, 2, 3"
        )
    }

    fn recursive(&mut self) -> String {
        let scope = Scope::of(&columns_of("r", &[("n", Int4), ("x", Text)]));
        let begin = self.tape.one_of(&["1", "0", "-2"]);
        let text = self.value(Text, &Scope::default(), 1);
        let (all, more) = (self.tape.one_of(&["", " ALL"]), self.literal(Text));
        let end = self.tape.one_of(&["3", "5"]);
        let (first, second) = (self.value(Int4, &scope, 2), self.value(Text, &scope, 2));
        format!(
            "WITH RECURSIVE r(n, x) AS (SELECT {begin}, {text} UNION{all} \
             SELECT n + 1, x || {more} FROM r WHERE n < {end}) \
             SELECT {first}, {second} FROM r ORDER BY 1, 2"
        )
    }

    fn arrays(&mut self) -> String {
        let ((name, _), alias, columns) = self.target();
        let scope = Scope::of(&columns);
        let query = self.query(&[Int4], &scope, 1);
        let value = self.value(Int4, &scope, 1);
        format!(
            "SELECT {value}, ARRAY(SELECT y.c FROM ({query}) y(c) ORDER BY 1) FROM {name} {alias} \
             ORDER BY 1, 2"
        )
    }

    /// Rows among others.
    fn rows(&mut self) -> String {
        let ((name, _), alias, columns) = self.target();
        let scope = Scope::of(&columns);
        let query = self.query(&[Int4, Text], &scope, 1);
        let way = self.tape.one_of(&["IN", "NOT IN", "= ANY", "<> ALL"]);
        let value = self.value(Int4, &scope, 1);
        let mut row =
            || format!("({}, {})", self.value(Int4, &scope, 1), self.value(Text, &scope, 1));
        let (first, second, listed) = (row(), row(), row());
        let number = self.value(Int4, &scope, 1);
        format!(
            "SELECT {value}, {first} {way} ({query}), {second} IN ({listed}, ({number}, NULL)) \
             FROM {name} {alias} ORDER BY 1, 2, 3"
        )
    }

    fn write(&mut self) -> Vec<String> {
        match self.tape.below(100) {
            0..20 => self.update(),
            20..35 => self.delete(),
            35..55 => self.insert(),
            55..75 => self.upsert(),
            75..90 => self.update_from(),
            _ => self.delete_using(),
        }
    }

    fn update(&mut self) -> Vec<String> {
        let (table, alias, columns) = self.target();
        let ((name, kind), scope) = (self.tape.one_of(table.1), Scope::of(&columns));
        let (value, filter) = (self.value(kind, &scope, 2), self.value(Bool, &scope, 2));
        let write = format!("UPDATE {} {alias} SET {name} = {value} WHERE {filter}", table.0);
        taken_back(&write, table)
    }

    fn delete(&mut self) -> Vec<String> {
        let (table, alias, columns) = self.target();
        let filter = self.value(Bool, &Scope::of(&columns), 2);
        taken_back(&format!("DELETE FROM {} {alias} WHERE {filter}", table.0), table)
    }

    fn insert(&mut self) -> Vec<String> {
        let (table, alias, columns) = self.target();
        let scope = Scope::of(&columns);
        let value = |(_, kind): &(&str, Type)| self.value(*kind, &scope, 1);
        let values: Vec<String> = table.1.iter().map(value).collect();
        let filter = self.value(Bool, &scope, 2);
        let names: Vec<&str> = table.1.iter().map(|(name, _)| *name).collect();
        let write = format!(
            "INSERT INTO {name} ({}) SELECT {} FROM {name} {alias} WHERE {filter}",
            names.join(", "),
            values.join(", "),
            name = table.0,
        );
        taken_back(&write, table)
    }

    fn upsert(&mut self) -> Vec<String> {
        let values =
            [Int4, Text, Numeric].map(|kind| self.value(kind, &Scope::default(), 1)).join(", ");
        let action = self.tape.one_of(&[
            "NOTHING",
            "UPDATE SET b = excluded.b || COALESCE(u.b, '-'), c = u.c + excluded.c",
            "UPDATE SET (b, c) = ROW (excluded.b, u.c) WHERE u.f",
        ]);
        let write =
            format!("INSERT INTO u (a, b, c) VALUES ({values}) ON CONFLICT (a) DO {action}");
        taken_back(&write, TABLES[1])
    }

    /// Which of several rows an updated one is joined to is left to chance: they give the same.
    fn update_from(&mut self) -> Vec<String> {
        let (table, alias, columns) = self.target();
        let ((other, _), joined, others) = self.target();
        let (name, kind) = self.tape.one_of(table.1);
        let value = self.value(kind, &Scope::of(&columns), 1);
        let left = self.column(Int4, &columns).expect("each table has one");
        let right = self.column(Int4, &others).expect("each table has one");
        let filter = self.value(Bool, &Scope::of(&[columns, others].concat()), 2);
        let write = format!(
            "UPDATE {} {alias} SET {name} = {value} FROM {other} {joined} \
             WHERE {left} = {right} AND {filter}",
            table.0
        );
        without_rows(&write, table)
    }

    fn delete_using(&mut self) -> Vec<String> {
        let (table, alias, columns) = self.target();
        let ((other, _), joined, others) = self.target();
        let filter = self.value(Bool, &Scope::of(&[columns, others].concat()), 2);
        let write =
            format!("DELETE FROM {} {alias} USING {other} {joined} WHERE {filter}", table.0);
        without_rows(&write, table)
    }
}

/// The write, whose rows would show what they were joined to, and the table afterwards.
fn without_rows(write: &str, (name, columns): Table) -> Vec<String> {
    vec![
        "BEGIN".to_owned(),
        write.to_owned(),
        format!("SELECT * FROM {name} ORDER BY {}", ordinals(columns.len())),
        "ROLLBACK".to_owned(),
    ]
}
