use proptest::prelude::*;

use super::*;
use crate::header::{self, FIN, RSV1};

const TEXT: u8 = Opcode::Text as u8;
const BINARY: u8 = Opcode::Binary as u8;
const CONTINUATION: u8 = Opcode::Continuation as u8;
const CLOSE: u8 = Opcode::Close as u8;
const PING: u8 = Opcode::Ping as u8;
const PONG: u8 = Opcode::Pong as u8;
const BOUND: usize = 1_000;

/// A frame as a client sends it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x5a, 0x00, 0xff, 0x31];
    let (mut head, count) = header::write(first, payload.len());
    head[1] |= 0x80;
    let mut masked = payload.to_vec();
    mask::apply(&mut masked, MASK, 0);
    [&head[..count], &MASK, &masked].concat()
}

fn decode_with(inflates: bool, pieces: &[&[u8]]) -> Result<Vec<Message>, Error> {
    let mut decoder = Decoder::new(Limits::of(BOUND), inflates);
    let mut messages = Vec::new();
    for piece in pieces {
        let input: &mut &[u8] = &mut &**piece;
        while let Some(message) = decoder.decode(input)? {
            messages.push(message);
        }
        assert!(input.is_empty(), "without a message everything is taken");
    }
    Ok(messages)
}

fn decode(frames: &[Vec<u8>]) -> Result<Vec<Message>, Error> {
    decode_with(false, &[&frames.concat()])
}

fn text(text: &str) -> Message {
    Message::Text(text.into())
}

fn check_violation(frames: &[Vec<u8>], expected: Violation) {
    match decode(frames) {
        Err(Error::Protocol(violation)) => assert_eq!(violation, expected),
        other => panic!("{other:?} instead of {expected:?}"),
    }
}

#[test]
fn control_frames_come_between_the_parts_of_a_message() {
    let messages = decode(&[
        frame(TEXT, b"to"),
        frame(FIN | PING, b"p"),
        frame(CONTINUATION, b""),
        frame(FIN | PONG, b""),
        frame(FIN | CONTINUATION, b"day"),
        frame(FIN | BINARY, b"\xff"),
        frame(FIN | CLOSE, b"\x03\xe8bye"),
    ]);
    let expected = [
        Message::Ping(Bytes::from_static(b"p")),
        Message::Pong(Bytes::new()),
        text("today"),
        Message::Binary(Bytes::from_static(b"\xff")),
        Message::Close(Some((1000, "bye".to_owned()))),
    ];
    assert_eq!(messages.unwrap(), expected);
}

#[test]
fn messages_begin_and_end_properly() {
    check_violation(&[frame(FIN | CONTINUATION, b"a")], Violation::NothingToContinue);
    check_violation(&[frame(TEXT, b"a"), frame(FIN | TEXT, b"b")], Violation::InsideMessage);
    check_violation(
        &[frame(FIN | TEXT, b"a"), frame(FIN | CONTINUATION, b"b")],
        Violation::NothingToContinue,
    );
}

#[test]
fn a_character_may_be_cut_by_a_fragment_but_not_by_the_end() {
    let (head, tail) = "ñ".as_bytes().split_at(1);
    let whole = decode(&[frame(TEXT, head), frame(FIN | CONTINUATION, tail)]).unwrap();
    assert_eq!(whole, [text("ñ")]);
    assert!(matches!(decode(&[frame(FIN | TEXT, head)]), Err(Error::NotUtf8)));
}

#[test]
fn text_that_is_none_fails_at_once() {
    let not_ended = [frame(TEXT, b"\xce\xba\xe1\xbd\xb9"), frame(CONTINUATION, b"\xed\xa0\x80")];
    assert!(matches!(decode(&not_ended), Err(Error::NotUtf8)));
    let long = frame(FIN | TEXT, &[b"ok \xff".as_slice(), &[b'a'; 200]].concat());
    let stopped = decode_with(false, &[&long[..20]]);
    assert!(matches!(stopped, Err(Error::NotUtf8)), "before the frame is whole");
}

