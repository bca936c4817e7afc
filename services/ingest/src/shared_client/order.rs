//! A message as a machine hands it in. Pure.

use bytes::Bytes;
use chasqui_proto::{
    ConversationToken, MessageId, Tenant, address,
    v1::{Alias, AliasKind, Contact, Direction, Message, Priority, SenderType, Session},
};
use serde_json::{Map, Value, json};

use crate::{
    admission::Caller,
    fields::{FieldError, Fields},
    machine::MachineError,
    outgoing::{self, Outgoing, OutgoingError},
    sessions::{self, SessionName},
};

/// The longest time after which a message need not be sent any more, seconds: as long as the stream keeps it.
const EXPIRY_SECS_MAX: i64 = 7 * 24 * 3600;

/// A message that can be stored, but for where it goes through.
#[derive(Debug, PartialEq)]
pub(super) struct Order {
    pub(super) to: Alias,
    pub(super) session: Option<SessionName>,
    content: Outgoing,
    priority: Option<Priority>,
    fallback: Bytes,
    expires_in_ms: Option<i64>,
    /// It answers a message.
    is_answer: bool,
}

/// Where a message goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way<'a> {
    pub(super) conversation: &'a ConversationToken,
    pub(super) session: &'a Session,
}

impl Order {
    /// Reads a body: `to` and `message`, or `to`, `type` and the content of that type as the Cloud API has it. What else
    /// stands there is passed over: clients of the original send more.
    pub(super) fn read(body: &[u8], tenant: &Tenant) -> Result<Self, MachineError> {
        let mut fields = Fields::read(body)?;
        let to = recipient(fields.text_or_number("to")?.as_deref())?;
        let session = fields.text("session")?.map(|name| name.parse()).transpose();
        let session = session
            .map_err(|invalid: sessions::InvalidSession| FieldError::new("session", invalid.to_string()))?;
        let priority = fields.text("priority")?.map(|name| priority(&name)).transpose()?;
        let expires_in_ms = expiry(fields.optional_number("expires_in_s")?)?;
        let template = fields.any("fallback_template").filter(|template| !template.is_null());
        let fallback = template.map(|template| outgoing::fallback(template, tenant)).transpose()?;
        let (content, is_plain) = content(fields)?;
        Ok(Self {
            to,
            session,
            is_answer: content.contains_key("context"),
            content: Outgoing::read(&content, tenant).map_err(|error| as_written(error, is_plain))?,
            priority,
            fallback: fallback.unwrap_or_default(),
            expires_in_ms,
        })
    }

    /// What it is, for metrics.
    pub(super) fn kind(&self) -> &'static str {
        self.content.kind().name()
    }

    /// The message, on its way, written by a caller.
    pub(super) fn message(self, id: MessageId, way: Way<'_>, caller: &Caller, now_ms: i64) -> Message {
        let (sender_type, sender_id) = caller.sender();
        // Whoever knows better says so: a machine that sends out of the blue is not answering anybody.
        let is_answer = self.is_answer || sender_type == SenderType::Agent;
        let usual = if is_answer { Priority::Reply } else { Priority::Transactional };
        self.content.fill(Message {
            id: id.to_string(),
            tenant: caller.tenant.to_string(),
            conversation: way.conversation.to_string(),
            contact: Some(Contact { aliases: vec![self.to], ..Contact::default() }),
            channel: Some(sessions::channel(&way.session.id)),
            direction: Direction::Out.into(),
            sender_type: sender_type.into(),
            sender_id,
            occurred_at_ms: now_ms,
            received_at_ms: now_ms,
            priority: self.priority.unwrap_or(usual).into(),
            fallback: self.fallback,
            expires_at_ms: self.expires_in_ms.map_or(0, |wait_ms| now_ms + wait_ms),
            ..Message::default()
        })
    }
}

/// SHC-07: whom WhatsApp can reach.
fn recipient(to: Option<&str>) -> Result<Alias, FieldError> {
    let must = "must be a phone number with its country code, such as 5491100000001 or 5491100000001@c.us";
    let alias =
        to.and_then(|to| address::parse_address(to).ok()).ok_or_else(|| FieldError::new("to", must))?;
    match alias.kind() {
        AliasKind::Phone | AliasKind::Lid | AliasKind::Bsuid => Ok(alias),
        AliasKind::Web | AliasKind::Unspecified => Err(FieldError::new("to", must)),
    }
}

