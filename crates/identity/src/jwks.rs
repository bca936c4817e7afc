//! The keys that an issuer publishes (RFC 7517): fetched, kept, and fetched again when a token names an unknown one.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use jsonwebtoken::{Header, jwk::Jwk};
use reqwest::{Client, Url, redirect::Policy};
use serde::Deserialize;
use serde_json::Value;
use tokio::{sync::Mutex, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{Error, TokenRules, key::Key};

/// How long a fetch may take.
const FETCH_WAIT: Duration = Duration::from_secs(5);
/// The most bytes of a set; those of large issuers have a tenth.
const SET_BYTES_MAX: usize = 256 * 1024;
/// The most keys of a set that are kept.
const KEYS_MAX: usize = 64;
/// How often the set is fetched when nothing asks for it: how soon a withdrawn key is forgotten.
const REFRESH_INTERVAL: Duration = Duration::from_mins(10);
/// The least time between two fetches, whatever tokens name.
const FETCH_PAUSE: Duration = Duration::from_secs(2);

/// A set of keys.
#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// Why a set could not be had.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("the set has more than {SET_BYTES_MAX} bytes")]
    TooLarge,
    #[error("no JSON Web Key Set: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("the set holds no key that checks signatures")]
    Empty,
}

/// The issuer's keys as this node knows them.
pub(crate) struct Jwks {
    url: Url,
    rules: TokenRules,
    client: Client,
    /// Empty until the first fetch; after it never again, whether the issuer is there or not.
    keys: RwLock<Arc<[Key]>>,
    /// When the issuer was asked last. Whoever holds it is asking.
    asked: Mutex<Option<Instant>>,
}

impl Jwks {
    pub(crate) fn new(url: Url, rules: TokenRules) -> Self {
        let client = Client::builder()
            .timeout(FETCH_WAIT)
            // The configuration names the place; nobody else may name another.
            .redirect(Policy::none())
            .build()
            .expect("nothing in these settings can fail");
        Self { url, rules, client, keys: RwLock::default(), asked: Mutex::default() }
    }

    /// Fetches the set now and then, until stopped.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(REFRESH_INTERVAL);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.refresh().await;
        }
    }

    /// The keys to check a token with, fetched first when none of them is the one it names.
    pub(crate) async fn keys_for(&self, header: &Header) -> Result<Arc<[Key]>, Error> {
        let known = self.keys();
        let named = |keys: &[Key]| keys.iter().any(|key| header.kid.is_none() || key.id == header.kid);
        if named(&known) {
            return Ok(known);
        }
        self.refresh().await;
        let keys = self.keys();
        if keys.is_empty() { Err(Error::KeysAway) } else { Ok(keys) }
    }

    fn keys(&self) -> Arc<[Key]> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the issuer, unless it was asked just now.
    async fn refresh(&self) {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|asked| asked.elapsed() < FETCH_PAUSE) {
            return;
        }
        let fetched = self.fetch().await;
        *asked = Some(Instant::now());
        let result = if fetched.is_ok() { "ok" } else { "failed" };
        metrics::counter!("chasqui_jwks_fetches_total", "result" => result).increment(1);
        match fetched {
            Ok(keys) => *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys,
            Err(error) => tracing::warn!(%error, "the issuer's keys cannot be fetched; the known ones go on"),
        }
    }

    async fn fetch(&self) -> Result<Arc<[Key]>, FetchError> {
        let mut response = self.client.get(self.url.clone()).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > SET_BYTES_MAX {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let keys = read(&body, &self.rules)?;
        if keys.is_empty() { Err(FetchError::Empty) } else { Ok(keys) }
    }
}

/// The keys of a set that can be used; others, of kinds that are not known here, are passed over.
fn read(body: &[u8], rules: &TokenRules) -> Result<Arc<[Key]>, serde_json::Error> {
    let set: Set = serde_json::from_slice(body)?;
    let keys = set.keys.into_iter().take(KEYS_MAX).filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    Ok(keys.filter_map(|key| Key::of_jwk(&key, rules)).collect())
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::Algorithm;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_that_check_nothing_are_passed_over() {
        let set = json!({ "keys": [
            { "kty": "oct", "kid": "secret", "k": "c2VjcmV0", "alg": "HS256" },
            { "kty": "RSA", "kid": "encrypts", "n": "AQAB", "e": "AQAB", "use": "enc" },
            { "kty": "RSA", "kid": "says otherwise", "n": "AQAB", "e": "AQAB", "alg": "HS256" },
            { "kty": "future", "kid": "unknown" },
            { "kty": "RSA", "kid": "one way", "n": "AQAB", "e": "AQAB", "alg": "RS512" },
            { "kty": "OKP", "crv": "Ed25519", "kid": "edwards", "x": "AQAB" },
            7,
        ] });
        let keys = read(set.to_string().as_bytes(), &TokenRules::default()).unwrap();
        let known: Vec<_> =
            keys.iter().map(|key| (key.id.as_deref().unwrap(), &key.validation.algorithms[..])).collect();
        assert_eq!(known, [("one way", &[Algorithm::RS512][..]), ("edwards", &[Algorithm::EdDSA][..])]);
    }

    proptest! {
        #[test]
        fn no_answer_of_an_issuer_makes_it_panic(body in ".*", value in "\\PC{0,20}") {
            let _ = read(body.as_bytes(), &TokenRules::default());
            let set = json!({ "keys": [{ "kty": "RSA", "n": value, "e": value, "alg": value }] }).to_string();
            let _ = read(set.as_bytes(), &TokenRules::default());
        }
    }
}
