//! Who wants no campaigns: contacts say so themselves, and operators for them.

use anyhow::Result;
use chasqui_kit::Code;
use chasqui_proto::{
    service,
    v1::{self, Choice, MessageType, OptOut, ProviderError, Status},
};
use chasqui_testkit::wait_for;

use crate::world::{BEGIN_MS, SOON, World, inbound, outbound, phone, refusal, status};

/// Publishes messages and waits until they are stored.
async fn say(world: &World, messages: &[v1::Message]) -> Result<()> {
    for message in messages {
        world.publish_message(message).await?;
    }
    let last = world.publish_message(&inbound(99, 0, "hola")).await?;
    world.stored(last).await;
    Ok(())
}

async fn listed_of(world: &World, tenant: &str) -> Result<Vec<OptOut>> {
    let question = v1::ListOptOuts { tenant: tenant.to_owned(), ..v1::ListOptOuts::default() };
    Ok(world.ask(service::OPT_OUTS_LIST, question).await?.opt_outs)
}

/// Who has opted out, newest first, and who said so.
async fn listed(world: &World) -> Result<Vec<(String, String)>> {
    let listed = listed_of(world, "default").await?;
    Ok(listed.into_iter().map(|opt_out| (opt_out.conversation, opt_out.source)).collect())
}

fn out(number: u32, source: &str) -> (String, String) {
    (phone(number), source.to_owned())
}

async fn put(world: &World, contact: &str) -> Result<OptOut> {
    let question = v1::PutOptOut { tenant: "default".into(), conversation: contact.into() };
    Ok(world.ask(service::OPT_OUTS_PUT, question).await?)
}

async fn remove(world: &World, contact: &str) -> Result<bool> {
    let question = v1::RemoveOptOut { tenant: "default".into(), conversation: contact.into() };
    Ok(world.ask(service::OPT_OUTS_REMOVE, question).await?.removed)
}

fn chosen(number: u32, kind: MessageType, id: &str, title: &str) -> v1::Message {
    let choice = Choice { id: id.into(), title: title.into(), ..Choice::default() };
    v1::Message { r#type: kind.into(), choice: Some(choice), ..inbound(number, 0, title) }
}

/// WhatsApp refuses a message since its contact wants no more marketing.
fn refused(message: &v1::Message, code: i64) -> v1::MessageStatus {
    let error = ProviderError { code, ..ProviderError::default() };
    v1::MessageStatus { errors: vec![error], ..status(message, Status::Failed) }
}

#[tokio::test]
async fn a_contact_who_writes_or_chooses_a_keyword_gets_no_campaigns_until_it_comes_back() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    say(
        &world,
        &[
            inbound(1, 7, "¡Baja!"),
            inbound(2, 0, "la presión está baja"),
            chosen(3, MessageType::Button, "choice-1", "No molestar"),
            chosen(4, MessageType::Interactive, "stop", "No, gracias"),
            outbound(5, 0, "baja"),
        ],
    )
    .await?;
    assert_eq!(listed(&world).await?, [out(4, "keyword"), out(3, "keyword"), out(1, "keyword")]);
    assert_eq!(listed_of(&world, "default").await?[2].since_ms, BEGIN_MS + 7);
    say(&world, &[inbound(3, 1, "ALTA"), inbound(1, 2, "gracias")]).await?;
    assert_eq!(listed(&world).await?, [out(4, "keyword"), out(1, "keyword")]);
    // Who leaves again is the newest of the list.
    say(&world, &[inbound(3, 3, "stop")]).await?;
    assert_eq!(listed(&world).await?, [out(3, "keyword"), out(4, "keyword"), out(1, "keyword")]);
    assert_eq!(listed_of(&world, "other").await?, [], "another tenant has nothing to do with it");
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_contact_who_told_whatsapp_to_stop_gets_no_campaigns() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let (stopped, unreachable) = (outbound(1, 0, "oferta"), outbound(2, 0, "oferta"));
    for (message, code) in [(&stopped, 131_050), (&unreachable, 131_026)] {
        world.publish_message(message).await?;
        world.publish_status(&refused(message, code)).await?;
    }
    say(&world, &[]).await?;
    assert_eq!(listed(&world).await?, [out(1, "provider")]);
    // It comes back; then WhatsApp brings the same status once more.
    let again = refused(&stopped, 131_050);
    world.publish_status(&again).await?;
    say(&world, &[inbound(1, 1, "alta")]).await?;
    assert_eq!(listed(&world).await?, []);
    world.publish_status(&again).await?;
    say(&world, &[]).await?;
    assert_eq!(listed(&world).await?, [], "it says nothing new");
    world.publish_status(&refused(&stopped, 131_050)).await?;
    say(&world, &[]).await?;
    assert_eq!(listed(&world).await?, [out(1, "provider")], "another one does");
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_message_that_comes_again_says_nothing_new() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let stop = inbound(1, 0, "stop");
    say(&world, &[stop.clone(), inbound(1, 1, "alta"), stop.clone()]).await?;
    assert_eq!(listed(&world).await?, []);
    say(&world, &[inbound(1, 2, "stop")]).await?;
    let before = listed_of(&world, "default").await?;
    say(&world, &[stop]).await?;
    assert_eq!(listed_of(&world, "default").await?, before);
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_message_that_says_nothing_of_it_costs_no_query() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    // Whoever asks this table from now on fails.
    sqlx::query("alter table consents rename to elsewhere").execute(&world.pool).await?;
    let message = outbound(1, 0, "baja");
    world.publish_message(&message).await?;
    world.publish_status(&refused(&message, 131_026)).await?;
    say(&world, &[inbound(1, 1, "la presión está baja"), chosen(1, MessageType::Button, "yes", "Sí")])
        .await?;
    assert_eq!(world.messages(&phone(1)).await?.len(), 3);
    replica.stop().await;
    Ok(())
}

