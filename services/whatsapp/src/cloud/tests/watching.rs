use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use chasqui_proto::v1::link_event::What;
use serde_json::json;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use super::world::{NUMBER, World, json as answer};
use crate::connector::Connector;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_number_that_is_refused_is_asked_again_until_it_answers() -> Result<()> {
    let asked = AtomicU32::new(0);
    let world = World::answering(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => answer(401, &json!({ "error": { "code": 190, "message": "the token has expired" } })),
        _ => answer(200, &json!({ "display_phone_number": "+54 9 11 0000-0001", "id": NUMBER })),
    });
    let world = world.await?;
    let (events, mut told) = mpsc::channel(4);
    let stop = CancellationToken::new();
    let (api, stopped) = (Arc::clone(&world.api), stop.clone());
    let running = tokio::spawn(async move { api.run(events, stopped).await });
    let mut next = async || {
        let event = timeout(SOON, told.recv()).await.ok().flatten().context("the number tells nothing")?;
        event.what.context("the event says nothing")
    };
    let What::Disconnected(refused) = next().await? else { panic!("the token is refused") };
    assert_eq!(refused.reason, "the token has expired (190)");
    let What::Connected(connected) = next().await? else { panic!("the number answers") };
    assert_eq!(connected.phone, "5491100000001");
    let path = format!("/v23.0/{NUMBER}?fields=display_phone_number,verified_name,quality_rating");
    assert!(world.seen().iter().all(|seen| seen.method == "GET" && seen.path == path));
    stop.cancel();
    timeout(SOON, running).await??;
    Ok(())
}
