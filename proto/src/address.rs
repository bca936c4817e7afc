//! Addresses of contacts, as providers and people write them.

use crate::{
    ConversationToken,
    v1::{Alias, AliasKind, Contact},
};

/// The longest address that is accepted, bytes. WhatsApp's longest, the BSUID, stays under it.
pub const ADDRESS_LENGTH_MAX: usize = 128;

/// Digits of a phone number with its country code: E.164 allows 15; the shortest international numbers have 6.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 6..=15;

/// An address that nobody can be reached at.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("an address must have 1 to {ADDRESS_LENGTH_MAX} characters")]
pub struct InvalidAddress;

/// Digits that a business-scoped id has at least: those seen have 20. Fewer may be anybody's user name.
const BSUID_DIGITS_MIN: usize = 12;

/// Reads an address that a person, a bot or a front end wrote.
///
/// Phone numbers are taken in every usual spelling (`+54 911 0000-0001`, `5491100000001@c.us`,
/// `5491100000001@s.whatsapp.net`) and are the same contact; `…@lid` is a linked id and `AR.1349…` a business-scoped one;
/// anything else is a user of the tenant's own front end.
pub fn parse_address(text: &str) -> Result<Alias, InvalidAddress> {
    let text = text.trim();
    if text.is_empty() || text.len() > ADDRESS_LENGTH_MAX {
        return Err(InvalidAddress);
    }
    let alias = |kind: AliasKind, value: &str| Alias { kind: kind.into(), value: value.to_owned() };
    if let Some(lid) = text.strip_suffix("@lid").filter(|lid| !lid.is_empty()) {
        return Ok(alias(AliasKind::Lid, lid));
    }
    if is_bsuid(text) {
        return Ok(alias(AliasKind::Bsuid, text));
    }
    let user =
        ["@c.us", "@s.whatsapp.net"].iter().find_map(|suffix| text.strip_suffix(suffix)).unwrap_or(text);
    Ok(match phone_digits(user) {
        Some(digits) => alias(AliasKind::Phone, &digits),
        None => alias(AliasKind::Web, text),
    })
}

/// The address of a phone number that a provider wrote as digits.
pub fn phone(digits: &str) -> Alias {
    Alias { kind: AliasKind::Phone.into(), value: digits.to_owned() }
}

/// The conversation of a contact that has no older one: the token of its canonical address.
pub fn conversation_of(contact: &Contact) -> Option<ConversationToken> {
    contact.aliases.first().map(ConversationToken::of)
}

/// The address as WhatsApp clients write it (`5491100000001@s.whatsapp.net`).
pub fn external_id(alias: &Alias) -> String {
    match alias.kind() {
        AliasKind::Phone => format!("{}@s.whatsapp.net", alias.value),
        AliasKind::Lid => format!("{}@lid", alias.value),
        AliasKind::Bsuid | AliasKind::Web | AliasKind::Unspecified => alias.value.clone(),
    }
}

/// A country's two letters, a point, digits; between them `ENT.` where it stands for a whole enterprise.
fn is_bsuid(text: &str) -> bool {
    let Some((country, id)) = text.split_once('.') else { return false };
    let id = id.strip_prefix("ENT.").unwrap_or(id);
    country.len() == 2
        && country.bytes().all(|byte| byte.is_ascii_uppercase())
        && id.len() >= BSUID_DIGITS_MIN
        && id.bytes().all(|byte| byte.is_ascii_digit())
}

fn phone_digits(text: &str) -> Option<String> {
    let plain = text.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '(' | ')' | '.'));
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    (plain && text.rfind('+').is_none_or(|at| at == 0) && PHONE_DIGITS.contains(&digits.len()))
        .then_some(digits)
}

/// An address, or a token made of one, as logs show it: enough to tell two apart, too little to call.
pub fn masked(address: &str) -> String {
    let characters: Vec<char> = address.chars().collect();
    let shown = |at: usize| characters.len() >= 9 && (at < 4 || at + 3 >= characters.len());
    characters.iter().enumerate().map(|(at, c)| if shown(at) { *c } else { '*' }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shc_07_every_spelling_of_a_number_is_one_contact() {
        for text in
            ["5491100000001", " +54 911 0000-0001 ", "5491100000001@c.us", "5491100000001@s.whatsapp.net"]
        {
            assert_eq!(parse_address(text), Ok(phone("5491100000001")), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_number_is_a_user_of_the_front_end() {
        for text in ["visitor-7", "12345", "1234567890123456", "54+911000000", "user-7@c.us"] {
            assert_eq!(parse_address(text).unwrap().kind(), AliasKind::Web, "{text:?}");
        }
        for bsuid in ["AR.13491208655302741918", "US.ENT.11815799212886844830"] {
            assert_eq!(parse_address(bsuid).unwrap().kind(), AliasKind::Bsuid, "{bsuid}");
        }
        for user in ["AR.x", "ar.13491208655302741918", "AR.", "A.13491208655302741918", "AR.1"] {
            assert_eq!(parse_address(user).unwrap().kind(), AliasKind::Web, "{user}");
        }
        assert_eq!(parse_address("123@lid").unwrap().kind(), AliasKind::Lid);
        assert_eq!(parse_address(" "), Err(InvalidAddress));
        assert_eq!(parse_address(&"x".repeat(129)), Err(InvalidAddress));
    }

    proptest! {
        #[test]
        fn an_address_survives_being_shown_and_read_again(text in "([A-Z]{2}[.])?[0-9a-z@+ ._-]{1,40}") {
            if let Ok(alias) = parse_address(&text) {
                prop_assert_eq!(parse_address(&external_id(&alias)), Ok(alias));
            }
        }
    }

    #[test]
    fn logs_show_no_whole_number() {
        assert_eq!(masked("5491100000001"), "5491******001");
        assert_eq!(masked("web"), "***");
    }
}
