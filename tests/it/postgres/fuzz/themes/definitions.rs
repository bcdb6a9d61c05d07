//! Definitions that change beside the statements that use them.
//! Must never make what the end of a script does not take away.

use proptest::prelude::*;
use proptest::sample::select;

use super::{Theme, one_of, owned};
use crate::postgres::fuzz::cases::{lock, locking, predicate, tables};
use crate::postgres::fuzz::interleaving::Script;

fn uses() -> BoxedStrategy<String> {
    let conflict = select(vec![
        "",
        "",
        " ON CONFLICT DO NOTHING",
        " ON CONFLICT (k) DO UPDATE SET v = 7",
        " ON CONFLICT (w) DO NOTHING",
    ]);
    let columns = select(vec!["", "(k, v, w) ", "(k, v, z) "]);
    let set = one_of(&["v = v + 1", "w = w + 1", "w = NULL", "k = k + 4", "z = 1", "v = -1"]);
    prop_oneof![
        2 => predicate("").prop_map(|on| format!("SELECT * FROM t WHERE {on}")),
        2 => (1..5, locking()).prop_map(|(k, lock)| format!(
            "SELECT k, v FROM t WHERE k = {k} {lock}"
        )),
        4 => (columns, 3..8, -1..3, 1..6, conflict).prop_map(|(columns, k, v, w, conflict)| {
            format!("INSERT INTO t {columns}VALUES ({k}, {v}, {w}0){conflict} RETURNING *")
        }),
        1 => (5..8).prop_map(|k| format!("INSERT INTO t (k) VALUES ({k}) RETURNING *")),
        3 => (set, predicate(""))
            .prop_map(|(set, on)| format!("UPDATE t SET {set} WHERE {on} RETURNING *")),
        2 => predicate("").prop_map(|on| format!("DELETE FROM t WHERE {on} RETURNING *")),
        1 => (4..7, 1..8).prop_map(|(id, k)| format!("INSERT INTO u VALUES ({id}, {k}, 0)")),
        1 => (1..5, 1..8).prop_map(|(id, k)| format!("UPDATE u SET k = {k} WHERE id = {id}")),
        2 => one_of(&[
            "SELECT k, z FROM t ORDER BY k",
            "SELECT * FROM x",
            "SELECT * FROM t JOIN u USING (k) ORDER BY id",
            "INSERT INTO x VALUES (1)",
            "DELETE FROM u WHERE id = 1",
            "SELECT f(1), f(2)",
            "SELECT g(1)",
            "SELECT k, f(k) FROM t ORDER BY k",
            "UPDATE t SET v = f(v) WHERE k = 1 RETURNING *",
            "PREPARE p AS SELECT * FROM t WHERE k <= 2",
            "PREPARE p AS UPDATE t SET v = v + 1 WHERE k = 1 RETURNING *",
            "EXECUTE p",
            "EXECUTE p",
            "DEALLOCATE ALL",
        ]),
    ]
    .boxed()
}

fn constraints() -> BoxedStrategy<String> {
    one_of(&[
        "ALTER TABLE t ADD CONSTRAINT small CHECK (v < 2)",
        "ALTER TABLE t ADD CONSTRAINT small CHECK (v >= 0) NOT VALID",
        "ALTER TABLE t VALIDATE CONSTRAINT small",
        "ALTER TABLE t DROP CONSTRAINT small",
        "ALTER TABLE t DROP CONSTRAINT IF EXISTS small",
        "ALTER TABLE t ADD CONSTRAINT one UNIQUE (w)",
        "ALTER TABLE t DROP CONSTRAINT one",
        "ALTER TABLE t DROP CONSTRAINT t_pkey",
        "ALTER TABLE u ADD CONSTRAINT points FOREIGN KEY (k) REFERENCES t",
        "ALTER TABLE u ADD CONSTRAINT points FOREIGN KEY (k) REFERENCES t ON DELETE CASCADE",
        "ALTER TABLE u ADD CONSTRAINT points FOREIGN KEY (k) REFERENCES t NOT VALID",
        "ALTER TABLE u VALIDATE CONSTRAINT points",
        "ALTER TABLE u DROP CONSTRAINT points",
    ])
}

