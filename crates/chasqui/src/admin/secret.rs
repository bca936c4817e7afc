//! What events of a listener are signed with, as an operator gives it.

use std::io::{self, BufRead, Read};

use anyhow::Context;
use chasqui_callback::{Signing, check_secret};
use chasqui_proto::v1::ListenerFormat;
use secrecy::SecretString;

/// The longest line that is read, bytes.
const LINE_BYTES_MAX: u64 = 1_024;

/// The secret on the first line of standard input.
pub(super) fn given(format: ListenerFormat) -> anyhow::Result<SecretString> {
    let mut line = String::new();
    let mut input = io::stdin().lock().take(LINE_BYTES_MAX);
    input.read_line(&mut line).context("--secret: standard input cannot be read")?;
    let secret = line.trim().into();
    let signing = if format == ListenerFormat::CloudApi { Signing::CloudApi } else { Signing::Standard };
    check_secret(&secret, signing).context("--secret: what standard input holds cannot be used")?;
    Ok(secret)
}