fn priority(name: &str) -> Result<Priority, FieldError> {
    let known = Priority::of_name(name).filter(|priority| *priority != Priority::Unspecified);
    known.ok_or_else(|| FieldError::new("priority", "must be reply, transactional or campaign"))
}

fn expiry(seconds: Option<i64>) -> Result<Option<i64>, FieldError> {
    let Some(seconds) = seconds else { return Ok(None) };
    if !(1..=EXPIRY_SECS_MAX).contains(&seconds) {
        return Err(FieldError::new("expires_in_s", format!("must be 1 to {EXPIRY_SECS_MAX} seconds")));
    }
    Ok(Some(seconds * 1_000))
}

/// The content as the Cloud API has it, and whether it was a plain `message`, which is a text.
fn content(mut fields: Fields) -> Result<(Map<String, Value>, bool), FieldError> {
    let message = fields.text("message")?;
    let mut content = fields.rest();
    if let Some(data) = content.remove("callback_data") {
        content.insert("biz_opaque_callback_data".to_owned(), data);
    }
    match message {
        Some(_) if content.contains_key("type") => {
            Err(FieldError::new("message", "must stand without type; its text goes into text.body"))
        }
        Some(text) => {
            content.insert("type".to_owned(), json!("text"));
            content.insert("text".to_owned(), json!({ "body": text }));
            Ok((content, true))
        }
        None if content.contains_key("type") => Ok((content, false)),
        None => Err(FieldError::new("message", "is needed, or type and the content of that type")),
    }
}

/// The error with the names that the caller wrote.
fn as_written(error: OutgoingError, is_plain: bool) -> OutgoingError {
    let renamed = |path: String| match path.as_str() {
        "biz_opaque_callback_data" => "callback_data".to_owned(),
        "text.body" if is_plain => "message".to_owned(),
        _ => path,
    };
    match error {
        OutgoingError::Missing(path) => OutgoingError::Missing(renamed(path)),
        OutgoingError::Kind { path, expected } => OutgoingError::Kind { path: renamed(path), expected },
        OutgoingError::Value { path, expected } => OutgoingError::Value { path: renamed(path), expected },
        OutgoingError::Type(_) => error,
    }
}

#[cfg(test)]
mod tests {
    use chasqui_kit::{Code, Coded};
    use chasqui_proto::v1::{ChannelKind, MessageType};
    use proptest::prelude::*;

    use super::*;
    use crate::admission::Proof;

    const CONTACT: &str = "5491100000001";

    fn tenant() -> Tenant {
        "acme".parse().unwrap()
    }

    fn message(body: &Value, by: Proof) -> Message {
        let order = Order::read(body.to_string().as_bytes(), &tenant()).unwrap();
        let conversation = ConversationToken::of(&order.to);
        let session = Session { id: "haby".into(), ..Session::default() };
        let caller = Caller { tenant: tenant(), by };
        order.message(
            MessageId::now(),
            Way { conversation: &conversation, session: &session },
            &caller,
            1_000,
        )
    }

    fn refused(body: &Value, field: &str) {
        let error = Order::read(body.to_string().as_bytes(), &tenant()).unwrap_err();
        assert!(error.to_string().starts_with(field), "{body}: {error} should name {field}");
        assert_eq!(error.code(), Code::InvalidInput);
    }

