use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::Response,
};
use chasqui_kit::clock;
use chasqui_proto::{
    ConversationToken, MessageId, address, service,
    v1::{
        Alias, AliasKind, Channel, Contact, Direction, Message, MessageType, NumberEntry, Priority,
        ReadMessage,
    },
};
use serde_json::{Map, Value, json};

use super::{CloudDoor, DoorError, MESSAGES_PATH, Visitor, openapi};
use crate::{
    idempotency,
    outgoing::{Outgoing, OutgoingError, Part},
    publication::PublicationError,
    request_body, sessions,
};

/// The largest body: a list or a template with every text at its limit, several times over.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// The longest id of a message, characters.
const MESSAGE_ID_LENGTH_MAX: usize = 128;

/// What a client asks for under `/messages`.
#[derive(Debug)]
enum Asked {
    Send(Box<Letter>),
    Read {
        /// WhatsApp's.
        message_id: String,
        typing: bool,
    },
}

/// Send a message, or mark one as read
///
/// Bodies and answers are the Cloud API's. 200 means that the message is stored; what becomes of it is told by statuses.
#[utoipa::path(
    post, operation_id = "cloud_api_messages", path = MESSAGES_PATH, tag = "cloud-api", security(("bearer" = [])),
    request_body(content = openapi::CloudMessage),
    params(
        ("version" = String, Path, description = "Any, such as `21.0`"),
        ("phone_number_id" = String, Path, description = "One of the tenant's numbers"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same message is sent once; 1 to 255 characters"),
    ),
    responses(
        (status = 200, description = "Stored; `{\"success\":true}` for a message marked as read", body = openapi::CloudAccepted),
        (status = 400, description = "The body is wrong (100, 131008, 131009, 131051), or the number is unknown (100, subcode 33)", body = openapi::CloudError),
        (status = 401, description = "The key is missing or refused (190)", body = openapi::CloudError),
        (status = 403, description = "The key has no scope `send` (10)", body = openapi::CloudError),
        (status = 429, description = "Too fast (130429)", body = openapi::CloudError),
        (status = 503, description = "Not stored; try again (2)", body = openapi::CloudError),
    )
)]
pub(crate) async fn receive(
    State(door): State<Arc<CloudDoor>>,
    visitor: Visitor,
    request: Request,
) -> Response {
    let outcome = take(&door, &visitor, request).await;
    visitor.answer(outcome)
}

async fn take(door: &CloudDoor, visitor: &Visitor, request: Request) -> Result<Value, DoorError> {
    let number = visitor.number(door).await?;
    let (parts, body) = request.into_parts();
    let id = idempotency::message_id(&parts.headers, &["cloud-api", visitor.tenant().as_str(), &number.id])?;
    let body = request_body::read(body, BODY_BYTES_MAX).await?;
    let body: Map<String, Value> = serde_json::from_slice(&body).map_err(|_| DoorError::NotAnObject)?;
    match Asked::read(&body, visitor)? {
        Asked::Send(letter) => send(door, visitor, &number, id, *letter).await,
        Asked::Read { message_id, typing } => mark_read(door, visitor, number, message_id, typing).await,
    }
}

/// A message and whom it goes to.
#[derive(Debug)]
struct Letter {
    /// The recipient as it was written, which is said again in the answer.
    input: String,
    recipient: Alias,
    content: Outgoing,
}

impl Asked {
    fn read(body: &Map<String, Value>, visitor: &Visitor) -> Result<Self, OutgoingError> {
        let part = Part::root(body);
        if part.text("messaging_product", 1..=64)? != "whatsapp" {
            return Err(part.value_of("messaging_product", "be whatsapp"));
        }
        if let Some(status) = part.optional_text("status", 1..=64)? {
            if status != "read" {
                return Err(part.value_of("status", "be read"));
            }
            return Self::marked(&part);
        }
        if part.optional_text("recipient_type", 1..=64)?.is_some_and(|kind| kind != "individual") {
            return Err(part.value_of("recipient_type", "be individual: groups cannot be written to"));
        }
        let (input, recipient) = recipient(&part)?;
        let content = Outgoing::read(body, visitor.tenant())?;
        Ok(Self::Send(Box::new(Letter { input, recipient, content })))
    }

