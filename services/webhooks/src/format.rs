//! Events as listeners read them. Pure.

mod chasqui;
mod client;
mod cloud_api;
mod verbatim;

use chasqui_proto::{
    Tenant,
    v1::{
        Alias, AliasKind, Channel, Contact, Delivery, ListenerFormat, Media, SessionStatus, delivery::Fact,
    },
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The file of a message, as far as it is not the provider's affair.
#[derive(Debug, Default)]
pub(crate) struct File {
    /// What it is called in our store, under which clients find it.
    pub(crate) id: Option<String>,
    /// Where it can be read.
    pub(crate) url: Option<String>,
}

impl File {
    /// Its id: ours, or else what is known.
    fn id<'a>(&'a self, media: &'a Media) -> &'a str {
        self.id.as_deref().unwrap_or(&media.id)
    }
}

/// The body of a delivery. `file` is that of its message.
pub(crate) fn render(delivery: &Delivery, format: ListenerFormat, file: &File) -> Vec<u8> {
    let Some(fact) = &delivery.fact else { return Vec::new() };
    let event = Told { name: &delivery.event, tenant: &delivery.tenant, fact, file };
    match format {
        ListenerFormat::CloudApi => cloud_api::render(&event),
        ListenerFormat::Chasqui => chasqui::render(&event).to_string().into_bytes(),
        ListenerFormat::Client | ListenerFormat::Unspecified => {
            client::render(&event).to_string().into_bytes()
        }
    }
}

/// What is told, in whichever form.
struct Told<'a> {
    name: &'a str,
    tenant: &'a str,
    fact: &'a Fact,
    file: &'a File,
}

impl Told<'_> {
    fn tenant(&self) -> Option<Tenant> {
        self.tenant.parse().ok()
    }
}

/// An address as WhatsApp clients write it.
fn jid(alias: &Alias) -> String {
    match alias.kind() {
        AliasKind::Phone => format!("{}@c.us", alias.value),
        AliasKind::Lid => format!("{}@lid", alias.value),
        AliasKind::Bsuid | AliasKind::Web | AliasKind::Unspecified => alias.value.clone(),
    }
}

/// The contact's address, its number where it is known.
fn address(aliases: &[Alias]) -> String {
    let phone = aliases.iter().find(|alias| alias.kind() == AliasKind::Phone);
    phone.or(aliases.first()).map(jid).unwrap_or_default()
}

fn contact_address(contact: Option<&Contact>) -> String {
    contact.map(|contact| address(&contact.aliases)).unwrap_or_default()
}

/// The tenant's own address: its number where it is known.
fn own_address(channel: Option<&Channel>) -> String {
    let Some(channel) = channel else { return String::new() };
    let digits: String = channel.display_phone_number.chars().filter(char::is_ascii_digit).collect();
    if digits.is_empty() { channel.id.clone() } else { format!("{digits}@c.us") }
}

fn is_connected(status: SessionStatus) -> bool {
    status == SessionStatus::Connected
}

/// A time as ISO 8601, to the millisecond.
fn iso(at_ms: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at_ms) * 1_000_000);
    at.ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

#[cfg(test)]
mod golden {
    //! One message, status and session, in every form.

    use chasqui_proto::v1::{
        Channel, ChannelKind, Direction, Media, Message, MessageStatus, MessageType, ProviderError,
        SenderType, Session, Status,
    };
    use serde_json::Value;

    use super::*;

    pub(super) const WAMID: &str = "wamid.HBgNNTQ5MTEwMDAwMDAwMRUCABIYFDNBMzQ=";

    /// What came with a message is called as the message is.
    pub(super) const FILE: &str = "018f4e6e-7d55-7c7e-8a7b-0d3b5c1f2a10";

    fn channel() -> Channel {
        Channel {
            kind: ChannelKind::WhatsappCloud.into(),
            id: "100000000000001".to_owned(),
            display_phone_number: "+54 911 0000-0099".to_owned(),
            account_id: "200000000000001".to_owned(),
        }
    }

    fn phone() -> Alias {
        chasqui_proto::address::phone("5491100000001")
    }

    pub(super) fn message() -> Message {
        let bsuid = Alias { kind: AliasKind::Bsuid.into(), value: "AR.13491208655302741918".to_owned() };
        Message {
            id: "018f4e6e-7d55-7c7e-8a7b-0d3b5c1f2a10".to_owned(),
            tenant: "default".to_owned(),
            conversation: "5491100000001".to_owned(),
            contact: Some(Contact {
                aliases: vec![bsuid, phone()],
                name: "Contact".to_owned(),
                ..Contact::default()
            }),
            channel: Some(channel()),
            direction: Direction::In.into(),
            sender_type: SenderType::User.into(),
            r#type: MessageType::Image.into(),
            text: "¡hola! 👋".to_owned(),
            media: Some(Media {
                id: "300000000000001".to_owned(),
                mime_type: "image/jpeg".to_owned(),
                ..Media::default()
            }),
            provider_id: WAMID.to_owned(),
            occurred_at_ms: 1_700_000_000_500,
            received_at_ms: 1_700_000_000_700,
            ..Message::default()
        }
    }

    pub(super) fn status() -> MessageStatus {
        MessageStatus {
            id: "s1".to_owned(),
            tenant: "default".to_owned(),
            conversation: "5491100000001".to_owned(),
            message_id: "018f4e6e-7d55-7c7e-8a7b-0d3b5c1f2a11".to_owned(),
            provider_message_id: WAMID.to_owned(),
            status: Status::Failed.into(),
            recipient: vec![phone()],
            channel: Some(channel()),
            errors: vec![ProviderError {
                code: 131_047,
                title: "Re-engagement message".to_owned(),
                message: "Re-engagement message".to_owned(),
                details: "More than 24 hours have passed".to_owned(),
            }],
            callback_data: "order-7".to_owned(),
            occurred_at_ms: 1_700_000_001_000,
            ..MessageStatus::default()
        }
    }

    pub(super) fn session() -> Session {
        Session {
            tenant: "default".to_owned(),
            id: "main".to_owned(),
            status: SessionStatus::Connected.into(),
            phone: "5491100000099".to_owned(),
            updated_at_ms: 1_700_000_002_000,
            ..Session::default()
        }
    }

    pub(super) fn file() -> File {
        let url = format!("https://chat.example.com/media/default/{FILE}");
        File { id: Some(FILE.to_owned()), url: Some(url) }
    }

    pub(super) fn check(format: ListenerFormat, event: &str, fact: Fact, expected: &Value) {
        let delivery = Delivery {
            tenant: "default".to_owned(),
            event: event.to_owned(),
            fact: Some(fact),
            ..Delivery::default()
        };
        let body = render(&delivery, format, &file());
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(&body, expected, "{body:#}");
    }
}
