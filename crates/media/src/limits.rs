//! How large files may be.

use chasqui_proto::v1::MessageType;

/// The most bytes of a file, by the kind of message it goes with. The defaults are those of the Cloud API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of an image.
    pub image_bytes_max: u64,
    /// Of an audio or a voice note.
    pub audio_bytes_max: u64,
    /// Of a video.
    pub video_bytes_max: u64,
    /// Of a document, and of whatever is none of the others.
    pub document_bytes_max: u64,
    /// Of a sticker.
    pub sticker_bytes_max: u64,
}

impl Limits {
    /// The limit of the files of a kind of message.
    pub fn of(&self, kind: MessageType) -> u64 {
        match kind {
            MessageType::Image => self.image_bytes_max,
            MessageType::Audio => self.audio_bytes_max,
            MessageType::Video => self.video_bytes_max,
            MessageType::Sticker => self.sticker_bytes_max,
            _ => self.document_bytes_max,
        }
    }

    /// The limit where only the file's type is known. A sticker is an image, so it has the larger limit of the two.
    pub fn of_mime_type(&self, mime_type: &str) -> u64 {
        match mime_type.split('/').next() {
            Some("image") => self.image_bytes_max.max(self.sticker_bytes_max),
            Some("audio") => self.audio_bytes_max,
            Some("video") => self.video_bytes_max,
            _ => self.document_bytes_max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_own_limit() {
        let limits = crate::Config::default().limits();
        let of = |kind| limits.of(kind);
        assert_eq!(of(MessageType::Image), 5 * 1024 * 1024);
        assert_eq!((of(MessageType::Audio), of(MessageType::Video)), (16 * 1024 * 1024, 16 * 1024 * 1024));
        assert_eq!((of(MessageType::Sticker), of(MessageType::Document)), (500 * 1024, 100 * 1024 * 1024));
        assert_eq!(of(MessageType::Unsupported), of(MessageType::Document));
        assert_eq!(limits.of_mime_type("image/webp"), 5 * 1024 * 1024);
        assert_eq!(limits.of_mime_type("audio/ogg; codecs=opus"), 16 * 1024 * 1024);
        assert_eq!(limits.of_mime_type(""), 100 * 1024 * 1024);
    }
}
