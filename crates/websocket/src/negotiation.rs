//! What of permessage-deflate is agreed on in the handshake (RFC 7692 section 7.1).

use crate::compression::{Deflate, WINDOW_BITS_MAX, WINDOW_BITS_MIN};

/// How many offers of one handshake are looked at.
const OFFERS_MAX: usize = 8;
/// The smallest window that an offer may name.
const WINDOW_BITS_NAMED_MIN: u8 = 8;

/// What was agreed on with one socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Agreement {
    pub(crate) deflate: Deflate,
    /// The largest window the client can inflate.
    pub(crate) window_bits: u8,
    /// Whether the client asked for that, and so must be told.
    is_window_named: bool,
}

impl Agreement {
    /// The first of the client's offers that we can keep to. `offers` are the values of `Sec-WebSocket-Extensions`.
    pub(crate) fn reach<'a>(offers: impl Iterator<Item = &'a str>, deflate: Deflate) -> Option<Self> {
        offers.flat_map(|value| value.split(',')).take(OFFERS_MAX).find_map(|offer| accept(offer, deflate))
    }

    /// The value of `Sec-WebSocket-Extensions` in the answer.
    pub(crate) fn answer(&self) -> String {
        let answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        if self.is_window_named {
            format!("{answer}; server_max_window_bits={}", self.window_bits)
        } else {
            answer.to_owned()
        }
    }
}

/// Unknown, repeated and malformed parameters decline an offer, as the RFC wants.
fn accept(offer: &str, deflate: Deflate) -> Option<Agreement> {
    let mut parts = offer.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case("permessage-deflate") {
        return None;
    }
    let mut window_bits = None;
    let mut seen = Vec::new();
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(unquoted(value.trim_start()))),
            None => (part, None),
        };
        if seen.contains(&name) {
            return None;
        }
        seen.push(name);
        match (name, value) {
            (
                "server_no_context_takeover" | "client_no_context_takeover" | "client_max_window_bits",
                None,
            ) => {}
            // Our inflater has the largest window, whatever the client promises to stay within.
            ("client_max_window_bits", Some(bits)) => drop(parse_bits(bits)?),
            // A window of 8 bits is one that our compressor cannot keep to.
            ("server_max_window_bits", Some(bits)) => {
                window_bits = Some(parse_bits(bits).filter(|bits| *bits >= WINDOW_BITS_MIN)?);
            }
            _ => return None,
        }
    }
    Some(Agreement {
        deflate,
        window_bits: window_bits.unwrap_or(WINDOW_BITS_MAX),
        is_window_named: window_bits.is_some(),
    })
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

fn parse_bits(value: &str) -> Option<u8> {
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit()) && !value.starts_with('0');
    let bits = value.parse().ok().filter(|_| is_number)?;
    (WINDOW_BITS_NAMED_MIN..=WINDOW_BITS_MAX).contains(&bits).then_some(bits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

    fn answer(offers: &str) -> Option<String> {
        Agreement::reach([offers].into_iter(), Deflate::default()).map(|agreed| agreed.answer())
    }

    #[test]
    fn no_context_is_taken_over_whatever_is_offered() {
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; client_max_window_bits=10",
            "permessage-deflate;server_no_context_takeover ; client_no_context_takeover",
            "x-webkit-deflate-frame, permessage-deflate",
        ] {
            assert_eq!(answer(offer).as_deref(), Some(PLAIN), "{offer}");
        }
    }

    #[test]
    fn a_small_window_is_kept_to_and_one_too_small_is_declined() {
        let named = format!("{PLAIN}; server_max_window_bits=9");
        assert_eq!(answer("permessage-deflate; server_max_window_bits=9"), Some(named.clone()));
        assert_eq!(answer("permessage-deflate; server_max_window_bits=\"9\""), Some(named));
        assert_eq!(answer("permessage-deflate; server_max_window_bits=8"), None);
        let second = "permessage-deflate; server_max_window_bits=8, permessage-deflate";
        assert_eq!(answer(second).as_deref(), Some(PLAIN));
    }

    #[test]
    fn what_is_not_understood_is_declined() {
        for parameter in [
            "server_max_window_bits",
            "server_max_window_bits=16",
            "server_max_window_bits=09",
            "server_max_window_bits=+9",
            "client_max_window_bits=7",
            "client_no_context_takeover=1",
            "client_no_context_takeover; client_no_context_takeover",
            "unknown",
            "",
        ] {
            assert_eq!(answer(&format!("permessage-deflate; {parameter}")), None, "{parameter}");
        }
        assert_eq!(answer("permessage-bzip2"), None);
        assert_eq!(answer(""), None);
    }

    proptest! {
        #[test]
        fn anything_is_agreed_on_or_declined(offers in ".*") {
            let _ = answer(&offers);
            let _ = answer(&format!("permessage-deflate; {offers}"));
        }
    }
}
