//! Files that contacts sent, as a bot finds them by the id that its webhook named.

use anyhow::Result;
use bytes::Bytes;
use chasqui_kit::serve::Responder;
use chasqui_media::{Incoming, MediaError, MediaStore, Properties};
use chasqui_proto::{
    MessageId, service,
    v1::{Channel, Direction, FetchMedia, GetMessage, Media, Message, StoredMessage},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::door::{ACME_NUMBER, Door, media};
use crate::{
    directory::{NoEntry, bus},
    world::answer,
};

fn picture(direction: Direction) -> Message {
    Message {
        id: MessageId::now().to_string(),
        tenant: "acme".to_owned(),
        channel: Some(Channel { id: ACME_NUMBER.to_owned(), ..Channel::default() }),
        direction: direction.into(),
        media: Some(Media { id: "300000000000001".to_owned(), ..Media::default() }),
        ..Message::default()
    }
}

/// Persistence knows two messages; the owner of the numbers has the file of every message.
async fn others(
    door: &Door,
    known: [Message; 2],
) -> Result<([Responder; 2], mpsc::UnboundedReceiver<FetchMedia>)> {
    let bus = bus(&door.world).await?;
    let start = |service| Responder::start(&bus, service, "a stand-in", CancellationToken::new());
    let persistence = start(service::PERSISTENCE).await?;
    let get = move |question: GetMessage, _| {
        let is_asked =
            |message: &&Message| (&message.tenant, &message.id) == (&question.tenant, &question.message_id);
        let message = known.iter().find(is_asked).cloned();
        let stored =
            message.map(|message| StoredMessage { message: Some(message), ..StoredMessage::default() });
        std::future::ready(stored.ok_or(NoEntry))
    };
    persistence.endpoint(service::MESSAGES_GET, get).await?;
    let whatsapp = start(service::WHATSAPP).await?;
    let (asked, questions) = mpsc::unbounded_channel();
    let store = MediaStore::open(&media(&door.files))?;
    let fetch = move |question: FetchMedia, _| {
        let store = store.clone();
        asked.send(question.clone()).expect("the test is there");
        async move {
            let properties = Properties { mime_type: "image/jpeg".to_owned(), filename: String::new() };
            let incoming = Incoming { properties, bytes_max: 1_000, sha256: None };
            let (tenant, id) = (
                question.tenant.parse().expect("it is one"),
                question.message_id.parse().expect("it is one"),
            );
            let content = futures::stream::iter([Ok::<_, MediaError>(Bytes::from_static(b"a picture"))]);
            store.put(&tenant, id, incoming, content).await
        }
    };
    whatsapp.endpoint(service::MEDIA_FETCH, fetch).await?;
    bus.barrier().await?;
    Ok(([persistence, whatsapp], questions))
}

#[tokio::test]
async fn what_a_contact_sent_is_found_before_anybody_has_fetched_it() -> Result<()> {
    let door = Door::start().await?;
    let (theirs, ours) = (picture(Direction::In), picture(Direction::Out));
    let away = Door::refusal(door.get(&theirs.id, &door.acme)).await?;
    assert_eq!((away.0, away.1), (503, 2), "nobody can say whether it is there");
    let (_others, mut asked) = others(&door, [theirs.clone(), ours.clone()]).await?;
    for _ in 0..2 {
        let (status, shown) = answer(door.get(&theirs.id, &door.acme).send().await?).await?;
        assert_eq!((status, &shown["id"], &shown["file_size"]), (200, &theirs.id.as_str().into(), &9.into()));
    }
    let question = asked.try_recv()?;
    assert_eq!((question.tenant.as_str(), question.session.as_str()), ("acme", ACME_NUMBER));
    assert_eq!(question.media.unwrap_or_default().id, "300000000000001");
    for (id, key) in [
        (theirs.id.as_str(), &door.other),
        (&ours.id, &door.acme),
        (&MessageId::now().to_string(), &door.acme),
    ] {
        let refusal = Door::refusal(door.get(id, key)).await?;
        assert_eq!((refusal.0, refusal.1, refusal.2), (400, 100, Some(33)), "{id}");
    }
    assert!(asked.try_recv().is_err(), "it was fetched once, and nothing else");
    door.world.stop().await
}
