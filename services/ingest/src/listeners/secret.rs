//! What events of a listener are signed with.

use std::ops::RangeInclusive;

use base64::{Engine, engine::general_purpose::STANDARD};
use chasqui_proto::v1::ListenerFormat;
use rand::RngCore;
use secrecy::{ExposeSecret, SecretString};

use crate::fields::FieldError;

/// What secrets of Standard Webhooks begin with.
const PREFIX: &str = "whsec_";
/// How many random bytes a secret has behind that (Standard Webhooks).
const BYTES: RangeInclusive<usize> = 24..=64;
/// How many bytes of a secret that is made here.
const NEW_BYTES: usize = 32;
/// How long a secret of a webhook in the form of the Cloud API may be, characters: WhatsApp's app secrets have 32.
const APP_SECRET_LENGTH: RangeInclusive<usize> = 16..=256;
/// How many secrets a listener has: the one in use, and the one before while it is changed.
pub(super) const SECRETS_MAX: usize = 2;

/// A secret that nobody has seen yet.
pub(super) fn new() -> SecretString {
    let mut bytes = [0_u8; NEW_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    format!("{PREFIX}{}", STANDARD.encode(bytes)).into()
}

/// Whether events of a format can be signed with a secret; the error is about `field`.
pub(super) fn check(
    secret: &SecretString,
    format: ListenerFormat,
    field: &'static str,
) -> Result<(), FieldError> {
    let text = secret.expose_secret();
    if is_standard(text) || (format == ListenerFormat::CloudApi && is_app_secret(text)) {
        return Ok(());
    }
    let (first, last) = (BYTES.start(), BYTES.end());
    let standard = format!("must be {PREFIX} and the base64 of {first} to {last} bytes");
    let (shortest, longest) = (APP_SECRET_LENGTH.start(), APP_SECRET_LENGTH.end());
    Err(match format {
        ListenerFormat::CloudApi => {
            FieldError::new(field, format!("{standard}, or {shortest} to {longest} visible ASCII characters"))
        }
        _ => FieldError::new(field, standard),
    })
}

fn is_standard(text: &str) -> bool {
    let bytes = text.strip_prefix(PREFIX).and_then(|encoded| STANDARD.decode(encoded).ok());
    bytes.is_some_and(|bytes| BYTES.contains(&bytes.len()))
}

fn is_app_secret(text: &str) -> bool {
    APP_SECRET_LENGTH.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_taken(text: &str, format: ListenerFormat) -> bool {
        check(&text.into(), format, "secret").is_ok()
    }

    #[test]
    fn a_new_secret_is_one_and_no_two_are_alike() {
        let (one, other) = (new(), new());
        assert!(is_taken(one.expose_secret(), ListenerFormat::Client));
        assert_ne!(one.expose_secret(), other.expose_secret());
    }

    #[test]
    fn what_cannot_sign_is_named() {
        let short = format!("{PREFIX}{}", STANDARD.encode([0; 23]));
        let long = format!("{PREFIX}{}", STANDARD.encode([0; 65]));
        for format in [ListenerFormat::Client, ListenerFormat::Chasqui] {
            for bad in
                ["", "secret", "0123456789abcdef0123456789abcdef", "whsec_", "whsec_%%%", &short, &long]
            {
                assert!(!is_taken(bad, format), "{bad}");
            }
        }
        let error = check(&"secret".into(), ListenerFormat::CloudApi, "secret").unwrap_err().to_string();
        assert!(error.starts_with("secret: must be whsec_") && error.contains("16 to 256"), "{error}");
        assert!(!error.contains("secret\""));
    }

    #[test]
    fn an_app_secret_signs_webhooks_of_the_cloud_api() {
        assert!(is_taken("0123456789abcdef0123456789abcdef", ListenerFormat::CloudApi));
        assert!(is_taken(new().expose_secret(), ListenerFormat::CloudApi));
        for bad in ["short", "with a space in it, which no header carries", "contraseña-contraseña"] {
            assert!(!is_taken(bad, ListenerFormat::CloudApi), "{bad}");
        }
    }
}
