//! The event that a listener gets when it is tried out.

use chasqui_proto::{
    Tenant, address,
    v1::{
        Channel, ChannelKind, Contact, Delivery, Direction, ListenerEntry, Message, MessageType, SenderType,
        delivery::Fact,
    },
};
use uuid::Uuid;

use crate::routing;

/// A made-up message. Nobody has this number.
const PHONE: &str = "5491100000000";

/// The event, for one listener.
pub(crate) fn of(tenant: &Tenant, listener: &ListenerEntry, now_ms: i64) -> Delivery {
    let contact = address::phone(PHONE);
    let message = Message {
        id: Uuid::now_v7().to_string(),
        tenant: tenant.to_string(),
        conversation: PHONE.to_owned(),
        contact: Some(Contact { aliases: vec![contact], name: "Test".to_owned(), ..Contact::default() }),
        channel: Some(Channel {
            kind: ChannelKind::WhatsappCloud.into(),
            id: "test".to_owned(),
            ..Channel::default()
        }),
        direction: Direction::In.into(),
        sender_type: SenderType::User.into(),
        r#type: MessageType::Text.into(),
        text: "This is a test.".to_owned(),
        occurred_at_ms: now_ms,
        received_at_ms: now_ms,
        ..Message::default()
    };
    Delivery {
        id: Uuid::now_v7().to_string(),
        tenant: tenant.to_string(),
        listener: listener.id.clone(),
        event: routing::TEST.to_owned(),
        fact: Some(Fact::Message(message)),
        created_at_ms: now_ms,
        ..Delivery::default()
    }
}
