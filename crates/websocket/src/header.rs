//! The header of a frame (RFC 6455 section 5.2).

use crate::Violation;

/// Set on the last frame of a message.
pub(crate) const FIN: u8 = 0x80;
/// Set on the first frame of a compressed message (RFC 7692 section 6).
pub(crate) const RSV1: u8 = 0x40;
/// The most bytes of a header that we write: no mask.
pub(crate) const WRITTEN_BYTES_MAX: usize = 10;

const RSV2_AND_RSV3: u8 = 0x30;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
const LENGTH_IN_TWO_BYTES: u8 = 126;
const LENGTH_IN_EIGHT_BYTES: u8 = 127;
const READ_BYTES_MAX: usize = 14;
const CONTROL_BYTES_MAX: u64 = 125;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xa,
}

impl Opcode {
    pub(crate) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    fn parse(bits: u8) -> Result<Self, Violation> {
        [Self::Continuation, Self::Text, Self::Binary, Self::Close, Self::Ping, Self::Pong]
            .into_iter()
            .find(|opcode| *opcode as u8 == bits)
            .ok_or(Violation::ReservedOpcode(bits))
    }
}

/// A header that a client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) opcode: Opcode,
    pub(crate) is_last: bool,
    pub(crate) is_compressed: bool,
    pub(crate) mask: [u8; 4],
    pub(crate) length: u64,
}

/// As much of a header as has come in.
#[derive(Debug, Default)]
pub(crate) struct PartialHeader {
    bytes: [u8; READ_BYTES_MAX],
    count: u8,
}

impl PartialHeader {
    /// Takes what belongs to the header off `input`; the header once it is whole.
    pub(crate) fn read(&mut self, input: &mut &[u8]) -> Result<Option<Header>, Violation> {
        while self.count() < self.wanted() {
            let taken = input.len().min(self.wanted() - self.count());
            if taken == 0 {
                return Ok(None);
            }
            let (head, tail) = input.split_at(taken);
            let count = self.count();
            self.bytes[count..][..taken].copy_from_slice(head);
            self.count += u8::try_from(taken).expect("a header has at most 14 bytes");
            *input = tail;
            if self.count() >= 2 {
                // What is wrong here is wrong whatever follows; a broken client need not send it.
                check_beginning(self.bytes[0], self.bytes[1])?;
            }
        }
        let header = parse(&self.bytes[..self.count()])?;
        self.count = 0;
        Ok(Some(header))
    }

    fn count(&self) -> usize {
        usize::from(self.count)
    }

    fn wanted(&self) -> usize {
        match (self.count, self.bytes[1] & LENGTH) {
            (0..2, _) => 2,
            (_, LENGTH_IN_TWO_BYTES) => 8,
            (_, LENGTH_IN_EIGHT_BYTES) => READ_BYTES_MAX,
            _ => 6,
        }
    }
}

fn check_beginning(first: u8, second: u8) -> Result<Opcode, Violation> {
    let opcode = Opcode::parse(first & OPCODE)?;
    if first & RSV2_AND_RSV3 != 0 {
        return Err(Violation::ReservedBit);
    }
    if second & MASKED == 0 {
        return Err(Violation::NotMasked);
    }
    if opcode.is_control() && first & FIN == 0 {
        return Err(Violation::FragmentedControl);
    }
    if opcode.is_control() && u64::from(second & LENGTH) > CONTROL_BYTES_MAX {
        return Err(Violation::LongControl);
    }
    Ok(opcode)
}

fn parse(bytes: &[u8]) -> Result<Header, Violation> {
    let opcode = check_beginning(bytes[0], bytes[1])?;
    let (extended, mask) = bytes[2..].split_last_chunk().expect("a header ends with four bytes of mask");
    let length = extended.iter().fold(0, |length, byte| length << 8 | u64::from(*byte));
    let (length, shortest) = match extended.len() {
        0 => (u64::from(bytes[1] & LENGTH), 0),
        2 => (length, u64::from(LENGTH_IN_TWO_BYTES)),
        _ => (length, 1 << 16),
    };
    if length < shortest || length >> 63 == 1 {
        return Err(Violation::Length);
    }
    let (is_last, is_compressed) = (bytes[0] & FIN != 0, bytes[0] & RSV1 != 0);
    Ok(Header { opcode, is_last, is_compressed, mask: *mask, length })
}

