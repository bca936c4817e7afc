//! A campaign in a form: its definition, then the file of its recipients, read piece by piece.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::BodyDataStream;
use multer::{Constraints, Field, Multipart, SizeLimit};

use super::{
    creation::{Created, Creation, Order},
    definition::DEFINITION_BYTES_MAX,
    sheet::Sheet,
};
use crate::{
    fields::FieldError,
    machine::MachineError,
    request_body::{self, BodyError},
};

/// How long a client may stay silent in between.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(30);
/// The largest file, bytes.
pub(super) const FILE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What the form may hold besides the file, bytes.
const FORM_BYTES_MAX: usize = DEFINITION_BYTES_MAX + 16 * 1024;
/// How much of a form is held while nothing of it can be passed on: more is no form.
const HELD_BYTES_MAX: usize = 1024 * 1024;

/// The form as it arrives.
struct Form<'a> {
    multipart: Multipart<'a>,
    held: Arc<AtomicUsize>,
}

/// Makes the campaign that a form describes.
pub(super) async fn read(
    order: &Order<'_>,
    body: &mut BodyDataStream,
    boundary: String,
) -> Result<Created, MachineError> {
    let mut form = Form::new(body, boundary);
    let definition = match form.part("campaign").await? {
        Some(part) => part.bytes().await.map_err(wrong)?,
        None => return Err(FieldError::new("campaign", "is needed: the first part of the form").into()),
    };
    let read = order.definition(&definition)?;
    let sheet = Sheet::new(read.phone_column.clone());
    let mut creation = order.open(read).await?;
    // Whoever takes something from the one and puts it to the other sends something else.
    creation.digest(&definition.len().to_be_bytes());
    creation.digest(&definition);
    let taken = form.take(&mut creation, sheet).await;
    creation.end(taken).await
}

impl<'a> Form<'a> {
    fn new(body: &'a mut BodyDataStream, boundary: String) -> Self {
        let held = Arc::new(AtomicUsize::new(0));
        let sizes = SizeLimit::new()
            .whole_stream(bytes(FILE_BYTES_MAX + FORM_BYTES_MAX))
            .for_field("campaign", bytes(DEFINITION_BYTES_MAX))
            .for_field("file", bytes(FILE_BYTES_MAX));
        let pieces = request_body::pieces(body, SILENCE_MAX, held.clone(), HELD_BYTES_MAX);
        let constraints = Constraints::new().size_limit(sizes);
        Self { multipart: Multipart::with_constraints(pieces, boundary, constraints), held }
    }

    /// The next part, which must be this one; `None` at the end of the form.
    async fn part(&mut self, name: &'static str) -> Result<Option<Field<'a>>, MachineError> {
        let part = self.multipart.next_field().await.map_err(wrong)?;
        self.held.store(0, Ordering::Relaxed);
        match part {
            Some(part) if part.name() != Some(name) => {
                Err(FieldError::new(name, "must come next: a form has campaign, then file, and nothing else")
                    .into())
            }
            part => Ok(part),
        }
    }

    /// Takes the file, and sees to it that the form ends there.
    async fn take(&mut self, creation: &mut Creation<'_>, mut sheet: Sheet) -> Result<(), MachineError> {
        let Some(mut file) = self.part("file").await? else {
            return Err(FieldError::new("file", "is needed: the second part of the form").into());
        };
        while let Some(piece) = file.chunk().await.map_err(wrong)? {
            self.held.store(0, Ordering::Relaxed);
            creation.digest(&piece);
            sheet.push(&piece);
            creation.take(|criteria| sheet.next(criteria)).await?;
        }
        drop(file);
        sheet.end();
        creation.take(|criteria| sheet.next(criteria)).await?;
        match self.multipart.next_field().await.map_err(wrong)? {
            None => Ok(()),
            Some(_) => Err(FieldError::new("file", "must be the last part of the form").into()),
        }
    }
}

fn bytes(size: usize) -> u64 {
    u64::try_from(size).expect("a limit fits 64 bits")
}

fn wrong(error: multer::Error) -> MachineError {
    match error {
        // The reader of forms says only that what it reads from failed.
        multer::Error::StreamReadFailed(_) => BodyError::Incomplete.into(),
        multer::Error::FieldSizeExceeded { field_name: Some(name), .. } if name == "campaign" => {
            BodyError::PartTooLarge("campaign", DEFINITION_BYTES_MAX).into()
        }
        multer::Error::FieldSizeExceeded { .. } | multer::Error::StreamSizeExceeded { .. } => {
            BodyError::PartTooLarge("file", FILE_BYTES_MAX).into()
        }
        error => FieldError::new("body", format!("must be a form (multipart/form-data): {error}")).into(),
    }
}