/// Changes of `t` and `u` as wholes, and of what belongs to them.
fn changes() -> BoxedStrategy<String> {
    let columns = one_of(&[
        "ALTER TABLE t ADD COLUMN z int",
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS z int DEFAULT 7",
        "ALTER TABLE t ADD COLUMN z int NOT NULL DEFAULT f(3)",
        "ALTER TABLE t ADD COLUMN z int UNIQUE",
        "ALTER TABLE t ADD COLUMN z int CHECK (z > 0)",
        "ALTER TABLE t ADD COLUMN z int REFERENCES u",
        "ALTER TABLE t DROP COLUMN w",
        "ALTER TABLE t DROP COLUMN IF EXISTS z",
        "ALTER TABLE t DROP COLUMN v CASCADE",
        "ALTER TABLE t RENAME COLUMN w TO z",
        "ALTER TABLE t RENAME COLUMN z TO w",
        "ALTER TABLE t RENAME v TO x",
        "ALTER TABLE t ALTER v SET DEFAULT 3",
        "ALTER TABLE t ALTER v SET DEFAULT nextval('q')",
        "ALTER TABLE t ALTER v DROP DEFAULT",
        "ALTER TABLE t ALTER k SET DEFAULT nextval('q')",
        "ALTER TABLE t ADD z int, DROP COLUMN w, ALTER v SET DEFAULT 1",
        "ALTER TABLE IF EXISTS x ADD COLUMN b int",
        "ALTER TABLE t ALTER w SET NOT NULL",
        "ALTER TABLE t ALTER v DROP NOT NULL",
    ]);
    let wholes = one_of(&[
        "ALTER TABLE t RENAME TO x",
        "ALTER TABLE x RENAME TO t",
        "TRUNCATE t",
        "TRUNCATE t CASCADE",
        "TRUNCATE u",
        "TRUNCATE u, t",
        "TRUNCATE t RESTART IDENTITY CASCADE",
        "ALTER TABLE t OWNER TO reader",
        "ALTER TABLE t RENAME CONSTRAINT t_pkey TO t_key",
        "COMMENT ON TABLE t IS 'x'",
        "CREATE TABLE IF NOT EXISTS x AS SELECT k AS a FROM t",
        "DROP TABLE u, t",
        "DROP TABLE IF EXISTS x, u",
        "DROP TABLE u",
        "DROP TABLE IF EXISTS t CASCADE",
        "DROP TABLE IF EXISTS x",
        "CREATE TABLE x (a int PRIMARY KEY)",
        "CREATE TABLE IF NOT EXISTS x (a int)",
        "CREATE TABLE x (a int REFERENCES t)",
        "CREATE TABLE x AS SELECT k AS a FROM t",
        "CREATE TABLE IF NOT EXISTS t (k int PRIMARY KEY, v int, w int)",
    ]);
    let policies = one_of(&[
        "CREATE POLICY p ON t USING (v < 2)",
        "CREATE POLICY p ON t TO reader USING (k = 1)",
        "ALTER POLICY p ON t USING (v > 0)",
        "DROP POLICY p ON t",
        "DROP POLICY IF EXISTS p ON t",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE t DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE t FORCE ROW LEVEL SECURITY",
        "SET ROLE reader",
        "RESET ROLE",
    ]);
    let anew = one_of(&[
        "ALTER TABLE t ALTER w TYPE bigint",
        "ALTER TABLE t ADD COLUMN z serial",
        "ALTER TABLE t ADD COLUMN z int GENERATED ALWAYS AS (v + 1) STORED",
        "ALTER TABLE t ADD COLUMN z int GENERATED BY DEFAULT AS IDENTITY",
    ]);
    prop_oneof![30 => columns, 20 => constraints(), 20 => wholes, 10 => policies, 5 => anew].boxed()
}

fn indexes() -> BoxedStrategy<String> {
    one_of(&[
        "CREATE INDEX ix ON t (w)",
        "CREATE INDEX IF NOT EXISTS ix ON t (v, w)",
        "CREATE UNIQUE INDEX ix ON t (w)",
        "CREATE UNIQUE INDEX ux ON t (v)",
        "CREATE UNIQUE INDEX ux ON t (v) WHERE v > 0",
        "CREATE UNIQUE INDEX ux ON t ((v + w))",
        "CREATE INDEX fx ON t (f(w))",
        "CREATE INDEX ON t (v)",
        "CREATE INDEX ux ON u (k)",
        "DROP INDEX ix",
        "DROP INDEX IF EXISTS ux",
        "DROP INDEX fx",
    ])
}

