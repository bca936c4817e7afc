//! Giving a conversation to people.

use chasqui_kit::{TraceContext, request::RequestError};
use chasqui_proto::{
    service::CHATS_OPEN,
    v1::{AliasKind, Chat, Contact, OpenChat},
};

use crate::{office::Office, place::Place};

/// The longest name of a contact that a chat takes, bytes.
const NAME_BYTES_MAX: usize = 256;

/// Opens the chat of a conversation, unless it is open.
pub(crate) async fn open_chat(
    office: &Office,
    place: &Place,
    (contact, reason): (&Contact, &str),
    trace: TraceContext,
) -> Result<Chat, RequestError> {
    let question = OpenChat {
        tenant: place.tenant.to_string(),
        conversation: place.conversation.to_string(),
        user_id: user_id(place, contact),
        user_name: first_bytes(&contact.name, NAME_BYTES_MAX).to_owned(),
        reason: reason.to_owned(),
    };
    office.bus.ask(CHATS_OPEN, &question, trace).await
}

/// The contact as its front end knows it, or else its number.
fn user_id(place: &Place, contact: &Contact) -> String {
    let of_kind = |kind| contact.aliases.iter().find(|alias| alias.kind() == kind);
    let alias = of_kind(AliasKind::Web).or_else(|| of_kind(AliasKind::Phone));
    alias.map_or_else(|| place.conversation.alias().value, |alias| alias.value.clone())
}

fn first_bytes(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use chasqui_proto::v1::Alias;

    use super::*;

    #[test]
    fn a_contact_is_known_to_people_by_its_front_ends_id_or_its_number() {
        let place =
            Place { tenant: "default".parse().unwrap(), conversation: "5491100000001".parse().unwrap() };
        let alias = |kind: AliasKind, value: &str| Alias { kind: kind.into(), value: value.to_owned() };
        let mut contact = Contact::default();
        assert_eq!(user_id(&place, &contact), "5491100000001");
        contact.aliases = vec![alias(AliasKind::Phone, "5491100000002"), alias(AliasKind::Web, "u-1")];
        assert_eq!(user_id(&place, &contact), "u-1");
        contact.aliases.pop();
        assert_eq!(user_id(&place, &contact), "5491100000002");
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        assert_eq!(first_bytes(&"ñ".repeat(200), NAME_BYTES_MAX).len(), 256);
        assert_eq!(first_bytes(&format!("a{}", "ñ".repeat(200)), NAME_BYTES_MAX).len(), 255);
        assert_eq!(first_bytes("ñ", NAME_BYTES_MAX), "ñ");
    }
}
