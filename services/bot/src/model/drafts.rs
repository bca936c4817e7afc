//! What the contact is shown while the model writes.

use std::{convert::Infallible, time::Duration};

use chasqui_kit::{Bus, clock};
use chasqui_proto::{
    subject::typing_changed,
    v1::{ChannelKind, Draft, SenderType, Typing},
};
use prost::Message as _;
use tokio::time::Instant;

use super::Question;

/// Who writes, as front ends are told.
const BOT: &str = "bot";
/// How often it is said again that the bot writes: WhatsApp forgets it after 25 s.
const TYPING_INTERVAL: Duration = Duration::from_secs(20);
/// The pieces of a draft are told at most once in so long.
const DRAFT_INTERVAL: Duration = Duration::from_millis(50);
/// How long telling may take. Who is not told waits for the whole message.
const TELL_WAIT: Duration = Duration::from_millis(250);

/// Tells that the bot writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Typist<'a> {
    bus: &'a Bus,
    question: Question<'a>,
}

impl<'a> Typist<'a> {
    pub(super) fn new(bus: &'a Bus, question: Question<'a>) -> Self {
        Self { bus, question }
    }

    /// Writes, for as long as this is waited for.
    pub(super) async fn write(&self) -> Infallible {
        loop {
            self.tell(true, None).await;
            tokio::time::sleep(TYPING_INTERVAL).await;
        }
    }

    /// Does not write any more. A draft that no message follows is void with it.
    pub(super) async fn stop(&self) {
        self.tell(false, None).await;
    }

    async fn tell(&self, typing: bool, draft: Option<Draft>) {
        let Question { tenant, conversation, .. } = self.question;
        let told = Typing {
            tenant: tenant.to_string(),
            conversation: conversation.to_string(),
            user_id: BOT.to_owned(),
            sender_type: SenderType::Ai.into(),
            typing,
            at_ms: clock::now_ms(),
            draft,
        };
        if !self.bus.is_connected() {
            return;
        }
        let subject = typing_changed(tenant, conversation).as_str().to_owned();
        let telling = self.bus.client().publish(subject, told.encode_to_vec().into());
        if let Ok(Err(error)) = tokio::time::timeout(TELL_WAIT, telling).await {
            tracing::debug!(%error, "that the bot writes is not told");
        }
    }
}

/// Tells what it has written so far, where that is shown.
#[derive(Debug)]
pub(super) struct Drafts<'a> {
    typist: Typist<'a>,
    is_shown: bool,
    index: u32,
    /// What is written and not told.
    untold: String,
    told_at: Option<Instant>,
}

impl<'a> Drafts<'a> {
    pub(super) fn new(typist: Typist<'a>) -> Self {
        let is_shown = typist.question.channel == ChannelKind::Widget;
        Self { typist, is_shown, index: 0, untold: String::new(), told_at: None }
    }

    /// When what is written is to be told; none where there is nothing to tell.
    pub(super) fn due(&self) -> Option<Instant> {
        let is_untold = self.is_shown && !self.untold.is_empty();
        is_untold.then(|| self.told_at.map_or_else(Instant::now, |at| at + DRAFT_INTERVAL))
    }

    /// A piece was written.
    pub(super) fn add(&mut self, delta: &str) {
        if self.is_shown {
            self.untold.push_str(delta);
        }
    }

    /// Tells what is due.
    pub(super) async fn tell(&mut self) {
        if self.due().is_none_or(|due| due > Instant::now()) {
            return;
        }
        let draft = Draft {
            message_id: self.typist.question.answer_id.to_string(),
            index: self.index,
            delta: std::mem::take(&mut self.untold),
        };
        self.index += 1;
        self.told_at = Some(Instant::now());
        self.typist.tell(true, Some(draft)).await;
    }

    /// Begins anew: what was told is replaced by what comes.
    pub(super) fn restart(&mut self) {
        self.index = 0;
        self.untold.clear();
    }
}
