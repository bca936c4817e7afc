//! A campaign that is being made: opened, filled, and sealed or thrown away.

use std::time::Duration;

use chasqui_kit::{TraceContext, clock};
use chasqui_proto::{
    Tenant, service,
    v1::{Campaign, CampaignReport, CampaignStatus, CreateCampaign, Recipient, RowProblem, SealCampaign},
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    Campaigns,
    criteria::Criteria,
    definition::Definition,
    intake::{Intake, Upload},
};
use crate::{
    admission::{Caller, Proof},
    fields::FieldError,
    machine::MachineError,
    sessions,
};

/// How long persistence may take to throw away what an upload brought.
const SEAL_WAIT: Duration = Duration::from_mins(1);

/// Who wants a campaign, and which.
#[derive(Debug)]
pub(super) struct Order<'a> {
    pub(super) campaigns: &'a Campaigns,
    pub(super) caller: Caller,
    pub(super) trace: TraceContext,
    /// The same for whoever repeats the request.
    pub(super) id: Uuid,
    /// Nothing is to be kept, whatever the definition says.
    pub(super) dry_run: bool,
}

/// A campaign that takes recipients.
#[derive(Debug)]
pub(super) struct Creation<'a> {
    order: &'a Order<'a>,
    upload: Upload,
    criteria: Criteria,
    /// `None` where the request is repeated: everybody is stored.
    intake: Option<Intake>,
    start: bool,
    dry_run: bool,
    digest: Sha256,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Created {
    /// There it is, with what was found.
    Stored { campaign: Campaign, report: CampaignReport, is_new: bool },
    /// So it would be; nothing of it is kept.
    Tried { campaign: Campaign, report: CampaignReport },
    /// Nobody is left to write to; nothing of it is kept.
    Nobody(CampaignReport),
}

impl Order<'_> {
    /// For whom it is.
    pub(super) fn tenant(&self) -> &Tenant {
        &self.caller.tenant
    }

    /// Reads what is to be sent to whom.
    pub(super) fn definition(&self, body: &[u8]) -> Result<Definition, FieldError> {
        Definition::read(body, self.tenant(), clock::now_ms())
    }

    /// Makes the campaign, as yet without recipients.
    pub(super) async fn open(&self, definition: Definition) -> Result<Creation<'_>, MachineError> {
        let (machines, trace) = (&self.campaigns.machines, self.trace);
        let Definition { name, mut plan, session, start, dry_run, .. } = definition;
        let session = machines.sessions.taking(self.tenant(), session.as_ref(), trace).await?;
        let message = plan.message.get_or_insert_default();
        message.channel = Some(sessions::channel(&session.id));
        let criteria =
            Criteria::of(message).map_err(|error| FieldError::new("message", error.to_string()))?;
        let dry_run = dry_run || self.dry_run;
        // What is tried must not be in the way of what is meant.
        let id = if dry_run { Uuid::new_v4() } else { self.id };
        let upload = Upload {
            tenant: self.tenant().to_string(),
            campaign: id.to_string(),
            id: Uuid::new_v4().to_string(),
        };
        let created_by = match &self.caller.by {
            Proof::Staff(id) | Proof::Key(id) => id.clone(),
            Proof::Configured | Proof::Nobody => String::new(),
        };
        let question = CreateCampaign {
            tenant: upload.tenant.clone(),
            id: upload.campaign.clone(),
            upload: upload.id.clone(),
            name,
            plan: Some(plan),
            created_by,
        };
        let subject = service::CAMPAIGNS_CREATE.subject;
        let opened: Campaign = machines.bus.ask_subject(subject, &question, trace, SEAL_WAIT).await?;
        let takes = opened.status() == CampaignStatus::Uploading;
        let intake = takes.then(|| Intake::new(&machines.bus, trace, upload.clone()));
        Ok(Creation { order: self, upload, criteria, intake, start, dry_run, digest: Sha256::new() })
    }
}

impl Creation<'_> {
    /// Bytes of the request: whoever repeats it must repeat all of them.
    pub(super) fn digest(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
    }

    /// Takes rows until `next` has none.
    pub(super) async fn take<N, E>(&mut self, mut next: N) -> Result<(), MachineError>
    where
        N: FnMut(&Criteria) -> Result<Option<Result<Recipient, RowProblem>>, E>,
        MachineError: From<E>,
    {
        // Of a request that is repeated rows are read as well: whatever is not taken out would be held.
        while let Some(row) = next(&self.criteria)? {
            if let Some(intake) = &mut self.intake {
                intake.take(row).await?;
            }
        }
        Ok(())
    }

    /// Everything was taken, or something went wrong: then nothing of it is kept.
    pub(super) async fn end(mut self, taken: Result<(), MachineError>) -> Result<Created, MachineError> {
        match taken {
            Ok(()) => self.finish().await,
            Err(error) => {
                // What is on its way is not waited for: of a campaign that is gone nothing is stored.
                if self.intake.take().is_some() {
                    self.throw_away().await;
                }
                Err(error)
            }
        }
    }

    async fn finish(mut self) -> Result<Created, MachineError> {
        let Some(intake) = self.intake.take() else {
            let campaign = self.seal(CampaignReport::default(), false).await?;
            let report = campaign.report.clone().unwrap_or_default();
            return Ok(Created::Stored { campaign, report, is_new: false });
        };
        let report = match intake.finish().await {
            Ok(report) => report,
            Err(error) => {
                self.throw_away().await;
                return Err(error);
            }
        };
        if report.accepted == 0 {
            self.throw_away().await;
            return Ok(Created::Nobody(report));
        }
        let campaign = self.seal(report.clone(), self.dry_run).await?;
        if self.dry_run {
            return Ok(Created::Tried { campaign, report });
        }
        Ok(Created::Stored { campaign, report, is_new: true })
    }

    /// What cannot be thrown away now persistence throws away later.
    async fn throw_away(&self) {
        if let Err(error) = self.seal(CampaignReport::default(), true).await {
            tracing::warn!(%error, campaign = self.upload.campaign, "an upload could not be thrown away");
        }
    }

    async fn seal(&self, report: CampaignReport, discard: bool) -> Result<Campaign, MachineError> {
        let Upload { tenant, campaign: id, id: upload } = self.upload.clone();
        let digest = self.digest.clone().finalize().to_vec();
        let start = self.start;
        let question = SealCampaign { tenant, id, upload, digest, report: Some(report), start, discard };
        let (machines, trace) = (&self.order.campaigns.machines, self.order.trace);
        Ok(machines.bus.ask_subject(service::CAMPAIGNS_SEAL.subject, &question, trace, SEAL_WAIT).await?)
    }
}
