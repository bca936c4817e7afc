//! Secrets: compared in constant time, never shown.

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// Whether `given` is the secret. The time it takes tells nothing but the length.
pub fn matches(secret: &SecretString, given: &str) -> bool {
    bool::from(secret.expose_secret().as_bytes().ct_eq(given.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_secret_matches() {
        let secret = SecretString::from("correct");
        assert!(matches(&secret, "correct"));
        for wrong in ["", "correc", "correct ", "Correct"] {
            assert!(!matches(&secret, wrong), "{wrong:?}");
        }
    }
}
