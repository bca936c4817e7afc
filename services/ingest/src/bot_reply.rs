//! `/api/bot-reply`: what a bot answers, on its way to the contact's web widget.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Request, State},
    http::HeaderMap,
    response::{IntoResponse, Response},
    routing::post,
};
use chasqui_kit::{Code, Coded, TraceContext, clock, publish::Fact};
use chasqui_proto::{
    ConversationToken, MessageId, Tenant, address, subject,
    v1::{Alias, Channel, ChannelKind, Contact, Direction, Message, MessageType, Responder, SenderType},
};
use chasqui_responder::{Responders, RespondersError};
use serde_json::{json, value::RawValue};

use crate::{
    admission::{Admission, AdmissionError},
    doorbell,
    idempotency::{self, InvalidKey},
    object::Object,
    openapi::{BotReplyBody, Refusal, Told},
    publication::{Publication, PublicationError},
    refusal::{refuse, refuse_with},
    request_body::{self, BodyError},
};

const PATH: &str = "/api/bot-reply";

/// The longest text that WhatsApp would take, characters.
const TEXT_LENGTH_MAX: usize = 4_096;
/// Room for that text with every character escaped, and more.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// What the handler needs.
#[derive(Debug)]
pub(crate) struct BotReply {
    pub(crate) admission: Admission,
    pub(crate) responders: Responders,
    pub(crate) publication: Arc<Publication>,
}

/// A reply that can be stored.
#[derive(Debug, PartialEq)]
struct Reply {
    contact: Alias,
    text: String,
    /// The same for a repeated request where the caller says that it is one.
    id: MessageId,
}

