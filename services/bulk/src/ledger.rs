//! What persistence keeps of a campaign, as its runner asks for it.

use chasqui_kit::{Bus, Code, Coded, TraceContext};
use chasqui_proto::{
    service::{CAMPAIGNS_ADVANCE, CAMPAIGNS_CHANGE, CAMPAIGNS_UNSETTLED},
    v1::{
        AdvanceCampaign, Campaign, CampaignAction, CampaignAdvanced, ChangeCampaign, ListUnsettled, Recipient,
    },
};

use crate::{key::CampaignKey, trouble::Trouble};

/// How many recipients whose message may be missing are asked for at once.
const UNSETTLED_MAX: u32 = 500;

/// How many recipients a runner wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// At most so many now.
    pub(crate) limit: u32,
    /// At most so many under way.
    pub(crate) window: u32,
}

/// One campaign at persistence, for one ownership of it.
#[derive(Debug)]
pub(crate) struct Ledger {
    bus: Bus,
    key: CampaignKey,
    ownership: u64,
}

impl Ledger {
    pub(crate) fn new(bus: &Bus, key: &CampaignKey, ownership: u64) -> Self {
        Self { bus: bus.clone(), key: key.clone(), ownership }
    }

    /// How the campaign stands, with its plan. From here on no runner before this one is given anybody.
    pub(crate) async fn look(&self, told_version: u64) -> Result<Campaign, Trouble> {
        let claim = Claim { limit: 0, window: 0 };
        let answer = self.ask(told_version, claim).await.map_err(Trouble::of_repeatable)?;
        Ok(answer.campaign.unwrap_or_default())
    }

    /// How the campaign stands, and who is next. They are under way from now on.
    pub(crate) async fn advance(
        &self,
        told_version: u64,
        claim: Claim,
    ) -> Result<(Campaign, Vec<Recipient>), Trouble> {
        // What was never asked leaves no doubt.
        if !self.bus.is_connected() {
            return Err(Trouble::Away("the message broker is away".to_owned()));
        }
        let trouble = if claim.limit == 0 { Trouble::of_repeatable } else { Trouble::of_claim };
        let answer = self.ask(told_version, claim).await.map_err(trouble)?;
        Ok((answer.campaign.unwrap_or_default(), answer.recipients))
    }

    async fn ask(
        &self,
        told_version: u64,
        Claim { limit, window }: Claim,
    ) -> Result<CampaignAdvanced, chasqui_kit::request::RequestError> {
        let question = AdvanceCampaign {
            tenant: self.key.tenant.to_string(),
            id: self.key.id.to_string(),
            ownership: self.ownership,
            told_version,
            limit,
            window,
        };
        self.bus.ask(CAMPAIGNS_ADVANCE, &question, TraceContext::root()).await
    }

    /// Recipients that are under way and whose message is not stored, in order of their lines.
    pub(crate) async fn unsettled(&self, after_line: u32) -> Result<Vec<Recipient>, Trouble> {
        let question = ListUnsettled {
            tenant: self.key.tenant.to_string(),
            id: self.key.id.to_string(),
            ownership: self.ownership,
            after_line,
            limit: UNSETTLED_MAX,
        };
        let answer = self.bus.ask(CAMPAIGNS_UNSETTLED, &question, TraceContext::root()).await;
        Ok(answer.map_err(Trouble::of_repeatable)?.recipients)
    }

    /// Stops the campaign, for people to read why; the state after it. `None` if it does not run any more.
    pub(crate) async fn stop(&self, error: String) -> Result<Option<Campaign>, Trouble> {
        let question = ChangeCampaign {
            tenant: self.key.tenant.to_string(),
            id: self.key.id.to_string(),
            action: CampaignAction::Stop.into(),
            error,
            ownership: self.ownership,
            ..ChangeCampaign::default()
        };
        match self.bus.ask(CAMPAIGNS_CHANGE, &question, TraceContext::root()).await {
            Ok(campaign) => Ok(Some(campaign)),
            Err(error) if error.code() == Code::Conflict => Ok(None),
            Err(error) => Err(Trouble::of_repeatable(error)),
        }
    }
}
