//! Password hashes: argon2id, as `$argon2id$m=…,t=…,p=…$salt$hash` with hex parts, so that a
//! change of cost leaves old hashes valid. Must never run on a task that others wait for.

use argon2::{Algorithm, Argon2, Params, Version};

use super::super::config::PasswordCost;
use super::super::ids::{hex, unhex};
use crate::env::{Entropy, Env};

const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// The cost is outside what argon2 allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("password cost is out of range")]
pub struct BadCost;

/// Hashes with a fresh salt.
pub async fn hash<E: Env>(env: &E, cost: PasswordCost, password: &str) -> Result<String, BadCost> {
    let mut salt = [0; SALT_BYTES];
    Entropy::fill(env, &mut salt);
    let password = password.to_owned();
    env.blocking(move || {
        let digest = digest(cost, &password, &salt)?;
        let PasswordCost { memory_kib: m, passes: t, lanes: p } = cost;
        Ok(format!("$argon2id$m={m},t={t},p={p}${}${}", hex(&salt), hex(&digest)))
    })
    .await
}

/// Whether `password` made `stored`; a malformed `stored` matches nothing.
pub async fn verify<E: Env>(env: &E, stored: &str, password: &str) -> bool {
    let (stored, password) = (stored.to_owned(), password.to_owned());
    env.blocking(move || {
        let Some((cost, salt, expected)) = parse(&stored) else { return false };
        digest(cost, &password, &salt).is_ok_and(|found| equal(&found, &expected))
    })
    .await
}

fn digest(cost: PasswordCost, password: &str, salt: &[u8]) -> Result<[u8; HASH_BYTES], BadCost> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(HASH_BYTES));
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.map_err(|_| BadCost)?);
    let mut out = [0; HASH_BYTES];
    argon2.hash_password_into(password.as_bytes(), salt, &mut out).map_err(|_| BadCost)?;
    Ok(out)
}

fn parse(stored: &str) -> Option<(PasswordCost, Vec<u8>, Vec<u8>)> {
    let mut parts = stored.strip_prefix("$argon2id$")?.split('$');
    let (cost, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
    let mut numbers = cost.split(',').map(|part| part.get(2..)?.parse::<u32>().ok());
    let (memory_kib, passes, lanes) = (numbers.next()??, numbers.next()??, numbers.next()??);
    Some((PasswordCost { memory_kib, passes, lanes }, unhex(salt)?, unhex(hash)?))
}

/// Compares in a time that does not tell where the first difference is.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (x, y)| all | (x ^ y)) == 0
}
