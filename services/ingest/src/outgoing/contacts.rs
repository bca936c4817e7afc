use chasqui_proto::v1::MessageType;
use serde_json::Value;

use super::{Outgoing, OutgoingError, part::Part};

/// The most cards of one message.
const CARDS_MAX: usize = 257;
/// The most numbers, addresses and pages of one card, each.
const ENTRIES_MAX: usize = 100;
/// The longest name or number, characters.
const TEXT_LENGTH_MAX: usize = 1_024;
/// How many cards the message's text names.
const NAMES_SHOWN_MAX: usize = 5;

pub(super) fn read(message: &Part<'_>) -> Result<Outgoing, OutgoingError> {
    let cards = message.objects("contacts", 1..=CARDS_MAX)?;
    let names = cards.iter().map(card).collect::<Result<Vec<_>, _>>()?;
    let text = names.into_iter().take(NAMES_SHOWN_MAX).collect::<Vec<_>>().join(", ");
    let content = cards.iter().map(Part::value).collect();
    Ok(Outgoing::verbatim(MessageType::Contacts, "contacts", &Value::Array(content), text))
}

/// Checks a card, and tells whose it is.
fn card<'a>(card: &Part<'a>) -> Result<&'a str, OutgoingError> {
    for (key, entry) in [("phones", "phone"), ("emails", "email"), ("urls", "url")] {
        for listed in card.optional_objects(key, ENTRIES_MAX)? {
            listed.optional_text(entry, 1..=TEXT_LENGTH_MAX)?;
        }
    }
    card.optional_objects("addresses", ENTRIES_MAX)?;
    card.optional_object("org")?;
    card.object("name")?.text("formatted_name", 1..=TEXT_LENGTH_MAX)
}
