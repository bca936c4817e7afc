//! What events of a listener are signed with.

use std::{
    io::{self, BufRead, Read},
    ops::RangeInclusive,
};

use anyhow::{Context, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use chasqui_proto::v1::ListenerFormat;
use rand::RngCore;
use secrecy::SecretString;

/// What secrets of Standard Webhooks begin with.
const PREFIX: &str = "whsec_";
/// How many bytes follow, in base64 (Standard Webhooks).
const BYTES: RangeInclusive<usize> = 24..=64;
/// How many bytes a secret has that is made here.
const NEW_BYTES: usize = 32;
/// How long a secret of webhooks in the form of the Cloud API may be, characters: WhatsApp's app secrets have 32.
const APP_SECRET_LENGTH: RangeInclusive<usize> = 16..=256;
/// The longest line that is read, bytes.
const LINE_BYTES_MAX: u64 = 1_024;

/// A secret that nobody has seen yet.
pub(super) fn new() -> SecretString {
    let mut bytes = [0_u8; NEW_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    format!("{PREFIX}{}", STANDARD.encode(bytes)).into()
}

/// The secret on the first line of standard input.
pub(super) fn given(format: ListenerFormat) -> anyhow::Result<SecretString> {
    let mut line = String::new();
    let mut input = io::stdin().lock().take(LINE_BYTES_MAX);
    input.read_line(&mut line).context("--secret: standard input cannot be read")?;
    let secret = line.trim();
    ensure!(
        is_good(secret, format),
        "--secret: standard input must hold {PREFIX} and the base64 of {} to {} bytes; for format cloud-api also {} to {} \
         visible ASCII characters",
        BYTES.start(),
        BYTES.end(),
        APP_SECRET_LENGTH.start(),
        APP_SECRET_LENGTH.end(),
    );
    Ok(secret.into())
}

fn is_good(secret: &str, format: ListenerFormat) -> bool {
    let standard = secret.strip_prefix(PREFIX).and_then(|encoded| STANDARD.decode(encoded).ok());
    let is_app_secret =
        APP_SECRET_LENGTH.contains(&secret.len()) && secret.bytes().all(|byte| byte.is_ascii_graphic());
    standard.is_some_and(|bytes| BYTES.contains(&bytes.len()))
        || (format == ListenerFormat::CloudApi && is_app_secret)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_secret_must_be_one_that_the_libraries_of_its_format_take() {
        let made = new();
        assert!(is_good(made.expose_secret(), ListenerFormat::Client));
        assert_ne!(made.expose_secret(), new().expose_secret());
        let app_secret = "0123456789abcdef0123456789abcdef";
        assert!(is_good(app_secret, ListenerFormat::CloudApi));
        for bad in ["", "whsec_", "whsec_AAAA", app_secret, "whsec_%%%%"] {
            assert!(!is_good(bad, ListenerFormat::Chasqui), "{bad}");
        }
    }
}
