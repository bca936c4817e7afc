//! Media: what businesses and phones upload, and the samples.

use std::{
    collections::{HashMap, VecDeque},
    sync::atomic::{AtomicU64, Ordering},
    sync::{Mutex, MutexGuard},
};

use bytes::Bytes;
use serde_json::{Value, json};

use chasqui_kit::clock::now_ms;

use crate::samples;

/// All uploads together; past it the oldest go.
const BYTES_MAX: usize = 512 * 1024 * 1024;
/// The types that carry a file.
pub(crate) const MEDIA_TYPES: [&str; 5] = ["image", "audio", "video", "document", "sticker"];
/// What ids of uploads begin with: 16 digits, which no phone number id in use here has.
const ID_BASE: u64 = 7_000_000_000_000_000;

/// A file that can be downloaded.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) mime_type: String,
    pub(crate) filename: Option<String>,
    pub(crate) content: Bytes,
}

/// Every file.
#[derive(Debug)]
pub(crate) struct Files {
    held: Mutex<Held>,
    next: AtomicU64,
}

#[derive(Debug, Default)]
struct Held {
    by_id: HashMap<String, File>,
    /// Uploads, oldest first.
    order: VecDeque<String>,
    bytes: usize,
}

impl Default for Files {
    fn default() -> Self {
        let mut held = Held::default();
        for sample in &samples::ALL {
            let file = File {
                mime_type: sample.mime_type.to_owned(),
                filename: None,
                content: Bytes::from_static(sample.content),
            };
            held.by_id.insert(sample.id.to_owned(), file);
        }
        // Ids go on where a simulator that ran before stopped: clients may keep them for weeks.
        let next = ID_BASE + u64::try_from(now_ms()).unwrap_or_default() * 100;
        Self { held: Mutex::new(held), next: AtomicU64::new(next) }
    }
}

impl Files {
    /// Keeps a file; returns its id.
    pub(crate) fn add(&self, file: File) -> String {
        let id = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        let mut held = self.held();
        held.bytes += file.content.len();
        held.by_id.insert(id.clone(), file);
        held.order.push_back(id.clone());
        while held.bytes > BYTES_MAX {
            let oldest = held.order.pop_front().expect("bytes are held by uploads");
            held.forget(&oldest);
        }
        id
    }

    pub(crate) fn get(&self, id: &str) -> Option<File> {
        self.held().by_id.get(id).cloned()
    }

    /// Removes an upload; samples stay.
    pub(crate) fn remove(&self, id: &str) -> bool {
        let mut held = self.held();
        let Some(at) = held.order.iter().position(|known| known == id) else { return false };
        held.order.remove(at);
        held.forget(id)
    }

    /// Whether an id has the form of a file's.
    pub(crate) fn is_file_id(id: &str) -> bool {
        id.len() == 16 && id.starts_with('7') && id.bytes().all(|byte| byte.is_ascii_digit())
    }

    /// Fills in what a message says of the file it names: type, checksum and name.
    pub(crate) fn describe(&self, message: &mut Value) {
        let kind =
            message["type"].as_str().and_then(|kind| MEDIA_TYPES.into_iter().find(|known| *known == kind));
        let Some(media) = kind.and_then(|kind| message.get_mut(kind)).and_then(Value::as_object_mut) else {
            return;
        };
        let Some(file) = media.get("id").and_then(Value::as_str).and_then(|id| self.get(id)) else { return };
        let facts = [
            ("mime_type", Some(json!(file.mime_type))),
            ("sha256", Some(json!(samples::checksum(&file.content)))),
            ("filename", file.filename.map(Value::from)),
        ];
        for (key, fact) in facts {
            if let (Some(fact), false) = (fact, media.contains_key(key)) {
                media.insert(key.to_owned(), fact);
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("no holder of this lock panics")
    }
}

impl Held {
    fn forget(&mut self, id: &str) -> bool {
        let forgotten = self.by_id.remove(id);
        self.bytes -= forgotten.as_ref().map_or(0, |file| file.content.len());
        forgotten.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(size: usize) -> File {
        File {
            mime_type: "image/png".to_owned(),
            filename: Some("a.png".to_owned()),
            content: vec![0; size].into(),
        }
    }

    #[test]
    fn uploads_get_ids_and_the_oldest_make_room() {
        let files = Files::default();
        let first = files.add(file(BYTES_MAX / 2));
        assert!(Files::is_file_id(&first), "{first}");
        let second = files.add(file(BYTES_MAX / 2));
        files.add(file(1));
        assert!(files.get(&first).is_none());
        assert!(files.remove(&second) && !files.remove(&second));
        assert!(samples::ALL.iter().all(|sample| files.get(sample.id).is_some() && !files.remove(sample.id)));
    }

    #[test]
    fn a_message_says_what_its_file_is() {
        let files = Files::default();
        let id = files.add(file(3));
        let mut message = json!({ "type": "image", "image": { "id": id, "caption": "x" } });
        files.describe(&mut message);
        assert_eq!(
            (&message["image"]["mime_type"], &message["image"]["caption"]),
            (&json!("image/png"), &json!("x"))
        );
        assert_eq!(message["image"]["sha256"], samples::checksum(&[0; 3]));
        let mut text = json!({ "type": "text", "text": { "body": "x" } });
        files.describe(&mut text);
        assert_eq!(text, json!({ "type": "text", "text": { "body": "x" } }));
    }
}
