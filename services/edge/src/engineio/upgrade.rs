//! The upgrade of a polling session to a WebSocket: `2probe`, `3probe`, `5`, then the session takes the socket over.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::link::Link;
use super::packet;
use super::polling::Request;

/// Probes `link` and hands it to the session behind `requests`; drops it when the client does something else or is
/// not through within `limit`.
pub(super) async fn run(mut link: Link, requests: mpsc::Sender<Request>, limit: Duration) {
    if let Ok(Some(hand_over)) = timeout(limit, probe(&mut link, &requests, limit)).await {
        // The session may have ended meanwhile; dropping the link tells the client.
        let _ = hand_over.send(link);
    }
}

async fn probe(
    link: &mut Link,
    requests: &mpsc::Sender<Request>,
    limit: Duration,
) -> Option<oneshot::Sender<Link>> {
    expect(link, packet::PROBE_PING).await?;
    let (hand_over, upgraded) = oneshot::channel();
    requests.send(Request::Upgrade(upgraded)).await.ok()?;
    link.write(&mut vec![packet::PROBE_PONG.into()], limit).await.ok()?;
    expect(link, packet::UPGRADE).await?;
    Some(hand_over)
}

async fn expect(link: &mut Link, packet: &str) -> Option<()> {
    loop {
        if let Some(frame) = link.read().await.ok()? {
            return frame.as_text().filter(|text| ***text == *packet).map(|_| ());
        }
    }
}
