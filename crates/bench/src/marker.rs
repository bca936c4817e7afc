//! The mark by which a message is known again at the sockets.

/// The shortest text that holds a mark.
const TEXT_BYTES_MIN: usize = 32;

/// The text of a message: its mark, filled up to the length.
pub(crate) fn text(run: &str, message: u32, length_bytes: usize) -> String {
    let mark = format!("[bench {run} {message}]");
    format!("{mark:.<width$}", width = length_bytes.max(TEXT_BYTES_MIN))
}

/// The number of the message whose text this is, when it belongs to the run.
pub(crate) fn find(run: &str, text: &str) -> Option<u32> {
    let (marked_run, rest) = text.strip_prefix("[bench ")?.split_once(' ')?;
    let (number, _) = rest.split_once(']')?;
    (marked_run == run).then(|| number.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_known_by_its_own_run_only() {
        let text = text("3fa9c1d2", 4_711, 120);
        assert_eq!(text.len(), 120);
        assert_eq!(find("3fa9c1d2", &text), Some(4_711));
        assert_eq!(find("00000000", &text), None);
        for other in ["", "hola", "[bench ", "[bench 3fa9c1d2 x]", "[bench 3fa9c1d2 12"] {
            assert_eq!(find("3fa9c1d2", other), None, "{other:?}");
        }
    }
}
