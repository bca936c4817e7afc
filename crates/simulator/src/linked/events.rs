//! Tells a session's owner what becomes of it, until the owner has taken it.

use std::{sync::Arc, time::Duration};

use chasqui_kit::{TraceContext, clock::now_ms, request::RequestError};
use chasqui_proto::{
    subject,
    v1::{LinkEvent, LinkTaken, OwnerRequest, owner_request::What},
};

use super::{Devices, Key, Running};

/// How long an owner may take to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(2);
/// The pause while there is no owner.
const PAUSE: Duration = Duration::from_millis(250);
/// How long nothing may happen before it is looked again.
const IDLE: Duration = Duration::from_mins(1);

/// Tells the newest event, again and again while nobody takes it, and keeps the time of the account.
pub(super) async fn tell(devices: Arc<Devices>, key: Key, running: Running) {
    let mut changes = running.changed.subscribe();
    running
        .stop
        .run_until_cancelled(async {
            loop {
                // Before the account is looked at: a change that is seen below must not cut off telling of it.
                changes.borrow_and_update();
                let (news, deadline_ms) = {
                    let known = devices.known();
                    let Some(device) = known.get(&key) else { return };
                    (device.account.news().cloned(), device.account.deadline_ms())
                };
                let until_deadline = deadline_ms.map_or(IDLE, |at_ms| {
                    Duration::from_millis(u64::try_from(at_ms - now_ms()).unwrap_or_default())
                });
                tokio::select! {
                    _ = changes.changed() => {}
                    () = tokio::time::sleep(until_deadline) => {
                        let url = devices.url(&key);
                        devices.change(&key, |account, now| account.tick(&url, devices.qr_lifetime_ms, now));
                    }
                    told = told(&devices, &key, news) => {
                        devices.change(&key, |account, _| account.told(told));
                    }
                }
            }
        })
        .await;
}

/// Returns the number of the event once the owner has taken it.
async fn told(devices: &Devices, key: &Key, news: Option<(u64, LinkEvent)>) -> u64 {
    let Some((event, mut link)) = news else { return std::future::pending().await };
    let subject = subject::whatsapp_owner(&key.tenant, &key.session);
    loop {
        // Another owner may have come since the last time.
        link.ownership = devices.known().get(key).map_or(0, |device| device.account.ownership());
        let question = OwnerRequest { what: Some(What::Link(link.clone())) };
        let taken: Result<LinkTaken, RequestError> =
            devices.bus.ask_subject(subject.as_str(), &question, TraceContext::root(), ANSWER_WAIT).await;
        match taken {
            Ok(_) => return event,
            Err(error) => {
                tracing::debug!(%error, tenant = %key.tenant, session = %key.session, "no owner took an event");
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
