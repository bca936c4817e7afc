//! What the owners of WhatsApp numbers keep, are asked, and say to connectors.

use chasqui_proto::v1::{
    CloseOwned, ContactWindow, FetchMedia, GetMessage, GetSession, HaltOwned, HaltTaken, LinkAnswer,
    LinkCommand, LinkConnected, LinkDisconnected, LinkEvent, LinkLoggedOut, LinkQr, LinkStarted, LinkTaken,
    LogOutLink, Media, Message, MessageRead, MessageStatus, NumberEntry, OpenOwned, OwnerRequest, PingLink,
    Priority, ReadMessage, Send, SendState, StartLink, StopLink, StoredMedia, directory_entry::Entry,
    link_command, link_event, owner_request,
};

use super::{
    Sample, error, message,
    people::{self, number_entry},
    sample, status, stored_message, tenant, token,
};

const AT_MS: i64 = 1_760_000_003_000;
const LATER_MS: i64 = 1_760_000_004_000;
const MESSAGE_ID: &str = "e53cc160-2dac-516e-8075-0e1dfd1ae3e6";
const OWNERSHIP: u64 = 17;

pub(crate) fn all() -> Vec<Sample> {
    use link_command::What as Told;
    use owner_request::What as Asked;
    let asked = |file, what| sample(file, &OwnerRequest { what: Some(what) });
    let told = |file, what| sample(file, &LinkCommand { ownership: OWNERSHIP, what: Some(what) });
    let became = |file, what| asked(file, Asked::Link(LinkEvent { what: Some(what), ownership: 0 }));
    let (reason, phone) = ("timeout".to_owned(), token());
    vec![
        sample("message-to-send", &message_to_send()),
        sample("message-status-callback", &status_callback()),
        sample("directory-number-pace", &people::entry(Entry::Number(paced()))),
        sample("send", &send()),
        sample("contact-window", &window()),
        sample("get-session", &GetSession { tenant: tenant(), session: session() }),
        sample("read-message", &read()),
        sample("message-read", &MessageRead {}),
        sample("fetch-media", &fetch()),
        sample("stored-media", &stored()),
        asked("owner-open", Asked::Open(OpenOwned {})),
        asked("owner-close", Asked::Close(CloseOwned {})),
        asked("owner-read", Asked::Read(read())),
        asked("owner-fetch", Asked::Fetch(fetch())),
        became("link-qr", link_event::What::Qr(LinkQr { code: "2@abc".to_owned(), expires_at_ms: LATER_MS })),
        became("link-connected", link_event::What::Connected(LinkConnected { phone })),
        became("link-disconnected", link_event::What::Disconnected(LinkDisconnected { reason })),
        became("link-logged-out", link_event::What::LoggedOut(LinkLoggedOut { reason: "user".to_owned() })),
        sample("start-link", &StartLink { tenant: tenant(), session: session(), ownership: OWNERSHIP }),
        sample("link-started", &LinkStarted { connector: "connector-1".to_owned() }),
        told("link-send", Told::Send(message())),
        told("link-read", Told::Read(read())),
        told("link-fetch", Told::Fetch(fetch())),
        told("link-log-out", Told::LogOut(LogOutLink {})),
        told("link-stop", Told::Stop(StopLink {})),
        told("link-ping", Told::Ping(PingLink {})),
        sample("link-answer", &answer()),
        sample("link-taken", &LinkTaken {}),
        sample("get-message", &GetMessage { tenant: tenant(), message_id: MESSAGE_ID.to_owned() }),
        sample("stored-message", &stored_message()),
        asked("owner-halt", Asked::Halt(halt())),
        sample("halt-taken", &HaltTaken {}),
        asked("link-event-owned", Asked::Link(LinkEvent { what: None, ownership: OWNERSHIP })),
    ]
}

fn session() -> String {
    "main".to_owned()
}

fn message_to_send() -> Message {
    Message {
        priority: Priority::Campaign.into(),
        fallback: br#"{"name":"saludo","language":{"code":"es_AR"}}"#.as_slice().into(),
        callback_data: "order 7".to_owned(),
        expires_at_ms: LATER_MS,
        ..message()
    }
}

fn status_callback() -> MessageStatus {
    MessageStatus { callback_data: "order 7".to_owned(), ..status() }
}

fn paced() -> NumberEntry {
    NumberEntry { messages_per_second_max: 20, ..number_entry() }
}

fn send() -> Send {
    Send {
        message_id: MESSAGE_ID.to_owned(),
        tenant: tenant(),
        conversation: token(),
        session: session(),
        state: SendState::Uncertain.into(),
        owner: "whatsapp-1".to_owned(),
        attempts: 2,
        changed_at_ms: AT_MS,
        next_at_ms: LATER_MS,
        provider_id: "wamid.A".to_owned(),
        error: Some(error()),
        fallback: true,
        message_seq: 42,
    }
}

fn window() -> ContactWindow {
    ContactWindow {
        last_in_at_ms: AT_MS,
        message_id: MESSAGE_ID.to_owned(),
        provider_message_id: "wamid.A".to_owned(),
    }
}

fn read() -> ReadMessage {
    ReadMessage {
        tenant: tenant(),
        session: session(),
        provider_message_id: "wamid.A".to_owned(),
        typing: true,
    }
}

fn halt() -> HaltOwned {
    HaltOwned { campaigns: true, reason: "spam limit (131048)".to_owned() }
}

fn fetch() -> FetchMedia {
    FetchMedia {
        tenant: tenant(),
        session: session(),
        message_id: MESSAGE_ID.to_owned(),
        media: Some(Media {
            id: "900000000000009".to_owned(),
            mime_type: "image/jpeg".to_owned(),
            ..Media::default()
        }),
    }
}

fn stored() -> StoredMedia {
    StoredMedia {
        id: MESSAGE_ID.to_owned(),
        mime_type: "image/jpeg".to_owned(),
        filename: "foto.jpg".to_owned(),
        size_bytes: 123_456,
        sha256: "29ed500fa64eb55fc19dc4124acb300e5dcca0f822a301ae99944db20d5f2e5d".to_owned(),
    }
}

fn answer() -> LinkAnswer {
    LinkAnswer {
        error: Some(error()),
        provider_id: "3EB0A1".to_owned(),
        content: b"\x89PNG".as_slice().into(),
        mime_type: "image/png".to_owned(),
    }
}
