use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use chasqui_media::FileId;
use chasqui_proto::v1::{Media, MessageType};
use serde_json::json;

use super::world::{NUMBER, Seen, World, accepted, json as answer, text};
use crate::connector::{Connector, Outcome, Outgoing};

fn with_file(file: FileId) -> Outgoing {
    let mut outgoing = text();
    outgoing.message.r#type = MessageType::Image.into();
    outgoing.message.text.clear();
    outgoing.message.media = Some(Media { id: file.to_string(), ..Media::default() });
    outgoing
}

fn is_upload(seen: &Seen) -> bool {
    seen.path == format!("/v23.0/{NUMBER}/media")
}

#[tokio::test]
async fn a_file_of_ours_is_uploaded_once_for_all_who_send_it() -> Result<()> {
    let world =
        World::answering(
            |seen| if is_upload(seen) { answer(200, &json!({ "id": "77" })) } else { accepted() },
        );
    let world = world.await?;
    let file = world.file("image/png", "niño.png", b"picture").await?;
    let outgoing = with_file(file);
    let sends = (0..5).map(|_| world.api.send(&outgoing));
    for outcome in futures::future::join_all(sends).await {
        assert_eq!(outcome, Outcome::Accepted { provider_id: "wamid.A".to_owned() });
    }
    let (uploads, messages): (Vec<Seen>, Vec<Seen>) = world.seen().into_iter().partition(is_upload);
    let [upload] = uploads.try_into().expect("one upload");
    assert!(upload.content_type.starts_with("multipart/form-data; boundary="), "{}", upload.content_type);
    let form = String::from_utf8(upload.body.to_vec())?;
    for part in [
        "name=\"messaging_product\"\r\n\r\nwhatsapp\r\n",
        "name=\"type\"\r\n\r\nimage/png\r\n",
        "name=\"file\"; filename",
        "Content-Type: image/png\r\n\r\npicture\r\n",
    ] {
        assert!(form.contains(part), "{part:?} is missing in {form}");
    }
    assert_eq!(messages.len(), 5);
    assert!(messages.iter().all(|seen| seen.json()["image"] == json!({ "id": "77" })));
    Ok(())
}

#[tokio::test]
async fn a_file_that_the_provider_lost_is_uploaded_again() -> Result<()> {
    let lost = || answer(400, &json!({ "error": { "code": 131_053, "message": "Media upload error" } }));
    let sent = AtomicU32::new(0);
    let world = World::answering(move |seen| match is_upload(seen) {
        true => answer(200, &json!({ "id": "77" })),
        false if sent.fetch_add(1, Ordering::Relaxed) == 1 => lost(),
        false => accepted(),
    });
    let world = world.await?;
    let outgoing = with_file(world.file("image/png", "", b"picture").await?);
    for _ in 0..2 {
        let outcome = world.api.send(&outgoing).await;
        assert_eq!(outcome, Outcome::Accepted { provider_id: "wamid.A".to_owned() });
    }
    let kinds: Vec<bool> = world.seen().iter().map(is_upload).collect();
    assert_eq!(kinds, [true, false, false, true, false]);

    let never = World::answering(
        move |seen| if is_upload(seen) { answer(200, &json!({ "id": "77" })) } else { lost() },
    );
    let never = never.await?;
    let outgoing = with_file(never.file("image/png", "", b"picture").await?);
    assert!(matches!(never.api.send(&outgoing).await, Outcome::Refused { http_status: 400, .. }));
    assert_eq!(never.seen().len(), 2, "what was just uploaded is not uploaded again");
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_not_there_or_too_large_is_refused_without_asking() -> Result<()> {
    let world = World::answering(|_| accepted()).await?;
    let large = world.file("image/png", "", &vec![0; 5 * 1024 * 1024 + 1]).await?;
    for (file, told) in
        [(FileId::now(), "there is no such file"), (large, "more than the 5242880 for image/png")]
    {
        let outcome = world.api.send(&with_file(file)).await;
        let Outcome::Refused { error, http_status: 0, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(error.code, 131_053);
        assert!(error.message.contains(told), "{}", error.message);
    }
    assert!(world.seen().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_message_whose_upload_failed_was_not_written() -> Result<()> {
    for odd in [json!({}), json!([]), json!({ "id": "" })] {
        let world = World::answering(move |_| answer(200, &odd)).await?;
        let outgoing = with_file(world.file("image/png", "", b"picture").await?);
        let outcome = world.api.send(&outgoing).await;
        assert!(matches!(outcome, Outcome::NotWritten(_)), "{outcome:?}");
    }
    let world =
        World::answering(|_| answer(401, &json!({ "error": { "code": 190, "message": "expired" } }))).await?;
    let outgoing = with_file(world.file("image/png", "", b"picture").await?);
    let outcome = world.api.send(&outgoing).await;
    let Outcome::Refused { error, http_status: 401, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.code, 190);
    assert_eq!(world.seen().len(), 1);
    Ok(())
}