/// What leaves `t` itself as it is.
fn objects() -> BoxedStrategy<String> {
    let objects = one_of(&[
        "CREATE OR REPLACE FUNCTION f(x int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT x + 1'",
        "CREATE OR REPLACE FUNCTION f(x int) RETURNS int LANGUAGE plpgsql \
         AS 'BEGIN UPDATE t SET v = v + 1 WHERE k = x; RETURN x; END'",
        "CREATE FUNCTION g(x int) RETURNS int LANGUAGE sql AS 'SELECT f(x) + 1'",
        "CREATE FUNCTION g(low int) RETURNS int LANGUAGE plpgsql \
         AS 'BEGIN RETURN (SELECT max(v) FROM t WHERE k >= low); END'",
        "DROP FUNCTION IF EXISTS g(int)",
        "CREATE SEQUENCE p",
        "CREATE SEQUENCE IF NOT EXISTS p",
        // None whose numbers are asked for: a name is looked for anew after a wait.
        "CREATE SEQUENCE r",
        "DROP SEQUENCE r",
        "DROP SEQUENCE IF EXISTS r",
        "SELECT nextval('q')",
        "SELECT nextval('q')",
        "SELECT nextval('p')",
        "SELECT setval('q', 50)",
        "GRANT USAGE ON SEQUENCE q TO reader",
    ]);
    prop_oneof![3 => objects, 2 => lock()].boxed()
}

fn grants() -> BoxedStrategy<String> {
    one_of(&[
        "GRANT SELECT ON t TO reader",
        "GRANT SELECT, UPDATE ON t TO reader",
        "GRANT INSERT ON t, u TO reader",
        "GRANT ALL ON u TO reader",
        "REVOKE SELECT ON t FROM reader",
        "REVOKE ALL ON t, u FROM reader",
        "GRANT CREATE ON SCHEMA public TO reader",
        "REVOKE CREATE ON SCHEMA public FROM reader",
        "SET ROLE reader",
        "RESET ROLE",
    ])
}

fn set_up() -> Vec<String> {
    let mut set_up = tables("");
    set_up.extend(owned(&[
        "CREATE SEQUENCE q",
        "CREATE FUNCTION f(x int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT x'",
        "CREATE ROLE reader",
        "GRANT SELECT ON t TO reader",
    ]));
    set_up
}

fn theme(statement: BoxedStrategy<String>) -> BoxedStrategy<Script> {
    let theme = Theme {
        set_up: Just(set_up()).boxed(),
        first: Vec::new(),
        statement,
        // What the definitions let in tells what they are.
        contents: owned(&[
            "SELECT * FROM t",
            "SELECT * FROM u",
            "SELECT * FROM x",
            "INSERT INTO t (k) VALUES (50) RETURNING *",
            "INSERT INTO t (k, w) VALUES (51, 10), (52, 10) RETURNING *",
            "INSERT INTO t (k, v) VALUES (53, -1), (54, 5) RETURNING *",
            "INSERT INTO u VALUES (50, 1000) RETURNING *",
            "SELECT f(1)",
            "SELECT g(1)",
            "SELECT nextval('q'), nextval('p')",
            "CREATE INDEX ix ON u (k)",
            "CREATE INDEX ux ON u (k)",
        ]),
        tear_down: owned(&[
            "DROP TABLE IF EXISTS t, u, x CASCADE",
            "DROP FUNCTION IF EXISTS g(int)",
            "DROP FUNCTION IF EXISTS f(int)",
            "DROP SEQUENCE IF EXISTS p, q, r",
            "REVOKE ALL ON SCHEMA public FROM reader",
            "DROP ROLE reader",
        ]),
    };
    theme.scripts()
}

pub fn any() -> BoxedStrategy<Script> {
    let changing = || prop_oneof![8 => uses(), 8 => changes(), 2 => indexes(), 3 => objects()];
    let granting = prop_oneof![4 => uses(), 2 => objects(), 1 => indexes(), 3 => grants()];
    let both = prop_oneof![3 => changing(), 1 => grants()];
    prop_oneof![
        2 => theme(changing().boxed()),
        1 => theme(granting.boxed()),
        1 => theme(both.boxed()),
    ]
    .boxed()
}
