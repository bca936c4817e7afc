use axum::http::Uri;
use chasqui_proto::v1::{Media, MessageType};
use serde_json::Value;

use super::{Outgoing, OutgoingError, part::Part, raw};

/// The longest id of a file, characters.
const ID_LENGTH_MAX: usize = 128;
/// The longest link, characters.
const LINK_LENGTH_MAX: usize = 2_048;
/// The longest caption, characters.
const CAPTION_LENGTH_MAX: usize = 1_024;
/// The longest name of a file, characters.
const FILENAME_LENGTH_MAX: usize = 240;

/// What a message's media may say that its fields hold.
const HELD: [&str; 4] = ["id", "link", "caption", "filename"];

pub(super) fn read(r#type: MessageType, given: &Part<'_>) -> Result<Outgoing, OutgoingError> {
    let (name, has_caption) = match r#type {
        MessageType::Image => ("image", true),
        MessageType::Video => ("video", true),
        MessageType::Document => ("document", true),
        MessageType::Audio => ("audio", false),
        _ => ("sticker", false),
    };
    let (id, url) = file(given)?;
    if !has_caption && given.get("caption").is_some() {
        return Err(given.value_of("caption", format!("be left out: {name} has none")));
    }
    let caption = given.optional_text("caption", 1..=CAPTION_LENGTH_MAX)?.unwrap_or_default();
    let filename = given.optional_text("filename", 1..=FILENAME_LENGTH_MAX)?.unwrap_or_default();
    let voice = given.get("voice").and_then(Value::as_bool).unwrap_or_default();
    let media = Media { id, url, filename: filename.to_owned(), voice, ..Media::default() };
    let raw = if given.has_more_than(&HELD) { raw(name, &given.value()) } else { bytes::Bytes::new() };
    Ok(Outgoing { r#type, text: caption.to_owned(), media: Some(media), raw, ..Outgoing::default() })
}

/// The id or the link of a file, the other one empty.
pub(super) fn file(given: &Part<'_>) -> Result<(String, String), OutgoingError> {
    let id = match given.get("id") {
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => given.optional_text("id", 1..=ID_LENGTH_MAX)?.map(str::to_owned),
    };
    let link = given.optional_text("link", 1..=LINK_LENGTH_MAX)?;
    match (id, link) {
        (Some(_), Some(_)) => Err(given.value_of("link", "be left out where there is an id")),
        (None, None) => Err(given.missing("id or link")),
        (Some(id), None) if id.chars().all(|c| c.is_ascii_graphic()) => Ok((id, String::new())),
        (Some(_), None) => Err(given.value_of("id", "be the id of an uploaded file")),
        (None, Some(link)) if is_link(link) => Ok((String::new(), link.to_owned())),
        (None, Some(_)) => Err(given.value_of("link", "be an https or http URL of a host")),
    }
}

/// WhatsApp fetches it: nothing but an address on the web will do, and no credentials belong into it.
fn is_link(link: &str) -> bool {
    let Ok(uri) = link.parse::<Uri>() else { return false };
    let is_web = uri.scheme_str().is_some_and(|scheme| scheme == "https" || scheme == "http");
    let authority = uri.authority();
    is_web
        && authority
            .is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'))
}
