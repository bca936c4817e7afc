use anyhow::Result;
use chasqui_kit::Code;
use chasqui_proto::{
    ConversationToken, subject,
    v1::{
        Channel, ChannelKind, Direction, LinkEvent, Message, MessageStatus, MessageType, SenderType,
        SessionStatus, Status, Typing, link_command::What,
    },
};
use chasqui_testkit::wait_for;
use uuid::Uuid;

use crate::{
    linked::{Linked, connected, disconnected},
    world::{CONTACT, SESSION, SOON, TENANT, World, config, refusal, tenant},
};

fn contact() -> ConversationToken {
    CONTACT.parse().expect("it is a conversation")
}

fn message(direction: Direction) -> Message {
    Message {
        id: Uuid::now_v7().to_string(),
        tenant: TENANT.to_owned(),
        conversation: CONTACT.to_owned(),
        channel: Some(Channel {
            kind: ChannelKind::WhatsappLinked.into(),
            id: SESSION.to_owned(),
            ..Channel::default()
        }),
        direction: direction.into(),
        sender_type: if direction == Direction::In { SenderType::User } else { SenderType::Agent }.into(),
        r#type: MessageType::Text.into(),
        text: "hola".to_owned(),
        occurred_at_ms: chasqui_kit::clock::now_ms(),
        received_at_ms: chasqui_kit::clock::now_ms(),
        ..Message::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wab_31_a_session_whose_connector_dies_is_taken_by_another_one() -> Result<()> {
    let world = World::start().await?;
    let _replica = world.replica("whatsapp-1", config()).await?;
    let first = Linked::start(&world, "connector-1", Some(connected())).await;
    world.open(SESSION).await?;
    world.becomes(SESSION, SessionStatus::Connected).await;
    first.kill();
    let lost = world.becomes(SESSION, SessionStatus::Reconnecting).await;
    assert_eq!(lost.reason, "connector_gone");
    let second = Linked::start(&world, "connector-2", Some(connected())).await;
    world.becomes(SESSION, SessionStatus::Connected).await;
    assert!(second.seen(|seen| !seen.starts.is_empty()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_connector_tells_an_owner_that_is_gone_is_refused() -> Result<()> {
    let world = World::start().await?;
    let _replica = world.replica("whatsapp-1", config()).await?;
    let connector = Linked::start(&world, "connector-1", Some(connected())).await;
    world.open(SESSION).await?;
    let before = world.becomes(SESSION, SessionStatus::Connected).await;
    let ownership = connector.seen(|seen| seen.starts[0].ownership);
    for stale in [0, ownership - 1] {
        let event = LinkEvent { ownership: stale, ..disconnected("stream error 515") };
        let (code, text) = refusal(connector.tell_as_it_is(SESSION, event).await);
        assert_eq!(code, Code::Conflict);
        assert!(text.starts_with("link.ownership: expected"), "{text}");
    }
    assert_eq!(world.state(SESSION).await, Some(before));
    let event = LinkEvent { ownership, ..disconnected("stream error 515") };
    connector.tell_as_it_is(SESSION, event).await?;
    world.becomes(SESSION, SessionStatus::Reconnecting).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn wab_16_a_message_goes_through_the_linked_device() -> Result<()> {
    let world = World::start().await?;
    let _replica = world.replica("whatsapp-1", config()).await?;
    let connector = Linked::start(&world, "connector-1", Some(connected())).await;
    world.open(SESSION).await?;
    world.becomes(SESSION, SessionStatus::Connected).await;
    let sent = message(Direction::Out);
    world.publish(subject::messages_out(&tenant(), &contact()), &sent, &sent.id).await;
    let got = wait_for(SOON, "the connector is given the message", async || {
        connector.seen(|seen| {
            seen.commands.iter().find_map(|command| match &command.what {
                Some(What::Send(message)) => Some(message.clone()),
                _ => None,
            })
        })
    })
    .await;
    assert_eq!((got.id, got.text), (sent.id, sent.text));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_27_ben_28_a_contact_sees_that_an_agent_writes_and_has_read() -> Result<()> {
    let world = World::start().await?;
    let _replica = world.replica("whatsapp-1", config()).await?;
    let connector = Linked::start(&world, "connector-1", Some(connected())).await;
    world.open(SESSION).await?;
    world.becomes(SESSION, SessionStatus::Connected).await;
    let asked = Message { provider_id: "3EB0QUESTION".to_owned(), ..message(Direction::In) };
    world.publish(subject::messages_in(&tenant(), &contact()), &asked, &asked.id).await;
    let typing = Typing {
        tenant: TENANT.to_owned(),
        conversation: CONTACT.to_owned(),
        sender_type: SenderType::Agent.into(),
        typing: true,
        ..Typing::default()
    };
    let subject = subject::typing_changed(&tenant(), &contact());
    let payload = prost::Message::encode_to_vec(&typing);
    let window = chasqui_proto::stream::window_key(
        &tenant(),
        &chasqui_proto::subject::NodeToken::new(SESSION),
        &contact(),
    );
    let windows = world.bus.jetstream().get_key_value(chasqui_proto::stream::WINDOWS.name).await?;
    wait_for(SOON, "it is known what the contact wrote last", async || windows.get(&*window).await.ok()?)
        .await;
    for _ in 0..3 {
        world.bus.client().publish(subject.as_str().to_owned(), payload.clone().into()).await?;
    }
    let reads = || {
        connector.seen(|seen| {
            let reads = seen.commands.iter().filter_map(|command| match &command.what {
                Some(What::Read(read)) => Some((read.provider_message_id.clone(), read.typing)),
                _ => None,
            });
            reads.collect::<Vec<_>>()
        })
    };
    wait_for(SOON, "the connector is told", async || (!reads().is_empty()).then_some(())).await;
    assert_eq!(reads(), [("3EB0QUESTION".to_owned(), true)], "once in twenty seconds");
    // BEN-27: the agent reads it.
    let status = MessageStatus {
        id: Uuid::now_v7().to_string(),
        tenant: TENANT.to_owned(),
        conversation: CONTACT.to_owned(),
        message_id: asked.id,
        status: Status::Read.into(),
        reader_id: "agent-1".to_owned(),
        ..MessageStatus::default()
    };
    world.publish(subject::messages_status(&tenant(), &contact()), &status, &status.id).await;
    wait_for(SOON, "the connector is told", async || (reads().len() == 2).then_some(())).await;
    assert_eq!(reads()[1], ("3EB0QUESTION".to_owned(), false));
    Ok(())
}
