//! Checks tokens, with the keys of the configuration and those their issuer publishes.

use chasqui_proto::Tenant;
use jsonwebtoken::{decode, decode_header, errors::ErrorKind};
use tokio_util::sync::CancellationToken;

use crate::{
    Error, Identity, TokenSettings,
    claims::Claims,
    jwks::Jwks,
    key::{Key, read_pem},
};

/// The longest token that is looked at, bytes: headers are bounded, frames are larger.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Checks tokens.
pub struct Authenticator {
    keys: Vec<Key>,
    jwks: Option<Jwks>,
    default_tenant: Tenant,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}

impl Authenticator {
    /// With the keys of a checked configuration.
    pub fn new(settings: &TokenSettings, default_tenant: Tenant) -> Self {
        let rules = &settings.rules;
        let secret = settings.secret.iter().map(|secret| Key::of_secret(secret, rules));
        let public = settings.public_keys.iter();
        let public = public.filter_map(|setting| Key::of_pem(&read_pem(setting).ok()?, rules));
        let keys = secret.chain(public).collect();
        let jwks = settings.jwks_url.clone().map(|url| Jwks::new(url, rules.clone()));
        Self { keys, jwks, default_tenant }
    }

    /// Keeps the issuer's keys fresh until stopped.
    pub async fn run(&self, stop: CancellationToken) {
        if let Some(jwks) = &self.jwks {
            jwks.run(stop).await;
        }
    }

    /// The identity a token proves.
    pub async fn identify(&self, token: &str) -> Result<Identity, Error> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Error::Unauthorized("the token is longer than 16 KiB"));
        }
        self.claims(token).await?.identity(&self.default_tenant)
    }

    async fn claims(&self, token: &str) -> Result<Claims, Error> {
        let header = decode_header(token).map_err(|_| Error::Unauthorized("the token is invalid"))?;
        let mut refusal = None;
        for key in self.keys.iter().filter(|key| key.fits(&header)) {
            match check(token, key) {
                Ok(claims) => return Ok(claims),
                Err(error) => refusal = Some(error),
            }
        }
        if let Some(jwks) = &self.jwks {
            for key in jwks.keys_for(&header).await?.iter().filter(|key| key.fits(&header)) {
                match check(token, key) {
                    Ok(claims) => return Ok(claims),
                    Err(error) => refusal = Some(error),
                }
            }
        }
        Err(refusal
            .unwrap_or(Error::Unauthorized("the token is invalid: no key of ours checks its algorithm")))
    }
}