/// A header without a mask, and how many of the bytes it has. `first` is the opcode with its bits.
pub(crate) fn write(first: u8, length: usize) -> ([u8; WRITTEN_BYTES_MAX], usize) {
    let mut bytes = [0; WRITTEN_BYTES_MAX];
    bytes[0] = first;
    if let Ok(length @ 0..LENGTH_IN_TWO_BYTES) = u8::try_from(length) {
        bytes[1] = length;
        (bytes, 2)
    } else if let Ok(length) = u16::try_from(length) {
        bytes[1] = LENGTH_IN_TWO_BYTES;
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        (bytes, 4)
    } else {
        bytes[1] = LENGTH_IN_EIGHT_BYTES;
        bytes[2..].copy_from_slice(&(length as u64).to_be_bytes());
        (bytes, 10)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MASK: [u8; 4] = [1, 2, 3, 4];

    fn masked(first: u8, length: usize) -> Vec<u8> {
        let (mut bytes, count) = write(first, length);
        bytes[1] |= MASKED;
        [&bytes[..count], &MASK].concat()
    }

    fn refused(bytes: &[u8]) -> Violation {
        PartialHeader::default().read(&mut &*bytes).unwrap_err()
    }

    #[test]
    fn the_three_forms_of_a_length_are_read() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 40] {
            let bytes = masked(FIN | RSV1 | Opcode::Text as u8, length);
            let header = PartialHeader::default().read(&mut &*bytes).unwrap().expect("a whole header");
            let expected = Header {
                opcode: Opcode::Text,
                is_last: true,
                is_compressed: true,
                mask: MASK,
                length: length as u64,
            };
            assert_eq!(header, expected);
        }
    }

    #[test]
    fn broken_headers_are_refused_by_their_first_two_bytes() {
        assert_eq!(refused(&[0x81, 0x05]), Violation::NotMasked);
        assert_eq!(refused(&[0xa1, 0x80]), Violation::ReservedBit);
        assert_eq!(refused(&[0x91, 0x80]), Violation::ReservedBit);
        assert_eq!(refused(&[0x83, 0x80]), Violation::ReservedOpcode(3));
        assert_eq!(refused(&[0x8b, 0x80]), Violation::ReservedOpcode(11));
        assert_eq!(refused(&[0x09, 0x80]), Violation::FragmentedControl);
        assert_eq!(refused(&[0x89, 0xfe]), Violation::LongControl);
    }

    #[test]
    fn a_length_is_written_in_its_shortest_form() {
        assert_eq!(refused(&[0x82, 0xfe, 0, 125, 0, 0, 0, 0]), Violation::Length);
        assert_eq!(refused(&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0]), Violation::Length);
        assert_eq!(refused(&[0x82, 0xff, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Violation::Length);
    }

    proptest! {
        #[test]
        fn a_header_in_pieces_is_the_same_header(length in 0_usize..200_000, cut in 0_usize..14) {
            let bytes = masked(FIN | Opcode::Binary as u8, length);
            let (head, tail) = bytes.split_at(cut.min(bytes.len() - 1));
            let mut partial = PartialHeader::default();
            prop_assert_eq!(partial.read(&mut &*head).unwrap(), None);
            let header = partial.read(&mut &*tail).unwrap().expect("a whole header");
            prop_assert_eq!(header.length, length as u64);
        }

        #[test]
        fn anything_is_a_header_or_an_error(bytes: Vec<u8>) {
            let mut input = &*bytes;
            let _ = PartialHeader::default().read(&mut input);
        }
    }
}