/// PostgreSQL fails on the older message for a while: it is given back, and the newer one is stored first.
#[tokio::test]
async fn an_older_message_that_is_stored_later_does_not_undo_a_newer_one() -> Result<()> {
    let mut world = World::new().await?;
    world.config.batch_max = 1;
    for statement in [
        "create function fail() returns trigger language plpgsql as $$ begin raise exception 'not now'; end $$",
        "create trigger fail before insert on messages for each row when (new.text_content = 'Stop')
         execute function fail()",
    ] {
        sqlx::query(statement).execute(&world.pool).await?;
    }
    let replica = world.replica().await?;
    world.publish_message(&inbound(1, 0, "Stop")).await?;
    let last = world.publish_message(&inbound(1, 1, "Start")).await?;
    let texts = async || {
        let texts = sqlx::query_scalar("select text_content from messages order by text_content");
        texts.fetch_all(&world.pool).await.unwrap_or_default() as Vec<String>
    };
    wait_for(SOON, "the newer is stored", async || (texts().await == ["Start"]).then_some(())).await;
    sqlx::query("drop trigger fail on messages").execute(&world.pool).await?;
    world.stored(last).await;
    assert_eq!(texts().await, ["Start", "Stop"], "both are stored now");
    assert_eq!(listed(&world).await?, [], "and what it said last stands");
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_an_operator_says_stands_until_the_contact_says_otherwise() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    // A contact who never wrote, in another spelling; it makes no conversation.
    let first = put(&world, "+54 911 0000-0001").await?;
    assert_eq!((first.conversation.as_str(), first.source.as_str()), (phone(1).as_str(), "operator"));
    assert_eq!(put(&world, &phone(1)).await?, first, "put twice is put once");
    assert!(world.conversation(&phone(1)).await.is_err());
    say(&world, &[inbound(1, 0, "hola")]).await?;
    assert_eq!(listed(&world).await?, [out(1, "operator")]);
    say(&world, &[inbound(1, 1, "quiero recibir")]).await?;
    assert_eq!(listed(&world).await?, []);

    say(&world, &[inbound(2, 2, "baja")]).await?;
    let by_itself = put(&world, &phone(2)).await?;
    assert_eq!(by_itself.source, "keyword", "what the contact said itself is kept");
    let id = world.conversation(&phone(2)).await?.id;
    assert!(remove(&world, &id).await?, "by the id of its conversation");
    assert!(!remove(&world, &phone(2)).await?);
    assert_eq!(listed(&world).await?, []);
    say(&world, &[inbound(2, 3, "baja")]).await?;
    assert_eq!(listed(&world).await?, [out(2, "keyword")], "it has said it again");
    replica.stop().await;
    Ok(())
}

/// The message came before the operator took the contact from the list, and is stored after that.
#[tokio::test]
async fn a_message_from_before_an_operators_word_does_not_undo_it() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    say(&world, &[]).await?;
    let mut blocked = world.pool.begin().await?;
    sqlx::query("lock table messages in access exclusive mode").execute(&mut *blocked).await?;
    for number in [1, 2] {
        world.publish_message(&inbound(number, 0, "stop")).await?;
    }
    let last = world.publish_message(&inbound(3, 0, "start")).await?;
    assert!(!remove(&world, &phone(1)).await?, "nothing is stored yet");
    put(&world, &phone(3)).await?;
    blocked.commit().await?;
    world.stored(last).await;
    assert_eq!(listed(&world).await?, [out(2, "keyword"), out(3, "operator")]);
    replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn opt_outs_are_listed_newest_first_page_by_page() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    for number in 1..=7 {
        put(&world, &phone(number)).await?;
    }
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let question = v1::ListOptOuts { tenant: "default".into(), cursor, limit: 2 };
        let page = world.ask(service::OPT_OUTS_LIST, question).await?;
        assert!(page.opt_outs.len() <= 2);
        found.extend(page.opt_outs.into_iter().map(|opt_out| opt_out.conversation));
        cursor = page.next;
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(found, (1..=7).rev().map(phone).collect::<Vec<_>>());
    let question =
        |cursor: &str, limit| v1::ListOptOuts { tenant: "default".into(), cursor: cursor.into(), limit };
    for (field, bad) in [("cursor", question("7", 0)), ("limit", question("", 201))] {
        let (code, message) = refusal(world.ask(service::OPT_OUTS_LIST, bad).await);
        assert_eq!(code, Code::InvalidInput);
        assert!(message.starts_with(&format!("{field}: must ")), "{message}");
    }
    let nobody = v1::PutOptOut { tenant: "default".into(), conversation: String::new() };
    let (code, message) = refusal(world.ask(service::OPT_OUTS_PUT, nobody).await);
    assert!(code == Code::InvalidInput && message.starts_with("conversation: "), "{message}");
    let no_tenant = v1::RemoveOptOut { tenant: "a b".into(), conversation: phone(1) };
    let (code, message) = refusal(world.ask(service::OPT_OUTS_REMOVE, no_tenant).await);
    assert!(code == Code::InvalidInput && message.starts_with("tenant: "), "{message}");
    replica.stop().await;
    Ok(())
}
