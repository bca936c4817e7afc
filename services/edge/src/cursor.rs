//! A cursor as one string, opaque to clients: `<epoch>.<seq>`, wherever there is room for a string only.

use std::{fmt, str::FromStr};

use crate::hub::Cursor;

/// Between the life of the stream and the position among the states.
const TOLD_MARK: char = '-';

/// The most characters of a cursor; an epoch is a number of nanoseconds in hex.
const CURSOR_CHARS_MAX: usize = 64;

/// The text is no cursor of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is <epoch>.<seq>, as it was given")]
pub(crate) struct CursorError;

impl Cursor {
    /// Which life of the stream its position belongs to.
    pub(crate) fn life(&self) -> &str {
        self.parts().0
    }

    /// Up to which position among the states it was told how campaigns stand; `None` where nobody said.
    pub(crate) fn told(&self) -> Option<u64> {
        self.parts().1
    }

    fn parts(&self) -> (&str, Option<u64>) {
        let parts = self.epoch.rsplit_once(TOLD_MARK);
        parts.map_or((&self.epoch, None), |(life, told)| (life, told.parse().ok()))
    }
}

/// What a client keeps as the epoch of its cursor.
pub(crate) fn epoch(life: &str, told: Option<u64>) -> String {
    told.map_or_else(|| life.to_owned(), |told| format!("{life}{TOLD_MARK}{told}"))
}

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
        let of_epoch = |byte: &u8| byte.is_ascii_alphanumeric() || char::from(*byte) == TOLD_MARK;
        if !plain(epoch, of_epoch) || !plain(seq, u8::is_ascii_digit) {
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
        for text in
            ["", ".", "18a", "18a.", "18_a.7", ".7", "18a.+7", "18a.-7", "18 a.7", "18a.99999999999999999999"]
        {
            assert_eq!(text.parse::<Cursor>(), Err(CursorError), "{text}");
        }
        assert_eq!(format!("{}.7", "a".repeat(CURSOR_CHARS_MAX)).parse::<Cursor>(), Err(CursorError));
    }

    #[test]
    fn an_epoch_tells_the_life_of_the_stream_and_how_far_states_were_told() {
        let check = |text: &str, life: &str, told: Option<u64>| {
            let cursor: Cursor = format!("{text}.7").parse().unwrap();
            assert_eq!((cursor.life(), cursor.told(), cursor.seq), (life, told, 7), "{text}");
        };
        check("18a", "18a", None);
        check("18a-42", "18a", Some(42));
        check("18a-", "18a", None);
        check(&epoch("18a", Some(u64::MAX)), "18a", Some(u64::MAX));
        assert_eq!(epoch("18a", None), "18a");
        let longest = Cursor { epoch: epoch(&"f".repeat(16), Some(u64::MAX)), seq: u64::MAX };
        assert_eq!(longest.to_string().parse(), Ok(longest));
    }

    proptest! {
        #[test]
        fn a_cursor_is_read_back(epoch in "[0-9a-f]{1,16}(-[0-9]{1,20})?", seq in any::<u64>()) {
            let cursor = Cursor { epoch, seq };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,100}") {
            let _ = text.parse::<Cursor>();
        }
    }
}
