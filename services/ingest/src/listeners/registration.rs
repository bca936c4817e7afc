//! What a listener is asked to be. Pure.

use chasqui_kit::seal::Seal;
use chasqui_proto::v1::{ListenerEntry, ListenerFormat};
use secrecy::{ExposeSecret, SecretString};

use super::secret::{self, SECRETS_MAX};
use crate::fields::{FieldError, Fields};

/// What a listener can hear. Who names none hears the first.
const EVENTS: [&str; 4] = ["message.received", "message.sent", "message.status", "session.status"];
/// The longest description, characters.
const DESCRIPTION_LENGTH_MAX: usize = 256;
/// Why a listener is disabled that an operator has disabled.
const BY_OPERATOR: &str = "operator";

/// What is said of a listener; what is left out stays as it is.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    events: Option<Vec<String>>,
    format: Option<ListenerFormat>,
    description: Option<String>,
    secret: Option<SecretString>,
    disabled: Option<bool>,
    answers: Option<bool>,
}

impl Wanted {
    /// What a bot may say of itself. Who registers here answers unless it says that it does not: bots of shared clients
    /// know nothing of the question, and two that answer one contact are worse than one that misses what others answer.
    pub(super) fn of_bot(fields: &mut Fields) -> Result<Self, FieldError> {
        let secret = fields.text("secret")?.map(SecretString::from);
        let wanted = Self::read(fields)?;
        Ok(Self { secret, answers: wanted.answers.or(Some(true)), ..wanted })
    }

    /// What an operator may change: everything but the URL, which a listener is, and secrets, which are rotated.
    pub(super) fn of_operator(mut fields: Fields) -> Result<Self, FieldError> {
        let mut wanted = Self::read(&mut fields)?;
        wanted.disabled = fields.optional_flag("disabled")?;
        fields.end()?;
        Ok(wanted)
    }

    fn read(fields: &mut Fields) -> Result<Self, FieldError> {
        Ok(Self {
            events: fields.texts("events")?.map(events).transpose()?,
            format: fields.text("format")?.map(|name| format(&name)).transpose()?,
            description: fields.text("description")?.map(description).transpose()?,
            answers: fields.optional_flag("answers")?,
            ..Self::default()
        })
    }

    /// A listener that was not there before, of whom only tenant, id and URL are known, with this secret unless it brings
    /// its own.
    pub(super) fn entry(
        &self,
        bare: ListenerEntry,
        seal: &Seal,
        new_secret: &SecretString,
    ) -> Result<ListenerEntry, FieldError> {
        let format = self.format.unwrap_or(ListenerFormat::Client);
        if let Some(given) = &self.secret {
            secret::check(given, format, "secret")?;
        }
        let secret = self.secret.as_ref().unwrap_or(new_secret).expose_secret();
        Ok(ListenerEntry {
            events: self.events.clone().unwrap_or_else(|| vec![EVENTS[0].to_owned()]),
            format: format.into(),
            sealed_secrets: vec![seal.seal(secret)],
            description: self.description.clone().unwrap_or_default(),
            answers: self.answers.unwrap_or_default(),
            ..bare
        })
    }

    /// Whether it brings a secret of its own.
    pub(super) fn has_secret(&self) -> bool {
        self.secret.is_some()
    }

    /// The listener as it is wanted; `None` when it is so already. A bot that registers again is there again: only what
    /// an operator disabled stays so.
    pub(super) fn registered(
        &self,
        stored: &ListenerEntry,
        seal: &Seal,
    ) -> Result<Option<ListenerEntry>, FieldError> {
        let mut listener = self.applied(stored, seal)?;
        if listener.disabled && listener.disabled_reason != BY_OPERATOR {
            (listener.disabled, listener.disabled_reason) = (false, String::new());
        }
        Ok((listener != *stored).then_some(listener))
    }

    /// The listener as an operator wants it.
    pub(super) fn changed(&self, stored: &ListenerEntry, seal: &Seal) -> Result<ListenerEntry, FieldError> {
        let mut listener = self.applied(stored, seal)?;
        if let Some(disabled) = self.disabled {
            listener.disabled = disabled;
            listener.disabled_reason = if disabled { BY_OPERATOR.to_owned() } else { String::new() };
        }
        Ok(listener)
    }

    fn applied(&self, stored: &ListenerEntry, seal: &Seal) -> Result<ListenerEntry, FieldError> {
        let mut listener = stored.clone();
        if let Some(events) = &self.events
            && !hears(&listener, events)
        {
            listener.events.clone_from(events);
        }
        if let Some(description) = &self.description {
            listener.description.clone_from(description);
        }
        if let Some(answers) = self.answers {
            listener.answers = answers;
        }
        if let Some(format) = self.format {
            listener.format = format.into();
        }
        if let Some(given) = &self.secret {
            secret::check(given, listener.format(), "secret")?;
            if newest(&listener, seal).is_none_or(|newest| newest.expose_secret() != given.expose_secret()) {
                rotate(&mut listener, given, seal, false);
            }
        } else if listener.format != stored.format
            && newest(&listener, seal)
                .is_some_and(|newest| secret::check(&newest, listener.format(), "secret").is_err())
        {
            let problem = "cannot be signed with the listener's secret; rotate that first";
            return Err(FieldError::new("format", problem));
        }
        Ok(listener)
    }
}

