//! The content of close frames.

use crate::{Error, Violation};

/// RFC 6455 section 7.4.1.
pub(crate) const PROTOCOL_ERROR: u16 = 1002;
/// RFC 6455 section 7.4.1.
pub(crate) const INVALID_PAYLOAD: u16 = 1007;
/// RFC 6455 section 7.4.1.
pub(crate) const TOO_LARGE: u16 = 1009;

/// What is left of a control frame's 125 bytes beside the code.
const REASON_BYTES_MAX: usize = 123;

/// The code and the reason of a received close frame; `None` when it is empty.
pub(crate) fn parse(payload: &[u8]) -> Result<Option<(u16, String)>, Error> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(Violation::HalfCloseCode.into()) };
    };
    let code = u16::from_be_bytes(*code);
    if !may_be_sent(code) {
        return Err(Violation::CloseCode(code).into());
    }
    let reason = str::from_utf8(reason).map_err(|_| Error::NotUtf8)?;
    Ok(Some((code, reason.to_owned())))
}

/// The payload of a close frame; a reason too long for it is cut at a character.
pub(crate) fn payload(code: u16, reason: &str) -> Vec<u8> {
    let reason = &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)];
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// The codes of RFC 6455 section 7.4 and of the IANA registry; the others stand for what is never on the wire.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(parse(&payload(4001, "señal")).unwrap(), Some((4001, "señal".to_owned())));
        assert_eq!(parse(&[]).unwrap(), None);
    }

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let written = payload(1000, &"ñ".repeat(100));
        assert_eq!(written.len(), 2 + 122);
        assert!(parse(&written).is_ok());
    }

    #[test]
    fn codes_that_are_never_on_the_wire_are_refused() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
            let refused = parse(&payload(code, "")).unwrap_err();
            assert!(
                matches!(refused, Error::Protocol(Violation::CloseCode(found)) if found == code),
                "{code}"
            );
        }
        for code in [1000, 1001, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999] {
            assert!(parse(&payload(code, "")).is_ok(), "{code}");
        }
    }

    #[test]
    fn half_a_code_and_a_reason_that_is_not_text_are_refused() {
        assert!(matches!(parse(&[3]), Err(Error::Protocol(Violation::HalfCloseCode))));
        assert!(matches!(parse(&[3, 232, 0xff]), Err(Error::NotUtf8)));
    }
}
