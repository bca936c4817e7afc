use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use axum::response::Response;
use serde_json::json;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

use super::world::{ANSWER_WAIT, NUMBER, TOKEN, World, accepted, read_request, text};
use crate::connector::{Connector, Outcome};

/// A server that reads the whole request, writes `answer`, and then is silent or closes.
async fn after_reading(answer: &'static [u8], closes: bool) -> Result<Outcome> {
    let world = World::raw(move |mut stream: TcpStream| async move {
        read_request(&mut stream).await;
        stream.write_all(answer).await.expect("the connector reads");
        if !closes {
            std::future::pending::<()>().await;
        }
    });
    Ok(world.await?.api.send(&text()).await)
}

fn is_unknown(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Unknown(_))
}

#[tokio::test]
async fn a_message_goes_to_its_number_with_our_id_and_the_token() -> Result<()> {
    let world = World::answering(|_| accepted()).await?;
    let outgoing = text();
    let outcome = world.api.send(&outgoing).await;
    assert_eq!(outcome, Outcome::Accepted { provider_id: "wamid.A".to_owned() });
    let [seen] = world.seen().try_into().expect("one request");
    assert_eq!((seen.method.as_str(), seen.path), ("POST", format!("/v23.0/{NUMBER}/messages")));
    assert_eq!(
        (seen.authorization, seen.content_type.as_str()),
        (format!("Bearer {TOKEN}"), "application/json")
    );
    let body: serde_json::Value = serde_json::from_slice(&seen.body)?;
    assert_eq!(body["biz_opaque_callback_data"], json!(outgoing.message.id));
    Ok(())
}

#[tokio::test]
async fn where_nobody_answers_nothing_was_written() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let refused = format!("http://{}", listener.local_addr()?);
    drop(listener);
    for url in [refused, "http://graph.invalid".to_owned()] {
        let outcome = World::at(url.clone(), Arc::default())?.api.send(&text()).await;
        assert!(matches!(outcome, Outcome::NotWritten(_)), "{url}: {outcome:?}");
    }
    Ok(())
}

#[tokio::test]
async fn without_a_tls_handshake_nothing_was_written() -> Result<()> {
    let garbage = async |mut stream: TcpStream| {
        let _ = stream.write_all(b"220 this is no TLS\r\n").await;
    };
    let world = World::raw_at("https", garbage).await?;
    let outcome = world.api.send(&text()).await;
    assert!(matches!(outcome, Outcome::NotWritten(_)), "{outcome:?}");
    let silent = World::raw_at("https", |stream: TcpStream| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    });
    let outcome = silent.await?.api.send(&text()).await;
    assert!(matches!(outcome, Outcome::NotWritten(_)), "{outcome:?}");
    Ok(())
}

#[tokio::test]
async fn whatever_happens_after_the_request_was_read_leaves_its_end_unknown() -> Result<()> {
    for (answer, closes) in [
        (b"".as_slice(), true),
        (b"", false),
        (b"HTTP/1.1 200 OK\r\n", true),
        (b"HTTP/1.1 200 OK\r\n", false),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 60\r\n\r\n{\"messages\":", true),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 60\r\n\r\n{\"messages\":", false),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false),
        (b"nonsense\r\n\r\n", false),
    ] {
        let begun = Instant::now();
        let outcome = after_reading(answer, closes).await?;
        let told = format!("{:?}, closes: {closes}: {outcome:?}", String::from_utf8_lossy(answer));
        assert!(is_unknown(&outcome), "{told}");
        assert!(begun.elapsed() < 4 * ANSWER_WAIT, "{told} after {:?}", begun.elapsed());
    }
    Ok(())
}

