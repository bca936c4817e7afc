//! One payload from standard input as JSON, for `nats sub … --translate 'chasqui decode'`.

use std::io::Read;

use anyhow::{Context, bail};
use prost_reflect::DynamicMessage;
use serde_json::Value;

use crate::{cli::Decode, guess, output, payload};

/// More than any broker of ours accepts.
const PAYLOAD_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Prints the payload; what is none of ours is printed as the text or base64 it is.
pub(crate) fn run(options: &Decode) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(PAYLOAD_BYTES_MAX).read_to_end(&mut bytes)?;
    let shown: Value = match read(options, &bytes)? {
        Some(message) => payload::to_json(&message),
        None => payload::bytes_to_json(&bytes),
    };
    output::line(serde_json::to_string_pretty(&shown)?)?;
    Ok(())
}

fn read(options: &Decode, bytes: &[u8]) -> anyhow::Result<Option<DynamicMessage>> {
    let Some(name) = &options.type_name else {
        return Ok(guess::decode(options.subject.as_deref(), bytes));
    };
    let Some(descriptor) = payload::type_named(name) else {
        bail!("there is no type {name}; there are {}", payload::type_names().join(", "));
    };
    payload::decode(descriptor, bytes).map(Some).with_context(|| format!("this is no {name}"))
}
