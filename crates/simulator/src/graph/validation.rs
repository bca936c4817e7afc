//! What the Graph API takes at `/messages`, as far as a client can notice.

mod content;

use serde_json::Value;

use super::error::{GraphError, MISSING, PARAMETER, VALUE};

/// The longest `biz_opaque_callback_data`, characters.
const CALLBACK_DATA_MAX: usize = 512;
/// The longest id of a message or a user.
const ID_MAX: usize = 128;

/// A request that the API would take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// A message to a contact.
    Send(Outgoing),
    /// A contact's message was read, and perhaps an answer is being written.
    Read { message_id: String, typing: bool },
}

/// What matters of a message that is sent, besides its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// The recipient as the caller wrote it.
    pub(crate) input: String,
    /// Digits, or a business-scoped user id.
    pub(crate) to: String,
    pub(crate) kind: &'static str,
    /// The template's name.
    pub(crate) template: Option<String>,
    /// The uploaded file it refers to.
    pub(crate) file: Option<String>,
    pub(crate) callback_data: Option<String>,
}

/// The types a business can send.
const KINDS: [&str; 11] = [
    "text",
    "image",
    "audio",
    "video",
    "document",
    "sticker",
    "location",
    "contacts",
    "reaction",
    "template",
    "interactive",
];

/// Reads a body.
pub(crate) fn read(body: &Value) -> Result<Request, GraphError> {
    if !body.is_object() {
        return Err(GraphError::new(PARAMETER, "The body must be a JSON object"));
    }
    if required(body, "messaging_product")? != "whatsapp" {
        return Err(GraphError::new(PARAMETER, "Param messaging_product must be one of {WHATSAPP}"));
    }
    if body.get("status").is_some() {
        return read_mark(body);
    }
    if body.get("recipient_type").is_some_and(|kind| kind != "individual") {
        return Err(GraphError::new(PARAMETER, "Param recipient_type must be one of {INDIVIDUAL}"));
    }
    let (input, to) = recipient(body)?;
    let kind = match body.get("type") {
        None => "text",
        Some(named) => KINDS.into_iter().find(|kind| named == kind).ok_or_else(|| {
            GraphError::new(PARAMETER, format!("Param type must be one of {KINDS:?} - got {named}"))
        })?,
    };
    let content = body.get(kind).ok_or_else(|| {
        GraphError::new(MISSING, format!("Parameter '{kind}' is mandatory for type '{kind}'"))
    })?;
    let found = content::check(kind, content)?;
    if let Some(context) = body.get("context") {
        short(required(context, "message_id")?, ID_MAX, "context['message_id']")?;
    }
    let callback_data = optional(body, "biz_opaque_callback_data")?;
    if let Some(data) = callback_data {
        short(data, CALLBACK_DATA_MAX, "biz_opaque_callback_data")?;
    }
    Ok(Request::Send(Outgoing {
        input,
        to,
        kind,
        template: found.template,
        file: found.file,
        callback_data: callback_data.map(str::to_owned),
    }))
}

fn read_mark(body: &Value) -> Result<Request, GraphError> {
    if required(body, "status")? != "read" {
        return Err(GraphError::new(PARAMETER, "Param status must be one of {READ}"));
    }
    let message_id = required(body, "message_id")?.to_owned();
    let typing = match body.get("typing_indicator") {
        None => false,
        Some(indicator) if required(indicator, "type")? == "text" => true,
        Some(_) => {
            return Err(GraphError::new(PARAMETER, "Param typing_indicator['type'] must be one of {TEXT}"));
        }
    };
    Ok(Request::Read { message_id, typing })
}

/// `to` wins over `recipient`, which takes a business-scoped user id.
fn recipient(body: &Value) -> Result<(String, String), GraphError> {
    let Some(input) = optional(body, "to")? else {
        let user = optional(body, "recipient")?
            .ok_or_else(|| GraphError::new(PARAMETER, "The parameter to is required."))?;
        short(user, ID_MAX, "recipient")?;
        return match user.as_bytes() {
            [a, b, b'.', _, ..] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => {
                Ok((user.to_owned(), user.to_owned()))
            }
            _ => Err(GraphError::new(VALUE, "recipient must be a business-scoped user id such as AR.1349")),
        };
    };
    let plain = input.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '(' | ')'));
    let digits: String = input.chars().filter(char::is_ascii_digit).collect();
    if plain && (6..=15).contains(&digits.len()) {
        Ok((input.to_owned(), digits))
    } else {
        Err(GraphError::new(VALUE, "to must be a phone number with its country code"))
    }
}

/// A text that must be there and must not be empty.
fn required<'a>(object: &'a Value, key: &str) -> Result<&'a str, GraphError> {
    match optional(object, key)? {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(GraphError::new(MISSING, format!("The parameter {key} is required."))),
    }
}

fn optional<'a>(object: &'a Value, key: &str) -> Result<Option<&'a str>, GraphError> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(GraphError::new(PARAMETER, format!("Param {key} must be a string"))),
    }
}

fn short(text: &str, characters_max: usize, name: &str) -> Result<(), GraphError> {
    if text.chars().count() <= characters_max {
        return Ok(());
    }
    let details = format!("Param {name} must be at most {characters_max} characters long.");
    Err(GraphError::new(PARAMETER, details))
}

#[cfg(test)]
mod tests;
