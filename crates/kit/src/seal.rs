//! Secrets at rest: what is stored or sent of them can only be read by those who have the key.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    digest::{SHA256, digest},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};

use crate::{Code, error::Coded};

/// The shortest key, bytes.
pub const KEY_LENGTH_MIN: usize = 32;

/// What sealed texts begin with: version 1 is AES-256-GCM under the SHA-256 of the key, nonce in front, as base64.
const VERSION: &str = "v1.";

/// Seals with the first key, and opens what was sealed with any.
pub struct Seal {
    keys: Vec<RandomizedNonceKey>,
}

/// A text that cannot be opened.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SealError {
    /// There is no key, or one is too short.
    #[error("a sealing key must have at least {KEY_LENGTH_MIN} bytes")]
    Key,
    /// It was sealed with another key, or is damaged.
    #[error("the sealed secret cannot be opened with any of the keys")]
    Sealed,
}

impl Coded for SealError {
    fn code(&self) -> Code {
        Code::Internal
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seal").field("keys", &self.keys.len()).finish()
    }
}

impl Seal {
    /// Keys separated by commas, the newest first: a key is changed by putting the new one in front.
    pub fn new(keys: &SecretString) -> Result<Self, SealError> {
        let texts = keys.expose_secret().split(',').map(str::trim).filter(|key| !key.is_empty());
        let keys: Vec<_> = texts.map(key).collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(SealError::Key) } else { Ok(Self { keys }) }
    }

    /// The secret as it may be stored.
    pub fn seal(&self, secret: &str) -> String {
        let mut sealed = secret.as_bytes().to_vec();
        let newest = self.keys.first().expect("there is at least one key");
        let nonce = newest.seal_in_place_append_tag(Aad::empty(), &mut sealed);
        let nonce = nonce.expect("a secret is shorter than the cipher's limit");
        format!("{VERSION}{}", URL_SAFE_NO_PAD.encode([nonce.as_ref().as_slice(), &sealed].concat()))
    }

    /// The secret again.
    pub fn open(&self, sealed: &str) -> Result<SecretString, SealError> {
        let encoded = sealed.strip_prefix(VERSION).ok_or(SealError::Sealed)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| SealError::Sealed)?;
        let (nonce, text) = bytes.split_at_checked(NONCE_LEN).ok_or(SealError::Sealed)?;
        self.keys.iter().find_map(|key| open_with(key, nonce, text)).ok_or(SealError::Sealed)
    }
}

fn key(text: &str) -> Result<RandomizedNonceKey, SealError> {
    if text.len() < KEY_LENGTH_MIN {
        return Err(SealError::Key);
    }
    // Of any text the cipher gets a key of its length.
    RandomizedNonceKey::new(&AES_256_GCM, digest(&SHA256, text.as_bytes()).as_ref())
        .map_err(|_| SealError::Key)
}

fn open_with(key: &RandomizedNonceKey, nonce: &[u8], text: &[u8]) -> Option<SecretString> {
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut text = text.to_vec();
    let opened = key.open_in_place(nonce, Aad::empty(), &mut text).ok()?;
    std::str::from_utf8(opened).ok().map(SecretString::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "0123456789abcdef0123456789abcdef";
    const NEW: &str = "fedcba9876543210fedcba9876543210";

    fn seal(keys: &str) -> Seal {
        Seal::new(&keys.into()).unwrap()
    }

    #[test]
    fn a_sealed_secret_shows_nothing_and_opens_again() {
        let sealed = seal(OLD).seal("whsec_c2VjcmV0");
        assert!(!sealed.contains("whsec"));
        assert_ne!(sealed, seal(OLD).seal("whsec_c2VjcmV0"), "the same secret twice cannot be recognised");
        assert_eq!(seal(OLD).open(&sealed).unwrap().expose_secret(), "whsec_c2VjcmV0");
    }

    #[test]
    fn a_changed_key_opens_what_the_old_one_sealed() {
        let sealed = seal(OLD).seal("s");
        assert_eq!(seal(&format!("{NEW}, {OLD}")).open(&sealed).unwrap().expose_secret(), "s");
        assert_eq!(seal(NEW).open(&sealed).unwrap_err(), SealError::Sealed);
    }

    #[test]
    fn what_was_changed_on_the_way_does_not_open() {
        let sealed = seal(OLD).seal("secret");
        for wrong in
            ["", "v1.", "v1.AAAA", "v2.AAAA", &sealed[..sealed.len() - 2], &sealed.replace("v1", "v3")]
        {
            assert_eq!(seal(OLD).open(wrong).unwrap_err(), SealError::Sealed, "{wrong}");
        }
    }

    #[test]
    fn a_short_key_is_refused() {
        for keys in ["", " , ", "short", &format!("{OLD},short")] {
            assert_eq!(Seal::new(&keys.into()).unwrap_err(), SealError::Key);
        }
    }
}
