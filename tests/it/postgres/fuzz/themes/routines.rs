//! Functions that read, write and lock wherever they may be called, and policies that ask other
//! tables. Must never have a function tell what time or chance it is.

use proptest::prelude::*;
use proptest::sample::select;

use super::{Theme, one_of, owned};
use crate::postgres::fuzz::cases::{assignment, locking, plain, predicate, tables};
use crate::postgres::fuzz::joins::predicate_u;

/// The functions: what they are called, take and give, and what they do.
const FUNCTIONS: [(&str, &str); 14] = [
    (
        "bump(x int) RETURNS int LANGUAGE plpgsql",
        "DECLARE r int; BEGIN UPDATE t SET v = v + 1 WHERE k = x RETURNING v INTO r; RETURN r; END",
    ),
    (
        "put(x int) RETURNS int LANGUAGE plpgsql",
        "BEGIN INSERT INTO t VALUES (x, 0, x * 10); RETURN 1; \
         EXCEPTION WHEN unique_violation THEN UPDATE t SET v = v + 5 WHERE k = x; RETURN 2; END",
    ),
    (
        "grab(x int) RETURNS int LANGUAGE plpgsql",
        "DECLARE r int; BEGIN BEGIN UPDATE u SET n = n + 1 WHERE id = x; \
         SELECT v INTO r FROM t WHERE k = x FOR UPDATE NOWAIT; RETURN r; \
         EXCEPTION WHEN lock_not_available THEN RETURN -1; END; END",
    ),
    (
        "loops(x int) RETURNS int LANGUAGE plpgsql",
        "DECLARE i int := 0; BEGIN WHILE i < 2 LOOP i := i + 1; BEGIN \
         UPDATE t SET w = w + 1 WHERE k = x + i; \
         IF i = 1 THEN RAISE EXCEPTION ''lost''; END IF; \
         EXCEPTION WHEN raise_exception THEN NULL; END; END LOOP; RETURN i; END",
    ),
    (
        "any_way(x int) RETURNS int LANGUAGE plpgsql",
        "BEGIN UPDATE t SET k = x + 1, v = v + 1 WHERE k = x; RETURN 1; \
         EXCEPTION WHEN OTHERS THEN PERFORM 1 FROM t WHERE k = x FOR SHARE; RETURN 0; END",
    ),
    (
        "deep(x int) RETURNS int LANGUAGE plpgsql",
        "BEGIN IF x > 2 THEN RETURN bump(x); END IF; \
         UPDATE t SET v = v + 1 WHERE k = x; RETURN deep(x + 1); \
         EXCEPTION WHEN serialization_failure OR deadlock_detected THEN RETURN -x; END",
    ),
    (
        "alone(x int) RETURNS int LANGUAGE plpgsql",
        "BEGIN LOCK TABLE u IN SHARE ROW EXCLUSIVE MODE; RETURN (SELECT sum(n) FROM u) + x; END",
    ),
    (
        "swap(x int) RETURNS int LANGUAGE sql",
        "UPDATE t SET v = v + 1 WHERE k = x; DELETE FROM u WHERE k = x AND n > 2; \
         SELECT v FROM t WHERE k = x + 1 FOR NO KEY UPDATE",
    ),
    (
        "keyed(x int) RETURNS int LANGUAGE plpgsql",
        "BEGIN PERFORM pg_advisory_xact_lock(x); RETURN (SELECT max(v) FROM t); END",
    ),
    ("held(x int) RETURNS int LANGUAGE sql", "SELECT v FROM t WHERE k = x FOR UPDATE"),
    ("total() RETURNS bigint STABLE LANGUAGE sql", "SELECT sum(v) FROM t"),
    ("total_now() RETURNS bigint LANGUAGE plpgsql", "BEGIN RETURN (SELECT sum(v) FROM t); END"),
    (
        "few(x int) RETURNS bool LANGUAGE plpgsql",
        "BEGIN RETURN x IS NULL OR x <= (SELECT count(*) FROM t); END",
    ),
    ("next_id() RETURNS int LANGUAGE sql", "SELECT max(id) + 1 FROM u"),
];

