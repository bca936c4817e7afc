//! What each type of message must carry.

use std::collections::HashSet;

use serde_json::Value;

use super::{
    super::error::{GraphError, MISSING, PARAMETER, VALUE},
    ID_MAX, optional, required, short,
};

const TEXT_MAX: usize = 4_096;
const CAPTION_MAX: usize = 1_024;
const TEMPLATE_NAME_MAX: usize = 512;
const BODY_MAX: usize = 1_024;
const FOOTER_MAX: usize = 60;
const HEADER_MAX: usize = 60;
const BUTTONS_MAX: usize = 3;
const BUTTON_ID_MAX: usize = 256;
const BUTTON_TITLE_MAX: usize = 20;
const SECTIONS_MAX: usize = 10;
const ROWS_MAX: usize = 10;
const ROW_ID_MAX: usize = 200;
const ROW_TITLE_MAX: usize = 24;
const ROW_DESCRIPTION_MAX: usize = 72;

/// What a content refers to.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) template: Option<String>,
    pub(super) file: Option<String>,
}

/// Checks the content of a type.
pub(super) fn check(kind: &'static str, content: &Value) -> Result<Found, GraphError> {
    match kind {
        "text" => short(required(content, "body")?, TEXT_MAX, "text['body']")?,
        "image" | "video" => return media(kind, content, &["id", "link", "caption"]),
        "audio" => return media(kind, content, &["id", "link", "voice"]),
        "sticker" => return media(kind, content, &["id", "link"]),
        "document" => return media(kind, content, &["id", "link", "caption", "filename"]),
        "location" => location(content)?,
        "contacts" => contacts(content)?,
        "reaction" => {
            short(required(content, "message_id")?, ID_MAX, "reaction['message_id']")?;
            optional(content, "emoji")?
                .ok_or_else(|| GraphError::new(MISSING, "The parameter emoji is required."))?;
        }
        "template" => return template(content),
        _ => interactive(content)?,
    }
    Ok(Found::default())
}

fn media(kind: &str, content: &Value, keys: &[&str]) -> Result<Found, GraphError> {
    let Value::Object(members) = content else {
        return Err(GraphError::new(PARAMETER, format!("Param {kind} must be a JSON object")));
    };
    if let Some(key) = members.keys().find(|key| !keys.contains(&key.as_str())) {
        return Err(GraphError::new(PARAMETER, format!("Unexpected key {key:?} on param {kind:?}.")));
    }
    if let Some(caption) = optional(content, "caption")? {
        short(caption, CAPTION_MAX, "caption")?;
    }
    match (optional(content, "id")?, optional(content, "link")?) {
        (Some(id), None) => Ok(Found { file: Some(id.to_owned()), template: None }),
        (None, Some(link)) if link.starts_with("https://") || link.starts_with("http://") => {
            Ok(Found::default())
        }
        (None, Some(_)) => Err(GraphError::new(
            PARAMETER,
            format!("Param {kind}['link'] must be a URL that begins with http"),
        )),
        _ => Err(GraphError::new(PARAMETER, format!("{kind} must have exactly one of id and link"))),
    }
}

fn location(content: &Value) -> Result<(), GraphError> {
    for (key, most) in [("latitude", 90.0), ("longitude", 180.0)] {
        // Clients write them as numbers or as texts; the API takes both.
        let value = content.get(key).and_then(|value| match value {
            Value::String(text) => text.parse::<f64>().ok(),
            other => other.as_f64(),
        });
        match value {
            None => return Err(GraphError::new(MISSING, format!("The parameter {key} is required."))),
            Some(value) if value.abs() <= most => {}
            Some(_) => {
                return Err(GraphError::new(VALUE, format!("{key} must be between -{most} and {most}")));
            }
        }
    }
    Ok(())
}

fn contacts(content: &Value) -> Result<(), GraphError> {
    let cards = list(content, "contacts", 257)?;
    for card in cards {
        let name =
            card.get("name").ok_or_else(|| GraphError::new(MISSING, "The parameter name is required."))?;
        required(name, "formatted_name")?;
    }
    Ok(())
}

fn template(content: &Value) -> Result<Found, GraphError> {
    let name = required(content, "name")?;
    short(name, TEMPLATE_NAME_MAX, "template['name']")?;
    if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
        return Err(GraphError::new(132_001, format!("template name ({name}) does not exist")));
    }
    let language = content
        .get("language")
        .ok_or_else(|| GraphError::new(MISSING, "The parameter language is required."))?;
    let code = required(language, "code")?;
    if !is_language(code) {
        return Err(GraphError::new(132_001, format!("template name ({name}) does not exist in {code}")));
    }
    if let Some(components) = content.get("components") {
        for component in list_or_empty(components, "template['components']", 20)? {
            let kind = required(component, "type")?.to_ascii_lowercase();
            if !["header", "body", "button", "carousel", "limited_time_offer"].contains(&kind.as_str()) {
                return Err(GraphError::new(PARAMETER, format!("Unexpected component type {kind:?}")));
            }
            if let Some(parameters) = component.get("parameters") {
                for parameter in list_or_empty(parameters, "parameters", 100)? {
                    required(parameter, "type")?;
                }
            }
        }
    }
    Ok(Found { template: Some(name.to_owned()), file: None })
}