    #[test]
    fn shc_03_a_number_and_a_text_are_enough() {
        let sent = message(&json!({ "to": CONTACT, "message": "hola" }), Proof::Configured);
        assert_eq!(
            (sent.r#type(), sent.text.as_str(), sent.conversation.as_str()),
            (MessageType::Text, "hola", CONTACT)
        );
        assert_eq!((sent.sender_type(), sent.priority()), (SenderType::Ai, Priority::Transactional));
        assert_eq!(sent.channel.unwrap().kind(), ChannelKind::WhatsappLinked);
        assert!(sent.raw.is_empty() && sent.expires_at_ms == 0);
    }

    #[test]
    fn shc_07_every_spelling_of_a_number_is_taken_and_nobody_else() {
        let spellings =
            [json!("5491100000001@c.us"), json!("+54 911 0000-0001"), json!(5_491_100_000_001_u64)];
        for to in spellings {
            assert_eq!(
                message(&json!({ "to": to, "message": "hola" }), Proof::Configured).conversation,
                CONTACT
            );
        }
        for (to, conversation) in
            [("123@lid", "lid_123"), ("AR.13491208655302741918", "bsuid_AR=2E13491208655302741918")]
        {
            let sent = message(&json!({ "to": to, "message": "hola" }), Proof::Configured);
            assert_eq!(sent.conversation, conversation);
        }
        for to in [json!(null), json!(""), json!("visitor-7"), json!("123"), json!(1.5)] {
            refused(&json!({ "to": to, "message": "hola" }), "to: must be a phone number");
        }
        refused(&json!({ "to": ["5491100000001"], "message": "hola" }), "to: must be text");
    }

    #[test]
    fn what_answers_goes_first_unless_its_sender_says_otherwise() {
        let check = |body: Value, by: Proof, expected: Priority| {
            let body = [json!({ "to": CONTACT, "message": "hola" }), body];
            let body: Map<String, Value> =
                body.iter().flat_map(|part| part.as_object().unwrap().clone()).collect();
            let sent = message(&Value::Object(body), by);
            assert_eq!(sent.priority(), expected);
        };
        let answer = json!({ "context": { "message_id": "wamid.A" } });
        check(answer, Proof::Configured, Priority::Reply);
        check(json!({}), Proof::Staff("u1".into()), Priority::Reply);
        check(json!({ "priority": "reply" }), Proof::Configured, Priority::Reply);
        check(json!({ "priority": "campaign" }), Proof::Staff("u1".into()), Priority::Campaign);
    }

    #[test]
    fn shc_14_whatever_the_cloud_api_takes_can_be_sent() {
        let template = json!({ "name": "hello", "language": { "code": "es" } });
        let sent = message(
            &json!({
                "to": CONTACT, "type": "image", "image": { "link": "https://example.org/a.png", "caption": "a" },
                "fallback_template": template, "callback_data": "order 7", "expires_in_s": 60,
            }),
            Proof::Key("k1".into()),
        );
        assert_eq!((sent.r#type(), sent.text.as_str()), (MessageType::Image, "a"));
        assert_eq!(serde_json::from_slice::<Value>(&sent.fallback).unwrap(), template);
        assert_eq!((sent.callback_data.as_str(), sent.expires_at_ms), ("order 7", 61_000));
        assert_eq!((sent.sender_type(), sent.sender_id.as_str()), (SenderType::Ai, "k1"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let with = |name: &str, value: Value| {
            let mut body = json!({ "to": CONTACT, "message": "hola" });
            body[name] = value;
            body
        };
        refused(&json!([]), "body: must be a JSON object");
        refused(&json!({ "to": CONTACT }), "message: is needed");
        refused(&with("message", json!("")), "message");
        refused(&with("message", json!(7)), "message: must be text");
        refused(&with("message", json!("ñ".repeat(4_097))), "message must have");
        refused(&with("type", json!("text")), "message: must stand without type");
        refused(&json!({ "to": CONTACT, "type": "fax", "fax": {} }), "type must be");
        refused(&json!({ "to": CONTACT, "type": "image", "image": {} }), "image");
        refused(&with("session", json!("a.b")), "session: must have");
        refused(&with("priority", json!("urgent")), "priority: must be");
        refused(&with("priority", json!("")), "priority: must be");
        for seconds in [json!(0), json!(-1), json!(604_801), json!("60"), json!(1.5)] {
            refused(&with("expires_in_s", seconds), "expires_in_s: must be");
        }
        refused(
            &with("fallback_template", json!({ "name": "hello" })),
            "fallback_template: template.language",
        );
        refused(&with("fallback_template", json!("hello")), "fallback_template: template");
        refused(&with("callback_data", json!("x".repeat(476))), "callback_data");
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in ".*", value in "\\PC{0,20}") {
            let _ = Order::read(body.as_bytes(), &tenant());
            for name in ["to", "message", "type", "session", "priority", "fallback_template", "context"] {
                let _ = Order::read(json!({ "to": CONTACT, "message": "m", name: value }).to_string().as_bytes(), &tenant());
                let _ = Order::read(json!({ "to": CONTACT, "type": value, name: { value.clone(): value } }).to_string().as_bytes(), &tenant());
            }
        }
    }
}
