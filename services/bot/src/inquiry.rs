//! A question to the language model, on its way.

use std::sync::Arc;

use chasqui_kit::TraceContext;
use chasqui_proto::v1::{Channel, Heard, Message};

use crate::{
    decision::Thought,
    definition::Definition,
    model::{ModelError, Question},
    office::Office,
    place::Place,
    publication::{Moment, answer_id},
};

/// What is to be asked. Whoever has it has the conversation's leave to ask, for as long as the model may take.
#[derive(Debug)]
pub(crate) struct Inquiry {
    pub(crate) definition: Arc<Definition>,
    /// As the conversation names it; empty for the default one.
    pub(crate) personality_id: String,
    /// What is answered, oldest first.
    pub(crate) heard: Vec<Heard>,
    /// The newest of it.
    pub(crate) input: Arc<Message>,
    pub(crate) trace: TraceContext,
}

impl Inquiry {
    /// Asks.
    pub(crate) async fn ask(self, office: &Office, place: &Place) -> Thought {
        let Some(settings) = self.definition.model() else {
            return Thought { heard: self.heard, answer: Err(ModelError::Off) };
        };
        let question = Question {
            tenant: &place.tenant,
            conversation: &place.conversation,
            settings,
            personality: settings.personality(&self.personality_id),
            heard: &self.heard,
            answer_id: answer_id(place, &self.input.id, Moment::Later, 0),
            channel: self.input.channel.as_ref().map_or_else(Default::default, Channel::kind),
            input_id: &self.input.id,
            trace: self.trace,
        };
        let answer = office.models.answer(question).await;
        Thought { heard: self.heard, answer }
    }
}
