//! The body of a message, as the Graph API takes it.

#[cfg(test)]
mod tests;

use chasqui_media::FileId;
use chasqui_proto::{
    ConversationToken,
    v1::{Alias, AliasKind, Message, MessageType},
};
use serde_json::{Map, Value, json};

use crate::connector::Outgoing;

/// What `biz_opaque_callback_data` may have, characters.
const CALLBACK_DATA_LENGTH_MAX: usize = 512;
/// The most files one message may bring along: a carousel has ten cards.
const FILES_MAX: usize = 10;
/// The members whose `id` is a file.
const MEDIA_KEYS: [&str; 5] = ["image", "video", "audio", "document", "sticker"];

/// A message that cannot be written as the provider wants it, and never will.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{field}: expected {expected}")]
pub(super) struct Unsendable {
    field: &'static str,
    expected: &'static str,
}

/// A body that may still name files of ours, which the provider does not know.
#[derive(Clone, Debug)]
pub(super) struct Draft(Map<String, Value>);

impl Draft {
    /// The body of a message, or of the template that takes its place.
    pub(super) fn of(outgoing: &Outgoing) -> Result<Self, Unsendable> {
        let message = &outgoing.message;
        let (r#type, mut content) = match &outgoing.instead {
            Some(template) => ("template".to_owned(), json_of(template, "instead")?),
            None if !message.raw.is_empty() => raw(message)?,
            None => fields(message)?,
        };
        let mut body = Map::new();
        body.insert("messaging_product".to_owned(), json!("whatsapp"));
        body.insert("recipient_type".to_owned(), json!("individual"));
        let (key, value) = recipient(message)?;
        body.insert(key.to_owned(), json!(value));
        let is_reaction = r#type == "reaction";
        match (&outgoing.answers, is_reaction) {
            (Some(answered), false) => {
                body.insert("context".to_owned(), json!({ "message_id": answered }));
            }
            (Some(reacted), true) => content["message_id"] = json!(reacted),
            (None, true) if content["message_id"].is_string() => {}
            (None, true) => {
                return Err(unsendable("context.provider_message_id", "the message that is reacted to"));
            }
            (None, false) => {}
        }
        body.insert("biz_opaque_callback_data".to_owned(), json!(callback_data(message)));
        body.insert("type".to_owned(), json!(r#type));
        body.insert(r#type, content);
        let draft = Self(body);
        match draft.files().len() {
            0..=FILES_MAX => Ok(draft),
            _ => Err(unsendable("raw", "at most 10 files of the media store")),
        }
    }

    /// The files of ours that it names, each once.
    pub(super) fn files(&self) -> Vec<FileId> {
        let mut files = Vec::new();
        each_file_of(&self.0, &mut files);
        files
    }

    /// The provider has `file` under `id`.
    pub(super) fn put_media_id(&mut self, file: FileId, id: &str) {
        rename_in(&mut self.0, file, id);
    }

    /// The body as it is written.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        serde_json::to_vec(&self.0).expect("JSON values are JSON")
    }
}

/// The body that marks a message read.
pub(super) fn read_mark(provider_message_id: &str, typing: bool) -> Vec<u8> {
    let mut body =
        json!({ "messaging_product": "whatsapp", "status": "read", "message_id": provider_message_id });
    if typing {
        body["typing_indicator"] = json!({ "type": "text" });
    }
    serde_json::to_vec(&body).expect("JSON values are JSON")
}

fn unsendable(field: &'static str, expected: &'static str) -> Unsendable {
    Unsendable { field, expected }
}

/// Whom it goes to. A phone number wins; whoever hides theirs has only a business-scoped id.
fn recipient(message: &Message) -> Result<(&'static str, String), Unsendable> {
    let aliases = message.contact.iter().flat_map(|contact| contact.aliases.clone());
    let named = message.conversation.parse().ok().map(|token: ConversationToken| token.alias());
    let all: Vec<Alias> = aliases.chain(named).collect();
    let find = |kind| all.iter().find(|alias| alias.kind() == kind && !alias.value.is_empty());
    if let Some(phone) = find(AliasKind::Phone) {
        return Ok(("to", phone.value.clone()));
    }
    let bsuid = find(AliasKind::Bsuid).map(|bsuid| ("recipient", bsuid.value.clone()));
    bsuid.ok_or(unsendable("contact", "a phone number or a business-scoped id"))
}

/// Our id, which every status brings back, and what the sender wants to see again. What does not fit is left out: half
/// of it would be of no use to anybody.
fn callback_data(message: &Message) -> String {
    let whole = format!("{} {}", message.id, message.callback_data);
    let fits = !message.callback_data.is_empty() && whole.chars().count() <= CALLBACK_DATA_LENGTH_MAX;
    if fits { whole } else { message.id.clone() }
}

/// A message whose content its sender wrote as the provider takes it.
fn raw(message: &Message) -> Result<(String, Value), Unsendable> {
    let raw = json_of(&message.raw, "raw")?;
    let given = raw["type"]
        .as_str()
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
    let Some(name) = given.filter(|name| !name.is_empty()) else {
        return Err(unsendable("raw.type", "the name of a type, such as template"));
    };
    match &raw[name] {
        // Contacts are a list.
        content @ (Value::Object(_) | Value::Array(_)) => Ok((name.to_owned(), content.clone())),
        _ => Err(unsendable("raw", "an object with the member that its type names")),
    }
}

fn json_of(bytes: &[u8], field: &'static str) -> Result<Value, Unsendable> {
    let read: Option<Value> = serde_json::from_slice(bytes).ok();
    read.filter(Value::is_object).ok_or(unsendable(field, "a JSON object"))
}

fn fields(message: &Message) -> Result<(String, Value), Unsendable> {
    let content = match message.r#type() {
        MessageType::Text if message.text.is_empty() => {
            return Err(unsendable("text", "at least a character"));
        }
        MessageType::Text => json!({ "body": message.text }),
        MessageType::Image | MessageType::Video => media(message, true, false)?,
        MessageType::Audio | MessageType::Sticker => media(message, false, false)?,
        MessageType::Document => media(message, true, true)?,
        MessageType::Location => location(message)?,
        MessageType::Reaction => json!({ "emoji": message.emoji }),
        MessageType::Template | MessageType::Interactive | MessageType::Contacts => {
            return Err(unsendable("raw", "the content of the message"));
        }
        _ => return Err(unsendable("type", "one that can be sent")),
    };
    let name = match message.r#type() {
        MessageType::Text => "text",
        MessageType::Image => "image",
        MessageType::Video => "video",
        MessageType::Audio => "audio",
        MessageType::Sticker => "sticker",
        MessageType::Document => "document",
        MessageType::Location => "location",
        _ => "reaction",
    };
    Ok((name.to_owned(), content))
}

