//! A message with places for what differs from contact to contact.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use chasqui_kit::{Code, Coded};
use chasqui_proto::v1::{Message, MessageType};
use serde_json::Value;

/// The longest name of a variable, characters.
pub const NAME_LENGTH_MAX: usize = 64;
/// The longest text of a message, characters: WhatsApp's limit.
pub const TEXT_LENGTH_MAX: usize = 4_096;

const BEGIN: &str = "{{";
const END: &str = "}}";

/// Why there is no message for a recipient.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordingError {
    /// The recipient has no such variable, or an empty one.
    #[error("{0} is needed: the message mentions it")]
    Missing(String),
    /// The text of this recipient is longer than WhatsApp takes.
    #[error("the text would have {0} characters; WhatsApp takes {TEXT_LENGTH_MAX}")]
    TooLong(usize),
    /// Content of the message is not the JSON it must be.
    #[error("the message cannot be read: {0}")]
    Unreadable(String),
    /// A place has a name that no column can have.
    #[error("{{{{…}}}} must hold the name of a column, 1 to {NAME_LENGTH_MAX} characters")]
    Name,
}

impl Coded for WordingError {
    fn code(&self) -> Code {
        match self {
            Self::Missing(_) | Self::TooLong(_) | Self::Name => Code::InvalidInput,
            Self::Unreadable(_) => Code::Internal,
        }
    }
}

/// A message of a campaign, ready to be made out to its recipients. `{{name}}` in any of its texts is a recipient's
/// variable; what a variable says is never looked into for further places.
#[derive(Clone, Debug)]
pub struct Wording {
    message: Message,
    raw: Option<Value>,
    fallback: Option<Value>,
    names: BTreeSet<String>,
}

impl Wording {
    /// Reads the message of a plan.
    pub fn read(message: &Message) -> Result<Self, WordingError> {
        let json = |bytes: &[u8]| {
            let read = |bytes| serde_json::from_slice(bytes);
            (!bytes.is_empty()).then(|| read(bytes)).transpose()
        };
        let unreadable = |error: serde_json::Error| WordingError::Unreadable(error.to_string());
        let raw: Option<Value> = json(&message.raw).map_err(unreadable)?;
        let fallback: Option<Value> = json(&message.fallback).map_err(unreadable)?;
        let mut wording = Self { message: message.clone(), raw, fallback, names: BTreeSet::new() };
        let mut names = BTreeSet::new();
        wording.clone().each_text(&mut |text| {
            for name in names_in(text)? {
                names.insert(name.to_owned());
            }
            Ok(None)
        })?;
        wording.names = names;
        Ok(wording)
    }

    /// The variables that the message mentions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The message to a recipient with these variables.
    pub fn render(&self, variables: &BTreeMap<String, String>) -> Result<Message, WordingError> {
        let mut rendered = self.clone();
        rendered.each_text(&mut |text| match filled(text, variables)? {
            Cow::Borrowed(_) => Ok(None),
            Cow::Owned(text) => Ok(Some(text)),
        })?;
        let Self { mut message, raw, fallback, .. } = rendered;
        if let Some(raw) = raw {
            message.raw = raw.to_string().into();
        }
        if let Some(fallback) = fallback {
            message.fallback = fallback.to_string().into();
        }
        let length = message.text.chars().count();
        if message.r#type() == MessageType::Text && length > TEXT_LENGTH_MAX {
            return Err(WordingError::TooLong(length));
        }
        Ok(message)
    }

    /// Shows every text to `change`, which says what takes its place.
    fn each_text<F>(&mut self, change: &mut F) -> Result<(), WordingError>
    where
        F: FnMut(&str) -> Result<Option<String>, WordingError>,
    {
        let media = self.message.media.iter_mut().flat_map(|media| [&mut media.url, &mut media.filename]);
        for text in [&mut self.message.text, &mut self.message.callback_data].into_iter().chain(media) {
            if let Some(new) = change(text)? {
                *text = new;
            }
        }
        for value in [&mut self.raw, &mut self.fallback].into_iter().flatten() {
            each_string(value, change)?;
        }
        Ok(())
    }
}

