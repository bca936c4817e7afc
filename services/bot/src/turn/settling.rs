//! What is open in a conversation: replies to publish, people to find, answers that are due.

use std::sync::Arc;

use chasqui_kit::{Code, Coded, clock, publish::Fact};
use chasqui_proto::{
    service::MESSAGES_GET,
    subject,
    v1::{BotConversation, Contact, GetMessage, Heard, Message, StoredMessage, Waiting},
};

use super::{Task, Turn};
use crate::{
    decision::{Decision, Said, Thought},
    handover,
    input::Input,
    inquiry::Inquiry,
    meter,
    model::ModelError,
    obstacle::Obstacle,
    past::Stored,
    publication::Moment,
    waiting,
};

/// How old a decision may be for the stream to know its replies still, milliseconds. Five minutes less than it does.
const KNOWN_MAX_MS: i64 = 15 * 60 * 1_000;
/// How often the language model is asked the same, counting replicas that died meanwhile.
const INQUIRIES_MAX: u32 = 3;
/// How much longer than it may take the language model is waited for, milliseconds.
const INQUIRY_MARGIN_MS: u64 = 10_000;
/// How many answers that were put off are given in one turn.
const LATER_MAX: usize = 4;

impl Turn<'_> {
    /// Publishes what was decided.
    pub(super) async fn publish(&mut self) -> Result<(), Obstacle> {
        if self.is_published {
            return Ok(());
        }
        let is_old = clock::now_ms() - self.record.state.decided_at_ms > KNOWN_MAX_MS;
        for message in &self.record.state.pending {
            // The stream would take it for a new one.
            if is_old && self.is_stored(message).await? {
                continue;
            }
            let to = subject::messages_out(&self.place.tenant, &self.place.conversation);
            match self.office.bus.publish(Fact::new(to, message, &message.id, self.trace)).await {
                Err(error) if error.code() == Code::TooLarge => {
                    tracing::error!(
                        message = message.id,
                        "a reply is larger than the broker takes; it is lost"
                    );
                }
                published => drop(published?),
            }
        }
        self.is_published = true;
        Ok(())
    }

    async fn is_stored(&self, message: &Message) -> Result<bool, Obstacle> {
        let question = GetMessage { tenant: self.place.tenant.to_string(), message_id: message.id.clone() };
        let answer: Result<StoredMessage, _> = self.office.bus.ask(MESSAGES_GET, &question, self.trace).await;
        match answer {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Code::NotFound => Ok(false),
            Err(error) => Err(Obstacle::away(error)),
        }
    }

    /// Opens the chat of a conversation that people are to have. Whether nothing keeps it from going on.
    pub(super) async fn hand_over(&mut self) -> Result<bool, Obstacle> {
        if self.record.state.handoff.is_empty() {
            return Ok(true);
        }
        let of_state = || self.standing.conversation.as_ref().and_then(|state| state.contact.clone());
        let contact: Contact = self.contact.clone().or_else(of_state).unwrap_or_default();
        let reason = self.record.state.handoff.clone();
        let opened = handover::open_chat(self.office, self.place, (&contact, &reason), self.trace).await;
        let chat = match opened {
            Ok(chat) => chat,
            Err(error) => {
                tracing::warn!(%error, conversation = %self.place, "people cannot be given a conversation yet");
                return Ok(false);
            }
        };
        let state = BotConversation {
            handoff: String::new(),
            pending: Vec::new(),
            chat_version: chat.version.max(self.record.state.chat_version),
            ..self.record.state.clone()
        };
        self.record = self.office.conversations.put(self.place, &self.record, state).await?;
        meter::handed_over(&reason);
        self.office.works.handed_over(&self.place.tenant);
        Ok(true)
    }

    /// Forgets what is published.
    pub(super) async fn tidy(&mut self) -> Result<(), Obstacle> {
        if self.record.state.pending.is_empty() {
            return Ok(());
        }
        let state = BotConversation { pending: Vec::new(), ..self.record.state.clone() };
        self.record = self.office.conversations.put(self.place, &self.record, state).await?;
        Ok(())
    }

    /// Answers what was put off and is due. What the language model is to be asked for that.
    pub(super) async fn answer_later(&mut self, task: &Task<'_>) -> Result<Option<Inquiry>, Obstacle> {
        let mut thought = task.thought;
        for _ in 0..LATER_MAX {
            let Some(waiting) = self.record.state.waiting.clone() else { return Ok(None) };
            let now_ms = clock::now_ms();
            let is_ours = waiting.holder == self.office.node.as_str();
            if let Some(thought) = thought.take().filter(|_| is_ours) {
                self.conclude(waiting, thought, task.goal).await?;
            } else if waiting.due_at_ms > now_ms
                || (waiting::is_held(&waiting, now_ms) && (!is_ours || task.is_thinking))
            {
                return Ok(None);
            } else if waiting.attempts >= INQUIRIES_MAX {
                let thought = Thought { heard: waiting.heard.clone(), answer: Err(ModelError::TimedOut) };
                self.conclude(waiting, &thought, task.goal).await?;
            } else if waiting.rule.is_empty() && !self.is_late(&waiting) {
                return self.inquire(waiting, task.goal).await;
            } else {
                self.answer_after_pause(waiting, task.goal).await?;
            }
            if !self.hand_over().await? {
                return Ok(None);
            }
        }
        Ok(None)
    }

    fn is_late(&self, waiting: &Waiting) -> bool {
        waiting.heard.last().is_some_and(|newest| self.decider().is_late(newest.at_ms))
    }

    /// Takes the leave to ask the language model, so that one replica at a time pays for an answer.
    async fn inquire(
        &mut self,
        waiting: Waiting,
        goal: Option<&Stored>,
    ) -> Result<Option<Inquiry>, Obstacle> {
        let Some((stored, input)) = self.newest(&waiting.heard, goal).await? else {
            return self.forget_waiting().await.map(|()| None);
        };
        let state = self.record.state.clone();
        if let Some(decision) = self.decider().let_go(state, &said(&stored, &input)) {
            return self.write_later(decision, &stored, &input).await.map(|()| None);
        }
        let timeout_ms = self.office.config.model_timeout_ms + INQUIRY_MARGIN_MS;
        let claimed = Waiting {
            holder: self.office.node.to_string(),
            held_until_ms: clock::now_ms() + i64::try_from(timeout_ms).unwrap_or(i64::MAX),
            attempts: waiting.attempts + 1,
            ..waiting
        };
        let heard = claimed.heard.clone();
        let state =
            BotConversation { waiting: Some(claimed), pending: Vec::new(), ..self.record.state.clone() };
        self.record = self.office.conversations.put(self.place, &self.record, state).await?;
        let conversation = self.standing.conversation.as_ref();
        Ok(Some(Inquiry {
            definition: self.definition.clone(),
            personality_id: conversation.map_or_else(String::new, |state| state.personality_id.clone()),
            heard,
            input,
            trace: stored.trace,
        }))
    }

    async fn conclude(
        &mut self,
        waiting: Waiting,
        thought: &Thought,
        goal: Option<&Stored>,
    ) -> Result<(), Obstacle> {
        let Some((stored, input)) = self.newest(&thought.heard, goal).await? else {
            return self.forget_waiting().await;
        };
        let said = said(&stored, &input);
        let state = self.record.state.clone();
        let decision = self.decider().after_thought(state, waiting, thought, &said).await;
        self.write_later(decision, &stored, &input).await
    }

    async fn answer_after_pause(&mut self, waiting: Waiting, goal: Option<&Stored>) -> Result<(), Obstacle> {
        let Some((stored, input)) = self.newest(&waiting.heard, goal).await? else {
            return self.forget_waiting().await;
        };
        let said = said(&stored, &input);
        let state = self.record.state.clone();
        let decision = self.decider().after_pause(state, waiting, &said).await;
        self.write_later(decision, &stored, &input).await
    }

    async fn write_later(
        &mut self,
        decision: Decision,
        stored: &Stored,
        input: &Message,
    ) -> Result<(), Obstacle> {
        let is_answered = !decision.answers.is_empty();
        self.contact.clone_from(&input.contact);
        self.write(decision, (input, Moment::Later), 0).await?;
        if is_answered {
            self.count_answer(stored.at_ms);
        }
        Ok(())
    }

    /// The newest of some messages; none where the stream has let it go.
    async fn newest(
        &self,
        heard: &[Heard],
        goal: Option<&Stored>,
    ) -> Result<Option<(Stored, Arc<Message>)>, Obstacle> {
        let Some(newest) = heard.last() else { return Ok(None) };
        let found = match goal.filter(|goal| goal.seq == newest.seq) {
            Some(goal) => Some(goal.clone()),
            None => self.office.past.at(newest.seq).await?,
        };
        // Where the stream was made anew, another conversation's message may stand there.
        let is_same = |message: &Arc<Message>| message.id == newest.message_id;
        Ok(found.and_then(|stored| stored.message.clone().filter(is_same).map(|message| (stored, message))))
    }

    async fn forget_waiting(&mut self) -> Result<(), Obstacle> {
        tracing::warn!(conversation = %self.place, "what was to be answered is not in the stream any more");
        let state = BotConversation { waiting: None, pending: Vec::new(), ..self.record.state.clone() };
        self.record = self.office.conversations.put(self.place, &self.record, state).await?;
        Ok(())
    }
}

fn said<'a>(stored: &Stored, input: &'a Message) -> Said<'a> {
    Said { input: Input::of(input, stored.seq), stored_at_ms: stored.at_ms, trace: stored.trace }
}
