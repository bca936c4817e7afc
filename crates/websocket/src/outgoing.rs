//! What waits to be written to one socket.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use crate::{Frame, header, negotiation::Agreement};

/// The most frames of one system call. Twice as many slices stay far below the kernel's 1,024.
pub(crate) const FRAMES_A_WRITE_MAX: usize = 32;
/// An emptied queue with room for more frames than this gives its memory back.
const IDLE_CAPACITY_FRAMES: usize = 4;

/// The frames in their order, and how much of the first is written already.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    queue: VecDeque<Frame>,
    /// Bytes of the first frame, header included, that are written.
    written: usize,
    /// The answer to the newest ping, as long as an older answer is still in the queue.
    pong: Option<Bytes>,
    has_pong: bool,
    is_closing: bool,
}

impl Outgoing {
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether the close frame was queued, after which nothing else is.
    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing
    }

    pub(crate) fn push(&mut self, frame: Frame, agreement: Option<&Agreement>) {
        if !self.is_closing {
            self.queue.push_back(frame.prepared(agreement));
        }
    }

    /// Queues the answer to a ping. Of many pings that wait, only the newest is answered (RFC 6455 section 5.5.3).
    pub(crate) fn pong(&mut self, payload: Bytes) {
        if self.has_pong {
            self.pong = Some(payload);
        } else if !self.is_closing {
            self.has_pong = true;
            // Not inside a frame that is half written, but before all others.
            self.queue.insert(usize::from(self.written > 0), Frame::pong(payload));
        }
    }

    pub(crate) fn close(&mut self, code_and_reason: Option<(u16, &str)>) {
        self.push(Frame::close(code_and_reason), None);
        self.is_closing = true;
        self.pong = None;
    }

    /// Drops everything: nobody will read it.
    pub(crate) fn abandon(&mut self) {
        *self = Self { is_closing: true, ..Self::default() };
    }

    /// Shows as many frames as one system call takes, as slices in their order.
    pub(crate) fn write_with<T>(
        &self,
        agreement: Option<&Agreement>,
        write: impl FnOnce(&[IoSlice<'_>]) -> T,
    ) -> T {
        let mut headers = [([0; header::WRITTEN_BYTES_MAX], 0); FRAMES_A_WRITE_MAX];
        for (place, frame) in headers.iter_mut().zip(&self.queue) {
            let (first, payload) = frame.wire(agreement);
            *place = header::write(first, payload.len());
        }
        let mut slices = [IoSlice::new(&[]); 2 * FRAMES_A_WRITE_MAX];
        let mut count = 0;
        let mut written = self.written;
        for ((header, length), frame) in headers.iter().zip(&self.queue) {
            for part in [&header[..*length], frame.wire(agreement).1] {
                let skipped = written.min(part.len());
                written -= skipped;
                if skipped < part.len() {
                    slices[count] = IoSlice::new(&part[skipped..]);
                    count += 1;
                }
            }
        }
        write(&slices[..count])
    }

    /// Takes away what was written.
    pub(crate) fn advance(&mut self, bytes: usize, agreement: Option<&Agreement>) {
        self.written += bytes;
        while let Some(frame) = self.queue.front() {
            let (first, payload) = frame.wire(agreement);
            let length = header::write(first, payload.len()).1 + payload.len();
            if self.written < length {
                break;
            }
            self.written -= length;
            if frame.is_pong() {
                self.has_pong = false;
            }
            self.queue.pop_front();
        }
        if let Some(payload) = self.pong.take_if(|_| !self.has_pong) {
            self.pong(payload);
        }
        if self.queue.is_empty() && self.queue.capacity() > IDLE_CAPACITY_FRAMES {
            self.queue = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(outgoing: &Outgoing, bytes_max: usize) -> Vec<u8> {
        outgoing.write_with(None, |slices| {
            slices.iter().flat_map(|slice| slice.iter().copied()).take(bytes_max).collect()
        })
    }

    fn written(outgoing: &mut Outgoing, bytes_max: usize) -> Vec<u8> {
        let bytes = shown(outgoing, bytes_max);
        outgoing.advance(bytes.len(), None);
        bytes
    }

    #[test]
    fn a_pong_overtakes_what_waits_but_not_what_is_half_written() {
        let mut outgoing = Outgoing::default();
        outgoing.push("first".into(), None);
        outgoing.push("second".into(), None);
        assert_eq!(written(&mut outgoing, 3), b"\x81\x05f");
        outgoing.pong(Bytes::from_static(b"old"));
        outgoing.pong(Bytes::from_static(b"older"));
        outgoing.pong(Bytes::from_static(b"new"));
        assert_eq!(written(&mut outgoing, 1_000), b"irst\x8a\x03old\x81\x06second");
        assert_eq!(written(&mut outgoing, 1_000), b"\x8a\x03new", "of those that waited only the newest");
        assert!(outgoing.is_empty());
    }

    #[test]
    fn nothing_follows_a_close() {
        let mut outgoing = Outgoing::default();
        outgoing.close(Some((1000, "bye")));
        outgoing.push("late".into(), None);
        outgoing.pong(Bytes::new());
        assert_eq!(written(&mut outgoing, 1_000), b"\x88\x05\x03\xe8bye");
        assert!(outgoing.is_empty());
    }

    #[test]
    fn after_a_burst_the_queue_gives_its_memory_back() {
        let mut outgoing = Outgoing::default();
        for _ in 0..100 {
            outgoing.push("frame".into(), None);
        }
        while !outgoing.is_empty() {
            written(&mut outgoing, 64);
        }
        assert_eq!(outgoing.queue.capacity(), 0);
    }

    proptest! {
        #[test]
        fn however_little_the_kernel_takes_the_bytes_are_the_same(
            lengths in proptest::collection::vec(0_usize..300, 1..150),
            takes in proptest::collection::vec(1_usize..2_000, 1..20),
        ) {
            let frames: Vec<Frame> = lengths.iter().map(|length| Frame::binary(vec![7; *length])).collect();
            let expected: Vec<u8> = frames
                .iter()
                .flat_map(|frame| {
                    let (header, length) = header::write(0x82, frame.len());
                    [&header[..length], frame.payload()].concat()
                })
                .collect();
            let mut outgoing = Outgoing::default();
            for frame in frames {
                outgoing.push(frame, None);
            }
            let mut all = Vec::new();
            for take in takes.iter().cycle() {
                if outgoing.is_empty() {
                    break;
                }
                all.extend(written(&mut outgoing, *take));
            }
            prop_assert_eq!(all, expected);
        }
    }
}