    fn marked(part: &Part<'_>) -> Result<Self, OutgoingError> {
        let message_id = part.text("message_id", 1..=MESSAGE_ID_LENGTH_MAX)?.to_owned();
        if MessageId::of_wamid(&message_id).is_some() {
            return Err(part.value_of("message_id", "be of a message that the contact wrote"));
        }
        let typing = part.optional_object("typing_indicator")?;
        if let Some(typing) = &typing
            && typing.text("type", 1..=64)? != "text"
        {
            return Err(typing.value_of("type", "be text"));
        }
        Ok(Self::Read { message_id, typing: typing.is_some() })
    }
}

/// Whom it goes to, as it was written and as we know it: `to`, else `recipient`.
fn recipient(part: &Part<'_>) -> Result<(String, Alias), OutgoingError> {
    let given = |key: &str| match part.get(key) {
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        _ => Ok(part.optional_text(key, 1..=address::ADDRESS_LENGTH_MAX)?.map(str::to_owned)),
    };
    let read = |key: &str, input: String, kinds: &[AliasKind], expected: &str| {
        let alias = address::parse_address(&input).ok().filter(|alias| kinds.contains(&alias.kind()));
        alias.map(|alias| (input, alias)).ok_or_else(|| part.value_of(key, expected))
    };
    if let Some(input) = given("to")? {
        let kinds = [AliasKind::Phone, AliasKind::Bsuid, AliasKind::Lid];
        return read("to", input, &kinds, "be a phone number with its country code");
    }
    let input = given("recipient")?.ok_or_else(|| part.missing("to"))?;
    read("recipient", input, &[AliasKind::Bsuid], "be a business-scoped user id")
}

fn accepted(id: MessageId, input: &str, recipient: &Alias) -> Value {
    let (key, address) = match recipient.kind() {
        AliasKind::Phone => ("wa_id", recipient.value.clone()),
        _ => ("user_id", address::external_id(recipient)),
    };
    json!({
        "messaging_product": "whatsapp",
        "contacts": [{ "input": input, key: address }],
        "messages": [{ "id": id.to_wamid(), "message_status": "accepted" }],
    })
}

async fn send(
    door: &CloudDoor,
    visitor: &Visitor,
    number: &NumberEntry,
    id: MessageId,
    letter: Letter,
) -> Result<Value, DoorError> {
    let (tenant, trace) = (visitor.tenant(), visitor.trace);
    let Letter { input, recipient, content } = letter;
    let accepted = accepted(id, &input, &recipient);
    let looked_up = door.publication.addresses().conversation(tenant, &recipient).await;
    let conversation = looked_up.map_err(PublicationError::from)?;
    // A template begins a conversation; answers go before it.
    let is_template = content.kind() == MessageType::Template;
    let priority = if is_template { Priority::Transactional } else { Priority::Unspecified };
    let envelope = envelope(visitor, number, id, recipient, &conversation);
    let message = content.fill(Message { priority: priority.into(), ..envelope });
    let stored = door.publication.publish_out(&message, trace).await?;
    let (kind, priority) = (message.r#type().name(), message.priority().name());
    let result = if stored.duplicate { "duplicate" } else { "stored" };
    metrics::counter!("chasqui_ingest_sends_total", "type" => kind, "priority" => priority, "result" => result)
        .increment(1);
    tracing::info!(
        message = message.id,
        number = number.id,
        trace = trace.trace_id(),
        result,
        "a message goes out"
    );
    Ok(accepted)
}

/// A message without its content.
fn envelope(
    visitor: &Visitor,
    number: &NumberEntry,
    id: MessageId,
    recipient: Alias,
    conversation: &ConversationToken,
) -> Message {
    let now_ms = clock::now_ms();
    let (sender_type, sender_id) = visitor.caller.sender();
    let channel = Channel {
        display_phone_number: number.display_phone_number.clone(),
        account_id: number.account_id.clone(),
        ..sessions::channel(&number.id)
    };
    Message {
        id: id.to_string(),
        tenant: number.tenant.clone(),
        conversation: conversation.to_string(),
        contact: Some(Contact { aliases: vec![recipient], ..Contact::default() }),
        channel: Some(channel),
        direction: Direction::Out.into(),
        sender_type: sender_type.into(),
        sender_id,
        occurred_at_ms: now_ms,
        received_at_ms: now_ms,
        ..Message::default()
    }
}

async fn mark_read(
    door: &CloudDoor,
    visitor: &Visitor,
    number: NumberEntry,
    provider_message_id: String,
    typing: bool,
) -> Result<Value, DoorError> {
    let question = ReadMessage { tenant: number.tenant, session: number.id, provider_message_id, typing };
    door.publication.bus().ask(service::WHATSAPP_READ, &question, visitor.trace).await?;
    Ok(json!({ "success": true }))
}
