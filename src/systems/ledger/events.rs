//! What the ledger, its users and its rows tell. Must never hold logic.

crate::events! {
    /// User, before it asks for a transfer or a deposit for the first time; `key` names the
    /// request for good.
    "ledger.asked" asked(user: &str, key: &str, what: &str);
    /// User, before it asks the same again, and why: no answer came, or it was `again`.
    "ledger.asked_again" asked_again(user: &str, key: &str, why: &str);
    /// User, after the answer arrived that ends the request: done or refused.
    "ledger.answered" answered(user: &str, key: &str, outcome: &str);
    /// Ledger, when a request's transaction is begun, once for each try.
    "ledger.tried" tried(key: &str);
    /// Database, when a transaction commits, once for each row it changed, before its client is
    /// told: an entry has `key`, `debit` (empty for a deposit), `credit` and `cents`, an account
    /// its name and balance. One that had a BEGIN and changed no row has one such event, with an
    /// empty `table`.
    "db.commit" db_commit(
        session: i64, table: &str, op: &str, key: &str, debit: &str, credit: &str, account: &str,
        cents: i64,
    );
}
