//! Campaigns: read and changed by people.

use anyhow::Result;
use chasqui_kit::Code;
use chasqui_proto::{
    service,
    v1::{self, Campaign, CampaignAction, CampaignStatus, CreateCampaign, RecipientState, SealCampaign},
};

use crate::{
    campaigns_world::{Desk, advance, append, change, counts, creation, recipient, seal},
    world::refusal,
};

#[tokio::test]
async fn a_campaign_is_started_paused_resumed_and_cancelled_and_twice_is_once() -> Result<()> {
    let desk = Desk::open().await?;
    let id = desk.sealed([1, 2], false).await?.id;
    let becomes = async |action, status: CampaignStatus| -> Result<Campaign> {
        let after = desk.change(&id, action).await?;
        assert_eq!(after.status(), status, "{action:?}");
        assert_eq!(desk.change(&id, action).await?, after, "twice is once");
        assert_eq!(desk.get(&id).await?, after);
        Ok(after)
    };
    let refused = refusal(desk.change(&id, CampaignAction::Pause).await);
    let told = "status: a campaign that was not started cannot be paused";
    assert_eq!(refused, (Code::Conflict, told.to_owned()));
    let started = becomes(CampaignAction::Start, CampaignStatus::Running).await?;
    assert!(started.started_at_ms > 0 && started.ended_at_ms == 0);
    let paused = becomes(CampaignAction::Pause, CampaignStatus::Paused).await?;
    assert!(paused.version > started.version && paused.updated_at_ms >= started.updated_at_ms);
    let resumed = becomes(CampaignAction::Resume, CampaignStatus::Running).await?;
    assert!(resumed.started_at_ms >= started.started_at_ms);
    let cancelled = becomes(CampaignAction::Cancel, CampaignStatus::Cancelled).await?;
    assert_eq!(counts(&cancelled), "cancelled 2");
    assert!(cancelled.ended_at_ms > 0);
    for action in [CampaignAction::Start, CampaignAction::Pause, CampaignAction::Resume] {
        assert_eq!(refusal(desk.change(&id, action).await).0, Code::Conflict, "{action:?}");
    }
    desk.counts_are_right(&id).await?;
    desk.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_scheduled_campaign_waits_for_its_time_and_may_be_given_another() -> Result<()> {
    const FAR_MS: i64 = 4_102_444_800_000;
    let desk = Desk::open().await?;
    let id = desk.sealed([1], false).await?.id;
    let at = |scheduled_at_ms| v1::ChangeCampaign { scheduled_at_ms, ..change(&id, CampaignAction::Start) };
    let scheduled = desk.world.ask(service::CAMPAIGNS_CHANGE, at(FAR_MS)).await?;
    assert_eq!(scheduled.status(), CampaignStatus::Scheduled);
    assert_eq!(scheduled.plan.as_ref().unwrap().scheduled_at_ms, FAR_MS);
    assert_eq!(desk.world.ask(service::CAMPAIGNS_CHANGE, at(FAR_MS)).await?, scheduled);
    let moved = desk.world.ask(service::CAMPAIGNS_CHANGE, at(FAR_MS + 1)).await?;
    assert_eq!(
        (moved.status(), moved.plan.unwrap().scheduled_at_ms),
        (CampaignStatus::Scheduled, FAR_MS + 1)
    );
    let now = desk.change(&id, CampaignAction::Resume).await?;
    assert_eq!(now.status(), CampaignStatus::Running, "it does not wait any longer");
    let mut asked = creation();
    asked.plan.as_mut().unwrap().scheduled_at_ms = FAR_MS;
    desk.world.ask(service::CAMPAIGNS_CREATE, asked.clone()).await?;
    let sealed = desk.world.ask(service::CAMPAIGNS_SEAL, seal(&asked)).await?;
    assert_eq!((sealed.status(), sealed.plan), (CampaignStatus::Scheduled, asked.plan));
    desk.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_campaign_is_seen_in_its_tenant_only() -> Result<()> {
    let desk = Desk::open().await?;
    let campaign = desk.running([1, 2]).await?;
    let other = || "other".to_owned();
    let world = &desk.world;
    let none = (Code::NotFound, "there is no such campaign".to_owned());
    let get = v1::GetCampaign { tenant: other(), id: campaign.id.clone() };
    assert_eq!(refusal(world.ask(service::CAMPAIGNS_GET, get).await), none);
    let cancel = v1::ChangeCampaign { tenant: other(), ..change(&campaign.id, CampaignAction::Cancel) };
    assert_eq!(refusal(world.ask(service::CAMPAIGNS_CHANGE, cancel).await), none);
    let next = v1::AdvanceCampaign { tenant: other(), ..advance(&campaign.id, 5) };
    assert_eq!(refusal(world.ask(service::CAMPAIGNS_ADVANCE, next).await), none);
    let unsettled =
        v1::ListUnsettled { tenant: other(), id: campaign.id.clone(), ..v1::ListUnsettled::default() };
    assert_eq!(refusal(world.ask(service::CAMPAIGNS_UNSETTLED, unsettled).await), none);
    let rows =
        v1::ListRecipients { tenant: other(), id: campaign.id.clone(), ..v1::ListRecipients::default() };
    assert_eq!(refusal(world.ask(service::CAMPAIGNS_RECIPIENTS, rows).await), none);
    let asked = CreateCampaign { tenant: other(), id: campaign.id.clone(), ..creation() };
    assert_eq!(refusal(world.ask(service::CAMPAIGNS_CREATE, asked.clone()).await).0, Code::Conflict);
    let appended = world.ask(service::CAMPAIGNS_APPEND, append(&asked, vec![recipient(9, 9)])).await;
    assert_eq!(refusal(appended), none);
    assert_eq!(refusal(world.ask(service::CAMPAIGNS_SEAL, seal(&asked)).await), none);
    let list = v1::ListCampaigns { tenant: other(), ..v1::ListCampaigns::default() };
    assert!(world.ask(service::CAMPAIGNS_LIST, list).await?.campaigns.is_empty());
    assert_eq!(desk.get(&campaign.id).await?, campaign, "and nothing has changed");
    desk.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn campaigns_are_listed_newest_first_and_their_recipients_by_line() -> Result<()> {
    let desk = Desk::open().await?;
    let mut all = Vec::new();
    for number in 0..5 {
        all.push(desk.sealed([number], number % 2 == 0).await?.id);
    }
    let listed = async |status: CampaignStatus| -> Result<Vec<String>> {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let question =
                v1::ListCampaigns { tenant: "default".into(), status: status.into(), cursor, limit: 2 };
            let page = desk.world.ask(service::CAMPAIGNS_LIST, question).await?;
            assert!(page.campaigns.len() <= 2);
            assert!(
                page.campaigns.iter().all(|campaign| campaign.report.is_none() && campaign.plan.is_some())
            );
            ids.extend(page.campaigns.into_iter().map(|campaign| campaign.id));
            cursor = page.next;
            if cursor.is_empty() {
                return Ok(ids);
            }
        }
    };
    let of = |places: &[usize]| places.iter().map(|place| all[*place].clone()).collect::<Vec<_>>();
    assert_eq!(listed(CampaignStatus::Unspecified).await?, of(&[4, 3, 2, 1, 0]));
    assert_eq!(listed(CampaignStatus::Running).await?, of(&[4, 2, 0]));
    assert_eq!(listed(CampaignStatus::Draft).await?, of(&[3, 1]));
    let id = desk.running(10..17).await?.id;
    let (_, queued) = desk.advance(&id, 3).await?;
    assert_eq!(queued.len(), 3);
    let lines = async |state: RecipientState| -> Result<Vec<u32>> {
        let (mut lines, mut cursor) = (Vec::new(), String::new());
        loop {
            let question = v1::ListRecipients {
                tenant: "default".into(),
                id: id.clone(),
                state: state.into(),
                cursor,
                limit: 2,
            };
            let page = desk.world.ask(service::CAMPAIGNS_RECIPIENTS, question).await?;
            lines.extend(page.recipients.into_iter().map(|recipient| recipient.line));
            cursor = page.next;
            if cursor.is_empty() {
                return Ok(lines);
            }
        }
    };
    assert_eq!(lines(RecipientState::Unspecified).await?, (2..9).collect::<Vec<_>>());
    assert_eq!(lines(RecipientState::Queued).await?, [2, 3, 4]);
    assert!(lines(RecipientState::Read).await?.is_empty());
    desk.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named() -> Result<()> {
    let desk = Desk::open().await?;
    let asked = creation();
    desk.world.ask(service::CAMPAIGNS_CREATE, asked.clone()).await?;
    let world = &desk.world;
    let check = |refused: (Code, String), field: &str| {
        assert_eq!(refused.0, Code::InvalidInput, "{}", refused.1);
        assert!(refused.1.starts_with(&format!("{field}: must ")), "{}", refused.1);
    };
    let nameless = CreateCampaign { name: String::new(), ..creation() };
    check(refusal(world.ask(service::CAMPAIGNS_CREATE, nameless).await), "name");
    let lineless = append(&asked, vec![recipient(0, 1)]);
    check(refusal(world.ask(service::CAMPAIGNS_APPEND, lineless).await), "recipients.line");
    let digestless = SealCampaign { digest: Vec::new(), ..seal(&asked) };
    check(refusal(world.ask(service::CAMPAIGNS_SEAL, digestless).await), "digest");
    check(refusal(desk.get("7").await), "id");
    let action = v1::ChangeCampaign { action: 99, ..change(&asked.id, CampaignAction::Start) };
    check(refusal(world.ask(service::CAMPAIGNS_CHANGE, action).await), "action");
    let time = v1::ChangeCampaign { scheduled_at_ms: -1, ..change(&asked.id, CampaignAction::Start) };
    check(refusal(world.ask(service::CAMPAIGNS_CHANGE, time).await), "scheduled_at");
    let list = |status, cursor: &str, limit| v1::ListCampaigns {
        tenant: "default".into(),
        status,
        cursor: cursor.into(),
        limit,
    };
    check(refusal(world.ask(service::CAMPAIGNS_LIST, list(99, "", 0)).await), "status");
    check(refusal(world.ask(service::CAMPAIGNS_LIST, list(0, "a7", 0)).await), "cursor");
    check(refusal(world.ask(service::CAMPAIGNS_LIST, list(0, "", 201)).await), "limit");
    let rows = |state, cursor: &str, limit| v1::ListRecipients {
        tenant: "default".into(),
        id: asked.id.clone(),
        state,
        cursor: cursor.into(),
        limit,
    };
    check(refusal(world.ask(service::CAMPAIGNS_RECIPIENTS, rows(99, "", 0)).await), "state");
    check(refusal(world.ask(service::CAMPAIGNS_RECIPIENTS, rows(0, "b7", 0)).await), "cursor");
    check(refusal(world.ask(service::CAMPAIGNS_RECIPIENTS, rows(0, "", 1_001)).await), "limit");
    let started = refusal(desk.change(&asked.id, CampaignAction::Start).await);
    assert_eq!(started.1, "status: a campaign whose recipients are still being read cannot be started");
    desk.replica.stop().await;
    Ok(())
}
