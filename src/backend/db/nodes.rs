//! Lives of a node: a run is accepted only by the life that is current, so that a commit which a
//! dead process left in flight cannot bring forth a run that nobody works on.
//! Must never be begun but at start-up.

use super::error::{Class, TransactionError};
use super::pool::Pool;
use super::sql;
use super::transaction::{Tx, params, release};
use crate::env::Env;

/// Begins the next life of `node`, and ends those before it.
pub async fn begin<E: Env>(pool: &Pool<E>, node: &str) -> Result<i64, TransactionError> {
    let tx = pool.session().await?;
    tx.execute("node.create", sql::NODE_CREATE, params![node]).await?;
    let rows = tx.query("node.last", sql::NODE_LAST, params![node]).await?;
    let last: i64 = rows.first().map_or(0, |row| row.get(0));
    let rows = tx.query("node.begin", sql::NODE_BEGIN, params![node, last]).await?;
    release(tx).await;
    let why = "another life of this node has begun meanwhile";
    let overtaken = || TransactionError::new("node.begin", Class::Other, why);
    rows.first().map(|row| row.get(0)).ok_or_else(overtaken)
}

/// Fails unless `life` is current; it stays so until the transaction has ended.
pub async fn check<E: Env>(tx: &Tx<E>, node: &str, life: i64) -> Result<(), TransactionError> {
    let rows = tx.query("node.life", sql::NODE_LIFE, params![node]).await?;
    if rows.first().is_some_and(|row| row.get::<_, i64>(0) == life) {
        return Ok(());
    }
    let why = "a later life of this node has begun";
    Err(TransactionError::new("node.life", Class::Other, why))
}
