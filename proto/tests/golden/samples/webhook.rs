//! What goes out to listeners, and the log of it.

use chasqui_proto::v1::{
    DeliveriesReplayed, Delivery, DeliveryAttempt, DeliveryOutcome, DeliveryPage, ListDeliveries,
    ListenerEntry, ListenerFormat, ListenerState, LoggedDelivery, ReplayDeliveries, TestListener,
    delivery::Fact, directory_entry::Entry,
};

use super::{Sample, cursor, message, people, sample, status, tenant};

const AT_MS: i64 = 1_760_000_005_000;
const LATER_MS: i64 = 1_760_000_006_000;
const DELIVERY_ID: &str = "0d9a4a5e-0000-4000-8000-000000000004";
const LISTENER_ID: &str = "56a2b77e-dc42-55f1-9338-79d2a4e6ee83";

pub(crate) fn all() -> Vec<Sample> {
    let (listener, delivery_id) = (LISTENER_ID.to_owned(), DELIVERY_ID.to_owned());
    vec![
        sample("directory-listener", &people::entry(Entry::Listener(entry()))),
        sample("delivery-message", &delivery("message.received", Fact::Message(message()))),
        sample("delivery-status", &delivery("message.status", Fact::Status(status()))),
        sample("delivery-session", &delivery("session.status", Fact::Session(people::session()))),
        sample("delivery-attempt", &attempt()),
        sample("listener-state", &state()),
        sample(
            "replay-deliveries",
            &ReplayDeliveries { tenant: tenant(), listener: listener.clone(), delivery_id, since_ms: AT_MS },
        ),
        sample("deliveries-replayed", &DeliveriesReplayed { count: 7 }),
        sample("test-listener", &TestListener { tenant: tenant(), listener }),
        sample("list-deliveries", &list()),
        sample("delivery-page", &page()),
    ]
}

fn entry() -> ListenerEntry {
    ListenerEntry {
        tenant: tenant(),
        id: LISTENER_ID.to_owned(),
        url: "http://127.0.0.1:3013/api/message-received".to_owned(),
        events: vec!["message.received".to_owned(), "session.status".to_owned()],
        format: ListenerFormat::CloudApi.into(),
        sealed_secrets: vec!["v1.c2VhbGVk".to_owned()],
        disabled: true,
        disabled_reason: "gone".to_owned(),
        description: "bot".to_owned(),
        created_at_ms: AT_MS,
        updated_at_ms: LATER_MS,
        ..ListenerEntry::default()
    }
}

fn delivery(event: &str, fact: Fact) -> Delivery {
    Delivery {
        id: DELIVERY_ID.to_owned(),
        tenant: tenant(),
        listener: LISTENER_ID.to_owned(),
        event: event.to_owned(),
        seq: 41,
        attempts: 2,
        created_at_ms: AT_MS,
        replayed: true,
        fact: Some(fact),
    }
}

fn attempt() -> DeliveryAttempt {
    DeliveryAttempt {
        delivery_id: DELIVERY_ID.to_owned(),
        tenant: tenant(),
        listener: LISTENER_ID.to_owned(),
        event: "message.received".to_owned(),
        seq: 41,
        attempt: 3,
        outcome: DeliveryOutcome::Retrying.into(),
        http_status: 503,
        error: "503 Service Unavailable".to_owned(),
        duration_ms: 120,
        attempted_at_ms: AT_MS,
        next_at_ms: LATER_MS,
    }
}

fn state() -> ListenerState {
    ListenerState {
        tenant: tenant(),
        listener: LISTENER_ID.to_owned(),
        pending: 5,
        delivered: 100,
        failed: 2,
        failures_in_a_row: 3,
        last_delivered_at_ms: AT_MS,
        last_failed_at_ms: LATER_MS,
        last_error: "503 Service Unavailable".to_owned(),
        resting_until_ms: LATER_MS,
        lag_ms: 1_500,
        version: 9,
        updated_at_ms: LATER_MS,
    }
}

fn list() -> ListDeliveries {
    ListDeliveries {
        tenant: tenant(),
        listener: LISTENER_ID.to_owned(),
        outcome: DeliveryOutcome::Failed.into(),
        cursor: cursor(),
        limit: 50,
        since_ms: AT_MS,
    }
}

fn page() -> DeliveryPage {
    let logged = LoggedDelivery { last: Some(attempt()), first_attempted_at_ms: AT_MS };
    DeliveryPage { deliveries: vec![logged], next: cursor() }
}
