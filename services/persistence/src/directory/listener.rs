//! What a listener's entry may be. Pure.

use chasqui_proto::{
    Tenant,
    id::listener_id,
    name::EVENTS,
    v1::{ListenerEntry, ListenerFormat},
};

use super::entry::{invalid, text};
use crate::error::Error;

/// The longest URL, bytes.
const URL_LENGTH_MAX: usize = 2_048;
/// The most secrets that a listener has at a time: the one that counts, and those before it that still sign.
const SECRETS_MAX: usize = 3;
/// The longest secret, sealed, bytes.
const SEALED_LENGTH_MAX: usize = 1_024;
/// The longest description, bytes.
const DESCRIPTION_LENGTH_MAX: usize = 256;
/// The longest reason why one is disabled, bytes.
const REASON_LENGTH_MAX: usize = 256;

/// Checks an entry of a tenant.
pub(super) fn check(tenant: &Tenant, listener: &ListenerEntry) -> Result<(), Error> {
    let url = &listener.url;
    let is_web =
        ["http://", "https://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
    if !is_web || url.len() > URL_LENGTH_MAX || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        let expected = format!("must be an http:// or https:// address of at most {URL_LENGTH_MAX} bytes");
        return Err(invalid("url", expected));
    }
    if listener.id != listener_id(tenant, url).to_string() {
        return Err(invalid("id", "must be the UUID, version 5, of the tenant and the URL".to_owned()));
    }
    let is_known = |event: &String| EVENTS.contains(&event.as_str());
    if listener.events.len() > EVENTS.len() || !listener.events.iter().all(is_known) {
        return Err(invalid("events", format!("must be some of {}", EVENTS.join(", "))));
    }
    if listener.format() == ListenerFormat::Unspecified {
        return Err(invalid("format", "must be one of client, chasqui and cloud_api".to_owned()));
    }
    let is_sealed = |sealed: &String| {
        (1..=SEALED_LENGTH_MAX).contains(&sealed.len()) && sealed.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let secrets = &listener.sealed_secrets;
    if !(1..=SECRETS_MAX).contains(&secrets.len()) || !secrets.iter().all(is_sealed) {
        return Err(invalid("sealed_secrets", format!("must be 1 to {SECRETS_MAX} sealed secrets")));
    }
    text("disabled_reason", &listener.disabled_reason, REASON_LENGTH_MAX)?;
    if !listener.disabled && !listener.disabled_reason.is_empty() {
        return Err(invalid(
            "disabled_reason",
            "must be empty while the listener is not disabled".to_owned(),
        ));
    }
    text("description", &listener.description, DESCRIPTION_LENGTH_MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn acme() -> Tenant {
        "acme".parse().unwrap()
    }

    fn at(url: &str) -> ListenerEntry {
        ListenerEntry {
            tenant: "acme".into(),
            id: listener_id(&acme(), url).to_string(),
            url: url.into(),
            format: ListenerFormat::Client.into(),
            sealed_secrets: vec!["sealed".into()],
            ..ListenerEntry::default()
        }
    }

    fn refused(listener: &ListenerEntry, field: &str) {
        let told = check(&acme(), listener).expect_err(field).to_string();
        assert!(told.starts_with(&format!("{field}: must ")), "{told}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let good = at("http://bot.example.org:3013/api/message-received?x=1");
        check(&acme(), &good).unwrap();
        let every = ListenerEntry { events: EVENTS.map(String::from).to_vec(), ..good.clone() };
        check(&acme(), &every).unwrap();
        let long = format!("http://{}", "x".repeat(URL_LENGTH_MAX));
        for url in ["", "http://", "ftp://x", "//x", "http://a b", "http://ñ", "HTTP", &long] {
            refused(&at(url), "url");
        }
        for id in [String::new(), "x".into(), listener_id(&"other".parse().unwrap(), &good.url).to_string()] {
            refused(&ListenerEntry { id, ..good.clone() }, "id");
        }
        for events in [vec!["message".into()], vec!["message.received".into(); 5]] {
            refused(&ListenerEntry { events, ..good.clone() }, "events");
        }
        refused(&ListenerEntry { format: 0, ..good.clone() }, "format");
        for sealed in
            [vec![], vec!["x".into(); 4], vec![String::new()], vec!["x".repeat(SEALED_LENGTH_MAX + 1)]]
        {
            refused(&ListenerEntry { sealed_secrets: sealed, ..good.clone() }, "sealed_secrets");
        }
        refused(&ListenerEntry { disabled_reason: "gone".into(), ..good.clone() }, "disabled_reason");
        refused(&ListenerEntry { description: "a\0".into(), ..good }, "description");
    }

    proptest! {
        #[test]
        fn whatever_is_taken_is_an_address(url in "(http|https|ftp)?(:|//|/)*.{0,30}") {
            if check(&acme(), &at(&url)).is_ok() {
                prop_assert!(url.starts_with("http") && url.is_ascii() && !url.contains(' '));
            }
        }
    }
}
