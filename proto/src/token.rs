//! Conversation tokens: a contact's canonical address as a subject token.
//!
//! A phone number is its digits, so that `messages.in.default.5491100000001` reads as what it is. Every other kind of
//! address carries its kind in front (`bsuid_`, `lid_`, `web_`) and has all but letters, digits and `-` encoded as
//! `=XX`, the hexadecimal byte. `=` is legal in subjects and in keys of a KV bucket, and never means anything there.

use std::{
    fmt::{self, Write as _},
    str::FromStr,
};

use crate::v1::{Alias, AliasKind};

/// The longest token, bytes. An address of 128 bytes whose every byte is encoded fits.
pub const TOKEN_LENGTH_MAX: usize = 6 + 128 * 3;

/// A conversation's name on the bus, unique within its tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConversationToken(Box<str>);

/// A text that no address is encoded as.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no conversation token")]
pub struct InvalidToken(pub String);

impl ConversationToken {
    /// The token of an address.
    pub fn of(alias: &Alias) -> Self {
        let prefix = match alias.kind() {
            AliasKind::Phone => "",
            AliasKind::Bsuid => "bsuid_",
            AliasKind::Lid => "lid_",
            AliasKind::Web | AliasKind::Unspecified => "web_",
        };
        let mut token = String::with_capacity(prefix.len() + alias.value.len());
        token.push_str(prefix);
        for byte in alias.value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => token.push(char::from(byte)),
                _ => write!(token, "={byte:02X}").expect("writing to a string does not fail"),
            }
        }
        Self(token.into_boxed_str())
    }

    /// The address the token was made of.
    pub fn alias(&self) -> Alias {
        let (kind, encoded) = split_kind(&self.0);
        let value = decode(encoded).expect("only texts that decode become tokens");
        Alias { kind: kind.into(), value }
    }

    /// The token as it stands in a subject.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ConversationToken {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let invalid = || InvalidToken(text.to_owned());
        if text.len() > TOKEN_LENGTH_MAX {
            return Err(invalid());
        }
        let (kind, encoded) = split_kind(text);
        let value = decode(encoded).ok_or_else(invalid)?;
        // Only the one spelling that `of` writes is a token, else one contact could have two conversations.
        let token = Self::of(&Alias { kind: kind.into(), value });
        if token.as_str() == text && !encoded.is_empty() { Ok(token) } else { Err(invalid()) }
    }
}

impl fmt::Display for ConversationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn split_kind(token: &str) -> (AliasKind, &str) {
    for (prefix, kind) in [("bsuid_", AliasKind::Bsuid), ("lid_", AliasKind::Lid), ("web_", AliasKind::Web)] {
        if let Some(rest) = token.strip_prefix(prefix) {
            return (kind, rest);
        }
    }
    (AliasKind::Phone, token)
}

fn decode(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'=' {
            bytes.push(*first);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn alias(kind: AliasKind, value: &str) -> Alias {
        Alias { kind: kind.into(), value: value.to_owned() }
    }

    #[test]
    fn a_phone_number_is_its_own_token() {
        assert_eq!(
            ConversationToken::of(&alias(AliasKind::Phone, "5491100000001")).as_str(),
            "5491100000001"
        );
    }

    #[test]
    fn what_would_split_or_widen_a_subject_is_encoded() {
        let token = ConversationToken::of(&alias(AliasKind::Bsuid, "US.1*2>3 ñ"));
        assert_eq!(token.as_str(), "bsuid_US=2E1=2A2=3E3=20=C3=B1");
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in ["", "web_", "web_=41", "web_=2e", "web_=2", "web_a.b", "a=", "web_=C3"] {
            assert_eq!(text.parse::<ConversationToken>(), Err(InvalidToken(text.to_owned())), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_address_comes_back_from_its_token(value in ".{1,30}", kind in 2i32..=4) {
            let alias = Alias { kind, value };
            let token = ConversationToken::of(&alias);
            prop_assert!(!token.as_str().contains(['.', '*', '>', ' ']));
            prop_assert!(token.as_str().is_ascii());
            prop_assert_eq!(&token.as_str().parse::<ConversationToken>().unwrap(), &token);
            prop_assert_eq!(token.alias(), alias);
        }

        #[test]
        fn reading_a_token_never_panics(text in ".*") {
            let _ = text.parse::<ConversationToken>();
        }
    }
}
