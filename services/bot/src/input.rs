//! What a contact said, as the bot takes it.

use chasqui_proto::v1::{Message, MessageType};
use chasqui_responder::{FLOW_START, is_for_flow};

/// What kind of thing a contact sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InputKind {
    /// Words, a button, a row of a list.
    Text,
    /// The front end begins the flow.
    Start,
    /// A picture, a voice note, a document, a place: `text` is its caption.
    Media,
    /// Nothing that asks for an answer: a reaction, an edit, what the provider says of the contact.
    Silent,
}

/// What a contact said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    pub(crate) message: &'a Message,
    /// Its position in the stream.
    pub(crate) seq: u64,
    pub(crate) kind: InputKind,
    /// Without blanks around it.
    pub(crate) text: &'a str,
    /// The id of the button or row that was chosen.
    pub(crate) choice: Option<&'a str>,
    /// It is for the flow, whoever answers the conversation.
    pub(crate) is_for_flow: bool,
}

impl<'a> Input<'a> {
    /// Reads a message.
    pub(crate) fn of(message: &'a Message, seq: u64) -> Self {
        let is_start = message.provider_type == FLOW_START;
        let kind = match message.r#type() {
            _ if is_start => InputKind::Start,
            MessageType::Text | MessageType::Interactive | MessageType::Button => InputKind::Text,
            MessageType::Reaction | MessageType::Edit | MessageType::Revoke | MessageType::System => {
                InputKind::Silent
            }
            _ => InputKind::Media,
        };
        let choice = message.choice.as_ref().map(|choice| choice.id.as_str()).filter(|id| !id.is_empty());
        let title = message.choice.as_ref().map_or("", |choice| choice.title.trim());
        let text = if message.text.trim().is_empty() { title } else { message.text.trim() };
        Self { message, seq, kind, text, choice, is_for_flow: is_for_flow(message) }
    }
}
