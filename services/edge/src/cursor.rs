//! A cursor as one string, opaque to clients: `<epoch>.<seq>`, wherever there is room for a string only.

use std::{fmt, str::FromStr};

use crate::hub::Cursor;

/// The most characters of a cursor; an epoch is a number of nanoseconds in hex.
const CURSOR_CHARS_MAX: usize = 64;

/// The text is no cursor of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is <epoch>.<seq>, as it was given")]
pub(crate) struct CursorError;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.seq)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (epoch, seq) =
            text.rsplit_once('.').filter(|_| text.len() <= CURSOR_CHARS_MAX).ok_or(CursorError)?;
        let plain = |text: &str, fits: fn(&u8) -> bool| !text.is_empty() && text.as_bytes().iter().all(fits);
        if !plain(epoch, u8::is_ascii_alphanumeric) || !plain(seq, u8::is_ascii_digit) {
            return Err(CursorError);
        }
        Ok(Self { epoch: epoch.to_owned(), seq: seq.parse().map_err(|_| CursorError)? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in ["", ".", "18a", "18a.", ".7", "18a.+7", "18a.-7", "18 a.7", "18a.99999999999999999999"] {
            assert_eq!(text.parse::<Cursor>(), Err(CursorError), "{text}");
        }
        assert_eq!(format!("{}.7", "a".repeat(CURSOR_CHARS_MAX)).parse::<Cursor>(), Err(CursorError));
    }

    proptest! {
        #[test]
        fn a_cursor_is_read_back(epoch in "[0-9a-f]{1,20}", seq in any::<u64>()) {
            let cursor = Cursor { epoch, seq };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,100}") {
            let _ = text.parse::<Cursor>();
        }
    }
}