fn media(message: &Message, has_caption: bool, has_filename: bool) -> Result<Value, Unsendable> {
    let media = message.media.as_ref().ok_or(unsendable("media", "an id or a url"))?;
    let mut content = Map::new();
    match (media.id.as_str(), media.url.as_str()) {
        ("", "") => return Err(unsendable("media", "an id or a url")),
        ("", url) => content.insert("link".to_owned(), json!(url)),
        (id, _) => content.insert("id".to_owned(), json!(id)),
    };
    if has_caption && !message.text.is_empty() {
        content.insert("caption".to_owned(), json!(message.text));
    }
    if has_filename && !media.filename.is_empty() {
        content.insert("filename".to_owned(), json!(media.filename));
    }
    Ok(content.into())
}

fn location(message: &Message) -> Result<Value, Unsendable> {
    let location = message.location.as_ref().ok_or(unsendable("location", "a latitude and a longitude"))?;
    let is_on_earth = location.latitude.abs() <= 90.0 && location.longitude.abs() <= 180.0;
    if !is_on_earth {
        return Err(unsendable("location", "a latitude up to 90 and a longitude up to 180 degrees"));
    }
    let mut content = json!({ "latitude": location.latitude, "longitude": location.longitude });
    for (name, text) in [("name", &location.name), ("address", &location.address)] {
        if !text.is_empty() {
            content[name] = json!(text);
        }
    }
    Ok(content)
}

/// The file of ours that a member of a body is, if it is one.
fn file_of(key: &str, value: &Value) -> Option<FileId> {
    let media = Some(value).filter(|_| MEDIA_KEYS.contains(&key))?;
    media.get("id")?.as_str()?.parse().ok()
}

fn each_file(value: &Value, files: &mut Vec<FileId>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| each_file(value, files)),
        Value::Object(members) => each_file_of(members, files),
        _ => {}
    }
}

fn each_file_of(members: &Map<String, Value>, files: &mut Vec<FileId>) {
    for (key, value) in members {
        match file_of(key, value) {
            Some(file) if files.contains(&file) => {}
            Some(file) => files.push(file),
            None => each_file(value, files),
        }
    }
}

fn rename(value: &mut Value, file: FileId, id: &str) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| rename(value, file, id)),
        Value::Object(members) => rename_in(members, file, id),
        _ => {}
    }
}

fn rename_in(members: &mut Map<String, Value>, file: FileId, id: &str) {
    for (key, value) in members {
        if file_of(key, value) == Some(file) {
            value["id"] = json!(id);
        } else {
            rename(value, file, id);
        }
    }
}
