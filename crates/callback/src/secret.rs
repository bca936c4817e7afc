//! What events are signed with.

use std::ops::RangeInclusive;

use base64::{Engine, engine::general_purpose::STANDARD};
use rand::RngCore;
use secrecy::{ExposeSecret, SecretString};

/// What secrets of Standard Webhooks begin with.
pub const SECRET_PREFIX: &str = "whsec_";
/// How many bytes follow, in base64 (Standard Webhooks).
const BYTES: RangeInclusive<usize> = 24..=64;
/// How many bytes a secret has that is made here.
const NEW_BYTES: usize = 32;
/// How long a secret of webhooks in the form of the Cloud API may be, characters: WhatsApp's app secrets have 32.
const APP_SECRET_LENGTH: RangeInclusive<usize> = 16..=256;

/// How events are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// By Standard Webhooks.
    Standard,
    /// As WhatsApp signs its webhooks.
    CloudApi,
}

/// A secret that events cannot be signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// By Standard Webhooks.
    #[error("must be {SECRET_PREFIX} and the base64 of {} to {} bytes", BYTES.start(), BYTES.end())]
    Standard,
    /// As WhatsApp does.
    #[error(
        "must be {SECRET_PREFIX} and the base64 of {} to {} bytes, or {} to {} visible ASCII characters",
        BYTES.start(), BYTES.end(), APP_SECRET_LENGTH.start(), APP_SECRET_LENGTH.end()
    )]
    CloudApi,
}

/// A secret that nobody has seen yet; events can be signed with it in every way.
pub fn new_secret() -> SecretString {
    let mut bytes = [0_u8; NEW_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    format!("{SECRET_PREFIX}{}", STANDARD.encode(bytes)).into()
}

/// Whether the libraries of listeners take a secret.
pub fn check_secret(secret: &SecretString, signing: Signing) -> Result<(), SecretError> {
    let text = secret.expose_secret();
    match signing {
        _ if is_standard(text) => Ok(()),
        Signing::CloudApi if is_app_secret(text) => Ok(()),
        Signing::Standard => Err(SecretError::Standard),
        Signing::CloudApi => Err(SecretError::CloudApi),
    }
}

fn is_standard(text: &str) -> bool {
    let bytes = text.strip_prefix(SECRET_PREFIX).and_then(|encoded| STANDARD.decode(encoded).ok());
    bytes.is_some_and(|bytes| BYTES.contains(&bytes.len()))
}

fn is_app_secret(text: &str) -> bool {
    APP_SECRET_LENGTH.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_taken(text: &str, signing: Signing) -> bool {
        check_secret(&text.into(), signing).is_ok()
    }

    #[test]
    fn a_new_secret_is_one_and_no_two_are_alike() {
        let (one, other) = (new_secret(), new_secret());
        assert!(is_taken(one.expose_secret(), Signing::Standard));
        assert!(is_taken(one.expose_secret(), Signing::CloudApi));
        assert_ne!(one.expose_secret(), other.expose_secret());
    }

    #[test]
    fn what_cannot_sign_is_told_without_being_shown() {
        let of = |bytes: usize| format!("{SECRET_PREFIX}{}", STANDARD.encode(vec![0; bytes]));
        assert!(is_taken(&of(24), Signing::Standard) && is_taken(&of(64), Signing::Standard));
        for bad in ["", "secret", "0123456789abcdef0123456789abcdef", "whsec_", "whsec_%%%", &of(23), &of(65)]
        {
            assert!(!is_taken(bad, Signing::Standard), "{bad}");
        }
        let error = check_secret(&"s3cr3t".into(), Signing::CloudApi).unwrap_err().to_string();
        assert_eq!(
            error,
            "must be whsec_ and the base64 of 24 to 64 bytes, or 16 to 256 visible ASCII characters"
        );
    }

    #[test]
    fn an_app_secret_signs_webhooks_of_the_cloud_api() {
        assert!(is_taken("0123456789abcdef0123456789abcdef", Signing::CloudApi));
        for bad in ["short", "with a space in it, which no header carries", "contraseña-contraseña"] {
            assert!(!is_taken(bad, Signing::CloudApi), "{bad}");
        }
    }
}
