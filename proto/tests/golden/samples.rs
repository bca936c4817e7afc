//! One payload of each kind, with every field set. What is written here is frozen: a new field gets a new sample.

use chasqui_proto::v1::{
    Alias, AliasKind, Canary, Channel, ChannelKind, Choice, Contact, ContactFound, Context, Conversation,
    ConversationPage, Count, Direction, EventPage, FindContact, GetConversation, GetStats, ListConversations,
    ListEvents, ListMessages, ListUndelivered, Location, MarkRead, Media, Message, MessagePage,
    MessageStatus, MessageType, ProviderError, ProviderNotice, SenderType, Stats, Status, StoredEvent,
    StoredMessage, UndeliveredPage, stored_event::Fact,
};
use prost::Name;

#[path = "samples/bot.rs"]
mod bot;
#[path = "samples/campaign.rs"]
mod campaign;
#[path = "samples/forward.rs"]
mod forward;
#[path = "samples/people.rs"]
mod people;
#[path = "samples/webhook.rs"]
mod webhook;
#[path = "samples/whatsapp.rs"]
mod whatsapp;

/// A payload as it is frozen.
pub(crate) struct Sample {
    /// The name of its files.
    pub(crate) file: &'static str,
    /// The full name of its type.
    pub(crate) type_name: String,
    /// Its encoding.
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn sample<P: Name>(file: &'static str, payload: &P) -> Sample {
    Sample { file, type_name: P::full_name(), bytes: payload.encode_to_vec() }
}

/// Every sample. Add to the end; never change one.
pub(crate) fn all() -> Vec<Sample> {
    vec![
        sample("message", &message()),
        sample("message-status", &status()),
        sample("provider-notice", &notice()),
        sample("conversation", &conversation()),
        sample("stats", &stats()),
        sample("canary", &Canary { node: "edge-1".to_owned(), sent_at_ms: SENT_AT_MS }),
        sample("list-conversations", &ListConversations { tenant: tenant(), cursor: cursor(), limit: 50 }),
        sample(
            "conversation-page",
            &ConversationPage { conversations: vec![conversation()], next: cursor() },
        ),
        sample("get-conversation", &GetConversation { tenant: tenant(), conversation: token() }),
        sample(
            "list-messages",
            &ListMessages { tenant: tenant(), conversation: token(), cursor: cursor(), limit: 20 },
        ),
        sample("message-page", &MessagePage { messages: vec![stored_message()], next: cursor() }),
        sample(
            "list-events",
            &ListEvents { tenant: tenant(), conversation: token(), after_seq: 41, limit: 500 },
        ),
        sample("event-page", &event_page()),
        sample("list-undelivered", &ListUndelivered { tenant: tenant(), conversation: token(), limit: 100 }),
        sample("undelivered-page", &UndeliveredPage { messages: vec![stored_message()], watermark_seq: 44 }),
        sample("get-stats", &GetStats { tenant: tenant() }),
        sample("mark-read", &MarkRead { tenant: tenant(), conversation: token() }),
        sample("find-contact", &FindContact {}),
        sample("contact-found", &ContactFound { node: "edge-1".to_owned(), absent: false }),
    ]
    .into_iter()
    .chain(people::all())
    .chain(forward::all())
    .chain(whatsapp::all())
    .chain(webhook::all())
    .chain(bot::all())
    .chain(campaign::all())
    .collect()
}

const OCCURRED_AT_MS: i64 = 1_760_000_000_123;
const RECEIVED_AT_MS: i64 = 1_760_000_000_456;
const SENT_AT_MS: i64 = 1_760_000_000_789;

pub(crate) fn tenant() -> String {
    "default".to_owned()
}

pub(crate) fn token() -> String {
    "5491100000001".to_owned()
}

pub(crate) fn cursor() -> String {
    "MTc2MDAwMDAwMDEyMzo0Mg".to_owned()
}

fn contact() -> Contact {
    let alias = |kind: AliasKind, value: &str| Alias { kind: kind.into(), value: value.to_owned() };
    Contact {
        aliases: vec![
            alias(AliasKind::Phone, "5491100000001"),
            alias(AliasKind::Bsuid, "US.13491208655302741918"),
            alias(AliasKind::Lid, "123456789012345"),
            alias(AliasKind::Web, "visitor 7"),
        ],
        name: "Contacto Ñandú".to_owned(),
        username: "contacto.uno".to_owned(),
        photo_url: "https://example.com/contacto.jpg".to_owned(),
    }
}

fn channel() -> Channel {
    Channel {
        kind: ChannelKind::WhatsappCloud.into(),
        id: "100000000000001".to_owned(),
        display_phone_number: "5491100000099".to_owned(),
        account_id: "200000000000002".to_owned(),
    }
}

fn error() -> ProviderError {
    ProviderError {
        code: 131_051,
        title: "Message type unknown".to_owned(),
        message: "Message type unknown".to_owned(),
        details: "Message type is currently not supported.".to_owned(),
    }
}

fn message() -> Message {
    Message {
        id: "e53cc160-2dac-516e-8075-0e1dfd1ae3e6".to_owned(),
        tenant: tenant(),
        conversation: token(),
        contact: Some(contact()),
        channel: Some(channel()),
        direction: Direction::In.into(),
        sender_type: SenderType::User.into(),
        sender_id: "agent-7".to_owned(),
        r#type: MessageType::Image.into(),
        text: "Mirá 👀".to_owned(),
        media: Some(Media {
            id: "900000000000009".to_owned(),
            mime_type: "image/jpeg".to_owned(),
            sha256: "29ed500fa64eb55fc19dc4124acb300e5dcca0f822a301ae99944db20d5f2e5d".to_owned(),
            filename: "foto.jpg".to_owned(),
            url: "https://example.com/foto.jpg".to_owned(),
            voice: true,
            animated: true,
            size_bytes: 123_456,
        }),
        context: Some(Context {
            message_id: "0ccc3c6c-0d67-578e-ba28-43109c020d32".to_owned(),
            provider_message_id: "wamid.B".to_owned(),
            from: "5491100000099".to_owned(),
            forwarded: true,
            frequently_forwarded: true,
        }),
        choice: Some(Choice {
            kind: "list_reply".to_owned(),
            id: "plan-2".to_owned(),
            title: "Plan 2".to_owned(),
            description: "El de siempre".to_owned(),
        }),
        location: Some(Location {
            latitude: -34.603_72,
            longitude: -58.381_59,
            name: "Obelisco".to_owned(),
            address: "Av. 9 de Julio".to_owned(),
            url: "https://example.com/obelisco".to_owned(),
        }),
        emoji: "👍".to_owned(),
        provider_id: "wamid.A".to_owned(),
        provider_type: "image".to_owned(),
        errors: vec![error()],
        raw: br#"{"id":"wamid.A","type":"image"}"#.as_slice().into(),
        occurred_at_ms: OCCURRED_AT_MS,
        received_at_ms: RECEIVED_AT_MS,
        ..Message::default()
    }
}

pub(crate) fn status() -> MessageStatus {
    MessageStatus {
        id: "7b3f9a52-5a3c-5d83-8b43-3b4c7d8a0f11".to_owned(),
        tenant: tenant(),
        conversation: token(),
        message_id: "e53cc160-2dac-516e-8075-0e1dfd1ae3e6".to_owned(),
        provider_message_id: "wamid.A".to_owned(),
        status: Status::Delivered.into(),
        recipient: contact().aliases,
        channel: Some(channel()),
        errors: vec![error()],
        raw: br#"{"id":"wamid.A","status":"delivered"}"#.as_slice().into(),
        occurred_at_ms: OCCURRED_AT_MS,
        received_at_ms: RECEIVED_AT_MS,
        reader_id: String::new(),
        ..MessageStatus::default()
    }
}

fn notice() -> ProviderNotice {
    ProviderNotice {
        id: "0ccc3c6c-0d67-578e-ba28-43109c020d32".to_owned(),
        tenant: tenant(),
        channel: Some(channel()),
        field: "message_template_status_update".to_owned(),
        errors: vec![error()],
        raw: br#"{"event":"REJECTED"}"#.as_slice().into(),
        received_at_ms: RECEIVED_AT_MS,
    }
}

fn conversation() -> Conversation {
    Conversation {
        id: "2ae0196f-15cf-5517-a33e-8d03afa6cbbe".to_owned(),
        tenant: tenant(),
        token: token(),
        number: 1_508_543_608_044_010,
        contact: Some(contact()),
        channel: Some(channel()),
        unread_count: 3,
        last_message: Some(message()),
        last_message_status: Status::Read.into(),
        last_message_at_ms: OCCURRED_AT_MS,
        started_at_ms: OCCURRED_AT_MS,
        ai_active: true,
        personality_id: "amable".to_owned(),
        no_ac_ai: true,
        version: 17,
        updated_at_ms: RECEIVED_AT_MS,
        ..Conversation::default()
    }
}

fn stats() -> Stats {
    let count = |name: &str, count| Count { name: name.to_owned(), count };
    Stats {
        tenant: tenant(),
        messages_in: 100,
        messages_out: 90,
        conversations: 12,
        unread: 3,
        by_status: vec![count("delivered", 60), count("read", 30)],
        by_sender_type: vec![count("user", 100), count("ai", 80), count("agent", 10)],
        response_time_mean_ms: 1_200,
        response_time_max_ms: 61_000,
        responses: 80,
        updated_at_ms: RECEIVED_AT_MS,
    }
}

fn stored_message() -> StoredMessage {
    StoredMessage { message: Some(message()), status: Status::Played.into(), seq: 42 }
}

fn event_page() -> EventPage {
    EventPage {
        events: vec![
            StoredEvent { seq: 42, fact: Some(Fact::Message(message())) },
            StoredEvent { seq: 43, fact: Some(Fact::Status(status())) },
        ],
        watermark_seq: 44,
        truncated: true,
        conversations: vec![conversation()],
    }
}
