//! Who a client is: a signed token, checked without asking anyone.

use chasqui_proto::Tenant;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::error::Error;

/// How far the clocks of an issuer and ours may differ, seconds.
const CLOCK_SKEW_SECS: u64 = 30;

/// The longest user id a token may carry, bytes.
const USER_LENGTH_MAX: usize = 128;

/// Whom a valid token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The user's id within the tenant.
    pub(crate) user: String,
    /// The tenant whose conversations the user may see.
    pub(crate) tenant: Tenant,
    /// The contact's number, for widgets: such a token opens that conversation and nothing else.
    pub(crate) phone: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    id: Option<Id>,
    sub: Option<Id>,
    tenant: Option<String>,
    phone: Option<String>,
}

/// Issuers write ids as text or as numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(i64),
}

/// Checks tokens of one issuer.
pub(crate) struct Authenticator {
    key: DecodingKey,
    validation: Validation,
    default_tenant: Tenant,
}

impl Authenticator {
    pub(crate) fn new(secret: &SecretString, default_tenant: Tenant) -> Self {
        // One algorithm only: a token must not choose how it is checked.
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = CLOCK_SKEW_SECS;
        // Issuers of front ends in use sign tokens that never expire; where `exp` stands, it holds.
        validation.required_spec_claims.clear();
        validation.validate_aud = false;
        let key = DecodingKey::from_secret(secret.expose_secret().as_bytes());
        Self { key, validation, default_tenant }
    }

    /// The identity a token proves.
    pub(crate) fn identify(&self, token: &str) -> Result<Identity, Error> {
        use jsonwebtoken::errors::ErrorKind;
        let claims =
            decode::<Claims>(token, &self.key, &self.validation).map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => Error::Unauthorized("the token has expired"),
                ErrorKind::InvalidSignature => Error::Unauthorized("the token's signature is wrong"),
                _ => Error::Unauthorized("the token is invalid"),
            })?;
        self.identity(claims.claims)
    }

    fn identity(&self, claims: Claims) -> Result<Identity, Error> {
        let user = match claims.id.or(claims.sub) {
            Some(Id::Text(user)) => user,
            Some(Id::Number(user)) => user.to_string(),
            None => return Err(Error::Unauthorized("the token names no user: it needs `id` or `sub`")),
        };
        if user.is_empty() || user.len() > USER_LENGTH_MAX {
            return Err(Error::Unauthorized("the token's user id must have 1 to 128 characters"));
        }
        let tenant = match claims.tenant {
            Some(name) => name.parse().map_err(|_| Error::Unauthorized("the token's tenant is invalid"))?,
            None => self.default_tenant.clone(),
        };
        Ok(Identity { user, tenant, phone: claims.phone })
    }
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}

impl Identity {
    /// A member of the tenant's staff: any user whose token is not bound to one contact.
    pub(crate) fn is_staff(&self) -> bool {
        self.phone.is_none()
    }
}

#[cfg(test)]
mod tests {
    use chasqui_kit::platform::TenantConfig;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "an-hs256-secret-of-32-bytes-here";

    fn sign(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
        encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    }

    fn authenticator() -> Authenticator {
        Authenticator::new(&SECRET.into(), TenantConfig::default().tenant())
    }

    #[test]
    fn ben_05_a_token_speaks_for_the_user_it_names() {
        let check = |claims: Value, user: &str, tenant: &str| {
            let identity = authenticator().identify(&sign(Algorithm::HS256, SECRET, &claims)).unwrap();
            assert_eq!((identity.user.as_str(), identity.tenant.as_str()), (user, tenant), "{claims}");
        };
        check(json!({ "id": "u1" }), "u1", "default");
        check(json!({ "id": 7, "sub": "other", "tenant": "acme" }), "7", "acme");
        check(json!({ "sub": "u2", "exp": 4_000_000_000_u64 }), "u2", "default");
    }

    #[test]
    fn a_token_that_proves_nothing_is_refused() {
        let good = json!({ "id": "u1" });
        for (token, why) in [
            (String::new(), "invalid"),
            ("a.b.c".to_owned(), "invalid"),
            (sign(Algorithm::HS256, "another-secret-that-is-32-bytes!", &good), "signature"),
            (sign(Algorithm::HS512, SECRET, &good), "invalid"),
            (sign(Algorithm::HS256, SECRET, &json!({ "id": "u1", "exp": 1_000_000_000 })), "expired"),
            (sign(Algorithm::HS256, SECRET, &json!({ "name": "u1" })), "names no user"),
            (sign(Algorithm::HS256, SECRET, &json!({ "id": "" })), "1 to 128"),
            (sign(Algorithm::HS256, SECRET, &json!({ "id": "u1", "tenant": "*" })), "tenant"),
        ] {
            let error = authenticator().identify(&token).unwrap_err().to_string();
            assert!(error.contains(why), "{error} should say {why}");
        }
    }
}
