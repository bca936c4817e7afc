//! Does what a session's owner commands.

use std::sync::Arc;

use async_nats::{Message, Subscriber};
use chasqui_kit::{TraceContext, clock::now_ms};
use chasqui_proto::v1::{
    FetchMedia, LinkAnswer, LinkCommand, ProviderError, ReadMessage, link_command::What,
};
use futures::StreamExt;
use prost::Message as _;
use tokio_util::sync::CancellationToken;

use super::{Devices, Key};
use crate::history::Progress;

/// What an answer needs besides the file it carries, bytes.
const ENVELOPE_BYTES: usize = 4 * 1024;

/// A refusal, with the Graph API's code for the same kind of thing: what may be tried again, and what not.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal {
    Superseded,
    NotConnected,
    NotFound,
    TooLarge,
    Invalid,
}

/// Answers every command until stopped.
pub(super) async fn obey(devices: Arc<Devices>, key: Key, mut commands: Subscriber, stop: CancellationToken) {
    while let Some(Some(command)) = stop.run_until_cancelled(commands.next()).await {
        let trace = TraceContext::of_nats(command.headers.as_ref());
        let (answer, ends) = devices.obey(&key, &command, trace);
        if let Some(reply) = command.reply
            && let Err(error) = devices.bus.client().publish(reply, answer.encode_to_vec().into()).await
        {
            tracing::warn!(%error, "a command could not be answered");
        }
        if ends {
            // Before the tasks end, so that whoever starts the session next starts new ones.
            devices.rest(&key);
        }
    }
}

impl Devices {
    /// The answer, and whether the session rests after it.
    fn obey(self: &Arc<Self>, key: &Key, command: &Message, trace: TraceContext) -> (LinkAnswer, bool) {
        let Ok(command) = LinkCommand::decode(command.payload.clone()) else {
            return (Refusal::Invalid.answer("the command cannot be decoded"), false);
        };
        let obeys = self.change(key, |account, _| account.obeys(command.ownership)).unwrap_or_default();
        if !obeys {
            return (Refusal::Superseded.answer("an owner with a higher ownership was seen"), false);
        }
        match command.what {
            Some(What::Send(message)) => (self.send(key, message, trace), false),
            Some(What::Read(read)) => (self.read(key, &read), false),
            Some(What::Fetch(fetch)) => (self.fetch(&fetch), false),
            Some(What::Ping(_)) => (LinkAnswer::default(), false),
            Some(What::LogOut(_)) => {
                self.change(key, |account, _| account.log_out_by_owner());
                (LinkAnswer::default(), true)
            }
            Some(What::Stop(_)) => {
                self.change(key, |account, _| account.stop());
                (LinkAnswer::default(), true)
            }
            None => (Refusal::Invalid.answer("expected one of the commands"), false),
        }
    }

    fn read(&self, key: &Key, read: &ReadMessage) -> LinkAnswer {
        if !self.is_connected(key) {
            return Refusal::NotConnected.answer("the session is not connected");
        }
        let mut book = self.world.book();
        let Some(contact) = book.history.find(&read.provider_message_id).map(|found| found.contact.clone())
        else {
            return Refusal::NotFound.answer("there is no such message");
        };
        book.history.advance(&read.provider_message_id, Progress::Read);
        if read.typing {
            book.history.type_to(key.number().into(), contact, now_ms());
        }
        drop(book);
        self.world.changed();
        LinkAnswer::default()
    }

    fn fetch(&self, fetch: &FetchMedia) -> LinkAnswer {
        let id = fetch.media.as_ref().map_or("", |media| media.id.as_str());
        let Some(file) = self.world.files.get(id) else {
            return Refusal::NotFound.answer("there is no such file");
        };
        let most = self.bus.client().server_info().max_payload.saturating_sub(ENVELOPE_BYTES);
        if file.content.len() > most {
            return Refusal::TooLarge.answer("the file is larger than the bus carries");
        }
        LinkAnswer { content: file.content, mime_type: file.mime_type, ..LinkAnswer::default() }
    }

    pub(super) fn is_connected(&self, key: &Key) -> bool {
        self.known().get(key).is_some_and(|device| device.account.is_connected())
    }
}

impl Refusal {
    pub(super) fn answer(self, message: &str) -> LinkAnswer {
        let (code, title) = match self {
            Self::Superseded => (131_016, "superseded"),
            Self::NotConnected => (131_016, "not_connected"),
            Self::NotFound => (100, "not_found"),
            Self::TooLarge => (131_052, "too_large"),
            Self::Invalid => (100, "invalid"),
        };
        let error = ProviderError {
            code,
            title: title.to_owned(),
            message: message.to_owned(),
            details: String::new(),
        };
        LinkAnswer { error: Some(error), ..LinkAnswer::default() }
    }
}
