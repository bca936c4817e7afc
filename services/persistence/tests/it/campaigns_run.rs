//! Campaigns as their runners see them: who is next, what became of those before, whose turn is over.

use anyhow::Result;
use chasqui_kit::Code;
use chasqui_proto::{
    ConversationToken, MessageId, service,
    v1::{self, CampaignAction, CampaignStatus, FailureCount, Recipient, RecipientState, Status},
};
use uuid::Uuid;

use crate::{
    campaigns_world::{Desk, advance, change, counts, creation, seal, states, undeliverable},
    world::{phone, refusal, status},
};

async fn unsettled(desk: &Desk, id: &str, after_line: u32, limit: u32) -> Result<Vec<u32>> {
    let question =
        v1::ListUnsettled { tenant: "default".into(), id: id.into(), ownership: 1, after_line, limit };
    let page = desk.world.ask(service::CAMPAIGNS_UNSETTLED, question).await?;
    Ok(page.recipients.into_iter().map(|recipient| recipient.line).collect())
}

/// The only failure of a campaign whose recipients fail for one reason.
fn failure(count: u32) -> FailureCount {
    FailureCount { code: 131_026, title: "Message undeliverable".to_owned(), count }
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
        ..crate::campaigns_world::recipient(2, 1)
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
async fn crm_07_recipients_follow_what_becomes_of_their_messages() -> Result<()> {
    let desk = Desk::open().await?;
    let id = desk.running(1..=5).await?.id;
    let (before, queued) = desk.advance(&id, 100).await?;
    for recipient in &queued {
        desk.publish(&id, recipient).await?;
    }
    use RecipientState::{Delivered, Failed, Queued, Read, Sent};
    let mut last = 0;
    for (recipient, steps) in queued.iter().zip([
        &[Status::Sending, Status::Uncertain][..],
        &[Status::Accepted, Status::Sent],
        &[Status::Sent, Status::Delivered, Status::Failed],
        &[Status::Sent, Status::Failed],
        &[Status::Failed, Status::Delivered, Status::Read, Status::Sent],
    ]) {
        for step in steps {
            last = desk.report(&id, recipient, *step).await?;
        }
    }
    desk.world.stored(last).await;
    let rows = desk.recipients(&id).await?;
    assert_eq!(states(&rows), [Queued, Sent, Delivered, Failed, Read]);
    assert_eq!(
        rows.iter().map(|row| row.error.clone()).collect::<Vec<_>>(),
        [None, None, None, Some(undeliverable()), None]
    );
    let campaign = desk.get(&id).await?;
    assert_eq!(counts(&campaign), "queued 1, sent 1, delivered 1, read 1, failed 1");
    assert_eq!(campaign.failures, [failure(1)]);
    assert!(campaign.version > before.version && campaign.updated_at_ms >= before.updated_at_ms);
    let last = desk.report(&id, &queued[3], Status::Delivered).await?;
    desk.world.stored(last).await;
    let campaign = desk.get(&id).await?;
    assert_eq!(counts(&campaign), "queued 1, sent 1, delivered 2, read 1", "it had arrived after all");
    assert_eq!((campaign.failures.len(), desk.recipients(&id).await?[3].error.clone()), (0, None));
    desk.counts_are_right(&id).await?;
    desk.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_status_that_comes_before_its_message_or_under_the_providers_id_finds_the_recipient() -> Result<()>
{
    let desk = Desk::open().await?;
    let id = desk.running(1..=2).await?.id;
    let (_, queued) = desk.advance(&id, 100).await?;
    let early = desk.report(&id, &queued[0], Status::Failed).await?;
    desk.world.stored(early).await;
    assert_eq!(counts(&desk.get(&id).await?), "queued 2", "nothing is known of the message");
    let first = desk.publish(&id, &queued[0]).await?;
    desk.world.stored(first).await;
    let campaign = desk.get(&id).await?;
    assert_eq!(
        (counts(&campaign).as_str(), &campaign.failures[..]),
        ("queued 1, failed 1", &[failure(1)][..])
    );
    desk.publish(&id, &queued[1]).await?;
    let of = |message_id: &str, told: Status| v1::MessageStatus {
        id: Uuid::now_v7().to_string(),
        tenant: "default".into(),
        conversation: queued[1].conversation.clone(),
        message_id: message_id.into(),
        provider_message_id: "wamid.X".into(),
        status: told.into(),
        errors: vec![undeliverable()],
        ..status(&v1::Message::default(), told)
    };
    desk.world.publish_status(&of(&queued[1].message_id, Status::Accepted)).await?;
    let alone = v1::MessageStatus {
        tenant: "default".into(),
        conversation: queued[1].conversation.clone(),
        ..of(&Uuid::now_v7().to_string(), Status::Failed)
    };
    let last = desk.world.publish_status(&alone).await?;
    desk.world.stored(last).await;
    assert_eq!(desk.get(&id).await?.failures, [failure(2)]);
    desk.counts_are_right(&id).await?;
    desk.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn crm_08_a_campaign_is_completed_when_nothing_is_left_to_hear_of() -> Result<()> {
    let desk = Desk::open().await?;
    let id = desk.running(1..=2).await?.id;
    let (_, queued) = desk.advance(&id, 100).await?;
    let (campaign, _) = desk.advance(&id, 100).await?;
    assert_eq!(campaign.status(), CampaignStatus::Running);
    let mut last = 0;
    for (recipient, to) in queued.iter().zip([Status::Accepted, Status::Failed]) {
        desk.publish(&id, recipient).await?;
        last = desk.report(&id, recipient, to).await?;
    }
    desk.world.stored(last).await;
    let (campaign, _) = desk.advance(&id, 100).await?;
    assert_eq!(
        (campaign.status(), counts(&campaign).as_str()),
        (CampaignStatus::Completed, "sent 1, failed 1")
    );
    assert!(campaign.ended_at_ms >= campaign.started_at_ms && campaign.started_at_ms > 0);
    let last = desk.report(&id, &queued[0], Status::Read).await?;
    desk.world.stored(last).await;
    let late = desk.get(&id).await?;
    assert_eq!((late.status(), counts(&late).as_str()), (CampaignStatus::Completed, "read 1, failed 1"));
    assert!(late.version > campaign.version && late.ended_at_ms == campaign.ended_at_ms);
    desk.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn failed_recipients_get_their_turn_again_with_another_message() -> Result<()> {
    let desk = Desk::open().await?;
    let id = desk.running(1..=3).await?.id;
    let (_, queued) = desk.advance(&id, 100).await?;
    let mut last = 0;
    for (recipient, to) in queued.iter().zip([Status::Read, Status::Failed, Status::Failed]) {
        desk.publish(&id, recipient).await?;
        last = desk.report(&id, recipient, to).await?;
    }
    desk.world.stored(last).await;
    assert_eq!(desk.advance(&id, 100).await?.0.status(), CampaignStatus::Completed);
    let left = v1::PutOptOut { tenant: "default".into(), conversation: phone(3) };
    desk.world.ask(service::OPT_OUTS_PUT, left).await?;
    let retried = desk.change(&id, CampaignAction::Retry).await?;
    assert_eq!((retried.status(), retried.ended_at_ms), (CampaignStatus::Running, 0));
    assert_eq!(counts(&retried), "pending 1, read 1, failed 1", "who left is not written to again");
    assert_eq!(retried.failures, [failure(1)]);
    assert_eq!(desk.change(&id, CampaignAction::Retry).await?, retried, "twice is once");
    let (_, again) = desk.advance(&id, 100).await?;
    let token: ConversationToken = phone(2).parse()?;
    let second = MessageId::of_campaign(id.parse()?, &token, 2).to_string();
    assert_eq!((again.len(), again[0].attempt, &again[0].message_id), (1, 2, &second));
    assert_eq!(again[0].error, None);
    // The first message is not what is waited for any more.
    let last = desk.report(&id, &queued[1], Status::Delivered).await?;
    desk.world.stored(last).await;
    assert_eq!(counts(&desk.get(&id).await?), "queued 1, read 1, failed 1");
    desk.publish(&id, &again[0]).await?;
    let last = desk.report(&id, &again[0], Status::Sent).await?;
    desk.world.stored(last).await;
    let (done, _) = desk.advance(&id, 100).await?;
    assert_eq!(
        (done.status(), counts(&done).as_str()),
        (CampaignStatus::Completed, "sent 1, read 1, failed 1")
    );
    desk.counts_are_right(&id).await?;
    desk.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn who_was_to_be_written_to_again_and_had_the_message_after_all_is_not() -> Result<()> {
    let desk = Desk::open().await?;
    let id = desk.running([1]).await?.id;
    let (_, queued) = desk.advance(&id, 100).await?;
    desk.publish(&id, &queued[0]).await?;
    let last = desk.report(&id, &queued[0], Status::Failed).await?;
    desk.world.stored(last).await;
    assert_eq!(counts(&desk.change(&id, CampaignAction::Pause).await?), "failed 1");
    assert_eq!(counts(&desk.change(&id, CampaignAction::Retry).await?), "pending 1");
    let last = desk.report(&id, &queued[0], Status::Delivered).await?;
    desk.world.stored(last).await;
    let (done, none) = desk.advance(&id, 100).await?;
    assert_eq!((done.status(), counts(&done).as_str()), (CampaignStatus::Completed, "delivered 1"));
    assert!(none.is_empty());
    desk.counts_are_right(&id).await?;
    desk.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_cancelled_campaign_hands_out_nothing_and_still_tells_of_what_was_handed_out() -> Result<()> {
    let desk = Desk::open().await?;
    let id = desk.running(1..=4).await?.id;
    let (_, queued) = desk.advance(&id, 2).await?;
    assert_eq!(counts(&desk.change(&id, CampaignAction::Cancel).await?), "queued 2, cancelled 2");
    assert!(desk.advance(&id, 100).await?.1.is_empty());
    desk.publish(&id, &queued[0]).await?;
    let last = desk.report(&id, &queued[0], Status::Delivered).await?;
    desk.world.stored(last).await;
    let after = desk.get(&id).await?;
    assert_eq!(
        (after.status(), counts(&after).as_str()),
        (CampaignStatus::Cancelled, "queued 1, delivered 1, cancelled 2")
    );
    desk.counts_are_right(&id).await?;
    desk.replica.stop().await;
    Ok(())
}

/// More than one transaction cancels, or gives their turn again.
#[tokio::test]
async fn what_is_asked_of_very_many_is_done_by_and_by() -> Result<()> {
    const MANY: i32 = 45_000;
    let desk = Desk::open().await?;
    let id = desk.running([]).await?.id;
    let fill = async |state: &str| -> Result<()> {
        sqlx::query(
            "insert into campaign_recipients
                    (campaign_id, line, tenant, token, contact, name, variables, state, error_code, error_title)
             select $1::uuid, n, 'default', n::text, n::text, '', '', $2,
                    case when $2 = 'failed' then 7 end, case when $2 = 'failed' then 'Away' end
             from generate_series(1, $3) n
             on conflict (campaign_id, line) do update
                set state = excluded.state, error_code = excluded.error_code, error_title = excluded.error_title",
        )
        .bind(&id)
        .bind(state)
        .bind(MANY)
        .execute(&desk.world.pool)
        .await?;
        Ok(())
    };
    fill("pending").await?;
    sqlx::query("update campaigns set pending = $1").bind(MANY).execute(&desk.world.pool).await?;
    assert_eq!(counts(&desk.change(&id, CampaignAction::Cancel).await?), "pending 25000, cancelled 20000");
    assert_eq!(desk.due().await?, [id.clone()]);
    for expected in ["pending 5000, cancelled 40000", "cancelled 45000", "cancelled 45000"] {
        assert_eq!(counts(&desk.advance(&id, 1).await?.0), expected);
        desk.counts_are_right(&id).await?;
    }
    fill("failed").await?;
    sqlx::query("update campaigns set cancelled = 0, failed = $1")
        .bind(MANY)
        .execute(&desk.world.pool)
        .await?;
    sqlx::query("insert into campaign_failures values ($1::uuid, 7, 'Away', $2)")
        .bind(&id)
        .bind(MANY)
        .execute(&desk.world.pool)
        .await?;
    assert_eq!(counts(&desk.change(&id, CampaignAction::Retry).await?), "pending 20000, failed 25000");
    for expected in ["pending 40000, failed 5000", "pending 45000", "pending 45000"] {
        let campaign = desk.advance(&id, 0).await?.0;
        assert_eq!((campaign.status(), counts(&campaign).as_str()), (CampaignStatus::Running, expected));
        desk.counts_are_right(&id).await?;
    }
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
    assert_eq!(desk.due().await?, [running.clone()], "a running one always is");
    desk.change(&running, CampaignAction::Pause).await?;
    assert_eq!(desk.due().await?, [running.clone()], "that it is paused was not told");
    let version = tell(&running).await?;
    assert!(desk.due().await?.is_empty());
    let less = v1::AdvanceCampaign { told_version: version - 1, ..advance(&running, 0) };
    desk.world.ask(service::CAMPAIGNS_ADVANCE, less).await?;
    assert!(desk.due().await?.is_empty(), "what was told stays told");
    let ahead = v1::AdvanceCampaign { told_version: version + 9, ..advance(&running, 0) };
    desk.world.ask(service::CAMPAIGNS_ADVANCE, ahead).await?;
    desk.change(&running, CampaignAction::Cancel).await?;
    assert_eq!(desk.due().await?, [running.clone()], "nobody can have told what was not there");
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
    assert_eq!(desk.due().await?, [asked.id.clone()]);
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
            ..crate::campaigns_world::recipient(line, line)
        };
        let rows = (chunk * 400 + 1..=chunk * 400 + 400).map(heavy).collect();
        desk.world.ask(service::CAMPAIGNS_APPEND, crate::campaigns_world::append(&asked, rows)).await?;
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