/// Why a reply was not taken.
#[derive(Debug, thiserror::Error)]
enum BotReplyError {
    #[error(transparent)]
    Admission(#[from] AdmissionError),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("the body is not a JSON object")]
    NotAnObject,
    #[error("Faltan los parámetros targetUserWhatsAppNumber o messageText")]
    Missing,
    #[error("targetUserWhatsAppNumber: {0}")]
    Address(#[from] address::InvalidAddress),
    #[error("messageText must not be longer than {TEXT_LENGTH_MAX} characters")]
    TextTooLong,
    #[error(transparent)]
    IdempotencyKey(#[from] InvalidKey),
    #[error("the contact is answered by {}", .0.name())]
    NotAsked(Responder),
    #[error(transparent)]
    Responders(#[from] RespondersError),
    #[error(transparent)]
    Publication(#[from] PublicationError),
}

impl Coded for BotReplyError {
    fn code(&self) -> Code {
        match self {
            Self::Admission(error) => error.code(),
            Self::Body(error) => error.code(),
            Self::NotAnObject | Self::Missing | Self::Address(_) | Self::TextTooLong => Code::InvalidInput,
            Self::IdempotencyKey(error) => error.code(),
            Self::NotAsked(_) => Code::Conflict,
            Self::Responders(error) => error.code(),
            Self::Publication(error) => error.code(),
        }
    }
}

pub(crate) fn routes(bot_reply: BotReply) -> Router {
    Router::new().route(PATH, post(receive)).with_state(Arc::new(bot_reply))
}

/// A bot's answer, on its way to the contact's web widget
#[utoipa::path(
    post, operation_id = "bot_reply", path = PATH, tag = "machines", security(("key" = []), ()),
    request_body(content = BotReplyBody),
    params(("Idempotency-Key" = Option<String>, Header, description = "The same message is stored once; 1 to 255 characters")),
    responses(
        (status = 200, description = "Stored, and the contact has a widget open", body = Told),
        (status = 404, description = "Stored, and it waits: the contact is not connected", body = Told),
        (status = 400, description = "A parameter is missing or wrong", body = Refusal),
        (status = 401, description = "The key is missing or refused", body = Refusal),
        (status = 403, description = "The key is for something else", body = Refusal),
        (status = 409, description = "Not stored: in this conversation a person or the built-in bot answers", body = Told),
        (status = 413, description = "The body is larger than 64 KiB", body = Refusal),
        (status = 503, description = "Not stored; try again", body = Told),
    )
)]
pub(crate) async fn receive(State(bot_reply): State<Arc<BotReply>>, request: Request) -> Response {
    let trace = TraceContext::of_http(request.headers());
    let error = match take(&bot_reply, request, trace).await {
        Ok(true) => {
            let body = json!({ "success": true, "message": "Mensaje reenviado al cliente." });
            return Json(body).into_response();
        }
        Ok(false) => {
            let message = "El cliente no está conectado por WebSocket.";
            return refuse_with(Code::NotFound, json!({ "success": false, "message": message }));
        }
        Err(error) => error,
    };
    tracing::warn!(%error, trace = trace.trace_id(), "a bot reply was refused");
    if let BotReplyError::NotAsked(responder) = error {
        let message = not_asked(responder);
        return refuse_with(error.code(), json!({ "success": false, "message": message }));
    }
    match error.code() {
        code @ (Code::Unavailable | Code::Timeout | Code::Internal) => {
            let message = "El mensaje no se pudo guardar; inténtelo de nuevo.";
            refuse_with(code, json!({ "success": false, "message": message }))
        }
        _ => refuse(&error),
    }
}

/// Stores a reply, and tells whether the contact has a socket anywhere.
async fn take(bot_reply: &BotReply, request: Request, trace: TraceContext) -> Result<bool, BotReplyError> {
    let (parts, body) = request.into_parts();
    let tenant = bot_reply.admission.sender(&parts.headers)?;
    let body = request_body::read(body, BODY_BYTES_MAX).await?;
    let publication = &bot_reply.publication;
    let reply = read(&body, &parts.headers, &tenant)?;
    let looked_up = publication.addresses().conversation(&tenant, &reply.contact).await;
    let conversation = looked_up.map_err(PublicationError::from)?;
    let responder = bot_reply.responders.of(&tenant, &conversation).await?.responder;
    if responder != Responder::External {
        metrics::counter!("chasqui_ingest_bot_replies_refused_total", "responder" => responder.name())
            .increment(1);
        return Err(BotReplyError::NotAsked(responder));
    }
    let shown = address::masked(&reply.contact.value);
    let message = message(reply, &conversation, &tenant);
    let (stored, connected) = tokio::join!(
        store(publication, &tenant, &message, trace),
        doorbell::is_connected(publication.bus(), &tenant, &conversation, trace)
    );
    stored?;
    let trace = trace.trace_id();
    if connected {
        tracing::info!(contact = shown, message = message.id, trace, "a bot reply was forwarded to {shown}");
    } else {
        tracing::info!(
            contact = shown,
            message = message.id,
            trace,
            "a bot reply waits: {shown} is not connected"
        );
    }
    Ok(connected)
}

/// What a bot is told whose answer nobody asked for.
fn not_asked(responder: Responder) -> &'static str {
    if responder == Responder::Builtin {
        "El mensaje no se envió: en esta conversación responde el bot integrado."
    } else {
        "El mensaje no se envió: en esta conversación responde una persona."
    }
}

fn read(body: &[u8], headers: &HeaderMap, tenant: &Tenant) -> Result<Reply, BotReplyError> {
    let raw: &RawValue = serde_json::from_slice(body).map_err(|_| BotReplyError::NotAnObject)?;
    let object = Object::read(raw).ok_or(BotReplyError::NotAnObject)?;
    let given = |key: &str| object.text(key).filter(|text| !text.is_empty()).ok_or(BotReplyError::Missing);
    let (contact, text) = (given("targetUserWhatsAppNumber")?, given("messageText")?);
    if text.chars().count() > TEXT_LENGTH_MAX {
        return Err(BotReplyError::TextTooLong);
    }
    let id = idempotency::message_id(headers, &["bot-reply", tenant.as_str()])?;
    Ok(Reply { contact: address::parse_address(&contact)?, text, id })
}

fn message(reply: Reply, conversation: &ConversationToken, tenant: &Tenant) -> Message {
    let now_ms = clock::now_ms();
    Message {
        id: reply.id.to_string(),
        tenant: tenant.to_string(),
        conversation: conversation.to_string(),
        contact: Some(Contact { aliases: vec![reply.contact], ..Contact::default() }),
        channel: Some(Channel { kind: ChannelKind::Widget.into(), ..Channel::default() }),
        direction: Direction::Out.into(),
        sender_type: SenderType::Ai.into(),
        r#type: MessageType::Text.into(),
        text: reply.text,
        occurred_at_ms: now_ms,
        received_at_ms: now_ms,
        ..Message::default()
    }
}

async fn store(
    publication: &Publication,
    tenant: &Tenant,
    message: &Message,
    trace: TraceContext,
) -> Result<(), PublicationError> {
    let conversation = message.conversation.parse().expect("a message carries the text of a token");
    let subject = subject::messages_out(tenant, &conversation);
    let stored = publication.bus().publish(Fact::new(subject, message, &message.id, trace)).await?;
    let result = if stored.duplicate { "duplicate" } else { "stored" };
    metrics::counter!("chasqui_ingest_facts_total", "type" => "text", "result" => result).increment(1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> Tenant {
        "default".parse().unwrap()
    }

    fn check(body: &str, expected: &str) {
        let error = read(body.as_bytes(), &HeaderMap::new(), &tenant()).unwrap_err();
        assert!(error.to_string().contains(expected), "{body}: {error}");
        assert_eq!(error.code(), Code::InvalidInput);
    }

    #[test]
    fn kon_09_both_parameters_are_needed() {
        for body in [
            "{}",
            r#"{"targetUserWhatsAppNumber":"5491100000001"}"#,
            r#"{"targetUserWhatsAppNumber":"5491100000001","messageText":""}"#,
            r#"{"targetUserWhatsAppNumber":null,"messageText":"hola"}"#,
            r#"{"targetUserWhatsAppNumber":["5491100000001"],"messageText":"hola"}"#,
        ] {
            check(body, "Faltan los parámetros targetUserWhatsAppNumber o messageText");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        check("", "JSON");
        check("[]", "JSON object");
        check(r#"{"targetUserWhatsAppNumber":" ","messageText":"hola"}"#, "targetUserWhatsAppNumber");
        let long = format!(
            r#"{{"targetUserWhatsAppNumber":"5491100000001","messageText":"{}"}}"#,
            "ñ".repeat(TEXT_LENGTH_MAX + 1)
        );
        check(&long, "messageText");
    }

    #[test]
    fn kon_18_a_number_may_be_a_number() {
        let body = r#"{"targetUserWhatsAppNumber":5491100000001,"messageText":"hola"}"#;
        let reply = read(body.as_bytes(), &HeaderMap::new(), &tenant()).unwrap();
        assert_eq!((reply.contact, reply.text.as_str()), (address::phone("5491100000001"), "hola"));
    }

    #[test]
    fn the_same_key_is_the_same_message_within_a_tenant() {
        let id = |key: &str, tenant: &str| {
            let headers = HeaderMap::from_iter([("idempotency-key".parse().unwrap(), key.parse().unwrap())]);
            let body = br#"{"targetUserWhatsAppNumber":"5491100000001","messageText":"hola"}"#;
            let read = read(body, &headers, &tenant.parse().unwrap());
            read.map(|reply| reply.id).map_err(|error| error.to_string())
        };
        assert_eq!(id("a", "x"), id("a", "x"));
        assert_ne!(id("a", "x"), id("b", "x"));
        assert_ne!(id("a", "x"), id("a", "y"));
        assert!(id("", "x").is_err() && id(&"k".repeat(256), "x").is_err());
    }
}
