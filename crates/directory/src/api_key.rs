//! Secrets of machines. Whoever makes one shows it once; everybody else knows only its hash.

use rand::RngCore;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

/// What every secret begins with, so that people and scanners of repositories know one when they see it.
pub const SECRET_PREFIX: &str = "chq_";

/// How long a secret is: its prefix and 256 bits in hexadecimal.
const SECRET_LENGTH: usize = SECRET_PREFIX.len() + 64;

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Hand in messages to contacts.
    Send,
    /// Hear what happens.
    Listen,
    /// Change the directory of its tenant.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Send, Self::Listen, Self::Admin];

    /// Its name in entries.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Listen => "listen",
            Self::Admin => "admin",
        }
    }

    /// Whether a key with these scopes has this one.
    pub fn is_in(self, scopes: &[String]) -> bool {
        scopes.iter().any(|scope| scope == self.as_str())
    }
}

/// A key that was just made.
#[derive(Debug)]
pub struct NewKey {
    /// What its holder sends; shown once.
    pub secret: SecretString,
    /// What is stored of it.
    pub sha256: String,
}

impl NewKey {
    /// A key of 256 random bits.
    pub fn generate() -> Self {
        let mut bits = [0_u8; 32];
        rand::rng().fill_bytes(&mut bits);
        let secret = format!("{SECRET_PREFIX}{}", hex::encode(bits));
        Self { sha256: sha256_of(&secret), secret: secret.into() }
    }
}

/// The hash that a key is stored under: lower-case hexadecimal SHA-256. Keys are random, so that nobody can guess one
/// from its hash, however fast hashing is.
pub fn sha256_of(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// Whether a text may be a key at all: what is not is not even hashed.
pub(crate) fn is_shaped(presented: &str) -> bool {
    presented.len() == SECRET_LENGTH && presented.starts_with(SECRET_PREFIX)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn keys_are_shaped_alike_and_differ() {
        let (one, other) = (NewKey::generate(), NewKey::generate());
        assert!(is_shaped(one.secret.expose_secret()));
        assert_ne!(one.secret.expose_secret(), other.secret.expose_secret());
        assert_eq!(one.sha256, sha256_of(one.secret.expose_secret()));
        assert!(!format!("{one:?}").contains(one.secret.expose_secret()));
        assert!(!is_shaped("chq_") && !is_shaped(&"x".repeat(SECRET_LENGTH)));
    }

    #[test]
    fn a_hash_is_what_other_programs_compute() {
        assert_eq!(sha256_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
