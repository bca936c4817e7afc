//! What a client attaches to a message.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use chasqui_media::FileId;
use chasqui_proto::v1::MessageType;
use serde_json::Value;

/// The longest link, bytes.
const LINK_LENGTH_MAX: usize = 2_048;
/// The longest name or type of a file, characters.
const NAME_CHARS_MAX: usize = 255;

/// A file that goes with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attachment {
    pub(crate) source: Source,
    /// Such as `image/jpeg`; empty where the client does not say.
    pub(crate) mime_type: String,
    pub(crate) filename: String,
    /// What it is to be shown as; without it, what its type says.
    pub(crate) kind: Option<MessageType>,
}

/// Where the file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// In the media store: it was uploaded before.
    Stored(FileId),
    /// Somewhere on the web; the provider fetches it.
    Link(String),
    /// Here.
    Inline(Bytes),
}

/// What is wrong with an attachment: the field, and what was expected in the languages of the front ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) field: &'static str,
    pub(crate) english: &'static str,
    pub(crate) spanish: &'static str,
}

const fn wrong(field: &'static str, english: &'static str, spanish: &'static str) -> Wrong {
    Wrong { field, english, spanish }
}

const SOURCE: Wrong = wrong(
    "id",
    "give one of id (of an upload), url and data (base64)",
    "indique uno de id (de un archivo subido), url o data (base64)",
);
const ID: Wrong = wrong("id", "must be the id of an upload", "debe ser el id de un archivo subido");
const URL: Wrong = wrong(
    "url",
    "must be an http:// or https:// link of at most 2048 bytes",
    "debe ser un enlace http:// o https:// de hasta 2048 bytes",
);
const DATA: Wrong = wrong("data", "must be base64 and not empty", "debe ser base64 y no estar vacío");
const MIME_TYPE: Wrong = wrong(
    "mimetype",
    "must be a type such as image/jpeg; data needs it",
    "debe ser un tipo como image/jpeg; data lo requiere",
);
const FILENAME: Wrong = wrong(
    "filename",
    "must be a name of at most 255 characters",
    "debe ser un nombre de hasta 255 caracteres",
);
const KIND: Wrong = wrong(
    "type",
    "must be one of image, audio, video, document and sticker",
    "debe ser image, audio, video, document o sticker",
);

/// Reads an attachment: `{id}`, `{url}` or `{data, mimetype}`, each with `filename` and `type` where there are any.
pub(crate) fn read(value: &Value) -> Result<Attachment, Wrong> {
    let text = |field: &str| value[field].as_str().map(str::trim).filter(|text| !text.is_empty());
    let is_given = |field: &str| !value[field].is_null();
    let mime_type = match ["mimetype", "mime_type"].into_iter().find(|field| is_given(field)) {
        None => String::new(),
        Some(field) => text(field).filter(|text| is_mime_type(text)).ok_or(MIME_TYPE)?.to_owned(),
    };
    let filename = match value["filename"].as_str().unwrap_or_default() {
        name if name.chars().count() <= NAME_CHARS_MAX && !name.contains(char::is_control) => name.to_owned(),
        _ => return Err(FILENAME),
    };
    let kind = match text("type") {
        None => None,
        Some(name) => Some(MessageType::of_name(name).filter(|kind| is_file(*kind)).ok_or(KIND)?),
    };
    let given = ["id", "url", "data"].map(is_given);
    let source = match given {
        [true, false, false] => Source::Stored(text("id").and_then(|id| id.parse().ok()).ok_or(ID)?),
        [false, true, false] => Source::Link(text("url").filter(|url| is_link(url)).ok_or(URL)?.to_owned()),
        [false, false, true] if mime_type.is_empty() => return Err(MIME_TYPE),
        [false, false, true] => Source::Inline(text("data").and_then(decoded).ok_or(DATA)?),
        _ => return Err(SOURCE),
    };
    Ok(Attachment { source, mime_type, filename, kind })
}

/// What a file of a type is shown as. WhatsApp shows these as what they are, everything else as a document.
pub(crate) fn kind_of(mime_type: &str) -> MessageType {
    let name = mime_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match name.as_str() {
        "image/jpeg" | "image/png" => MessageType::Image,
        "image/webp" => MessageType::Sticker,
        "video/mp4" | "video/3gpp" => MessageType::Video,
        "audio/aac" | "audio/amr" | "audio/mpeg" | "audio/mp4" | "audio/ogg" => MessageType::Audio,
        _ => MessageType::Document,
    }
}

