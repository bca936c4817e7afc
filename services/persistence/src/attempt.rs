//! What the log is told of an attempt to post an event, ready to be stored.

use bytes::Bytes;
use chasqui_proto::{
    Tenant, subject,
    v1::{DeliveryAttempt, DeliveryOutcome},
};
use prost::Message;
use uuid::Uuid;

use crate::fact::{self, Undecodable};

/// The longest id of a delivery, and the longest name of an event, bytes.
const NAME_LENGTH_MAX: usize = 128;
/// How much is kept of what went wrong, characters.
const ERROR_LENGTH_MAX: usize = 1_000;

/// An attempt that can be stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attempt {
    pub(crate) tenant: Tenant,
    pub(crate) listener: Uuid,
    pub(crate) told: DeliveryAttempt,
}

/// Reads what was published.
pub(crate) fn read(subject: &str, payload: &Bytes) -> Result<Attempt, Undecodable> {
    let undecodable = |what: &str| Undecodable(what.to_owned());
    let parts = subject::parse(subject).ok_or_else(|| undecodable("the subject has too few parts"))?;
    let tenant: Tenant = parts.tenant.parse().map_err(|error| Undecodable(format!("{error}")))?;
    let listener = parts.key.parse().map_err(|_| undecodable("the listener is no UUID"))?;
    let told = DeliveryAttempt::decode(payload.clone()).map_err(|error| Undecodable(error.to_string()))?;
    if (told.tenant.as_str(), told.listener.as_str()) != (tenant.as_str(), parts.key) {
        return Err(undecodable("the attempt belongs to another listener than its subject"));
    }
    if told.outcome() == DeliveryOutcome::Unspecified {
        return Err(undecodable("the attempt has no outcome"));
    }
    let is_name = |text: &str| {
        (1..=NAME_LENGTH_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if !is_name(&told.delivery_id) || !is_name(&told.event) {
        return Err(undecodable("the delivery or its event has no name"));
    }
    let error = fact::text(&told.error).unwrap_or_default().chars().take(ERROR_LENGTH_MAX).collect();
    Ok(Attempt { tenant, listener, told: DeliveryAttempt { error, ..told } })
}

#[cfg(test)]
mod tests {
    use chasqui_proto::subject::NodeToken;
    use proptest::prelude::*;

    use super::*;

    const LISTENER: &str = "56a2b77e-dc42-55f1-9338-79d2a4e6ee83";

    fn attempt() -> DeliveryAttempt {
        DeliveryAttempt {
            delivery_id: "d1".to_owned(),
            tenant: "acme".to_owned(),
            listener: LISTENER.to_owned(),
            event: "message.received".to_owned(),
            outcome: DeliveryOutcome::Delivered.into(),
            ..DeliveryAttempt::default()
        }
    }

    fn subject() -> String {
        let name = NodeToken::new(LISTENER);
        subject::deliveries_attempted(&"acme".parse().unwrap(), &name).as_str().to_owned()
    }

    fn refused(told: &DeliveryAttempt, expected: &str) {
        let error = read(&subject(), &told.encode_to_vec().into()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn an_attempt_is_placed_by_its_subject_and_its_error_fits() {
        let told = DeliveryAttempt { error: "\0é".repeat(ERROR_LENGTH_MAX), ..attempt() };
        let read = read(&subject(), &told.encode_to_vec().into()).unwrap();
        assert_eq!((read.tenant.as_str(), read.listener.to_string().as_str()), ("acme", LISTENER));
        assert_eq!(read.told.error.chars().count(), ERROR_LENGTH_MAX);
        assert!(!read.told.error.contains('\0'));
    }

    #[test]
    fn what_does_not_fit_its_subject_is_refused() {
        refused(&DeliveryAttempt { tenant: "other".into(), ..attempt() }, "another listener");
        refused(&DeliveryAttempt { listener: String::new(), ..attempt() }, "another listener");
        refused(&DeliveryAttempt { outcome: 9, ..attempt() }, "no outcome");
        refused(&DeliveryAttempt { delivery_id: String::new(), ..attempt() }, "no name");
        refused(&DeliveryAttempt { event: "a b".into(), ..attempt() }, "no name");
        let payload = attempt().encode_to_vec().into();
        assert!(read(&subject().replace(LISTENER, "x"), &payload).is_err());
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(payload in prop::collection::vec(any::<u8>(), 0..200), subject in ".{0,60}") {
            let _ = read(&subject, &payload.clone().into());
            let _ = read(&self::subject(), &payload.into());
        }
    }
}
