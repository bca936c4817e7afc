//! A campaign, and what everyone else asks of it.

use std::collections::BTreeMap;

use anyhow::Result;
use chasqui_kit::request::RequestError;
use chasqui_proto::{
    address, service,
    v1::{
        self, AppendRecipients, Campaign, CampaignAction, CampaignPlan, CampaignReport, CreateCampaign,
        MessageType, ProviderError, Recipient, RecipientState, SealCampaign, SenderType, Status,
    },
};
use uuid::Uuid;

use crate::world::{Replica, World, outbound, phone, status};

/// A running replica, and the campaigns of a tenant.
pub(crate) struct Desk {
    pub(crate) world: World,
    pub(crate) replica: Replica,
}

impl Desk {
    pub(crate) async fn open() -> Result<Self> {
        let world = World::new().await?;
        let replica = world.replica().await?;
        Ok(Self { world, replica })
    }

    /// A campaign that was started, to contacts of these numbers, in lines from 2.
    pub(crate) async fn running(&self, contacts: impl IntoIterator<Item = u32>) -> Result<Campaign> {
        self.sealed(contacts, true).await
    }

    /// The same, started or not.
    pub(crate) async fn sealed(
        &self,
        contacts: impl IntoIterator<Item = u32>,
        start: bool,
    ) -> Result<Campaign> {
        let asked = creation();
        self.world.ask(service::CAMPAIGNS_CREATE, asked.clone()).await?;
        let recipients: Vec<Recipient> = (2..).zip(contacts).map(|(line, of)| recipient(line, of)).collect();
        self.world.ask(service::CAMPAIGNS_APPEND, append(&asked, recipients)).await?;
        let seal = SealCampaign { start, ..seal(&asked) };
        Ok(self.world.ask(service::CAMPAIGNS_SEAL, seal).await?)
    }

    pub(crate) async fn get(&self, id: &str) -> Result<Campaign, RequestError> {
        let question = v1::GetCampaign { tenant: "default".into(), id: id.into() };
        self.world.ask(service::CAMPAIGNS_GET, question).await
    }

    pub(crate) async fn change(&self, id: &str, action: CampaignAction) -> Result<Campaign, RequestError> {
        self.world.ask(service::CAMPAIGNS_CHANGE, change(id, action)).await
    }

    pub(crate) async fn advance(
        &self,
        id: &str,
        limit: u32,
    ) -> Result<(Campaign, Vec<Recipient>), RequestError> {
        let advanced = self.world.ask(service::CAMPAIGNS_ADVANCE, advance(id, limit)).await?;
        Ok((advanced.campaign.expect("the campaign"), advanced.recipients))
    }

    pub(crate) async fn recipients(&self, id: &str) -> Result<Vec<Recipient>, RequestError> {
        let question = v1::ListRecipients {
            tenant: "default".into(),
            id: id.into(),
            limit: 1_000,
            ..v1::ListRecipients::default()
        };
        Ok(self.world.ask(service::CAMPAIGNS_RECIPIENTS, question).await?.recipients)
    }

    /// Whoever is due, of all tenants.
    pub(crate) async fn due(&self) -> Result<Vec<String>, RequestError> {
        let due = self.world.ask(service::CAMPAIGNS_DUE, v1::ListDueCampaigns::default()).await?;
        Ok(due.campaigns.into_iter().map(|campaign| campaign.id).collect())
    }

    /// Stores the message of a recipient, as its runner publishes it.
    pub(crate) async fn publish(&self, campaign: &str, recipient: &Recipient) -> Result<u64> {
        self.world.publish_message(&message(campaign, recipient)).await
    }

    /// Stores what became of it.
    pub(crate) async fn report(&self, campaign: &str, recipient: &Recipient, to: Status) -> Result<u64> {
        let errors = if to == Status::Failed { vec![undeliverable()] } else { Vec::new() };
        let told = v1::MessageStatus { errors, ..status(&message(campaign, recipient), to) };
        self.world.publish_status(&told).await
    }

    /// Refuses to go on where the counts are not what the rows say.
    pub(crate) async fn counts_are_right(&self, id: &str) -> Result<BTreeMap<String, i64>> {
        counts_are_right(&self.world, id).await
    }
}

