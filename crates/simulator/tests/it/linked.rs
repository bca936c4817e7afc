use anyhow::Result;
use chasqui_kit::request::RequestError;
use chasqui_proto::v1::{
    self, LogOutLink, Message, MessageStatus, PingLink, ReadMessage, Status, StopLink,
    link_command::What as Command, link_event::What as Event,
};
use chasqui_simulator::Config;
use serde_json::json;

use crate::{
    owner::Owner,
    simulator::{CONTACT, SOON, Simulator},
};

const PHONE: &str = "5491100000090";

/// A session that was scanned under ownership 1.
async fn connected() -> Result<(Owner, Simulator)> {
    let (mut owner, simulator) = Owner::start(Config::default()).await?;
    owner.start_session(1).await?;
    assert!(matches!(owner.event().await?, Event::Qr(_)));
    let (status, scanned) = simulator.post("/linked/u1/main/scan", json!({ "phone": PHONE })).await?;
    assert_eq!((status, &scanned["status"]), (200, &json!("connected")));
    assert!(matches!(owner.event().await?, Event::Connected(now) if now.phone == PHONE));
    Ok((owner, simulator))
}

fn message(id: &str, text: &str) -> Message {
    Message {
        id: id.to_owned(),
        tenant: "u1".to_owned(),
        conversation: CONTACT.to_owned(),
        text: text.to_owned(),
        callback_data: "theirs".to_owned(),
        ..Message::default()
    }
}

#[tokio::test]
async fn wab_23_a_scanned_qr_makes_a_session_that_receives_messages() -> Result<()> {
    let (mut owner, simulator) = connected().await?;
    let written = json!({ "from": CONTACT, "text": "hola" });
    let (_, answer) = simulator.post("/linked/u1/main/messages", written).await?;
    let message: Message = owner.fact().await?;
    assert_eq!(
        (json!(message.id), json!(message.provider_id)),
        (answer["id"].clone(), answer["provider_id"].clone())
    );
    assert_eq!((message.text.as_str(), message.conversation.as_str()), ("hola", CONTACT));

    let image = json!({ "from": CONTACT, "type": "image", "text": "una foto" });
    assert_eq!(simulator.post("/linked/u1/main/messages", image).await?.0, 200);
    let media = owner.fact::<Message>().await?.media.unwrap();
    let fetch = v1::FetchMedia { media: Some(media.clone()), ..v1::FetchMedia::default() };
    let fetched = owner.command(1, Command::Fetch(fetch)).await?;
    assert_eq!((fetched.content.len() as u64, fetched.mime_type.as_str()), (media.size_bytes, "image/jpeg"));

    let (_, closed) = simulator.post("/linked/u1/main/logout", json!({})).await?;
    assert_eq!(closed["status"], "logged_out");
    assert!(matches!(owner.event().await?, Event::LoggedOut(out) if out.reason == "logged_out"));
    let (status, refused) =
        simulator.post("/linked/u1/main/messages", json!({ "from": CONTACT, "text": "x" })).await?;
    assert_eq!((status, &refused["error"]), (409, &json!("session main is not connected")));
    simulator.stop().await
}

#[tokio::test]
async fn a_message_that_is_sent_twice_reaches_the_contact_once_and_its_statuses_follow() -> Result<()> {
    let (mut owner, simulator) = connected().await?;
    let id = "0190d3a8-0000-7000-8000-000000000001";
    let first = owner.command(1, Command::Send(message(id, "buen día"))).await?;
    let again = owner.command(1, Command::Send(message(id, "buen día"))).await?;
    assert_eq!((first.error.clone(), first.provider_id.is_empty()), (None, false));
    assert_eq!(first, again);
    let shown = simulator.get(&format!("/phones/{CONTACT}/messages")).await?;
    assert_eq!(shown["messages"].as_array().unwrap().len(), 1);
    assert_eq!(shown["messages"][0]["body"]["text"]["body"], "buen día");
    assert_eq!(simulator.get("/linked/u1/main").await?["messages"][0]["id"], first.provider_id);
    for expected in [Status::Sent, Status::Delivered, Status::Read] {
        let status: MessageStatus = owner.fact().await?;
        assert_eq!((status.status(), status.message_id.as_str()), (expected, id));
        assert_eq!(
            (&status.provider_message_id, status.callback_data.as_str()),
            (&first.provider_id, "theirs")
        );
    }
    simulator.delete("/graph/messages").await?;
    assert_eq!(owner.command(1, Command::Send(message(id, "buen día"))).await?, first);
    let shown = simulator.get(&format!("/phones/{CONTACT}/messages")).await?;
    assert_eq!(shown["messages"], json!([]), "whatever became of the records");
    simulator.stop().await
}

