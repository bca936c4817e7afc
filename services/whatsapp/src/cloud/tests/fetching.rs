use anyhow::Result;
use axum::{body::Body, response::Response};
use bytes::Bytes;
use chasqui_proto::v1::Media;
use futures::TryStreamExt;
use serde_json::json;

use super::world::{Seen, TOKEN, World, json as answer};
use crate::connector::{Connector, ConnectorError};

const MEDIA: &str = "1234567890123456";

fn media() -> Media {
    Media { id: MEDIA.to_owned(), ..Media::default() }
}

/// A Graph API whose files are at `place`, on itself where that is a path, and whose downloads are answered by `content`.
async fn world(place: &'static str, content: fn() -> Response) -> Result<World> {
    let own = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let known = own.clone();
    let world = World::answering(move |seen: &Seen| {
        if seen.path != format!("/v23.0/{MEDIA}") {
            return content();
        }
        let base = known.get().expect("the world began before it was asked").as_str();
        let url = if place.starts_with('/') { format!("{base}{place}") } else { place.to_owned() };
        answer(
            200,
            &json!({ "url": url, "mime_type": "image/jpeg", "sha256": "x", "file_size": 7, "id": MEDIA }),
        )
    });
    let world = world.await?;
    own.get_or_init(|| world.url.clone());
    Ok(world)
}

async fn fetched(world: &World) -> Result<Vec<u8>, ConnectorError> {
    let fetched = world.api.fetch(&media()).await?;
    assert_eq!(fetched.mime_type, "image/jpeg");
    let pieces: Vec<Bytes> = fetched.content.try_collect().await?;
    Ok(pieces.concat())
}

#[tokio::test]
async fn a_file_is_found_by_its_id_and_read_with_the_token() -> Result<()> {
    let world = world("/files/1?hash=x", || Response::new("picture".into())).await?;
    assert_eq!(fetched(&world).await?, b"picture");
    let [found, read] = world.seen().try_into().expect("two requests");
    assert_eq!((found.path.as_str(), read.path.as_str()), ("/v23.0/1234567890123456", "/files/1?hash=x"));
    for seen in [found, read] {
        assert_eq!(seen.authorization, format!("Bearer {TOKEN}"));
    }
    Ok(())
}

#[tokio::test]
async fn nobody_else_is_shown_the_token() -> Result<()> {
    let thief = World::answering(|_| Response::new("picture".into())).await?;
    let place: &'static str = Box::leak(format!("{}/files/1", thief.url).into_boxed_str());
    let world = world(place, || Response::new("picture".into())).await?;
    let error = fetched(&world).await.expect_err("the file is elsewhere");
    assert!(matches!(error, ConnectorError::Refused(_)), "{error}");
    assert!(thief.seen().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_file_is_never_larger_than_its_kind_may_be() -> Result<()> {
    let announced = World::answering(|_| {
        answer(
            200,
            &json!({ "url": "https://lookaside.fbsbx.com/1", "mime_type": "image/jpeg", "file_size": 99_000_000 }),
        )
    });
    let error = announced.await?.api.fetch(&media()).await.err().expect("it is too large");
    assert!(matches!(error, ConnectorError::TooLarge(5_242_880)), "{error}");
    let sized = world("/files/1", || Response::new(vec![0; 5_242_881].into())).await?;
    let error = fetched(&sized).await.map(|bytes| bytes.len()).expect_err("it is too large");
    assert!(matches!(error, ConnectorError::TooLarge(5_242_880)), "{error}");
    let endless = || {
        let pieces =
            futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[0; 8_192])));
        Response::new(Body::from_stream(pieces))
    };
    let endless = fetched(&world("/files/1", endless).await?).await;
    let error = endless.map(|bytes| bytes.len()).expect_err("it is endless");
    assert!(matches!(error, ConnectorError::TooLarge(5_242_880)), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_file_that_breaks_off_is_not_taken_for_whole() -> Result<()> {
    let broken = || {
        let pieces = [Ok(Bytes::from_static(b"pic")), Err(std::io::Error::other("gone"))];
        Response::new(Body::from_stream(futures::stream::iter(pieces)))
    };
    let error = fetched(&world("/files/1", broken).await?).await.expect_err("it is broken");
    assert!(matches!(error, ConnectorError::Away(_)), "{error}");
    Ok(())
}

#[tokio::test]
async fn the_provider_never_sees_a_fifth_failed_download_within_an_hour() -> Result<()> {
    let gone = || answer(404, &json!({ "error": { "code": 100, "message": "gone" } }));
    let world = world("/files/1", gone).await?;
    for _ in 0..4 {
        let error = fetched(&world).await.expect_err("it is gone");
        assert!(matches!(error, ConnectorError::Refused(_)), "{error}");
    }
    let asked = world.seen().len();
    let error = fetched(&world).await.expect_err("the budget is spent");
    assert!(matches!(error, ConnectorError::Away(_)), "{error}");
    assert_eq!(world.seen().len(), asked);
    Ok(())
}

#[tokio::test]
async fn a_server_that_stumbles_costs_nothing_of_the_budget() -> Result<()> {
    let world =
        world("/files/1", || Response::builder().status(503).body("".into()).expect("an answer")).await?;
    for _ in 0..6 {
        let error = fetched(&world).await.expect_err("it is away");
        assert!(matches!(error, ConnectorError::Away(_)), "{error}");
    }
    assert_eq!(world.seen().len(), 12);
    Ok(())
}

#[tokio::test]
async fn a_number_cannot_be_logged_out() -> Result<()> {
    let world = world("/files/1", || Response::new("".into())).await?;
    assert!(matches!(world.api.log_out().await, Err(ConnectorError::Unsupported(_))));
    Ok(())
}
