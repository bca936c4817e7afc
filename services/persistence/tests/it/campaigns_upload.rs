//! How campaigns come by their recipients.

use anyhow::Result;
use chasqui_kit::Code;
use chasqui_proto::{
    address, service,
    v1::{self, Campaign, CampaignStatus, CreateCampaign, DuplicateRow, RecipientState, SealCampaign},
};
use chasqui_testkit::wait_for;
use futures::{StreamExt, TryStreamExt, stream};
use uuid::Uuid;

use crate::{
    campaigns_world::{Desk, append, counts, creation, recipient, seal},
    world::{SOON, World, phone, refusal},
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
    let other = SealCampaign { digest: vec![8; 32], ..seal(&repeated) };
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

/// A statement has ten seconds, and a list a million lines.
#[tokio::test]
async fn a_long_list_is_thrown_away_some_at_a_time() -> Result<()> {
    const MANY: i32 = 45_000;
    let desk = Desk::open().await?;
    let asked = creation();
    desk.world.ask(service::CAMPAIGNS_CREATE, asked.clone()).await?;
    sqlx::query(
        "insert into campaign_recipients (campaign_id, line, tenant, token, contact, name, variables, state)
         select $1::uuid, n, 'default', n::text, n::text, '', '', 'pending' from generate_series(1, $2) n",
    )
    .bind(&asked.id)
    .bind(MANY)
    .execute(&desk.world.pool)
    .await?;
    for statement in [
        "create function refuse_many() returns trigger language plpgsql as $$ begin
            if (select count(*) from gone) > 20000 then raise 'too many at once'; end if;
            return null;
         end $$",
        "create trigger refuse_many after delete on campaign_recipients
         referencing old table as gone for each statement execute function refuse_many()",
    ] {
        sqlx::query(statement).execute(&desk.world.pool).await?;
    }
    desk.world.ask(service::CAMPAIGNS_SEAL, SealCampaign { discard: true, ..seal(&asked) }).await?;
    let left: i64 =
        sqlx::query_scalar("select count(*) from campaign_recipients").fetch_one(&desk.world.pool).await?;
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
    let contact = address::parse_address("AR.13491208655302741918")?;
    let same = v1::Recipient { contact: Some(contact), ..recipient(9, 0) };
    let told = desk.world.ask(service::CAMPAIGNS_APPEND, append(&asked, vec![same])).await?;
    assert_eq!(told.duplicates, [DuplicateRow { line: 9, first_line: 2 }]);
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
    wait_for(SOON, "it is removed", async || {
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
