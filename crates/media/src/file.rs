//! A file: what names it, and what is known of it besides its bytes.

use std::{fmt, str::FromStr};

use chasqui_proto::MessageId;
use uuid::Uuid;

/// Characters of a UUID with its hyphens. The shorter forms are not taken: a provider's own ids could look like them.
const UUID_LENGTH: usize = 36;

/// What names a file within its tenant: a UUID, so that it is safe in paths, keys and addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub Uuid);

/// A text that names no file of the media store.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no file: expected a UUID such as 018f4e6e-7d55-7c7e-8a7b-0d3b5c1f2a10")]
pub struct NotAFileId(String);

impl FileId {
    /// A new file's.
    pub fn now() -> Self {
        Self(Uuid::now_v7())
    }
}

impl From<MessageId> for FileId {
    /// The file that came with a message is named as the message is.
    fn from(message: MessageId) -> Self {
        Self(message.0)
    }
}

impl FromStr for FileId {
    type Err = NotAFileId;

    fn from_str(text: &str) -> Result<Self, NotAFileId> {
        let whole = Some(text).filter(|text| text.len() == UUID_LENGTH);
        let id = whole.and_then(|text| Uuid::parse_str(text).ok());
        id.map(Self).ok_or_else(|| NotAFileId(text.chars().take(UUID_LENGTH).collect()))
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What whoever brings a file says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// Such as `image/jpeg`; empty where nobody knows.
    pub mime_type: String,
    /// The name people gave it; empty where it has none.
    pub filename: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_uuid_with_its_hyphens_is_a_file() {
        let id = FileId::now();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        let simple = id.0.simple().to_string();
        for other in
            ["", "1234567890123456", &simple, &format!("{{{id}}}"), "../../../../../../../../etc/passwd-"]
        {
            assert!(other.parse::<FileId>().is_err(), "{other:?}");
        }
    }
}