fn called() -> BoxedStrategy<String> {
    let of_row = select(vec![
        "bump", "put", "grab", "loops", "any_way", "deep", "alone", "swap", "keyed", "held",
    ]);
    prop_oneof![
        4 => (of_row.clone(), 1..6).prop_map(|(call, k)| format!("SELECT {call}({k})")),
        2 => (of_row.clone(), predicate("")).prop_map(|(call, on)| format!(
            "SELECT k, {call}(k) FROM t WHERE {on} ORDER BY k"
        )),
        2 => (of_row.clone(), predicate("")).prop_map(|(call, on)| format!(
            "UPDATE t SET w = {call}(k + 1) WHERE {on} RETURNING *"
        )),
        1 => (of_row.clone(), predicate("")).prop_map(|(call, on)| format!(
            "UPDATE t SET w = {call}(k) WHERE {on} RETURNING *"
        )),
        2 => of_row.clone().prop_map(|call| format!("SELECT * FROM t WHERE {call}(k) >= 0")),
        // Not the row that is locked: what it is after a wait is asked twice here.
        1 => (of_row.clone(), locking()).prop_map(|(call, lock)| format!(
            "SELECT * FROM t WHERE {call}(k + 1) >= 0 {lock}"
        )),
        1 => of_row.clone().prop_map(|call| format!(
            "DELETE FROM t WHERE {call}(k + 1) >= 2 RETURNING *"
        )),
        2 => (of_row.clone(), predicate_u()).prop_map(|(call, on)| format!(
            "UPDATE u SET n = {call}(k) WHERE {on} RETURNING *"
        )),
        1 => (of_row, 5..8).prop_map(|(call, k)| format!(
            "INSERT INTO t VALUES ({k}, coalesce({call}(1), 0), 1) \
             ON CONFLICT (k) DO UPDATE SET v = {call}(2) RETURNING *"
        )),
        2 => (1..5, 0..7).prop_map(|(k, n)| format!(
            "INSERT INTO u (k, n) VALUES ({k}, {n}) RETURNING *"
        )),
    ]
    .boxed()
}

pub fn functions() -> Theme {
    let reads = one_of(&[
        "SELECT total(), total_now()",
        "SELECT bump(1), total(), total_now()",
        "SELECT held(1), held(2), total(), total_now()",
        "SELECT * FROM t WHERE v < total()",
        "SELECT * FROM t WHERE v <= total_now() FOR UPDATE",
        "UPDATE t SET v = total() WHERE k = 1 RETURNING *",
        "UPDATE t SET v = total_now() WHERE k <= 2 RETURNING *",
        "UPDATE u SET n = 3 RETURNING total_now()",
        "DELETE FROM t WHERE v >= total() AND k > 2 RETURNING total()",
        "SELECT sum(bump(k)), count(held(k)) FROM t",
    ]);
    let statement = prop_oneof![5 => called(), 2 => reads, 3 => plain()].boxed();
    let mut set_up = tables("");
    set_up.extend(FUNCTIONS.map(|(name, does)| format!("CREATE FUNCTION {name} AS '{does}'")));
    set_up.push("ALTER TABLE u ALTER id SET DEFAULT next_id()".to_owned());
    set_up.push("ALTER TABLE u ADD CHECK (few(n))".to_owned());
    let mut tear_down = owned(&["DROP TABLE t, u"]);
    let signature = |name: &'static str| name.split(" RETURNS").next().unwrap_or_default();
    tear_down.extend(FUNCTIONS.map(|(name, _)| format!("DROP FUNCTION {}", signature(name))));
    Theme {
        set_up: Just(set_up).boxed(),
        first: Vec::new(),
        statement,
        contents: owned(&["SELECT * FROM t", "SELECT * FROM u"]),
        tear_down,
    }
}

