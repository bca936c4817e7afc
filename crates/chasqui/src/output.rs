//! Standard output of the tools: lines for people and for other programs, which may stop reading at any time.

use std::io::{self, ErrorKind, Write};

/// Whether anybody still reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Go on.
    Listens,
    /// The pipe is closed, as `head` does: there is nothing more to do, and nothing wrong.
    Left,
}

/// Writes one line at once, so that a pipe sees it now.
pub(crate) fn line(text: impl std::fmt::Display) -> io::Result<Reader> {
    bytes(format!("{text}\n").as_bytes())
}

/// The same of whole lines.
pub(crate) fn bytes(lines: &[u8]) -> io::Result<Reader> {
    let mut output = io::stdout().lock();
    match output.write_all(lines).and_then(|()| output.flush()) {
        Ok(()) => Ok(Reader::Listens),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Left),
        Err(error) => Err(error),
    }
}
