//! What the database tells of every system: transactions, lock waits, injected faults. The event
//! `db.commit` is the system's own, for it tells rows. Must never hold logic.

crate::events! {
    /// Database, after BEGIN: from here on the session is in a transaction. A statement outside
    /// of one is a transaction by itself, and has no event of this name.
    "db.begin" db_begin(session: i64, isolation: &str);
    /// Database, before a statement runs that neither begins nor ends a transaction; the beginning
    /// of its text, and of a script only the first.
    "db.statement" db_statement(session: i64, text: &str);
    /// Database, when a session begins to wait for a lock: on what, for the sake of which row (by
    /// its primary key); `holders` are the process numbers of those that stand in its way, with
    /// commas between.
    "db.waits" db_waits(waiter: i64, holders: &str, lock: &str, table: &str, row: &str);
    /// Database, when a session that waited has its lock.
    "db.granted" db_granted(waiter: i64);
    /// Database, when a deadlock is found: the session that ends for it, and all in the cycle,
    /// each waiting for the next and the last for the first.
    "db.deadlock" db_deadlock(victim: i64, cycle: &str);
    /// Database, when REPEATABLE READ refuses a statement (40001): since the transaction began,
    /// somebody else has changed a row of this table.
    "db.conflict" db_conflict(session: i64, table: &str);
    /// Database, before what a transaction did is taken back and its locks are given up; `reason`
    /// is rollback, error, deadlock or lost connection. With `savepoint` it is only what it did
    /// since its last one.
    "db.abort" db_abort(session: i64, reason: &str, sqlstate: &str, savepoint: bool);
    /// Database, when it starts again, for each session that the crash ended in a transaction.
    "db.crash" db_crash(session: i64);
    /// Database, when an injected fault happens: its word, and the SQLSTATE if there is one;
    /// `session` is 0 where there is none yet.
    "db.struck" db_struck(host: &str, session: i64, fault: &str, sqlstate: &str);
}
