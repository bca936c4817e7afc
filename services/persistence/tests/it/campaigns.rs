//! Campaigns: made, read and changed by people.

use anyhow::Result;
use chasqui_kit::Code;
use chasqui_proto::{
    service,
    v1::{
        self, Campaign, CampaignAction, CampaignStatus, CreateCampaign, DuplicateRow, RecipientState,
        SealCampaign,
    },
};
use futures::{StreamExt, TryStreamExt, stream};
use uuid::Uuid;

use crate::{
    campaigns_world::{Desk, append, change, counts, creation, recipient, seal},
    world::{World, phone, refusal},
};

async fn opt_out(world: &World, number: u32) -> Result<()> {
    let question = v1::PutOptOut { tenant: "default".into(), conversation: phone(number) };
    world.ask(service::OPT_OUTS_PUT, question).await?;
    Ok(())
}

#[tokio::test]
async fn a_campaign_is_made_of_its_plan_and_its_recipients() -> Result<()> {
    let desk = Desk::open().await?;
    opt_out(&desk.world, 3).await?;
    let asked = creation();
    let uploading = desk.world.ask(service::CAMPAIGNS_CREATE, asked.clone()).await?;
    assert_eq!((uploading.status(), counts(&uploading).as_str()), (CampaignStatus::Uploading, ""));
    let first = append(&asked, vec![recipient(2, 1), recipient(3, 2), recipient(5, 1)]);
    let told = desk.world.ask(service::CAMPAIGNS_APPEND, first.clone()).await?;
    let duplicates = vec![DuplicateRow { line: 5, first_line: 2 }];
    assert_eq!((&told.duplicates, told.opted_out.len()), (&duplicates, 0));
    let second = append(&asked, vec![recipient(6, 3), recipient(7, 2)]);
    let told = desk.world.ask(service::CAMPAIGNS_APPEND, second).await?;
    assert_eq!(told.duplicates, [DuplicateRow { line: 7, first_line: 3 }]);
    assert_eq!(told.opted_out, [6], "it is kept, and left out");
    let again = desk.world.ask(service::CAMPAIGNS_APPEND, first).await?;
    assert_eq!(again.duplicates, duplicates, "repeated, it adds nothing and says the same");
    let sealed =
        desk.world.ask(service::CAMPAIGNS_SEAL, SealCampaign { start: false, ..seal(&asked) }).await?;
    assert_eq!(
        sealed,
        Campaign {
            tenant: "default".into(),
            id: asked.id.clone(),
            name: "Invierno".into(),
            status: CampaignStatus::Draft.into(),
            plan: asked.plan.clone(),
            created_by: "key-1".into(),
            report: seal(&asked).report,
            counts: sealed.counts,
            created_at_ms: uploading.created_at_ms,
            updated_at_ms: sealed.updated_at_ms,
            version: sealed.version,
            ..Campaign::default()
        }
    );
    assert_eq!(counts(&sealed), "pending 2, skipped 1");
    assert_eq!(desk.get(&asked.id).await?, sealed);
    let rows = desk.recipients(&asked.id).await?;
    let expected = v1::Recipient {
        conversation: phone(1),
        state: RecipientState::Pending.into(),
        updated_at_ms: rows[0].updated_at_ms,
        ..recipient(2, 1)
    };
    assert_eq!(rows[0], expected);
    assert_eq!(rows.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 3, 6]);
    desk.counts_are_right(&asked.id).await?;
    desk.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_upload_that_begins_again_replaces_what_the_one_before_brought() -> Result<()> {
    let desk = Desk::open().await?;
    let first = creation();
    desk.world.ask(service::CAMPAIGNS_CREATE, first.clone()).await?;
    desk.world.ask(service::CAMPAIGNS_APPEND, append(&first, vec![recipient(2, 1), recipient(3, 2)])).await?;
    desk.world.ask(service::CAMPAIGNS_CREATE, first.clone()).await?;
    assert_eq!(counts(&desk.get(&first.id).await?), "pending 2", "the same upload asks twice");
    let second =
        CreateCampaign { upload: Uuid::now_v7().to_string(), name: "Verano".into(), ..first.clone() };
    let begun = desk.world.ask(service::CAMPAIGNS_CREATE, second.clone()).await?;
    assert_eq!((begun.name.as_str(), counts(&begun).as_str()), ("Verano", ""));
    let late = desk.world.ask(service::CAMPAIGNS_APPEND, append(&first, vec![recipient(4, 3)])).await;
    assert_eq!(refusal(late), (Code::Conflict, "upload: another upload has begun since".to_owned()));
    let late = desk.world.ask(service::CAMPAIGNS_SEAL, seal(&first)).await;
    assert_eq!(refusal(late).1, "upload: another upload has begun since");
    desk.world.ask(service::CAMPAIGNS_APPEND, append(&second, vec![recipient(2, 9)])).await?;
    let sealed = desk.world.ask(service::CAMPAIGNS_SEAL, seal(&second)).await?;
    assert_eq!((sealed.status(), counts(&sealed).as_str()), (CampaignStatus::Running, "pending 1"));
    desk.counts_are_right(&first.id).await?;
    desk.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn whoever_repeats_a_request_gets_the_same_campaign_and_another_request_does_not() -> Result<()> {
    let desk = Desk::open().await?;
    let asked = creation();
    desk.world.ask(service::CAMPAIGNS_CREATE, asked.clone()).await?;
    desk.world.ask(service::CAMPAIGNS_APPEND, append(&asked, vec![recipient(2, 1)])).await?;
    let sealed = desk.world.ask(service::CAMPAIGNS_SEAL, seal(&asked)).await?;
    assert_eq!(desk.world.ask(service::CAMPAIGNS_SEAL, seal(&asked)).await?, sealed, "its answer was lost");
    let repeated = CreateCampaign { upload: Uuid::now_v7().to_string(), ..asked.clone() };
    assert_eq!(desk.world.ask(service::CAMPAIGNS_CREATE, repeated.clone()).await?, sealed);
    assert_eq!(desk.world.ask(service::CAMPAIGNS_SEAL, seal(&repeated)).await?, sealed);
    let other = SealCampaign { digest: vec![8; 32].into(), ..seal(&repeated) };
    let refused = refusal(desk.world.ask(service::CAMPAIGNS_SEAL, other).await);
    assert_eq!(refused, (Code::Conflict, "Idempotency-Key: it was used for another campaign".to_owned()));
    let late = desk.world.ask(service::CAMPAIGNS_APPEND, append(&asked, vec![recipient(3, 2)])).await;
    assert_eq!(refusal(late).0, Code::Conflict, "it has all its recipients");
    desk.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_dry_run_shows_the_campaign_as_it_would_stand_and_leaves_nothing() -> Result<()> {
    let desk = Desk::open().await?;
    let asked = creation();
    desk.world.ask(service::CAMPAIGNS_CREATE, asked.clone()).await?;
    desk.world.ask(service::CAMPAIGNS_APPEND, append(&asked, vec![recipient(2, 1), recipient(3, 2)])).await?;
    let dry = SealCampaign { discard: true, ..seal(&asked) };
    let shown = desk.world.ask(service::CAMPAIGNS_SEAL, dry).await?;
    assert_eq!((shown.status(), counts(&shown).as_str()), (CampaignStatus::Running, "pending 2"));
    assert_eq!(shown.report, seal(&asked).report);
    assert_eq!(refusal(desk.get(&asked.id).await).1, "there is no such campaign");
    let left: i64 = sqlx::query_scalar(
        "select (select count(*) from campaigns) + (select count(*) from campaign_recipients)",
    )
    .fetch_one(&desk.world.pool)
    .await?;
    assert_eq!(left, 0);
    desk.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_line_has_one_contact_and_a_contact_one_line() -> Result<()> {
    let desk = Desk::open().await?;
    let asked = creation();
    desk.world.ask(service::CAMPAIGNS_CREATE, asked.clone()).await?;
    desk.world.ask(service::CAMPAIGNS_APPEND, append(&asked, vec![recipient(2, 1)])).await?;
    let other =
        desk.world.ask(service::CAMPAIGNS_APPEND, append(&asked, vec![recipient(2, 2), recipient(3, 3)]));
    let refused = refusal(other.await);
    assert_eq!(refused, (Code::Conflict, "recipients.line: a line has another contact already".to_owned()));
    assert_eq!(counts(&desk.get(&asked.id).await?), "pending 1", "nothing of that request is kept");
    // The contact of line 2 wrote from an id that WhatsApp gave it.
    sqlx::query(
        "insert into contact_aliases (tenant, alias, conversation_token, seq)
         values ('default', 'bsuid_AR=2E13491208655302741918', $1, 1)",
    )
    .bind(phone(1))
    .execute(&desk.world.pool)
    .await?;
    let contact = chasqui_proto::address::parse_address("AR.13491208655302741918")?;
    let same = v1::Recipient { contact: Some(contact), ..recipient(9, 0) };
    let told = desk.world.ask(service::CAMPAIGNS_APPEND, append(&asked, vec![same])).await?;
    assert_eq!(told.duplicates, [DuplicateRow { line: 9, first_line: 2 }]);
    desk.replica.stop().await;
    Ok(())
}

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
    let advance = v1::AdvanceCampaign { tenant: other(), ..crate::campaigns_world::advance(&campaign.id, 5) };
    assert_eq!(refusal(world.ask(service::CAMPAIGNS_ADVANCE, advance).await), none);
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
    let digestless = SealCampaign { digest: Vec::new().into(), ..seal(&asked) };
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

#[tokio::test]
async fn many_who_make_the_same_campaign_make_one() -> Result<()> {
    const TIMES: usize = 16;
    let desk = Desk::open().await?;
    let other = desk.world.replica().await?;
    let asked = creation();
    let all: Vec<Campaign> = stream::iter(0..TIMES)
        .map(|_| async {
            desk.world.ask(service::CAMPAIGNS_CREATE, asked.clone()).await?;
            let rows = (2..40).map(|line| recipient(line, line)).collect();
            // Another one may have sealed it meanwhile.
            let _ = desk.world.ask(service::CAMPAIGNS_APPEND, append(&asked, rows)).await;
            desk.world.ask(service::CAMPAIGNS_SEAL, seal(&asked)).await
        })
        .buffer_unordered(TIMES)
        .try_collect()
        .await?;
    assert!(all.iter().all(|campaign| campaign == &all[0]));
    assert_eq!(counts(&all[0]), "pending 38");
    desk.counts_are_right(&asked.id).await?;
    desk.replica.stop().await;
    other.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_upload_that_was_given_up_is_removed_with_what_it_brought() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let (old, new) = (creation(), creation());
    for asked in [&old, &new] {
        world.ask(service::CAMPAIGNS_CREATE, asked.clone()).await?;
        world.ask(service::CAMPAIGNS_APPEND, append(asked, vec![recipient(2, 1)])).await?;
    }
    let desk = Desk { world, replica };
    let draft = desk.sealed([1], false).await?;
    sqlx::query("update campaigns set updated_at = now() - interval '25 hours' where id <> $1::uuid")
        .bind(&new.id)
        .execute(&desk.world.pool)
        .await?;
    let Desk { world, replica } = desk;
    replica.stop().await;
    let replica = world.replica().await?;
    chasqui_testkit::wait_for(crate::world::SOON, "it is removed", async || {
        let count = sqlx::query_scalar("select count(*) from campaign_recipients");
        let count: i64 = count.fetch_one(&world.pool).await.ok()?;
        (count == 2).then_some(())
    })
    .await;
    let desk = Desk { world, replica };
    assert_eq!(refusal(desk.get(&old.id).await).0, Code::NotFound);
    assert!(desk.get(&new.id).await.is_ok() && desk.get(&draft.id).await.is_ok(), "others stay");
    desk.replica.stop().await;
    Ok(())
}
