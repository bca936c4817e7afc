//! Recipients on their way to persistence.

use std::time::Duration;

use chasqui_kit::{Bus, TraceContext, request::RequestError};
use chasqui_proto::{
    service,
    v1::{AppendRecipients, CampaignReport, Recipient, RecipientsAppended, RowProblem},
};
use prost::Message;
use tokio_util::task::AbortOnDropHandle;

use super::report::Report;
use crate::{fields::FieldError, machine::MachineError};

/// The most recipients of a campaign.
const ROWS_MAX: u32 = 1_000_000;
/// How many recipients go to persistence at once: what it takes in one request.
const BATCH_ROWS_MAX: usize = 5_000;
/// How many bytes of them: what it takes in one request, 512 KiB, but for the names in front of them.
const BATCH_BYTES_MAX: usize = 511 * 1024;
/// What a recipient takes besides its own bytes: its tag and its length.
const FRAME_BYTES_MAX: usize = 6;
/// How long persistence may take to store a batch.
const APPEND_WAIT: Duration = Duration::from_secs(30);

/// The campaign that recipients are added to, by one upload.
#[derive(Clone, Debug)]
pub(super) struct Upload {
    pub(super) tenant: String,
    pub(super) campaign: String,
    pub(super) id: String,
}

/// Takes what was read, in order.
///
/// One batch is stored while the next one is read: which of two rows with one contact is the first is then told by their
/// order, and no more than two batches are held.
#[derive(Debug)]
pub(super) struct Intake {
    bus: Bus,
    trace: TraceContext,
    upload: Upload,
    report: Report,
    batch: Vec<Recipient>,
    batch_bytes: usize,
    /// It ends with the intake.
    in_flight: Option<AbortOnDropHandle<Result<RecipientsAppended, RequestError>>>,
}

impl Intake {
    /// For a campaign that takes recipients.
    pub(super) fn new(bus: &Bus, trace: TraceContext, upload: Upload) -> Self {
        let (bus, report) = (bus.clone(), Report::default());
        Self { bus, trace, upload, report, batch: Vec::new(), batch_bytes: 0, in_flight: None }
    }

    /// The next row.
    pub(super) async fn take(&mut self, row: Result<Recipient, RowProblem>) -> Result<(), MachineError> {
        if self.report.rows() >= ROWS_MAX {
            let expected = format!("must be at most {ROWS_MAX} for one campaign");
            return Err(FieldError::new("recipients", expected).into());
        }
        self.report.row();
        match row {
            Err(problem) => self.report.invalid(problem),
            Ok(recipient) => {
                let size = recipient.encoded_len() + FRAME_BYTES_MAX;
                let is_full = self.batch.len() >= BATCH_ROWS_MAX || self.batch_bytes + size > BATCH_BYTES_MAX;
                if is_full {
                    self.append().await?;
                }
                self.batch_bytes += size;
                self.batch.push(recipient);
            }
        }
        Ok(())
    }

    /// Everything was taken: waits until it is stored, and tells what was found.
    pub(super) async fn finish(mut self) -> Result<CampaignReport, MachineError> {
        if !self.batch.is_empty() {
            self.append().await?;
        }
        self.settle().await?;
        Ok(self.report.finish())
    }

    async fn append(&mut self) -> Result<(), MachineError> {
        self.settle().await?;
        let recipients = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let Upload { tenant, campaign: id, id: upload } = self.upload.clone();
        let question = AppendRecipients { tenant, id, upload, recipients };
        let (bus, trace) = (self.bus.clone(), self.trace);
        let stored = async move {
            bus.ask_subject(service::CAMPAIGNS_APPEND.subject, &question, trace, APPEND_WAIT).await
        };
        self.in_flight = Some(AbortOnDropHandle::new(tokio::spawn(stored)));
        Ok(())
    }

    /// Waits for the batch before.
    async fn settle(&mut self) -> Result<(), MachineError> {
        let Some(in_flight) = self.in_flight.take() else { return Ok(()) };
        let appended = in_flight.await.expect("nothing stops it before this does, and it does not panic")?;
        for duplicate in appended.duplicates {
            self.report.duplicate(duplicate.line, duplicate.first_line);
        }
        for line in appended.opted_out {
            self.report.opted_out(line);
        }
        Ok(())
    }
}
