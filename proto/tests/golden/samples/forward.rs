//! What edge nodes say to each other about Engine.IO sessions.

use chasqui_proto::v1::{
    BridgeFrame, BridgeSegment, Forgotten, Forward, ForwardAnswer, ForwardKind, ForwardOutcome,
    ForwardRequest, bridge_frame::Payload, forward::What,
};

use super::{Sample, sample};

const REQUEST: &str = "YWJjZGVmZ2hpamts";

pub(crate) fn all() -> Vec<Sample> {
    vec![
        sample("forward-request", &Forward { what: Some(What::Request(request())) }),
        sample("forward-withdrawn", &Forward { what: Some(What::Withdrawn(REQUEST.to_owned())) }),
        sample("forward-segment", &Forward { what: Some(What::Segment(segment())) }),
        sample(
            "forward-answer",
            &ForwardAnswer { outcome: ForwardOutcome::Done.into(), payload: "42[\"hola\"]".to_owned() },
        ),
        sample("forward-look", &Forward { what: Some(What::Request(look())) }),
        sample("forward-forgotten", &Forward { what: Some(What::Forgotten(forgotten())) }),
    ]
}

fn request() -> ForwardRequest {
    ForwardRequest {
        id: REQUEST.to_owned(),
        kind: ForwardKind::Post.into(),
        session_id: "bG9uZyBlbm91Z2g.a1b2c3d4-edge-1".to_owned(),
        node: "e5f6a7b8-edge-2".to_owned(),
        body: b"42[\"hola\"]".as_slice().into(),
        held: Vec::new(),
    }
}

fn look() -> ForwardRequest {
    ForwardRequest {
        kind: ForwardKind::Ping.into(),
        node: "e5f6a7b8-edge-2".to_owned(),
        held: vec![REQUEST.to_owned()],
        ..ForwardRequest::default()
    }
}

fn forgotten() -> Forgotten {
    Forgotten { node: "a1b2c3d4-edge-1".to_owned(), ids: vec![REQUEST.to_owned()] }
}

fn segment() -> BridgeSegment {
    let text = Payload::Text("42[\"hola\"]".to_owned());
    let binary = Payload::Binary([1, 2, 3].as_slice().into());
    BridgeSegment {
        bridge: REQUEST.to_owned(),
        number: 7,
        received: 5,
        frames: [text, binary].map(|payload| BridgeFrame { payload: Some(payload) }).to_vec(),
        closed: true,
        close_code: 4000,
        close_reason: "going away".to_owned(),
    }
}