#[tokio::test]
async fn a_connection_that_the_server_closed_while_idle_harms_no_message() -> Result<()> {
    let world = World::raw(|mut stream: TcpStream| async move {
        read_request(&mut stream).await;
        let body = br#"{"messages":[{"id":"wamid.A"}]}"#;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), body].concat()).await.expect("the connector reads");
    });
    let world = world.await?;
    for _ in 0..20 {
        let outcome = world.api.send(&text()).await;
        // Closed and sent at the same moment, its end may be unknown; it is never taken for unwritten or refused.
        assert!(matches!(outcome, Outcome::Accepted { .. } | Outcome::Unknown(_)), "{outcome:?}");
        tokio::task::yield_now().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_gateways_page_is_a_refusal_with_its_status() -> Result<()> {
    let page =
        |_: &_| Response::builder().status(502).body("<html>Bad Gateway</html>".into()).expect("a page");
    let outcome = World::answering(page).await?.api.send(&text()).await;
    let Outcome::Refused { error, http_status: 502, retry_after: None } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!((error.code, error.title.as_str()), (0, "HTTP 502"));
    Ok(())
}

#[tokio::test]
async fn a_pause_that_the_provider_asks_for_is_told() -> Result<()> {
    let throttled = |_: &_| {
        let body = json!({ "error": { "code": 130_429, "message": "(#130429) Rate limit hit" } });
        Response::builder()
            .status(429)
            .header("retry-after", "7")
            .body(body.to_string().into())
            .expect("an answer")
    };
    let outcome = World::answering(throttled).await?.api.send(&text()).await;
    let Outcome::Refused { error, http_status: 429, retry_after } = outcome else { panic!("{outcome:?}") };
    assert_eq!((error.code, retry_after), (130_429, Some(Duration::from_secs(7))));
    Ok(())
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() -> Result<()> {
    let endless = |_: &_| {
        let pieces = futures::stream::repeat_with(|| {
            Ok::<_, std::io::Error>(bytes::Bytes::from_static(&[b' '; 8192]))
        });
        Response::new(axum::body::Body::from_stream(pieces))
    };
    let outcome = World::answering(endless).await?.api.send(&text()).await;
    let Outcome::Unknown(why) = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("more than 262144 bytes"), "{why}");
    Ok(())
}

#[tokio::test]
async fn no_redirect_takes_the_token_elsewhere() -> Result<()> {
    let elsewhere =
        |_: &_| Response::builder().status(302).header("location", "/x").body("".into()).expect("an answer");
    let world = World::answering(elsewhere).await?;
    let outcome = world.api.send(&text()).await;
    assert!(matches!(outcome, Outcome::Refused { http_status: 302, .. }), "{outcome:?}");
    assert_eq!(world.seen().len(), 1);
    Ok(())
}

#[tokio::test]
async fn what_can_never_be_sent_is_refused_without_asking() -> Result<()> {
    let world = World::answering(|_| accepted()).await?;
    let mut outgoing = text();
    outgoing.message.text.clear();
    let outcome = world.api.send(&outgoing).await;
    let Outcome::Refused { error, http_status: 0, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!((error.code, error.message.as_str()), (100, "text: expected at least a character"));
    assert!(world.seen().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_message_is_marked_read_with_or_without_a_sign_that_somebody_types() -> Result<()> {
    let world = World::answering(|_| super::world::json(200, &json!({ "success": true }))).await?;
    world.api.read("wamid.IN", false).await?;
    world.api.read("wamid.IN", true).await?;
    let [plain, typing] = world.seen().try_into().expect("two requests");
    let read = json!({ "messaging_product": "whatsapp", "status": "read", "message_id": "wamid.IN" });
    assert_eq!(plain.json(), read);
    let mut expected = read;
    expected["typing_indicator"] = json!({ "type": "text" });
    assert_eq!(typing.json(), expected);
    Ok(())
}

#[tokio::test]
async fn the_token_is_in_no_error_and_no_debug_text() -> Result<()> {
    let world = World::at("http://graph.invalid".to_owned(), Arc::default())?;
    let (sent, read) = (world.api.send(&text()).await, world.api.read("wamid.A", true).await);
    let told = format!("{:?} {sent:?} {read:?}", world.api);
    assert!(!told.contains(TOKEN), "{told}");
    let refused = World::answering(|_| super::world::json(401, &json!({ "error": { "code": 190 } }))).await?;
    let told = format!("{:?} {:?}", refused.api.send(&text()).await, refused.api.read("wamid.A", true).await);
    assert!(!told.contains(TOKEN), "{told}");
    Ok(())
}
