//! Webhooks of the WhatsApp Cloud API, read into facts. Pure: bytes in, facts out.
//!
//! One webhook holds many entries, each many changes, each many messages, statuses and errors. Whatever is new, broken
//! or unknown becomes a message of type `unsupported` or a notice, with its JSON verbatim: nothing WhatsApp sends is
//! lost, and nothing it may ever send is an error.

mod body;
mod contact;
mod fact;
mod message;
mod status;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use chasqui_proto::{
    Tenant, id,
    v1::{Channel, ChannelKind, Direction, ProviderError, ProviderNotice},
};
use serde_json::value::RawValue;

use crate::object::Object;
use contact::Contacts;
pub(crate) use fact::Fact;

/// The field of a notice about something that is not shaped like a webhook at all.
const UNREADABLE: &str = "unreadable";

/// A body that is no JSON.
#[derive(Debug, thiserror::Error)]
#[error("the body is not JSON: {0}")]
pub(crate) struct NotJson(serde_json::Error);

/// Reads the facts of a webhook, in its order. `tenant_of` says whose a phone number id is, also for none (empty).
/// `received_at_ms` is unix milliseconds.
pub(crate) fn parse(
    body: &Bytes,
    tenant_of: impl Fn(&str) -> Tenant,
    received_at_ms: i64,
) -> Result<Vec<Fact>, NotJson> {
    let raw: &RawValue = serde_json::from_slice(body).map_err(NotJson)?;
    let tenant = tenant_of("");
    let mut reader = Reader { body, tenant_of: &tenant_of, tenant, received_at_ms, facts: Vec::new() };
    reader.envelope(raw);
    Ok(reader.facts)
}

/// What every fact of one webhook shares, and the facts read so far.
struct Reader<'a> {
    /// What all raw values borrow from: facts hold slices of it.
    body: &'a Bytes,
    tenant_of: &'a dyn Fn(&str) -> Tenant,
    /// The tenant of the change that is being read.
    tenant: Tenant,
    received_at_ms: i64,
    facts: Vec<Fact>,
}

/// One change of a webhook.
struct Change<'a> {
    /// The whole change, verbatim.
    raw: &'a RawValue,
    /// What changed: `messages`, `account_update`, …
    field: String,
    /// The number and account it is about.
    channel: Channel,
}

impl<'a> Reader<'a> {
    fn envelope(&mut self, raw: &'a RawValue) {
        match Object::read(raw) {
            Some(envelope) if envelope.get("entry").is_some_and(is_array) => {
                envelope.elements("entry").into_iter().for_each(|entry| self.entry(entry));
            }
            _ => self.notice(UNREADABLE, &Channel::default(), Vec::new(), raw),
        }
    }

    fn entry(&mut self, raw: &'a RawValue) {
        let entry = Object::read(raw).unwrap_or_default();
        let account_id = entry.text("id").unwrap_or_default();
        let channel = Channel { kind: ChannelKind::WhatsappCloud.into(), account_id, ..Channel::default() };
        if !entry.get("changes").is_some_and(is_array) {
            return self.notice(UNREADABLE, &channel, Vec::new(), raw);
        }
        entry.elements("changes").into_iter().for_each(|change| self.change(change, &channel));
    }

    fn change(&mut self, raw: &'a RawValue, account: &Channel) {
        let change = Object::read(raw).unwrap_or_default();
        let field = change.filled("field").unwrap_or_else(|| UNREADABLE.to_owned());
        let value = change.object("value").unwrap_or_default();
        let metadata = value.object("metadata").unwrap_or_default();
        let channel = Channel {
            id: metadata.text("phone_number_id").unwrap_or_default(),
            display_phone_number: metadata.text("display_phone_number").unwrap_or_default(),
            ..account.clone()
        };
        self.tenant = (self.tenant_of)(&channel.id);
        let change = Change { raw, field, channel };
        match change.field.as_str() {
            "messages" => self.value(&value, &change, "messages", Direction::In),
            "message_echoes" | "smb_message_echoes" => {
                self.value(&value, &change, "message_echoes", Direction::Out);
            }
            field => self.notice(field, &change.channel, Vec::new(), raw),
        }
    }

    /// The messages (under `key`), statuses and errors of a change.
    fn value(&mut self, value: &Object<'a>, change: &Change<'a>, key: &str, direction: Direction) {
        let (messages, statuses) = (value.elements(key), value.elements("statuses"));
        let errors = errors(value);
        let misshapen = [key, "statuses"].iter().any(|key| value.get(key).is_some_and(|raw| !is_array(raw)));
        // Errors beside messages go with these; alone they are news of their own, and so is a change that tells
        // something else.
        let untold = messages.is_empty() && (statuses.is_empty() || !errors.is_empty());
        if misshapen || untold {
            self.notice(&change.field, &change.channel, errors.clone(), change.raw);
        }
        let contacts = Contacts::read(value);
        for raw in messages {
            match message::read(self, raw, change, &contacts, direction) {
                Some(mut message) => {
                    // An interactive message can come without its body, and the reason beside it.
                    if message.errors.is_empty() {
                        message.errors.clone_from(&errors);
                    }
                    self.facts.push(Fact::Message(Box::new(message)));
                }
                None => self.notice(&change.field, &change.channel, errors.clone(), raw),
            }
        }
        for raw in statuses {
            match status::read(self, raw, change) {
                Some(status) => self.facts.push(Fact::Status(Box::new(status))),
                None => self.notice(&change.field, &change.channel, Vec::new(), raw),
            }
        }
    }

    fn notice(&mut self, field: &str, channel: &Channel, errors: Vec<ProviderError>, raw: &'a RawValue) {
        let unique = [self.tenant.as_str(), &channel.account_id, &channel.id, field, raw.get()];
        self.facts.push(Fact::Notice(Box::new(ProviderNotice {
            id: id::fact_id(&unique).to_string(),
            tenant: self.tenant.to_string(),
            channel: Some(channel.clone()),
            field: field.to_owned(),
            errors,
            raw: self.verbatim(raw),
            received_at_ms: self.received_at_ms,
        })));
    }

    /// The bytes of a value as they came, without copying them.
    fn verbatim(&self, raw: &RawValue) -> Bytes {
        self.body.slice_ref(raw.get().as_bytes())
    }

    /// A time of WhatsApp's clock, which it writes as a string of unix seconds; garbage is the time of arrival.
    fn occurred_at_ms(&self, object: &Object<'_>) -> i64 {
        let seconds = object.integer("timestamp").filter(|seconds| *seconds > 0);
        seconds.and_then(|seconds| seconds.checked_mul(1_000)).unwrap_or(self.received_at_ms)
    }
}

fn is_array(raw: &RawValue) -> bool {
    raw.get().starts_with('[')
}

fn errors(object: &Object<'_>) -> Vec<ProviderError> {
    let error = |error: Object<'_>| ProviderError {
        code: error.integer("code").unwrap_or_default(),
        title: error.text("title").unwrap_or_default(),
        message: error.text("message").unwrap_or_default(),
        details: error.object("error_data").and_then(|data| data.text("details")).unwrap_or_default(),
    };
    object.objects("errors").into_iter().map(error).collect()
}
