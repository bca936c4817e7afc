//! The upgrade of a polling session to a WebSocket: `2probe`, `3probe`, `5`, then the session takes the socket over.

use std::time::Duration;

use tokio::select;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::link::Link;
use super::packet;
use super::polling::Request;

/// Probes `link` and hands it to the session behind `requests`; drops it when the client does something else or is
/// not through within `limit`, and when the session has ended or another WebSocket took it over.
pub(super) async fn run(mut link: Link, requests: mpsc::Sender<Request>, limit: Duration) {
    let probed = select! {
        probed = timeout(limit, probe(&mut link, &requests, limit)) => probed.ok().flatten(),
        () = requests.closed() => None,
    };
    if let Some(hand_over) = probed {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engineio::Bridge;

    #[tokio::test(start_paused = true)]
    async fn a_probe_ends_with_its_session() {
        let (requests, session) = mpsc::channel(1);
        let (near, _client) = Bridge::pair();
        drop(session);
        let begun = tokio::time::Instant::now();
        run(near.into(), requests, Duration::from_secs(10)).await;
        assert_eq!(begun.elapsed(), Duration::ZERO, "a node that stops does not wait for it");
    }
}
