//! Campaigns that stop by themselves, and messages that cannot be made.

use anyhow::Result;
use chasqui_kit::clock;
use chasqui_proto::v1::{CampaignPlan, CampaignStatus, Message, MessageType, RecipientState, SessionStatus};
use chasqui_testkit::wait_for;

use crate::{
    office::Kept,
    world::{ID, SOON, World, plan},
};

#[tokio::test(flavor = "multi_thread")]
async fn crm_09_a_campaign_whose_number_takes_no_campaigns_stops_and_says_why() -> Result<()> {
    let world = World::start().await?;
    world.runs_as(CampaignPlan { rate_per_minute: 1_200, ..plan() }, 200);
    let _replica = world.replica("one").await?;
    world.sends(10).await;
    let halted_at_ms = clock::now_ms();
    world.outside.look(|seen| {
        seen.session.campaigns_halted = "spam limit (131048)".to_owned();
        seen.session.campaigns_halted_at_ms = halted_at_ms;
        seen.session.campaigns_halted_until_ms = halted_at_ms + 5_000;
    });
    let campaign = world.is(CampaignStatus::Failed).await;
    assert_eq!(campaign.error, "spam limit (131048)");
    let told = world.hears("it has failed", |told| told.status() == CampaignStatus::Failed).await.progress;
    assert_eq!((told.error.as_str(), told.after_end), ("spam limit (131048)", false));
    assert!(world.sent() < 200);

    // Whoever resumes it knows of the halt: it waits for its end, and does not stop again.
    world.office.look(ID, |kept| kept.turn(CampaignStatus::Running));
    let waits = world.hears("it waits for the number", |told| told.waits_for == "number").await.progress;
    assert_eq!(waits.waits_until_ms, halted_at_ms + 5_000);
    world.is(CampaignStatus::Completed).await;
    world.each_once(200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_whose_number_has_failed_stops_and_says_why() -> Result<()> {
    let world = World::start().await?;
    world.outside.look(|seen| {
        seen.session.set_status(SessionStatus::Failed);
        seen.session.reason = "no_token".to_owned();
    });
    world.runs(10);
    let _replica = world.replica("one").await?;
    let campaign = world.is(CampaignStatus::Failed).await;
    assert_eq!(campaign.error, "the WhatsApp session 100000000000001 is failed: no_token");
    assert_eq!(world.sent(), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_through_a_number_that_there_is_not_stops_and_says_so() -> Result<()> {
    let world = World::start().await?;
    let mut plan = plan();
    plan.message.as_mut().unwrap().channel.as_mut().unwrap().id = "7".to_owned();
    world.runs_as(plan, 10);
    let _replica = world.replica("one").await?;
    assert_eq!(world.is(CampaignStatus::Failed).await.error, "there is no session 7");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_cannot_be_read_stops_its_campaign() -> Result<()> {
    let world = World::start().await?;
    let message = Message { raw: "{".into(), ..plan().message.unwrap() };
    world.runs_as(CampaignPlan { message: Some(message), ..plan() }, 10);
    let _replica = world.replica("one").await?;
    let error = world.is(CampaignStatus::Failed).await.error;
    assert!(error.contains("the message cannot be read"), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_cannot_be_made_or_is_too_large_fails_and_stops_nobody_else() -> Result<()> {
    let world = World::start().await?;
    // The broker takes a megabyte: a thousand names of a thousand letters are none.
    let raw = format!("[{}\"{{{{nombre}}}}\"]", "\"{{nombre}}\",".repeat(1_100));
    let message = Message {
        r#type: MessageType::Template.into(),
        text: "[template: promo]".to_owned(),
        raw: raw.into(),
        ..plan().message.unwrap()
    };
    world.runs_as(CampaignPlan { message: Some(message), ..plan() }, 20);
    world.office.look(ID, |kept| {
        kept.recipients.get_mut(&5).unwrap().variables.clear();
        kept.recipients.get_mut(&7).unwrap().variables.insert("nombre".to_owned(), "n".repeat(1_000));
    });
    let _replica = world.replica("one").await?;
    let campaign = world.is(CampaignStatus::Completed).await;
    assert_eq!((campaign.counts.unwrap().sent, campaign.counts.unwrap().failed), (18, 2));
    let titles: Vec<&str> = campaign.failures.iter().map(|failure| failure.title.as_str()).collect();
    assert!(titles.contains(&"unreadable") && titles.contains(&"too_large"), "{titles:?}");
    world.each_once(18);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_to_whom_nothing_can_be_addressed_stops_the_campaign_and_is_named() -> Result<()> {
    let world = World::start().await?;
    world.runs(20);
    world.office.look(ID, |kept| kept.recipients.get_mut(&5).unwrap().conversation = "a.b".to_owned());
    let _replica = world.replica("one").await?;
    let error = world.is(CampaignStatus::Failed).await.error;
    assert_eq!(error, "the recipient in line 5 cannot be written to: conversation is none");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_is_told_once_what_comes_after_it_is_marked_and_a_retry_is_a_new_beginning() -> Result<()> {
    let world = World::start().await?;
    world.outside.look(|seen| seen.outcomes.insert("7".to_owned(), RecipientState::Failed));
    world.runs(20);
    let _replica = world.replica("one").await?;
    world.is(CampaignStatus::Completed).await;
    let ends = || -> Vec<bool> {
        let told = world.told().into_iter().map(|told| told.progress);
        told.filter(|told| told.status() == CampaignStatus::Completed).map(|told| told.after_end).collect()
    };
    assert_eq!(ends(), [false]);

    world.office.look(ID, |kept| kept.raise(2, RecipientState::Read, None));
    world.hears("it was read", |told| told.read == 1).await;
    assert_eq!(ends(), [false, true]);

    world.outside.look(|seen| seen.outcomes.clear());
    let told = world.told().len();
    world.office.look(ID, Kept::retry);
    wait_for(SOON, "it has ended again", async || (ends().len() == 3).then_some(())).await;
    assert_eq!(ends(), [false, true, false]);
    let campaign = world.is(CampaignStatus::Completed).await;
    assert_eq!((campaign.counts.unwrap().failed, world.sent()), (0, 22));
    assert!(world.told().len() > told);
    Ok(())
}
