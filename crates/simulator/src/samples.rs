//! The small files that phones send when nobody says which.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

/// A file that can be downloaded under a fixed id.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) id: &'static str,
    pub(crate) mime_type: &'static str,
    pub(crate) content: &'static [u8],
}

/// One file of each kind.
pub(crate) const ALL: [Sample; 6] = [
    Sample {
        id: "1000000000000041",
        mime_type: "image/jpeg",
        content: include_bytes!("../samples/image.jpg"),
    },
    Sample {
        id: "1000000000000042",
        mime_type: "audio/ogg; codecs=opus",
        content: include_bytes!("../samples/voice.ogg"),
    },
    Sample {
        id: "1000000000000043",
        mime_type: "audio/mpeg",
        content: include_bytes!("../samples/music.mp3"),
    },
    Sample {
        id: "1000000000000044",
        mime_type: "video/mp4",
        content: include_bytes!("../samples/video.mp4"),
    },
    Sample {
        id: "1000000000000045",
        mime_type: "application/pdf",
        content: include_bytes!("../samples/document.pdf"),
    },
    Sample {
        id: "1000000000000046",
        mime_type: "image/webp",
        content: include_bytes!("../samples/sticker.webp"),
    },
];

/// The file of a type; every type that payloads name has one.
pub(crate) fn of(mime_type: &str) -> &'static Sample {
    ALL.iter()
        .find(|sample| sample.mime_type == mime_type)
        .expect("each media type of a payload has a sample")
}

/// A checksum as webhooks write it.
pub(crate) fn checksum(content: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(content))
}