/// `es`, `es_AR`, `fil`.
fn is_language(code: &str) -> bool {
    let (language, region) = code.split_once('_').unwrap_or((code, "XX"));
    (2..=3).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_lowercase())
        && (2..=3).contains(&region.len())
        && region.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn interactive(content: &Value) -> Result<(), GraphError> {
    let kind = required(content, "type")?;
    if let Some(footer) = content.get("footer") {
        sized(required(footer, "text")?, FOOTER_MAX, "Footer")?;
    }
    let empty = Value::Null;
    let action = content.get("action").unwrap_or(&empty);
    let body = content.get("body").unwrap_or(&empty);
    match kind {
        "button" => {
            sized(required(body, "text")?, BODY_MAX, "Body")?;
            buttons(action)
        }
        "list" => {
            sized(required(body, "text")?, BODY_MAX, "Body")?;
            if let Some(header) = content.get("header") {
                sized(required(header, "text")?, HEADER_MAX, "Header")?;
            }
            sized(required(action, "button")?, BUTTON_TITLE_MAX, "Button label")?;
            sections(action)
        }
        // Products, flows, addresses, calls: their action is the catalogue's or the flow's business.
        "cta_url"
        | "flow"
        | "product"
        | "product_list"
        | "catalog_message"
        | "location_request_message"
        | "address_message"
        | "call_permission_request"
        | "voice_call" => Ok(()),
        other => Err(GraphError::new(PARAMETER, format!("Param interactive['type'] cannot be {other:?}"))),
    }
}

fn buttons(action: &Value) -> Result<(), GraphError> {
    let buttons = list(action.get("buttons").unwrap_or(&Value::Null), "action['buttons']", BUTTONS_MAX)?;
    let (mut ids, mut titles) = (HashSet::new(), HashSet::new());
    for button in buttons {
        let reply = button.get("reply").unwrap_or(&Value::Null);
        let (id, title) = (required(reply, "id")?, required(reply, "title")?);
        sized(id, BUTTON_ID_MAX, "Button id")?;
        sized(title, BUTTON_TITLE_MAX, "Button title")?;
        if !ids.insert(id) || !titles.insert(title) {
            return Err(GraphError::new(VALUE, "Duplicated button id or title"));
        }
    }
    Ok(())
}

fn sections(action: &Value) -> Result<(), GraphError> {
    let sections = list(action.get("sections").unwrap_or(&Value::Null), "action['sections']", SECTIONS_MAX)?;
    let (mut rows_total, mut ids) = (0, HashSet::new());
    for section in sections {
        if sections.len() > 1 {
            sized(required(section, "title")?, ROW_TITLE_MAX, "Section title")?;
        }
        for row in list(section.get("rows").unwrap_or(&Value::Null), "rows", ROWS_MAX)? {
            let id = required(row, "id")?;
            sized(id, ROW_ID_MAX, "Row id")?;
            sized(required(row, "title")?, ROW_TITLE_MAX, "Row title")?;
            sized(optional(row, "description")?.unwrap_or_default(), ROW_DESCRIPTION_MAX, "Row description")?;
            rows_total += 1;
            if !ids.insert(id) {
                return Err(GraphError::new(VALUE, "Duplicated row id"));
            }
        }
    }
    if rows_total > ROWS_MAX {
        return Err(GraphError::new(VALUE, format!("Total row count exceed max allowed count: {ROWS_MAX}")));
    }
    Ok(())
}

fn sized(text: &str, characters_max: usize, what: &str) -> Result<(), GraphError> {
    if text.chars().count() <= characters_max {
        return Ok(());
    }
    Err(GraphError::new(VALUE, format!("{what} length invalid. Max length: {characters_max}")))
}

fn list<'a>(value: &'a Value, name: &str, most: usize) -> Result<&'a [Value], GraphError> {
    match list_or_empty(value, name, most)? {
        [] => Err(GraphError::new(MISSING, format!("Param {name} must not be empty"))),
        items => Ok(items),
    }
}

fn list_or_empty<'a>(value: &'a Value, name: &str, most: usize) -> Result<&'a [Value], GraphError> {
    match value {
        Value::Array(items) if items.len() <= most => Ok(items),
        Value::Array(_) => Err(GraphError::new(VALUE, format!("Param {name} has more than {most} items"))),
        Value::Null => Ok(&[]),
        _ => Err(GraphError::new(PARAMETER, format!("Param {name} must be an array"))),
    }
}