/// The type that the name of a file or link ends with; empty where it says nothing.
pub(crate) fn type_of_name(name: &str) -> &'static str {
    let path = name.split(['?', '#']).next().unwrap_or_default();
    let ending = path.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    match ending.as_deref() {
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("png") => "image/png",
        Some("webp") => "image/webp",
        Some("mp4") => "video/mp4",
        Some("3gp") => "video/3gpp",
        Some("aac") => "audio/aac",
        Some("amr") => "audio/amr",
        Some("mp3") => "audio/mpeg",
        Some("m4a") => "audio/mp4",
        Some("ogg" | "opus") => "audio/ogg",
        Some("pdf") => "application/pdf",
        _ => "",
    }
}

/// Whether a kind of message is a file.
fn is_file(kind: MessageType) -> bool {
    use MessageType::{Audio, Document, Image, Sticker, Video};
    matches!(kind, Image | Audio | Video | Document | Sticker)
}

/// Whether WhatsApp shows a text with it.
pub(crate) fn has_caption(kind: MessageType) -> bool {
    matches!(kind, MessageType::Image | MessageType::Video | MessageType::Document)
}

/// Whether a text is the name of a type of files.
pub(crate) fn is_mime_type(text: &str) -> bool {
    let is_short = text.len() <= NAME_CHARS_MAX && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    is_short && text.split_once('/').is_some_and(|(family, rest)| !family.is_empty() && !rest.is_empty())
}

fn is_link(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_named = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    is_named && url.len() <= LINK_LENGTH_MAX && url.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Front ends also send data URLs, `data:image/png;base64,…`.
fn decoded(data: &str) -> Option<Bytes> {
    let base64 = data.strip_prefix("data:").map_or(Some(data), |url| Some(url.split_once(";base64,")?.1))?;
    let bytes = STANDARD.decode(base64).ok()?;
    (!bytes.is_empty()).then(|| bytes.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const FILE: &str = "018f4e6e-7d55-7c7e-8a7b-0d3b5c1f2a11";

    #[test]
    fn wab_16_an_attachment_is_an_upload_a_link_or_the_bytes_themselves() {
        let source = |value: Value| read(&value).unwrap().source;
        assert_eq!(source(json!({ "id": FILE })), Source::Stored(FILE.parse().unwrap()));
        let link = "https://example.com/a.jpg?x=1";
        assert_eq!(source(json!({ "url": link })), Source::Link(link.to_owned()));
        let inline = Source::Inline(Bytes::from_static(b"hola"));
        assert_eq!(source(json!({ "data": "aG9sYQ==", "mimetype": "text/plain" })), inline);
        let url = "data:text/plain;base64,aG9sYQ==";
        assert_eq!(source(json!({ "data": url, "mime_type": "text/plain", "id": null })), inline);
        let named = read(&json!({ "id": FILE, "filename": "niño.pdf", "type": "document" })).unwrap();
        assert_eq!((named.filename.as_str(), named.kind), ("niño.pdf", Some(MessageType::Document)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let long = "x".repeat(256);
        for (value, expected) in [
            (json!({}), SOURCE),
            (json!("x"), SOURCE),
            (json!({ "id": FILE, "url": "https://x" }), SOURCE),
            (json!({ "id": "7" }), ID),
            (json!({ "id": 7 }), ID),
            (json!({ "url": "ftp://x" }), URL),
            (json!({ "url": "https://" }), URL),
            (json!({ "url": format!("https://{}", "x".repeat(LINK_LENGTH_MAX)) }), URL),
            (json!({ "data": "aG9sYQ==" }), MIME_TYPE),
            (json!({ "data": "*", "mimetype": "a/b" }), DATA),
            (json!({ "data": "", "mimetype": "a/b" }), DATA),
            (json!({ "id": FILE, "mimetype": "jpeg" }), MIME_TYPE),
            (json!({ "id": FILE, "filename": long }), FILENAME),
            (json!({ "id": FILE, "type": "location" }), KIND),
        ] {
            assert_eq!(read(&value), Err(expected), "{value}");
        }
    }

    #[test]
    fn a_file_is_shown_as_what_whatsapp_takes_it_for() {
        assert_eq!(kind_of("image/JPEG"), MessageType::Image);
        assert_eq!(kind_of("audio/ogg; codecs=opus"), MessageType::Audio);
        assert_eq!(kind_of("image/webp"), MessageType::Sticker);
        assert_eq!(kind_of("image/gif"), MessageType::Document);
        assert_eq!(type_of_name("https://example.com/a.b/foto.JPG?x=.pdf"), "image/jpeg");
        assert_eq!(type_of_name("https://example.com/foto"), "");
    }

    proptest! {
        #[test]
        fn reading_what_a_client_sends_never_panics(id in ".{0,40}", url in ".{0,40}", data in ".{0,40}") {
            for value in [json!({ "id": id }), json!({ "url": url }), json!({ "data": data, "mimetype": "a/b" })] {
                let _ = read(&value);
            }
        }
    }
}
