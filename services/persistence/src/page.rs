//! Pages: where one begins, how long it is.

use crate::error::Error;

/// The length of a page when none is asked for.
const LIMIT_DEFAULT: u32 = 50;
/// The longest page.
const LIMIT_MAX: u32 = 200;

/// How much a page may weigh, bytes: an answer must fit into one message of the broker, whose limit is 1 MiB.
const BYTES_MAX: usize = 768 * 1024;

/// The length that was asked for.
pub(crate) fn limit(asked: u32) -> Result<usize, Error> {
    limit_up_to(asked, LIMIT_MAX)
}

/// The length that was asked for, where pages may be longer.
pub(crate) fn limit_up_to(asked: u32, max: u32) -> Result<usize, Error> {
    let limit = if asked == 0 { LIMIT_DEFAULT } else { asked };
    if limit > max {
        return Err(Error::Invalid { field: "limit", expected: format!("must be 1 to {max}") });
    }
    Ok(usize::try_from(limit).unwrap_or(usize::MAX))
}

/// The cursor that continues before a position.
pub(crate) fn cursor_before(seq: i64) -> String {
    format!("b{seq:x}")
}

/// The position that a cursor continues before; without a cursor, behind the newest.
pub(crate) fn before(cursor: &str) -> Result<i64, Error> {
    if cursor.is_empty() {
        return Ok(i64::MAX);
    }
    let position = cursor.strip_prefix('b').and_then(|hex| i64::from_str_radix(hex, 16).ok());
    position.filter(|seq| *seq > 0 && cursor_before(*seq) == cursor).ok_or_else(foreign)
}

/// The cursor that continues after a line.
pub(crate) fn cursor_after(line: u32) -> String {
    format!("a{line:x}")
}

/// The line that a cursor continues after; without a cursor, before the first.
pub(crate) fn after(cursor: &str) -> Result<i32, Error> {
    if cursor.is_empty() {
        return Ok(0);
    }
    let line = cursor.strip_prefix('a').and_then(|hex| i32::from_str_radix(hex, 16).ok());
    line.filter(|line| *line > 0 && cursor_after(line.unsigned_abs()) == cursor).ok_or_else(foreign)
}

fn foreign() -> Error {
    Error::Invalid { field: "cursor", expected: "must be the `next` of an earlier page".to_owned() }
}

/// The first of `items` that make a page: at most `limit`, not too heavy, at least one. Says whether any were left.
pub(crate) fn cut<T>(mut items: Vec<T>, limit: usize, bytes: impl Fn(&T) -> usize) -> (Vec<T>, bool) {
    let mut weight = 0;
    let fits = items.iter().take(limit).take_while(|item| {
        weight += bytes(item);
        weight <= BYTES_MAX
    });
    let length = fits.count().max(1);
    let left = items.len() > length;
    items.truncate(length);
    (items, left)
}

/// Whether all of `items` together fit into one answer.
pub(crate) fn fits<T>(items: &[T], bytes: impl Fn(&T) -> usize) -> bool {
    items.iter().map(bytes).sum::<usize>() <= BYTES_MAX
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_page_is_as_long_as_asked_and_no_heavier_than_an_answer() {
        assert_eq!(cut(vec![1; 5], 5, |_| 1), (vec![1; 5], false));
        assert_eq!(cut(vec![1; 6], 5, |_| 1), (vec![1; 5], true));
        assert_eq!(cut(vec![1; 3], 5, |_| BYTES_MAX / 2), (vec![1; 2], true));
        assert_eq!(cut(vec![1], 5, |_| BYTES_MAX * 2), (vec![1], false));
        assert_eq!(cut(Vec::<u8>::new(), 5, |_| 1), (vec![], false));
    }

    #[test]
    fn a_limit_is_bounded_by_name() {
        assert_eq!(limit(0).unwrap(), 50);
        assert_eq!(limit(200).unwrap(), 200);
        assert!(limit(201).unwrap_err().to_string().starts_with("limit:"));
    }

    #[test]
    fn a_cursor_of_ones_own_making_is_refused() {
        for text in ["b", "x1", "b0", "b01", "b-1", "bFF", "1", "bffffffffffffffff"] {
            assert!(before(text).unwrap_err().to_string().starts_with("cursor:"), "{text:?}");
        }
        for text in ["a", "b1", "a0", "a01", "a-1", "aFF", "1", "a80000000"] {
            assert!(after(text).unwrap_err().to_string().starts_with("cursor:"), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_cursor_comes_back(seq in 1..i64::MAX) {
            prop_assert_eq!(before(&cursor_before(seq)).unwrap(), seq);
        }

        #[test]
        fn a_cursor_of_lines_comes_back(line in 1..i32::MAX) {
            prop_assert_eq!(after(&cursor_after(line.unsigned_abs())).unwrap(), line);
        }

        #[test]
        fn reading_a_cursor_never_panics(text in ".*") {
            let _ = (before(&text), after(&text));
        }
    }
}