fn check(token: &str, key: &Key) -> Result<Claims, Error> {
    decode::<Claims>(token, &key.decoding, &key.validation).map(|token| token.claims).map_err(|error| {
        Error::Unauthorized(match error.kind() {
            ErrorKind::ExpiredSignature => "the token has expired",
            ErrorKind::ImmatureSignature => "the token is not valid yet",
            ErrorKind::InvalidSignature => "the token's signature is wrong",
            ErrorKind::InvalidIssuer => "the token's issuer is not the one expected",
            ErrorKind::InvalidAudience => "the token is for another audience",
            ErrorKind::MissingRequiredClaim(_) => "the token lacks `iss` or `aud`",
            _ => "the token is invalid",
        })
    })
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "an-hs256-secret-of-32-bytes-here";

    fn sign(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
        encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    }

    fn authenticator(change: impl FnOnce(&mut TokenSettings)) -> Authenticator {
        let mut settings = TokenSettings { secret: Some(SECRET.into()), ..TokenSettings::default() };
        change(&mut settings);
        Authenticator::new(&settings, "default".parse().unwrap())
    }

    #[tokio::test]
    async fn ben_05_a_token_speaks_for_the_user_it_names() {
        let check = async |claims: Value, user: &str, tenant: &str| {
            let token = sign(Algorithm::HS256, SECRET, &claims);
            let identity = authenticator(|_| {}).identify(&token).await.unwrap();
            assert_eq!((identity.user.as_str(), identity.tenant.as_str()), (user, tenant), "{claims}");
        };
        check(json!({ "id": "u1" }), "u1", "default").await;
        check(json!({ "id": 7, "sub": "other", "tenant": "acme" }), "7", "acme").await;
        check(json!({ "sub": "u2", "exp": 4_000_000_000_u64 }), "u2", "default").await;
    }

    #[tokio::test]
    async fn a_token_that_proves_nothing_is_refused() {
        let good = json!({ "id": "u1" });
        for (token, why) in [
            (String::new(), "invalid"),
            ("a.b.c".to_owned(), "invalid"),
            ("x".repeat(20_000), "16 KiB"),
            (sign(Algorithm::HS256, "another-secret-that-is-32-bytes!", &good), "signature"),
            (sign(Algorithm::HS512, SECRET, &good), "invalid"),
            (sign(Algorithm::HS256, SECRET, &json!({ "id": "u1", "exp": 1_000_000_000 })), "expired"),
            (
                sign(Algorithm::HS256, SECRET, &json!({ "id": "u1", "nbf": 4_000_000_000_u64 })),
                "not valid yet",
            ),
            (sign(Algorithm::HS256, SECRET, &json!({ "name": "u1" })), "names no user"),
            (sign(Algorithm::HS256, SECRET, &json!({ "id": "" })), "1 to 128"),
            (sign(Algorithm::HS256, SECRET, &json!({ "id": " " })), "1 to 128"),
            (sign(Algorithm::HS256, SECRET, &json!({ "id": "u1", "tenant": "*" })), "tenant"),
        ] {
            let error = authenticator(|_| {}).identify(&token).await.unwrap_err().to_string();
            assert!(error.contains(why), "{error} should say {why}");
        }
    }

    #[tokio::test]
    async fn a_public_key_is_no_secret_that_a_token_may_be_signed_with() {
        for (algorithm, kind) in [
            (Algorithm::RS256, &PKCS_RSA_SHA256),
            (Algorithm::PS512, &PKCS_RSA_SHA256),
            (Algorithm::ES256, &PKCS_ECDSA_P256_SHA256),
            (Algorithm::EdDSA, &PKCS_ED25519),
        ] {
            let pair = KeyPair::generate_for(kind).unwrap();
            let (private, public) = (pair.serialize_pem(), pair.public_key_pem());
            let authenticator = authenticator(|settings| {
                settings.secret = None;
                settings.public_keys = vec![public.clone()];
            });
            let key = match algorithm {
                Algorithm::ES256 => EncodingKey::from_ec_pem(private.as_bytes()),
                Algorithm::EdDSA => EncodingKey::from_ed_pem(private.as_bytes()),
                _ => EncodingKey::from_rsa_pem(private.as_bytes()),
            };
            let claims = json!({ "id": "u1" });
            let token = encode(&Header::new(algorithm), &claims, &key.unwrap()).unwrap();
            assert_eq!(authenticator.identify(&token).await.unwrap().user, "u1", "{algorithm:?}");
            for forged in [sign(Algorithm::HS256, &public, &claims), sign(Algorithm::HS256, SECRET, &claims)]
            {
                let error = authenticator.identify(&forged).await.unwrap_err().to_string();
                assert!(error.contains("no key of ours"), "{algorithm:?}: {error}");
            }
        }
    }

    #[tokio::test]
    async fn issuer_and_audience_are_asked_for_when_they_are_configured() {
        let authenticator = authenticator(|settings| {
            settings.rules.issuer = Some("https://id.example.org".to_owned());
            settings.rules.audience = Some("chat".to_owned());
        });
        let check = async |claims: Value, why: &str| {
            let error = authenticator.identify(&sign(Algorithm::HS256, SECRET, &claims)).await.unwrap_err();
            assert!(error.to_string().contains(why), "{error} should say {why}");
        };
        let issuer = "https://id.example.org";
        check(json!({ "id": "u1" }), "lacks").await;
        check(json!({ "id": "u1", "iss": issuer }), "lacks").await;
        check(json!({ "id": "u1", "iss": "other", "aud": "chat" }), "issuer").await;
        check(json!({ "id": "u1", "iss": issuer, "aud": ["other"] }), "audience").await;
        let good = sign(Algorithm::HS256, SECRET, &json!({ "id": "u1", "iss": issuer, "aud": ["chat"] }));
        assert_eq!(authenticator.identify(&good).await.unwrap().user, "u1");
    }
}
