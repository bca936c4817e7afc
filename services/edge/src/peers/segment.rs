//! What goes over a bridge, as the segments that carry it.

use chasqui_proto::v1::{BridgeFrame, BridgeSegment, bridge_frame::Payload};

use crate::{
    engineio::{Carried, Goodbye},
    outbox::Frame,
};

/// The most bytes of frames in one segment, unless a single frame is larger.
const SEGMENT_BYTES_MAX: usize = 64 * 1024;

/// The segments for a piece, without names and numbers.
pub(super) fn of_carried(carried: Carried) -> Vec<BridgeSegment> {
    match carried {
        Carried::Frames(frames) => of_frames(frames),
        Carried::Closed(goodbye) => vec![closed(goodbye)],
    }
}

/// The last segment of an end.
pub(super) fn closed(goodbye: Option<Goodbye>) -> BridgeSegment {
    let (close_code, close_reason) =
        goodbye.map_or((0, String::new()), |goodbye| (u32::from(goodbye.code), goodbye.reason.to_string()));
    BridgeSegment { closed: true, close_code, close_reason, ..BridgeSegment::default() }
}

/// The piece a segment carries.
pub(super) fn carried(segment: BridgeSegment) -> Carried {
    if segment.closed {
        let code = u16::try_from(segment.close_code).ok().filter(|code| *code != 0);
        return Carried::Closed(code.map(|code| Goodbye { code, reason: segment.close_reason.into() }));
    }
    let frames = segment.frames.into_iter().filter_map(|frame| frame.payload);
    Carried::Frames(
        frames
            .map(|payload| match payload {
                Payload::Text(text) => text.into(),
                Payload::Binary(bytes) => bytes.into(),
            })
            .collect(),
    )
}

fn of_frames(frames: Vec<Frame>) -> Vec<BridgeSegment> {
    let mut segments = vec![BridgeSegment::default()];
    let mut bytes = 0;
    for frame in frames {
        if bytes > 0 && bytes + frame.len() > SEGMENT_BYTES_MAX {
            segments.push(BridgeSegment::default());
            bytes = 0;
        }
        bytes += frame.len();
        let payload = match frame.as_text() {
            Some(text) => Payload::Text(text.to_string()),
            None => Payload::Binary(frame.payload().clone()),
        };
        let segment = segments.last_mut().expect("there is one from the start");
        segment.frames.push(BridgeFrame { payload: Some(payload) });
    }
    segments
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn frame() -> impl Strategy<Value = Frame> {
        prop_oneof![
            ".{0,40}".prop_map(Frame::from),
            prop_oneof![0..40_usize, SEGMENT_BYTES_MAX / 2..SEGMENT_BYTES_MAX]
                .prop_map(|size| Frame::from(Bytes::from(vec![7; size]))),
        ]
    }

    proptest! {
        #[test]
        fn frames_arrive_as_they_left_in_segments_of_bounded_size(
            frames in proptest::collection::vec(frame(), 1..20)
        ) {
            let mut arrived = Vec::new();
            for segment in of_carried(Carried::Frames(frames.clone())) {
                let Carried::Frames(some) = carried(segment) else { panic!("not closed") };
                let bytes: usize = some.iter().map(Frame::len).sum();
                prop_assert!(some.len() == 1 || bytes <= SEGMENT_BYTES_MAX);
                arrived.extend(some);
            }
            prop_assert_eq!(arrived, frames);
        }
    }

    #[test]
    fn a_goodbye_keeps_its_code_and_its_words() {
        for goodbye in [None, Some(Goodbye { code: 4000, reason: "going away".into() })] {
            assert_eq!(carried(closed(goodbye.clone())), Carried::Closed(goodbye));
        }
        let nonsense = BridgeSegment { close_code: 70_000, ..closed(None) };
        assert_eq!(carried(nonsense), Carried::Closed(None));
    }
}
