//! Files of ours that WhatsApp has already, and how the others get there.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use chasqui_kit::{Code, Coded};
use chasqui_media::{FileId, Limits, MediaStore};
use chasqui_proto::Tenant;
use reqwest::{
    Body,
    multipart::{Form, Part},
};

use super::answer;
use crate::connector::Outcome;

/// How many files are remembered for a number; more than a number sends different ones in a day.
const REMEMBERED_MAX: usize = 1_000;
/// How long an id is good: WhatsApp keeps a file for 30 days.
const LIFETIME: Duration = Duration::from_hours(29 * 24);
/// The name of a file that has none: the provider refuses a part without.
const NAMELESS: &str = "file";

/// The provider's ids of files that were uploaded for one number, and those being uploaded: whoever sends the same file
/// at the same time waits for the one upload.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    slots: HashMap<FileId, Arc<tokio::sync::Mutex<Slot>>>,
    /// The same files, oldest first.
    order: VecDeque<FileId>,
}

/// What is known of one file.
#[derive(Debug, Default)]
pub(super) struct Slot(Option<(String, Instant)>);

impl Slot {
    /// The provider's id, while it is good.
    pub(super) fn id(&self) -> Option<&str> {
        self.id_at(Instant::now())
    }

    fn id_at(&self, now: Instant) -> Option<&str> {
        let good = self.0.as_ref().filter(|(_, since)| now.duration_since(*since) < LIFETIME);
        good.map(|(id, _)| id.as_str())
    }

    /// The provider has it under `id` since now.
    pub(super) fn remember(&mut self, id: String) {
        self.0 = Some((id, Instant::now()));
    }
}

impl Uploads {
    /// Where the id of a file is kept. Whoever uploads it holds the lock meanwhile.
    pub(super) fn slot(&self, file: FileId) -> Arc<tokio::sync::Mutex<Slot>> {
        let mut known = self.known.lock().expect("no holder of this lock panics");
        if let Some(slot) = known.slots.get(&file) {
            return slot.clone();
        }
        if known.order.len() >= REMEMBERED_MAX
            && let Some(oldest) = known.order.pop_front()
        {
            known.slots.remove(&oldest);
        }
        known.order.push_back(file);
        known.slots.entry(file).or_default().clone()
    }

    /// The provider no longer has it.
    pub(super) fn forget(&self, file: FileId) {
        let mut known = self.known.lock().expect("no holder of this lock panics");
        known.slots.remove(&file);
        known.order.retain(|other| *other != file);
    }
}

/// The form that uploads a file, read from the store while it is sent.
pub(super) async fn form(
    store: &MediaStore,
    tenant: &Tenant,
    id: FileId,
    limits: &Limits,
) -> Result<Form, Outcome> {
    let opened = store.get(tenant, id, None).await.map_err(|error| match error.code() {
        Code::NotFound => answer::refused_by_us(answer::MEDIA_UPLOAD, &format!("media.id: {error}: {id}")),
        _ => Outcome::NotWritten(error.to_string()),
    })?;
    let (size, mime_type) = (opened.file.size_bytes, opened.file.mime_type);
    let bytes_max = limits.of_mime_type(&mime_type);
    if size > bytes_max {
        let cause = format!("media.id: the file has {size} bytes, more than the {bytes_max} for {mime_type}");
        return Err(answer::refused_by_us(answer::MEDIA_UPLOAD, &cause));
    }
    let name = if opened.file.filename.is_empty() { NAMELESS.to_owned() } else { opened.file.filename };
    let part = Part::stream_with_length(Body::wrap_stream(opened.content), size).file_name(name);
    let untyped =
        |_| answer::refused_by_us(answer::MEDIA_UPLOAD, &format!("media.id: {mime_type:?} is no type"));
    let part = part.mime_str(&mime_type).map_err(untyped)?;
    Ok(Form::new().text("messaging_product", "whatsapp").text("type", mime_type).part("file", part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_id_is_remembered_until_it_is_too_old_or_too_many_came_after_it() {
        let (uploads, file) = (Uploads::default(), FileId::now());
        uploads.slot(file).lock().await.remember("17".to_owned());
        assert_eq!(uploads.slot(file).lock().await.id(), Some("17"));
        let later = Instant::now() + LIFETIME;
        assert_eq!(uploads.slot(file).lock().await.id_at(later), None);
        for _ in 0..REMEMBERED_MAX {
            uploads.slot(FileId::now());
        }
        assert_eq!(uploads.slot(file).lock().await.id(), None);
        let known = uploads.known.lock().unwrap();
        assert_eq!((known.slots.len(), known.order.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
    }

    #[tokio::test]
    async fn what_the_provider_lost_is_forgotten() {
        let (uploads, file) = (Uploads::default(), FileId::now());
        uploads.slot(file).lock().await.remember("17".to_owned());
        uploads.forget(file);
        assert_eq!(uploads.slot(file).lock().await.id(), None);
    }
}
