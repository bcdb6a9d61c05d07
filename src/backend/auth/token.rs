//! Access tokens: JWT, HS256 only, judged by the seam's clock. jsonwebtoken asks a process-wide
//! provider for its cryptography; ours is a constant, so that no run can change another's.
//! Must never accept an algorithm, issuer or audience that is not ours.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result as JwtResult};
use jsonwebtoken::signature::{Error as SignatureError, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

const ISSUER: &str = "seedbed";
const AUDIENCE: &str = "seedbed-gateway";

/// What a token says. Times are seconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub sub: String,
    pub tid: String,
    pub sid: String,
    pub roles: Vec<String>,
    pub ver: u32,
    pub jti: String,
    pub iss: String,
    pub aud: String,
    pub iat: u64,
    pub nbf: u64,
    pub exp: u64,
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("malformed or forged")]
    Invalid,
    #[error("expired")]
    Expired,
    #[error("not valid yet")]
    TooEarly,
}

/// Signs and verifies with one key.
#[derive(Clone)]
pub struct Tokens {
    signing: EncodingKey,
    verifying: DecodingKey,
    lives: Duration,
    leeway: Duration,
}

/// Whom a token is for.
#[derive(Clone, Debug)]
pub struct Subject {
    pub tenant: String,
    pub user: String,
    pub session: String,
    pub roles: Vec<String>,
}

impl Tokens {
    pub fn new(key: &[u8], lives: Duration, leeway: Duration) -> Tokens {
        // Refused when it is there already, which is what is wanted.
        let _ = PROVIDER.install_default();
        let (signing, verifying) = (EncodingKey::from_secret(key), DecodingKey::from_secret(key));
        Tokens { signing, verifying, lives, leeway }
    }

    pub fn issue(&self, subject: Subject, id: String, unix_ms: u64) -> (String, Claims) {
        let now = unix_ms / 1000;
        let claims = Claims {
            sub: subject.user,
            tid: subject.tenant,
            sid: subject.session,
            roles: subject.roles,
            ver: 1,
            jti: id,
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            iat: now,
            nbf: now,
            exp: now + self.lives.as_secs(),
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing);
        (token.expect("claims are plain JSON and the key is an HMAC key"), claims)
    }

    pub fn verify(&self, token: &str, unix_ms: u64) -> Result<Claims, TokenError> {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.validate_exp = false; // jsonwebtoken would ask the machine's clock
        rules.set_audience(&[AUDIENCE]);
        rules.set_issuer(&[ISSUER]);
        let data = jsonwebtoken::decode::<Claims>(token, &self.verifying, &rules);
        let claims = data.map_err(|_| TokenError::Invalid)?.claims;
        self.judge(&claims, unix_ms)?;
        Ok(claims)
    }

    fn judge(&self, claims: &Claims, unix_ms: u64) -> Result<(), TokenError> {
        let (now, leeway) = (unix_ms / 1000, self.leeway.as_secs());
        if now > claims.exp.saturating_add(leeway) {
            return Err(TokenError::Expired);
        }
        if claims.nbf.max(claims.iat) > now + leeway {
            return Err(TokenError::TooEarly);
        }
        Ok(())
    }
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| match algorithm {
        Algorithm::HS256 => Ok(Box::new(Hs256(mac(key.as_bytes())?))),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    },
    verifier_factory: |algorithm, key| match algorithm {
        Algorithm::HS256 => Ok(Box::new(Hs256(mac(key.try_get_as_bytes()?)?))),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    },
    key_utils: KeyUtils::new_unimplemented(),
};

fn mac(key: &[u8]) -> JwtResult<Hmac<Sha256>> {
    Hmac::new_from_slice(key).map_err(|_| ErrorKind::InvalidKeyFormat.into())
}

struct Hs256(Hmac<Sha256>);

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        let mut mac = self.0.clone();
        mac.update(message);
        Ok(mac.finalize().into_bytes().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        let mut mac = self.0.clone();
        mac.update(message);
        mac.verify_slice(signature).map_err(SignatureError::from_source)
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_700_000_000_000;

    fn tokens() -> Tokens {
        Tokens::new(b"key", Duration::from_mins(15), Duration::from_secs(30))
    }

    fn issue(tokens: &Tokens) -> String {
        let [tenant, user, session] = ["acme", "ana", "ses_1"].map(str::to_owned);
        let subject = Subject { tenant, user, session, roles: vec!["user".to_owned()] };
        tokens.issue(subject, "jti".to_owned(), NOW_MS).0
    }

    #[test]
    fn a_token_is_accepted_until_its_expiry_plus_the_leeway() {
        let (tokens, end_ms) = (tokens(), NOW_MS + 900_000);
        let token = issue(&tokens);
        assert_eq!(tokens.verify(&token, end_ms + 30_000).unwrap().sub, "ana");
        assert_eq!(tokens.verify(&token, end_ms + 31_000), Err(TokenError::Expired));
    }

    #[test]
    fn a_token_from_a_clock_ahead_of_ours_by_more_than_the_leeway_is_refused() {
        let tokens = tokens();
        let token = issue(&tokens);
        assert!(tokens.verify(&token, NOW_MS - 30_000).is_ok());
        assert_eq!(tokens.verify(&token, NOW_MS - 31_000), Err(TokenError::TooEarly));
    }

    #[test]
    fn a_token_of_another_key_is_refused() {
        let other = Tokens::new(b"other", Duration::from_mins(15), Duration::ZERO);
        assert_eq!(tokens().verify(&issue(&other), NOW_MS), Err(TokenError::Invalid));
    }

    #[test]
    fn a_token_without_a_signature_is_refused() {
        let token = issue(&tokens());
        let claims = token.split('.').nth(1).unwrap();
        // {"alg":"none"} and {"alg":"HS512"}
        for header in ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJIUzUxMiJ9"] {
            let forged = format!("{header}.{claims}.");
            assert_eq!(tokens().verify(&forged, NOW_MS), Err(TokenError::Invalid));
        }
    }
}
