//! What becomes of the recipients of campaigns.

use anyhow::Result;
use chasqui_proto::{
    ConversationToken, MessageId, service,
    v1::{
        self, CampaignAction, CampaignStatus, FailureCount,
        RecipientState::{Delivered, Failed, Queued, Read, Sent},
        Status,
    },
};
use uuid::Uuid;

use crate::{
    campaigns_world::{Desk, counts, states, undeliverable},
    world::{phone, status},
};

/// The only failure of a campaign whose recipients fail for one reason.
fn failure(count: u32) -> FailureCount {
    FailureCount { code: 131_026, title: "Message undeliverable".to_owned(), count }
}

#[tokio::test]
async fn crm_07_recipients_follow_what_becomes_of_their_messages() -> Result<()> {
    let desk = Desk::open().await?;
    let id = desk.running(1..=5).await?.id;
    let (before, queued) = desk.advance(&id, 100).await?;
    for recipient in &queued {
        desk.publish(&id, recipient).await?;
    }
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
async fn who_has_failed_has_another_turn_while_the_campaign_still_runs() -> Result<()> {
    let desk = Desk::open().await?;
    let id = desk.running(1..=3).await?.id;
    let (before, queued) = desk.advance(&id, 2).await?;
    desk.publish(&id, &queued[0]).await?;
    let last = desk.report(&id, &queued[0], Status::Failed).await?;
    desk.world.stored(last).await;
    let retried = desk.change(&id, CampaignAction::Retry).await?;
    assert_eq!(
        (retried.status(), counts(&retried).as_str()),
        (CampaignStatus::Running, "pending 2, queued 1")
    );
    assert_eq!(retried.started_at_ms, before.started_at_ms, "it goes on, and does not begin anew");
    assert_eq!(desk.change(&id, CampaignAction::Retry).await?, retried, "twice is once");
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
    const MANY: i32 = 11_250;
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
    assert_eq!(counts(&desk.change(&id, CampaignAction::Cancel).await?), "pending 6250, cancelled 5000");
    assert_eq!(desk.due().await?, std::slice::from_ref(&id));
    for expected in ["pending 1250, cancelled 10000", "cancelled 11250", "cancelled 11250"] {
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
    assert_eq!(counts(&desk.change(&id, CampaignAction::Retry).await?), "pending 5000, failed 6250");
    for expected in ["pending 10000, failed 1250", "pending 11250", "pending 11250"] {
        let campaign = desk.advance(&id, 0).await?.0;
        assert_eq!((campaign.status(), counts(&campaign).as_str()), (CampaignStatus::Running, expected));
        desk.counts_are_right(&id).await?;
    }
    desk.replica.stop().await;
    Ok(())
}
