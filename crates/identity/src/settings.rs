//! What tokens are checked by.

use reqwest::Url;
use secrecy::SecretString;

/// What every token must say, whichever key signed it.
#[derive(Debug, Clone, Default)]
pub struct TokenRules {
    /// The claim `iss`.
    pub issuer: Option<String>,
    /// One of the claim `aud`.
    pub audience: Option<String>,
}

/// The keys of a checked configuration, and what is asked of the tokens they signed.
#[derive(Debug, Clone, Default)]
pub struct TokenSettings {
    /// The secret of HS256.
    pub secret: Option<SecretString>,
    /// Public keys: PEM text, or files of it.
    pub public_keys: Vec<String>,
    /// Where the issuer publishes its keys.
    pub jwks_url: Option<Url>,
    /// What every token must say.
    pub rules: TokenRules,
    /// Whether every user of a tenant is staff, whatever the token and the directory say.
    pub users_are_staff: bool,
}

impl TokenSettings {
    /// Whether there is any key that a token could be checked with.
    pub fn has_keys(&self) -> bool {
        self.secret.is_some() || !self.public_keys.is_empty() || self.jwks_url.is_some()
    }
}
