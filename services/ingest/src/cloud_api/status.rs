use chasqui_proto::{
    ConversationToken, MessageId, id,
    v1::{MessageStatus, Status},
};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Change, Reader, contact::Named, errors, message::provider_id};
use crate::object::Object;

/// Reads a status; `None` when it is one we do not know, or does not say of what.
pub(super) fn read<'a>(reader: &Reader<'a>, raw: &'a RawValue, change: &Change<'a>) -> Option<MessageStatus> {
    let object = Object::read(raw)?;
    let provider_message_id = provider_id(&object)?;
    let name = object.text("status")?;
    let status = known(&name)?;
    let recipient = Named::read(&object, "recipient_id", "recipient_user_id").aliases();
    let conversation = ConversationToken::of(recipient.first()?);
    let timestamp = object.text("timestamp").unwrap_or_default();
    let unique = [reader.tenant.as_str(), &provider_message_id, &name, &timestamp];
    Some(MessageStatus {
        id: id::fact_id(&unique).to_string(),
        tenant: reader.tenant.to_string(),
        conversation: conversation.to_string(),
        message_id: message_id(&object, &provider_message_id, reader).to_string(),
        provider_message_id,
        status: status.into(),
        recipient,
        channel: Some(change.channel.clone()),
        errors: errors(&object),
        raw: reader.verbatim(raw),
        occurred_at_ms: reader.occurred_at_ms(&object),
        received_at_ms: reader.received_at_ms,
        reader_id: String::new(),
    })
}

/// What we send carries our id with it; what others sent for the same number does not.
fn message_id(status: &Object<'_>, provider_message_id: &str, reader: &Reader<'_>) -> MessageId {
    let ours = status.text("biz_opaque_callback_data").and_then(|data| data.parse::<Uuid>().ok());
    ours.map_or_else(|| MessageId::of_provider(&reader.tenant, provider_message_id), MessageId)
}

fn known(name: &str) -> Option<Status> {
    Some(match name {
        "accepted" => Status::Accepted,
        "sent" => Status::Sent,
        "delivered" => Status::Delivered,
        "read" => Status::Read,
        "played" => Status::Played,
        "failed" => Status::Failed,
        _ => return None,
    })
}