pub(crate) async fn counts_are_right(world: &World, id: &str) -> Result<BTreeMap<String, i64>> {
    let mut snapshot = world.pool.begin().await?;
    sqlx::query("set transaction isolation level repeatable read").execute(&mut *snapshot).await?;
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "select state, count(*) from campaign_recipients where campaign_id = $1::uuid group by state",
    )
    .bind(id)
    .fetch_all(&mut *snapshot)
    .await?;
    let counted: Vec<(String, i64)> = sqlx::query_as(
        "select key, value::bigint from campaigns c, jsonb_each_text(to_jsonb(c))
         where c.id = $1::uuid and value <> '0'
           and key in ('pending', 'queued', 'sent', 'delivered', 'read', 'failed', 'skipped', 'cancelled')",
    )
    .bind(id)
    .fetch_all(&mut *snapshot)
    .await?;
    let reasons: Vec<(i64, String, i64)> = sqlx::query_as(
        "select error_code, error_title, count(*) from campaign_recipients
         where campaign_id = $1::uuid and state = 'failed' group by 1, 2 order by 1, 2",
    )
    .bind(id)
    .fetch_all(&mut *snapshot)
    .await?;
    let failures: Vec<(i64, String, i64)> = sqlx::query_as(
        "select code, title, count::bigint from campaign_failures
         where campaign_id = $1::uuid and count <> 0 order by 1, 2",
    )
    .bind(id)
    .fetch_all(&mut *snapshot)
    .await?;
    let (rows, counted): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (rows.into_iter().collect(), counted.into_iter().collect());
    assert_eq!(counted, rows, "the counts are what the rows say");
    assert_eq!(failures, reasons, "so are the reasons");
    Ok(rows)
}

pub(crate) fn creation() -> CreateCampaign {
    let text = v1::Message {
        r#type: MessageType::Text.into(),
        text: "hola {{nombre}}".to_owned(),
        ..v1::Message::default()
    };
    CreateCampaign {
        tenant: "default".to_owned(),
        id: Uuid::now_v7().to_string(),
        name: "Invierno".to_owned(),
        plan: Some(CampaignPlan {
            message: Some(text),
            rate_per_minute: 600,
            message_ttl_secs: 3_600,
            ..CampaignPlan::default()
        }),
        created_by: "key-1".to_owned(),
        upload: Uuid::now_v7().to_string(),
    }
}

pub(crate) fn recipient(line: u32, number: u32) -> Recipient {
    Recipient {
        line,
        contact: Some(address::phone(&phone(number))),
        name: format!("Contact {number}"),
        variables: [("nombre".to_owned(), format!("Contact {number}"))].into(),
        ..Recipient::default()
    }
}

pub(crate) fn append(created: &CreateCampaign, recipients: Vec<Recipient>) -> AppendRecipients {
    let (tenant, id, upload) = (created.tenant.clone(), created.id.clone(), created.upload.clone());
    AppendRecipients { tenant, id, upload, recipients }
}

pub(crate) fn seal(created: &CreateCampaign) -> SealCampaign {
    SealCampaign {
        tenant: created.tenant.clone(),
        id: created.id.clone(),
        upload: created.upload.clone(),
        digest: vec![7; 32],
        report: Some(CampaignReport { rows: 3, accepted: 2, duplicates: 1, ..CampaignReport::default() }),
        start: true,
        discard: false,
    }
}

pub(crate) fn change(id: &str, action: CampaignAction) -> v1::ChangeCampaign {
    v1::ChangeCampaign {
        tenant: "default".into(),
        id: id.into(),
        action: action.into(),
        ..v1::ChangeCampaign::default()
    }
}

pub(crate) fn advance(id: &str, limit: u32) -> v1::AdvanceCampaign {
    v1::AdvanceCampaign {
        tenant: "default".into(),
        id: id.into(),
        ownership: 1,
        told_version: 0,
        limit,
        window: 5_000,
    }
}

fn message(campaign: &str, recipient: &Recipient) -> v1::Message {
    v1::Message {
        id: recipient.message_id.clone(),
        conversation: recipient.conversation.clone(),
        sender_type: SenderType::System.into(),
        sender_id: campaign.to_owned(),
        ..outbound(0, 0, "hola")
    }
}

pub(crate) fn undeliverable() -> ProviderError {
    ProviderError {
        code: 131_026,
        title: "Message undeliverable".to_owned(),
        message: "Message undeliverable".to_owned(),
        details: "The recipient has no WhatsApp".to_owned(),
    }
}

pub(crate) fn states(recipients: &[Recipient]) -> Vec<RecipientState> {
    recipients.iter().map(Recipient::state).collect()
}

/// The counts of a campaign that are not zero, as `pending 2, read 1`.
pub(crate) fn counts(campaign: &Campaign) -> String {
    let counts = campaign.counts.expect("counts");
    let named = [
        ("pending", counts.pending),
        ("queued", counts.queued),
        ("sent", counts.sent),
        ("delivered", counts.delivered),
        ("read", counts.read),
        ("failed", counts.failed),
        ("skipped", counts.skipped),
        ("cancelled", counts.cancelled),
    ];
    assert_eq!(counts.total, named.iter().map(|(_, count)| count).sum::<u32>());
    let shown: Vec<String> =
        named.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{name} {count}")).collect();
    shown.join(", ")
}
