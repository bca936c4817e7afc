//! Campaigns as their runners see them: who is next, how many at once, and who may ask.

use anyhow::Result;
use chasqui_kit::Code;
use chasqui_proto::{
    ConversationToken, MessageId, service,
    v1::{self, CampaignAction, CampaignStatus, Recipient, RecipientState, Status},
};

use crate::{
    campaigns_world::{Desk, advance, append, change, counts, creation, recipient, seal},
    world::{phone, refusal},
};

async fn unsettled(desk: &Desk, id: &str, after_line: u32, limit: u32) -> Result<Vec<u32>> {
    let question =
        v1::ListUnsettled { tenant: "default".into(), id: id.into(), ownership: 1, after_line, limit };
    let page = desk.world.ask(service::CAMPAIGNS_UNSETTLED, question).await?;
    Ok(page.recipients.into_iter().map(|recipient| recipient.line).collect())
}

#[tokio::test]
async fn recipients_are_queued_in_order_and_each_once() -> Result<()> {
    let desk = Desk::open().await?;
    let id = desk.running(1..=7).await?.id;
    let (campaign, first) = desk.advance(&id, 3).await?;
    assert_eq!(counts(&campaign), "pending 4, queued 3");
    assert!(campaign.plan.is_none() && campaign.report.is_none());
    let token: ConversationToken = phone(1).parse()?;
    let expected = Recipient {
        state: RecipientState::Queued.into(),
        conversation: phone(1),
        message_id: MessageId::of_campaign(id.parse()?, &token, 1).to_string(),
        attempt: 1,
        queued_at_ms: first[0].queued_at_ms,
        updated_at_ms: first[0].queued_at_ms,
        ..recipient(2, 1)
    };
    assert_eq!(first[0], expected);
    assert!(first[0].queued_at_ms > 0);
    assert_eq!(desk.recipients(&id).await?[..3], first[..]);
    let (campaign, second) = desk.advance(&id, 100).await?;
    let lines = |recipients: &[Recipient]| recipients.iter().map(|one| one.line).collect::<Vec<_>>();
    assert_eq!((lines(&first), lines(&second)), (vec![2, 3, 4], vec![5, 6, 7, 8]));
    let (same, none) = desk.advance(&id, 100).await?;
    assert_eq!((same, none.len()), (campaign, 0), "nothing changes where nothing happens");
    let (whole, none) = desk.advance(&id, 0).await?;
    assert_eq!((whole.plan, none.len()), (creation().plan, 0));
    desk.counts_are_right(&id).await?;
    desk.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn no_more_wait_for_their_number_than_the_window_lets() -> Result<()> {
    let desk = Desk::open().await?;
    let id = desk.running(1..=10).await?.id;
    let narrow = v1::AdvanceCampaign { window: 4, ..advance(&id, 3) };
    let mut queued = Vec::new();
    for expected in [3, 1, 0] {
        let advanced = desk.world.ask(service::CAMPAIGNS_ADVANCE, narrow.clone()).await?;
        assert_eq!(advanced.recipients.len(), expected);
        queued.extend(advanced.recipients);
    }
    desk.publish(&id, &queued[0]).await?;
    let last = desk.report(&id, &queued[0], Status::Accepted).await?;
    desk.world.stored(last).await;
    let advanced = desk.world.ask(service::CAMPAIGNS_ADVANCE, narrow.clone()).await?;
    assert_eq!(advanced.recipients.len(), 1, "one was taken");
    // Those that have waited for long wait for themselves.
    sqlx::query(
        "update campaign_recipients set queued_at = queued_at - interval '61 seconds' where line < 5",
    )
    .execute(&desk.world.pool)
    .await?;
    let advanced = desk.world.ask(service::CAMPAIGNS_ADVANCE, narrow).await?;
    assert_eq!(advanced.recipients.len(), 2);
    desk.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn who_leaves_before_its_turn_is_left_out() -> Result<()> {
    let desk = Desk::open().await?;
    let id = desk.running(1..=3).await?.id;
    let left = v1::PutOptOut { tenant: "default".into(), conversation: phone(2) };
    desk.world.ask(service::OPT_OUTS_PUT, left).await?;
    let (campaign, queued) = desk.advance(&id, 100).await?;
    assert_eq!(queued.iter().map(|one| one.line).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(counts(&campaign), "queued 2, skipped 1");
    desk.counts_are_right(&id).await?;
    desk.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_runner_that_was_replaced_is_refused_everything() -> Result<()> {
    let desk = Desk::open().await?;
    let id = desk.running(1..=3).await?.id;
    let newer = v1::AdvanceCampaign { ownership: 7, ..advance(&id, 1) };
    assert_eq!(desk.world.ask(service::CAMPAIGNS_ADVANCE, newer.clone()).await?.recipients.len(), 1);
    let before = desk.get(&id).await?;
    let told = (Code::Conflict, "ownership: a newer runner has the campaign".to_owned());
    let older = v1::AdvanceCampaign { ownership: 6, told_version: 99, ..advance(&id, 1) };
    assert_eq!(refusal(desk.world.ask(service::CAMPAIGNS_ADVANCE, older).await), told);
    let unsettled = v1::ListUnsettled {
        tenant: "default".into(),
        id: id.clone(),
        ownership: 6,
        ..v1::ListUnsettled::default()
    };
    assert_eq!(refusal(desk.world.ask(service::CAMPAIGNS_UNSETTLED, unsettled.clone()).await), told);
    let stop = |ownership| v1::ChangeCampaign {
        ownership,
        error: "spam limit (131048)".to_owned(),
        ..change(&id, CampaignAction::Stop)
    };
    assert_eq!(refusal(desk.world.ask(service::CAMPAIGNS_CHANGE, stop(6)).await), told);
    assert_eq!(desk.get(&id).await?, before);
    // The next one asks what the one before left behind, and from then on that one is refused.
    let next = v1::ListUnsettled { ownership: 8, ..unsettled };
    assert_eq!(desk.world.ask(service::CAMPAIGNS_UNSETTLED, next).await?.recipients.len(), 1);
    assert_eq!(refusal(desk.world.ask(service::CAMPAIGNS_ADVANCE, newer).await), told);
    let stopped = desk.world.ask(service::CAMPAIGNS_CHANGE, stop(8)).await?;
    assert_eq!((stopped.status(), stopped.error.as_str()), (CampaignStatus::Failed, "spam limit (131048)"));
    assert!(stopped.ended_at_ms > 0);
    assert_eq!(desk.world.ask(service::CAMPAIGNS_CHANGE, stop(8)).await?, stopped);
    let resumed = desk.change(&id, CampaignAction::Resume).await?;
    assert_eq!(
        (resumed.status(), resumed.error.as_str(), resumed.ended_at_ms),
        (CampaignStatus::Running, "", 0)
    );
    desk.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn queued_recipients_whose_message_is_not_stored_are_found() -> Result<()> {
    let desk = Desk::open().await?;
    let id = desk.running(1..=6).await?.id;
    let (_, queued) = desk.advance(&id, 5).await?;
    assert_eq!(unsettled(&desk, &id, 0, 2).await?, [2, 3]);
    assert_eq!(unsettled(&desk, &id, 3, 0).await?, [4, 5, 6]);
    desk.publish(&id, &queued[0]).await?;
    let last = desk.publish(&id, &queued[3]).await?;
    desk.world.stored(last).await;
    assert_eq!(unsettled(&desk, &id, 0, 0).await?, [3, 4, 6]);
    let again = desk.recipients(&id).await?;
    assert_eq!(again[1], queued[1], "what is published again is the same");
    desk.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn who_wants_a_runner_is_due_until_its_newest_state_is_told() -> Result<()> {
    let desk = Desk::open().await?;
    let asked = creation();
    desk.world.ask(service::CAMPAIGNS_CREATE, asked.clone()).await?;
    assert!(desk.due().await?.is_empty(), "nobody has to know of an upload");
    let running = desk.running([1, 2]).await?.id;
    let tell = async |id: &str| -> Result<u64> {
        let version = desk.get(id).await?.version;
        let told = v1::AdvanceCampaign { told_version: version, ..advance(id, 0) };
        desk.world.ask(service::CAMPAIGNS_ADVANCE, told).await?;
        Ok(version)
    };
    tell(&running).await?;
    assert_eq!(desk.due().await?, std::slice::from_ref(&running), "a running one always is");
    desk.change(&running, CampaignAction::Pause).await?;
    assert_eq!(desk.due().await?, std::slice::from_ref(&running), "that it is paused was not told");
    let version = tell(&running).await?;
    assert!(desk.due().await?.is_empty());
    let less = v1::AdvanceCampaign { told_version: version - 1, ..advance(&running, 0) };
    desk.world.ask(service::CAMPAIGNS_ADVANCE, less).await?;
    assert!(desk.due().await?.is_empty(), "what was told stays told");
    let version = desk.change(&running, CampaignAction::Resume).await?.version;
    let ahead = v1::AdvanceCampaign { told_version: version + 9, ..advance(&running, 0) };
    desk.world.ask(service::CAMPAIGNS_ADVANCE, ahead).await?;
    desk.change(&running, CampaignAction::Cancel).await?;
    assert_eq!(desk.due().await?, std::slice::from_ref(&running), "nobody can have told what was not there");
    tell(&running).await?;
    assert!(desk.due().await?.is_empty());
    // A scheduled one is told, and wants a runner when its time has come.
    let mut asked = creation();
    asked.plan.as_mut().unwrap().scheduled_at_ms = 4_102_444_800_000;
    desk.world.ask(service::CAMPAIGNS_CREATE, asked.clone()).await?;
    desk.world.ask(service::CAMPAIGNS_SEAL, seal(&asked)).await?;
    tell(&asked.id).await?;
    assert!(desk.due().await?.is_empty());
    assert_eq!(desk.advance(&asked.id, 1).await?.0.status(), CampaignStatus::Scheduled);
    sqlx::query("update campaigns set scheduled_at = now() where id = $1::uuid")
        .bind(&asked.id)
        .execute(&desk.world.pool)
        .await?;
    assert_eq!(desk.due().await?, std::slice::from_ref(&asked.id));
    let (begun, _) = desk.advance(&asked.id, 1).await?;
    assert!(begun.started_at_ms > 0);
    assert_eq!(begun.status(), CampaignStatus::Completed, "it has no recipients");
    desk.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_answer_holds_no_more_than_the_broker_takes() -> Result<()> {
    let desk = Desk::open().await?;
    let asked = creation();
    desk.world.ask(service::CAMPAIGNS_CREATE, asked.clone()).await?;
    for chunk in 0..4 {
        let heavy = |line: u32| Recipient {
            variables: [("nombre".to_owned(), "x".repeat(1_000))].into(),
            ..recipient(line, line)
        };
        let rows = (chunk * 400 + 1..=chunk * 400 + 400).map(heavy).collect();
        desk.world.ask(service::CAMPAIGNS_APPEND, append(&asked, rows)).await?;
    }
    desk.world.ask(service::CAMPAIGNS_SEAL, seal(&asked)).await?;
    let (mut lines, mut answers) = (Vec::new(), 0);
    while lines.len() < 1_600 {
        let (_, queued) = desk.advance(&asked.id, 5_000).await?;
        assert!(!queued.is_empty());
        lines.extend(queued.iter().map(|one| one.line));
        answers += 1;
    }
    assert_eq!((lines, answers), ((1..=1_600).collect::<Vec<_>>(), 3));
    assert!((600..800).contains(&unsettled(&desk, &asked.id, 0, 1_000).await?.len()));
    desk.replica.stop().await;
    Ok(())
}
