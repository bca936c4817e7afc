//! Is the number there, and does it let us in? Asked again and again: tokens are revoked, and replaced.

use std::time::Duration;

use chasqui_proto::v1::{LinkConnected, LinkDisconnected, LinkEvent, link_event::What};
use rand::Rng;
use tokio::sync::mpsc;

use super::{
    Graph, Number,
    answer::{self, Read},
    graph::{Answered, Failed},
};

/// The pause while all is well, and the longest while it is not.
const PAUSE_MAX: Duration = Duration::from_mins(5);
/// The pause after the first failure; each further one doubles it.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// Looks, tells, pauses; ends when nobody listens.
pub(super) async fn run(graph: &Graph, number: &Number, events: &mpsc::Sender<LinkEvent>) {
    let path = format!("{}?fields=display_phone_number,verified_name,quality_rating", number.phone_number_id);
    let mut failures = 0;
    loop {
        let what = seen(graph.get(&path, &number.access_token).await);
        failures = if matches!(what, What::Connected(_)) { 0 } else { failures + 1 };
        if events.send(LinkEvent { what: Some(what), ..LinkEvent::default() }).await.is_err() {
            return;
        }
        // Not all numbers at once: up to a tenth earlier.
        let pause = pause(failures).mul_f64(rand::rng().random_range(0.9..=1.0));
        tokio::time::sleep(pause).await;
    }
}

fn seen(looked: Result<Answered, Failed>) -> What {
    let reason = match looked.map(|answered| answer::read(&answered)) {
        Ok(Read::Json(number)) => {
            let shown = number["display_phone_number"].as_str().unwrap_or_default();
            let phone = shown.chars().filter(char::is_ascii_digit).collect();
            return What::Connected(LinkConnected { phone });
        }
        Ok(odd) => odd.to_string(),
        Err(Failed::NotWritten(cause) | Failed::Unknown(cause)) => cause,
    };
    What::Disconnected(LinkDisconnected { reason })
}

fn pause(failures: u32) -> Duration {
    match failures {
        0 => PAUSE_MAX,
        failures => PAUSE_MIN.saturating_mul(1 << (failures - 1).min(16)).min(PAUSE_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_they_are_as_long_as_when_all_is_well() {
        let seconds: Vec<u64> = (0..12).map(|failures| pause(failures).as_secs()).collect();
        assert_eq!(seconds, [300, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(pause(u32::MAX), PAUSE_MAX);
    }
}