#[tokio::test]
async fn what_is_read_and_typed_is_shown_to_the_contact() -> Result<()> {
    let (owner, simulator) = connected().await?;
    let (_, written) =
        simulator.post("/linked/u1/main/messages", json!({ "from": CONTACT, "text": "hola" })).await?;
    let read = |id: &str| {
        Command::Read(ReadMessage {
            provider_message_id: id.to_owned(),
            typing: true,
            ..ReadMessage::default()
        })
    };
    assert_eq!(owner.command(1, read(written["provider_id"].as_str().unwrap())).await?.error, None);
    let shown = simulator.get(&format!("/phones/{CONTACT}/messages")).await?;
    assert_eq!((&shown["messages"][0]["status"], &shown["typing"]), (&json!("read"), &json!(["u1/main"])));
    assert_eq!(owner.command(1, read("3EB0")).await?.error.unwrap().title, "not_found");
    simulator.stop().await
}

#[tokio::test]
async fn a_pairing_outlives_a_stop_and_a_broken_connection_but_no_log_out() -> Result<()> {
    let (mut owner, simulator) = connected().await?;
    let (status, _) = simulator.post("/linked/u1/main/disconnect", json!({ "for_ms": 300 })).await?;
    assert_eq!(status, 200);
    assert!(matches!(owner.event().await?, Event::Disconnected(_)));
    let refused = owner.command(1, Command::Send(message("a", "x"))).await?;
    assert_eq!(refused.error.unwrap().title, "not_connected");
    assert!(matches!(owner.event().await?, Event::Connected(_)), "it comes back by itself");

    assert_eq!(owner.command(1, Command::Stop(StopLink {})).await?.error, None);
    assert_eq!(simulator.get("/linked/u1/main").await?["status"], "stopped");
    chasqui_testkit::wait_for(SOON, "nobody takes commands any more", async || {
        let answer = owner.command(1, Command::Ping(PingLink {})).await;
        matches!(answer, Err(RequestError::NoResponders(_))).then_some(())
    })
    .await;
    owner.start_session(2).await?;
    assert!(matches!(owner.event().await?, Event::Connected(now) if now.phone == PHONE), "without a QR");

    assert_eq!(owner.command(2, Command::LogOut(LogOutLink {})).await?.error, None);
    owner.start_session(3).await?;
    assert!(matches!(owner.event().await?, Event::Qr(_)), "it forgot");
    simulator.stop().await
}

#[tokio::test]
async fn an_owner_that_was_superseded_is_not_obeyed() -> Result<()> {
    let (mut owner, simulator) = connected().await?;
    assert_eq!(owner.told_under, 1);
    assert_eq!(owner.command(1, Command::Ping(PingLink {})).await?.error, None);
    owner.start_session(7).await?;
    assert!(matches!(owner.event().await?, Event::Connected(_)));
    assert_eq!(owner.told_under, 7, "an event says which owner it is for");
    let refused = owner.command(6, Command::Send(message("a", "x"))).await?;
    assert_eq!(refused.error.unwrap().title, "superseded");
    assert!(matches!(owner.start_session(6).await, Err(RequestError::Refused { .. })));
    assert_eq!(owner.command(8, Command::Ping(PingLink {})).await?.error, None);
    assert!(owner.command(7, Command::Ping(PingLink {})).await?.error.is_some(), "8 was seen");
    assert_eq!(simulator.get("/linked/u1/main").await?["ownership"], 8);
    simulator.stop().await
}

#[tokio::test]
async fn an_event_is_told_until_the_owner_has_taken_it() -> Result<()> {
    let (mut owner, simulator) = Owner::start(Config::default()).await?;
    owner.start_session(1).await?;
    let (Event::Qr(lost), _) = owner.untaken_event().await? else { anyhow::bail!("no QR") };
    assert_eq!(simulator.get("/linked/u1/main").await?["told"], false);
    let Event::Qr(again) = owner.event().await? else { anyhow::bail!("no QR") };
    assert_eq!(lost, again);
    chasqui_testkit::wait_for(SOON, "the connector knows that it was taken", async || {
        let state = simulator.get("/linked/u1/main").await.ok()?;
        (state["told"] == true).then_some(())
    })
    .await;
    simulator.stop().await
}

#[tokio::test]
async fn wab_29_a_qr_is_renewed_until_the_connector_gives_up() -> Result<()> {
    let (mut owner, simulator) = Owner::start(Config { qr_lifetime_ms: 1_500, ..Config::default() }).await?;
    owner.start_session(1).await?;
    let (Event::Qr(first), _) = owner.untaken_event().await? else { anyhow::bail!("no QR") };
    let expires_at_ms = simulator.get("/linked/u1/main").await?["qr_expires_at_ms"].clone();
    assert_eq!((json!(first.expires_at_ms), first.code.is_empty()), (expires_at_ms, false));
    let mut codes = vec![first.code];
    while codes.len() < 5 {
        let Event::Qr(next) = owner.event().await? else { anyhow::bail!("no QR") };
        if codes.last() != Some(&next.code) {
            codes.push(next.code);
        }
    }
    assert!(matches!(owner.event().await?, Event::Disconnected(end) if end.reason == "nobody scanned"));
    let (status, _) = simulator.post("/linked/u1/main/scan", json!({})).await?;
    assert_eq!(status, 409);
    owner.start_session(1).await?;
    assert!(matches!(owner.event().await?, Event::Qr(_)), "whoever asks again gets another");
    simulator.stop().await
}
