//! Forward-only migrations, embedded, one transaction each, under an advisory lock so that nodes
//! that start together do not race. Must never change a migration that has shipped.

use super::error::TransactionError;
use super::pool::Pool;
use super::transaction::params;
use super::{sql, transaction};
use crate::env::Env;

const MIGRATIONS: &[(i64, &str)] = &[(1, include_str!("schema.sql"))];

/// Brings the schema up to the newest version.
pub async fn migrate<E: Env>(pool: &Pool<E>) -> Result<(), TransactionError> {
    let tx = pool.session().await?;
    tx.batch("migrations.lock", sql::MIGRATIONS_LOCK).await?;
    tx.batch("migrations.table", sql::MIGRATIONS_TABLE).await?;
    let rows = tx.query("migrations.done", sql::MIGRATIONS_DONE, &[]).await?;
    let done: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    for (version, statements) in MIGRATIONS.iter().filter(|(version, _)| !done.contains(version)) {
        tx.batch("begin", sql::BEGIN).await?;
        tx.batch("migration", statements).await?;
        let now = i64::try_from(pool.env().unix_ms()).unwrap_or(i64::MAX);
        tx.execute("migration.record", sql::MIGRATION_RECORD, params![*version, now]).await?;
        tx.batch("migration.commit", sql::COMMIT).await?;
    }
    tx.batch("migrations.unlock", sql::MIGRATIONS_UNLOCK).await?;
    transaction::release(tx).await;
    Ok(())
}