#[test]
fn what_exceeds_the_limits_is_refused_by_its_header() {
    assert!(decode(&[frame(FIN | BINARY, &[0; BOUND])]).is_ok());
    let header_only = &frame(FIN | BINARY, &[0; BOUND + 1])[..8];
    let refused = decode_with(false, &[header_only]);
    assert!(matches!(refused, Err(Error::TooLarge { bytes_max: BOUND })));
    let parts = [frame(BINARY, &[0; BOUND]), frame(FIN | CONTINUATION, &[0; 1])];
    assert!(matches!(decode(&parts), Err(Error::TooLarge { bytes_max: BOUND })));
    let huge = [0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    assert!(matches!(decode_with(false, &[&huge]), Err(Error::TooLarge { .. })));
}

#[test]
fn compressed_messages_need_the_extension() {
    let compressed = compression::deflate("hola ".repeat(100).as_bytes(), 6, 15).unwrap();
    let frames = frame(FIN | RSV1 | TEXT, &compressed);
    assert_eq!(decode_with(true, &[&frames]).unwrap(), [text(&"hola ".repeat(100))]);
    check_violation(&[frames], Violation::ReservedBit);
    for first in [FIN | RSV1 | PING, FIN | RSV1 | CONTINUATION] {
        let refused = decode_with(true, &[&frame(TEXT, b""), &frame(first, b"")]);
        assert!(matches!(refused, Err(Error::Protocol(Violation::ReservedBit))));
    }
}

#[test]
fn a_compressed_message_in_fragments_is_inflated_whole() {
    let compressed = compression::deflate(&[b'a'; BOUND], 6, 15).unwrap();
    let (head, tail) = compressed.split_at(3);
    let frames = [frame(RSV1 | BINARY, head), frame(FIN | CONTINUATION, tail)].concat();
    assert_eq!(decode_with(true, &[&frames]).unwrap(), [Message::Binary(vec![b'a'; BOUND].into())]);
    let bomb = compression::deflate(&vec![b'a'; 100 * BOUND], 6, 15).unwrap();
    let stopped = decode_with(true, &[&frame(FIN | RSV1 | BINARY, &bomb)]);
    assert!(matches!(stopped, Err(Error::InflatesTooLarge { bytes_max: BOUND })));
    let not_text = compression::deflate(&[0xff; BOUND], 6, 15).unwrap();
    let refused = decode_with(true, &[&frame(FIN | RSV1 | TEXT, &not_text)]);
    assert!(matches!(refused, Err(Error::NotUtf8)));
    assert!(matches!(decode_with(true, &[&frame(FIN | RSV1 | TEXT, b"\xff\xff")]), Err(Error::NotDeflate)));
}

#[test]
fn between_messages_a_decoder_is_small() {
    let size = size_of::<Decoder>();
    assert!(size <= 120, "{size} bytes");
}

/// Frames of a well-behaved client, and what they say.
fn conversation() -> impl Strategy<Value = (Vec<u8>, Vec<Message>)> {
    let payload = "[a-zñ€😀]{0,120}";
    let message = (payload, proptest::collection::vec(0_usize..60, 0..4), any::<bool>(), any::<bool>());
    proptest::collection::vec(message, 0..6).prop_map(|messages| {
        let mut wire = Vec::new();
        let mut expected = Vec::new();
        for (payload, cuts, is_text, is_compressed) in messages {
            let deflated = is_compressed.then(|| compression::deflate(payload.as_bytes(), 6, 15)).flatten();
            let mut first = if is_text { TEXT } else { BINARY };
            first |= if deflated.is_some() { RSV1 } else { 0 };
            let bytes = deflated.unwrap_or_else(|| payload.clone().into());
            let mut rest = &*bytes;
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                wire.extend(frame(first, head));
                wire.extend(frame(FIN | PING, b"!"));
                expected.push(Message::Ping(Bytes::from_static(b"!")));
                (first, rest) = (CONTINUATION, tail);
            }
            wire.extend(frame(FIN | first, rest));
            expected.push(if is_text { text(&payload) } else { Message::Binary(payload.into()) });
        }
        (wire, expected)
    })
}

proptest! {
    #[test]
    fn wherever_the_bytes_are_cut_the_messages_are_the_same(
        (wire, expected) in conversation(),
        cuts in proptest::collection::vec(1_usize..40, 1..10),
    ) {
        let mut pieces = Vec::new();
        let mut rest = &*wire;
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, tail) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = tail;
        }
        prop_assert_eq!(decode_with(true, &pieces).unwrap(), expected);
    }

    #[test]
    fn anything_is_decoded_or_refused(wire: Vec<u8>, inflates: bool) {
        let _ = decode_with(inflates, &[&wire]);
    }

    #[test]
    fn any_frame_is_decoded_or_refused(first: u8, payload: Vec<u8>, inflates: bool) {
        let _ = decode_with(inflates, &[&frame(first, &payload)]);
    }
}
