//! What lets a socket in.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use jsonwebtoken::{EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

/// How long a token that the bench signs is valid, seconds: longer than any run.
const TOKEN_LIFE_SECS: u64 = 24 * 3600;

/// What lets the sockets in.
#[derive(Clone, Debug)]
pub enum Credential {
    /// One token for every staff socket; widgets come without. A deployment that limits the sockets of a user lets
    /// only few in this way.
    Token(SecretString),
    /// The secret that tokens are signed with: every socket comes as a user of its own, widgets with their phone number.
    Secret(SecretString),
}

impl Credential {
    /// The token of the `number`th member of the staff.
    pub(crate) fn of_staff(&self, number: u32) -> anyhow::Result<String> {
        match self {
            Self::Token(token) => Ok(token.expose_secret().to_owned()),
            Self::Secret(secret) => {
                signed(secret, json!({ "sub": format!("bench-{number}"), "role": "staff" }))
            }
        }
    }

    /// The token of a contact, where there is one.
    pub(crate) fn of_contact(&self, phone: &str) -> anyhow::Result<Option<String>> {
        match self {
            Self::Token(_) => Ok(None),
            Self::Secret(secret) => signed(secret, json!({ "sub": phone, "phone": phone })).map(Some),
        }
    }
}

fn signed(secret: &SecretString, mut claims: Value) -> anyhow::Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?.as_secs();
    claims["exp"] = json!(now + TOKEN_LIFE_SECS);
    let key = EncodingKey::from_secret(secret.expose_secret().as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key).context("a token could not be signed")
}
