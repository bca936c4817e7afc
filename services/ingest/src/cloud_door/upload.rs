//! A file in a form, on its way into the store without being held whole.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{body::BodyDataStream, extract::Request, http::header::CONTENT_TYPE};
use chasqui_kit::{Code, Coded};
use chasqui_media::{FileId, Incoming, Limits, MediaError, Properties};
use chasqui_proto::{Tenant, v1::StoredMedia};
use futures::StreamExt;
use multer::{Constraints, Field, Multipart, SizeLimit};

use super::{DoorError, Files};
use crate::request_body;

/// How long an upload may take: the largest file at some 170 kB a second.
const UPLOAD_WAIT: Duration = Duration::from_mins(10);
/// How long a client may stay silent in between.
const PIECE_WAIT: Duration = Duration::from_secs(15);
/// What a form may hold besides the file, bytes.
const FORM_BYTES_MAX: u64 = 64 * 1024;
/// The longest field besides the file, bytes.
const FIELD_BYTES_MAX: u64 = 1024;
/// How much of a form is held while nothing of it can be passed on: more is no form.
const HELD_BYTES_MAX: usize = 1024 * 1024;
/// The longest type of a file, bytes.
const MIME_TYPE_LENGTH_MAX: usize = 128;
/// The longest name of a file, characters.
const FILENAME_LENGTH_MAX: usize = 240;

/// Why a form was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadError {
    #[error("the body must be a form (multipart/form-data): {0}")]
    Form(#[source] multer::Error),
    #[error("file is needed")]
    NoFile,
    #[error("only one file can be uploaded at a time")]
    SecondFile,
    #[error("messaging_product must be whatsapp")]
    Product,
    #[error("type must be a type of file such as image/jpeg")]
    MimeType,
    #[error("the form did not arrive whole")]
    Incomplete,
}

impl Coded for UploadError {
    fn code(&self) -> Code {
        Code::InvalidInput
    }
}

impl From<multer::Error> for UploadError {
    fn from(error: multer::Error) -> Self {
        match error {
            // The reader of forms says only that what it reads from failed.
            multer::Error::StreamReadFailed(_) => Self::Incomplete,
            error => Self::Form(error),
        }
    }
}

/// What is known of a form so far.
#[derive(Debug, Default)]
struct Form {
    is_of_whatsapp: bool,
    mime_type: Option<String>,
    stored: Option<StoredMedia>,
}

/// Keeps the file of a form.
pub(super) async fn keep(files: &Files, tenant: &Tenant, request: Request) -> Result<StoredMedia, DoorError> {
    let (parts, body) = request.into_parts();
    let content_type =
        parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(content_type).map_err(UploadError::from)?;
    let mut body = body.into_data_stream();
    let mut form = Form::default();
    let read = tokio::time::timeout(UPLOAD_WAIT, form.read(files, tenant, &mut body, boundary)).await;
    let outcome = read.unwrap_or(Err(UploadError::Incomplete.into())).and_then(|()| form.check());
    if outcome.is_err() {
        request_body::discard(&mut body, request_body::DISCARDED_BYTES_MAX, PIECE_WAIT).await;
        // A file without the rest of its form is nobody's.
        if let Some(id) = form.stored.as_ref().and_then(|stored| stored.id.parse().ok()) {
            files.store.delete(tenant, id).await?;
        }
    }
    outcome?;
    Ok(form.stored.expect("a form that was checked has a file"))
}

impl Form {
    async fn read(
        &mut self,
        files: &Files,
        tenant: &Tenant,
        body: &mut BodyDataStream,
        boundary: String,
    ) -> Result<(), DoorError> {
        let held = Arc::new(AtomicUsize::new(0));
        let bytes_max = largest(files.limits).saturating_add(FORM_BYTES_MAX);
        let sizes = ["messaging_product", "type"]
            .into_iter()
            .fold(SizeLimit::new().whole_stream(bytes_max), |sizes, field| {
                sizes.for_field(field, FIELD_BYTES_MAX)
            });
        let constraints = Constraints::new().size_limit(sizes);
        // The reader of forms keeps the headers of a field until they end, which they need not.
        let pieces = request_body::pieces(body, PIECE_WAIT, held.clone(), HELD_BYTES_MAX);
        let mut multipart = Multipart::with_constraints(pieces, boundary, constraints);
        while let Some(field) = multipart.next_field().await.map_err(UploadError::from)? {
            held.store(0, Ordering::Relaxed);
            match field.name() {
                Some("file") if self.stored.is_some() => return Err(UploadError::SecondFile.into()),
                Some("file") => self.stored = Some(self.keep(files, tenant, field, &held).await?),
                Some("messaging_product") => self.is_of_whatsapp = text(field).await? == "whatsapp",
                Some("type") => self.mime_type = Some(mime_type(&text(field).await?)?),
                _ => {}
            }
        }
        Ok(())
    }

    /// The type that stands before the file in the form counts more than what the file says of itself.
    async fn keep(
        &self,
        files: &Files,
        tenant: &Tenant,
        field: Field<'_>,
        held: &AtomicUsize,
    ) -> Result<StoredMedia, DoorError> {
        let own = field.content_type().map(|own| mime_type(own.as_ref())).transpose()?;
        let mime_type =
            self.mime_type.clone().or(own).unwrap_or_else(|| "application/octet-stream".to_owned());
        let filename = field.file_name().unwrap_or_default();
        let filename = filename.chars().filter(|c| !c.is_control()).take(FILENAME_LENGTH_MAX).collect();
        let bytes_max = files.limits.of_mime_type(&mime_type);
        let incoming = Incoming { properties: Properties { mime_type, filename }, bytes_max, sha256: None };
        let content = field.inspect(|_| held.store(0, Ordering::Relaxed));
        match files.store.put(tenant, FileId::now(), incoming, content).await {
            // The client's fault, not the store's.
            Err(MediaError::Interrupted(cause)) => Err(match cause.downcast::<multer::Error>() {
                Ok(error) => UploadError::from(*error),
                Err(_) => UploadError::Incomplete,
            }
            .into()),
            outcome => Ok(outcome?),
        }
    }

    fn check(&self) -> Result<(), DoorError> {
        if self.stored.is_none() {
            return Err(UploadError::NoFile.into());
        }
        if self.is_of_whatsapp { Ok(()) } else { Err(UploadError::Product.into()) }
    }
}

/// The most bytes of a file of any type.
fn largest(limits: Limits) -> u64 {
    let of = |kind: &str| limits.of_mime_type(kind);
    ["image", "audio", "video", ""].map(of).into_iter().max().unwrap_or_default()
}

async fn text(field: Field<'_>) -> Result<String, UploadError> {
    Ok(field.text().await?.trim().to_owned())
}

/// What may stand in a header and in an answer.
fn mime_type(given: &str) -> Result<String, UploadError> {
    let (kind, rest) = given.split_once('/').ok_or(UploadError::MimeType)?;
    let is_token = |text: &str| !text.is_empty() && text.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
    let is_whole = given.len() <= MIME_TYPE_LENGTH_MAX && is_token(kind) && is_token(rest);
    is_whole.then(|| given.to_ascii_lowercase()).ok_or(UploadError::MimeType)
}