/// One or two policies of `t`.
fn policed() -> BoxedStrategy<Vec<String>> {
    let condition = || {
        one_of(&[
            "v < 3",
            "EXISTS (SELECT FROM u WHERE u.k = t.k)",
            "EXISTS (SELECT FROM u WHERE u.k = t.k AND u.n >= t.v)",
            "k IN (SELECT id FROM u WHERE n = 0)",
            "v <= (SELECT max(n) + 1 FROM u)",
            "w IS NOT NULL AND (SELECT count(*) FROM u) > 3",
            "true",
        ])
    };
    let to = select(vec!["", "", " FOR SELECT", " FOR UPDATE", " FOR INSERT", " FOR DELETE"]);
    let check = prop::option::weighted(0.4, condition());
    let policy = (to, condition(), check, any::<bool>()).prop_map(|(to, using, check, narrow)| {
        let kind = if narrow { " AS RESTRICTIVE" } else { "" };
        let using = if to == " FOR INSERT" { String::new() } else { format!(" USING ({using})") };
        let reads = to == " FOR SELECT" || to == " FOR DELETE";
        let check = check.filter(|_| !reads).map(|check| format!(" WITH CHECK ({check})"));
        let check = check.unwrap_or_default();
        format!("{kind}{to}{using}{check}")
    });
    let first = (condition(), prop::option::of(condition())).prop_map(|(using, check)| {
        let check = check.map(|check| format!(" WITH CHECK ({check})")).unwrap_or_default();
        format!("CREATE POLICY p ON t USING ({using}){check}")
    });
    (first, prop::option::of(policy))
        .prop_map(|(first, other)| {
            let mut set_up = tables("");
            set_up.extend(owned(&["CREATE ROLE guarded", "GRANT ALL ON t, u TO guarded"]));
            set_up.push("ALTER TABLE t ENABLE ROW LEVEL SECURITY".to_owned());
            set_up.push(first);
            set_up.extend(other.map(|other| format!("CREATE POLICY o ON t{other}")));
            set_up
        })
        .boxed()
}

pub fn policies() -> Theme {
    let statement = prop_oneof![
        4 => plain(),
        2 => (predicate(""), locking())
            .prop_map(|(on, lock)| format!("SELECT * FROM t WHERE {on} {lock}")),
        1 => predicate("").prop_map(|on| format!("SELECT * FROM t WHERE {on}")),
        2 => (assignment(), predicate(""))
            .prop_map(|(set, on)| format!("UPDATE t SET {set} WHERE {on}")),
        1 => predicate("").prop_map(|on| format!("DELETE FROM t WHERE {on}")),
        2 => (predicate_u(), 0..3).prop_map(|(on, n)| format!("UPDATE u SET n = {n} WHERE {on}")),
        1 => (1..5).prop_map(|k| format!(
            "UPDATE t SET v = t.v + u.n + 1 FROM u WHERE u.k = t.k AND t.k = {k} RETURNING t.*"
        )),
        1 => one_of(&["SET ROLE guarded", "RESET ROLE", "SELECT count(*) FROM t"]),
        2 => one_of(&[
            "CREATE POLICY n ON t AS RESTRICTIVE USING (v < 2)",
            "CREATE POLICY n ON t FOR UPDATE USING (k IN (SELECT k FROM u)) WITH CHECK (v < 9)",
            "ALTER POLICY p ON t USING (v >= 0)",
            "ALTER POLICY p ON t TO guarded WITH CHECK (v <= (SELECT count(*) FROM u))",
            "DROP POLICY p ON t",
            "DROP POLICY IF EXISTS n ON t",
            "ALTER TABLE t DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE t FORCE ROW LEVEL SECURITY",
            "REVOKE SELECT ON u FROM guarded",
            "REVOKE INSERT ON u FROM guarded",
            "GRANT ALL ON u TO guarded",
        ]),
    ]
    .boxed();
    Theme {
        set_up: policed(),
        first: vec![(1, "SET ROLE guarded".to_owned())],
        statement,
        contents: owned(&["SELECT * FROM t", "SELECT * FROM u"]),
        tear_down: owned(&["DROP TABLE t, u", "DROP ROLE guarded"]),
    }
}
