//! Users: who may log in, and with what. Must never return a password.

use super::error::TransactionError;
use super::pool::Pool;
use super::transaction::params;
use super::{sql, transaction};
use crate::env::Env;

/// What a login is judged by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub password_hash: String,
    pub roles: Vec<String>,
}

pub async fn get<E: Env>(
    pool: &Pool<E>,
    tenant: &str,
    user: &str,
) -> Result<Option<Stored>, TransactionError> {
    let rows = pool.query("user.get", sql::USER_GET, params![tenant, user]).await?;
    Ok(rows.first().map(|row| {
        let roles: String = row.get(1);
        let roles = roles.split(',').filter(|role| !role.is_empty()).map(str::to_owned).collect();
        Stored { password_hash: row.get(0), roles }
    }))
}

/// Creates the user unless he exists.
pub async fn create<E: Env>(
    pool: &Pool<E>,
    tenant: &str,
    user: &str,
    stored: &Stored,
) -> Result<(), TransactionError> {
    let now = i64::try_from(pool.env().unix_ms()).unwrap_or(i64::MAX);
    let roles = stored.roles.join(",");
    let tx = pool.session().await?;
    let params = params![tenant, user, &stored.password_hash, &roles, now];
    tx.execute("user.create", sql::USER_CREATE, params).await?;
    transaction::release(tx).await;
    Ok(())
}
