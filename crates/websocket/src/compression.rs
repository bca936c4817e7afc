//! permessage-deflate (RFC 7692) without context takeover: every message stands alone, so a socket owns no state. The
//! (de)compressors belong to the threads.

use std::cell::RefCell;

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::Error;

/// What a sync flush ends with; not sent (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// The window that every inflater has, and the only one whose compressed form is shared.
pub(crate) const WINDOW_BITS_MAX: u8 = 15;
/// The smallest window that the compressor can keep to.
pub(crate) const WINDOW_BITS_MIN: u8 = 9;
/// How much one step of inflation may add before the bound is looked at again.
const INFLATE_STEP_BYTES: usize = 16 * 1024;
/// A thread keeps no more inflated bytes than this between messages.
const INFLATED_KEPT_BYTES: usize = 64 * 1024;

/// How frames are compressed for sockets that negotiate it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deflate {
    /// Payloads shorter than this are sent as they are: the network carries them in one packet anyway. Default 256.
    pub payload_bytes_min: usize,
    /// From 1 (fastest) to 9 (smallest). A frame is compressed once, at the level of the first socket that sends it.
    /// Default 4.
    pub level: u8,
}

impl Default for Deflate {
    fn default() -> Self {
        Self { payload_bytes_min: 256, level: 4 }
    }
}

#[derive(Default)]
struct Workshop {
    /// By window size, with the level it was made for.
    compressors: [Option<(u8, Compress)>; (WINDOW_BITS_MAX - WINDOW_BITS_MIN) as usize + 1],
    inflater: Option<Decompress>,
    inflated: Vec<u8>,
}

thread_local! {
    static WORKSHOP: RefCell<Workshop> = RefCell::default();
}

/// The compressed form of a payload; `None` when it would not be smaller.
pub(crate) fn deflate(payload: &[u8], level: u8, window_bits: u8) -> Option<Bytes> {
    WORKSHOP.with_borrow_mut(|workshop| {
        let place = &mut workshop.compressors[usize::from(window_bits - WINDOW_BITS_MIN)];
        if place.as_ref().is_none_or(|(made_for, _)| *made_for != level) {
            let strength = Compression::new(u32::from(level.clamp(1, 9)));
            *place = Some((level, Compress::new_with_window_bits(strength, false, window_bits)));
        }
        let (_, compress) = place.as_mut()?;
        compress.reset();
        // Room for what is just worth sending. When it gets full, compression does not pay.
        let mut compressed = Vec::with_capacity(payload.len() + TAIL.len());
        compress.compress_vec(payload, &mut compressed, FlushCompress::Sync).ok()?;
        let is_whole = compressed.len() < compressed.capacity() && compressed.ends_with(&TAIL);
        compressed.truncate(compressed.len().checked_sub(TAIL.len())?);
        (is_whole && compressed.len() < payload.len()).then(|| {
            // It lives as long as its frame, the room beside it need not.
            compressed.shrink_to_fit();
            Bytes::from(compressed)
        })
    })
}

/// The message behind a compressed form, if it has no more than `bytes_max` bytes.
pub(crate) fn inflate(compressed: &[u8], bytes_max: usize) -> Result<Vec<u8>, Error> {
    WORKSHOP.with_borrow_mut(|workshop| {
        let Workshop { inflater, inflated, .. } = workshop;
        let inflater = inflater.get_or_insert_with(|| Decompress::new(false));
        inflated.clear();
        inflater.reset(false);
        let ended = inflate_part(inflater, compressed, inflated, bytes_max);
        let ended = ended.and_then(|()| inflate_part(inflater, &TAIL, inflated, bytes_max));
        let message = inflated.as_slice().to_vec();
        if inflated.capacity() > INFLATED_KEPT_BYTES {
            *inflated = Vec::new();
        }
        ended.map(|()| message)
    })
}

fn inflate_part(
    inflater: &mut Decompress,
    mut input: &[u8],
    output: &mut Vec<u8>,
    bytes_max: usize,
) -> Result<(), Error> {
    loop {
        let (before_in, before_out) = (inflater.total_in(), output.len());
        output.reserve(INFLATE_STEP_BYTES.min(bytes_max - before_out + 1));
        let status = inflater.decompress_vec(input, output, FlushDecompress::None);
        let status = status.map_err(|_| Error::NotDeflate)?;
        if output.len() > bytes_max {
            return Err(Error::InflatesTooLarge { bytes_max });
        }
        let taken = usize::try_from(inflater.total_in() - before_in).map_err(|_| Error::NotDeflate)?;
        input = &input[taken..];
        match status {
            // A client may end a block as the last one (section 7.2.3.4); what follows begins anew.
            Status::StreamEnd => inflater.reset(false),
            Status::Ok | Status::BufError if output.len() == output.capacity() => {}
            Status::Ok | Status::BufError if input.is_empty() => return Ok(()),
            Status::Ok | Status::BufError if taken == 0 && output.len() == before_out => {
                return Err(Error::NotDeflate);
            }
            Status::Ok | Status::BufError => {}
        }
        if input.is_empty() && output.len() < output.capacity() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha1::{Digest as _, Sha1};

    use super::*;

    const BOUND: usize = 1024 * 1024;

    #[test]
    fn what_does_not_shrink_is_not_compressed() {
        assert_eq!(deflate(b"", 6, 15), None);
        assert_eq!(deflate(b"abc", 6, 15), None);
        let noise: Vec<u8> = (0_u8..200).flat_map(|at| Sha1::digest([at])).collect();
        assert_eq!(deflate(&noise, 6, 15), None);
    }

    #[test]
    fn a_bomb_is_stopped_at_the_bound() {
        let bomb = deflate(&vec![0; 10 * BOUND], 9, 15).unwrap();
        assert!(bomb.len() < 20_000);
        let stopped = inflate(&bomb, BOUND);
        assert!(matches!(stopped, Err(Error::InflatesTooLarge { bytes_max: BOUND })));
        let exact = deflate(&vec![0; BOUND], 9, 15).unwrap();
        assert_eq!(inflate(&exact, BOUND).unwrap().len(), BOUND);
        assert!(inflate(&exact, BOUND - 1).is_err());
    }

    #[test]
    fn the_examples_of_the_rfc_inflate() {
        let examples: [&[u8]; 4] = [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
        ];
        for example in examples {
            assert_eq!(inflate(example, 100).unwrap(), b"Hello");
        }
        assert_eq!(inflate(&[0x00], 100).unwrap(), b"");
        let two_ends = [&examples[2][..7], examples[0]].concat();
        assert_eq!(inflate(&two_ends, 100).unwrap(), b"HelloHello");
    }

    proptest! {
        #[test]
        fn what_was_deflated_inflates(
            words in proptest::collection::vec(0_usize..50, 0..3_000),
            level in 1_u8..=9,
            window_bits in WINDOW_BITS_MIN..=WINDOW_BITS_MAX,
        ) {
            let text: String = words.iter().flat_map(|word| ["word-".to_owned(), word.to_string()]).collect();
            if let Some(compressed) = deflate(text.as_bytes(), level, window_bits) {
                prop_assert!(compressed.len() < text.len());
                prop_assert_eq!(inflate(&compressed, text.len()).unwrap(), text.as_bytes());
            }
        }

        #[test]
        fn anything_inflates_within_the_bound_or_fails(bytes: Vec<u8>) {
            if let Ok(inflated) = inflate(&bytes, 5_000) {
                prop_assert!(inflated.len() <= 5_000);
            }
        }
    }
}
