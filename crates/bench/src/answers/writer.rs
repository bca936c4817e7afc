//! Lets contacts write, each message when it is due.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use hyper::StatusCode;
use secrecy::SecretString;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{sleep_until, timeout_at},
};

use super::{contacts::Contacts, ear::id_prefix};
use crate::{
    address::Address,
    clock::Clock,
    http::Http,
    ledger::Outcome,
    letter::from_contact,
    marker,
    plan::{LATE_FORGIVEN_US, origin_us},
};

/// How the messages of a run look.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    pub(super) run: String,
    pub(super) ingest: Address,
    pub(super) app_secret: SecretString,
    pub(super) text_bytes: usize,
}

/// Connections to the webhook, and the contacts that write over them.
#[derive(Debug)]
pub(super) struct Writer {
    manner: Arc<Manner>,
    contacts: Arc<Contacts>,
    /// Contacts that wait for no answer.
    waiting: mpsc::Receiver<u32>,
    /// Connections without a request.
    idle: Vec<Http>,
    /// Connections with one.
    busy: JoinSet<Http>,
    clock: Clock,
}

/// How well the writing kept to its times.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kept {
    pub(super) written: u32,
    pub(super) took: Duration,
    /// Messages that were late, or not written, because no contact was there that did not wait for an answer.
    pub(super) for_want_of_contacts: u32,
    /// Messages that were late, or not written, because every connection waited for the webhook.
    pub(super) for_want_of_connections: u32,
}

impl Kept {
    /// Messages a second.
    pub(super) fn rate_per_s(&self) -> f64 {
        f64::from(self.written) / self.took.max(Duration::from_millis(1)).as_secs_f64()
    }
}

impl Writer {
    /// A writer with so many connections, all open.
    pub(super) async fn open(
        manner: Manner,
        connections: u32,
        contacts: Arc<Contacts>,
        waiting: mpsc::Receiver<u32>,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let mut idle = Vec::new();
        for _ in 0..connections {
            let mut http = Http::new(&manner.ingest);
            http.make_ready().await?;
            idle.push(http);
        }
        Ok(Self { manner: Arc::new(manner), contacts, waiting, idle, busy: JoinSet::new(), clock })
    }

    /// Writes so many messages at this rate, beginning now. What finds nobody to write it in this time is not written.
    pub(super) async fn write(&mut self, count: u32, rate_per_s: u32) -> anyhow::Result<Kept> {
        let began_us = self.clock.now_us();
        let due_us = |message: u32| began_us + u64::from(message) * 1_000_000 / u64::from(rate_per_s.max(1));
        let until = self.clock.moment(due_us(count));
        let mut kept = Kept::default();
        for message in 0..count {
            sleep_until(self.clock.moment(due_us(message))).await;
            let Ok(conversation) = timeout_at(until, self.turn(&mut kept)).await else {
                let unwritten = count - message;
                if self.idle.is_empty() {
                    kept.for_want_of_connections += unwritten;
                } else {
                    kept.for_want_of_contacts += unwritten;
                }
                break;
            };
            self.send(conversation?, due_us(message));
            kept.written += 1;
        }
        let took_us = self.clock.now_us().max(due_us(count)) - began_us;
        Ok(Kept { took: Duration::from_micros(took_us), ..kept })
    }

    /// Waits for an idle connection and a contact that may write. Nothing is lost where nobody waits for it any more.
    async fn turn(&mut self, kept: &mut Kept) -> anyhow::Result<u32> {
        let asked_us = self.clock.now_us();
        while let Some(done) = self.busy.try_join_next() {
            self.idle.push(done?);
        }
        while self.idle.is_empty() {
            self.idle.push(self.busy.join_next().await.context("there is no connection")??);
        }
        let connected_us = self.clock.now_us();
        let conversation = self.waiting.recv().await.context("there are no contacts")?;
        let is_long = |wait_us: u64| u32::from(wait_us > LATE_FORGIVEN_US);
        kept.for_want_of_connections += is_long(connected_us - asked_us);
        kept.for_want_of_contacts += is_long(self.clock.now_us() - connected_us);
        Ok(conversation)
    }

    fn send(&mut self, conversation: u32, due_us: u64) {
        let mut http = self.idle.pop().expect("a turn leaves an idle connection");
        let (manner, contacts, clock) = (self.manner.clone(), self.contacts.clone(), self.clock);
        let sent_us = clock.now_us();
        let (origin_us, late_us) = (origin_us(Some(due_us), sent_us), sent_us.saturating_sub(due_us));
        let anything = |number| marker::text(&manner.run, number, manner.text_bytes);
        let draft = contacts.tally().write(conversation, origin_us, late_us, anything);
        self.busy.spawn(async move {
            let id = format!("{}{}", id_prefix(&manner.run), draft.number);
            let phone = contacts.phone(conversation);
            let request =
                from_contact(&manner.ingest.authority(), &manner.app_secret, &id, &phone, &draft.text);
            let outcome = match http.ask(request).await {
                Ok((StatusCode::OK, _)) => Outcome::Acknowledged,
                Ok((status, _)) => Outcome::Refused(status.as_u16()),
                Err(_) => Outcome::Failed,
            };
            contacts.note(|tally| tally.answered_by_webhook(draft.number, outcome, clock.now_us()));
            http
        });
    }
}
