use chasqui_proto::{
    ConversationToken, MessageId, id,
    v1::{MessageStatus, Status},
};
use serde_json::value::RawValue;

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
    let sent = Sent::read(&object);
    let message_id = sent.as_ref().map(|sent| sent.message_id);
    let derived = || MessageId::of_provider(&reader.tenant, &provider_message_id);
    Some(MessageStatus {
        id: id::fact_id(&unique).to_string(),
        tenant: reader.tenant.to_string(),
        conversation: conversation.to_string(),
        message_id: message_id.unwrap_or_else(derived).to_string(),
        provider_message_id,
        status: status.into(),
        recipient,
        channel: Some(change.channel.clone()),
        errors: errors(&object),
        raw: reader.verbatim(raw),
        occurred_at_ms: reader.occurred_at_ms(&object),
        received_at_ms: reader.received_at_ms,
        callback_data: sent.map(|sent| sent.callback_data).unwrap_or_default(),
        ..MessageStatus::default()
    })
}

/// What we send carries our id with it, and after a space what its sender wants to see again; what others sent for the
/// same number does not.
struct Sent {
    message_id: MessageId,
    callback_data: String,
}

impl Sent {
    fn read(status: &Object<'_>) -> Option<Self> {
        let data = status.text("biz_opaque_callback_data")?;
        let (id, callback_data) = data.split_once(' ').unwrap_or((&data, ""));
        Some(Self { message_id: MessageId(id.parse().ok()?), callback_data: callback_data.to_owned() })
    }
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
