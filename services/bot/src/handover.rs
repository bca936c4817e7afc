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
        user_name: user_name(contact),
        reason: reason.to_owned(),
        ..OpenChat::default()
    };
    office.bus.ask(CHATS_OPEN, &question, trace).await
}

/// The contact as its front end knows it, or else its number.
fn user_id(place: &Place, contact: &Contact) -> String {
    let of_kind = |kind| contact.aliases.iter().find(|alias| alias.kind() == kind);
    let alias = of_kind(AliasKind::Web).or_else(|| of_kind(AliasKind::Phone));
    alias.map_or_else(|| place.conversation.alias().value, |alias| alias.value.clone())
}

/// The contact's name as a chat takes it: with one that is refused, people would never be given the conversation.
fn user_name(contact: &Contact) -> String {
    let plain: String = contact.name.chars().filter(|c| !c.is_control()).collect();
    plain[..plain.floor_char_boundary(NAME_BYTES_MAX)].trim().to_owned()
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
    fn a_name_is_as_a_chat_takes_it() {
        let name = |name: &str| user_name(&Contact { name: name.to_owned(), ..Contact::default() });
        assert_eq!(name(&"ñ".repeat(200)).len(), 256);
        assert_eq!(name(&format!("a{}", "ñ".repeat(200))).len(), 255);
        assert_eq!((name("ñ").as_str(), name("").as_str()), ("ñ", ""));
        assert_eq!(name("Con\0tact\r\n"), "Contact", "PostgreSQL stores no NUL");
    }
}