/// Puts a new secret in front. The one before still signs, unless it is withdrawn.
pub(super) fn rotate(listener: &mut ListenerEntry, secret: &SecretString, seal: &Seal, withdraw: bool) {
    if withdraw {
        listener.sealed_secrets.clear();
    }
    listener.sealed_secrets.insert(0, seal.seal(secret.expose_secret()));
    listener.sealed_secrets.truncate(SECRETS_MAX);
}

/// Whether it hears these already, in whatever order.
fn hears(listener: &ListenerEntry, events: &[String]) -> bool {
    let mut heard = listener.events.clone();
    heard.sort_unstable();
    heard == events
}

/// The secret in use; `None` where it was sealed with a key that is gone.
fn newest(listener: &ListenerEntry, seal: &Seal) -> Option<SecretString> {
    seal.open(listener.sealed_secrets.first()?).ok()
}

fn events(mut events: Vec<String>) -> Result<Vec<String>, FieldError> {
    if events.is_empty() {
        events.push(EVENTS[0].to_owned());
    }
    if events.iter().any(|event| !EVENTS.contains(&event.as_str())) {
        return Err(FieldError::new("events", format!("must be a list of {}", EVENTS.join(", "))));
    }
    events.sort_unstable();
    events.dedup();
    Ok(events)
}

fn format(name: &str) -> Result<ListenerFormat, FieldError> {
    let known = ListenerFormat::of_name(name).filter(|format| *format != ListenerFormat::Unspecified);
    known.ok_or_else(|| FieldError::new("format", "must be client, chasqui or cloud_api"))
}

fn description(text: String) -> Result<String, FieldError> {
    if text.chars().count() > DESCRIPTION_LENGTH_MAX {
        return Err(FieldError::new(
            "description",
            format!("must have at most {DESCRIPTION_LENGTH_MAX} characters"),
        ));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn seal() -> Seal {
        Seal::new(&"0123456789abcdef0123456789abcdef".into()).unwrap()
    }

    fn of_bot(body: &Value) -> Wanted {
        Wanted::of_bot(&mut Fields::read(body.to_string().as_bytes()).unwrap()).unwrap()
    }

    fn listener(body: &Value) -> ListenerEntry {
        of_bot(body).entry(ListenerEntry::default(), &seal(), &secret::new()).unwrap()
    }

    #[test]
    fn who_says_nothing_hears_messages_in_the_flat_form() {
        let plain = listener(&json!({}));
        assert_eq!(plain.format(), ListenerFormat::Client);
        assert_eq!(plain.events, ["message.received"]);
        assert_eq!(listener(&json!({ "events": [] })).events, plain.events);
    }

    #[test]
    fn shc_01_who_registers_answers_unless_it_says_that_it_does_not() {
        assert!(listener(&json!({})).answers && listener(&json!({ "answers": null })).answers);
        let recorder = listener(&json!({ "answers": false }));
        assert!(!recorder.answers);
        let again = of_bot(&json!({})).registered(&recorder, &seal()).unwrap();
        assert!(again.unwrap().answers, "each registration says it anew");
    }

    #[test]
    fn the_order_of_events_means_nothing() {
        let stored = ListenerEntry {
            events: vec!["session.status".into(), "message.sent".into()],
            ..listener(&json!({}))
        };
        let again = of_bot(&json!({ "events": ["message.sent", "session.status", "message.sent"] }));
        assert_eq!(again.registered(&stored, &seal()).unwrap(), None);
    }

    #[test]
    fn a_format_that_the_secret_cannot_sign_is_refused() {
        let app_secret = "0123456789abcdef0123456789abcdef";
        let stored = listener(&json!({ "format": "cloud_api", "secret": app_secret }));
        let told =
            of_bot(&json!({ "format": "client" })).registered(&stored, &seal()).unwrap_err().to_string();
        assert!(told.starts_with("format: cannot be signed"), "{told}");
        let with_secret = json!({ "format": "client", "secret": secret::new().expose_secret() });
        assert!(of_bot(&with_secret).registered(&stored, &seal()).unwrap().is_some());
    }

    #[test]
    fn a_secret_that_cannot_be_opened_any_more_is_replaced_by_the_one_that_is_given() {
        let mut stored = listener(&json!({}));
        stored.sealed_secrets = vec!["v1.AAAA".into()];
        assert_eq!(of_bot(&json!({})).registered(&stored, &seal()).unwrap(), None);
        let given = secret::new();
        let changed = of_bot(&json!({ "secret": given.expose_secret() })).registered(&stored, &seal());
        let newest = newest(&changed.unwrap().unwrap(), &seal()).unwrap();
        assert_eq!(newest.expose_secret(), given.expose_secret());
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in ".*", text in "\\PC{0,20}") {
            for body in [body, json!({ "events": [text.clone()], "format": text.clone(), "secret": text }).to_string()] {
                if let Ok(mut fields) = Fields::read(body.as_bytes()) {
                    let _ = Wanted::of_bot(&mut fields);
                    let _ = Wanted::of_operator(fields);
                }
            }
        }
    }
}
