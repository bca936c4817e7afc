//! Whom and what the bot says nothing to.

use std::collections::HashSet;

use chasqui_proto::{
    address::parse_address,
    v1::{AliasKind, Message, MessageType},
};
use toml::Spanned;

use crate::fields::{At, Fields, Found};

/// The most digits of a prefix: as many as the longest number has.
const PREFIX_DIGITS_MAX: usize = 15;

/// Whom and what the bot says nothing to.
#[derive(Debug, Default)]
pub(super) struct Ignored {
    contacts: HashSet<Address>,
    /// Digits that numbers begin with.
    prefixes: Vec<String>,
    types: Vec<MessageType>,
    /// If there are any, everybody else is ignored.
    only: HashSet<Address>,
}

/// An address of a contact, as it stands on the bus.
type Address = (i32, String);

impl Ignored {
    /// The table `ignore`.
    pub(super) fn read<'t>(mut table: Fields<'t>, found: &mut Found<'t>) -> Self {
        let ignored = Self {
            contacts: addresses(&mut table, found, "contacts"),
            prefixes: prefixes(&mut table, found),
            types: types(&mut table, found, "types"),
            only: addresses(&mut table, found, "only"),
        };
        for (_, address) in ignored.only.intersection(&ignored.contacts) {
            found.problem(table.span(), format!("`contacts` and `only` contradict each other: {address}"));
        }
        table.finish(found);
        ignored
    }

    pub(super) fn is_ignored(&self, message: &Message) -> bool {
        let aliases = || message.contact.iter().flat_map(|contact| &contact.aliases);
        let is_among = |some: &HashSet<Address>| {
            !some.is_empty() && aliases().any(|alias| some.contains(&(alias.kind, alias.value.clone())))
        };
        let is_prefixed = || {
            aliases()
                .filter(|alias| alias.kind() == AliasKind::Phone)
                .any(|alias| self.prefixes.iter().any(|prefix| alias.value.starts_with(prefix)))
        };
        self.types.contains(&message.r#type())
            || is_among(&self.contacts)
            || (!self.only.is_empty() && !is_among(&self.only))
            || is_prefixed()
    }
}

fn addresses<'t>(table: &mut Fields<'t>, found: &mut Found<'t>, name: &'static str) -> HashSet<Address> {
    let mut addresses = HashSet::new();
    for written in list(table, found, name) {
        match parse_address(&written.value) {
            Ok(alias) => _ = addresses.insert((alias.kind, alias.value)),
            Err(error) => found.problem(written.span, error),
        }
    }
    addresses
}

fn prefixes<'t>(table: &mut Fields<'t>, found: &mut Found<'t>) -> Vec<String> {
    let mut prefixes = Vec::new();
    for written in list(table, found, "prefixes") {
        let digits: String = written.value.chars().filter(char::is_ascii_digit).collect();
        let is_plain = written.value.chars().all(|c| c.is_ascii_digit() || "+ -().".contains(c));
        if is_plain && (1..=PREFIX_DIGITS_MAX).contains(&digits.len()) {
            prefixes.push(digits);
        } else {
            let expected = format!("must be 1 to {PREFIX_DIGITS_MAX} digits, as in \"+54 9 11\"");
            found.problem(written.span, expected);
        }
    }
    prefixes
}

/// A list of types of messages.
pub(super) fn types<'t>(
    table: &mut Fields<'t>,
    found: &mut Found<'t>,
    name: &'static str,
) -> Vec<MessageType> {
    let mut types = Vec::new();
    for written in list(table, found, name) {
        let known = MessageType::of_name(&written.value).filter(|kind| *kind != MessageType::Unspecified);
        match known {
            Some(kind) => types.push(kind),
            None => found.problem(
                written.span,
                format!(
                    "`{}` is no type of message: text, image, audio, video, document, sticker, location, \
                         contacts, interactive, button, order, unsupported",
                    written.value
                ),
            ),
        }
    }
    types
}

/// A list of texts, each with its place.
pub(super) fn list<'t>(table: &mut Fields<'t>, found: &mut Found<'t>, name: &'static str) -> Vec<At<String>> {
    let written = table.take::<Vec<Spanned<String>>>(found, name);
    let written = written.map_or_else(Vec::new, |written| written.value);
    written.into_iter().map(|text| At { span: text.span(), value: text.into_inner() }).collect()
}