fn each_string<F>(value: &mut Value, change: &mut F) -> Result<(), WordingError>
where
    F: FnMut(&str) -> Result<Option<String>, WordingError>,
{
    match value {
        Value::String(text) => {
            if let Some(new) = change(text)? {
                *text = new;
            }
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| each_string(item, change)),
        Value::Object(members) => members.values_mut().try_for_each(|item| each_string(item, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// What stands before the next place, the name in it, and what stands behind it.
fn next_place(text: &str) -> Result<Option<(&str, &str, &str)>, WordingError> {
    let Some((before, rest)) = text.split_once(BEGIN) else { return Ok(None) };
    let Some((name, after)) = rest.split_once(END) else { return Ok(None) };
    let name = name.trim();
    let fits = !name.is_empty() && name.chars().count() <= NAME_LENGTH_MAX && !name.contains(['{', '}']);
    if fits { Ok(Some((before, name, after))) } else { Err(WordingError::Name) }
}

fn names_in(mut text: &str) -> Result<Vec<&str>, WordingError> {
    let mut names = Vec::new();
    while let Some((_, name, after)) = next_place(text)? {
        names.push(name);
        text = after;
    }
    Ok(names)
}

fn filled<'a>(text: &'a str, variables: &BTreeMap<String, String>) -> Result<Cow<'a, str>, WordingError> {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some((before, name, after)) = next_place(rest)? {
        let value = variables.get(name).filter(|value| !value.is_empty());
        let value = value.ok_or_else(|| WordingError::Missing(name.to_owned()))?;
        filled.push_str(before);
        filled.push_str(value);
        rest = after;
    }
    if rest.len() == text.len() {
        return Ok(Cow::Borrowed(text));
    }
    filled.push_str(rest);
    Ok(Cow::Owned(filled))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn variables<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    fn text(text: &str) -> Message {
        Message { r#type: MessageType::Text.into(), text: text.to_owned(), ..Message::default() }
    }

    #[test]
    fn every_text_of_the_message_is_made_out_to_its_recipient() {
        let raw = json!({ "type": "template", "template": { "name": "promo", "components": [
            { "type": "body", "parameters": [{ "type": "text", "text": "{{ nombre }}" }] }
        ] } });
        let message = Message {
            r#type: MessageType::Template.into(),
            raw: raw.to_string().into(),
            text: "[template: promo]".to_owned(),
            callback_data: "order {{pedido}}".to_owned(),
            ..Message::default()
        };
        let wording = Wording::read(&message).unwrap();
        assert_eq!(wording.names().collect::<Vec<_>>(), ["nombre", "pedido"]);
        let sent = wording.render(&variables([("nombre", "Ñandú \"7\""), ("pedido", "42")])).unwrap();
        let raw: Value = serde_json::from_slice(&sent.raw).unwrap();
        assert_eq!(raw["template"]["components"][0]["parameters"][0]["text"], "Ñandú \"7\"");
        assert_eq!((sent.text.as_str(), sent.callback_data.as_str()), ("[template: promo]", "order 42"));
    }

    #[test]
    fn what_a_variable_says_is_not_looked_into() {
        let wording = Wording::read(&text("{{a}}-{{b}}")).unwrap();
        assert_eq!(wording.render(&variables([("a", "{{b}}"), ("b", "x")])).unwrap().text, "{{b}}-x");
    }

    #[test]
    fn a_variable_that_is_not_there_or_empty_is_named() {
        let wording = Wording::read(&text("Hola {{nombre}}")).unwrap();
        for given in [variables([]), variables([("nombre", "")])] {
            let error = wording.render(&given).unwrap_err();
            assert_eq!(error.to_string(), "nombre is needed: the message mentions it");
        }
    }

    #[test]
    fn a_text_that_became_too_long_is_refused() {
        let wording = Wording::read(&text("{{a}}")).unwrap();
        let render = |length: usize| wording.render(&variables([("a", &"ñ".repeat(length))]));
        assert!(render(TEXT_LENGTH_MAX).is_ok());
        assert_eq!(render(TEXT_LENGTH_MAX + 1).unwrap_err(), WordingError::TooLong(TEXT_LENGTH_MAX + 1));
    }

    #[test]
    fn braces_that_are_no_place_stay() {
        for plain in ["{a}", "{{a", "a}}", "{ {a} }"] {
            assert_eq!(Wording::read(&text(plain)).unwrap().render(&variables([])).unwrap().text, plain);
        }
        for wrong in ["{{}}", "{{ }}", "{{{a}}}", &format!("{{{{{}}}}}", "n".repeat(65))] {
            assert_eq!(Wording::read(&text(wrong)).unwrap_err(), WordingError::Name, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn without_places_a_text_is_itself(said in "[^{}]*") {
            prop_assert_eq!(Wording::read(&text(&said)).unwrap().render(&variables([])).unwrap().text, said);
        }

        #[test]
        fn reading_and_rendering_never_panic(said in ".*", value in ".*") {
            if let Ok(wording) = Wording::read(&text(&said)) {
                let all = wording.names().map(|name| (name.to_owned(), value.clone())).collect();
                let _ = wording.render(&all);
            }
        }
    }
}
