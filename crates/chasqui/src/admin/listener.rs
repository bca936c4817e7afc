//! Where events of a tenant are posted.

use anyhow::Context;
use chasqui_callback::CallbackUrl;
use chasqui_kit::{clock, seal::Seal};
use chasqui_proto::{
    id::listener_id,
    service::{DELIVERIES_LIST, DELIVERIES_REPLAY, LISTENERS_TEST},
    v1::{
        DeliveryAttempt, DeliveryOutcome, EntryKind, ListDeliveries, ListenerEntry, ListenerFormat,
        LoggedDelivery, ReplayDeliveries, TestListener, directory_entry::Entry,
    },
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Directory, PAGE_LENGTH,
    arguments::{Format, ListenerAction, ListenerFields, Outcome},
    change::change,
    missing, secret,
};
use crate::output;

/// How many secrets a listener has: the one in use, and the one before while it is changed.
const SECRETS_MAX: usize = 2;
const HOUR_MS: i64 = 3_600_000;
/// Why a listener is disabled by this command.
const BY_OPERATOR: &str = "operator";

impl Directory<'_> {
    /// Does what the command says to a listener.
    pub(super) async fn act_on_listener(
        &self,
        action: &ListenerAction,
        sealing_key: Option<&SecretString>,
    ) -> anyhow::Result<()> {
        match action {
            ListenerAction::Put { url, fields } => self.put_listener(url, fields, sealing_key).await,
            ListenerAction::Show { listener } => {
                let entry = self.listener(listener).await?;
                self.show(&[Entry::Listener(entry)])
            }
            ListenerAction::List { limit } => self.list(EntryKind::Listener, *limit).await,
            ListenerAction::Remove { listener } => {
                self.remove(EntryKind::Listener, &self.listener_id(listener)?).await
            }
            ListenerAction::Enable { listener } => self.switch(listener, false).await,
            ListenerAction::Disable { listener } => self.switch(listener, true).await,
            ListenerAction::Test { listener } => self.test(listener).await,
            ListenerAction::Deliveries { listener, outcome, hours, limit } => {
                let listener = listener.as_deref().map(|listener| self.listener_id(listener)).transpose()?;
                let question = ListDeliveries {
                    tenant: self.tenant.to_string(),
                    listener: listener.unwrap_or_default(),
                    outcome: outcome.map_or(DeliveryOutcome::Unspecified, Outcome::meant).into(),
                    since_ms: hours.map_or(0, hours_ago),
                    ..ListDeliveries::default()
                };
                self.list_deliveries(question, *limit).await
            }
            ListenerAction::Replay { listener, delivery, hours } => {
                self.replay(listener, delivery.as_deref(), *hours).await
            }
        }
    }

    async fn put_listener(
        &self,
        url: &str,
        fields: &ListenerFields,
        sealing_key: Option<&SecretString>,
    ) -> anyhow::Result<()> {
        let url = CallbackUrl::parse(url).map_err(|error| anyhow::anyhow!("url: {error}"))?;
        let id = listener_id(&self.tenant, url.as_str()).to_string();
        let before = self.find(EntryKind::Listener, &id).await?;
        let (mut entry, is_new) = match before {
            Some(Entry::Listener(entry)) => (entry, false),
            _ => (new(self.tenant.to_string(), id, &url), true),
        };
        fields.apply(&mut entry);
        let secret = match fields {
            ListenerFields { secret: true, .. } => Some((secret::given(entry.format())?, false)),
            ListenerFields { new_secret, .. } if is_new || *new_secret => {
                Some((chasqui_callback::new_secret(), true))
            }
            _ => None,
        };
        if let Some((secret, _)) = &secret {
            let key =
                sealing_key.context("SEALING_KEY is not set: secrets of listeners are sealed with it")?;
            entry.sealed_secrets.insert(0, Seal::new(key)?.seal(secret.expose_secret()));
            entry.sealed_secrets.truncate(SECRETS_MAX);
        }
        let stored = self.put(Entry::Listener(entry)).await?;
        match secret {
            Some((secret, true)) => self.show_with_secret(&stored, "listener", &secret),
            _ => self.show(&[stored]),
        }
    }

    async fn switch(&self, listener: &str, disabled: bool) -> anyhow::Result<()> {
        let entry = self.listener(listener).await?;
        let disabled_reason = if disabled { BY_OPERATOR.to_owned() } else { String::new() };
        let stored = self.put(Entry::Listener(ListenerEntry { disabled, disabled_reason, ..entry })).await?;
        self.show(&[stored])
    }

    async fn test(&self, listener: &str) -> anyhow::Result<()> {
        let entry = self.listener(listener).await?;
        let question = TestListener { tenant: entry.tenant, listener: entry.id };
        let attempt = self.ask(LISTENERS_TEST, &question).await?;
        self.show_all(&[shown(&attempt)])
    }

    async fn list_deliveries(&self, mut question: ListDeliveries, limit: usize) -> anyhow::Result<()> {
        let mut deliveries: Vec<LoggedDelivery> = Vec::new();
        while deliveries.len() < limit {
            question.limit = u32::try_from(PAGE_LENGTH.min(limit - deliveries.len()))?;
            let page = self.ask(DELIVERIES_LIST, &question).await?;
            deliveries.extend(page.deliveries);
            question.cursor = page.next;
            if question.cursor.is_empty() {
                break;
            }
        }
        let lines: Vec<Value> =
            deliveries.iter().filter_map(|logged| logged.last.as_ref()).map(shown).collect();
        self.show_all(&lines)?;
        if !question.cursor.is_empty() {
            eprintln!("there are more; --limit shows them");
        }
        Ok(())
    }

    async fn replay(&self, listener: &str, delivery: Option<&str>, hours: u32) -> anyhow::Result<()> {
        let entry = self.listener(listener).await?;
        let question = ReplayDeliveries {
            tenant: entry.tenant,
            listener: entry.id,
            delivery_id: delivery.unwrap_or_default().to_owned(),
            since_ms: if delivery.is_some() { 0 } else { hours_ago(hours) },
        };
        let count = self.ask(DELIVERIES_REPLAY, &question).await?.count;
        if self.json {
            output::line(json!({ "replayed": count }))?;
        } else {
            output::line(format!("{count} deliveries are posted once more"))?;
        }
        Ok(())
    }

    async fn listener(&self, listener: &str) -> anyhow::Result<ListenerEntry> {
        match self.find(EntryKind::Listener, &self.listener_id(listener)?).await? {
            Some(Entry::Listener(entry)) => Ok(entry),
            _ => Err(anyhow::anyhow!(missing(EntryKind::Listener, listener))),
        }
    }

    /// The id of a listener that is named by its id or its URL.
    fn listener_id(&self, listener: &str) -> anyhow::Result<String> {
        if let Ok(id) = listener.parse::<Uuid>() {
            return Ok(id.to_string());
        }
        let url = CallbackUrl::parse(listener)
            .map_err(|error| anyhow::anyhow!("listener: must be an id or a URL: {error}"))?;
        Ok(listener_id(&self.tenant, url.as_str()).to_string())
    }
}

