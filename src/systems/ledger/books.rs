//! What a request does to the books, as one transaction that may be run again as a whole.
//! Must never write an entry without its balances.

use super::events;
use crate::backend::db::{Class, Decide, Param, Pool, TransactionError, Tx, Work};
use crate::env::Env;

const ACCOUNTS: &str = "CREATE TABLE IF NOT EXISTS accounts \
     (account TEXT PRIMARY KEY, cents BIGINT NOT NULL)";
const ENTRIES: &str = "CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, \
     debit TEXT NOT NULL, credit TEXT NOT NULL, cents BIGINT NOT NULL)";
const OPEN: &str = "INSERT INTO accounts (account, cents) VALUES ($1, $2) \
     ON CONFLICT (account) DO NOTHING";

/// Waits for a transaction that has the key and has not ended.
const CLAIM: &str = "INSERT INTO entries (key, debit, credit, cents) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (key) DO NOTHING RETURNING key";
const LOCK: &str = "SELECT cents FROM accounts WHERE account = $1 FOR UPDATE";
const READ: &str = "SELECT cents FROM accounts WHERE account = $1";
const WRITE: &str = "UPDATE accounts SET cents = $2 WHERE account = $1";
const WEAK: &str = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Booked, now or by an earlier try.
    Done,
    /// There is not that much money, or no such account.
    Refused,
}

/// A request by its key, which is booked once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub key: String,
    /// Who pays; `None` for a deposit.
    pub from: Option<String>,
    pub to: String,
    pub cents: i64,
    /// The plant: whether a deposit runs at READ COMMITTED.
    pub weak: bool,
}

impl<E: Env> Work<E> for Request {
    type Out = Outcome;

    fn name(&self) -> &'static str {
        if self.from.is_some() { "transfer" } else { "deposit" }
    }

    async fn run(&self, tx: &Tx<E>) -> Result<Decide<Outcome>, TransactionError> {
        events::tried(&self.key);
        if self.weak && self.from.is_none() {
            tx.batch("isolation", WEAK).await?;
        }
        let (debit, credit) = (self.from.as_deref().unwrap_or(""), self.to.as_str());
        let claim: [Param<'_>; 4] =
            [self.key.as_str().into(), debit.into(), credit.into(), self.cents.into()];
        if tx.query("claim", CLAIM, &claim).await?.is_empty() {
            return Ok(Decide::Rollback(Outcome::Done));
        }
        let booked = match &self.from {
            Some(from) => transfer(tx, from, &self.to, self.cents).await?,
            None => deposit(tx, &self.to, self.cents).await?,
        };
        Ok(if booked { Decide::Commit(Outcome::Done) } else { Decide::Rollback(Outcome::Refused) })
    }
}

/// Locks both accounts in the order of the request: two that go opposite ways may deadlock.
async fn transfer<E: Env>(
    tx: &Tx<E>,
    from: &str,
    to: &str,
    cents: i64,
) -> Result<bool, TransactionError> {
    let (Some(paying), Some(_)) = (balance(tx, LOCK, from).await?, balance(tx, LOCK, to).await?)
    else {
        return Ok(false);
    };
    if paying < cents {
        return Ok(false);
    }
    write(tx, from, paying - cents).await?;
    // Read again: it may be the same account.
    let paid = balance(tx, READ, to).await?.unwrap_or(0);
    write(tx, to, paid + cents).await?;
    Ok(true)
}

/// Between the read and the write others deposit: REPEATABLE READ refuses the write then.
async fn deposit<E: Env>(tx: &Tx<E>, to: &str, cents: i64) -> Result<bool, TransactionError> {
    let Some(held) = balance(tx, READ, to).await? else { return Ok(false) };
    write(tx, to, held + cents).await?;
    Ok(true)
}

async fn balance<E: Env>(
    tx: &Tx<E>,
    sql: &str,
    account: &str,
) -> Result<Option<i64>, TransactionError> {
    let rows = tx.query("balance", sql, &[account.into()]).await?;
    Ok(rows.first().map(|row| row.get(0)))
}

async fn write<E: Env>(tx: &Tx<E>, account: &str, cents: i64) -> Result<(), TransactionError> {
    match tx.execute("write", WRITE, &[account.into(), cents.into()]).await? {
        1 => Ok(()),
        _ => Err(TransactionError::new("write", Class::Other, "the account is gone")),
    }
}

/// New books, or those that are there.
struct Opening<'a> {
    accounts: &'a [String],
    cents: i64,
}

impl<E: Env> Work<E> for Opening<'_> {
    type Out = ();

    fn name(&self) -> &'static str {
        "open"
    }

    async fn run(&self, tx: &Tx<E>) -> Result<Decide<()>, TransactionError> {
        tx.batch("accounts", ACCOUNTS).await?;
        tx.batch("entries", ENTRIES).await?;
        for account in self.accounts {
            tx.execute("account", OPEN, &[account.into(), self.cents.into()]).await?;
        }
        Ok(Decide::Commit(()))
    }
}

/// Opens the accounts that are not there yet.
pub async fn open<E: Env>(
    pool: &Pool<E>,
    accounts: &[String],
    cents: i64,
) -> Result<(), TransactionError> {
    pool.transact(&Opening { accounts, cents }).await
}
