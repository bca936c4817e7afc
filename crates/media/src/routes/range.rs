//! The header `Range`: players ask for parts of a file.

use std::ops::Range;

/// Which bytes a request wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of them; also where the header is none we know, as HTTP wants it.
    Whole,
    /// These.
    Part(Range<u64>),
    /// Some that the file does not have.
    Beyond,
}

impl Wanted {
    /// Reads the header for a file of `size` bytes. Several ranges at once are answered with the whole.
    pub(super) fn read(header: Option<&str>, size: u64) -> Self {
        let Some(range) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else {
            return Self::Whole;
        };
        let Some((first, last)) = range.split_once('-') else { return Self::Whole };
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first > last => Self::Whole,
            (Some(first), _) if first >= size && is_end(last) => Self::Beyond,
            (Some(first), Some(last)) => Self::Part(first..last.saturating_add(1).min(size)),
            (Some(first), None) if last.is_empty() => Self::Part(first..size),
            (None, Some(0)) if first.is_empty() => Self::Beyond,
            (None, Some(_)) if first.is_empty() && size == 0 => Self::Beyond,
            (None, Some(count)) if first.is_empty() => Self::Part(size.saturating_sub(count)..size),
            _ => Self::Whole,
        }
    }
}

fn is_end(text: &str) -> bool {
    text.is_empty() || number(text).is_some()
}

/// Digits only; a number too large for any file is as good as the largest.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_part_is_read_as_http_says() {
        let read = |header: &str| Wanted::read(Some(header), 10);
        assert_eq!(Wanted::read(None, 10), Wanted::Whole);
        assert_eq!(read("bytes=0-0"), Wanted::Part(0..1));
        assert_eq!(read("bytes=2-5"), Wanted::Part(2..6));
        assert_eq!(read("bytes=2-"), Wanted::Part(2..10));
        assert_eq!(read("bytes=-3"), Wanted::Part(7..10));
        assert_eq!(read("bytes=-30"), Wanted::Part(0..10));
        assert_eq!(read("bytes=9-99999999999999999999"), Wanted::Part(9..10));
        for beyond in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
            assert_eq!(read(beyond), Wanted::Beyond, "{beyond}");
        }
        assert_eq!(Wanted::read(Some("bytes=-1"), 0), Wanted::Beyond);
        for unknown in
            ["", "bytes", "bytes=", "bytes=-", "bytes=5-2", "bytes=0-1,3-4", "lines=1-2", "bytes=a-b"]
        {
            assert_eq!(read(unknown), Wanted::Whole, "{unknown}");
        }
    }

    proptest! {
        #[test]
        fn a_part_is_never_empty_nor_outside_the_file(
            header in prop_oneof!["bytes=[0-9]{0,22}-[0-9]{0,22}", ".{0,40}"],
            size in any::<u64>(),
        ) {
            if let Wanted::Part(range) = Wanted::read(Some(&header), size) {
                prop_assert!(range.start < range.end && range.end <= size, "{:?}", range);
            }
        }
    }
}
