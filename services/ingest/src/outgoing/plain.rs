use chasqui_proto::{
    Tenant,
    v1::{Location, MessageType},
};

use super::{MESSAGE_ID_LENGTH_MAX, Outgoing, OutgoingError, part::Part, raw, reference};

/// The longest text, characters.
const TEXT_LENGTH_MAX: usize = 4_096;
/// The longest name or address of a place, characters.
const PLACE_LENGTH_MAX: usize = 1_024;
/// The longest emoji, characters: one may be put together of a dozen.
const EMOJI_LENGTH_MAX: usize = 16;

pub(super) fn text(text: &Part<'_>) -> Result<Outgoing, OutgoingError> {
    let body = text.text("body", 1..=TEXT_LENGTH_MAX)?.to_owned();
    let preview = text.get("preview_url").is_some_and(|preview| preview.as_bool() != Some(false));
    let is_whole = !preview && !text.has_more_than(&["body", "preview_url"]);
    let raw = if is_whole { bytes::Bytes::new() } else { raw("text", &text.value()) };
    Ok(Outgoing { r#type: MessageType::Text, text: body, raw, ..Outgoing::default() })
}

pub(super) fn location(place: &Part<'_>) -> Result<Outgoing, OutgoingError> {
    let given =
        |key: &str| Ok(place.optional_text(key, 1..=PLACE_LENGTH_MAX)?.unwrap_or_default().to_owned());
    let location = Location {
        latitude: place.number("latitude", -90.0..=90.0)?,
        longitude: place.number("longitude", -180.0..=180.0)?,
        name: given("name")?,
        address: given("address")?,
        ..Location::default()
    };
    let shown = [&location.name, &location.address].into_iter().find(|text| !text.is_empty()).cloned();
    let text = shown.unwrap_or_else(|| format!("{}, {}", location.latitude, location.longitude));
    Ok(Outgoing { r#type: MessageType::Location, text, location: Some(location), ..Outgoing::default() })
}

/// An empty emoji takes a reaction back.
pub(super) fn reaction(reaction: &Part<'_>, tenant: &Tenant) -> Result<Outgoing, OutgoingError> {
    let about = reaction.text("message_id", 1..=MESSAGE_ID_LENGTH_MAX)?;
    let emoji = reaction.text("emoji", 0..=EMOJI_LENGTH_MAX)?.to_owned();
    // No emoji is of ASCII alone; digits begin some.
    if !emoji.is_empty() && emoji.is_ascii() {
        return Err(reaction.value_of("emoji", "be an emoji, or empty to take the reaction back"));
    }
    let text = if emoji.is_empty() { "[reaction removed]".to_owned() } else { emoji.clone() };
    let context = Some(reference(about, tenant));
    Ok(Outgoing { r#type: MessageType::Reaction, text, emoji, context, ..Outgoing::default() })
}