impl ListenerFields {
    /// Changes what was given.
    fn apply(&self, entry: &mut ListenerEntry) {
        if !self.event.is_empty() {
            entry.events.clone_from(&self.event);
            entry.events.sort_unstable();
            entry.events.dedup();
        }
        if let Some(format) = self.format {
            entry.set_format(format.meant());
        }
        change(&mut entry.description, self.description.as_ref());
        change(&mut entry.answers, self.answers.as_ref());
    }
}

impl Format {
    fn meant(self) -> ListenerFormat {
        match self {
            Self::Client => ListenerFormat::Client,
            Self::Chasqui => ListenerFormat::Chasqui,
            Self::CloudApi => ListenerFormat::CloudApi,
        }
    }
}

impl Outcome {
    fn meant(self) -> DeliveryOutcome {
        match self {
            Self::Delivered => DeliveryOutcome::Delivered,
            Self::Retrying => DeliveryOutcome::Retrying,
            Self::Failed => DeliveryOutcome::Failed,
        }
    }
}

fn new(tenant: String, id: String, url: &CallbackUrl) -> ListenerEntry {
    let format = ListenerFormat::Client.into();
    ListenerEntry { tenant, id, url: url.as_str().to_owned(), format, ..ListenerEntry::default() }
}

fn hours_ago(hours: u32) -> i64 {
    clock::now_ms() - i64::from(hours) * HOUR_MS
}

/// An attempt as people and their programs read it.
fn shown(attempt: &DeliveryAttempt) -> Value {
    json!({
        "id": attempt.delivery_id,
        "listener": attempt.listener,
        "event": attempt.event,
        "seq": attempt.seq,
        "attempt": attempt.attempt,
        "outcome": attempt.outcome().name(),
        "http_status": attempt.http_status,
        "error": attempt.error,
        "duration_ms": attempt.duration_ms,
        "attempted_at_ms": attempt.attempted_at_ms,
        "next_at_ms": attempt.next_at_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_of_a_listener_stays() {
        let fields = |event: Vec<String>, format, answers| ListenerFields {
            event,
            format,
            description: None,
            answers,
            secret: false,
            new_secret: false,
        };
        let url = CallbackUrl::parse("https://bot.example.com").unwrap();
        let mut entry = new("acme".to_owned(), "id".to_owned(), &url);
        let events =
            vec!["message.sent".to_owned(), "message.received".to_owned(), "message.sent".to_owned()];
        fields(events, None, None).apply(&mut entry);
        assert_eq!((entry.format(), entry.events.len(), entry.answers), (ListenerFormat::Client, 2, false));
        fields(Vec::new(), None, Some(true)).apply(&mut entry);
        fields(Vec::new(), Some(Format::CloudApi), None).apply(&mut entry);
        assert_eq!((entry.format(), entry.events.len(), entry.answers), (ListenerFormat::CloudApi, 2, true));
    }
}
