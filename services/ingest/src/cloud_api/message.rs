use chasqui_proto::{
    MessageId, address,
    v1::{Context, Direction, Message, MessageType, SenderType},
};
use serde_json::value::RawValue;

use super::{
    Change, Reader,
    body::{self, Body},
    contact::{Contacts, Named},
    errors,
};
use crate::object::Object;

/// Reads a message; `None` when it does not say which one it is or whose.
pub(super) fn read<'a>(
    reader: &Reader<'a>,
    raw: &'a RawValue,
    change: &Change<'a>,
    contacts: &Contacts<'a>,
    direction: Direction,
) -> Option<Message> {
    let object = Object::read(raw)?;
    let provider_id = provider_id(&object)?;
    let named = match direction {
        Direction::Out => Named::read(&object, "to", "to_user_id"),
        Direction::In | Direction::Unspecified => Named::read(&object, "from", "from_user_id"),
    };
    let contact = contacts.find(named);
    let conversation = address::conversation_of(&contact)?;
    let provider_type = object.text("type").unwrap_or_default();
    let body = body::read(&provider_type, &object).unwrap_or_else(|| Body::unsupported(&provider_type));
    let context = context(&object, body.refers_to.as_deref(), reader);
    Some(Message {
        id: MessageId::of_provider(&reader.tenant, &provider_id).to_string(),
        tenant: reader.tenant.to_string(),
        conversation: conversation.to_string(),
        contact: Some(contact),
        channel: Some(change.channel.clone()),
        direction: direction.into(),
        sender_type: sender(direction, body.r#type).into(),
        r#type: body.r#type.into(),
        text: body.text,
        media: body.media,
        context,
        choice: body.choice,
        location: body.location,
        emoji: body.emoji,
        provider_id,
        provider_type,
        errors: errors(&object),
        raw: reader.verbatim(raw),
        occurred_at_ms: reader.occurred_at_ms(&object),
        received_at_ms: reader.received_at_ms,
        ..Message::default()
    })
}

/// The id of a message or status, where it is one that can be kept.
pub(super) fn provider_id(object: &Object<'_>) -> Option<String> {
    object.filled("id").filter(|id| id.len() <= address::ADDRESS_LENGTH_MAX)
}

fn sender(direction: Direction, r#type: MessageType) -> SenderType {
    match (direction, r#type) {
        // Written in WhatsApp's own app, at the other end of the tenant's number.
        (Direction::Out, _) => SenderType::Agent,
        (_, MessageType::System) => SenderType::System,
        _ => SenderType::User,
    }
}

/// What the message refers to: the message its body names, else the one it answers.
fn context(message: &Object<'_>, refers_to: Option<&str>, reader: &Reader<'_>) -> Option<Context> {
    let given = message.object("context");
    if given.is_none() && refers_to.is_none() {
        return None;
    }
    let given = given.unwrap_or_default();
    let provider_message_id = refers_to.map(str::to_owned).or_else(|| given.filled("id")).unwrap_or_default();
    let message_id = match provider_message_id.as_str() {
        "" => String::new(),
        provider_id => MessageId::of_provider(&reader.tenant, provider_id).to_string(),
    };
    Some(Context {
        message_id,
        provider_message_id,
        from: given.text("from").unwrap_or_default(),
        forwarded: given.flag("forwarded") || given.flag("frequently_forwarded"),
        frequently_forwarded: given.flag("frequently_forwarded"),
    })
}
