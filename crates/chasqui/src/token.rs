//! Signing tokens of front ends, for development and for operators.

use anyhow::Context;
use chasqui_kit::clock;
use chasqui_proto::Tenant;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::cli::Token;

/// What the token says. The edge reads the same names.
#[derive(Serialize)]
struct Claims<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    /// Unix seconds.
    iat: i64,
    /// Unix seconds.
    exp: i64,
}

/// A signed token.
pub(crate) fn sign(secret: &SecretString, token: &Token) -> anyhow::Result<String> {
    if let Some(tenant) = &token.tenant {
        tenant.parse::<Tenant>()?;
    }
    let now = clock::now_ms() / 1_000;
    let claims = Claims {
        id: &token.user,
        tenant: token.tenant.as_deref(),
        phone: token.phone.as_deref(),
        role: token.staff.then_some("staff"),
        iat: now,
        exp: now + i64::from(token.hours) * 3_600,
    };
    let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
    encode(&Header::new(Algorithm::HS256), &claims, &key).context("the token could not be signed")
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation, decode};
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_token_says_who_and_until_when() {
        let token =
            Token { user: "u1".into(), tenant: Some("acme".into()), phone: None, staff: true, hours: 2 };
        let text = sign(&"secret".into(), &token).unwrap();
        let claims =
            decode::<Value>(&text, &DecodingKey::from_secret(b"secret"), &Validation::new(Algorithm::HS256))
                .unwrap()
                .claims;
        assert_eq!((&claims["id"], &claims["tenant"]), (&"u1".into(), &"acme".into()));
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 7_200);
        assert_eq!(claims["role"], "staff");
        assert!(claims.get("phone").is_none());
    }

    #[test]
    fn a_tenant_that_cannot_exist_is_refused() {
        let token =
            Token { user: "u1".into(), tenant: Some("*".into()), phone: None, staff: false, hours: 1 };
        assert!(sign(&"secret".into(), &token).is_err());
    }
}
