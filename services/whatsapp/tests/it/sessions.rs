use anyhow::Result;
use chasqui_kit::Code;
use chasqui_proto::v1::{SessionStatus, link_command::What};
use chasqui_testkit::wait_for;

use crate::{
    linked::{Linked, connected, disconnected, logged_out, qr},
    world::{PHONE, SESSION, SOON, World, config, refusal},
};

#[tokio::test(flavor = "multi_thread")]
async fn wab_23_a_session_goes_from_its_qr_to_ready_and_the_qr_stays_the_same() -> Result<()> {
    let world = World::start().await?;
    let replica = world.replica("whatsapp-1", config()).await?;
    let connector = Linked::start(&world, "connector-1", Some(qr("2@first"))).await;
    let opened = world.open(SESSION).await?;
    assert!(matches!(opened.status(), SessionStatus::Starting | SessionStatus::ScanQr), "{opened:?}");
    let scan = world.becomes(SESSION, SessionStatus::ScanQr).await;
    assert!(scan.qr.starts_with("data:image/png;base64,"));
    // WAB-29: whoever asks again, and a connector that repeats itself, change nothing.
    connector.tell(SESSION, qr("2@first")).await?;
    assert_eq!(world.open(SESSION).await?, scan);
    assert_eq!(world.get(SESSION).await?, scan);
    connector.tell(SESSION, connected()).await?;
    // WAB-10.
    let ready = world.open(SESSION).await?;
    assert_eq!(
        (ready.status(), ready.qr.as_str(), ready.phone.as_str()),
        (SessionStatus::Connected, "", PHONE)
    );
    assert!(ready.version > scan.version);
    assert_eq!(world.state(SESSION).await, Some(ready));
    replica.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn wab_19_a_session_that_the_phone_logs_out_tells_why() -> Result<()> {
    let world = World::start().await?;
    let _replica = world.replica("whatsapp-1", config()).await?;
    let connector = Linked::start(&world, "connector-1", Some(connected())).await;
    world.open(SESSION).await?;
    world.becomes(SESSION, SessionStatus::Connected).await;
    connector.tell(SESSION, logged_out("")).await?;
    let closed = world.becomes(SESSION, SessionStatus::LoggedOut).await;
    assert_eq!((closed.reason.as_str(), closed.phone.as_str()), ("logged_out", ""));
    wait_for(SOON, "nobody owns it any more", async || world.holder(SESSION).await.is_none().then_some(()))
        .await;
    // It begins anew for whoever wants it.
    world.open(SESSION).await?;
    world.becomes(SESSION, SessionStatus::Connected).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn wab_19_a_session_that_is_closed_is_logged_out_at_its_connector() -> Result<()> {
    let world = World::start().await?;
    let _replica = world.replica("whatsapp-1", config()).await?;
    let connector = Linked::start(&world, "connector-1", Some(connected())).await;
    world.open(SESSION).await?;
    world.becomes(SESSION, SessionStatus::Connected).await;
    let closed = world.close(SESSION).await?;
    assert_eq!((closed.status(), closed.reason.as_str()), (SessionStatus::LoggedOut, "logged_out"));
    let was_logged_out = connector
        .seen(|seen| seen.commands.iter().any(|command| matches!(command.what, Some(What::LogOut(_)))));
    assert!(was_logged_out);
    assert_eq!(
        world.close(SESSION).await?.status(),
        SessionStatus::LoggedOut,
        "closing it twice is no mistake"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn wab_39_without_a_connector_a_session_fails_and_says_so() -> Result<()> {
    let world = World::start().await?;
    let _replica = world.replica("whatsapp-1", config()).await?;
    world.open(SESSION).await?;
    let failed = world.becomes(SESSION, SessionStatus::Failed).await;
    assert_eq!(failed.reason, "no_connector");
    let connector = Linked::start(&world, "connector-1", None).await;
    assert_eq!(world.open(SESSION).await?.status(), SessionStatus::Starting);
    // A connector that never shows a QR.
    let failed = world.becomes(SESSION, SessionStatus::Failed).await;
    assert_eq!(failed.reason, "timeout");
    let was_let_go = async || {
        connector
            .seen(|seen| seen.commands.iter().any(|c| matches!(c.what, Some(What::Stop(_)))))
            .then_some(())
    };
    wait_for(SOON, "the connector was told to let it go", was_let_go).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn wab_05_a_connector_that_cannot_reach_whatsapp_is_given_so_many_attempts() -> Result<()> {
    let world = World::start().await?;
    let _replica = world.replica("whatsapp-1", config()).await?;
    let connector = Linked::start(&world, "connector-1", Some(connected())).await;
    world.open(SESSION).await?;
    world.becomes(SESSION, SessionStatus::Connected).await;
    for _ in 0..=config().retries_max {
        assert_ne!(world.state(SESSION).await.unwrap().status(), SessionStatus::Failed);
        connector.tell(SESSION, disconnected("stream error 515")).await?;
    }
    let failed = world.becomes(SESSION, SessionStatus::Failed).await;
    assert_eq!(failed.reason, "stream error 515");
    // WAB-32: whoever wants it does not wait for the next attempt of its own.
    world.open(SESSION).await?;
    world.becomes(SESSION, SessionStatus::Connected).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_none_is_refused_with_its_field() -> Result<()> {
    let world = World::start().await?;
    let _replica = world.replica("whatsapp-1", config()).await?;
    for (session, code, field) in [
        ("", Code::InvalidInput, "session"),
        ("a.b", Code::InvalidInput, "session"),
        ("*", Code::InvalidInput, "session"),
        (&*"x".repeat(65), Code::InvalidInput, "session"),
        ("100000000000009", Code::NotFound, "session"),
    ] {
        for (got, text) in [refusal(world.open(session).await), refusal(world.close(session).await)] {
            assert_eq!(got, code, "{text}");
            assert!(text.starts_with(field), "{text}");
        }
    }
    let question =
        chasqui_proto::v1::OpenSession { tenant: "Not One".to_owned(), session: SESSION.to_owned() };
    let (code, text) = refusal(world.ask(chasqui_proto::service::SESSIONS_OPEN, &question).await);
    assert_eq!(code, Code::InvalidInput);
    assert!(text.starts_with("tenant"), "{text}");
    let connector = Linked::start(&world, "connector-1", None).await;
    world.open(SESSION).await?;
    world.owned(SESSION).await;
    let (code, text) = refusal(connector.tell(SESSION, qr("")).await);
    assert_eq!((code, text.starts_with("link.qr.code")), (Code::InvalidInput, true), "{text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_never_was_is_stopped_and_main_is_the_default() -> Result<()> {
    let world = World::start().await?;
    let _replica = world.replica("whatsapp-1", config()).await?;
    let main = world.get("").await?;
    assert_eq!((main.id.as_str(), main.status()), (SESSION, SessionStatus::Stopped));
    let _connector = Linked::start(&world, "connector-1", Some(connected())).await;
    world.open("haby").await?;
    world.becomes("haby", SessionStatus::Connected).await;
    wait_for(SOON, "the one that is connected is the default", async || {
        (world.get("").await.ok()?.id == "haby").then_some(())
    })
    .await;
    Ok(())
}
