use chasqui_proto::v1::{Choice, Location, Media, MessageType};

use crate::object::Object;

/// How many shared contacts a rendering names.
const NAMES_RENDERED_MAX: usize = 5;

/// What a message says, by its type.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Body {
    pub(super) r#type: MessageType,
    /// What people read where nothing better can be shown.
    pub(super) text: String,
    pub(super) media: Option<Media>,
    pub(super) choice: Option<Choice>,
    pub(super) location: Option<Location>,
    pub(super) emoji: String,
    /// WhatsApp's id of the message that is reacted to, edited or revoked.
    pub(super) refers_to: Option<String>,
}

impl Body {
    fn new(r#type: MessageType, text: impl Into<String>) -> Self {
        Self { r#type, text: text.into(), ..Self::default() }
    }

    /// A message that we cannot read, or WhatsApp does not pass on.
    pub(super) fn unsupported(what: &str) -> Self {
        let text = match what {
            "" | "unsupported" => "[unsupported]".to_owned(),
            what => format!("[unsupported: {what}]"),
        };
        Self::new(MessageType::Unsupported, text)
    }
}

/// Reads the body that a message of this type must have; `None` when it has not, or the type is unknown.
pub(super) fn read(provider_type: &str, message: &Object<'_>) -> Option<Body> {
    match provider_type {
        "text" => Some(Body::new(MessageType::Text, message.object("text")?.text("body")?)),
        "image" => media(MessageType::Image, "image", message),
        // The API that ran on customers' own machines had a type of its own for what now is `audio.voice`.
        "audio" | "voice" => media(MessageType::Audio, provider_type, message),
        "video" => media(MessageType::Video, "video", message),
        "document" => media(MessageType::Document, "document", message),
        "sticker" => media(MessageType::Sticker, "sticker", message),
        "location" => location(&message.object("location")?),
        "contacts" => contacts(message),
        "reaction" => reaction(&message.object("reaction")?),
        "interactive" => interactive(&message.object("interactive")?),
        "button" => button(&message.object("button")?),
        "order" => order(&message.object("order")?),
        "edit" => edit(&message.object("edit")?),
        "revoke" => {
            let refers_to = Some(message.object("revoke")?.filled("original_message_id")?);
            Some(Body { refers_to, ..Body::new(MessageType::Revoke, "[deleted]") })
        }
        "system" => Some(Body::new(MessageType::System, message.object("system")?.filled("body")?)),
        // The contact opened the chat for the first time and wrote nothing yet.
        "request_welcome" => Some(Body::new(MessageType::System, "[chat opened]")),
        "unsupported" => {
            let what = message.object("unsupported").and_then(|unsupported| unsupported.filled("type"));
            Some(Body::unsupported(&what.unwrap_or_default()))
        }
        _ => None,
    }
}

fn media(r#type: MessageType, key: &str, message: &Object<'_>) -> Option<Body> {
    let given = message.object(key)?;
    let text = |key: &str| given.text(key).unwrap_or_default();
    let media = Media {
        id: text("id"),
        mime_type: text("mime_type"),
        sha256: text("sha256"),
        filename: text("filename"),
        url: text("url"),
        voice: given.flag("voice") || key == "voice",
        animated: given.flag("animated"),
        size_bytes: given.integer("file_size").and_then(|size| size.try_into().ok()).unwrap_or_default(),
    };
    if media.id.is_empty() && media.url.is_empty() {
        return None;
    }
    let kind = if media.voice { "voice" } else { key };
    let filename = Some(media.filename.clone()).filter(|filename| !filename.is_empty());
    let text = given.filled("caption").or(filename).unwrap_or_else(|| format!("[{kind}]"));
    Some(Body { media: Some(media), ..Body::new(r#type, text) })
}

fn location(given: &Object<'_>) -> Option<Body> {
    let text = |key: &str| given.text(key).unwrap_or_default();
    let location = Location {
        latitude: given.number("latitude")?,
        longitude: given.number("longitude")?,
        name: text("name"),
        address: text("address"),
        url: text("url"),
    };
    let place = given.filled("name").or_else(|| given.filled("address"));
    let text = place.unwrap_or_else(|| format!("{}, {}", location.latitude, location.longitude));
    Some(Body { location: Some(location), ..Body::new(MessageType::Location, text) })
}

fn contacts(message: &Object<'_>) -> Option<Body> {
    let cards = message.objects("contacts");
    let name = |card: &Object<'_>| card.object("name").and_then(|name| name.filled("formatted_name"));
    let names: Vec<String> = cards.iter().filter_map(name).take(NAMES_RENDERED_MAX).collect();
    let text = if names.is_empty() { "[contacts]".to_owned() } else { names.join(", ") };
    (!cards.is_empty()).then(|| Body::new(MessageType::Contacts, text))
}

/// A reaction is taken back with an empty emoji or none.
fn reaction(given: &Object<'_>) -> Option<Body> {
    let refers_to = Some(given.filled("message_id")?);
    let emoji = given.text("emoji").unwrap_or_default();
    let text = if emoji.is_empty() { "[reaction removed]".to_owned() } else { emoji.clone() };
    Some(Body { emoji, refers_to, ..Body::new(MessageType::Reaction, text) })
}

fn interactive(given: &Object<'_>) -> Option<Body> {
    let kind = given.text("type")?;
    let reply = given.object(&kind)?;
    let text = |key: &str| reply.text(key).unwrap_or_default();
    let choice = match kind.as_str() {
        "button_reply" | "list_reply" => {
            Choice { id: reply.text("id")?, title: text("title"), description: text("description"), kind }
        }
        "nfm_reply" => {
            Choice { id: reply.text("response_json")?, title: text("name"), description: text("body"), kind }
        }
        _ => return None,
    };
    let shown = [reply.filled("title"), reply.filled("body"), Some(choice.title.clone())];
    let text = shown.into_iter().flatten().next().unwrap_or_default();
    Some(Body { choice: Some(choice), ..Body::new(MessageType::Interactive, text) })
}

fn button(given: &Object<'_>) -> Option<Body> {
    let (payload, title) = (given.text("payload"), given.text("text"));
    let text = title.clone().or_else(|| payload.clone())?;
    let choice = Choice {
        kind: "button".to_owned(),
        id: payload.unwrap_or_default(),
        title: title.unwrap_or_default(),
        description: String::new(),
    };
    Some(Body { choice: Some(choice), ..Body::new(MessageType::Button, text) })
}

fn order(given: &Object<'_>) -> Option<Body> {
    let items = given.objects("product_items").len();
    let text = given.filled("text").unwrap_or_else(|| format!("[order: {items}]"));
    (items > 0).then(|| Body::new(MessageType::Order, text))
}

/// An edit carries the message as it reads now.
fn edit(given: &Object<'_>) -> Option<Body> {
    let refers_to = Some(given.filled("original_message_id")?);
    let message = given.object("message")?;
    let inner = message.text("type").unwrap_or_default();
    // An edit of an edit would let the depth of a webhook decide the depth of our stack.
    let known = if inner == "edit" { None } else { read(&inner, &message) };
    let now = known.unwrap_or_else(|| Body::unsupported(&inner));
    Some(Body { r#type: MessageType::Edit, refers_to, ..now })
}
